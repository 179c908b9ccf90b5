//! Finds, joins and signals the processes of a container.

use super::Cgroup;
use super::dir::{Dir, absent_as_none};
use super::error::{Error, Result};
use super::layout::{Kind, Membership, Mount, Version};
use super::make::write_pid;
use super::systemd;
use crate::sys::signals;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

const SIGKILL: i32 = 9;
/// How long killed processes may take to be gone: a core dump or a device can hold one.
const PATIENCE: Duration = Duration::from_secs(10);

/// `exec --cgroup [controllers:]path`: below the container's cgroup, for these controllers or for all.
pub type SubCgroup = (Vec<String>, String);

/// Where in one hierarchy a process goes.
pub(super) struct Target {
    pub(super) index: usize,
    /// The cgroup below the container's, if it is not the container's itself.
    pub(super) below: Option<PathBuf>,
    /// Asked for by name, so that it must be there.
    pub(super) explicit: bool,
}

/// Reads the values of `--cgroup`.
pub fn parse_sub_cgroups(values: &[String]) -> Result<Vec<SubCgroup>> {
    let mut seen: Vec<String> = Vec::new();
    let mut parsed = Vec::new();
    for value in values {
        let Some((controllers, path)) = value.split_once(':') else {
            if values.len() != 1 {
                return Err(Error::Invalid(format!(
                    "invalid --cgroup argument: {value} (missing <controller>: prefix)"
                )));
            }
            parsed.push((vec![], value.clone()));
            continue;
        };
        let controllers: Vec<String> = controllers.split(',').map(str::to_owned).collect();
        for controller in &controllers {
            if controller.is_empty() {
                return Err(Error::Invalid(format!(
                    "invalid --cgroup argument: {value} (empty <controller> prefix)"
                )));
            }
            if seen.contains(controller) {
                return Err(Error::Invalid(format!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                )));
            }
            seen.push(controller.clone());
        }
        parsed.push((controllers, path.to_owned()));
    }
    Ok(parsed)
}

impl Cgroup {
    /// Adds a process, as exec does. Without a sub-cgroup a cgroup2 that the container has divided among cgroups of
    /// its own takes no processes any more; then the one that `init` is in is joined.
    pub fn join(&self, pid: i32, sub: &[SubCgroup], init: Option<i32>) -> Result<()> {
        let joined = match (self.join_each(pid, sub, init), &self.placement.unit) {
            // From outside of the user's own subtree nobody but systemd may bring a process into it.
            (Err(error), Some(unit)) if error.is_permission() && sub.is_empty() => systemd::attach(unit, pid),
            (Err(error), None) if error.is_permission() && self.placement.may_go_without => {
                log::warn!("process {pid} stays in the caller's cgroup: {}", compute::Error::from(error));
                Ok(())
            }
            (joined, _) => joined,
        };
        joined.map_err(|error| error.context(format!("error adding pid {pid} to cgroups")))
    }

    fn join_each(&self, pid: i32, sub: &[SubCgroup], init: Option<i32>) -> Result<()> {
        let mut files = Vec::new();
        for target in self.targets(sub)? {
            let opened = match &target.below {
                Some(path) => open_procs(path),
                None => self.dir(target.index).and_then(|dir| dir.open_file("cgroup.procs", OFlags::WRONLY)),
            };
            match opened {
                Ok(file) => files.push((target, file)),
                // A hierarchy whose cgroup is gone does not keep the process from the others, as long as nobody
                // asked for it: the container's processes are where the rest is.
                Err(error)
                    if error.is_errno(Errno::NOENT)
                        && !target.explicit
                        && self.placement.layout != Kind::V2 => {}
                Err(error) => return Err(error),
            }
        }
        for (target, file) in files {
            match (write_pid(&file, pid), init) {
                (Err(Errno::BUSY | Errno::OPNOTSUPP), Some(init)) if !target.explicit => {
                    self.join_where(target.index, init, pid)
                }
                (result, _) => result.map_err(|errno| self.refused(target.index, pid, errno)),
            }?;
        }
        Ok(())
    }

    /// Where in each hierarchy a further process goes.
    pub(super) fn targets(&self, sub: &[SubCgroup]) -> Result<Vec<Target>> {
        let unknown = sub.iter().flat_map(|(controllers, _)| controllers).find(|c| !self.has_controller(c));
        if let Some(controller) = unknown {
            return Err(Error::Invalid(format!("unknown controller {controller} in SubCgroupPaths")));
        }
        let escapes = |path: &str| Path::new(path).components().any(|c| c == Component::ParentDir);
        if let Some((_, path)) = sub.iter().find(|(_, path)| escapes(path)) {
            return Err(Error::Invalid(format!("bad sub cgroup path: {path}")));
        }
        let target = |(index, hierarchy): (usize, &super::Hierarchy)| {
            let entry = sub.iter().find(|(controllers, _)| {
                controllers.is_empty() || controllers.iter().any(|c| hierarchy.controllers.contains(c))
            });
            let below = super::layout::clean(Path::new(entry.map_or("", |(_, path)| path.as_str())));
            let below = (!below.as_os_str().is_empty()).then(|| hierarchy.path.join(below));
            Target { index, below, explicit: entry.is_some() }
        };
        Ok(self.placement.hierarchies.iter().enumerate().map(target).collect())
    }

    fn has_controller(&self, controller: &str) -> bool {
        self.placement.hierarchies.iter().any(|h| h.controllers.iter().any(|c| c == controller))
    }

    fn refused(&self, index: usize, pid: i32, errno: Errno) -> Error {
        let path =
            self.placement.hierarchies.get(index).map(|h| h.path.join("cgroup.procs")).unwrap_or_default();
        Error::Write { value: pid.to_string(), path, cause: errno.into() }
    }

    fn join_where(&self, index: usize, other: i32, pid: i32) -> Result<()> {
        let Some(hierarchy) = self.placement.hierarchies.get(index).filter(|h| h.version == Version::V2)
        else {
            return Err(self.refused(index, pid, Errno::BUSY));
        };
        let mount = Mount {
            version: hierarchy.version,
            controllers: vec![],
            point: hierarchy.mount.clone(),
            root: "/".into(),
        };
        let path = hierarchy.mount.join(Membership::of(&other.to_string())?.below(&mount));
        write_pid(&open_procs(&path)?, pid).map_err(|errno| self.refused(index, pid, errno))
    }

    /// Every process of the container, in cgroups that it made below its own too.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        if let Some(dir) = self.primary()? {
            collect(dir, &mut pids)?;
        }
        Ok(pids)
    }

    /// The cgroup whose processes count as the container's: those of version 1 hold the same ones.
    fn primary(&self) -> Result<Option<&Dir>> {
        let preferred = ["devices", "freezer", "pids", "memory"];
        let index = preferred.iter().find_map(|c| self.host(c)).map_or(0, |(index, _)| index);
        if self.placement.hierarchies.is_empty() {
            return Ok(None);
        }
        absent_as_none(self.dir(index))
    }

    /// Signals every process, also those that appear meanwhile. With SIGKILL it thaws what is frozen and returns
    /// when no process is left; other signals leave a frozen container frozen, and it gets them when it is thawed.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if self.primary()?.is_none() || self.placement.hierarchies.iter().any(super::Hierarchy::is_root) {
            return Ok(());
        }
        if signal != SIGKILL {
            return self.signal_still(signal);
        }
        let deadline = Instant::now().checked_add(PATIENCE);
        let mut pause = Duration::from_micros(50);
        loop {
            self.kill_once()?;
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                return Err(Error::Timeout(format!("{} process(es) do not end after SIGKILL", left.len())));
            }
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(Duration::from_millis(10));
        }
    }

    fn kill_once(&self) -> Result<()> {
        if !self.kill_by_kernel()? {
            // Held still, they cannot have children that nobody sees.
            if let Err(error) = self.freeze() {
                log::debug!("{}", compute::Error::from(error));
            }
            let signalled = signal_each(&self.processes()?, SIGKILL);
            return self.thaw_if_there().and(signalled);
        }
        if self.placement.layout == Kind::V2 {
            return Ok(());
        }
        // Version 1 may have frozen them, and may hold a process that cgroup2 does not.
        self.thaw_if_there()?;
        signal_each(&self.processes()?, SIGKILL)
    }

    fn thaw_if_there(&self) -> Result<()> {
        if self.host("freezer").is_some() { absent_as_none(self.thaw()).map(drop) } else { Ok(()) }
    }

    /// cgroup2 kills all at once, since Linux 5.14; beside version 1 too.
    fn kill_by_kernel(&self) -> Result<bool> {
        let unified = self.placement.hierarchies.iter().position(|h| h.version == Version::V2);
        let Some(index) = unified else { return Ok(false) };
        let Some(dir) = absent_as_none(self.dir(index))? else { return Ok(false) };
        match absent_as_none(dir.write("cgroup.kill", "1")) {
            // A threaded cgroup cannot be killed as a whole.
            Err(error) if error.is_errno(Errno::OPNOTSUPP) => Ok(false),
            killed => killed.map(|killed| killed.is_some()),
        }
    }

    fn signal_still(&self, signal: i32) -> Result<()> {
        let was_frozen = self.frozen()?;
        if !was_frozen && let Err(error) = self.freeze() {
            log::debug!("{}", compute::Error::from(error));
        }
        let signalled = self.processes().and_then(|pids| signal_each(&pids, signal));
        if was_frozen { signalled } else { self.thaw_if_there().and(signalled) }
    }
}

fn open_procs(path: &Path) -> Result<std::os::fd::OwnedFd> {
    let file = path.join("cgroup.procs");
    super::dir::retry(|| rustix::fs::open(&file, OFlags::WRONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty()))
        .map_err(|errno| Error::on("open", &file, errno))
}

/// Of a cgroup and all below it.
pub(super) fn collect(dir: &Dir, pids: &mut Vec<i32>) -> Result<()> {
    let procs = match absent_as_none(dir.read("cgroup.procs")) {
        Ok(Some(procs)) => procs,
        Ok(None) => return Ok(()),
        // A threaded cgroup lists threads; its processes are listed by the domain above it.
        Err(error) if error.is_errno(Errno::OPNOTSUPP) => String::new(),
        Err(error) => return Err(error),
    };
    pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in dir.children()? {
        if let Some(child) = Dir::open_optional(&child)? {
            collect(&child, pids)?;
        }
    }
    Ok(())
}

fn signal_each(pids: &[i32], number: i32) -> Result<()> {
    let mut errors = Vec::new();
    // Zero is a process of another PID namespace than ours.
    for pid in pids.iter().filter(|pid| **pid > 0) {
        match signals::kill(*pid, number) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            Err(error) => errors.push(Error::io(format!("send signal {number} to process {pid}"), error)),
            Ok(()) => {}
        }
    }
    Error::collect(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_cgroups_are_read_as_runc_reads_them() {
        let parse = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
            parse_sub_cgroups(&values).map_err(|e| e.to_string())
        };
        assert_eq!(parse(&["x/y"]), Ok(vec![(vec![], "x/y".into())]));
        assert_eq!(
            parse(&["cpu,memory:a", "pids:b"]),
            Ok(vec![(vec!["cpu".into(), "memory".into()], "a".into()), (vec!["pids".into()], "b".into())])
        );
        for (values, text) in [
            (&["a", "cpu:b"][..], "invalid --cgroup argument: a (missing <controller>: prefix)"),
            (&[":b"], "invalid --cgroup argument: :b (empty <controller> prefix)"),
            (&["cpu:a", "cpu:b"], "invalid --cgroup argument(s): controller cpu specified multiple times"),
        ] {
            assert_eq!(parse(values), Err(text.to_owned()));
        }
    }
}
