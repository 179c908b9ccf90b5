//! The seccomp filter: which system calls the container may make.
//!
//! | step      | where          | what                                                                       |
//! |-----------|----------------|----------------------------------------------------------------------------|
//! | [`filter`]  | runtime      | the profile becomes a BPF program: compiled by libseccomp, or from the cache |
//! | [`load`]    | init         | the kernel takes the program by one seccomp(2)                             |
//! | [`notify`]  | runtime      | whoever answers notifications is sent the descriptor and the state         |
//!
//! Compiling takes libseccomp milliseconds for a profile of usual size, a good part of what a container's creation
//! costs; so it is done once per content (the cache), and never in init.

mod cache;
mod compile;
mod enosys;
mod names;
pub mod notify;

pub use names::{actions, architectures, flags, operators, supported_flags};

use super::error::Error;
use crate::sys::seccomp::{self as sys, Instruction};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The version of libseccomp that this was built with, as `features` and `--version` report it.
pub fn libseccomp_version() -> Option<String> {
    let version = libseccomp::ScmpVersion::current().ok()?;
    Some(format!("{}.{}.{}", version.major, version.minor, version.micro))
}

/// A filter, ready to be loaded. The program travels to init on its own, not inside the JSON of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Instructions of 8 bytes, in the machine's byte order.
    #[serde(skip)]
    pub program: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*`.
    flags: u32,
    /// Who answers notifications.
    listener: Option<Listener>,
}

/// Who answers the notifications of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// A socket on the host.
    pub path: PathBuf,
    /// What the listener is told besides the state.
    pub metadata: Option<String>,
}

/// The filter for a profile; `cache` is the folder of compiled ones.
pub fn filter(profile: &LinuxSeccomp, cache: Option<&Path>) -> Result<Filter, Error> {
    let mut filter = describe(profile)?;
    filter.program = match cache {
        Some(folder) => cache::program(profile, folder)?,
        None => compile::program(profile)?,
    };
    Ok(filter)
}

/// Everything about the filter but its program.
pub(crate) fn describe(profile: &LinuxSeccomp) -> Result<Filter, Error> {
    let notifies = notifies(profile)?;
    let listener = match (notifies, profile.listener_path()) {
        (false, _) => None,
        (true, Some(path)) => {
            Some(Listener { path: path.clone(), metadata: profile.listener_metadata().clone() })
        }
        (true, None) => return Err(Error::invalid("seccomp listenerPath is not set")),
    };
    Ok(Filter { program: Vec::new(), flags: load_flags(profile, notifies), listener })
}

impl Filter {
    /// Who answers notifications, if the filter makes any.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }
}

/// Applies the filter to the calling process. The result is the descriptor on which notifications arrive, if the
/// filter makes any: whoever holds it must be reached with the system calls that the filter leaves, and write(2) is
/// the only one that cannot be notified about.
pub fn load(filter: &Filter) -> Result<Option<OwnedFd>, Error> {
    let program = instructions(&filter.program).ok_or_else(|| {
        Error::invalid(format!("a seccomp program of {} bytes is none", filter.program.len()))
    })?;
    sys::load(&program, filter.flags)
        .map_err(Error::system("unable to init seccomp: error loading seccomp filter"))
}

fn instructions(program: &[u8]) -> Option<Vec<Instruction>> {
    let (instructions, rest) = program.as_chunks::<8>();
    if instructions.is_empty() || !rest.is_empty() {
        return None;
    }
    let decode = |[a, b, jump_true, jump_false, c, d, e, f]: &[u8; 8]| Instruction {
        code: u16::from_ne_bytes([*a, *b]),
        jump_true: *jump_true,
        jump_false: *jump_false,
        operand: u32::from_ne_bytes([*c, *d, *e, *f]),
    };
    Some(instructions.iter().map(decode).collect())
}

/// Whether any rule notifies; refuses what could never work, in runc's words.
fn notifies(profile: &LinuxSeccomp) -> Result<bool, Error> {
    use LinuxSeccompAction::ScmpActNotify;
    if profile.default_action() == ScmpActNotify {
        return Err(Error::invalid("SCMP_ACT_NOTIFY cannot be used as default action"));
    }
    let mut rules =
        profile.syscalls().iter().flatten().filter(|rule| rule.action() == ScmpActNotify).peekable();
    let notifies = rules.peek().is_some();
    // Init writes to the runtime which descriptor to take, before anybody could answer a notification about it.
    if rules.any(|rule| rule.names().iter().any(|name| name == "write")) {
        return Err(Error::invalid("SCMP_ACT_NOTIFY cannot be used for the write syscall"));
    }
    Ok(notifies)
}

/// No flags at all stands for SPEC_ALLOW, as in runc: the mitigation costs much and is rarely meant.
fn load_flags(profile: &LinuxSeccomp, notifies: bool) -> u32 {
    use LinuxSeccompFilterFlag as F;
    let mut flags = match profile.flags() {
        None if sys::knows_flag(sys::FLAG_SPEC_ALLOW) => sys::FLAG_SPEC_ALLOW,
        None => 0,
        Some(flags) => flags.iter().fold(0, |bits, flag| {
            bits | match flag {
                F::SeccompFilterFlagLog => sys::FLAG_LOG,
                F::SeccompFilterFlagSpecAllow => sys::FLAG_SPEC_ALLOW,
                // Init has one thread; and the flag excludes a listener.
                F::SeccompFilterFlagTsync => 0,
                F::SeccompFilterFlagWaitKillableRecv if notifies => sys::FLAG_WAIT_KILLABLE_RECV,
                F::SeccompFilterFlagWaitKillableRecv => 0,
            }
        }),
    };
    if notifies {
        flags |= sys::FLAG_NEW_LISTENER;
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe_json(json: &str) -> Result<Filter, String> {
        describe(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_what_runc_makes_of_them() {
        let flags = |json| describe_json(json).unwrap().flags;
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#), sys::FLAG_SPEC_ALLOW);
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#), 0);
        let all = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#;
        assert_eq!(flags(all), sys::FLAG_LOG | sys::FLAG_SPEC_ALLOW);
    }

    #[test]
    fn notification_needs_a_listener_and_leaves_write_alone() {
        let rule = |name: &str, listener: &str| {
            describe_json(&format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","flags":[]{listener},
                    "syscalls":[{{"names":["{name}"],"action":"SCMP_ACT_NOTIFY"}}]}}"#
            ))
        };
        let listener = r#","listenerPath":"/l","listenerMetadata":"m""#;
        let filter = rule("mkdir", listener).unwrap();
        assert_eq!(filter.flags, sys::FLAG_NEW_LISTENER);
        assert_eq!(filter.listener.unwrap().metadata.unwrap(), "m");
        assert_eq!(rule("mkdir", "").unwrap_err(), "seccomp listenerPath is not set");
        assert_eq!(
            rule("write", listener).unwrap_err(),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall"
        );
        assert_eq!(
            describe_json(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).unwrap_err(),
            "SCMP_ACT_NOTIFY cannot be used as default action"
        );
    }

    #[test]
    fn what_is_no_program_is_not_loaded() {
        let filter = |program| Filter { program, flags: 0, listener: None };
        assert!(load(&filter(Vec::new())).is_err());
        assert!(load(&filter(vec![0; 9])).is_err());
    }
}
