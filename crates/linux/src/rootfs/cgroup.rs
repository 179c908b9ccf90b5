//! What a container sees of its control groups: a mount of type `cgroup`.

use super::attach::{Filesystem, Mounter};
use super::error::{Attempted, Failure, Refusal};
use super::mounts::{Maker, filesystem};
use super::options::ms;
use super::plan::{Hierarchy, Kind, Mount};
use super::target::{Create, Root, Target};
use crate::sys::mount::Change;
use libc::MOUNT_ATTR_RDONLY;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// The folders of hierarchies and the links to them are nobody's to run or to own.
const DEFAULT: u32 = ms::NOSUID | ms::NODEV | ms::NOEXEC;

/// A tmpfs with a folder for each hierarchy, and links for hierarchies with several controllers.
pub(super) fn v1(
    maker: &mut Maker<'_>,
    mount: &Mount,
    hierarchies: &[Hierarchy],
    namespaced: bool,
) -> Result<(), Refusal> {
    let tmpfs = Mount {
        source: "tmpfs".into(),
        kind: Kind::Filesystem { fstype: "tmpfs".into(), copy_up: false },
        set: DEFAULT,
        cleared: 0,
        data: vec!["mode=755".into()],
        ..mount.clone()
    };
    let folders = maker.filesystem(&tmpfs, "tmpfs", false)?;
    for hierarchy in hierarchies {
        let target = folder(folders.as_fd(), mount, &hierarchy.name)?;
        if namespaced {
            mount_hierarchy(maker.mounter, maker.root, mount, hierarchy, &target)?;
        } else {
            let source = maker.mounter.bind_source(&hierarchy.path, true)?;
            let bound = maker.mounter.bind(maker.root, source, &target)?;
            maker.set_bind_attributes(mount, bound.as_fd())?;
        }
        link_controllers(folders.as_fd(), &hierarchy.name)?;
    }
    if mount.set & ms::RDONLY != 0 {
        maker.mounter.change(folders.as_fd(), &Change { set: MOUNT_ATTR_RDONLY, ..Change::default() })?;
    }
    Ok(())
}

fn folder(folders: BorrowedFd<'_>, mount: &Mount, name: &str) -> Result<Target, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::mkdirat(folders, name, Mode::from_raw_mode(0o755))
        .and_then(|()| rustix::fs::openat(folders, name, flags, Mode::empty()))
        .attempted(|| format!("make a folder for the hierarchy {name}"))?;
    Ok(Target { fd, path: mount.destination.join(name), created: true })
}

fn mount_hierarchy(
    mounter: &Mounter,
    root: &Root,
    mount: &Mount,
    hierarchy: &Hierarchy,
    target: &Target,
) -> Result<OwnedFd, Failure> {
    let options: Vec<String> = hierarchy.options.split(',').map(str::to_owned).collect();
    let fs = Filesystem {
        fstype: "cgroup",
        source: "cgroup",
        set: DEFAULT | mount.set & ms::RDONLY,
        options: &options,
        label: None,
    };
    mounter.mount(root, &fs, target)
}

fn link_controllers(folders: BorrowedFd<'_>, name: &str) -> Result<(), Failure> {
    if !name.contains(',') {
        return Ok(());
    }
    for controller in name.split(',') {
        match rustix::fs::symlinkat(name, folders, controller) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(cause) => return Err(Failure::new(format!("link {controller} to {name}"), cause)),
        }
    }
    Ok(())
}

/// A cgroup2 of the container's namespace. Without one the host's is bound, because a new mount would reset the
/// options (`nsdelegate` and others) of the one hierarchy that there is; and in a user namespace the kernel does not
/// make one.
pub(super) fn v2(maker: &mut Maker<'_>, mount: &Mount, host: &Path, namespaced: bool) -> Result<(), Refusal> {
    if namespaced {
        match maker.filesystem(mount, "cgroup2", false) {
            Err(Refusal::Failed(failure)) if failure.is(Errno::PERM) || failure.is(Errno::BUSY) => {}
            mounted => return mounted.map(drop),
        }
    }
    match maker.mounter.bind_source(host, false) {
        // A rootless runtime outside of its user namespace does not see the group's folder; what else is there is
        // not the container's to see.
        Err(failure) if maker.plan.rootless && failure.is(Errno::NOENT) => cover(maker, mount),
        source => maker.bind(mount, source?).map(drop),
    }
}

fn cover(maker: &Maker<'_>, mount: &Mount) -> Result<(), Refusal> {
    let target = maker
        .root
        .target(&mount.destination, || Ok(Create::Folder))
        .attempted(|| format!("cover {}", mount.destination.display()))?;
    let options = [];
    let fs = Filesystem {
        source: "tmpfs",
        set: ms::RDONLY,
        options: &options,
        ..filesystem(mount, "tmpfs", None)
    };
    maker.mounter.mount(maker.root, &fs, &target)?;
    Ok(())
}
