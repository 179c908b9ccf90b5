//! The same tree in every format that GNU tar writes, compressed in every way that registries serve.

use super::writing::Tar;
use super::{is_root, listing, run, settled, unpacked};
use crate::unpack::{Error, Limit};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

/// A bit of everything, with names and holes that need more than a plain header.
fn tree(root: &Path) {
    let long = format!("{}/{}", "folder-with-a-long-name/".repeat(8), "file".repeat(40));
    fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
    fs::write(root.join(&long), "deep").unwrap();
    symlink("t".repeat(200), root.join("long-link")).unwrap();
    fs::hard_link(root.join(&long), root.join("hard")).unwrap();
    fs::write(root.join("ümläut"), vec![7; 1_000_000]).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    let set_id = root.join("set-id");
    fs::write(&set_id, "x").unwrap();
    std::os::unix::fs::chown(&set_id, Some(1_234), Some(70_000)).unwrap();
    fs::set_permissions(&set_id, fs::Permissions::from_mode(0o6755)).unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o3777)).unwrap();
    fs::write(root.join("sticky/inherits"), "x").unwrap();
    std::os::unix::fs::chown(root.join("sticky"), Some(5), Some(6)).unwrap();
    run(Command::new("mkfifo").arg(root.join("pipe")));
    run(Command::new("mknod").arg(root.join("device")).args(["b", "8", "300"]));
    sparse(&root.join("sparse-few"), 4);
    sparse(&root.join("sparse-many"), 300);
    File::create(root.join("sparse-hole")).unwrap().set_len(3_000_000).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for entry in ["", "sticky", "empty", "folder-with-a-long-name"] {
        File::open(root.join(entry)).unwrap().set_modified(time).unwrap();
    }
}

fn sparse(path: &Path, pieces: u64) {
    let file = File::create(path).unwrap();
    file.set_len(pieces * 20_000).unwrap();
    for piece in 0..pieces {
        file.write_all_at(&[(piece % 250) as u8 + 1; 5_000], piece * 20_000 + 8_192).unwrap();
    }
}

fn tar(root: &Path, options: &[&str]) -> Vec<u8> {
    run(Command::new("tar").args(["-C"]).arg(root).args(options).args(["-cf", "-", "."]))
}

/// Formats that keep no more than seconds are compared without what is below.
fn seconds(lines: Vec<String>) -> Vec<String> {
    let cut = |line: String| match line.find('.') {
        Some(_) => {
            let mut fields: Vec<&str> = line.split(' ').collect();
            let whole = fields[3].split('.').next().unwrap().to_owned();
            fields[3] = &whole;
            fields.join(" ")
        }
        None => line,
    };
    lines.into_iter().map(cut).collect()
}

#[test]
fn every_format_of_gnu_tar_gives_the_same_tree() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let expected = listing(root.path());
    for options in [
        &["--format=pax"][..],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--format=gnu"],
        &["--format=gnu", "--sparse"],
    ] {
        let folder = settled(&tar(root.path(), options));
        let exact = options.contains(&"--format=pax");
        let (found, expected) = (listing(folder.path()), expected.clone());
        match exact {
            true => assert_eq!(found, expected, "{options:?}"),
            false => assert_eq!(seconds(found), seconds(expected), "{options:?}"),
        }
        if options.contains(&"--sparse") {
            let blocks = |root: &Path| snapshots::measure(root).unwrap().bytes;
            assert!(blocks(folder.path()) <= blocks(root.path()) + 65_536, "{options:?}: holes are filled");
        }
    }
}

#[test]
fn ustar_and_v7_are_read() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let deep = "d".repeat(90) + "/" + &"e".repeat(90);
    fs::create_dir_all(root.path().join(&deep)).unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let expected = seconds(listing(root.path()));
    assert_eq!(seconds(listing(settled(&tar(root.path(), &["--format=ustar"])).path())), expected);
    fs::remove_dir_all(root.path().join("d".repeat(90))).unwrap();
    fs::create_dir(root.path().join("v7")).unwrap();
    let expected = seconds(listing(root.path()));
    assert_eq!(seconds(listing(settled(&tar(root.path(), &["--format=v7"])).path())), expected);
}

#[test]
fn extended_attributes_come_along_but_for_those_of_overlayfs() {
    if !is_root() {
        return;
    }
    let pax = Tar::new()
        .pax(
            b'x',
            &[
                ("SCHILY.xattr.user.key", "a=b\nc"),
                ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
                ("SCHILY.xattr.trusted.overlay.metacopy", ""),
                ("SCHILY.xattr.user.overlay.opaque", "y"),
                ("mtime", "1600000000.123456789"),
            ],
        )
        .file("a", "x")
        .end();
    let folder = settled(&pax);
    let lines = listing(folder.path());
    assert!(lines[1].ends_with(" user.key=a=b\\nc"), "{lines:?}");
    assert!(lines[1].contains("1600000000.123456789"), "{lines:?}");
}

#[test]
fn global_headers_hold_for_what_follows() {
    if !is_root() {
        return;
    }
    let archive = Tar::new()
        .pax(b'g', &[("uid", "12"), ("comment", "x")])
        .file("a", "")
        .pax(b'x', &[("uid", "13")])
        .file("b", "")
        .end();
    let lines = listing(settled(&archive).path());
    assert!(lines[1].contains(" 12:0 ") && lines[2].contains(" 13:0 "), "{lines:?}");
}

/// What `program` makes of `input`.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: no {program}");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut stdin, input).unwrap());
        let mut output = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        assert!(child.wait().unwrap().success());
        Some(output)
    })
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    let plain = Tar::new().file("a", &"text ".repeat(50_000)).folder("b").end();
    let (first, second) = plain.split_at(70_000);
    let (_folder, result) = unpacked(&plain);
    let expected = result.unwrap();
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let mut compressed = Vec::new();
    if let (Some(first), Some(second)) = (piped("gzip", &["-c"], first), piped("gzip", &["-c"], second)) {
        compressed.push([first, second].concat());
    }
    if let (Some(first), Some(second)) =
        (piped("zstd", &["-c", "-q"], first), piped("zstd", &["-c", "-q"], second))
    {
        compressed.push([&skippable[..], &first, &skippable, &second, &skippable].concat());
    }
    for compressed in compressed {
        let (folder, result) = unpacked(&compressed);
        let found = result.unwrap();
        assert_eq!((found.diff_id(), found.bytes()), (expected.diff_id(), plain.len() as u64));
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().len(), 250_000);
        for cut in [compressed.len() / 2, compressed.len() - 30, 7] {
            let (_folder, result) = unpacked(&compressed[..cut]);
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Compressed { .. } | Error::Malformed { .. }), "{cut}: {error}");
        }
    }
}

#[test]
fn the_digest_is_that_of_the_whole_uncompressed_stream() {
    let Some(expected) = piped("sha256sum", &[], &[0; 10_240]) else { return };
    let (_folder, result) = unpacked(&[0; 10_240]);
    let expected = String::from_utf8_lossy(&expected[..64]).into_owned();
    assert_eq!(result.unwrap().diff_id(), format!("sha256:{expected}"));
}

#[test]
fn other_compressions_are_named() {
    for (bytes, name) in [(&b"BZh91AY&SY"[..], "bzip2"), (b"\xfd7zXZ\0\0\0", "xz")] {
        let (_folder, result) = unpacked(bytes);
        assert!(result.unwrap_err().to_string().contains(name));
    }
}

#[test]
fn an_end_without_its_blocks_is_one() {
    assert!(settled(&Tar::new().file("a", "x").cut()).path().join("a").exists());
    assert_eq!(listing(settled(b"").path()).len(), 1);
    let mut one = Tar::new().file("a", "x").cut();
    one.extend([0; 512]);
    settled(&one);
}

/// A bomb: little to download, much to write.
#[test]
fn what_grows_too_much_is_refused() {
    let Some(bomb) = piped("zstd", &["-c", "-q", "-1"], &vec![0; 300 << 20]) else { return };
    assert!((300 << 20) / bomb.len() > 1_100);
    let (_folder, result) = unpacked(&bomb);
    assert!(matches!(result, Err(Error::TooMuch { limit: Limit::Ratio, .. })), "{result:?}");
}
