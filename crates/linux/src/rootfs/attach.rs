//! Makes mounts on descriptors: by the mount API of Linux 5.2 and mount_setattr(2) of 5.12, which never look at a path
//! again; by mount(2) on `/proc/self/fd` where the kernel does not have them.

use super::error::{Attempted, Failure};
use super::options::{self, ms};
use super::target::{Root, Target};
use crate::sys::mount::{Change, mount_setattr};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};
use std::cell::Cell;
use std::ffi::CString;
use std::path::Path;

/// The flags of a superblock, by the names fsconfig(2) has for them.
const SUPERBLOCK_FLAGS: [(u32, &str); 5] = [
    (ms::RDONLY, "ro"),
    (ms::SYNCHRONOUS, "sync"),
    (ms::DIRSYNC, "dirsync"),
    (ms::MANDLOCK, "mand"),
    (ms::LAZYTIME, "lazytime"),
];
/// fsconfig(2) copies keys and values of fewer bytes only.
const FSCONFIG_MAX: usize = 256;

/// Which of the two ways this kernel has; found out on first use.
#[derive(Default)]
pub(super) struct Mounter {
    classic: Cell<bool>,
}

/// A new instance of a file system.
pub(super) struct Filesystem<'a> {
    pub(super) fstype: &'a str,
    pub(super) source: &'a str,
    /// `MS_*`.
    pub(super) set: u32,
    pub(super) options: &'a [String],
    /// The SELinux context of all its files.
    pub(super) label: Option<&'a str>,
}

/// What is going to be bound.
pub(super) enum Source {
    /// A mount (or a tree of them) that is not attached anywhere yet.
    Detached(OwnedFd),
    /// A place whose mount is copied when it is attached.
    Place { fd: OwnedFd, recursive: bool },
}

impl Source {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Detached(fd) | Source::Place { fd, .. } => fd.as_fd(),
        }
    }
}

impl Mounter {
    /// Only mount(2), whatever the kernel has.
    #[cfg(test)]
    pub(super) fn classic() -> Self {
        Self { classic: Cell::new(true) }
    }

    /// Mounts a file system and returns its root.
    pub(super) fn mount(
        &self,
        root: &Root,
        fs: &Filesystem<'_>,
        target: &Target,
    ) -> Result<OwnedFd, Failure> {
        if !self.classic.get() && fits_fsconfig(fs) {
            match self.unless_missing(detached(fs))? {
                Some(mount) => return attach(mount, target.fd.as_fd()),
                None => self.classic.set(true),
            }
        }
        classic_mount(fs, target)?;
        top_of(root, target)
    }

    /// What is at a path of the host, ready to be attached elsewhere. Symbolic links are followed.
    pub(super) fn bind_source(&self, path: &Path, recursive: bool) -> Result<Source, Failure> {
        let attempted = || format!("open {}", path.display());
        if !self.classic.get() {
            match rustix::mount::open_tree(CWD, path, clone_flags(recursive)) {
                Err(Errno::NOSYS) => self.classic.set(true),
                opened => return opened.map(Source::Detached).attempted(attempted),
            }
        }
        let fd =
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).attempted(attempted)?;
        Ok(Source::Place { fd, recursive })
    }

    /// What [`open_sources`](super::open_sources) opened: a detached mount where the kernel has the mount API.
    pub(super) fn passed(&self, fd: OwnedFd, recursive: bool) -> Source {
        if self.classic.get() { Source::Place { fd, recursive } } else { Source::Detached(fd) }
    }

    /// A copy of the mount that `fd` is on, from `fd` down.
    pub(super) fn clone_of(&self, fd: BorrowedFd<'_>, recursive: bool) -> Result<Source, Failure> {
        if !self.classic.get() {
            match rustix::mount::open_tree(fd, "", clone_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH) {
                Err(Errno::NOSYS) => self.classic.set(true),
                opened => return opened.map(Source::Detached).attempted(|| "copy a mount"),
            }
        }
        let fd = fd.try_clone_to_owned().map_err(|error| {
            Failure::new("duplicate a descriptor", Errno::from_io_error(&error).unwrap_or(Errno::MFILE))
        })?;
        Ok(Source::Place { fd, recursive })
    }

    /// Attaches what was opened and returns the root of the new mount.
    pub(super) fn bind(&self, root: &Root, source: Source, target: &Target) -> Result<OwnedFd, Failure> {
        match source {
            Source::Detached(mount) => attach(mount, target.fd.as_fd()),
            Source::Place { fd, recursive } => {
                classic_bind(fd.as_fd(), recursive, target.fd.as_fd())?;
                top_of(root, target)
            }
        }
    }

    /// Changes a mount.
    pub(super) fn change(&self, mount: BorrowedFd<'_>, change: &Change) -> Result<(), Failure> {
        if !self.classic.get() {
            match mount_setattr(mount, change) {
                Err(Errno::NOSYS) => {}
                changed => return changed.attempted(|| "mount_setattr"),
            }
        }
        classic_change(mount, change)
    }

    /// None if the call is one this kernel does not have.
    fn unless_missing<T>(&self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Err(failure) if failure.is(Errno::NOSYS) => Ok(None),
            result => result.map(Some),
        }
    }
}

fn clone_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// A new file system that is not attached yet.
fn detached(fs: &Filesystem<'_>) -> Result<OwnedFd, Failure> {
    let name = fs.fstype;
    let context =
        rustix::mount::fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC).attempted(|| format!("fsopen {name}"))?;
    let explain = |attempted: String, cause: Errno| Failure::new(attempted + &kernel_says(&context), cause);
    let flag = |key: &str| {
        rustix::mount::fsconfig_set_flag(&context, key)
            .map_err(|cause| explain(format!("set {key} of {name}"), cause))
    };
    let string = |key: &str, value: &str| {
        rustix::mount::fsconfig_set_string(&context, key, value)
            .map_err(|cause| explain(format!("set {key}={value} of {name}"), cause))
    };
    if !fs.source.is_empty() {
        string("source", fs.source)?;
    }
    for option in fs.options {
        match option.split_once('=') {
            Some((key, value)) => string(key, value.trim_matches('"'))?,
            None => flag(option)?,
        }
    }
    for (_, key) in SUPERBLOCK_FLAGS.iter().filter(|(bit, _)| fs.set & bit != 0) {
        flag(key)?;
    }
    if let Some(label) = fs.label {
        string("context", label)?;
    }
    rustix::mount::fsconfig_create(&context).map_err(|cause| explain(format!("create {name}"), cause))?;
    let attributes = MountAttrFlags::from_bits_retain(options::attributes(fs.set) as u32);
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|cause| explain(format!("fsmount {name}"), cause))
}

/// The last message of a file system context, for people.
pub(super) fn kernel_says(context: &OwnedFd) -> String {
    let mut buffer = [0; 512];
    match rustix::io::read(context, &mut buffer) {
        Ok(length) => {
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            format!(" ({})", text.trim_end().trim_start_matches("e "))
        }
        Err(_) => String::new(),
    }
}

/// Puts a detached mount on a place.
pub(super) fn attach(mount: OwnedFd, target: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match rustix::mount::move_mount(&mount, "", target, "", flags) {
        Ok(()) => Ok(mount),
        // mount(2) tells these apart.
        Err(Errno::INVAL) if is_folder(mount.as_fd()) != is_folder(target) => {
            Err(Failure::new("move_mount", Errno::NOTDIR))
        }
        Err(cause) => Err(Failure::new("move_mount", cause)),
    }
}

fn is_folder(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The same by mount(2).
pub(super) fn classic_bind(from: BorrowedFd<'_>, recursive: bool, to: BorrowedFd<'_>) -> Result<(), Failure> {
    let (from, to) = (magic_path(from)?, magic_path(to)?);
    if recursive {
        rustix::mount::mount_bind_recursive(from, to)
    } else {
        rustix::mount::mount_bind(from, to)
    }
    .attempted(|| "mount (bind)")
}

/// Options that only mount(2) takes: long ones, escapes that a file system's own parser knows, and a flag without a
/// name.
fn fits_fsconfig(fs: &Filesystem<'_>) -> bool {
    let short = |option: &String| {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        key.len() < FSCONFIG_MAX && value.len() < FSCONFIG_MAX && !option.contains('\\')
    };
    fs.set & ms::I_VERSION == 0 && fs.source.len() < FSCONFIG_MAX && fs.options.iter().all(short)
}

pub(super) fn classic_mount(fs: &Filesystem<'_>, target: &Target) -> Result<(), Failure> {
    let mut data = fs.options.join(",");
    if let Some(label) = fs.label {
        let comma = if data.is_empty() { "" } else { "," };
        data.push_str(&format!("{comma}context=\"{label}\""));
    }
    let attempted = || format!("mount {}", fs.fstype);
    let data = CString::new(data).map_err(|_| Failure::new(attempted(), Errno::INVAL))?;
    let target = magic_path(target.fd.as_fd())?;
    let flags = MountFlags::from_bits_retain(fs.set & !(ms::BIND | ms::REC));
    rustix::mount::mount(fs.source, target, fs.fstype, flags, data.as_c_str()).attempted(attempted)
}

/// Other flags and options for what is mounted at `target`; `MS_BIND` among them means the mount only, not its file
/// system.
pub(super) fn remount(fs: &Filesystem<'_>, target: &Target) -> Result<(), Failure> {
    let data = CString::new(fs.options.join(",")).map_err(|_| Failure::new("remount", Errno::INVAL))?;
    let flags = MountFlags::from_bits_retain(fs.set & !ms::REMOUNT);
    rustix::mount::mount_remount(magic_path(target.fd.as_fd())?, flags, data.as_c_str())
        .attempted(|| "remount")
}

fn classic_change(mount: BorrowedFd<'_>, change: &Change) -> Result<(), Failure> {
    let path = magic_path(mount)?;
    if change.set | change.clear != 0 {
        if change.recursive {
            return Err(Failure::new("set mount attributes recursively (needs Linux 5.12)", Errno::NOSYS));
        }
        let wanted = (options::attributes(flags_of(mount)?) & !change.clear) | change.set;
        let flags = MountFlags::BIND | MountFlags::from_bits_retain(options::flags(wanted));
        rustix::mount::mount_remount(path.as_str(), flags, c"").attempted(|| "remount")?;
    }
    if change.propagation != 0 {
        let recursive = if change.recursive { ms::REC } else { 0 };
        let flags = MountPropagationFlags::from_bits_retain(change.propagation as u32 | recursive);
        rustix::mount::mount_change(path.as_str(), flags).attempted(|| "change propagation")?;
    }
    Ok(())
}

/// The flags of the mount that `fd` is on, as `MS_*`.
pub(super) fn flags_of(fd: BorrowedFd<'_>) -> Result<u32, Failure> {
    // <linux/statfs.h>: these two have other values than their MS_* twins.
    const ST_RELATIME: u32 = 0x1000;
    const ST_NOSYMFOLLOW: u32 = 0x2000;
    const SAME: u32 = ms::RDONLY | ms::NOSUID | ms::NODEV | ms::NOEXEC | ms::NOATIME | ms::NODIRATIME;
    let found = rustix::fs::fstatfs(fd).attempted(|| "look at the flags of a mount")?.f_flags as u32;
    let mut flags = found & SAME;
    if found & ST_NOSYMFOLLOW != 0 {
        flags |= ms::NOSYMFOLLOW;
    }
    if found & ST_RELATIME != 0 {
        flags |= ms::RELATIME;
    }
    if flags & (ms::NOATIME | ms::RELATIME) == 0 {
        flags |= ms::STRICTATIME;
    }
    Ok(flags)
}

/// The mount that now covers `target`.
fn top_of(root: &Root, target: &Target) -> Result<OwnedFd, Failure> {
    root.existing(&target.path)
        .and_then(|found| found.ok_or(Errno::NOENT))
        .attempted(|| format!("reopen {}", target.path.display()))
}

/// A path that leads to what `fd` is, for calls that take only paths. It is worth nothing if something else poses as
/// /proc.
pub(super) fn magic_path(fd: BorrowedFd<'_>) -> Result<String, Failure> {
    let what = || "/proc/self/fd";
    if rustix::fs::statfs(what()).attempted(what)?.f_type != PROC_SUPER_MAGIC {
        return Err(Failure::new("/proc is not a procfs", Errno::INVAL));
    }
    Ok(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
