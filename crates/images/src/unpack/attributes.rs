//! Owners, modes, extended attributes and times: given to what was made, or taken over from a lower layer.
//!
//! The order matters: a change of owner takes the set-id bits and the capabilities away, so it comes first; a change of
//! anything else may touch the time, so that comes last.

use super::error::{Error, Result};
use super::header::Time;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use snapshots::{Attributes, IdMaps};
use std::fs::Metadata;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What a file is to have.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub mtime: Time,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How this process makes files, and what cannot be done here.
#[derive(Debug)]
pub(super) struct Ways {
    me: (u32, u32),
    umask: u32,
    /// A folder was made whose group its entries get instead of this process'.
    pub groups_are_inherited: bool,
    attributes: Attributes,
    /// Who is root in the user namespace that the layer is shifted into.
    shifted_root: Option<u32>,
    told: bool,
}

/// A file in a folder; with its own descriptor, if it can have one.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub within: BorrowedFd<'a>,
    pub name: &'a [u8],
    pub fd: Option<BorrowedFd<'a>>,
    /// In the layer, for errors.
    pub path: &'a [u8],
}

/// The bits that a system call which makes a file may not take over.
const SPECIAL: u32 = 0o7000;

impl Ways {
    pub(super) fn new(attributes: Attributes, shift: Option<&IdMaps>) -> Self {
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let shifted_root = shift.and_then(|maps| maps.host_uid(0));
        Self { me, umask: umask(), groups_are_inherited: false, attributes, shifted_root, told: false }
    }

    /// Owner, then mode, then extended attributes. `mode_at_creation` is what the file was made with; nothing for what
    /// has none (symbolic links).
    pub(super) fn give(
        &mut self,
        made: Made<'_>,
        wanted: &Wanted,
        mode_at_creation: Option<u32>,
    ) -> Result<()> {
        if (wanted.uid, wanted.gid) != self.me || self.groups_are_inherited {
            chown(made, wanted).map_err(|cause| Error::io("change the owner of", made.path, cause))?;
        }
        if let Some(created) = mode_at_creation {
            let whole = created == wanted.mode && wanted.mode & (SPECIAL | self.umask) == 0;
            if !whole {
                chmod(made, wanted.mode)
                    .map_err(|cause| Error::io("change the mode of", made.path, cause))?;
            }
        }
        for (name, value) in &wanted.xattrs {
            self.set_xattr(made, name, value)?;
        }
        Ok(())
    }

    fn set_xattr(&mut self, made: Made<'_>, name: &[u8], value: &[u8]) -> Result<()> {
        // What overlayfs keeps for itself would let a layer reach into others.
        if name.starts_with(Attributes::Trusted.prefix().as_bytes())
            || name.starts_with(Attributes::User.prefix().as_bytes())
        {
            return Ok(());
        }
        let shifted = self.shifted_root.filter(|_| name == b"security.capability");
        let mapped = shifted.and_then(|root| with_root(value, root));
        let value = mapped.as_deref().unwrap_or(value);
        let set = match made.fd {
            Some(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            None => rustix::fs::lsetxattr(proc_path(made), name, value, XattrFlags::empty()),
        };
        match set {
            Ok(()) => Ok(()),
            // The file system has no such attributes, a symbolic link may not have them, or a user namespace may not
            // write them: a container without is better than none.
            Err(cause @ (Errno::OPNOTSUPP | Errno::PERM)) => {
                if !std::mem::replace(&mut self.told, true) {
                    let (name, path) = (name.escape_ascii(), made.path.escape_ascii());
                    log::warn!("extended attribute {name} of {path} is left out, maybe others: {cause}");
                }
                Ok(())
            }
            Err(cause) => Err(Error::io("set an extended attribute of", made.path, cause)),
        }
    }

    /// Hides what lower layers have in a folder.
    pub(super) fn hide_lower(&self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let set = rustix::fs::fsetxattr(folder, self.attributes.opaque(), b"y", XattrFlags::empty());
        set.map_err(|cause| Error::io("make opaque", path, cause))
    }
}

/// Both times become the one that archives keep.
pub(super) fn set_time(made: Made<'_>, mtime: Time) -> Result<()> {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() };
    set_times(made, &Timestamps { last_access: time, last_modification: time })
}

pub(super) fn set_times(made: Made<'_>, times: &Timestamps) -> Result<()> {
    let set = match made.fd {
        Some(fd) => rustix::fs::futimens(fd, times),
        None => rustix::fs::utimensat(made.within, made.name, times, AtFlags::SYMLINK_NOFOLLOW),
    };
    set.map_err(|cause| Error::io("set the time of", made.path, cause))
}

/// The times that a file has, to be set again.
pub(super) fn times_of(metadata: &Metadata) -> Timestamps {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    }
}

/// What a file of a lower layer has, without what overlayfs keeps.
pub(super) fn of_lower(file: &Path, metadata: &Metadata) -> std::io::Result<Wanted> {
    let mut names = vec![0; rustix::fs::llistxattr_query(file).or_else(none_here)?];
    let length = if names.is_empty() { 0 } else { rustix::fs::llistxattr(file, &mut names[..])? };
    names.truncate(length);
    let mut xattrs = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; rustix::fs::lgetxattr_query(file, name)?];
        let length = if value.is_empty() { 0 } else { rustix::fs::lgetxattr(file, name, &mut value[..])? };
        value.truncate(length);
        xattrs.push((name.to_vec(), value));
    }
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    let mtime = Time { seconds: metadata.mtime(), nanos };
    let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
    Ok(Wanted { uid, gid, mode, mtime, xattrs })
}

fn none_here(error: Errno) -> rustix::io::Result<usize> {
    if error == Errno::OPNOTSUPP { Ok(0) } else { Err(error) }
}

/// The owner that an entry's numbers stand for.
pub(super) fn owner(uid: u64, gid: u64, shift: Option<&IdMaps>, path: &[u8]) -> Result<(u32, u32)> {
    let id = |id| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(uid), id(gid)) else {
        return Err(Error::refused(path, "belongs to an id that is none"));
    };
    let Some(maps) = shift else { return Ok((uid, gid)) };
    match (maps.host_uid(uid), maps.host_gid(gid)) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err(Error::refused(path, "belongs to an id that the user namespace does not have")),
    }
}

fn chown(made: Made<'_>, wanted: &Wanted) -> rustix::io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)));
    match made.fd {
        Some(fd) => rustix::fs::fchown(fd, uid, gid),
        None => rustix::fs::chownat(made.within, made.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
    }
}

/// Not for symbolic links, which it would follow.
fn chmod(made: Made<'_>, mode: u32) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    match made.fd {
        Some(fd) => rustix::fs::fchmod(fd, mode),
        None => rustix::fs::chmodat(made.within, made.name, mode, AtFlags::empty()),
    }
}

/// What has no descriptor of its own has its attributes set by path: through the descriptor of its folder.
fn proc_path(made: Made<'_>) -> std::path::PathBuf {
    let within = format!("/proc/self/fd/{}", made.within.as_fd().as_raw_fd());
    Path::new(&within).join(std::ffi::OsStr::from_bytes(made.name))
}

/// File capabilities of an image that is shifted into a user namespace count in that namespace alone: revision 3 names
/// its root. Other revisions stay as they are.
fn with_root(value: &[u8], root: u32) -> Option<Vec<u8>> {
    match value {
        [flags, 0, 0, 2, sets @ ..] if value.len() == 20 => {
            Some([&[*flags, 0, 0, 3], sets, &root.to_le_bytes()].concat())
        }
        _ => None,
    }
}

/// The bits that this process' system calls leave out. All, if that cannot be known.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok()).unwrap_or(0o777)
}
