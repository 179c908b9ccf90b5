//! What a crash of the host, or of an older program, may leave on disk.

use super::crash::SPARES;
use compute::error::{Classify as _, Kind};
use snapshots::overlay::Overlay;
use snapshots::suite::{chain, layer, look};
use snapshots::{Error, Prepare, Snapshotter as _};
use std::fs;
use std::path::Path;

/// Two layers and a root, left by an earlier process.
fn earlier(root: &Path) {
    let overlay = Overlay::open(root).unwrap();
    layer(&overlay, &chain('a'), None, |draft| fs::write(draft.folder().join("f"), "").unwrap());
    layer(&overlay, &chain('b'), Some(&chain('a')), |_| {});
    overlay.prepare("web", &chain('b'), &Prepare::default()).unwrap();
}

fn counts(overlay: &Overlay) -> (usize, usize) {
    overlay.wait_deleted();
    assert!(fs::read_dir(overlay.root().join("t")).unwrap().count() <= SPARES);
    (overlay.layers().unwrap().len(), overlay.snapshots().unwrap().len())
}

#[test]
fn what_is_half_done_is_swept() {
    type Damage = (&'static str, fn(&Path), (usize, usize));
    let damages: [Damage; 9] = [
        ("nothing", |_| {}, (2, 1)),
        ("a folder without a record", |root| fs::create_dir_all(root.join("l/7/deep")).unwrap(), (2, 1)),
        ("a record without a folder", |root| fs::remove_dir_all(root.join("l/1")).unwrap(), (1, 0)),
        ("a record that was being written", |root| fs::write(root.join("l/9.tmp"), "{").unwrap(), (2, 1)),
        ("a lower layer's record is gone", |root| fs::remove_file(root.join("l/0.json")).unwrap(), (0, 0)),
        ("a record cut in half", |root| fs::write(root.join("l/1.json"), "{\"version\":1,").unwrap(), (1, 0)),
        ("a root's record is empty", |root| fs::write(root.join("s/0/record.json"), "").unwrap(), (2, 0)),
        ("a root without a record", |root| fs::create_dir_all(root.join("s/5/u")).unwrap(), (2, 1)),
        ("something deleted", |root| fs::create_dir_all(root.join("t/44/x/y")).unwrap(), (2, 1)),
    ];
    for (name, damage, expected) in damages {
        let root = tempfile::tempdir().unwrap();
        earlier(root.path());
        damage(root.path());
        let overlay = Overlay::open(root.path()).unwrap();
        assert_eq!(counts(&overlay), expected, "{name}");
        let (layers, roots) = expected;
        assert_eq!(fs::read_dir(root.path().join("l")).unwrap().count(), 2 * layers, "{name}");
        assert_eq!(fs::read_dir(root.path().join("s")).unwrap().count(), roots, "{name}");
        drop(overlay);
        earlier_again(root.path());
    }
}

/// Whatever was swept can be made again.
fn earlier_again(root: &Path) {
    let overlay = Overlay::open(root).unwrap();
    overlay.remove("web").unwrap();
    drop(overlay);
    earlier(root);
    assert_eq!(counts(&Overlay::open(root).unwrap()), (2, 1));
}

#[test]
fn what_a_newer_program_wrote_is_left_alone() {
    for record in ["l/0.json", "s/0/record.json"] {
        let root = tempfile::tempdir().unwrap();
        earlier(root.path());
        fs::write(root.path().join(record), r#"{"version":2}"#).unwrap();
        let error = Overlay::open(root.path()).err().unwrap();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        assert!(root.path().join("l/0").exists() && root.path().join("s/0").exists());
    }
}

#[test]
fn one_process_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let first = Overlay::open(root.path()).unwrap();
    assert!(matches!(Overlay::open(root.path()), Err(Error::Locked(_))));
    drop(first);
    Overlay::open(root.path()).unwrap();
}

/// What a container wrote `volatile` may be incomplete after the host was started again.
#[test]
fn a_root_from_before_a_restart_of_the_host_is_not_mounted_again() {
    let root = tempfile::tempdir().unwrap();
    earlier(root.path());
    let record = root.path().join("s/0/record.json");
    let text = fs::read_to_string(&record).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&record, text.replace(boot.trim(), "another")).unwrap();
    let overlay = Overlay::open(root.path()).unwrap();
    assert!(matches!(overlay.mounts("web"), Err(Error::HostRestarted(_))));
    overlay.usage("web").unwrap();
    overlay.remove("web").unwrap();
    overlay.remove_layer(&chain('b')).unwrap();
}

/// Within one run of the host, it can be.
#[test]
fn a_volatile_root_can_be_mounted_twice() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounting needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    earlier(root.path());
    let overlay = Overlay::open(root.path()).unwrap();
    let mounts = overlay.mounts("web").unwrap();
    assert!(mounts[0].options.iter().any(|option| option == "volatile"), "{mounts:?}");
    look(&mounts, "echo x > file").unwrap();
    look(&mounts, "true").expect_err("the kernel's own mark is gone: this test proves nothing any more");
    assert_eq!(look(&overlay.mounts("web").unwrap(), "cat file").unwrap(), "x");
}
