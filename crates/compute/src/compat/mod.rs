//! Which image runs on which host, by which isolation, in which pod: the compatibility matrix as a pure function.
//!
//! [`decide`] takes a [`Question`] and gives a [`Verdict`], which names the [`Rule`] that made it. [`instead()`] says
//! what would be allowed where something was refused. The order in which rules are asked matters, and is this:
//!
//! 1. processors differ and are not emulated;
//! 2. who asks for no isolation gets the host's [default](default_isolation);
//! 3. by process, the image's system is the host's;
//! 4. a Windows image needs a Windows: a Linux host may have one for utility VMs;
//! 5. by process: Windows 10 does not, then the builds;
//! 6. by hypervisor: there is one, the guest is not newer than the host, there is a kernel to boot;
//! 7. what pods the host and the guest can have;
//! 8. a further container of a pod fits the pod's utility VM.
//!
//! Versions, builds and gates are data in [`builds`], answers are data beside the [`Rule`]s; [`Host::parse`] and
//! [`Image::parse`] read what people type.

pub mod builds;
mod index;
mod instead;
mod platform;
mod rules;
#[cfg(test)]
mod tests;
mod text;

pub use index::{Entry, choose};
pub use instead::{Alternative, Change, instead};
pub use platform::{Arch, Edition, Feature, Host, Image, ImageOs, System, Version};
pub use rules::{GrpcCode, Hresult, Rule};
pub use text::Unknown;

pub use crate::backend::Isolation;
use crate::error::{Classify, Kind};
use builds::{FIRST, FIRST_CLIENT_BY_PROCESS, Gate, is_released, is_stable, oldest_by_process};
use serde::Serialize;
use std::fmt;

/// May this image run on this host, so isolated, in this place?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    /// Where.
    pub host: Host,
    /// What.
    pub image: Image,
    /// How; none asks for the host's default.
    pub isolation: Option<Isolation>,
    /// In what.
    pub place: Place,
}

/// Where a container is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// By itself.
    Alone,
    /// In a pod.
    Pod {
        /// How many containers the pod will have with this one; 0 asks for the empty sandbox.
        containers: u32,
        /// The image that the pod began with; its utility VM, if it has one, was booted from it. None: this one.
        uvm: Option<Image>,
    },
}

/// What pods a host and a guest can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pods {
    /// None.
    None,
    /// A sandbox with exactly one container.
    Partial,
    /// Several containers that share a sandbox.
    Full,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The rule that allowed or refused.
    pub rule: Rule,
    /// How the container is isolated, or would have been.
    pub isolation: Isolation,
    /// What pods are possible so. Where a further container is refused, its pod remains what it is.
    pub pods: Pods,
}

/// A refusal, as an error: what of whom, and the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The question; none where it was not about one image.
    pub question: Option<Question>,
    /// The rule.
    pub rule: Rule,
}

/// Decides; does nothing. See the module's text for the order.
pub fn decide(question: &Question) -> Verdict {
    let isolation = question.isolated();
    match admit(question, isolation) {
        Ok((rule, pods)) => Verdict { rule, isolation, pods },
        Err((rule, pods)) => Verdict { rule, isolation, pods },
    }
}

/// As [`decide`], with a refusal as an error.
pub fn require(question: &Question) -> Result<Verdict, Refused> {
    let verdict = decide(question);
    let refused = || Refused { question: Some(*question), rule: verdict.rule };
    if verdict.allowed() { Ok(verdict) } else { Err(refused()) }
}

/// How a container is isolated when nobody asked: by process, but for Windows clients and for Linux on Windows.
pub fn default_isolation(host: &Host, image: &Image) -> Isolation {
    match (host.system, image.os) {
        (System::Linux, _) | (System::Windows(Edition::Server, _), ImageOs::Windows(_)) => Isolation::Process,
        (System::Windows(..), ImageOs::Linux) | (System::Windows(Edition::Client, _), _) => {
            Isolation::Hypervisor
        }
    }
}

/// What isolation the runtime's options and the OCI spec ask for together. A spec with `windows.hyperv` asks for the
/// hypervisor; options may add that to a spec without it, not take it away.
pub fn asked_isolation(
    hypervisor_in_spec: bool,
    option: Option<Isolation>,
) -> Result<Option<Isolation>, Refused> {
    match (hypervisor_in_spec, option) {
        (true, Some(Isolation::Process)) => Err(Refused { question: None, rule: Rule::Contradiction }),
        (true, Some(Isolation::Hypervisor) | None) => Ok(Some(Isolation::Hypervisor)),
        (false, option) => Ok(option),
    }
}

type Admitted = Result<(Rule, Pods), (Rule, Pods)>;

fn admit(question: &Question, isolation: Isolation) -> Admitted {
    let Question { host, image, place, .. } = question;
    // 1
    if image.arch != host.arch && !host.emulation {
        return Err((Rule::Arch, Pods::None));
    }
    // 3 to 6; 2 is the caller's.
    let guest = question.guest();
    let rule = match isolation {
        Isolation::Process => by_process(host, image),
        Isolation::Hypervisor => by_hypervisor(host, guest),
    };
    let rule = rule.map_err(|rule| (rule, Pods::None))?;
    // 7
    let pods = pods(host, guest, isolation);
    let Place::Pod { containers, .. } = *place else {
        return Ok((rule, pods));
    };
    // 8
    match pods {
        Pods::None => return Err((Rule::NoPods, pods)),
        Pods::Partial if containers > 1 => return Err((Rule::SecondContainer, pods)),
        Pods::Partial | Pods::Full => {}
    }
    match isolation {
        Isolation::Process => Ok((rule, pods)),
        Isolation::Hypervisor => fits(guest, image).map(|()| (rule, pods)).map_err(|refused| (refused, pods)),
    }
}

/// On the host's own kernel.
fn by_process(host: &Host, image: &Image) -> Result<Rule, Rule> {
    match (host.system, image.os) {
        (System::Linux, ImageOs::Linux) => Ok(Rule::LinuxHost),
        (System::Windows(..), ImageOs::Linux) => Err(Rule::LinuxByProcess),
        (System::Linux, ImageOs::Windows(_)) => Err(Rule::WindowsByProcess),
        (System::Windows(_, version), _) if version.build < FIRST => Err(Rule::HostBeforeContainers),
        (System::Windows(Edition::Client, version), _) if version.build < FIRST_CLIENT_BY_PROCESS => {
            Err(Rule::ClientByProcess)
        }
        (System::Windows(_, version), ImageOs::Windows(image)) => on_kernel(version, image),
    }
}

/// Whether a Windows kernel, the host's or a utility VM's, runs an image's programs.
fn on_kernel(kernel: Version, image: Option<Version>) -> Result<Rule, Rule> {
    let Some(image) = image else {
        return Ok(Rule::UnknownBuild);
    };
    if (image.major, image.minor) != (kernel.major, kernel.minor) {
        return Err(Rule::VersionDiffers);
    }
    let (kernel, image) = (kernel.build, image.build);
    match () {
        () if image == kernel => Ok(Rule::SameBuild),
        () if image > kernel => Err(Rule::NewerImage),
        () if image >= oldest_by_process(kernel) => Ok(Rule::StableBuild),
        () if !is_stable(kernel) => Err(Rule::BuildDiffers),
        () => Err(Rule::TooOldImage),
    }
}

/// In a utility VM that is booted from `guest`.
fn by_hypervisor(host: &Host, guest: &Image) -> Result<Rule, Rule> {
    match (host.system, guest.os) {
        (System::Linux, ImageOs::Windows(_)) if !host.windows_guest => return Err(Rule::NoWindowsGuest),
        (System::Windows(_, version), _) if version.build < FIRST => return Err(Rule::HostBeforeContainers),
        _ => {}
    }
    if !host.hypervisor {
        return Err(Rule::NoHypervisor);
    }
    match (host.system, guest.os) {
        (System::Windows(_, version), ImageOs::Windows(Some(guest))) => may_boot(version, guest)?,
        (System::Windows(_, version), ImageOs::Linux) if !Gate::LinuxGuests.open_on(version.build) => {
            return Err(Rule::HostBeforeLinux);
        }
        (_, ImageOs::Linux) if !host.linux_guest => return Err(Rule::NoLinuxGuest),
        _ => {}
    }
    Ok(match guest.os {
        ImageOs::Linux => Rule::LinuxGuest,
        ImageOs::Windows(None) => Rule::UnknownBuild,
        ImageOs::Windows(Some(version)) if Gate::Pods.open_on(version.build) => Rule::WindowsGuest,
        ImageOs::Windows(Some(_)) => Rule::OldWindowsGuest,
    })
}

/// Newer guests than the host sometimes work; nobody promises it.
fn may_boot(host: Version, guest: Version) -> Result<(), Rule> {
    if (guest.major, guest.minor) != (host.major, host.minor) {
        return Err(Rule::VersionDiffers);
    }
    match () {
        () if guest.build <= host.build => Ok(()),
        () if is_released(guest.build) => Err(Rule::NewerImage),
        () => Err(Rule::PrereleaseImage),
    }
}

/// The host's limit and the guest's; an image that does not say its build counts as the host's.
fn pods(host: &Host, guest: &Image, isolation: Isolation) -> Pods {
    match (isolation, guest.os) {
        _ if !host.has_pods() => Pods::None,
        (Isolation::Hypervisor, ImageOs::Windows(Some(version))) if !Gate::Pods.open_on(version.build) => {
            Pods::Partial
        }
        _ => Pods::Full,
    }
}

/// Whether a container of this image runs on the kernel that its pod's utility VM was booted from.
fn fits(uvm: &Image, image: &Image) -> Result<(), Rule> {
    match (uvm.os, image.os) {
        (ImageOs::Linux, ImageOs::Linux) | (ImageOs::Windows(None), ImageOs::Windows(_)) => Ok(()),
        (ImageOs::Windows(Some(kernel)), ImageOs::Windows(image)) => {
            on_kernel(kernel, image).map(|_| ()).map_err(|_| Rule::PodBuild)
        }
        (ImageOs::Linux, ImageOs::Windows(_)) | (ImageOs::Windows(_), ImageOs::Linux) => Err(Rule::PodSystem),
    }
}

impl Question {
    /// The isolation that is asked for, or what the host gives by default: a pod's containers all get the pod's.
    fn isolated(&self) -> Isolation {
        self.isolation.unwrap_or_else(|| default_isolation(&self.host, self.guest()))
    }

    /// The image that a utility VM is booted from.
    fn guest(&self) -> &Image {
        match &self.place {
            Place::Pod { uvm: Some(uvm), .. } => uvm,
            Place::Pod { uvm: None, .. } | Place::Alone => &self.image,
        }
    }
}

impl Verdict {
    /// Whether it may run.
    pub fn allowed(&self) -> bool {
        self.rule.allows()
    }

    /// What the Host Compute Service answers, where this is a refusal and it has an answer.
    pub fn hresult(&self) -> Option<Hresult> {
        self.rule.hresult()
    }
}

impl Pods {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Pods::None => "none",
            Pods::Partial => "partial",
            Pods::Full => "full",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} by {}", self.image, self.host, self.isolated().as_str())?;
        match self.place {
            Place::Alone => Ok(()),
            Place::Pod { containers: 0, .. } => f.write_str(" as a pod's sandbox"),
            Place::Pod { containers, .. } => write!(f, " as container {containers} of a pod"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(question) = &self.question {
            write!(f, "{question}: ")?;
        }
        write!(f, "{} (rule {})", self.rule.says(), self.rule)
    }
}

impl std::error::Error for Refused {}

impl Classify for Refused {
    fn kind(&self) -> Kind {
        self.rule.kind()
    }
}
