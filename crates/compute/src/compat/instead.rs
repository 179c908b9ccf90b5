//! What would be allowed where something was refused. Nothing here knows a rule: changes are tried and decided on, so
//! what is advised is true.

use super::builds::{FIRST, Gate, RELEASES, oldest_by_process};
use super::{
    Arch, Edition, Feature, Host, Image, ImageOs, Isolation, Place, Question, System, Version, decide,
};
use std::fmt;

/// One thing that somebody could change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Isolate so.
    Isolation(Isolation),
    /// Give the host what it lacks.
    Feature(Feature),
    /// Take an image for the host's processors.
    Arch(Arch),
    /// Take an image of a build from this one to that.
    Image(u32, u32),
    /// Make the whole pod of images of a build from this one to that.
    PodOf(u32, u32),
    /// A pod for each container.
    PodOfItsOwn,
    /// No pod.
    NoPod,
    /// Take such a host.
    Host(System, Arch),
}

/// What would be allowed: these changes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// One change, or as few as will do.
    pub changes: Vec<Change>,
}

/// What would be allowed instead: on this host, the easier first, and at last the oldest other host that would do.
/// Nothing for what is allowed, nor when all that is known would not help.
pub fn instead(question: &Question) -> Vec<Alternative> {
    if decide(question).allowed() {
        return Vec::new();
    }
    let mut found = on_this_host(question);
    let mut elsewhere: Option<Alternative> = None;
    for host in hosts(question) {
        let changed = host.apply(*question);
        if decide(&changed).allowed() {
            elsewhere = Some(Alternative { changes: vec![host] });
            break;
        }
        if !found.is_empty() {
            continue;
        }
        for mut there in on_this_host(&changed).into_iter().take(1) {
            there.changes.insert(0, host);
            if elsewhere.as_ref().is_none_or(|it| it.changes.len() > there.changes.len()) {
                elsewhere = Some(there);
            }
        }
    }
    found.extend(elsewhere);
    found
}

/// Every choice of as few changes as will do, but for the host.
fn on_this_host(question: &Question) -> Vec<Alternative> {
    let turned = Change::Isolation(match decide(question).isolation {
        Isolation::Process => Isolation::Hypervisor,
        Isolation::Hypervisor => Isolation::Process,
    });
    let mut found = Vec::new();
    let mut fewest = u32::MAX;
    for turned in [Some(turned), None] {
        let question = turned.map_or(*question, |change| change.apply(*question));
        let here = changes(&question);
        for choice in 0..1_u32 << here.len() {
            let size = choice.count_ones() + u32::from(turned.is_some());
            if size == 0 || size > fewest {
                continue;
            }
            let mut changes = Vec::from_iter(turned);
            let chosen = here.iter().enumerate().filter(|(at, _)| choice & (1 << at) != 0);
            changes.extend(chosen.map(|(_, change)| *change));
            let changed = changes.iter().fold(question, |question, change| change.apply(question));
            if !decide(&changed).allowed() {
                continue;
            }
            if size < fewest {
                fewest = size;
                found.clear();
            }
            found.push(Alternative { changes });
        }
    }
    found
}

/// What but the isolation could be changed on this host, the easier first.
fn changes(question: &Question) -> Vec<Change> {
    let Question { host, image, place, .. } = question;
    let mut changes = Vec::new();
    if image.arch != host.arch {
        changes.push(Change::Arch(host.arch));
    }
    if matches!(image.os, ImageOs::Windows(_)) {
        builds(question, &mut changes);
    }
    if matches!(place, Place::Pod { containers, .. } if *containers > 1) {
        changes.push(Change::PodOfItsOwn);
    }
    if matches!(place, Place::Pod { .. }) {
        changes.push(Change::NoPod);
    }
    for feature in Feature::all() {
        if !host.has(feature) {
            changes.push(Change::Feature(feature));
        }
    }
    changes
}

/// Images of other builds: those that fit the pod's utility VM, and those that the host runs.
fn builds(question: &Question, changes: &mut Vec<Change>) {
    if let Place::Pod { uvm: Some(Image { os: ImageOs::Windows(Some(uvm)), .. }), .. } = question.place {
        changes.push(Change::Image(oldest_by_process(uvm.build), uvm.build));
    }
    if let System::Windows(_, Version { build, .. }) = question.host.system {
        let change = match question.place {
            Place::Alone => Change::Image,
            Place::Pod { .. } => Change::PodOf,
        };
        // The default isolation may be another for the whole pod.
        let oldest = match decide(&change(build, build).apply(*question)).isolation {
            Isolation::Process => oldest_by_process(build),
            Isolation::Hypervisor => Gate::Pods.since().filter(|since| *since <= build).unwrap_or(FIRST),
        };
        changes.push(change(oldest.min(build), build));
    }
}

/// The other hosts there are: Linux, and every release of Windows, which has containers for two architectures.
fn hosts(question: &Question) -> Vec<Change> {
    let arch = question.image.arch;
    let mut hosts = vec![Change::Host(System::Linux, arch)];
    for release in RELEASES.iter().filter(|_| matches!(arch, Arch::Amd64 | Arch::Arm64)) {
        let server = release.name(Edition::Server).map_or(Edition::Client, |_| Edition::Server);
        hosts.push(Change::Host(System::Windows(server, release.version()), arch));
    }
    let own = Change::Host(question.host.system, question.host.arch);
    hosts.retain(|host| *host != own);
    hosts
}

impl Change {
    /// The question with this change.
    pub fn apply(self, question: Question) -> Question {
        let mut changed = question;
        match self {
            Change::Isolation(isolation) => changed.isolation = Some(isolation),
            Change::Feature(feature) => changed.host.set(feature, true),
            Change::Arch(arch) => changed.image.arch = arch,
            Change::Image(_, build) => changed.image.os = ImageOs::Windows(Some(Version::of_build(build))),
            Change::PodOf(_, build) => {
                changed.image.os = ImageOs::Windows(Some(Version::of_build(build)));
                changed.place = match changed.place {
                    Place::Alone => Place::Alone,
                    Place::Pod { containers, .. } => Place::Pod { containers, uvm: None },
                };
            }
            Change::PodOfItsOwn => changed.place = Place::Pod { containers: 1, uvm: None },
            Change::NoPod => changed.place = Place::Alone,
            Change::Host(system, arch) => changed.host = Host::new(system, arch),
        }
        changed
    }
}

/// From one to another, both included.
struct Builds(u32, u32);

impl fmt::Display for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if self.0 == self.1 { Ok(()) } else { write!(f, " to {}", self.1) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Change::Isolation(isolation) => write!(f, "{} isolation", isolation.as_str()),
            Change::Feature(feature) => write!(f, "{} on the host", feature.as_str()),
            Change::Arch(arch) => write!(f, "an image for {arch}"),
            Change::Image(from, to) => write!(f, "a Windows image of build {}", Builds(from, to)),
            Change::PodOf(from, to) => write!(f, "a pod of Windows images of build {}", Builds(from, to)),
            Change::PodOfItsOwn => f.write_str("a pod for each container"),
            Change::NoPod => f.write_str("a container in no pod"),
            Change::Host(system, arch) => write!(f, "a host {}", Host::new(system, arch)),
        }
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, change) in self.changes.iter().enumerate() {
            if at > 0 {
                f.write_str(" and ")?;
            }
            change.fmt(f)?;
        }
        Ok(())
    }
}
