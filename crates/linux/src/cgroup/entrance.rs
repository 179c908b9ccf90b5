//! The quick way in: a process puts itself into the cgroups, instead of being put there.
//!
//! To move another process the kernel stops all forks and exits of the machine for a moment, and waits for a grace
//! period of its read-copy-update first: milliseconds, often more than all else that a runtime does. A thread that
//! moves itself alone needs none of that (since Linux 5.18), and neither does a process that is born into a cgroup2.
//! So who makes a process clones it with `CLONE_INTO_CGROUP` and [`Entrance::unified`], and the new process calls
//! [`Entrance::enter`] before it has a second thread, a cgroup namespace, or anything that should be counted.

use super::dir::Dir;
use super::error::{Error, Result};
use super::layout::{Kind, Version};
use super::processes::SubCgroup;
use super::{Cgroup, Hierarchy, delegate};
use oci_spec::runtime::LinuxResources;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Open ways into all cgroups of a container. They work from within any namespace and with any credentials.
#[derive(Debug, Default)]
pub struct Entrance {
    tasks: Vec<OwnedFd>,
    /// The last to be entered: behind it a paused container's process stands still.
    freezer: Option<OwnedFd>,
    unified: Option<OwnedFd>,
}

impl Cgroup {
    /// For the first process of a new container, in place of [`Cgroup::place`]. `None` when systemd is to move it, or
    /// where a hierarchy has no such way.
    pub fn entrance(&mut self, resources: &LinuxResources) -> Result<Option<Entrance>> {
        if self.placement.unit.is_some() {
            return Ok(None);
        }
        self.give_realtime_budget(resources)?;
        let mut entrance = Entrance::default();
        let mut index = 0;
        while let Some(hierarchy) = self.placement.hierarchies.get(index) {
            match self.dir(index).and_then(|dir| entrance.add(dir, hierarchy)) {
                Ok(()) => index = index.saturating_add(1),
                Err(error) if self.placement.may_go_without && error.is_permission() => {
                    self.go_without(index, &error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(owner) = self.placement.owner {
            delegate::hand_over(self, owner)?;
        }
        Ok(Some(entrance))
    }

    /// For one more process, in place of [`Cgroup::join`]. When the kernel then answers the clone with `EBUSY` or
    /// `EOPNOTSUPP`, the container has divided its cgroup2, and [`Cgroup::join`] knows where to go.
    pub fn join_entrance(&self, sub: &[SubCgroup]) -> Result<Entrance> {
        let mut entrance = Entrance::default();
        for target in self.targets(sub)? {
            let Some(hierarchy) = self.placement.hierarchies.get(target.index) else { continue };
            let below = target.below.as_deref().map(Dir::open).transpose();
            let added = below.and_then(|below| match &below {
                Some(dir) => entrance.add(dir, hierarchy),
                None => entrance.add(self.dir(target.index)?, hierarchy),
            });
            match added {
                Err(error)
                    if error.is_errno(Errno::NOENT)
                        && !target.explicit
                        && self.placement.layout != Kind::V2 => {}
                other => other?,
            }
        }
        Ok(entrance)
    }
}

impl Entrance {
    fn add(&mut self, dir: &Dir, hierarchy: &Hierarchy) -> Result<()> {
        match hierarchy.version {
            Version::V1 => {
                let tasks = dir.open_file("tasks", OFlags::WRONLY)?;
                if hierarchy.controllers.iter().any(|c| c == "freezer") {
                    self.freezer = Some(tasks);
                } else {
                    self.tasks.push(tasks);
                }
            }
            Version::V2 => {
                let fd = dir.as_fd().try_clone_to_owned();
                self.unified = Some(fd.map_err(|cause| Error::on("open", dir.path(), cause))?);
            }
        }
        Ok(())
    }

    /// The cgroup2, for `CLONE_INTO_CGROUP`.
    pub fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// The files of version 1, for who passes them on: a process enters by writing `0` to each, in this order.
    pub fn tasks(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.tasks.iter().chain(&self.freezer).map(AsFd::as_fd)
    }

    /// Moves the calling thread into all cgroups of version 1. Only writes: it may be called between clone and exec.
    pub fn enter(&self) -> rustix::io::Result<()> {
        for file in self.tasks() {
            super::dir::retry(|| rustix::io::write(file, b"0"))?;
        }
        Ok(())
    }
}
