//! What is in a container's /dev: nodes, links, and the console.

use super::attach::Mounter;
use super::error::{Attempted, Failure};
use super::plan::{Device, DeviceKind, Plan};
use super::target::{Create, Root, Target};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;

/// By the OCI runtime specification (dev symbolic links).
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes the nodes and links. Modes come out as given only under umask 0.
pub(super) fn make(plan: &Plan, devices: &[Device], root: &Root, mounter: &Mounter) -> Result<(), Failure> {
    let dev = folder(root, Path::new("/dev"))?;
    for device in devices {
        let parent = device.path.parent().unwrap_or(Path::new("/"));
        let Some(name) = device.path.file_name() else { continue };
        if parent == Path::new("/dev") {
            make_device(dev.as_fd(), name, device, plan.bind_devices, root, mounter)?;
        } else {
            let parent = folder(root, parent)?;
            make_device(parent.as_fd(), name, device, plan.bind_devices, root, mounter)?;
        }
    }
    link_terminals(dev.as_fd())?;
    for (name, text) in LINKS {
        link(dev.as_fd(), name, text)?;
    }
    // Kernels may be built without it.
    if rustix::fs::statat(CWD, "/proc/kcore", AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        link(dev.as_fd(), "core", "/proc/kcore")?;
    }
    Ok(())
}

/// A null device, for certain: an image can have anything at /dev/null.
pub(super) fn null(root: &Root) -> Result<OwnedFd, Failure> {
    let null = root
        .existing(Path::new("/dev/null"))
        .and_then(|found| found.ok_or(Errno::NOENT))
        .attempted(|| "open /dev/null")?;
    if !is_null(&rustix::fs::fstat(&null).attempted(|| "look at /dev/null")?) {
        return Err(Failure::new("container's /dev/null is invalid", Errno::NODEV));
    }
    Ok(null)
}

/// Null devices among the standard streams came from the host; they are replaced by the container's, so that what
/// the process sees of them is inside.
pub(super) fn reopen_null(root: &Root) -> Result<(), Failure> {
    let mut own = None;
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        // A closed stream is not ours to judge here.
        if !rustix::fs::fstat(stream).is_ok_and(|stat| is_null(&stat)) {
            continue;
        }
        if own.is_none() {
            own = Some(open_null(root)?);
        }
        let Some(null) = &own else { continue };
        let fd = rustix::fd::AsRawFd::as_raw_fd(&stream);
        match fd {
            0 => rustix::stdio::dup2_stdin(null),
            1 => rustix::stdio::dup2_stdout(null),
            _ => rustix::stdio::dup2_stderr(null),
        }
        .attempted(|| "replace a standard stream by /dev/null")?;
    }
    Ok(())
}

fn open_null(root: &Root) -> Result<OwnedFd, Failure> {
    null(root)?;
    // Opened again to be read and written; it may have been exchanged in between.
    let null =
        rustix::fs::openat(root, "dev/null", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
            .attempted(|| "open /dev/null")?;
    if !is_null(&rustix::fs::fstat(&null).attempted(|| "look at /dev/null")?) {
        return Err(Failure::new("container's /dev/null is invalid", Errno::NODEV));
    }
    Ok(null)
}

fn is_null(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3)
}

fn folder(root: &Root, path: &Path) -> Result<OwnedFd, Failure> {
    let target = root.target(path, || Ok(Create::Folder));
    Ok(target.attempted(|| format!("make the folder {}", path.display()))?.fd)
}

fn make_device(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    device: &Device,
    bind: bool,
    root: &Root,
    mounter: &Mounter,
) -> Result<(), Failure> {
    if !bind {
        match make_node(parent, name, device) {
            // What the image or a mount has there is meant to be there.
            Ok(()) | Err(Errno::EXIST) => return Ok(()),
            // This process is in a user namespace already.
            Err(Errno::PERM) => {}
            Err(cause) => {
                return Err(Failure::new(format!("make the device {}", device.path.display()), cause));
            }
        }
    }
    bind_device(parent, name, device, root, mounter)
}

fn make_node(parent: BorrowedFd<'_>, name: &OsStr, device: &Device) -> rustix::io::Result<()> {
    let (kind, number) = match device.kind {
        DeviceKind::Character { major, minor } => {
            (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
        }
        DeviceKind::Block { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        DeviceKind::Fifo => (FileType::Fifo, 0),
    };
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(device.mode), number)?;
    if device.uid == 0 && device.gid == 0 {
        return Ok(());
    }
    // The folder may be the image's, where somebody else could exchange the node.
    let node =
        rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&node)?;
    if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_rdev != number {
        return Err(Errno::STALE);
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    rustix::fs::chownat(node, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
}

/// The host's node of the same name, on an empty file.
fn bind_device(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    device: &Device,
    root: &Root,
    mounter: &Mounter,
) -> Result<(), Failure> {
    let attempted = || format!("make a place for the device {}", device.path.display());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        // Not opened for reading: a FIFO would wait for its writer.
        Err(Errno::EXIST) => {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).attempted(attempted)?;
            let stat = rustix::fs::fstat(&fd).attempted(attempted)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                return Err(Failure::new(attempted(), Errno::LOOP));
            }
            fd
        }
        created => created.attempted(attempted)?,
    };
    let source = mounter.bind_source(&device.path, false)?;
    mounter.bind(root, source, &Target { fd, path: device.path.clone(), created: true }).map(drop)
}

/// The container's own terminals, whatever the image has there.
fn link_terminals(dev: BorrowedFd<'_>) -> Result<(), Failure> {
    let attempted = || "link /dev/ptmx to pts/ptmx";
    match rustix::fs::symlinkat("pts/ptmx", dev, "ptmx") {
        Err(Errno::EXIST) => {}
        linked => return linked.attempted(attempted),
    }
    match rustix::fs::unlinkat(dev, "ptmx", AtFlags::empty()) {
        Err(Errno::ISDIR) => rustix::fs::unlinkat(dev, "ptmx", AtFlags::REMOVEDIR),
        removed => removed,
    }
    .attempted(|| "remove /dev/ptmx")?;
    rustix::fs::symlinkat("pts/ptmx", dev, "ptmx").attempted(attempted)
}

fn link(dev: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), Failure> {
    match rustix::fs::symlinkat(text, dev, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(cause) => Err(Failure::new(format!("link /dev/{name} to {text}"), cause)),
    }
}
