//! Layers.

use super::{Case, Fixture, Need, folder, must, refused};
use crate::documents::{ExportLayerOptions, Layer, LayerData, OsLayerOptions, OsLayerType, Version};
use crate::hresult::HResult;
use crate::storage::{LayerDescriptor, LayerDriver};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "storage", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("a layer is imported, exported and destroyed", Need::Storage, import_export),
    case("a layer needs its parents", Need::Storage, parents),
    case("what is not there is not imported", Need::Storage, no_source),
    case("a writable layer is attached and detached", Need::Storage, attached),
    case("an overlay is attached and detached", Need::Storage, overlay),
    case("an attached layer is not destroyed", Need::Storage, not_destroyed),
    case("a disk is formatted and has a place", Need::Storage, disk),
    case("a base layer is set up", Need::Storage, base),
    case("a writable layer of the older form is made and exported", Need::Storage, legacy),
    case("a sandbox lives its life by the older calls", Need::Driver, sandbox),
    case("a layer is imported and exported by the older calls", Need::Driver, driver_import_export),
    case("a layer in use is not destroyed by the older calls", Need::Driver, driver_in_use),
    case("a layer is copied by the older calls", Need::Driver, driver_copy),
    case("a sandbox grows and does not shrink", Need::Driver, grows),
    case("a name has one GUID", Need::Driver, name_to_guid),
    case("a layer that is not there is said so by the older calls", Need::Driver, driver_missing),
];

/// An exported layer: a folder with a file in a folder.
fn exported(fixture: &dyn Fixture) -> PathBuf {
    let root = folder(fixture, "exported");
    let made = fs::create_dir_all(root.join("Files").join("Windows"));
    made.and_then(|()| fs::write(root.join("Files").join("Windows").join("win.ini"), b"[fonts]"))
        .unwrap_or_else(|error| panic!("make {}: {error}", root.display()));
    root
}

fn has_file(layer: &Path) -> bool {
    fs::read(layer.join("Files").join("Windows").join("win.ini")).is_ok_and(|content| content == b"[fonts]")
}

fn data(layers: &[&Path]) -> LayerData {
    let layers = layers.iter().map(|path| Layer::new().path(path.to_str().unwrap_or_default()));
    let version = Version::new().major(2_u32).minor(1_u32);
    LayerData::new().schema_version(version).layers(layers.collect::<Vec<_>>())
}

fn import_export(fixture: &dyn Fixture) {
    let (storage, source) = (fixture.storage(), exported(fixture));
    let layer = folder(fixture, "layers").join("base");
    must(storage.import_layer(&layer, &source, &data(&[])));
    assert!(has_file(&layer));
    let target = folder(fixture, "target").join("out");
    must(storage.export_layer(&layer, &target, &data(&[]), &ExportLayerOptions::new()));
    assert!(has_file(&target));
    must(storage.destroy_layer(&layer));
    assert!(!layer.exists());
    refused(storage.destroy_layer(&layer));
}

fn parents(fixture: &dyn Fixture) {
    let (storage, source) = (fixture.storage(), exported(fixture));
    let layers = folder(fixture, "layers");
    let missing = layers.join("missing");
    let code = refused(storage.import_layer(&layers.join("top"), &source, &data(&[&missing])));
    assert_eq!(code, HResult::HCS_E_INVALID_LAYER);
    assert!(!layers.join("top").exists(), "nothing is left of it");
}

fn no_source(fixture: &dyn Fixture) {
    let layers = folder(fixture, "layers");
    refused(fixture.storage().import_layer(&layers.join("a"), &layers.join("missing"), &data(&[])));
    assert!(!layers.join("a").exists());
}

/// A base layer, and a writable one on top of it.
fn writable(fixture: &dyn Fixture) -> (PathBuf, PathBuf) {
    let storage = fixture.storage();
    let (layers, source) = (folder(fixture, "layers"), exported(fixture));
    let (base, top) = (layers.join("base"), layers.join("top"));
    must(storage.import_layer(&base, &source, &data(&[])));
    fs::create_dir(&top).unwrap_or_else(|error| panic!("make {}: {error}", top.display()));
    must(storage.initialize_writable_layer(&top, &data(&[&base])));
    (base, top)
}

fn attached(fixture: &dyn Fixture) {
    let (base, top) = writable(fixture);
    let storage = fixture.storage();
    must(storage.attach_layer_storage_filter(&top, &data(&[&base])));
    refused(storage.attach_layer_storage_filter(&top, &data(&[&base])));
    must(storage.detach_layer_storage_filter(&top));
    refused(storage.detach_layer_storage_filter(&top));
    let missing = base.join("missing");
    let code = refused(storage.attach_layer_storage_filter(&top, &data(&[&missing])));
    assert_eq!(code, HResult::HCS_E_INVALID_LAYER);
}

fn overlay(fixture: &dyn Fixture) {
    let (base, top) = writable(fixture);
    let storage = fixture.storage();
    must(storage.attach_overlay_filter(&top, &data(&[&base])));
    refused(storage.attach_overlay_filter(&top, &data(&[&base])));
    must(storage.detach_overlay_filter(&top, &data(&[&base])));
    refused(storage.detach_overlay_filter(&top, &data(&[&base])));
}

fn not_destroyed(fixture: &dyn Fixture) {
    let (base, top) = writable(fixture);
    let storage = fixture.storage();
    must(storage.attach_layer_storage_filter(&top, &data(&[&base])));
    refused(storage.destroy_layer(&top));
    assert!(top.exists());
    must(storage.detach_layer_storage_filter(&top));
    must(storage.destroy_layer(&top));
}

fn new_disk(fixture: &dyn Fixture) -> File {
    let path = folder(fixture, "disk").join("disk.vhdx");
    let disk = File::options().read(true).write(true).create_new(true).open(&path);
    disk.unwrap_or_else(|error| panic!("make {}: {error}", path.display()))
}

fn disk(fixture: &dyn Fixture) {
    let (storage, disk) = (fixture.storage(), new_disk(fixture));
    refused(storage.layer_vhd_mount_path(&disk));
    must(storage.format_writable_layer_vhd(&disk));
    let place = must(storage.layer_vhd_mount_path(&disk));
    assert!(place.to_str().is_some_and(|place| place.contains("Volume{")), "{}", place.display());
    assert_eq!(must(storage.layer_vhd_mount_path(&disk)), place);
}

fn base(fixture: &dyn Fixture) {
    let (storage, disk, layer) = (fixture.storage(), new_disk(fixture), exported(fixture));
    must(storage.format_writable_layer_vhd(&disk));
    let options = OsLayerOptions::new().kind(OsLayerType::Container);
    must(storage.setup_base_os_layer(&layer, &disk, &options));
    must(storage.setup_base_os_volume(&layer, &folder(fixture, "volume"), &options));
    refused(storage.setup_base_os_layer(&layer.join("missing"), &disk, &options));
    refused(storage.setup_base_os_volume(&layer, &layer.join("missing"), &options));
}

fn legacy(fixture: &dyn Fixture) {
    let storage = fixture.storage();
    let (layers, mount) = (folder(fixture, "layers"), exported(fixture));
    let layer = layers.join("writable");
    fs::create_dir(&layer).unwrap_or_else(|error| panic!("make {}: {error}", layer.display()));
    must(storage.initialize_legacy_writable_layer(&mount, &layer, &data(&[])));
    let target = layers.join("out");
    must(storage.export_legacy_writable_layer(&mount, &layer, &target, &data(&[])));
    assert!(has_file(&target));
}

/// The driver, its home, and a base layer in it.
fn driven(fixture: &dyn Fixture) -> (Box<dyn LayerDriver>, PathBuf, Vec<LayerDescriptor>) {
    let home = folder(fixture, "home");
    let driver = fixture.driver(&home);
    must(driver.import_layer("base", &exported(fixture), &[]));
    let id = must(driver.name_to_guid("base"));
    let descriptors = vec![LayerDescriptor { id, flags: 0, path: home.join("base") }];
    (driver, home, descriptors)
}

fn sandbox(fixture: &dyn Fixture) {
    let (driver, _, layers) = driven(fixture);
    must(driver.create_sandbox_layer("sandbox", "base", &layers));
    assert!(must(driver.layer_exists("sandbox")));
    refused(driver.create_sandbox_layer("sandbox", "base", &layers));
    refused(driver.prepare_layer("sandbox", &layers));
    must(driver.activate_layer("sandbox"));
    must(driver.prepare_layer("sandbox", &layers));
    let place = must(driver.layer_mount_path("sandbox"));
    assert!(!place.as_os_str().is_empty());
    assert_eq!(must(driver.layer_mount_path("sandbox")), place);
    refused(driver.deactivate_layer("sandbox"));
    must(driver.unprepare_layer("sandbox"));
    must(driver.deactivate_layer("sandbox"));
    must(driver.destroy_layer("sandbox"));
    assert!(!must(driver.layer_exists("sandbox")));
}

fn driver_import_export(fixture: &dyn Fixture) {
    let (driver, home, _) = driven(fixture);
    assert!(must(driver.layer_exists("base")) && has_file(&home.join("base")));
    must(driver.process_base_image(&home.join("base")));
    must(driver.process_utility_image(&home.join("base")));
    let target = folder(fixture, "target").join("out");
    must(driver.export_layer("base", &target, &[]));
    assert!(has_file(&target));
    must(driver.destroy_layer("base"));
    assert!(!home.join("base").exists());
}

fn driver_in_use(fixture: &dyn Fixture) {
    let (driver, _, layers) = driven(fixture);
    must(driver.create_sandbox_layer("sandbox", "base", &layers));
    must(driver.activate_layer("sandbox"));
    refused(driver.destroy_layer("sandbox"));
    assert!(must(driver.layer_exists("sandbox")));
    must(driver.deactivate_layer("sandbox"));
    must(driver.destroy_layer("sandbox"));
}

fn driver_copy(fixture: &dyn Fixture) {
    let (driver, home, _) = driven(fixture);
    must(driver.create_layer("empty", "base"));
    refused(driver.create_layer("empty", "base"));
    refused(driver.create_layer("other", "missing"));
    must(driver.copy_layer("base", "copy", &[]));
    assert!(has_file(&home.join("copy")));
}

fn grows(fixture: &dyn Fixture) {
    let (driver, _, layers) = driven(fixture);
    must(driver.create_sandbox_layer("sandbox", "base", &layers));
    must(driver.expand_sandbox_size("sandbox", 1 << 20));
    refused(driver.expand_sandbox_size("sandbox", 1 << 10));
}

fn name_to_guid(fixture: &dyn Fixture) {
    let driver = fixture.driver(&folder(fixture, "home"));
    let id = must(driver.name_to_guid("base"));
    assert_eq!(must(driver.name_to_guid("base")), id);
    assert_ne!(must(driver.name_to_guid("top")), id);
}

fn driver_missing(fixture: &dyn Fixture) {
    let driver = fixture.driver(&folder(fixture, "home"));
    assert!(!must(driver.layer_exists("missing")));
    refused(driver.activate_layer("missing"));
    refused(driver.layer_mount_path("missing"));
    refused(driver.destroy_layer("missing"));
    refused(driver.expand_sandbox_size("missing", 1 << 20));
    refused(driver.grant_vm_access("vm", Path::new("/no/such/file")));
    assert!(must(driver.base_images()).contains("Images"));
}
