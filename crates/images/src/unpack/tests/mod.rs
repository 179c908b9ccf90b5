//! Layers that programs wrote, and layers that nobody should have written.

mod formats;
mod hostile;
mod layers;
mod merged;
mod random;
mod writing;

use super::{Options, Result, Unpacked, unpack};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Whether this process may make devices and give files away.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Unpacks into a folder that is removed in the end.
fn unpacked(archive: &[u8]) -> (TempDir, Result<Unpacked>) {
    let folder = tempfile::tempdir().unwrap();
    let result = unpack(archive, folder.path(), &Options::default());
    (folder, result)
}

/// Unpacks, and needs nothing of other layers.
fn settled(archive: &[u8]) -> TempDir {
    let (folder, result) = unpacked(archive);
    result.unwrap().settle(&[]).unwrap();
    folder
}

/// Runs a command and gives what it printed.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Everything about a tree that an archive keeps, a line for each entry.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(root, Path::new(""), &mut lines);
    lines.sort();
    lines
}

fn list(root: &Path, below: &Path, lines: &mut Vec<String>) {
    let path = root.join(below);
    let metadata = fs::symlink_metadata(&path).unwrap();
    let kind = metadata.file_type();
    let mut line = format!(
        "{} {:o} {}:{} {}.{:09}",
        below.display(),
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    if kind.is_symlink() {
        line += &format!(" -> {}", fs::read_link(&path).unwrap().display());
    } else if kind.is_file() {
        let content = fs::read(&path).unwrap();
        let sum = content.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        line += &format!(" {} bytes {sum:x} {} names", content.len(), metadata.nlink());
    } else if kind.is_block_device() || kind.is_char_device() {
        line += &format!(" device {:x}", metadata.rdev());
    }
    line += &xattrs(&path);
    lines.push(line);
    if kind.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            list(root, &below.join(entry.unwrap().file_name()), lines);
        }
    }
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 4_096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut lines = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 4_096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        lines.push(format!(" {}={}", name.escape_ascii(), value[..length].escape_ascii()));
    }
    lines.sort();
    lines.concat()
}
