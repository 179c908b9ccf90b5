//! Layers that want to reach out of their folder, or to take more than there is.

use super::writing::{Tar, header, with_checksum};
use super::{is_root, unpacked};
use crate::unpack::{Error, Limit, Limits, Options, unpack};
use compute::error::{Classify as _, Kind};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// Unpacks below a folder that has a neighbour, and says what became of the neighbour.
fn beside(archive: &[u8]) -> (tempfile::TempDir, Result<(), Error>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("in");
    fs::create_dir(&folder).unwrap();
    fs::write(root.path().join("secret"), "secret").unwrap();
    let result = unpack(archive, &folder, &Options::default()).and_then(|done| done.settle(&[]).map(drop));
    let names = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(names, 2, "something came out");
    assert_eq!(fs::read_to_string(root.path().join("secret")).unwrap(), "secret");
    assert_eq!(
        fs::symlink_metadata(root.path().join("secret"))
            .map(|m| std::os::unix::fs::MetadataExt::nlink(&m))
            .unwrap(),
        1
    );
    (root, result)
}

#[test]
fn paths_that_lead_out_are_refused() {
    for archive in [
        Tar::new().file("../secret", "x"),
        Tar::new().file("a/../../secret", "x"),
        Tar::new().file("/../secret", "x"),
        Tar::new().folder(".."),
        Tar::new().hard_link("a", "../secret"),
        Tar::new().hard_link("a", "/"),
        Tar::new().file("../.wh.secret", ""),
        Tar::new().pax(b'x', &[("path", "../secret")]).file("a", "x"),
        Tar::new().pax(b'x', &[("linkpath", "../secret")]).hard_link("a", "b"),
        Tar::new().pax(b'x', &[("GNU.sparse.name", "../secret")]).file("a", "x"),
        Tar::new().entry(b'L', "l", "", b"../secret\0").file("a", "x"),
        Tar::new().file(".wh...", ""),
        Tar::new().file("a/.wh..", ""),
        Tar::new().file(".wh.", ""),
        Tar::new().file(".wh.a/b", ""),
        Tar::new().file("a", "").file(".wh.a", "").hard_link("b", ".wh.a"),
        Tar::new().symlink(".", "/"),
    ] {
        let (_root, result) = beside(&archive.end());
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}

/// Links may say what they like; what is written through them stays inside.
#[test]
fn links_lead_nowhere_but_inside() {
    for (link, through) in [
        (Tar::new().symlink("l", ".."), "l/secret"),
        (Tar::new().symlink("l", "/"), "l/secret"),
        (Tar::new().symlink("l", "/../../.."), "l/secret"),
        (Tar::new().folder("d").symlink("d/l", "../../../.."), "d/l/secret"),
        (Tar::new().symlink("m", "..").symlink("l", "m/.."), "l/secret"),
    ] {
        let (root, result) = beside(&link.file(through, "inside").end());
        result.unwrap();
        assert_eq!(fs::read_to_string(root.path().join("in/secret")).unwrap(), "inside", "{through}");
    }
    // To a folder that is not there: it is made, inside.
    let (root, result) = beside(&Tar::new().symlink("l", "../x/y").file("l/secret", "inside").end());
    result.unwrap();
    assert_eq!(fs::read_to_string(root.path().join("in/x/y/secret")).unwrap(), "inside");
    let (_root, result) = beside(&Tar::new().symlink("l", "l").file("l/secret", "x").end());
    assert!(result.unwrap_err().to_string().contains("without an end"));
}

/// What is written to a name that is a link replaces the link.
#[test]
fn the_last_name_is_never_followed() {
    let target = tempfile::tempdir().unwrap();
    let victim = target.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    let victim = victim.to_str().unwrap();
    for again in [
        Tar::new().symlink("l", victim).file("l", "x"),
        Tar::new().symlink("l", target.path().to_str().unwrap()).folder("l").file("l/victim", "x"),
        Tar::new().symlink("l", victim).entry(b'6', "l", "", b""),
        Tar::new().symlink("l", victim).hard_link("m", "l").file("m", "x"),
        Tar::new().symlink("l", target.path().to_str().unwrap()).file("l/.wh.victim", ""),
        Tar::new().symlink("l", target.path().to_str().unwrap()).file("l/.wh..wh..opq", ""),
    ] {
        let (_root, result) = beside(&again.end());
        if is_root() {
            result.unwrap();
        }
        assert_eq!(fs::read_to_string(victim).unwrap(), "kept");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
    }
}

/// A folder that others were put into becomes a link, and its name is used again.
#[test]
fn a_folder_replaced_by_a_link_is_not_written_through_from_memory() {
    let archive = Tar::new()
        .file("a/b/c/x", "1")
        .symlink("a", "..")
        .file("a/b/c/y", "2")
        .folder("d/e")
        .file("d", "now a file")
        .end();
    let (root, result) = beside(&archive);
    result.unwrap();
    assert_eq!(fs::read_to_string(root.path().join("in/b/c/y")).unwrap(), "2");
    assert!(!root.path().join("in/b/c/x").exists());
    assert!(root.path().join("in/d").is_file());
}

#[test]
fn later_entries_win() {
    let archive = Tar::new()
        .file("f", "1")
        .file("f", "22")
        .folder("d")
        .file("d/in", "")
        .folder("d")
        .file("t/deep/x", "")
        .file("t", "file")
        .folder("g")
        .hard_link("g", "f")
        .end();
    let (root, result) = beside(&archive);
    result.unwrap();
    let at = |path: &str| root.path().join("in").join(path);
    assert_eq!(fs::read_to_string(at("f")).unwrap(), "22");
    assert!(at("d/in").exists());
    assert_eq!(fs::read_to_string(at("t")).unwrap(), "file");
    assert_eq!(fs::read_to_string(at("g")).unwrap(), "22");
}

#[test]
fn usage_is_right_also_after_replacements() {
    let archive = Tar::new().folder("t").file("t/a", "x").file("t", "x").file("b", "x").end();
    let (folder, result) = unpacked(&archive);
    let usage = result.unwrap().settle(&[]).unwrap();
    assert_eq!(usage, snapshots::measure(folder.path()).unwrap());
    assert_eq!(usage.inodes, 3);
}

#[test]
fn what_lies_below_a_file_is_refused() {
    for archive in [
        Tar::new().file("a", "").file("a/b", ""),
        Tar::new().file("a", "").hard_link("b", "a/c"),
        Tar::new().file("a", "").file("a/.wh.b", ""),
        Tar::new().folder("a").hard_link("b", "a"),
        Tar::new().file("a/x", "").hard_link("a", "a/x"),
    ] {
        let (_root, result) = beside(&archive.end());
        assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    }
}

#[test]
fn a_hard_link_to_itself_changes_nothing() {
    let (root, result) = beside(&Tar::new().file("a", "x").hard_link("a", "a").hard_link("a", "./a").end());
    result.unwrap();
    assert_eq!(fs::read_to_string(root.path().join("in/a")).unwrap(), "x");
}

fn size(field: &[u8; 12]) -> Vec<u8> {
    let mut block = header(b'0', "a", "", 0);
    block[124..136].copy_from_slice(field);
    Tar::new().raw(&with_checksum(block)).end()
}

#[test]
fn broken_archives_are_refused() {
    let whole = Tar::new().file("a", &"x".repeat(3_000)).file("b", "y").end();
    for cut in [1, 511, 513, 700, 3_000] {
        let (_folder, result) = unpacked(&whole[..cut]);
        assert!(matches!(result, Err(Error::Malformed { .. })), "{cut}: {result:?}");
    }
    let negative = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00";
    for archive in [
        size(&negative),
        size(b"99999999999\0"),
        size(b"00000010000\0"),
        Tar::new().raw(&[1; 512]).end(),
        Tar::new().raw(&[0; 512]).file("a", "").end(),
        Tar::new().entry(b'?', "a", "", b"").end(),
        Tar::new().entry(b'M', "a", "", b"").end(),
        Tar::new().pax(b'x', &[("path", "b")]).cut(),
        Tar::new().pax(b'x', &[("size", "99999999")]).file("a", "x").end(),
        Tar::new().pax(b'x', &[("path", "a\0b")]).file("a", "x").end(),
        Tar::new()
            .pax(b'x', &[("GNU.sparse.map", "0,1,0,1"), ("GNU.sparse.size", "9")])
            .file("a", "xx")
            .end(),
        Tar::new().pax(b'x', &[("GNU.sparse.map", "0,1")]).file("a", "x").end(),
        Tar::new().pax(b'x', &[("GNU.sparse.map", "8,2"), ("GNU.sparse.size", "9")]).file("a", "xx").end(),
        Tar::new()
            .pax(b'x', &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
            .file("a", "9999999\n")
            .end(),
        b"this is no archive at all".repeat(100),
    ] {
        let (_folder, result) = unpacked(&archive);
        assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
    }
}

fn limited(archive: &[u8], limits: Limits) -> Option<Limit> {
    let folder = tempfile::tempdir().unwrap();
    match unpack(archive, folder.path(), &Options { limits, ..Options::default() }) {
        Err(Error::TooMuch { limit, .. }) => Some(limit),
        _ => None,
    }
}

#[test]
fn every_limit_holds() {
    let limits = Limits { bytes: 10_000, entries: 4, depth: 4, path: 50, header: 2_000, ..Limits::default() };
    let some = Tar::new().file("a", "x").file("b", "x").end();
    assert_eq!(limited(&some, limits.clone()), None);
    let holes = &[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "10001")];
    let link = "l".repeat(51);
    for (archive, limit) in [
        (Tar::new().file("a", &"x".repeat(12_000)), Limit::Bytes),
        (Tar::new().pax(b'x', holes).file("a", "x"), Limit::Bytes),
        (Tar::new().pax(b'x', &[("size", "18446744073709551615")]).file("a", "x"), Limit::Bytes),
        (Tar::new().folder("a").folder("b").folder("c").folder("d").folder("e"), Limit::Entries),
        (Tar::new().folder("a/b/c/d/e"), Limit::Depth),
        (Tar::new().symlink("l", "a/b/c/d").file("l/e/f", ""), Limit::Depth),
        (Tar::new().file(&"x".repeat(51), ""), Limit::Path),
        (Tar::new().symlink("l", &link), Limit::Path),
        (Tar::new().pax(b'x', &[("comment", &"x".repeat(2_000))]).file("a", ""), Limit::Header),
        (Tar::new().entry(b'L', "l", "", &[b'x'; 2_001]).file("a", ""), Limit::Header),
    ] {
        assert_eq!(limited(&archive.end(), limits.clone()), Some(limit), "{limit}");
    }
    let two = &[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "6000")];
    let together = Tar::new().pax(b'x', two).file("a", "x").pax(b'x', two).file("b", "x").end();
    assert_eq!(limited(&together, limits), Some(Limit::Bytes));
}

/// The network's failures are not the layer's.
#[test]
fn a_source_that_fails_is_told_apart() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let whole = Tar::new().file("a", "x").end();
    for begun in [0, 600] {
        let folder = tempfile::tempdir().unwrap();
        let result = unpack(whole[..begun].chain(Broken), folder.path(), &Options::default());
        assert!(matches!(result, Err(Error::Source(_))), "{result:?}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let result = unpack(&b""[..], Path::new("/nonexistent/folder"), &Options::default());
    assert_eq!(result.unwrap_err().kind(), Kind::NotFound);
}
