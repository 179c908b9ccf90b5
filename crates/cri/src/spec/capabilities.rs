//! The capabilities of a container.

use std::collections::HashSet;
use std::str::FromStr as _;

use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};
use rustix::thread::CapabilitySet;

use crate::error::{Attempt as _, Error, Result};
use crate::wire::v1;

/// What a container has when it asks for nothing.
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Everything that the kernel knows, in its numbering.
const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The sets of a container's process; "all" is what the daemon itself has.
pub(super) fn sets(
    asked: Option<&v1::Capability>,
    privileged: bool,
    own: CapabilitySet,
) -> Result<LinuxCapabilities> {
    let (granted, ambient) = granted(asked, privileged, own)?;
    LinuxCapabilitiesBuilder::default()
        .bounding(granted.clone())
        .effective(granted.clone())
        .permitted(granted)
        .inheritable(ambient.clone())
        .ambient(ambient)
        .build()
        .attempt(|| "put the capabilities together".to_owned())
}

/// What is granted, and what of it goes on to every program that is executed.
fn granted(
    asked: Option<&v1::Capability>,
    privileged: bool,
    own: CapabilitySet,
) -> Result<(HashSet<Capability>, HashSet<Capability>)> {
    let all = || (0_u32..).zip(ALL).filter(move |(bit, _)| own.bits() >> bit & 1 == 1).map(|(_, name)| name);
    let mut granted: HashSet<Capability> = if privileged { all().collect() } else { DEFAULT.into() };
    let mut ambient = HashSet::new();
    if let Some(asked) = asked {
        let has_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
        if has_all(&asked.add_capabilities) {
            granted.extend(all());
        }
        if has_all(&asked.drop_capabilities) {
            granted.clear();
        }
        for name in each(&asked.add_capabilities) {
            granted.insert(capability(name)?);
        }
        for name in each(&asked.add_ambient_capabilities) {
            let capability = capability(name)?;
            granted.insert(capability);
            ambient.insert(capability);
        }
        for name in each(&asked.drop_capabilities) {
            let capability = capability(name)?;
            granted.remove(&capability);
            ambient.remove(&capability);
        }
    }
    Ok((granted, ambient))
}

fn each(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| !name.eq_ignore_ascii_case("ALL"))
}

fn capability(name: &str) -> Result<Capability> {
    let upper = name.to_ascii_uppercase();
    Capability::from_str(upper.strip_prefix("CAP_").unwrap_or(&upper))
        .map_err(|_| Error::invalid(format!("{name:?} is no capability")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(add: &[&str], drop: &[&str]) -> v1::Capability {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        v1::Capability { add_capabilities: owned(add), drop_capabilities: owned(drop), ..Default::default() }
    }

    fn of(add: &[&str], drop: &[&str]) -> HashSet<Capability> {
        granted(Some(&asked(add, drop)), false, CapabilitySet::all()).unwrap().0
    }

    #[test]
    fn names_come_with_and_without_prefix() {
        assert!(of(&["NET_ADMIN"], &[]).contains(&Capability::NetAdmin));
        assert!(of(&["cap_net_admin"], &[]).contains(&Capability::NetAdmin));
        assert!(granted(Some(&asked(&["FLY"], &[])), false, CapabilitySet::all()).is_err());
    }

    #[test]
    fn all_is_dropped_before_single_ones_are_added() {
        assert_eq!(of(&["CHOWN"], &["ALL"]), HashSet::from([Capability::Chown]));
        assert_eq!(of(&["ALL"], &["CHOWN"]).len(), 40);
    }

    #[test]
    fn nobody_gets_more_than_the_daemon_has_by_all() {
        let own = CapabilitySet::CHOWN | CapabilitySet::KILL;
        let (granted, _) = granted(None, true, own).unwrap();
        assert_eq!(granted, HashSet::from([Capability::Chown, Capability::Kill]));
    }
}
