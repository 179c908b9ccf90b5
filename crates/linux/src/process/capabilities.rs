//! Capabilities: which of root's powers the process keeps.
//!
//! Changing the user in the middle is what makes this delicate: setuid(2) clears the permitted, effective and ambient
//! sets, and only a process that still has CAP_SETPCAP may shrink its bounding set. Hence two steps around it:
//! [`drop_bounding`] before, with keep-caps set by the caller, and [`apply`] after.

use super::error::Error;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use serde::{Deserialize, Serialize};
use std::fs;

/// The five sets, a bit for each capability by its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {
    /// What may ever be gained.
    pub bounding: u64,
    /// What is in force.
    pub effective: u64,
    /// What survives execve(2) of a file that has it inheritable too.
    pub inheritable: u64,
    /// What may be put in force.
    pub permitted: u64,
    /// What survives execve(2) of an ordinary file.
    pub ambient: u64,
}

/// Every capability, at the place of its number.
const NAMES: [(Capability, &str); 41] = [
    (Capability::Chown, "CAP_CHOWN"),
    (Capability::DacOverride, "CAP_DAC_OVERRIDE"),
    (Capability::DacReadSearch, "CAP_DAC_READ_SEARCH"),
    (Capability::Fowner, "CAP_FOWNER"),
    (Capability::Fsetid, "CAP_FSETID"),
    (Capability::Kill, "CAP_KILL"),
    (Capability::Setgid, "CAP_SETGID"),
    (Capability::Setuid, "CAP_SETUID"),
    (Capability::Setpcap, "CAP_SETPCAP"),
    (Capability::LinuxImmutable, "CAP_LINUX_IMMUTABLE"),
    (Capability::NetBindService, "CAP_NET_BIND_SERVICE"),
    (Capability::NetBroadcast, "CAP_NET_BROADCAST"),
    (Capability::NetAdmin, "CAP_NET_ADMIN"),
    (Capability::NetRaw, "CAP_NET_RAW"),
    (Capability::IpcLock, "CAP_IPC_LOCK"),
    (Capability::IpcOwner, "CAP_IPC_OWNER"),
    (Capability::SysModule, "CAP_SYS_MODULE"),
    (Capability::SysRawio, "CAP_SYS_RAWIO"),
    (Capability::SysChroot, "CAP_SYS_CHROOT"),
    (Capability::SysPtrace, "CAP_SYS_PTRACE"),
    (Capability::SysPacct, "CAP_SYS_PACCT"),
    (Capability::SysAdmin, "CAP_SYS_ADMIN"),
    (Capability::SysBoot, "CAP_SYS_BOOT"),
    (Capability::SysNice, "CAP_SYS_NICE"),
    (Capability::SysResource, "CAP_SYS_RESOURCE"),
    (Capability::SysTime, "CAP_SYS_TIME"),
    (Capability::SysTtyConfig, "CAP_SYS_TTY_CONFIG"),
    (Capability::Mknod, "CAP_MKNOD"),
    (Capability::Lease, "CAP_LEASE"),
    (Capability::AuditWrite, "CAP_AUDIT_WRITE"),
    (Capability::AuditControl, "CAP_AUDIT_CONTROL"),
    (Capability::Setfcap, "CAP_SETFCAP"),
    (Capability::MacOverride, "CAP_MAC_OVERRIDE"),
    (Capability::MacAdmin, "CAP_MAC_ADMIN"),
    (Capability::Syslog, "CAP_SYSLOG"),
    (Capability::WakeAlarm, "CAP_WAKE_ALARM"),
    (Capability::BlockSuspend, "CAP_BLOCK_SUSPEND"),
    (Capability::AuditRead, "CAP_AUDIT_READ"),
    (Capability::Perfmon, "CAP_PERFMON"),
    (Capability::Bpf, "CAP_BPF"),
    (Capability::CheckpointRestore, "CAP_CHECKPOINT_RESTORE"),
];

/// The last capability of the oldest kernel that has everything else we need (3.16).
const ALWAYS_KNOWN: u32 = 37;

/// The names of all capabilities this build knows, for `features`.
pub fn names() -> Vec<&'static str> {
    NAMES.iter().map(|(_, name)| *name).collect()
}

/// The sets by number.
pub(crate) fn plan(wanted: &LinuxCapabilities) -> Sets {
    Sets {
        bounding: bits(wanted.bounding()),
        effective: bits(wanted.effective()),
        inheritable: bits(wanted.inheritable()),
        permitted: bits(wanted.permitted()),
        ambient: bits(wanted.ambient()),
    }
}

impl Sets {
    /// Without what this kernel does not have; says so, as runc does, because the container runs on regardless.
    /// The kernel is asked only when a capability is wanted that it could lack.
    #[must_use]
    pub fn known_here(self) -> Self {
        let all = self.bounding | self.effective | self.inheritable | self.permitted | self.ambient;
        if all >> (ALWAYS_KNOWN + 1) == 0 {
            return self;
        }
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .unwrap_or(63);
        let known = u64::MAX >> 63u32.saturating_sub(last);
        if all & !known != 0 {
            log::warn!("ignoring unknown or unavailable capabilities: {}", list(all & !known));
        }
        Self {
            bounding: self.bounding & known,
            effective: self.effective & known,
            inheritable: self.inheritable & known,
            permitted: self.permitted & known,
            ambient: self.ambient & known,
        }
    }
}

/// Takes everything else out of the bounding set, while that is still allowed.
pub fn drop_bounding(sets: &Sets) -> Result<(), Error> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if sets.bounding & capability.bits() != 0 {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Beyond the last one that the kernel has.
            Err(Errno::INVAL) => return Ok(()),
            Err(errno) => return Err(Error::system("unable to apply bounding set")(errno)),
        }
    }
    Ok(())
}

/// Sets the four other sets. What is asked for must be held: a runtime cannot give what it has not.
pub fn apply(sets: &Sets) -> Result<(), Error> {
    let wanted = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    set_capabilities(None, wanted).map_err(|errno| {
        let held = rustix::thread::capabilities(None).map_or(u64::MAX, |held| held.permitted.bits());
        let missing = (sets.permitted | sets.effective) & !held;
        let hint = if missing == 0 {
            String::new()
        } else {
            format!(
                " (the runtime itself does not have {}; take it out of process.capabilities)",
                list(missing)
            )
        };
        Error::system(format!("unable to apply caps: can't apply capabilities{hint}"))(errno)
    })?;
    raise_ambient(sets.ambient)
}

/// A capability that cannot be made ambient is a warning: runc's callers rely on its old library having ignored it.
fn raise_ambient(ambient: u64) -> Result<(), Error> {
    match clear_ambient_capability_set() {
        // Before Linux 4.3.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(Error::system("unable to apply caps: clear the ambient set")(errno)),
    }
    for number in (0..u64::BITS).filter(|number| ambient & (1 << number) != 0) {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if let Err(errno) = configure_capability_in_ambient_set(capability, true) {
            log::warn!("can't raise ambient capability {}: {errno}", list(1 << number));
        }
    }
    Ok(())
}

fn bits(set: &Option<Capabilities>) -> u64 {
    let Some(set) = set else { return 0 };
    let number = |wanted| NAMES.iter().position(|(capability, _)| *capability == wanted);
    set.iter().filter_map(|capability| number(*capability)).fold(0, |bits, number| bits | 1 << number)
}

fn list(bits: u64) -> String {
    let name =
        |number: u32| NAMES.get(number as usize).map_or_else(|| number.to_string(), |(_, n)| (*n).to_owned());
    let names: Vec<String> = (0..u64::BITS).filter(|n| bits & (1 << n) != 0).map(name).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_stands_at_the_place_of_its_number() {
        assert_eq!(NAMES[CapabilitySet::SYS_ADMIN.bits().trailing_zeros() as usize].0, Capability::SysAdmin);
        assert_eq!(NAMES[CapabilitySet::SETFCAP.bits().trailing_zeros() as usize].0, Capability::Setfcap);
        assert_eq!(
            NAMES[CapabilitySet::CHECKPOINT_RESTORE.bits().trailing_zeros() as usize].1,
            "CAP_CHECKPOINT_RESTORE"
        );
    }

    #[test]
    fn sets_become_bits() {
        let json = r#"{"bounding":["CAP_CHOWN","CAP_KILL"],"ambient":["CAP_NET_BIND_SERVICE"]}"#;
        let sets = plan(&serde_json::from_str(json).unwrap());
        assert_eq!(sets, Sets { bounding: 0b10_0001, ambient: 1 << 10, ..Sets::default() });
        assert_eq!(list(sets.bounding), "CAP_CHOWN CAP_KILL");
    }
}
