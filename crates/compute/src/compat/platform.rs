//! Hosts and images, as far as it decides whether one runs on the other.

use super::builds::{Gate, Release};
use super::text::{Asked, Unknown};

/// A host: what it is, and what is installed on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its operating system.
    pub system: System,
    /// Its processors.
    pub arch: Arch,
    /// It can run virtual machines: the Hyper-V role, KVM, or an emulator in software.
    pub hypervisor: bool,
    /// There is a kernel and an initial file system for Linux utility VMs.
    pub linux_guest: bool,
    /// A Linux host has a licensed Windows for utility VMs. A Windows host needs none: the image brings it.
    pub windows_guest: bool,
    /// Programs of other architectures run here too (binfmt_misc, 32 bits on 64), and the user wants that.
    pub emulation: bool,
    /// Windows: it has the win32k subsystem, which entries of an index may demand in `os.features`.
    pub win32k: bool,
}

/// What somebody may install on a host or want of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// [`Host::hypervisor`]
    Hypervisor,
    /// [`Host::linux_guest`]
    LinuxGuest,
    /// [`Host::windows_guest`]
    WindowsGuest,
    /// [`Host::emulation`]
    Emulation,
}

/// An operating system with what containers see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    /// Any Linux.
    Linux,
    /// A Windows.
    Windows(Edition, Version),
}

/// Build numbers alone do not tell servers from clients: 17763 and 26100 are both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edition {
    /// Windows Server.
    Server,
    /// Windows 10 and 11.
    Client,
}

/// What an image's config or its entry in an index says of its platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image {
    /// `os` and `os.version`.
    pub os: ImageOs,
    /// `architecture`.
    pub arch: Arch,
}

/// An image's operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageOs {
    /// `linux`
    Linux,
    /// `windows`, and its `os.version` where it has one.
    Windows(Option<Version>),
}

/// A version of Windows, `major.minor.build[.revision]`. The revision never decides anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// 10 since Windows 10.
    pub major: u16,
    /// 0 since Windows 10.
    pub minor: u16,
    /// What decides.
    pub build: u32,
    /// The monthly update; 0 where it is not said.
    pub revision: u32,
}

/// Processors, by the names that images use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Arch {
    Amd64,
    Arm64,
    I386,
    Arm,
    Loong64,
    Mips64le,
    Ppc64le,
    Riscv64,
    S390x,
}

/// Each architecture, its name in images and what else it is called.
pub(super) const ARCHES: &[(Arch, &str, &[&str])] = &[
    (Arch::Amd64, "amd64", &["x86_64", "x64"]),
    (Arch::Arm64, "arm64", &["aarch64"]),
    (Arch::I386, "386", &["i386", "i686", "x86"]),
    (Arch::Arm, "arm", &["armv6l", "armv7l", "armv8l"]),
    (Arch::Loong64, "loong64", &["loongarch64"]),
    (Arch::Mips64le, "mips64le", &[]),
    (Arch::Ppc64le, "ppc64le", &[]),
    (Arch::Riscv64, "riscv64", &[]),
    (Arch::S390x, "s390x", &[]),
];

/// Each feature and its name.
pub(super) const FEATURES: &[(Feature, &str)] = &[
    (Feature::Hypervisor, "hypervisor"),
    (Feature::LinuxGuest, "linux-guest"),
    (Feature::WindowsGuest, "windows-guest"),
    (Feature::Emulation, "emulation"),
];

impl Host {
    /// A host as one would set it up for containers: it can run virtual machines and Linux in them. What has a price
    /// it does not have: emulation, a Windows for utility VMs of Linux hosts.
    pub const fn new(system: System, arch: Arch) -> Self {
        let win32k = matches!(system, System::Windows(..));
        Self {
            system,
            arch,
            hypervisor: true,
            linux_guest: true,
            windows_guest: false,
            emulation: false,
            win32k,
        }
    }

    /// Whether it has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Hypervisor => self.hypervisor,
            Feature::LinuxGuest => self.linux_guest,
            Feature::WindowsGuest => self.windows_guest,
            Feature::Emulation => self.emulation,
        }
    }

    /// Gives it a feature, or takes it away.
    pub fn set(&mut self, feature: Feature, has: bool) {
        match feature {
            Feature::Hypervisor => self.hypervisor = has,
            Feature::LinuxGuest => self.linux_guest = has,
            Feature::WindowsGuest => self.windows_guest = has,
            Feature::Emulation => self.emulation = has,
        }
    }

    /// Whether it can have pods at all: every Linux can, Windows since [`Gate::Pods`].
    pub fn has_pods(&self) -> bool {
        match self.system {
            System::Linux => true,
            System::Windows(_, version) => Gate::Pods.open_on(version.build),
        }
    }
}

impl Image {
    /// Reads what an image's config or its entry in an index says. An `os.version` that is empty is none.
    pub fn new(os: &str, os_version: &str, architecture: &str) -> Result<Self, Unknown> {
        let version = match os_version {
            "" => None,
            version => Some(version.parse()?),
        };
        let os = match os {
            "linux" => ImageOs::Linux,
            "windows" => ImageOs::Windows(version),
            other => return Err(Unknown::new(Asked::Image, other)),
        };
        Ok(Self { os, arch: architecture.parse()? })
    }

    /// The image that surely runs on a host, by its default isolation: of the same system, build and architecture.
    pub fn of_host(host: &Host) -> Self {
        let os = match host.system {
            System::Linux => ImageOs::Linux,
            System::Windows(_, version) => ImageOs::Windows(Some(version)),
        };
        Self { os, arch: host.arch }
    }
}

impl Version {
    /// The version that a build number stands for.
    pub const fn of_build(build: u32) -> Self {
        Self { major: 10, minor: 0, build, revision: 0 }
    }

    /// The release of this build, if it is one.
    pub fn release(self) -> Option<&'static Release> {
        Release::of_build(self.build).filter(|_| (self.major, self.minor) == (10, 0))
    }
}

impl Arch {
    /// Its name in images.
    pub fn as_str(self) -> &'static str {
        ARCHES.iter().find(|(arch, ..)| *arch == self).map_or("", |(_, name, _)| name)
    }
}

impl Feature {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        FEATURES.iter().find(|(feature, _)| *feature == self).map_or("", |(_, name)| name)
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Feature> {
        FEATURES.iter().map(|(feature, _)| *feature)
    }
}
