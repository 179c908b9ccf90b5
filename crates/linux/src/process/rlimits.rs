//! Resource limits.
//!
//! Raising a hard limit needs CAP_SYS_RESOURCE in the *initial* user namespace, so with a user namespace of its own
//! init cannot do it: the runtime sets the limits of init from outside, by pid, as the last thing before the container
//! is let go. Earlier would starve init itself (a low RLIMIT_NOFILE) while it still has to open things.

use super::error::Error;
use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde::{Deserialize, Serialize};

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub kind: PosixRlimitType,
    /// What is enforced; `u64::MAX` is no limit.
    pub soft: u64,
    /// Up to where the process itself may raise it.
    pub hard: u64,
}

/// Checks the limits: each kind once, soft within hard.
pub(crate) fn plan(wanted: &[PosixRlimit]) -> Result<Vec<Limit>, Error> {
    let mut limits: Vec<Limit> = Vec::with_capacity(wanted.len());
    for limit in wanted {
        let (kind, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
        if soft > hard {
            return Err(Error::invalid(format!(
                "process.rlimits: {kind}: soft limit {soft} is above hard limit {hard}"
            )));
        }
        if limits.iter().any(|earlier| earlier.kind == kind) {
            return Err(Error::invalid(format!("process.rlimits: {kind} is given more than once")));
        }
        limits.push(Limit { kind, soft, hard });
    }
    Ok(limits)
}

/// Sets the limits of a process, or of the calling one.
pub fn apply(pid: Option<Pid>, limits: &[Limit]) -> Result<(), Error> {
    for limit in limits {
        let new = Rlimit { current: finite(limit.soft), maximum: finite(limit.hard) };
        if let Err(errno) = prlimit(pid, resource(limit.kind), new) {
            return Err(refused(limit, errno));
        }
    }
    Ok(())
}

fn refused(limit: &Limit, errno: Errno) -> Error {
    let Limit { kind, soft, hard } = limit;
    let value = |n: u64| if n == u64::MAX { "unlimited".to_owned() } else { n.to_string() };
    let hint = match errno {
        Errno::PERM => {
            let now = getrlimit(resource(*kind)).maximum.unwrap_or(u64::MAX);
            format!(" (the hard limit here is {}; raising it needs CAP_SYS_RESOURCE)", value(now))
        }
        _ => String::new(),
    };
    Error::system(format!("set rlimit {kind} to soft {}, hard {}{hint}", value(*soft), value(*hard)))(errno)
}

fn finite(limit: u64) -> Option<u64> {
    (limit != u64::MAX).then_some(limit)
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(json: &str) -> Result<Vec<Limit>, String> {
        plan(&serde_json::from_str::<Vec<PosixRlimit>>(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_limit_is_named() {
        assert_eq!(
            limits(r#"[{"type":"RLIMIT_NOFILE","soft":5,"hard":3}]"#).unwrap_err(),
            "process.rlimits: RLIMIT_NOFILE: soft limit 5 is above hard limit 3"
        );
        assert_eq!(
            limits(r#"[{"type":"RLIMIT_CORE"},{"type":"RLIMIT_CORE"}]"#).unwrap_err(),
            "process.rlimits: RLIMIT_CORE is given more than once"
        );
    }
}
