//! What the host has: processes, mounts, namespaces, sockets, shared memory. Looked at, never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The process ids that /proc lists.
pub(crate) fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Processes whose environment has this entry. Containers of a story and the runtimes it calls are marked so; a
/// process that is dead but not yet reaped has no environment any more.
pub(crate) fn marked(entry: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
        })
    };
    processes().into_iter().filter(has).collect()
}

/// Processes that write to a file below the folder: also one whose environment is already, or still, empty.
pub(crate) fn writing_below(folder: &Path) -> Vec<i32> {
    let does = |pid: &i32| {
        let streams = [1, 2].map(|fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")));
        streams.iter().flatten().any(|to| to.starts_with(folder))
    };
    processes().into_iter().filter(does).collect()
}

/// The processes below a process.
pub(crate) fn descendants(of: i32) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> =
        processes().into_iter().filter_map(|pid| Some((pid, stat_field(pid, 4)?.parse().ok()?))).collect();
    let mut below = vec![of];
    let mut at = 0;
    while let Some(parent) = below.get(at).copied() {
        below.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    below.split_off(1)
}

/// A field of /proc/PID/stat by its number in proc(5), from the third on.
pub(crate) fn stat_field(pid: i32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit_once(") ")?.1;
    after.split(' ').nth(number - 3).map(str::to_owned)
}

/// A line of /proc/PID/status.
pub(crate) fn status_field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}

/// The identity of a namespace of a process, such as `net:[4026531840]`.
pub(crate) fn namespace(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}"))
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Mount points of the suite's own mount namespace at or below a path.
pub(crate) fn mounts_below(path: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = path.to_string_lossy();
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| {
            point.strip_prefix(path.as_ref()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .map(str::to_owned)
        .collect()
}

/// What must not grow when a story ends where it began.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Snapshot {
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) cgroups: usize,
    pub(crate) processes: usize,
    pub(crate) zombies: usize,
    pub(crate) unix_sockets: usize,
    pub(crate) shared_memory: BTreeSet<String>,
    pub(crate) keys: usize,
    pub(crate) network_devices: BTreeSet<String>,
    pub(crate) run: BTreeSet<String>,
    pub(crate) own_descriptors: usize,
}

impl Snapshot {
    /// Takes one of the whole host.
    pub(crate) fn take() -> Self {
        let pids = processes();
        let kinds = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"];
        let namespaces = pids
            .iter()
            .flat_map(|pid| kinds.iter().map(move |kind| namespace(*pid, kind)))
            .filter(|name| !name.is_empty())
            .collect();
        let lines = |path: &str| fs::read_to_string(path).unwrap_or_default().lines().count();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            mounts: mounts.lines().map(str::to_owned).collect(),
            namespaces,
            cgroups: crate::cgroups::mount_points().iter().map(|(at, _)| count_folders(at)).sum(),
            processes: pids.len(),
            zombies: pids.iter().filter(|pid| stat_field(**pid, 3).as_deref() == Some("Z")).count(),
            unix_sockets: lines("/proc/net/unix"),
            shared_memory: names("/dev/shm"),
            keys: lines("/proc/keys"),
            network_devices: names("/sys/class/net"),
            run: names("/run"),
            own_descriptors: names("/proc/self/fd").len(),
        }
    }

    /// What is more than before, in words. What other programs of the host do comes and goes; what a story leaves
    /// behind in every cycle does not, and the world of a story is looked at more closely when it ends.
    pub(crate) fn growth_since(&self, before: &Self) -> Vec<String> {
        const OTHERS: usize = 24;
        let mut grown = Vec::new();
        let mut counts = |what: &str, now: usize, then: usize, slack: usize| {
            if now > then + slack {
                grown.push(format!("{what}: {then} before, {now} now"));
            }
        };
        counts("mounts", self.mounts.len(), before.mounts.len(), 0);
        counts("namespaces", self.namespaces.len(), before.namespaces.len(), OTHERS);
        counts("shared memory", self.shared_memory.len(), before.shared_memory.len(), 0);
        counts("network devices", self.network_devices.len(), before.network_devices.len(), 2);
        counts("/run", self.run.len(), before.run.len(), 4);
        counts("cgroups", self.cgroups, before.cgroups, OTHERS);
        counts("processes", self.processes, before.processes, OTHERS);
        counts("zombies", self.zombies, before.zombies, OTHERS);
        counts("unix sockets", self.unix_sockets, before.unix_sockets, OTHERS);
        counts("keys", self.keys, before.keys, OTHERS);
        counts("descriptors of the suite", self.own_descriptors, before.own_descriptors, 0);
        grown
    }
}

fn names(folder: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn count_folders(at: &Path) -> usize {
    let Ok(entries) = fs::read_dir(at) else { return 0 };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|folder| 1 + count_folders(&folder.path())).sum()
}
