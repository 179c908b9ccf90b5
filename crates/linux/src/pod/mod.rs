//! What the containers of a pod share, made without a container: namespaces pinned as files, and a control group.
//!
//! No process keeps a pod alive. A child makes the namespaces and names what they hold; the runtime binds the child's
//! `/proc/<pid>/ns/…` to files in the pod's folder, and the child is gone. Only a PID namespace ends with its first
//! process: a pod that shares one has a [`reaper`] there.
//!
//! | runtime                              | socket          | child                                                    |
//! |--------------------------------------|-----------------|----------------------------------------------------------|
//! | makes the control group, forks       |                 |                                                          |
//! |                                      |                 | makes a user namespace, if the pod has one               |
//! | writes the id mappings               | ← `MapUser`     |                                                          |
//! |                                      | `Continue` →    | becomes root there; makes or joins network; makes ipc, uts |
//! |                                      |                 | loopback, parameters of the kernel, names                |
//! |                                      |                 | starts the reaper in a new PID namespace, if asked for    |
//! | pins the namespaces                  | ← `Made`        |                                                          |
//! |                                      | end →           | ends                                                     |
//! | puts the reaper into the control group |               |                                                          |
//!
//! At any moment the child may say `Failed` and end. It runs on a copy of the runtime's memory: the runtime must have one
//! thread, which is checked.

mod namespaces;
pub mod reaper;

use crate::cgroup::{self, Cgroup, Driver, Placement, stats::Stats};
use crate::saved::InitProcess;
use crate::sys::signals;
use crate::{Child, create};
use compute::{Error, Kind};
use oci_spec::runtime::{LinuxResources, Spec};
use rustix::mount::UnmountFlags;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a pod is made from.
pub struct Request<'a> {
    /// Its id: the name of its control group unless a path is given.
    pub id: &'a str,
    /// An ordinary configuration, of which namespaces without a path, names, kernel parameters, id mappings, control
    /// group and limits are the pod's.
    pub spec: &'a Spec,
    /// Where its namespaces are pinned.
    pub pins: &'a Path,
    /// The network namespace that it is in; takes the place of one in the configuration.
    pub netns: Option<&'a Path>,
    /// Control groups are made by systemd. It makes one for a process only: a pod without a reaper has none then, and
    /// is measured by the slice that its containers are in.
    pub systemd_cgroup: bool,
}

/// Enough to find and to undo all that was made, in any later process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    pins: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<Placement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reaper: Option<InitProcess>,
}

/// Checks the request and decides what will be made, without making any of it.
pub fn plan(request: &Request<'_>) -> Result<Saved, Error> {
    namespaces::plan(request)?;
    let linux = request.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let cgroup = path.filter(|path| !path.as_os_str().is_empty());
    let placement = match cgroup {
        Some(path) if !request.systemd_cgroup || namespaces::wants_reaper(request.spec) => {
            Some(cgroup::plan(&cgroup::Request {
                id: request.id,
                cgroups_path: Some(path),
                driver: if request.systemd_cgroup { Driver::Systemd } else { Driver::Cgroupfs },
                rootless: false,
                annotations: request.spec.annotations().as_ref(),
                owner: None,
            })?)
        }
        _ => None,
    };
    Ok(Saved { pins: request.pins.to_owned(), cgroup: placement, reaper: None })
}

/// Makes the pod. The caller has `saved` on record, keeps it again afterwards, and undoes a failure with [`remove`].
/// The reaper is a child of the caller, or becomes one when its parent ends: the caller must be a subreaper.
pub fn make(request: &Request<'_>, saved: &mut Saved) -> Result<Option<Child>, Error> {
    let resources: Option<LinuxResources> =
        request.spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    let resources = resources.unwrap_or_default();
    let mut cgroup = saved.cgroup.clone().map(Cgroup::prepare).transpose()?;
    if let Some(cgroup) = &cgroup {
        saved.cgroup = Some(cgroup.placement().clone());
    }
    let reaper = namespaces::make(request)?.map(Child::of).transpose()?;
    if let Some(reaper) = &reaper {
        saved.reaper = Some(create::init_process(reaper.pid())?);
    }
    if let Some(cgroup) = &mut cgroup {
        if let Some(reaper) = &reaper {
            cgroup.place(reaper.pid(), &resources)?;
        }
        // Its containers have rules for devices; a privileged one may have no more than the cgroup above it.
        cgroup.update(&resources)?;
        saved.cgroup = Some(cgroup.placement().clone());
    }
    Ok(reaper)
}

/// Removes all that was made, whatever of it exists; goes on through errors and reports the first.
pub fn remove(saved: &Saved) -> Result<(), Error> {
    let ended = saved.reaper.map_or(Ok(()), end);
    let unpinned = unpin(&saved.pins);
    let removed = match &saved.cgroup {
        Some(placement) => Cgroup::open(placement.clone()).destroy().map_err(Error::from),
        None => Ok(()),
    };
    ended.and(unpinned).and(removed)
}

impl Saved {
    /// The process that reaps in the pod's PID namespace, 0 when there is none.
    pub fn reaper(&self) -> i32 {
        self.reaper.map_or(0, |reaper| reaper.pid)
    }

    /// What the pod's control group uses; `None` when it has none.
    pub fn stats(&self) -> Result<Option<Stats>, Error> {
        let cgroup = self.cgroup.clone().map(Cgroup::open);
        Ok(cgroup.map(|cgroup| cgroup.stats()).transpose()?)
    }

    /// Changes the limits of the pod's control group; `false` when it has none.
    pub fn update(&self, resources: &LinuxResources) -> Result<bool, Error> {
        let Some(placement) = &self.cgroup else { return Ok(false) };
        Cgroup::open(placement.clone()).update(resources)?;
        Ok(true)
    }

    /// Whether that is of the first interface or the second.
    pub fn is_cgroup_v2(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|placement| placement.layout == cgroup::layout::Kind::V2)
    }
}

/// The kernel ends everything in the namespace with it.
fn end(reaper: InitProcess) -> Result<(), Error> {
    let Some(pidfd) = crate::signal::open(reaper)? else { return Ok(()) };
    match signals::send(rustix::fd::AsFd::as_fd(&pidfd), libc::SIGKILL) {
        Err(cause) if cause.raw_os_error() != Some(libc::ESRCH) => {
            Err(Error::io(format!("end the pod's reaper {}", reaper.pid), cause))
        }
        _ => Ok(()),
    }
}

fn unpin(folder: &Path) -> Result<(), Error> {
    let entries = match std::fs::read_dir(folder) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|cause| Error::io(format!("list {}", folder.display()), cause))?,
    };
    let mut result = Ok(());
    for entry in entries.flatten() {
        let path = entry.path();
        let unpinned = match rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => std::fs::remove_file(&path)
                .map_err(|cause| Error::io(format!("remove {}", path.display()), cause)),
            Err(cause) => Err(Error::io(format!("unpin namespace {}", path.display()), cause)),
        };
        result = result.and(unpinned);
    }
    result.and_then(|()| {
        std::fs::remove_dir(folder).map_err(|cause| Error::io(format!("remove {}", folder.display()), cause))
    })
}

/// The configuration is wrong.
fn invalid(text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidArgument, text)
}
