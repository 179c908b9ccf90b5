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
    let elsewhere = |host: Change| (host, host.apply(*question));
    let host = hosts(question).map(elsewhere).find(|(_, changed)| decide(changed).allowed());
    found.extend(host.map(|(host, _)| vec![host]));
    if found.is_empty() {
        let both = hosts(question).map(elsewhere).filter_map(|(host, changed)| {
            let mut changes = on_this_host(&changed).into_iter().next()?;
            changes.insert(0, host);
            Some(changes)
        });
        found.extend(both.min_by_key(Vec::len));
    }
    found.into_iter().map(|changes| Alternative { changes }).collect()
}

/// As few changes as will do, but for the host.
fn on_this_host(question: &Question) -> Vec<Vec<Change>> {
    let works = |changes: &Vec<Change>| {
        let changed = changes.iter().fold(*question, |question, change| change.apply(question));
        decide(&changed).allowed()
    };
    let turned = Change::Isolation(match decide(question).isolation {
        Isolation::Process => Isolation::Hypervisor,
        Isolation::Hypervisor => Isolation::Process,
    });
    let (turned_here, here) = (changes(&turned.apply(*question)), changes(question));
    for size in 1..=here.len().max(turned_here.len() + 1) {
        let turned = choices(&turned_here, size - 1).into_iter().map(|mut changes| {
            changes.insert(0, turned);
            changes
        });
        let found: Vec<_> = turned.chain(choices(&here, size)).filter(works).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Every choice of so many changes, in their order.
fn choices(changes: &[Change], size: usize) -> Vec<Vec<Change>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in changes.iter().enumerate() {
        for mut rest in choices(&changes[at + 1..], size - 1) {
            rest.insert(0, *first);
            all.push(rest);
        }
    }
    all
}

/// What but the isolation could be changed on this host, the easier first.
fn changes(question: &Question) -> Vec<Change> {
    let Question { host, image, place, .. } = question;
    let mut changes = Vec::new();
    if image.arch != host.arch {
        changes.push(Change::Arch(host.arch));
    }
    if matches!(image.os, ImageOs::Windows(_)) {
        changes.extend(builds(question));
    }
    if matches!(place, Place::Pod { containers, .. } if *containers > 1) {
        changes.push(Change::PodOfItsOwn);
    }
    if matches!(place, Place::Pod { .. }) {
        changes.push(Change::NoPod);
    }
    changes.extend(Feature::all().filter(|feature| !host.has(*feature)).map(Change::Feature));
    changes
}

/// Images of other builds: those that fit the pod's utility VM, and those that the host runs.
fn builds(question: &Question) -> impl Iterator<Item = Change> {
    let fits = match question.place {
        Place::Pod { uvm: Some(Image { os: ImageOs::Windows(Some(uvm)), .. }), .. } => {
            Some(Change::Image(oldest_by_process(uvm.build), uvm.build))
        }
        _ => None,
    };
    let runs = match question.host.system {
        System::Linux => None,
        System::Windows(_, Version { build, .. }) => {
            let change = match question.place {
                Place::Alone => Change::Image,
                Place::Pod { .. } => Change::PodOf,
            };
            // The default isolation may be another for the whole pod.
            let oldest = match decide(&change(build, build).apply(*question)).isolation {
                Isolation::Process => oldest_by_process(build),
                Isolation::Hypervisor => Gate::Pods.since().filter(|since| *since <= build).unwrap_or(FIRST),
            };
            Some(change(oldest.min(build), build))
        }
    };
    fits.into_iter().chain(runs)
}

/// The other hosts there are: Linux, and every release of Windows.
fn hosts(question: &Question) -> impl Iterator<Item = Change> {
    let arch = question.image.arch;
    let windows = RELEASES.iter().map(|release| {
        let edition = if release.server.is_some() { Edition::Server } else { Edition::Client };
        System::Windows(edition, release.version())
    });
    // Windows containers exist for these two.
    let windows = windows.filter(move |_| matches!(arch, Arch::Amd64 | Arch::Arm64));
    let own = (question.host.system, question.host.arch);
    let systems = [System::Linux].into_iter().chain(windows).filter(move |system| (*system, arch) != own);
    systems.map(move |system| Change::Host(system, arch))
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

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Isolation(isolation) => write!(f, "{} isolation", isolation.as_str()),
            Change::Feature(Feature::Emulation) => f.write_str("emulation of the image's processors"),
            Change::Feature(feature) => write!(f, "a host with {}", feature.as_str()),
            Change::Arch(arch) => write!(f, "an image for {arch}"),
            Change::Image(from, to) if from == to => write!(f, "a Windows image of build {to}"),
            Change::Image(from, to) => write!(f, "a Windows image of a build from {from} to {to}"),
            Change::PodOf(from, to) if from == to => write!(f, "a pod of Windows images of build {to}"),
            Change::PodOf(from, to) => {
                write!(f, "a pod of Windows images of one build from {from} to {to}")
            }
            Change::PodOfItsOwn => f.write_str("a pod for each container"),
            Change::NoPod => f.write_str("a container in no pod"),
            Change::Host(system, arch) => write!(f, "a host {}", Host::new(*system, *arch)),
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
