//! Layers that are folders. Nothing is united: what a filter would show is in the layers' own folders.

use super::host::new_guid;
use super::refusal;
use crate::document::Guid;
use crate::documents::{ExportLayerOptions, LayerData, OsLayerOptions, OsLayerType};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::storage::{ComputeStorage, LayerDescriptor, LayerDriver};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The disk of a writable layer, as Windows names it.
const DISK: &str = "sandbox.vhdx";
/// What a disk begins with that has a file system; the rest of the line is where it would be mounted.
const FORMATTED: &str = "formatted ";

/// The layers of one host; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    attached: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// The older calls, below a home folder.
#[derive(Debug, Clone)]
pub struct MemoryDriver {
    home: PathBuf,
    active: Arc<Mutex<BTreeSet<PathBuf>>>,
    prepared: MemoryStorage,
}

impl MemoryStorage {
    /// A host without attached layers.
    pub fn new() -> Self {
        Self::default()
    }

    fn attached(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, attempted: &str, folder: &Path) -> Result<()> {
        must_be(attempted, folder)?;
        match self.attached().insert(folder.to_owned()) {
            true => Ok(()),
            false => Err(refusal(attempted, HResult::ERROR_ALREADY_EXISTS)),
        }
    }

    fn detach(&self, attempted: &str, folder: &Path) -> Result<()> {
        match self.attached().remove(folder) {
            true => Ok(()),
            false => Err(refusal(attempted, HResult::ERROR_NOT_FOUND)),
        }
    }
}

impl ComputeStorage for MemoryStorage {
    fn import_layer(&self, layer: &Path, source: &Path, data: &LayerData) -> Result<()> {
        let attempted = about("import layer", layer);
        parents(&attempted, data)?;
        must_be(&attempted, source)?;
        copy(&attempted, source, layer)
    }

    fn export_layer(
        &self,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
        options: &ExportLayerOptions,
    ) -> Result<()> {
        let attempted = about("export layer", layer);
        parents(&attempted, data)?;
        must_be(&attempted, layer)?;
        let writable = layer.join(DISK).exists();
        if options.is_writable_layer == Some(true) && !writable {
            return Err(refusal(&attempted, HResult::HCS_E_INVALID_LAYER));
        }
        copy(&attempted, layer, folder)
    }

    fn export_legacy_writable_layer(
        &self,
        mount: &Path,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
    ) -> Result<()> {
        let attempted = about("export layer", layer);
        parents(&attempted, data)?;
        must_be(&attempted, layer)?;
        copy(&attempted, mount, folder)
    }

    fn destroy_layer(&self, layer: &Path) -> Result<()> {
        let attempted = about("destroy layer", layer);
        if self.attached().contains(layer) {
            return Err(refusal(&attempted, HResult::ERROR_SHARING_VIOLATION));
        }
        remove(&attempted, layer)
    }

    fn setup_base_os_layer(&self, layer: &Path, disk: &File, options: &OsLayerOptions) -> Result<()> {
        let attempted = about("set up base layer", layer);
        must_be(&attempted, layer)?;
        mount_path(&attempted, disk)?;
        known(&attempted, options)
    }

    fn setup_base_os_volume(&self, layer: &Path, volume: &Path, options: &OsLayerOptions) -> Result<()> {
        let attempted = about("set up base layer", layer);
        must_be(&attempted, layer)?;
        must_be(&attempted, volume)?;
        known(&attempted, options)
    }

    fn initialize_writable_layer(&self, layer: &Path, data: &LayerData) -> Result<()> {
        let attempted = about("initialize layer", layer);
        parents(&attempted, data)?;
        must_be(&attempted, layer)?;
        make_disk(&attempted, layer)
    }

    fn initialize_legacy_writable_layer(&self, mount: &Path, layer: &Path, data: &LayerData) -> Result<()> {
        let attempted = about("initialize layer", layer);
        must_be(&attempted, mount)?;
        self.initialize_writable_layer(layer, data)
    }

    fn attach_layer_storage_filter(&self, layer: &Path, data: &LayerData) -> Result<()> {
        let attempted = about("attach layer", layer);
        parents(&attempted, data)?;
        self.attach(&attempted, layer)
    }

    fn detach_layer_storage_filter(&self, layer: &Path) -> Result<()> {
        self.detach(&about("detach layer", layer), layer)
    }

    fn attach_overlay_filter(&self, volume: &Path, data: &LayerData) -> Result<()> {
        let attempted = about("attach overlay", volume);
        parents(&attempted, data)?;
        self.attach(&attempted, volume)
    }

    fn detach_overlay_filter(&self, volume: &Path, _data: &LayerData) -> Result<()> {
        self.detach(&about("detach overlay", volume), volume)
    }

    fn format_writable_layer_vhd(&self, mut disk: &File) -> Result<()> {
        let line = format!("{FORMATTED}\\\\?\\Volume{{{}}}\n", new_guid());
        let written = disk.rewind().and_then(|()| disk.write_all(line.as_bytes()));
        written.map_err(|cause| Error::io("format a disk", cause))
    }

    fn layer_vhd_mount_path(&self, disk: &File) -> Result<PathBuf> {
        mount_path("ask where a disk is mounted", disk)
    }
}

impl MemoryDriver {
    /// The older calls below this folder; an empty one means that ids are paths.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), active: Arc::default(), prepared: MemoryStorage::new() }
    }

    fn active(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.home.join(id)
    }

    /// The folder of a layer that is there.
    fn layer(&self, attempted: &str, id: &str) -> Result<PathBuf> {
        let path = self.path(id);
        must_be(attempted, &path).map(|()| path)
    }

    /// Makes the folder of a layer that is new.
    fn make(&self, attempted: &str, id: &str) -> Result<PathBuf> {
        let path = self.path(id);
        fs::create_dir_all(&self.home).map_err(|cause| Error::io(attempted, cause))?;
        fs::create_dir(&path).map_err(|cause| Error::io(attempted, cause))?;
        Ok(path)
    }
}

impl LayerDriver for MemoryDriver {
    fn create_layer(&self, id: &str, parent: &str) -> Result<()> {
        let attempted = format!("create layer {id}");
        if !parent.is_empty() {
            self.layer(&attempted, parent)?;
        }
        self.make(&attempted, id).map(drop)
    }

    fn create_sandbox_layer(&self, id: &str, _parent: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("create sandbox {id}");
        described(&attempted, layers)?;
        let path = self.make(&attempted, id)?;
        make_disk(&attempted, &path)
    }

    fn expand_sandbox_size(&self, id: &str, size: u64) -> Result<()> {
        let attempted = format!("expand sandbox {id}");
        let disk = self.layer(&attempted, id)?.join(DISK);
        let disk = File::options().write(true).open(disk).map_err(|cause| Error::io(&*attempted, cause))?;
        let now = disk.metadata().map_err(|cause| Error::io(&*attempted, cause))?.len();
        if size < now {
            return Err(refusal(&attempted, HResult::E_INVALIDARG));
        }
        disk.set_len(size).map_err(|cause| Error::io(attempted, cause))
    }

    fn activate_layer(&self, id: &str) -> Result<()> {
        let path = self.layer(&format!("activate layer {id}"), id)?;
        self.active().insert(path);
        Ok(())
    }

    fn deactivate_layer(&self, id: &str) -> Result<()> {
        let attempted = format!("deactivate layer {id}");
        let path = self.layer(&attempted, id)?;
        if self.prepared.attached().contains(&path) {
            return Err(refusal(&attempted, HResult::ERROR_SHARING_VIOLATION));
        }
        match self.active().remove(&path) {
            true => Ok(()),
            false => Err(refusal(&attempted, HResult::ERROR_NOT_FOUND)),
        }
    }

    fn prepare_layer(&self, id: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("prepare layer {id}");
        described(&attempted, layers)?;
        let path = self.layer(&attempted, id)?;
        if !self.active().contains(&path) {
            return Err(refusal(&attempted, HResult::HCS_E_INVALID_STATE));
        }
        self.prepared.attach(&attempted, &path)
    }

    fn unprepare_layer(&self, id: &str) -> Result<()> {
        self.prepared.detach(&format!("unprepare layer {id}"), &self.path(id))
    }

    fn layer_mount_path(&self, id: &str) -> Result<PathBuf> {
        self.layer(&format!("ask where layer {id} is mounted"), id)
    }

    fn copy_layer(&self, from: &str, to: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("copy layer {from}");
        described(&attempted, layers)?;
        let (from, to) = (self.layer(&attempted, from)?, self.make(&attempted, to)?);
        copy(&attempted, &from, &to)
    }

    fn import_layer(&self, id: &str, source: &Path, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("import layer {id}");
        described(&attempted, layers)?;
        must_be(&attempted, source)?;
        copy(&attempted, source, &self.path(id))
    }

    fn export_layer(&self, id: &str, folder: &Path, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("export layer {id}");
        described(&attempted, layers)?;
        copy(&attempted, &self.layer(&attempted, id)?, folder)
    }

    fn destroy_layer(&self, id: &str) -> Result<()> {
        let attempted = format!("destroy layer {id}");
        let path = self.layer(&attempted, id)?;
        if self.active().contains(&path) {
            return Err(refusal(&attempted, HResult::ERROR_SHARING_VIOLATION));
        }
        remove(&attempted, &path)
    }

    fn layer_exists(&self, id: &str) -> Result<bool> {
        Ok(self.path(id).is_dir())
    }

    fn base_images(&self) -> Result<String> {
        Ok(r#"{"Images":[]}"#.to_owned())
    }

    /// Not the GUID that Windows gives: another that is always the same for one name, in whatever case.
    fn name_to_guid(&self, name: &str) -> Result<Guid> {
        const BASIS: u128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
        let hash = name
            .to_lowercase()
            .bytes()
            .fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
        Ok(Guid::from_u128(hash & !0xF000_C000_0000_0000_0000 | 0x5000_8000_0000_0000_0000))
    }

    fn process_base_image(&self, layer: &Path) -> Result<()> {
        must_be(&about("process base image", layer), layer)
    }

    fn process_utility_image(&self, layer: &Path) -> Result<()> {
        must_be(&about("process utility image", layer), layer)
    }

    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("let {id} use {}", file.display());
        fs::metadata(file).map(drop).map_err(|cause| Error::io(attempted, cause))
    }
}

fn about(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}

fn must_be(attempted: &str, folder: &Path) -> Result<()> {
    match folder.is_dir() {
        true => Ok(()),
        false => Err(refusal(attempted, HResult::ERROR_PATH_NOT_FOUND)),
    }
}

/// The layers below are there.
fn parents(attempted: &str, data: &LayerData) -> Result<()> {
    for layer in data.layers.iter().flatten() {
        if !layer.path.as_ref().is_some_and(|path| Path::new(path).is_dir()) {
            return Err(refusal(attempted, HResult::HCS_E_INVALID_LAYER));
        }
    }
    Ok(())
}

fn described(attempted: &str, layers: &[LayerDescriptor]) -> Result<()> {
    match layers.iter().all(|layer| layer.path.is_dir()) {
        true => Ok(()),
        false => Err(refusal(attempted, HResult::HCS_E_INVALID_LAYER)),
    }
}

fn known(attempted: &str, options: &OsLayerOptions) -> Result<()> {
    match options.kind {
        Some(OsLayerType::Container | OsLayerType::Vm) => Ok(()),
        Some(OsLayerType::Other(_)) | None => Err(refusal(attempted, HResult::HCS_E_INVALID_JSON)),
    }
}

fn make_disk(attempted: &str, layer: &Path) -> Result<()> {
    let made = File::options().write(true).create_new(true).open(layer.join(DISK));
    made.map(drop).map_err(|cause| Error::io(attempted, cause))
}

fn mount_path(attempted: &str, mut disk: &File) -> Result<PathBuf> {
    let mut text = String::new();
    let read = disk.rewind().and_then(|()| disk.read_to_string(&mut text));
    read.map_err(|cause| Error::io(attempted, cause))?;
    let path = text.lines().next().and_then(|line| line.strip_prefix(FORMATTED));
    path.map(PathBuf::from).ok_or_else(|| refusal(attempted, HResult::ERROR_INVALID_DATA))
}

/// Copies files and folders; symbolic links have no place in a layer of Windows.
fn copy(attempted: &str, from: &Path, to: &Path) -> Result<()> {
    let failed = |cause| Error::io(attempted, cause);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy(attempted, &entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}

fn remove(attempted: &str, layer: &Path) -> Result<()> {
    must_be(attempted, layer)?;
    fs::remove_dir_all(layer).map_err(|cause| Error::io(attempted, cause))
}
