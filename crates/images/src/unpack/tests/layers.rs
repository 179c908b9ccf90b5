//! What layers say of each other: removed files, hidden folders, links and folders that only lower layers have.

use super::writing::Tar;
use super::{is_root, settled, unpacked};
use crate::unpack::{Options, unpack};
use snapshots::{Attributes, IdMap, IdMaps};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::lgetxattr(path, Attributes::Trusted.opaque(), &mut value).is_ok_and(|n| value[..n] == *b"y")
}

#[test]
fn marks_become_what_overlayfs_knows() {
    if !is_root() {
        return;
    }
    let folder = settled(
        &Tar::new()
            .file("etc/.wh.hosts", "")
            .file("opt/.wh..wh..opq", "")
            .file("opt/new", "x")
            .file(".wh..wh.plnk", "")
            .folder(".wh..wh.aufs/")
            .end(),
    );
    let at = |path: &str| folder.path().join(path);
    assert!(is_whiteout(&at("etc/hosts")));
    assert!(is_opaque(&at("opt")) && at("opt/new").exists());
    assert!(!is_opaque(&at("etc")));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// A mark is about lower layers: what the layer itself has of the name stays, before the mark and after it.
#[test]
fn a_layer_may_remove_and_make_the_same_name() {
    if !is_root() {
        return;
    }
    for turned in [false, true] {
        let (first, second) = if turned { ("dir/x", ".wh.dir") } else { (".wh.dir", "dir/x") };
        let folder = settled(&Tar::new().file(first, "x").file(second, "x").end());
        assert!(folder.path().join("dir/x").exists(), "{first}");
        assert!(is_opaque(&folder.path().join("dir")), "{first}");
        let (first, second) = if turned { ("f", ".wh.f") } else { (".wh.f", "f") };
        let folder = settled(&Tar::new().file(first, "x").file(second, "x").end());
        assert_eq!(fs::read_to_string(folder.path().join("f")).unwrap(), "x", "{first}");
    }
    let folder = settled(&Tar::new().file(".wh.d", "").folder("d").end());
    assert!(is_opaque(&folder.path().join("d")));
}

#[test]
fn an_opaque_root_removes_each_name_below() {
    if !is_root() {
        return;
    }
    let lower = tempfile::tempdir().unwrap();
    fs::create_dir(lower.path().join("both")).unwrap();
    fs::write(lower.path().join("old"), "").unwrap();
    let (folder, result) =
        unpacked(&Tar::new().file(".wh..wh..opq", "").file("both/x", "").file("new", "").end());
    result.unwrap().settle(&[lower.path().to_owned()]).unwrap();
    assert!(is_whiteout(&folder.path().join("old")));
    assert!(is_opaque(&folder.path().join("both")));
    assert!(folder.path().join("new").is_file());
}

#[test]
fn folders_without_an_entry_are_as_in_the_layer_below() {
    if !is_root() {
        return;
    }
    let (top, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(base.path().join("var/spool/deep")).unwrap();
    fs::create_dir_all(top.path().join("var")).unwrap();
    for (path, mode, uid) in [
        (base.path().join("var/spool"), 0o1777, 33),
        (base.path().join("var"), 0o700, 1),
        (top.path().join("var"), 0o711, 2),
        (top.path().to_owned(), 0o555, 0),
    ] {
        std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let xattr = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(base.path().join("var/spool"), "user.k", b"v", xattr).unwrap();
    let (folder, result) = unpacked(&Tar::new().file("var/spool/deep/new", "x").file("nowhere/x", "").end());
    let lower = [top.path().to_owned(), base.path().to_owned()];
    result.unwrap().settle(&lower).unwrap();
    let seen = |path: &str| {
        let found = fs::symlink_metadata(folder.path().join(path)).unwrap();
        (found.mode() & 0o7777, found.uid())
    };
    assert_eq!(seen("var"), (0o711, 2));
    assert_eq!(seen("var/spool"), (0o1777, 33));
    assert_eq!(seen("nowhere"), (0o755, 0));
    assert_eq!(seen(""), (0o555, 0));
    assert!(super::xattrs(&folder.path().join("var/spool")).contains("user.k=v"));
    let time = |path: &Path| fs::symlink_metadata(path).unwrap().modified().unwrap();
    assert_eq!(time(&folder.path().join("var")), time(&top.path().join("var")));
}

/// As overlayfs does it: the file is copied with all that it has, and is one file under both names.
#[test]
fn a_hard_link_to_a_file_of_a_lower_layer_copies_it() {
    if !is_root() {
        return;
    }
    let (top, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(base.path().join("usr/bin")).unwrap();
    fs::create_dir_all(top.path().join("etc")).unwrap();
    symlink("usr/bin", base.path().join("bin")).unwrap();
    let tool = base.path().join("usr/bin/tool");
    fs::write(&tool, "tool").unwrap();
    std::os::unix::fs::chown(&tool, Some(7), Some(8)).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    let old = base.path().join("old");
    fs::write(&old, "old").unwrap();
    let archive = Tar::new()
        .hard_link("copy", "usr/bin/tool")
        .hard_link("second", "copy")
        .hard_link("by-link", "bin/tool")
        .hard_link("renamed", "old")
        .file(".wh.old", "")
        .hard_link("given-up", "none")
        .file("given-up", "a file")
        .end();
    let (folder, result) = unpacked(&archive);
    let usage = result.unwrap().settle(&[top.path().to_owned(), base.path().to_owned()]).unwrap();
    let found = |path: &str| fs::symlink_metadata(folder.path().join(path)).unwrap();
    let copy = found("copy");
    assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o7777), (7, 8, 0o4755));
    assert_eq!(copy.modified().unwrap(), fs::metadata(&tool).unwrap().modified().unwrap());
    assert_eq!((copy.ino(), copy.nlink()), (found("usr/bin/tool").ino(), 3));
    assert_eq!(copy.ino(), found("second").ino());
    assert_eq!(fs::read_to_string(folder.path().join("by-link")).unwrap(), "tool");
    assert_eq!(fs::read_to_string(folder.path().join("renamed")).unwrap(), "old");
    assert!(is_whiteout(&folder.path().join("old")));
    assert_eq!(fs::read_to_string(folder.path().join("given-up")).unwrap(), "a file");
    assert_eq!(usage.inodes, snapshots::measure(folder.path()).unwrap().inodes);
}

#[test]
fn a_hard_link_to_nothing_is_refused() {
    let (_folder, result) = unpacked(&Tar::new().hard_link("a", "none").end());
    let error = result.unwrap().settle(&[]).unwrap_err();
    assert!(
        error.to_string().contains("\"a\" of the layer is a hard link to a file that is in no layer"),
        "{error}"
    );
}

/// Owners move into the user namespace, and so do the capabilities of files.
#[test]
fn ids_are_shifted() {
    if !is_root() {
        return;
    }
    let map = vec![IdMap { container: 0, host: 100_000, size: 1_000 }];
    let shift = Some(IdMaps { uids: map.clone(), gids: map });
    let folder = tempfile::tempdir().unwrap();
    let capability = "\u{1}\0\0\u{2}\0\u{4}\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Tar::new()
        .pax(b'x', &[("uid", "33"), ("gid", "34"), ("SCHILY.xattr.security.capability", capability)])
        .file("in/a", "x")
        .end();
    let options = Options { shift: shift.clone(), ..Options::default() };
    unpack(&archive[..], folder.path(), &options).unwrap().settle(&[]).unwrap();
    let found = |path: &str| fs::symlink_metadata(folder.path().join(path)).unwrap();
    assert_eq!((found("in/a").uid(), found("in/a").gid()), (100_033, 100_034));
    assert_eq!(found("in").uid(), 100_000);
    let expected = format!(
        "security.capability=\\x01\\x00\\x00\\x03\\x00\\x04{}\\xa0\\x86\\x01\\x00",
        "\\x00".repeat(14)
    );
    assert!(super::xattrs(&folder.path().join("in/a")).contains(&expected));
    let beyond = Tar::new().pax(b'x', &[("uid", "1000")]).file("a", "").end();
    let error = unpack(&beyond[..], folder.path(), &options).unwrap_err();
    assert!(error.to_string().contains("does not have"), "{error}");
}
