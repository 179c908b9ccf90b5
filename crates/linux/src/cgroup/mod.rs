//! Control groups: where a container's processes are counted, limited, frozen and found.
//!
//! ```text
//! plan(&Request) ─▶ Placement ──prepare()──▶ Cgroup ─ place ─ set ─▶ …          create
//!   decides, makes nothing │
//!                          └─ kept in the record ──open()──▶ Cgroup ─▶ join     exec
//!                                                             freeze, thaw, update, stats, kill_all, destroy
//! ```
//!
//! * [`plan`] → [`Placement`]: where, decided from the request and the host's [`layout`]. Serializable.
//! * [`Cgroup::prepare`]: makes the directories; refuses somebody else's. May drop a hierarchy a rootless caller
//!   cannot write to: keep [`Cgroup::placement`] in the record afterwards, the planned one will do after a crash.
//! * [`Cgroup::place`]: puts a new container's first process in, or has systemd do it; [`Cgroup::set`] its resources.
//! * [`Cgroup::entrance`], [`Cgroup::join_entrance`]: the quick way, by which a process goes in by itself; see
//!   [`Entrance`].
//! * [`Cgroup::open`]: the same cgroups in a later process. Opens nothing until it is needed.
//! * [`Cgroup::join`] (exec), [`Cgroup::update`], [`Cgroup::freeze`], [`Cgroup::thaw`], [`Cgroup::frozen`],
//!   [`Cgroup::processes`], [`Cgroup::kill_all`], [`Cgroup::stats`], [`Cgroup::oom_events`], [`Cgroup::unified`] (for
//!   `CLONE_INTO_CGROUP`), [`Cgroup::destroy`] (idempotent).
//! * [`rdt`]: Intel's cache and memory-bandwidth allocation, which is not a control group but is treated as one.
//!
//! What decides is pure and tested by table: [`v1`] and [`v2`] turn resources into writes, [`devices`] turns rules
//! into a policy and that into version 1 rules or an eBPF program, [`systemd`] turns resources into unit properties.

mod delegate;
mod devices;
mod dir;
mod entrance;
mod error;
mod freezer;
pub mod layout;
mod make;
mod oom;
mod placement;
mod processes;
pub mod rdt;
mod remove;
mod resources;
pub mod stats;
pub mod systemd;
mod v1;
mod v2;
mod write;

pub use entrance::Entrance;
pub use error::{Error, Result};
pub use oom::{OomEvent, OomEvents};
pub use placement::{Driver, Hierarchy, Placement, Request, plan};
pub use processes::{SubCgroup, parse_sub_cgroups};

use dir::Dir;
use layout::Version;
use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd};

/// The control groups of one container, with their directories open as far as they were needed.
#[derive(Debug)]
pub struct Cgroup {
    placement: Placement,
    dirs: Vec<OnceCell<Dir>>,
}

impl Cgroup {
    /// The cgroups that a record names.
    pub fn open(placement: Placement) -> Self {
        let dirs = placement.hierarchies.iter().map(|_| OnceCell::new()).collect();
        Self { placement, dirs }
    }

    /// Where they are; after [`Cgroup::prepare`] and [`Cgroup::place`] without what a rootless caller goes without.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The cgroup2 directory, if the host has one: for `CLONE_INTO_CGROUP`, after which [`Cgroup::place`] finds the
    /// process already there.
    pub fn unified(&self) -> Result<Option<BorrowedFd<'_>>> {
        match self.placement.hierarchies.iter().position(|hierarchy| hierarchy.version == Version::V2) {
            None => Ok(None),
            Some(index) => self.dir(index).map(|dir| Some(dir.as_fd())),
        }
    }

    /// Whether any of them exists.
    pub fn exists(&self) -> bool {
        self.placement.hierarchies.iter().any(|hierarchy| hierarchy.path.is_dir())
    }

    /// The directory that freezes them all, for who freezes by itself; `None` when freezing it would freeze the host.
    pub(crate) fn freezer_path(&self) -> Option<&std::path::Path> {
        let (index, _) = self.host("freezer")?;
        let hierarchy = self.placement.hierarchies.get(index)?;
        (!hierarchy.is_root()).then_some(hierarchy.path.as_path())
    }

    fn dir(&self, index: usize) -> Result<&Dir> {
        let (Some(cell), Some(hierarchy)) = (self.dirs.get(index), self.placement.hierarchies.get(index))
        else {
            return Err(Error::Unsupported("no such hierarchy".into()));
        };
        if let Some(dir) = cell.get() {
            return Ok(dir);
        }
        let dir = Dir::open(&hierarchy.path)?;
        Ok(cell.get_or_init(|| dir))
    }

    /// The cgroup in which a controller is, by its name in version 1; `None` when the host or we have none.
    fn host(&self, controller: &str) -> Option<(usize, Version)> {
        let v2_name = match controller {
            "blkio" => "io",
            // Not controllers in cgroup2 but always there.
            "devices" | "freezer" => "",
            "cpuacct" => "cpu",
            other => other,
        };
        let hosts = |hierarchy: &Hierarchy| match hierarchy.version {
            Version::V1 => hierarchy.controllers.iter().any(|c| c == controller),
            Version::V2 => v2_name.is_empty() || hierarchy.controllers.iter().any(|c| c == v2_name),
        };
        let index = self.placement.hierarchies.iter().position(hosts)?;
        self.placement.hierarchies.get(index).map(|hierarchy| (index, hierarchy.version))
    }

    /// Its directory and interface; `None` also when the cgroup is gone.
    fn host_dir(&self, controller: &str) -> Result<Option<(&Dir, Version)>> {
        let Some((index, version)) = self.host(controller) else { return Ok(None) };
        Ok(dir::absent_as_none(self.dir(index))?.map(|dir| (dir, version)))
    }

    /// Forgets a hierarchy that a rootless caller may not write to.
    fn go_without(&mut self, index: usize, why: &Error) {
        if index < self.dirs.len() && index < self.placement.hierarchies.len() {
            let hierarchy = self.placement.hierarchies.remove(index);
            self.dirs.remove(index);
            log::debug!("going without {}: {why}", hierarchy.path.display());
        }
    }
}

#[cfg(test)]
mod tests;
