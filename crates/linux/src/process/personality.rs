//! The execution domain: what uname(2) says, and a few old habits of memory layout.

use super::error::Error;
use crate::sys::sched;
use oci_spec::runtime::{LinuxPersonality, LinuxPersonalityDomain};

const PER_LINUX: u32 = 0x0000;
const PER_LINUX32: u32 = 0x0008;

pub(crate) fn plan(wanted: &LinuxPersonality) -> u32 {
    if wanted.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        log::warn!(
            "ignoring unsupported personality flags: {:?} because personality flag has not supported at this time",
            wanted.flags()
        );
    }
    match wanted.domain() {
        LinuxPersonalityDomain::PerLinux => PER_LINUX,
        LinuxPersonalityDomain::PerLinux32 => PER_LINUX32,
    }
}

/// Gives the calling process its execution domain.
pub fn set(domain: u32) -> Result<(), Error> {
    sched::personality(domain).map_err(Error::system(format!("set personality to {domain:#x}")))
}
