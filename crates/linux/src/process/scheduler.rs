//! When the process runs.

use super::error::Error;
use crate::sys::sched::{SchedAttr, sched_setattr};
use oci_spec::runtime::{LinuxSchedulerFlag, LinuxSchedulerPolicy, Scheduler as SchedulerSpec};
use serde::{Deserialize, Serialize};

/// The arguments of sched_setattr(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    /// Whether the container is confined to some processors, which explains one refusal.
    confined: bool,
}

pub(crate) fn plan(wanted: &SchedulerSpec, confined: bool) -> Result<Scheduler, Error> {
    use LinuxSchedulerPolicy as P;
    let policy = *wanted.policy();
    let nice = wanted.nice().unwrap_or(0);
    let priority = wanted.priority().unwrap_or(0);
    let deadline = [wanted.runtime(), wanted.deadline(), wanted.period()].map(|time| time.unwrap_or(0));
    if matches!(policy, P::SchedOther | P::SchedBatch) && !(-20..=19).contains(&nice) {
        return Err(Error::invalid(format!(
            "invalid scheduler.nice: {nice} when scheduler.policy is {policy}"
        )));
    }
    if priority != 0 && !matches!(policy, P::SchedFifo | P::SchedRr) {
        return Err(Error::invalid(
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ));
    }
    if policy != P::SchedDeadline && deadline != [0; 3] {
        return Err(Error::invalid(
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ));
    }
    let priority = u32::try_from(priority)
        .map_err(|_| Error::invalid(format!("invalid scheduler.priority: {priority}")))?;
    let [runtime, deadline, period] = deadline;
    let flags = wanted.flags().iter().flatten().fold(0, |flags, flag| flags | flag_bit(*flag));
    Ok(Scheduler {
        policy: policy_number(policy),
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
        confined,
    })
}

fn policy_number(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    }
}

fn flag_bit(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// Gives the calling process its scheduling policy.
pub fn set(wanted: &Scheduler) -> Result<(), Error> {
    let attr = SchedAttr {
        policy: wanted.policy,
        flags: wanted.flags,
        nice: wanted.nice,
        priority: wanted.priority,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
        ..SchedAttr::default()
    };
    sched_setattr(&attr).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM) if wanted.confined => {
            Error::system("process scheduler can't be used together with AllowedCPUs")(error)
        }
        _ => Error::system("error setting scheduler")(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(json: &str) -> Result<Scheduler, String> {
        plan(&serde_json::from_str(json).unwrap(), false).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scheduler_becomes_numbers() {
        let json = r#"{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_RECLAIM","SCHED_RESET_ON_FORK"],
            "runtime":1,"deadline":2,"period":3}"#;
        let planned = scheduler(json).unwrap();
        assert_eq!((planned.policy, planned.flags, planned.period), (6, 3, 3));
    }

    #[test]
    fn scheduler_rules_are_runcs() {
        for (json, text) in [
            (
                r#"{"policy":"SCHED_BATCH","nice":-21}"#,
                "invalid scheduler.nice: -21 when scheduler.policy is SCHED_BATCH",
            ),
            (
                r#"{"policy":"SCHED_OTHER","priority":1}"#,
                "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
            ),
            (
                r#"{"policy":"SCHED_FIFO","priority":1,"period":1}"#,
                "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
            ),
        ] {
            assert_eq!(scheduler(json).unwrap_err(), text);
        }
    }
}
