//! A procfs that is one: files below it are opened without trusting anything a container could have put there.
//!
//! A label written to a file that only looks like `/proc/self/attr/exec` is a label not set (CVE-2019-16884,
//! CVE-2019-19921). So the root is checked to be the root of a procfs once, and every file below it is reached by one
//! openat2(2) that crosses no mount and follows no magic link.

use super::error::Error;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, openat, openat2};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The root of a verified procfs.
#[derive(Debug)]
pub struct Procfs(OwnedFd);

impl Procfs {
    /// The one at `/proc` of the calling process's root.
    pub fn open() -> Result<Self, Error> {
        let root = openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::system("open /proc"))?;
        Self::from_fd(root)
    }

    /// The one at `/proc`, or, in a container that has none there, one that is mounted nowhere.
    pub(crate) fn open_or_make() -> Result<Self, Error> {
        Self::open().or_else(|error| Self::make().map_err(|_| error))
    }

    fn make() -> Result<Self, Errno> {
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Self)
    }

    /// One that the caller opened, such as a detached mount or the host's before the root was changed.
    pub fn from_fd(root: OwnedFd) -> Result<Self, Error> {
        const ROOT_INODE: u64 = 1;
        let kind = fstatfs(&root).map_err(Error::system("look at /proc"))?;
        let stat = fstat(&root).map_err(Error::system("look at /proc"))?;
        if kind.f_type != PROC_SUPER_MAGIC || stat.st_ino != ROOT_INODE {
            return Err(Error::Breakout("/proc is not the root of a procfs".to_owned()));
        }
        Ok(Self(root))
    }

    /// Writes a file below the root in one call.
    pub fn write(&self, path: &str, text: &[u8]) -> Result<(), Error> {
        let attempted = || format!("write {:?} to /proc/{path}", String::from_utf8_lossy(text));
        self.try_write(path, OFlags::WRONLY, text).map_err(|errno| Error::system(attempted())(errno))
    }

    /// As [`write`](Self::write), leaving the words to the caller.
    pub(crate) fn try_write(&self, path: &str, flags: OFlags, text: &[u8]) -> Result<(), Errno> {
        let file = self.open_file(path, flags)?;
        match retry_on_intr(|| rustix::io::write(&file, text))? {
            n if n == text.len() => Ok(()),
            _ => Err(Errno::IO),
        }
    }

    /// Reads a small file below the root.
    pub(crate) fn try_read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        let mut text = vec![0; 4096];
        let n = retry_on_intr(|| rustix::io::read(&file, &mut text[..]))?;
        text.truncate(n);
        Ok(text)
    }

    /// Opens `path` below the root: the kernel's own links (`self`, `thread-self`) are followed, magic links and
    /// mounts are not.
    pub(crate) fn open_file(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        match retry_on_intr(|| openat2(&self.0, path, flags, Mode::empty(), resolve)) {
            Err(Errno::NOSYS) => self.walk(path, flags),
            done => done,
        }
    }

    /// For kernels before 5.6. A mount of one procfs file over another goes unnoticed here.
    fn walk(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let mut at = self.0.try_clone().map_err(|_| Errno::MFILE)?;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let step = match part {
                "." | ".." => return Err(Errno::XDEV),
                // Kernel-made links to directories of this very procfs.
                "self" | "thread-self" => OFlags::PATH | OFlags::DIRECTORY,
                _ if last => flags | OFlags::NOFOLLOW,
                _ => OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW,
            };
            at = openat(&at, part, step | OFlags::CLOEXEC, Mode::empty())?;
            if fstatfs(&at)?.f_type != PROC_SUPER_MAGIC {
                return Err(Errno::XDEV);
            }
        }
        Ok(at)
    }
}

impl AsFd for Procfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_reached_and_ways_out_are_not() {
        let proc = Procfs::open().unwrap();
        assert!(proc.try_read("self/status").unwrap().starts_with(b"Name:"));
        assert!(proc.walk("self/status", OFlags::RDONLY).is_ok());
        for way_out in ["self/root/etc/passwd", "self/cwd", "../etc/passwd", "self/fd/0/x"] {
            assert!(proc.open_file(way_out, OFlags::RDONLY).is_err(), "{way_out}");
            assert!(proc.walk(way_out, OFlags::RDONLY).is_err(), "{way_out}");
        }
    }

    #[test]
    fn a_directory_that_is_no_procfs_is_refused() {
        let open = |path| openat(CWD, path, OFlags::PATH, Mode::empty()).unwrap();
        assert!(Procfs::from_fd(open("/tmp")).is_err());
        assert!(Procfs::from_fd(open("/proc/sys")).is_err(), "a subdirectory of procfs is not its root");
    }
}
