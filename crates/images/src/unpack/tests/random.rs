//! Random trees, packed by GNU tar, come out as they went in; and random bytes never get out.

use super::writing::Tar;
use super::{is_root, listing, run, unpacked};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// A generator of numbers (xorshift): the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn name(&mut self) -> String {
        let length = [1, 3, 12, 120, 250][self.below(5) as usize];
        (0..length)
            .map(|_| ['a', 'B', '.', '-', ' ', '\u{e9}', '9', '_'][self.below(8) as usize])
            .take(125)
            .collect()
    }
}

/// Makes up to `count` entries.
fn grow(root: &Path, random: &mut Random, count: usize) {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for _ in 0..count {
        let path = folders[random.below(folders.len() as u64) as usize].join(random.name());
        if path.as_os_str().len() > 3_000 || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match random.below(8) {
            0 | 1 => {
                fs::create_dir(&path).unwrap();
                folders.push(path);
                continue;
            }
            2 => symlink(random.name(), &path).unwrap(),
            3 if !files.is_empty() => {
                fs::hard_link(&files[random.below(files.len() as u64) as usize], &path).unwrap();
                continue;
            }
            4 => {
                let file = File::create(&path).unwrap();
                file.set_len(random.below(300_000)).unwrap();
                file.write_all_at(b"piece", random.below(200_000)).unwrap();
            }
            _ => {
                let length = [0, 1, 511, 512, 513, 70_000][random.below(6) as usize];
                fs::write(&path, vec![random.below(256) as u8; length]).unwrap();
            }
        }
        let (uid, gid) = (random.below(3) as u32 * 33, random.below(70_000) as u32);
        std::os::unix::fs::lchown(&path, Some(uid), Some(gid)).unwrap();
        if !path.is_symlink() {
            fs::set_permissions(&path, fs::Permissions::from_mode(random.below(0o10000) as u32)).unwrap();
            let time =
                UNIX_EPOCH + Duration::new(random.below(2_000_000_000), random.below(1_000_000_000) as u32);
            File::open(&path).unwrap().set_modified(time).unwrap();
            files.push(path);
        }
    }
    for folder in folders {
        let mode = 0o700 | random.below(0o10000) as u32;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        let time =
            UNIX_EPOCH + Duration::new(random.below(2_000_000_000), random.below(1_000_000_000) as u32);
        File::open(&folder).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn random_trees_come_out_as_they_went_in() {
    if !is_root() {
        return;
    }
    for seed in 1..=24 {
        let root = tempfile::tempdir().unwrap();
        grow(root.path(), &mut Random(0x9e37_79b9_7f4a_7c15 ^ seed), 120);
        let sparse =
            ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"][seed as usize % 3];
        let mut tar = Command::new("tar");
        tar.args(["--format=pax", "--sparse", sparse, "--sort=name", "-C"])
            .arg(root.path())
            .args(["-cf", "-", "."]);
        let archive = run(&mut tar);
        let (folder, result) = unpacked(&archive);
        let usage = result.unwrap().settle(&[]).unwrap();
        assert_eq!(listing(folder.path()), listing(root.path()), "seed {seed}");
        assert_eq!(usage.inodes, snapshots::measure(folder.path()).unwrap().inodes, "seed {seed}");
    }
}

/// Entries at random, of few names so that they meet: whatever happens, nothing outside changes and nothing panics.
#[test]
fn random_entries_stay_inside() {
    const NAMES: [&str; 12] =
        ["a", "b", "a/b", "b/a", "a/b/c", "../x", ".", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "/a", "c"];
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut done, mut refused) = (0, 0);
    for _ in 0..600 {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("in");
        fs::create_dir(&folder).unwrap();
        fs::write(root.path().join("x"), "kept").unwrap();
        let mut archive = Tar::new();
        for _ in 0..=random.below(12) {
            let mut name = || NAMES[random.below(NAMES.len() as u64) as usize];
            let (path, link) = (name(), name());
            let kind = b"00055112226"[random.below(11) as usize];
            // Few lead out, or nothing would ever come far.
            let out = kind == b'2' || random.below(30) == 0;
            let inside =
                |path: &str| if path.contains("..") && !path.contains(".wh") && !out { "c" } else { "" };
            let path = if inside(path).is_empty() { path } else { "c" };
            let data: &[u8] = if kind == b'0' { b"data" } else { b"" };
            archive = archive.entry(kind, path, link, data);
        }
        match super::unpack(&archive.end()[..], &folder, &super::Options::default()) {
            Ok(unpacked) => {
                // A link to a file of no layer is refused only here.
                let _ = unpacked.settle(&[]);
                done += 1;
            }
            Err(_) => refused += 1,
        }
        assert_eq!(fs::read_to_string(root.path().join("x")).unwrap(), "kept");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }
    assert!(done > 50 && refused > 50, "{done} done, {refused} refused: the mixture proves little");
}
