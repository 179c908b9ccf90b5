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
    let own = (question.host.system, question.host.arch);
    let mut number = 0;
    while let Some(system) = system(number) {
        number += 1;
        let host = Change::Host(system, question.image.arch);
        if (system, question.image.arch) == own {
            continue;
        }
        let changed = question.with(&[host]);
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
        let here = changes(&question.with(turned.as_slice()));
        for choice in 0..1_u32 << here.len() {
            let size = choice.count_ones() + u32::from(turned.is_some());
            if size == 0 || size > fewest {
                continue;
            }
            let mut changes = Vec::from_iter(turned);
            let chosen = here.iter().enumerate().filter(|(at, _)| choice & (1 << at) != 0);
            changes.extend(chosen.map(|(_, change)| *change));
            if !decide(&question.with(&changes)).allowed() {
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
        let oldest = match decide(&question.with(&[change(build, build)])).isolation {
            Isolation::Process => oldest_by_process(build),
            Isolation::Hypervisor => Gate::Pods.since().filter(|since| *since <= build).unwrap_or(FIRST),
        };
        changes.push(change(oldest.min(build), build));
    }
}

/// Host by host: Linux, then every release of Windows, the oldest first.
fn system(number: usize) -> Option<System> {
    let Some(number) = number.checked_sub(1) else {
        return Some(System::Linux);
    };
    let release = RELEASES.get(number)?;
    let edition = if release.name(Edition::Server).is_some() { Edition::Server } else { Edition::Client };
    Some(System::Windows(edition, release.version()))
}

impl Question {
    /// The question with these changes.
    pub fn with(&self, changes: &[Change]) -> Question {
        let mut changed = *self;
        for change in changes {
            changed.change(*change);
        }
        changed
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Isolation(isolation) => self.isolation = Some(isolation),
            Change::Feature(feature) => self.host.set(feature, true),
            Change::Arch(arch) => self.image.arch = arch,
            Change::Image(_, build) => self.image.os = ImageOs::Windows(Some(Version::of_build(build))),
            Change::PodOf(_, build) => {
                self.image.os = ImageOs::Windows(Some(Version::of_build(build)));
                if let Place::Pod { uvm, .. } = &mut self.place {
                    *uvm = None;
                }
            }
            Change::PodOfItsOwn => self.place = Place::Pod { containers: 1, uvm: None },
            Change::NoPod => self.place = Place::Alone,
            Change::Host(system, arch) => self.host = Host::new(system, arch),
        }
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
