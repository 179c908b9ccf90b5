//! A contestant's control group: what ran in it, and what that cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Below this lies everything that is measured.
const TOP: &str = "cofferdam-bench";

/// The group of one contestant, in every hierarchy.
pub(crate) struct Group {
    /// As the interface names it: an absolute path in each hierarchy.
    path: String,
}

impl Group {
    /// Makes the groups `daemon` and `pods` of a contestant.
    pub(crate) fn make(name: &str) -> Result<Self> {
        let group = Self { path: format!("/{TOP}/{name}") };
        for hierarchy in hierarchies() {
            for part in ["daemon", "pods"] {
                let folder = folder(&hierarchy, &format!("{}/{part}", group.path));
                fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
                fill_cpuset(&hierarchy, &folder);
            }
        }
        Ok(group)
    }

    /// Where a process has to write its id to be charged to the daemon.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        hierarchies()
            .iter()
            .map(|hierarchy| folder(hierarchy, &self.path).join("daemon/cgroup.procs"))
            .collect()
    }

    /// The parent of a pod's containers.
    pub(crate) fn of_pod(&self, pod: &str) -> String {
        format!("{}/pods/{pod}", self.path)
    }

    /// What was spent in it so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let top = Path::new("/sys/fs/cgroup");
        let version_1 = top.join("cpuacct").join(self.path.trim_start_matches('/')).join("cpuacct.usage");
        if let Ok(text) = fs::read_to_string(&version_1) {
            let nanoseconds = text.trim().parse().with_context(|| format!("read {}", version_1.display()))?;
            return Ok(Duration::from_nanos(nanoseconds));
        }
        let file = folder(top, &self.path).join("cpu.stat");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let microseconds = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        let microseconds = microseconds.with_context(|| format!("{} tells no usage", file.display()))?;
        Ok(Duration::from_micros(microseconds.trim().parse().context("read the usage")?))
    }

    /// The daemon, its shims, and whatever else runs outside of containers.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        let of_one = |door: PathBuf| fs::read_to_string(door).unwrap_or_default();
        let text = self.doors().into_iter().map(of_one).find(|text| !text.is_empty()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Removes what the kubelet would remove: the parent of a pod's containers.
    pub(crate) fn remove(&self, path: &str) {
        for hierarchy in hierarchies() {
            // A hierarchy that the runtime does not use has no such folder.
            let _ = fs::remove_dir(folder(&hierarchy, path));
        }
    }

    /// Removes all of it.
    pub(crate) fn dissolve(&self) {
        for part in ["/pods", "/daemon", ""] {
            self.remove(&format!("{}{part}", self.path));
        }
        self.remove(&format!("/{TOP}"));
    }
}

/// The roots of all hierarchies that have controllers.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return vec![top.to_owned()];
    }
    let folders = fs::read_dir(top).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = folders
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|folder| folder.join("cgroup.procs").exists())
        .collect();
    found.sort();
    found
}

fn folder(hierarchy: &Path, path: &str) -> PathBuf {
    hierarchy.join(path.trim_start_matches('/'))
}

/// A new group of version 1's cpuset takes nobody in until it has processors and memory.
fn fill_cpuset(hierarchy: &Path, leaf: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(all) = fs::read_to_string(hierarchy.join(file)) else { continue };
        let below = leaf.ancestors().take_while(|folder| *folder != hierarchy);
        let mut below: Vec<&Path> = below.collect();
        below.reverse();
        for folder in below {
            let _ = fs::write(folder.join(file), all.trim());
        }
    }
}
