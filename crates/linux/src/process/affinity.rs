//! On which processors it runs.
//!
//! The first process of a container has whatever its control group allows; one that joins can be told, because it may
//! otherwise disturb processors that the container has set aside.

use super::error::Error;
use super::list_format;
use oci_spec::runtime::ExecCPUAffinity;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// Processors for a process that joins a container: those it starts on, and those it is left with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affinity {
    /// From its creation until it is in the container's control group.
    pub initial: Option<Vec<u64>>,
    /// Afterwards.
    pub last: Option<Vec<u64>>,
}

pub(crate) fn plan(wanted: &ExecCPUAffinity) -> Result<Affinity, Error> {
    let set = |field: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => list_format::parse(text)
            .map(Some)
            .map_err(|why| Error::invalid(format!("bad CPUAffinity.{field}: {why}"))),
    };
    Ok(Affinity {
        initial: set("Initial", wanted.initial())?,
        last: set("Final", wanted.cpu_affinity_final())?,
    })
}

/// Confines a process, or the calling one, to these processors.
pub fn set(pid: Option<Pid>, processors: &[u64]) -> Result<(), Error> {
    let mut set = CpuSet::new();
    list_format::members(processors).filter(|n| *n < CpuSet::MAX_CPU).for_each(|n| set.set(n));
    sched_setaffinity(pid, &set).map_err(Error::system("error setting CPU affinity"))
}

/// Lets a process use whatever its control group allows, instead of what the runtime was itself confined to: since
/// Linux 6.2 joining a cpuset no longer resets it. The kernel cuts the full set down by itself. A refusal leaves the
/// process as it was, which is a warning, as in runc.
pub fn reset(pid: Option<Pid>) {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|n| all.set(n));
    if let Err(errno) = sched_setaffinity(pid, &all) {
        log::warn!("resetting the CPU affinity failed, the process keeps that of the runtime: {errno}");
    }
}
