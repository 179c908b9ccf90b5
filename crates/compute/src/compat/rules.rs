//! The rules that allow and refuse, as data: each has a name that stays, a sentence, and for a refusal what a Windows
//! host and a gRPC service answer.

use crate::error::Kind;
use serde::{Serialize, Serializer};
use std::fmt;

/// What the Host Compute Service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Hresult {
    /// `HCS_E_IMAGE_MISMATCH`
    ImageMismatch = 0x8037_0101,
    /// `HCS_E_HYPERV_NOT_INSTALLED`
    HypervNotInstalled = 0x8037_0102,
    /// `HCS_E_WINDOWS_INSIDER_REQUIRED`
    WindowsInsiderRequired = 0x8037_0113,
}

/// What a CRI service or a shim answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum GrpcCode {
    /// The request contradicts itself.
    InvalidArgument = 3,
    /// No entry of an index fits.
    NotFound = 5,
    /// This host cannot, another could.
    FailedPrecondition = 9,
}

/// Why a container may run, or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A Linux image on a Linux host's own kernel.
    LinuxHost,
    /// By process: the image has the host's build.
    SameBuild,
    /// By process: an older image on a host that keeps the interface stable.
    StableBuild,
    /// The image does not say its build.
    UnknownBuild,
    /// A Linux image in a utility VM.
    LinuxGuest,
    /// A Windows image in a utility VM of its build.
    WindowsGuest,
    /// As before, with a guest that hosts one container only.
    OldWindowsGuest,

    /// Other processors.
    Arch,
    /// A Windows that has no containers at all.
    HostBeforeContainers,
    /// Linux on a Windows kernel.
    LinuxByProcess,
    /// Windows on a Linux kernel.
    WindowsByProcess,
    /// Windows in a utility VM of a Linux host that has none.
    NoWindowsGuest,
    /// Process isolation on Windows 10.
    ClientByProcess,
    /// Not the same major and minor version.
    VersionDiffers,
    /// The image is newer than the host.
    NewerImage,
    /// By process: an older image on a host without a stable interface.
    BuildDiffers,
    /// By process: an image older than what the host's stable interface reaches back to.
    TooOldImage,
    /// Hypervisor isolation without a hypervisor.
    NoHypervisor,
    /// The image is newer than any released host.
    PrereleaseImage,
    /// Linux images on a Windows before there were Linux guests.
    HostBeforeLinux,
    /// No kernel to boot.
    NoLinuxGuest,
    /// A pod on a host that has none.
    NoPods,
    /// A second container for a guest that hosts one.
    SecondContainer,
    /// Linux and Windows in one utility VM.
    PodSystem,
    /// Not the build of the pod's utility VM.
    PodBuild,

    /// Runtime options and OCI spec contradict each other.
    Contradiction,
    /// No entry of an index fits.
    NoMatch,
}

/// What is said of a rule.
struct Row {
    rule: Rule,
    id: &'static str,
    says: &'static str,
    refuses: Option<(GrpcCode, Option<Hresult>)>,
}

const fn allow(rule: Rule, id: &'static str, says: &'static str) -> Row {
    Row { rule, id, says, refuses: None }
}

const fn refuse(rule: Rule, id: &'static str, hresult: Option<Hresult>, says: &'static str) -> Row {
    Row { rule, id, says, refuses: Some((GrpcCode::FailedPrecondition, hresult)) }
}

const MISMATCH: Option<Hresult> = Some(Hresult::ImageMismatch);

/// In the order of [`Rule`].
const ROWS: [Row; 27] = [
    allow(Rule::LinuxHost, "linux-host", "the host's kernel runs it"),
    allow(Rule::SameBuild, "same-build", "the image has the host's build"),
    allow(
        Rule::StableBuild,
        "stable-build",
        "hosts from 20348 on also run images as old as the long-term release before their own",
    ),
    allow(Rule::UnknownBuild, "unknown-build", "the image has no os.version, which counts as the host's"),
    allow(Rule::LinuxGuest, "linux-guest", "a Linux kernel in a utility VM runs it"),
    allow(Rule::WindowsGuest, "windows-guest", "a utility VM of the image's build runs it"),
    allow(
        Rule::OldWindowsGuest,
        "old-windows-guest",
        "a utility VM of the image's build runs it, and before 17763 nothing else",
    ),
    refuse(Rule::Arch, "arch", None, "the image is for other processors, and emulation was not asked for"),
    refuse(
        Rule::HostBeforeContainers,
        "host-before-containers",
        None,
        "Windows has containers since build 14393 (Server 2016)",
    ),
    refuse(Rule::LinuxByProcess, "linux-by-process", MISMATCH, "a Windows host has no Linux kernel"),
    refuse(Rule::WindowsByProcess, "windows-by-process", MISMATCH, "a Linux host has no Windows kernel"),
    refuse(
        Rule::NoWindowsGuest,
        "no-windows-guest",
        MISMATCH,
        "the Linux host has no licensed Windows for its utility VMs",
    ),
    refuse(Rule::ClientByProcess, "client-by-process", None, "Windows 10 isolates by hypervisor only"),
    refuse(
        Rule::VersionDiffers,
        "version-differs",
        MISMATCH,
        "the image's major and minor version are not the host's",
    ),
    refuse(Rule::NewerImage, "newer-image", MISMATCH, "the image is newer than the host"),
    refuse(
        Rule::BuildDiffers,
        "build-differs",
        MISMATCH,
        "hosts before 20348 run only images of their own build by process",
    ),
    refuse(
        Rule::TooOldImage,
        "too-old-image",
        MISMATCH,
        "the image is older than the long-term release before the host's own",
    ),
    refuse(
        Rule::NoHypervisor,
        "no-hypervisor",
        Some(Hresult::HypervNotInstalled),
        "the host cannot run virtual machines: no Hyper-V role, or neither KVM nor an emulator",
    ),
    refuse(
        Rule::PrereleaseImage,
        "prerelease-image",
        Some(Hresult::WindowsInsiderRequired),
        "the image is newer than every released host",
    ),
    refuse(
        Rule::HostBeforeLinux,
        "host-before-linux",
        None,
        "Windows runs Linux containers in utility VMs since build 16299 (1709)",
    ),
    refuse(
        Rule::NoLinuxGuest,
        "no-linux-guest",
        None,
        "the host has nothing to boot a Linux utility VM from",
    ),
    refuse(
        Rule::NoPods,
        "no-pods",
        None,
        "pod support is not available on Windows versions previous to RS5 (17763)",
    ),
    refuse(
        Rule::SecondContainer,
        "second-container",
        None,
        "the pod has its container: a utility VM before 17763 hosts exactly one",
    ),
    refuse(Rule::PodSystem, "pod-system", MISMATCH, "the pod's utility VM has another kernel"),
    refuse(Rule::PodBuild, "pod-build", MISMATCH, "the build does not fit the one of the pod's utility VM"),
    Row {
        rule: Rule::Contradiction,
        id: "contradiction",
        says: "invalid runtime sandbox isolation (PROCESS) for hypervisor isolated OCI spec",
        refuses: Some((GrpcCode::InvalidArgument, None)),
    },
    Row {
        rule: Rule::NoMatch,
        id: "no-match",
        says: "no match for platform in manifest",
        refuses: Some((GrpcCode::NotFound, None)),
    },
];

impl Rule {
    /// All rules.
    pub fn all() -> impl Iterator<Item = Rule> {
        ROWS.iter().map(|row| row.rule)
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Its name, which stays.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// What it says, in a sentence; where callers know a text for it, that text.
    pub fn says(self) -> &'static str {
        self.row().says
    }

    /// Whether it allows.
    pub fn allows(self) -> bool {
        self.row().refuses.is_none()
    }

    /// What the Host Compute Service answers to this refusal, where it has an answer.
    pub fn hresult(self) -> Option<Hresult> {
        self.row().refuses.and_then(|(_, hresult)| hresult)
    }

    /// What a gRPC service answers to this refusal.
    pub fn grpc(self) -> Option<GrpcCode> {
        self.row().refuses.map(|(code, _)| code)
    }

    /// The class of an error that this refusal becomes.
    pub(super) fn kind(self) -> Kind {
        match self.grpc() {
            Some(GrpcCode::InvalidArgument) => Kind::InvalidArgument,
            Some(GrpcCode::NotFound) => Kind::NotFound,
            Some(GrpcCode::FailedPrecondition) | None => Kind::Unsupported,
        }
    }
}

impl Hresult {
    /// The number.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Hresult::ImageMismatch => "HCS_E_IMAGE_MISMATCH",
            Hresult::HypervNotInstalled => "HCS_E_HYPERV_NOT_INSTALLED",
            Hresult::WindowsInsiderRequired => "HCS_E_WINDOWS_INSIDER_REQUIRED",
        }
    }
}

impl GrpcCode {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            GrpcCode::InvalidArgument => "InvalidArgument",
            GrpcCode::NotFound => "NotFound",
            GrpcCode::FailedPrecondition => "FailedPrecondition",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_rule_has_its_row_and_its_name() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.rule as usize, at, "{}", row.id);
            assert_eq!(row.rule.id(), row.id);
        }
        assert_eq!(Rule::all().map(Rule::id).collect::<HashSet<_>>().len(), ROWS.len());
    }

    #[test]
    fn answers_are_those_of_the_service() {
        for (rule, code) in [
            (Rule::NewerImage, Some(0x8037_0101)),
            (Rule::LinuxByProcess, Some(0x8037_0101)),
            (Rule::NoHypervisor, Some(0x8037_0102)),
            (Rule::PrereleaseImage, Some(0x8037_0113)),
            (Rule::NoPods, None),
            (Rule::SameBuild, None),
        ] {
            assert_eq!(rule.hresult().map(Hresult::code), code, "{rule}");
        }
        assert_eq!(Rule::NoPods.grpc(), Some(GrpcCode::FailedPrecondition));
        assert_eq!(Rule::Contradiction.kind(), Kind::InvalidArgument);
        assert_eq!(Rule::NoMatch.kind(), Kind::NotFound);
        assert_eq!(Rule::SameBuild.grpc(), None);
        assert!(Rule::all().all(|rule| rule.allows() == rule.grpc().is_none()));
    }
}
