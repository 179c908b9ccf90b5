//! An open cgroup directory. Its files are reached relative to it: no path is walked twice, and a directory that is
//! replaced meanwhile is not the one written to.

use super::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Files of the control-group file systems are small; a longer one is read on.
const USUAL_FILE: usize = 4096;

#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let fd = retry(|| rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()))
            .map_err(|errno| Error::on("open", path, errno))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    pub(crate) fn open_optional(path: &Path) -> Result<Option<Self>> {
        absent_as_none(Self::open(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd> {
        retry(|| rustix::fs::openat(&self.fd, file, flags | OFlags::CLOEXEC, Mode::empty()))
            .map_err(|errno| Error::on("open", &self.path.join(file), errno))
    }

    /// One write call: a control file takes each as a whole.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        let refused = |errno: Errno| Error::Write {
            value: value.to_owned(),
            path: self.path.join(file),
            cause: errno.into(),
        };
        let fd =
            retry(|| rustix::fs::openat(&self.fd, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()))
                .map_err(refused)?;
        retry(|| rustix::io::write(&fd, value.as_bytes())).map_err(refused)?;
        Ok(())
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let fd = self.open_file(file, OFlags::RDONLY)?;
        let mut content = vec![0; USUAL_FILE];
        let mut filled = 0;
        while let Some(rest) = content.get_mut(filled..) {
            let n = retry(|| rustix::io::read(&fd, &mut *rest))
                .map_err(|errno| Error::on("read", &self.path.join(file), errno))?;
            if n == 0 {
                break;
            }
            filled = filled.saturating_add(n);
            if filled == content.len() {
                content.resize(filled.saturating_mul(2), 0);
            }
        }
        content.truncate(filled);
        Ok(String::from_utf8(content).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// `None` when the kernel has no such file.
    pub(crate) fn read_optional(&self, file: &str) -> Result<Option<String>> {
        absent_as_none(self.read(file))
    }

    /// A file with one number; `max` is [`u64::MAX`], as is a negative one.
    pub(crate) fn number(&self, file: &str) -> Result<Option<u64>> {
        let Some(text) = self.read_optional(file)? else { return Ok(None) };
        parse_number(text.trim()).map(Some).ok_or_else(|| {
            Error::io(
                format!("read {}: {:?} is no number", self.path.join(file).display(), text.trim()),
                std::io::Error::from(std::io::ErrorKind::InvalidData),
            )
        })
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.fd, file, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty()).is_ok()
    }

    /// The cgroups directly below, as paths.
    pub(crate) fn children(&self) -> Result<Vec<PathBuf>> {
        let failed = |errno: Errno| Error::on("read", &self.path, errno);
        let mut children = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) if gone(errno) => break,
                Err(errno) => return Err(failed(errno)),
            };
            let name = entry.file_name().to_bytes();
            if entry.file_type() == rustix::fs::FileType::Directory && name != b"." && name != b".." {
                children.push(
                    self.path.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)),
                );
            }
        }
        Ok(children)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the kernel answers about a cgroup that was removed: its path is gone, or an open file of it is dead.
pub(crate) fn gone(errno: Errno) -> bool {
    errno == Errno::NOENT || errno == Errno::NODEV
}

pub(crate) fn absent_as_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_errno(Errno::NOENT) || error.is_errno(Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

pub(crate) fn parse_number(text: &str) -> Option<u64> {
    if text == "max" || text.starts_with('-') && text.len() > 1 {
        return Some(u64::MAX);
    }
    text.parse().ok()
}
