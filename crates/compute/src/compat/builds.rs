//! Windows builds, as data: which releases there are, from which on images keep working on newer hosts, and what a
//! host can do from which build on. A new release, a new long-term one, or a new gate is one line here.

use super::platform::{Edition, Version};

/// A release of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The build number.
    pub build: u32,
    /// What it can be called: `windows-server-` and `windows-` names are its editions, all others may tag images.
    names: &'static str,
}

const fn release(build: u32, names: &'static str) -> Release {
    Release { build, names }
}

/// The releases that can run containers, oldest first.
pub const RELEASES: &[Release] = &[
    release(14393, "windows-server-2016 windows-10-1607 ltsc2016 2016 1607 rs1"),
    release(15063, "windows-10-1703 1703 rs2"),
    release(16299, "windows-server-1709 windows-10-1709 1709 rs3"),
    release(17134, "windows-server-1803 windows-10-1803 1803 rs4"),
    release(17763, "windows-server-2019 windows-10-1809 ltsc2019 2019 1809 rs5"),
    release(18362, "windows-server-1903 windows-10-1903 1903 19h1"),
    release(18363, "windows-server-1909 windows-10-1909 1909 19h2"),
    release(19041, "windows-server-2004 windows-10-2004 2004 20h1"),
    release(19042, "windows-server-20h2 windows-10-20h2 20h2"),
    release(19043, "windows-server-21h1 windows-10-21h1 21h1"),
    release(19044, "windows-10-21h2"),
    release(19045, "windows-10-22h2"),
    release(20348, "windows-server-2022 ltsc2022 2022"),
    release(22000, "windows-11-21h2"),
    release(22621, "windows-11-22h2"),
    release(22631, "windows-11-23h2"),
    release(25398, "windows-server-23h2 23h2"),
    release(26100, "windows-server-2025 windows-11-24h2 ltsc2025 2025"),
    release(26200, "windows-11-25h2"),
];

/// The long-term releases since images of one build run on hosts of a newer one, oldest first.
pub const STABLE: &[u32] = &[20348, 26100];

/// The first build with a Host Compute Service.
pub const FIRST: u32 = 14393;

/// The first client on which process isolation is possible; before it clients isolate by hypervisor only.
pub const FIRST_CLIENT_BY_PROCESS: u32 = 22000;

/// What a host can do from some build on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Linux containers in a utility VM.
    LinuxGuests,
    /// Pods: several containers that share a sandbox.
    Pods,
    /// Documents of schema 2.
    Schema2,
    /// A virtual machine that boots a Linux kernel without firmware.
    KernelDirectBoot,
    /// Several layers in one persistent memory device.
    VpmemMultiMapping,
    /// Memory of a VM that is given back cold.
    ColdDiscardHint,
    /// Layers as CIM images.
    CimfsLayers,
    /// Confidential VMs (SEV-SNP), schema 2.5.
    Snp,
    /// The second generation of containerd's shim for Linux containers.
    LcowShimV2,
    /// Layers as CIM images on block devices in a Windows utility VM that is not confidential.
    BlockCimInUtilityVm,
}

/// Every gate with the first build that has it; none where no build has it.
pub const GATES: &[(Gate, Option<u32>)] = &[
    (Gate::LinuxGuests, Some(16299)),
    (Gate::Pods, Some(17763)),
    (Gate::Schema2, Some(17763)),
    (Gate::KernelDirectBoot, Some(18286)),
    (Gate::VpmemMultiMapping, Some(18362)),
    (Gate::ColdDiscardHint, Some(18967)),
    (Gate::CimfsLayers, Some(19041)),
    (Gate::Snp, Some(20348)),
    (Gate::LcowShimV2, Some(26100)),
    (Gate::BlockCimInUtilityVm, None),
];

impl Gate {
    /// The first build that has it.
    pub fn since(self) -> Option<u32> {
        GATES.iter().find(|(gate, _)| *gate == self).and_then(|(_, since)| *since)
    }

    /// Whether a host of this build has it.
    pub fn open_on(self, build: u32) -> bool {
        self.since().is_some_and(|since| build >= since)
    }
}

/// The oldest image build that a host of this build runs by process: from the first stable release on it is the
/// long-term release before the host's own, where there is one; earlier hosts run only their own build.
///
/// This is the policy of containerd's platforms package. hcsshim steps back only when the host *is* a long-term
/// release, so it refuses 20348 on a host of 26200; containerd says explicitly that it does not.
pub fn oldest_by_process(host: u32) -> u32 {
    let newest = STABLE.iter().rposition(|stable| *stable <= host);
    newest.and_then(|at| STABLE.get(at.saturating_sub(1)).copied()).unwrap_or(host)
}

/// Whether a kernel of this build runs images of other builds too.
pub fn is_stable(host: u32) -> bool {
    STABLE.first().is_some_and(|first| host >= *first)
}

/// Whether any release is as new as this build.
pub fn is_released(build: u32) -> bool {
    RELEASES.last().is_some_and(|newest| build <= newest.build)
}

impl Release {
    /// Its version.
    pub fn version(&self) -> Version {
        Version::of_build(self.build)
    }

    /// What it can be called, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split(' ')
    }

    /// Its name in this edition, if it has it.
    pub fn name(&self, edition: Edition) -> Option<&'static str> {
        self.names().find(|name| edition_named(name) == Some(edition) && name.starts_with("windows-"))
    }

    /// The release that has this build.
    pub fn of_build(build: u32) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.build == build)
    }

    /// The release that is called so.
    pub fn called(name: &str) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.names().any(|called| called == name))
    }
}

/// The edition that a name says; those of the long-term channel are servers.
pub(super) fn edition_named(name: &str) -> Option<Edition> {
    if name.starts_with("windows-server-") || name.starts_with("ltsc") {
        Some(Edition::Server)
    } else {
        name.starts_with("windows-").then_some(Edition::Client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_no_name_is_used_twice() {
        assert!(RELEASES.is_sorted_by(|a, b| a.build < b.build));
        assert!(STABLE.is_sorted_by(|a, b| a < b));
        assert_eq!(RELEASES[0].build, FIRST);
        for stable in STABLE {
            assert!(
                Release::of_build(*stable).is_some_and(|it| it.name(Edition::Server).is_some()),
                "{stable}"
            );
        }
        for release in RELEASES {
            for name in release.names() {
                assert_eq!(Release::called(name), Some(release), "{name}");
                assert_eq!(*name, name.to_lowercase());
            }
            let editions = [Edition::Server, Edition::Client].map(|edition| release.name(edition));
            assert!(editions.iter().any(Option::is_some), "{}", release.build);
        }
    }

    #[test]
    fn the_oldest_image_by_process_is_containerds() {
        for (host, oldest) in
            [(20348, 20348), (22000, 20348), (22621, 20348), (25398, 20348), (26100, 20348), (26200, 20348)]
        {
            assert_eq!(oldest_by_process(host), oldest, "{host}");
        }
        for host in [14393, 17763, 19045, 20347] {
            assert_eq!(oldest_by_process(host), host);
        }
    }

    #[test]
    fn gates_open_at_their_build() {
        for (gate, since) in GATES {
            assert_eq!(gate.since(), *since);
            match since {
                Some(since) => assert!(gate.open_on(*since) && !gate.open_on(since - 1), "{gate:?}"),
                None => assert!(!gate.open_on(u32::MAX), "{gate:?}"),
            }
        }
    }
}
