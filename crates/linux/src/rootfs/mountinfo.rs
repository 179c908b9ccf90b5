//! The mounts of this process's namespace, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use super::error::Failure;
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    id: u32,
    parent: u32,
    device: String,
    /// What of the file system is shown.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    pub(super) fstype: String,
}

/// All of them, in the order they were made.
pub(super) fn read() -> Result<Vec<Mounted>, Failure> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Failure::new(format!("read {path}"), Errno::from_io_error(&cause).unwrap_or(Errno::IO))
    })?;
    Ok(text.lines().filter_map(parse).collect())
}

/// Whether the topmost mount at `point` shows just what would be there without it: a folder bound to itself.
pub(super) fn is_bound_to_itself(mounts: &[Mounted], point: &Path) -> bool {
    let Some(top) = mounts.iter().rfind(|mount| mount.point == point) else { return false };
    let Some(parent) = mounts.iter().find(|mount| mount.id == top.parent) else { return false };
    let Ok(below) = point.strip_prefix(&parent.point) else { return false };
    parent.device == top.device && parent.root.join(below) == top.root
}

fn parse(line: &str) -> Option<Mounted> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    Some(Mounted {
        id: fields.next()?.parse().ok()?,
        parent: fields.next()?.parse().ok()?,
        device: fields.next()?.to_owned(),
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
        fstype: filesystem.split(' ').next()?.to_owned(),
    })
}

/// Spaces, tabs, newlines and backslashes are written as octal numbers.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_garbage_is_not() {
        let mount = parse(r"22 1 0:21 /x /a\040b\134 rw shared:1 - sysfs s rw").unwrap();
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (22, 1, "0:21"));
        assert_eq!((mount.root, mount.point), ("/x".into(), r"/a b\".into()));
        assert_eq!(mount.fstype, "sysfs");
        assert_eq!(parse("garbage"), None);
        assert_eq!(parse("22 1 0:21 - x"), None);
    }

    #[test]
    fn only_a_bind_of_a_folder_to_itself_is_one() {
        let is = |lines: &[&str]| {
            let mounts: Vec<Mounted> = lines.iter().filter_map(|line| parse(line)).collect();
            is_bound_to_itself(&mounts, Path::new("/run/c/rootfs"))
        };
        let run = "2 1 0:5 / /run rw - tmpfs t rw";
        let overlay = "3 2 0:9 / /run/c/rootfs rw - overlay o rw";
        assert!(is(&[run, "3 2 0:5 /c/rootfs /run/c/rootfs rw - tmpfs t rw"]));
        assert!(is(&[run, overlay, "4 3 0:9 / /run/c/rootfs rw - overlay o rw"]));
        assert!(!is(&[run]));
        assert!(!is(&[run, overlay]), "whoever made the overlay unmounts it");
        assert!(!is(&[run, "3 2 0:5 /elsewhere /run/c/rootfs rw - tmpfs t rw"]));
    }
}
