//! What the container may see but not change, and what it may not see.

use super::attach::{Filesystem, Mounter, Source};
use super::devices;
use super::error::{Attempted, Failure};
use super::options::ms;
use super::target::{Root, Target};
use crate::sys::mount::Change;
use libc::MOUNT_ATTR_RDONLY;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

const READ_ONLY: Change = Change { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, recursive: false };

/// Makes one mount read-only. Its other attributes, locked or not, stay.
pub(super) fn make_readonly(mounter: &Mounter, mount: BorrowedFd<'_>, what: &str) -> Result<(), Failure> {
    mounter.change(mount, &READ_ONLY).map_err(|failure| failure.within(format!("set {what} as readonly")))
}

/// Covers each path that exists with itself, read-only. What is mounted below it stays as it is.
pub(super) fn readonly_paths(root: &Root, mounter: &Mounter, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let within = |failure: Failure| failure.within(format!("can't make {path:?} read-only"));
        let Some(target) = place(root, path).map_err(within)? else { continue };
        let source = mounter.clone_of(target.fd.as_fd(), true).map_err(within)?;
        if let Source::Detached(mount) = &source {
            mounter.change(mount.as_fd(), &READ_ONLY).map_err(within)?;
            mounter.bind(root, source, &target).map_err(within)?;
        } else {
            let mount = mounter.bind(root, source, &target).map_err(within)?;
            mounter.change(mount.as_fd(), &READ_ONLY).map_err(within)?;
        }
    }
    Ok(())
}

/// Covers each path that exists: files with the null device, folders with an empty read-only tmpfs.
pub(super) fn mask_paths(
    root: &Root,
    mounter: &Mounter,
    paths: &[PathBuf],
    label: Option<&str>,
) -> Result<(), Failure> {
    let mut mask = Mask { root, mounter, label, null: None, empty: None };
    for path in paths {
        mask.cover(path).map_err(|failure| failure.within(format!("can't mask path {path:?}")))?;
    }
    Ok(())
}

/// One null device and one empty folder serve all paths.
struct Mask<'a> {
    root: &'a Root,
    mounter: &'a Mounter,
    label: Option<&'a str>,
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Mask<'_> {
    fn cover(&mut self, path: &Path) -> Result<(), Failure> {
        let Some(place) = place(self.root, path)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&place.fd).attempted(|| "look at it")?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.cover_folder(&place),
            _ => self.cover_file(&place),
        }
    }

    fn cover_file(&mut self, file: &Target) -> Result<(), Failure> {
        let null = match &self.null {
            Some(null) => null,
            None => self.null.insert(devices::null(self.root)?),
        };
        let source = self.mounter.clone_of(null.as_fd(), false)?;
        self.mounter.bind(self.root, source, file).map(drop)
    }

    fn cover_folder(&mut self, folder: &Target) -> Result<(), Failure> {
        if let Some(empty) = &self.empty {
            let source = self.mounter.clone_of(empty.as_fd(), false)?;
            return self.mounter.bind(self.root, source, folder).map(drop);
        }
        let fs =
            Filesystem { fstype: "tmpfs", source: "tmpfs", set: ms::RDONLY, options: &[], label: self.label };
        self.empty = Some(self.mounter.mount(self.root, &fs, folder)?);
        Ok(())
    }
}

/// What is at `path`, if anything is; nothing can be below a file.
fn place(root: &Root, path: &Path) -> Result<Option<Target>, Failure> {
    match root.existing(path) {
        Ok(found) => Ok(found.map(|fd| Target { fd, path: path.to_owned(), created: false })),
        Err(Errno::NOTDIR) => Ok(None),
        Err(cause) => Err(Failure::new("open", cause)),
    }
}
