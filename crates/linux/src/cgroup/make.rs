//! Makes the directories, and puts the first process into them.
//!
//! A new cgroup is not ready for use: a version 1 cpuset has neither cpus nor memory nodes, a version 1 cpu cgroup
//! has no real-time budget, and a cgroup2 has only the controllers that its parent hands down.

use super::dir::Dir;
use super::error::{Error, Result};
use super::layout::{Kind, Version};
use super::placement::{Hierarchy, Placement};
use super::{Cgroup, delegate, systemd, v1, write};
use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

impl Cgroup {
    /// Makes the container's cgroups in all hierarchies. One that exists must be empty and not frozen; if it is not,
    /// nothing that was made stays. With systemd only the refusals happen here: it makes a cgroup when it has a
    /// process for it.
    pub fn prepare(placement: Placement) -> Result<Self> {
        let mut cgroup = Self::open(placement);
        let mut made = Vec::new();
        match cgroup.make(&mut made) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                for path in made.iter().rev() {
                    if let Err(errno) = rustix::fs::rmdir(path) {
                        log::warn!("remove {} again: {errno}", Path::display(path));
                    }
                }
                Err(error)
            }
        }
    }

    fn make(&mut self, made: &mut Vec<std::path::PathBuf>) -> Result<()> {
        let mut existing = Vec::new();
        let mut index = 0;
        while let Some(hierarchy) = self.placement.hierarchies.get(index) {
            if self.placement.unit.is_some() {
                existing.extend(hierarchy.path.is_dir().then_some(index));
                index = index.saturating_add(1);
                continue;
            }
            match make_directory(hierarchy) {
                Ok(true) => made.push(hierarchy.path.clone()),
                Ok(false) => existing.push(index),
                Err(error) if self.placement.may_go_without && error.is_permission() => {
                    self.go_without(index, &error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            index = index.saturating_add(1);
        }
        if existing.is_empty() { Ok(()) } else { self.refuse_if_in_use(&existing) }
    }

    fn refuse_if_in_use(&self, existing: &[usize]) -> Result<()> {
        let mut pids = Vec::new();
        for index in existing {
            super::processes::collect(self.dir(*index)?, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        let count = pids.len();
        if count > 0 {
            return Err(Error::NotEmpty { count });
        }
        if self.frozen()? { Err(Error::Frozen) } else { Ok(()) }
    }

    /// Puts a process into all hierarchies. The writes follow each other at once: the first pays for a grace period
    /// of the kernel's read-copy-update, which those right behind it share.
    pub fn place(&mut self, pid: i32, resources: &LinuxResources) -> Result<()> {
        if let Some(unit) = &self.placement.unit {
            systemd::start(unit, self.placement.layout, pid, resources)?;
            for hierarchy in &self.placement.hierarchies {
                make_directory(hierarchy)?;
            }
        }
        self.give_realtime_budget(resources)?;
        // systemd has put it there itself, but only where cgroup2 is all there is.
        if self.placement.unit.is_none() || self.placement.layout != Kind::V2 {
            self.enter(pid, resources)?;
        }
        if let Some(owner) = self.placement.owner {
            delegate::hand_over(self, owner)?;
        }
        Ok(())
    }

    pub(super) fn give_realtime_budget(&self, resources: &LinuxResources) -> Result<()> {
        if let (Some(cpu), Some((index, Version::V1))) = (resources.cpu(), self.host("cpu")) {
            let realtime = v1::realtime(cpu);
            if !realtime.is_empty() {
                write::apply(self.dir(index)?, &realtime)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, pid: i32, resources: &LinuxResources) -> Result<()> {
        let mut files = Vec::new();
        let mut index = 0;
        while index < self.placement.hierarchies.len() {
            match self.dir(index).and_then(|dir| dir.open_file("cgroup.procs", OFlags::WRONLY)) {
                Ok(file) => files.push(file),
                Err(error) if self.placement.may_go_without && error.is_permission() => {
                    self.go_without(index, &error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            index = index.saturating_add(1);
        }
        let mut refused = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let entered = write_pid(file, pid);
            match entered {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP) => self.enter_threaded(index, pid, resources)?,
                Err(errno) => {
                    let path = self.dir(index)?.path().join("cgroup.procs");
                    let error = Error::Write { value: pid.to_string(), path, cause: errno.into() };
                    if !(self.placement.may_go_without && error.is_permission()) {
                        return Err(error);
                    }
                    refused.push((index, error));
                }
            }
        }
        for (index, error) in refused.into_iter().rev() {
            self.go_without(index, &error);
        }
        Ok(())
    }

    /// A cgroup2 below one that has processes is in an invalid state. As a threaded one it can be used after all,
    /// by whoever needs none of the controllers that count whole processes.
    fn enter_threaded(&self, index: usize, pid: i32, resources: &LinuxResources) -> Result<()> {
        let dir = self.dir(index)?;
        let state = dir.read_optional("cgroup.type")?.unwrap_or_default();
        let state = state.trim();
        let path = dir.path().display();
        let needs_domain = resources.memory().is_some()
            || resources.block_io().is_some()
            || resources.hugepage_limits().is_some()
            || resources.rdma().is_some();
        if needs_domain {
            return Err(Error::Invalid(if state == "domain invalid" {
                format!("cannot enter cgroupv2 {path:?} with domain controllers -- it is in an invalid state")
            } else {
                format!("cannot enter cgroupv2 {path:?} with domain controllers -- it is in {state} mode")
            }));
        }
        if state == "domain invalid" {
            dir.write("cgroup.type", "threaded")?;
        }
        dir.write("cgroup.procs", &pid.to_string())
    }
}

/// A process that was only just cloned may not be ready to be moved, and the kernel says EINVAL.
pub(crate) fn write_pid(file: &std::os::fd::OwnedFd, pid: i32) -> rustix::io::Result<()> {
    let pid = pid.to_string();
    let mut attempts = 5u8;
    loop {
        match super::dir::retry(|| rustix::io::write(file, pid.as_bytes())) {
            Err(Errno::INVAL) if attempts > 1 => {
                attempts = attempts.saturating_sub(1);
                std::thread::sleep(Duration::from_millis(30));
            }
            other => return other.map(drop),
        }
    }
}

/// `false` when it was there before. What the new cgroup needs before it can be used is done.
fn make_directory(hierarchy: &Hierarchy) -> Result<bool> {
    let made = make_path(&hierarchy.path, &hierarchy.mount)?;
    match hierarchy.version {
        Version::V1 if made && hierarchy.controllers.iter().any(|c| c == "cpuset") => {
            seed_cpuset(&hierarchy.path, &hierarchy.mount)?;
        }
        Version::V1 => {}
        Version::V2 => enable_controllers(hierarchy)?,
    }
    Ok(made)
}

fn make_path(path: &Path, mount: &Path) -> Result<bool> {
    let mode = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
    match rustix::fs::mkdir(path, mode) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) if path != mount => {
            let parent = path.parent().unwrap_or(mount);
            make_path(parent, mount)?;
            match rustix::fs::mkdir(path, mode) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(errno) => Err(Error::on("mkdir", path, errno)),
            }
        }
        Err(errno) => Err(Error::on("mkdir", path, errno)),
    }
}

/// Gives a cpuset that has none its parent's cpus and memory nodes, and the parent first if it has none either.
fn seed_cpuset(path: &Path, mount: &Path) -> Result<[String; 2]> {
    let dir = Dir::open(path)?;
    let mut values = [dir.read(CPUSET[0])?, dir.read(CPUSET[1])?];
    if path == mount || values.iter().all(|value| !value.trim().is_empty()) {
        return Ok(values);
    }
    let parents = seed_cpuset(path.parent().unwrap_or(mount), mount)?;
    for ((value, parent), file) in values.iter_mut().zip(parents).zip(CPUSET) {
        if value.trim().is_empty() {
            dir.write(file, parent.trim())?;
            *value = parent;
        }
    }
    Ok(values)
}

/// Hands every controller down to the new cgroup. One that cannot be (it is busy elsewhere, or not delegated to us)
/// is missed only by a limit that needs it, which then says so.
fn enable_controllers(hierarchy: &Hierarchy) -> Result<()> {
    if hierarchy.controllers.is_empty() || hierarchy.is_root() {
        return Ok(());
    }
    let parent = hierarchy.path.parent().unwrap_or(&hierarchy.mount);
    if missing_controllers(&Dir::open(parent)?, &hierarchy.controllers)?.is_empty() {
        return Ok(());
    }
    let below = parent.strip_prefix(&hierarchy.mount).unwrap_or(Path::new(""));
    let mut path = hierarchy.mount.clone();
    enable_in(&Dir::open(&path)?, &hierarchy.controllers)?;
    for component in below.components() {
        path.push(component);
        enable_in(&Dir::open(&path)?, &hierarchy.controllers)?;
    }
    Ok(())
}

fn missing_controllers<'a>(dir: &Dir, controllers: &'a [String]) -> Result<Vec<&'a str>> {
    let enabled = dir.read("cgroup.subtree_control")?;
    let is_missing = |controller: &&str| !enabled.split_whitespace().any(|c| c == *controller);
    Ok(controllers.iter().map(String::as_str).filter(is_missing).collect())
}

fn enable_in(dir: &Dir, controllers: &[String]) -> Result<()> {
    let missing = missing_controllers(dir, controllers)?;
    if missing.is_empty() {
        return Ok(());
    }
    let all = missing.iter().map(|controller| format!("+{controller}")).collect::<Vec<_>>();
    if dir.write("cgroup.subtree_control", &all.join(" ")).is_ok() {
        return Ok(());
    }
    for one in all {
        if let Err(error) = dir.write("cgroup.subtree_control", &one) {
            log::debug!("{}", compute::Error::from(error));
        }
    }
    Ok(())
}
