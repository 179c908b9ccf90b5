//! What the record keeps of a container for this backend.

use crate::cgroup::{Cgroup, Placement, rdt};
use serde::{Deserialize, Serialize};

/// Enough to find and to undo all that was made, in any later process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// How far the creation came.
    pub(crate) stage: Stage,
    /// The control groups.
    pub(crate) cgroup: Placement,
    /// The class of cache and memory bandwidth, when the bundle asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rdt: Option<rdt::Class>,
    /// The first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<InitProcess>,
    /// Kinds of namespaces (`CLONE_NEW*`) that the bundle lists.
    pub(crate) namespaces: u32,
    /// Whether it has a PID namespace that ends with its first process.
    pub(crate) own_pid_namespace: bool,
    /// Whether its mounts are the host's, and remain when its processes are gone.
    pub(crate) host_mounts: bool,
    /// Whether hooks are to be run after the start.
    pub(crate) poststart: bool,
    /// Whether hooks are to be run after the deletion.
    pub(crate) poststop: bool,
}

impl Saved {
    /// The control groups, to act on.
    pub(crate) fn cgroup(&self) -> Cgroup {
        Cgroup::open(self.cgroup.clone())
    }
}

/// How far a creation came, so that a deletion does not touch what was never ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Decided; nothing is made.
    Planned,
    /// The control groups are ours: they were empty or new. Processes in them are the container's.
    Prepared,
}

/// A process, told apart from a later one of the same id by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitProcess {
    /// Its id.
    pub pid: i32,
    /// Field 22 of /proc/pid/stat: clock ticks after boot.
    pub start_time: u64,
}
