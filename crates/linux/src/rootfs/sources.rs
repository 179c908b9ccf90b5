//! Opens bind sources for an init that cannot: because their ids are to be mapped, or because init is in a user
//! namespace where the way to them may be closed to it.
//!
//! They are opened *in init's mount namespace*. Its mounts are copies that belong to the container's user namespace,
//! with the host's read-only, nosuid, nodev and noexec locked and what is mounted below locked too; a copy of the
//! host's own mounts would give the container these to change.

use super::attach::{Mounter, Source};
use super::error::{Attempted, Error, Failure, Refusal};
use super::options::ms;
use super::plan::{IdMap, Kind, Mount, Plan, UserNamespace};
use crate::sys::mount::{Change, NamespaceKeeper, map_ids, mount_setattr, unshare_fs};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::path::Path;

/// Opens what [`Plan::sources`] counts, in the order that init expects. `mount_namespace` is init's (a
/// `/proc/<pid>/ns/mnt`); without it this process's own is used.
pub fn open_sources(plan: &Plan, mount_namespace: Option<BorrowedFd<'_>>) -> Result<Vec<OwnedFd>, Error> {
    let wanted: Vec<&Mount> = plan.mounts.iter().filter(|mount| mount.is_passed()).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // Namespaces for mappings come first: they are made with this process's view of /proc.
    let namespaces = user_namespaces(&wanted)?;
    let open = || -> Result<Vec<OwnedFd>, Error> {
        wanted.iter().map(|mount| open_source(mount, &namespaces, plan.shares_mounts())).collect()
    };
    let Some(namespace) = mount_namespace else { return open() };
    // A thread can be in another mount namespace than its process, and is thrown away after.
    let opened = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare_fs().attempted(|| "unshare the working directory of a thread")?;
                move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount))
                    .attempted(|| "enter the container's mount namespace")?;
                open()
            })
            .join()
    });
    opened.unwrap_or_else(|_| Err(Failure::new("open mount sources in a thread", Errno::CANCELED).into()))
}

impl Plan {
    /// Mounts are meant to stay peers of the host's.
    fn shares_mounts(&self) -> bool {
        self.propagation.is_some_and(|flags| flags & ms::SHARED != 0)
    }
}

type MadeNamespace<'a> = (&'a UserNamespace, OwnedFd);

fn user_namespaces<'a>(mounts: &[&'a Mount]) -> Result<Vec<MadeNamespace<'a>>, Error> {
    let mut made: Vec<MadeNamespace<'a>> = Vec::new();
    for mount in mounts {
        let Kind::Bind { map: Some(map), .. } = &mount.kind else { continue };
        if made.iter().any(|(known, _)| *known == &map.user_namespace) {
            continue;
        }
        let namespace = user_namespace(&map.user_namespace).map_err(|cause| mount.failed(cause))?;
        made.push((&map.user_namespace, namespace));
    }
    Ok(made)
}

fn user_namespace(wanted: &UserNamespace) -> Result<OwnedFd, Failure> {
    match wanted {
        UserNamespace::Path(path) => open_namespace(path),
        UserNamespace::New { uids, gids } => new_user_namespace(uids, gids),
    }
}

/// A user namespace that exists for its id mappings; each is lines of `container host size`.
pub(super) fn new_user_namespace(uids: &str, gids: &str) -> Result<OwnedFd, Failure> {
    let keeper = NamespaceKeeper::start().attempted(|| "make a user namespace for an id mapping")?;
    for (file, lines) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{}/{file}", keeper.pid());
        std::fs::write(&path, lines).map_err(|cause| {
            let what = format!("write {} to {path}", lines.trim_end().replace('\n', ", "));
            Failure::new(what, Errno::from_io_error(&cause).unwrap_or(Errno::INVAL))
        })?;
    }
    open_namespace(format!("/proc/{}/ns/user", keeper.pid()).as_ref())
}

fn open_namespace(path: &Path) -> Result<OwnedFd, Failure> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .attempted(|| format!("open {}", path.display()))
}

fn open_source(mount: &Mount, namespaces: &[MadeNamespace<'_>], shared: bool) -> Result<OwnedFd, Error> {
    let Kind::Bind { path, map, .. } = &mount.kind else {
        return Err(Error::Sources { expected: 0, got: 1 });
    };
    let recursive = mount.set & ms::REC != 0;
    let source = Mounter::default().bind_source(path, recursive).map_err(|cause| mount.failed(cause))?;
    // Without the mount API init gets the place and copies its mount by mount(2); ids cannot be mapped then.
    let (Source::Detached(fd) | Source::Place { fd, .. }) = source;
    if let Some(map) = map {
        map_source(&fd, map, namespaces, shared).map_err(|failure| mount.failed(failure))?;
    }
    Ok(fd)
}

fn map_source(
    fd: &OwnedFd,
    map: &IdMap,
    namespaces: &[MadeNamespace<'_>],
    shared: bool,
) -> Result<(), Failure> {
    let namespace = namespaces.iter().find(|(known, _)| *known == &map.user_namespace);
    let (_, namespace) = namespace.ok_or_else(|| Failure::new("find the user namespace", Errno::NOENT))?;
    map_ids(fd.as_fd(), namespace.as_fd(), map.recursive).map_err(|cause| {
        let hint = match cause {
            Errno::INVAL => " (maybe the filesystem used doesn't support idmap mounts on this kernel?)",
            _ => "",
        };
        Failure::new(format!("failed to set MOUNT_ATTR_IDMAP{hint}"), cause)
    })?;
    if !shared {
        // Init may not have made its mounts slaves yet; what the container mounts below must not reach the host.
        let slave = Change { propagation: u64::from(ms::SLAVE), recursive: true, ..Change::default() };
        mount_setattr(fd.as_fd(), &slave).attempted(|| "make a mount a slave")?;
    }
    Ok(())
}

impl Mount {
    /// Says which mount could not be made.
    pub(super) fn failed(&self, cause: impl Into<Refusal>) -> Error {
        Error::Mount {
            source_name: self.source.clone(),
            destination: self.destination.clone(),
            cause: cause.into(),
        }
    }
}
