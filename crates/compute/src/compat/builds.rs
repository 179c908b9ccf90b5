//! Windows builds, as data: which releases there are, from which on images keep working on newer hosts, and what a
//! host can do from which build on. A new release, a new long-term one, or a new gate is one line here.

use super::platform::{Edition, Version};

/// A release of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The build number.
    pub build: u32,
    /// What people and image tags call it, in lower case.
    pub words: &'static [&'static str],
    /// What stands behind `windows-server-`, if there was a server.
    pub server: Option<&'static str>,
    /// What stands behind `windows-`, if there was a client.
    pub client: Option<&'static str>,
}

const fn release(
    build: u32,
    words: &'static [&'static str],
    server: Option<&'static str>,
    client: Option<&'static str>,
) -> Release {
    Release { build, words, server, client }
}

/// The releases that can run containers, oldest first.
pub const RELEASES: &[Release] = &[
    release(14393, &["rs1", "1607", "ltsc2016"], Some("2016"), Some("10-1607")),
    release(15063, &["rs2", "1703"], None, Some("10-1703")),
    release(16299, &["rs3", "1709"], Some("1709"), Some("10-1709")),
    release(17134, &["rs4", "1803"], Some("1803"), Some("10-1803")),
    release(17763, &["rs5", "1809", "ltsc2019"], Some("2019"), Some("10-1809")),
    release(18362, &["19h1", "1903"], Some("1903"), Some("10-1903")),
    release(18363, &["19h2", "1909"], Some("1909"), Some("10-1909")),
    release(19041, &["20h1", "2004"], Some("2004"), Some("10-2004")),
    release(19042, &["20h2"], Some("20h2"), Some("10-20h2")),
    release(19043, &["21h1"], Some("21h1"), Some("10-21h1")),
    release(19044, &[], None, Some("10-21h2")),
    release(19045, &[], None, Some("10-22h2")),
    release(20348, &["ltsc2022"], Some("2022"), None),
    release(22000, &[], None, Some("11-21h2")),
    release(22621, &[], None, Some("11-22h2")),
    release(22631, &[], None, Some("11-23h2")),
    release(25398, &[], Some("23h2"), None),
    release(26100, &["ltsc2025"], Some("2025"), Some("11-24h2")),
    release(26200, &[], None, Some("11-25h2")),
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

    /// Its name in this edition, without `windows-`.
    pub fn name(&self, edition: Edition) -> Option<(&'static str, &'static str)> {
        match edition {
            Edition::Server => self.server.map(|name| ("server-", name)),
            Edition::Client => self.client.map(|name| ("", name)),
        }
    }

    /// The release that has this build.
    pub fn of_build(build: u32) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.build == build)
    }

    /// The release that is called so: a word of its own, or its server's name.
    pub fn called(word: &str) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.words.contains(&word) || release.server == Some(word))
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
            assert!(Release::of_build(*stable).is_some_and(|release| release.server.is_some()), "{stable}");
        }
        for release in RELEASES {
            for word in release.words.iter().chain(&release.server) {
                assert_eq!(Release::called(word), Some(release), "{word}");
                assert_eq!(*word, word.to_lowercase());
            }
            assert!(release.server.is_some() || release.client.is_some(), "{}", release.build);
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
