//! Trees that others wrote: removing them, and counting what they occupy.
//!
//! A container can make folders far deeper than a path may be long and than a process may have descriptors, so neither
//! goes by path nor by recursion.

use crate::Usage;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many folders of one way down are held open.
const MAX_OPEN: usize = 64;

/// How a removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// Nothing is left.
    All,
    /// It was told to stop.
    Stopped,
}

/// Removes `name` in `trash`. What lies too deep is first moved up into `trash` under a name that `names` counts.
pub(crate) fn remove(
    trash: BorrowedFd<'_>,
    name: &CStr,
    names: &AtomicU64,
    stop: &AtomicBool,
) -> Result<Removed, Errno> {
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        let Some(folder) = unlink_or_open(trash, FileType::Unknown, &name)? else { continue };
        let mut way = vec![(Dir::new(folder)?, name)];
        loop {
            let depth = way.len();
            let Some((folder, _)) = way.last_mut() else { break };
            if stop.load(Ordering::Relaxed) {
                return Ok(Removed::Stopped);
            }
            if let Some((kind, child)) = next(folder)? {
                let fd = folder.fd()?;
                let Some(below) = unlink_or_open(fd, kind, &child)? else { continue };
                if depth < MAX_OPEN {
                    way.push((Dir::new(below)?, child));
                } else {
                    let fresh = fresh_name(names);
                    rustix::fs::renameat(fd, &child, trash, &fresh)?;
                    waiting.push(fresh);
                }
            } else if let Some((_, name)) = way.pop() {
                let above = match way.last() {
                    Some((folder, _)) => folder.fd()?,
                    None => trash,
                };
                rustix::fs::unlinkat(above, &name, AtFlags::REMOVEDIR)?;
            }
        }
    }
    Ok(Removed::All)
}

/// A name in the trash that nothing has.
pub(crate) fn fresh_name(names: &AtomicU64) -> CString {
    CString::new(names.fetch_add(1, Ordering::Relaxed).to_string()).unwrap_or_default()
}

/// Removes a file, or opens the folder that it is instead.
fn unlink_or_open(within: BorrowedFd<'_>, kind: FileType, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    if kind != FileType::Directory {
        match rustix::fs::unlinkat(within, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(None),
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error),
        }
    }
    open_folder(within, name).map(Some)
}

fn open_folder(within: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(within, name, flags, Mode::empty())
}

fn next(folder: &mut Dir) -> Result<Option<(FileType, CString)>, Errno> {
    while let Some(entry) = folder.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            return Ok(Some((entry.file_type(), name.to_owned())));
        }
    }
    Ok(None)
}

/// What the tree at `path` occupies; a file with several names counts once. The tree may change meanwhile.
pub(crate) fn usage(path: &Path) -> Result<Usage, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut count = Count::default();
    count.add(&rustix::fs::fstat(&root)?);
    let mut way = vec![count.enter(root)?];
    while let Some(level) = way.last_mut() {
        if let Some(name) = level.folders.pop() {
            let Some(fd) = &level.fd else { break };
            let below = match open_folder(fd.as_fd(), &name) {
                Ok(below) => below,
                // Removed or replaced meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(error),
            };
            let below = count.enter(below)?;
            way.push(below);
            // Deep down, what is far above is closed, and found again on the way up.
            if let Some(far) = way.len().checked_sub(MAX_OPEN).and_then(|at| way.get_mut(at)) {
                far.fd = None;
            }
        } else if let Some(done) = way.pop()
            && let Some(above) = way.last_mut()
            && above.fd.is_none()
        {
            above.fd = reopen(&done, above.id);
        }
    }
    Ok(count.usage)
}

/// One folder on the way down.
struct Level {
    fd: Option<OwnedFd>,
    id: (u64, u64),
    /// Its folders that were not entered yet.
    folders: Vec<CString>,
}

/// The folder above `done`, if it still is the one it was entered from.
fn reopen(done: &Level, id: (u64, u64)) -> Option<OwnedFd> {
    let above = open_folder(done.fd.as_ref()?.as_fd(), c"..").ok()?;
    let stat = rustix::fs::fstat(&above).ok()?;
    (identity(&stat) == id).then_some(above)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[derive(Default)]
struct Count {
    usage: Usage,
    several_names: HashSet<(u64, u64)>,
}

impl Count {
    /// Counts what is in a folder, and lists the folders in it.
    fn enter(&mut self, folder: OwnedFd) -> Result<Level, Errno> {
        let id = identity(&rustix::fs::fstat(&folder)?);
        let mut entries = Dir::read_from(&folder)?;
        let mut folders = Vec::new();
        while let Some((_, name)) = next(&mut entries)? {
            let stat = match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            self.add(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.push(name);
            }
        }
        Ok(Level { fd: Some(folder), id, folders })
    }

    fn add(&mut self, stat: &Stat) {
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !folder && stat.st_nlink > 1 && !self.several_names.insert(identity(stat)) {
            return;
        }
        self.usage.inodes += 1;
        self.usage.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A chain of folders whose path is longer than the system takes.
    fn deep(root: &Path, depth: usize) {
        let mut folder = rustix::fs::open(root, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&folder, "folder", Mode::RWXU).unwrap();
            folder = open_folder(folder.as_fd(), c"folder").unwrap();
            drop(rustix::fs::openat(&folder, "x", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap());
        }
    }

    fn remove_all(root: &Path, name: &CStr) -> Removed {
        let trash = rustix::fs::open(root, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        remove(trash.as_fd(), name, &AtomicU64::new(1_000), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_counted_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("1");
        fs::create_dir(&tree).unwrap();
        deep(&tree, 3_000);
        assert_eq!(usage(&tree).unwrap().inodes, 1 + 2 * 3_000);
        assert_eq!(remove_all(root.path(), c"1"), Removed::All);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert_eq!(remove_all(root.path(), c"1"), Removed::All);
    }

    #[test]
    fn several_names_of_a_file_count_once_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("1");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("file"), vec![1; 100_000]).unwrap();
        let once = usage(&tree).unwrap();
        fs::hard_link(tree.join("file"), tree.join("a/name")).unwrap();
        assert_eq!(usage(&tree).unwrap(), once);
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).unwrap();
        assert_eq!(usage(&tree).unwrap().inodes, once.inodes + 1);
        remove_all(root.path(), c"1");
        assert!(outside.join("kept").exists());
    }
}
