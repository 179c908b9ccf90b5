//! Which devices a container may use. The list of the specification, last match wins, is first reduced to what both
//! generations of the kernel understand: a default and the exceptions from it ([`Policy`]). Version 1 gets the
//! difference between that and what is in force ([`transition`](Policy::transition)), cgroup2 gets a program
//! ([`program`]), systemd gets its own words for it.

pub(crate) mod program;

use super::dir::Dir;
use super::error::{Error, Result};
use crate::sys::bpf;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt;

/// Block or character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Type {
    Block,
    Char,
}

/// A device, or many: `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    pub(crate) typ: Type,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
}

/// A set of mknod, read and write, with the kernel's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Access(u8);

/// A default and the exceptions from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    pub(crate) allows_by_default: bool,
    pub(crate) exceptions: BTreeMap<Device, Access>,
}

/// What a container may always use, after the list of its specification: any node may be made, few may be opened.
/// tun was taken out once, and too many needed it.
const DEFAULTS: [(Type, Option<u32>, Option<u32>, Access); 11] = [
    (Type::Char, None, None, Access::MKNOD),
    (Type::Block, None, None, Access::MKNOD),
    (Type::Char, Some(1), Some(3), Access::ALL),    // null
    (Type::Char, Some(1), Some(8), Access::ALL),    // random
    (Type::Char, Some(1), Some(7), Access::ALL),    // full
    (Type::Char, Some(5), Some(0), Access::ALL),    // tty
    (Type::Char, Some(1), Some(5), Access::ALL),    // zero
    (Type::Char, Some(1), Some(9), Access::ALL),    // urandom
    (Type::Char, Some(136), None, Access::ALL),     // pts
    (Type::Char, Some(5), Some(2), Access::ALL),    // ptmx
    (Type::Char, Some(10), Some(200), Access::ALL), // net/tun
];

impl Access {
    pub(crate) const MKNOD: Access = Access(1);
    pub(crate) const ALL: Access = Access(7);
    const LETTERS: [(char, u8); 3] = [('r', 2), ('w', 4), ('m', 1)];

    fn parse(text: &str) -> Option<Self> {
        let bit = |letter| Self::LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, bit)| *bit);
        text.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?)).map(Access)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    fn without(self, other: Self) -> Self {
        Access(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::LETTERS
            .iter()
            .filter(|(_, bit)| self.0 & bit != 0)
            .try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let typ = match self.typ {
            Type::Block => 'b',
            Type::Char => 'c',
        };
        write!(f, "{typ} {}:{}", number(self.major), number(self.minor))
    }
}

impl Policy {
    /// The list of the specification, then the defaults.
    pub(crate) fn of_spec(rules: &[LinuxDeviceCgroup]) -> Result<Self> {
        let mut policy = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            policy.apply_spec(index, rule)?;
        }
        for (typ, major, minor, access) in DEFAULTS {
            policy.apply(true, Device { typ, major, minor }, access)?;
        }
        Ok(policy)
    }

    pub(super) fn apply_spec(&mut self, index: usize, rule: &LinuxDeviceCgroup) -> Result<()> {
        let access = rule.access().as_deref().unwrap_or_default();
        if access.is_empty() {
            return Err(Error::Invalid(format!("device access at {index} field cannot be empty")));
        }
        let access = Access::parse(access)
            .ok_or_else(|| Error::Invalid(format!("invalid device access {access:?} at {index}")))?;
        let number = |name: &str, number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            // The kernel has 12 bits for a major and 20 for a minor number; the program compares signed ones.
            Some(n) => u32::try_from(n)
                .ok()
                .filter(|n| i32::try_from(*n).is_ok())
                .map(Some)
                .ok_or_else(|| Error::Invalid(format!("invalid device {name} number {n} at {index}"))),
        };
        let (major, minor) = (number("major", rule.major())?, number("minor", rule.minor())?);
        let typ = match rule.typ() {
            // All of both types, whatever else the rule says: so does the kernel.
            None | Some(LinuxDeviceType::A) => {
                *self = Self { allows_by_default: rule.allow(), exceptions: BTreeMap::new() };
                return Ok(());
            }
            Some(LinuxDeviceType::B) => Type::Block,
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Type::Char,
            Some(LinuxDeviceType::P) => {
                return Err(Error::Invalid(format!("device at {index} is a FIFO, which needs no rule")));
            }
        };
        self.apply(rule.allow(), Device { typ, major, minor }, access)
    }

    fn apply(&mut self, allow: bool, device: Device, access: Access) -> Result<()> {
        if allow != self.allows_by_default {
            let exception = self.exceptions.entry(device).or_default();
            *exception = Access(exception.0 | access.0);
            return Ok(());
        }
        self.refuse_a_hole(device, access)?;
        if let Some(exception) = self.exceptions.get_mut(&device) {
            *exception = exception.without(access);
            if exception.is_empty() {
                self.exceptions.remove(&device);
            }
        }
        Ok(())
    }

    /// Version 1 silently ignores a rule that takes one device out of an exception for many. Silence about a denial
    /// is no security, so it is an error, in both versions alike.
    fn refuse_a_hole(&self, device: Device, access: Access) -> Result<()> {
        for (major, minor) in [(None, device.minor), (device.major, None), (None, None)] {
            let wider = Device { typ: device.typ, major, minor };
            let overlaps = self.exceptions.get(&wider).is_some_and(|other| other.0 & access.0 != 0);
            if wider != device && overlaps {
                return Err(Error::Invalid(format!(
                    "requested rule [{device} {access}] not supported by devices cgroupv1 \
                     (cannot punch hole in existing wildcard rule [{wider} {}])",
                    self.exceptions.get(&wider).copied().unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// Everything, without exception.
    pub(crate) fn allows_all(&self) -> bool {
        self.allows_by_default && self.exceptions.is_empty()
    }

    /// `devices.list`. It shows an allow-all list as one line and hides the exceptions from it.
    fn in_force(list: &str) -> Result<Self> {
        let mut policy = Self::default();
        for line in list.lines() {
            let bad = || Error::Invalid(format!("devices.list has the line {line:?}"));
            let (typ, rest) = line.split_once(' ').ok_or_else(bad)?;
            let (numbers, access) = rest.split_once(' ').ok_or_else(bad)?;
            let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
            let number = |text: &str| match text {
                "*" => Ok(None),
                text => text.parse().map(Some).map_err(|_| bad()),
            };
            let typ = match typ {
                "a" => {
                    policy.allows_by_default = true;
                    continue;
                }
                "b" => Type::Block,
                "c" => Type::Char,
                _ => return Err(bad()),
            };
            let device = Device { typ, major: number(major)?, minor: number(minor)? };
            policy.exceptions.insert(device, Access::parse(access.trim()).ok_or_else(bad)?);
        }
        Ok(policy)
    }

    /// The fewest rules from here to there, so that no device in use is taken away even for a moment: (allow, rule).
    fn transition(&self, target: &Self) -> Vec<(bool, String)> {
        let mut rules = Vec::new();
        let none = BTreeMap::new();
        // What an allow-all list denies cannot be read back, so it is always written anew.
        let old = if self.allows_by_default || target.allows_by_default {
            rules.push((target.allows_by_default, "a".to_owned()));
            &none
        } else {
            &self.exceptions
        };
        let of =
            |set: &BTreeMap<Device, Access>, device: &Device| set.get(device).copied().unwrap_or_default();
        let lines = |from: &BTreeMap<Device, Access>, to: &BTreeMap<Device, Access>, allow: bool| {
            let changed = from.iter().filter_map(|(device, access)| {
                let rest = access.without(of(to, device));
                (!rest.is_empty()).then(|| (allow, format!("{device} {rest}")))
            });
            changed.collect::<Vec<_>>()
        };
        rules.extend(lines(old, &target.exceptions, target.allows_by_default));
        rules.extend(lines(&target.exceptions, old, !target.allows_by_default));
        rules
    }
}

/// Version 1.
pub(crate) fn set_v1(dir: &Dir, target: &Policy) -> Result<()> {
    let current = in_force_v1(dir)?;
    if current.allows_all() && target.allows_all() {
        return Ok(());
    }
    let (allow, deny) = (WriteOften::new(dir, "devices.allow"), WriteOften::new(dir, "devices.deny"));
    for (allowed, rule) in current.transition(target) {
        if allowed { allow.write(&rule)? } else { deny.write(&rule)? }
    }
    // A parent's list can make the kernel do something else than it was told.
    let after = in_force_v1(dir)?;
    if after.allows_by_default != target.allows_by_default {
        return Err(Error::Invalid("resulting devices cgroup doesn't match target mode".into()));
    }
    if !target.allows_by_default && after != *target {
        return Err(Error::Invalid("resulting devices cgroup doesn't precisely match target".into()));
    }
    Ok(())
}

/// What version 1 enforces at the moment.
pub(crate) fn in_force_v1(dir: &Dir) -> Result<Policy> {
    Policy::in_force(&dir.read("devices.list")?)
}

/// A control file that takes many values, opened at the first of them.
struct WriteOften<'a> {
    dir: &'a Dir,
    file: &'static str,
    fd: std::cell::OnceCell<std::os::fd::OwnedFd>,
}

impl<'a> WriteOften<'a> {
    fn new(dir: &'a Dir, file: &'static str) -> Self {
        Self { dir, file, fd: std::cell::OnceCell::new() }
    }

    fn write(&self, value: &str) -> Result<()> {
        let fd = match self.fd.get() {
            Some(fd) => fd,
            None => {
                let fd = self.dir.open_file(self.file, rustix::fs::OFlags::WRONLY)?;
                self.fd.get_or_init(|| fd)
            }
        };
        super::dir::retry(|| rustix::io::write(fd, value.as_bytes())).map(drop).map_err(|errno| {
            Error::Write {
                value: value.to_owned(),
                path: self.dir.path().join(self.file),
                cause: errno.into(),
            }
        })
    }
}

/// cgroup2: loads the program and puts it in the place of what was attached, without a moment between.
pub(crate) fn set_v2(dir: &Dir, target: &Policy) -> Result<()> {
    let failed = |what: &str| {
        let attempted = format!("{what} device program of {}", dir.path().display());
        move |cause| Error::Io { attempted, cause }
    };
    let old = bpf::attached_device_programs(dir).map_err(failed("query"))?;
    if old.is_empty() && target.allows_all() {
        return Ok(());
    }
    let instructions = program::of(target);
    let new = match bpf::load_device_program(&instructions) {
        // Before Linux 5.11 programs count against the limit of locked memory.
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            raise_locked_memory();
            bpf::load_device_program(&instructions)
        }
        loaded => loaded,
    }
    .map_err(failed("load"))?;
    let old = old.into_iter().filter_map(|id| bpf::open_program(id).ok()).collect::<Vec<_>>();
    if let [only] = old.as_slice() {
        match bpf::attach_device_program(dir, &new, Some(only)) {
            // Before Linux 5.6, or attached without the flag that allows several: beside it, then without it.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
            other => return other.map_err(failed("replace")),
        }
    }
    bpf::attach_device_program(dir, &new, None).map_err(failed("attach"))?;
    for program in &old {
        bpf::detach_device_program(dir, program).map_err(failed("detach"))?;
    }
    Ok(())
}

/// The programs on a cgroup, to be compared after somebody else worked on it.
pub(crate) fn attached(dir: &Dir) -> Vec<u32> {
    bpf::attached_device_programs(dir).unwrap_or_default()
}

/// Detaches what was not there before.
pub(crate) fn detach_newer(dir: &Dir, before: &[u32]) {
    if before.is_empty() {
        return;
    }
    for id in attached(dir).iter().filter(|id| !before.contains(id)) {
        let detached = bpf::open_program(*id).and_then(|program| bpf::detach_device_program(dir, program));
        if let Err(error) = detached {
            log::warn!("detach device program {id} of {}: {error}", dir.path().display());
        }
    }
}

fn raise_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        log::debug!("raise the limit of locked memory: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    fn listed(policy: &Policy) -> Vec<String> {
        policy.exceptions.iter().map(|(device, access)| format!("{device} {access}")).collect()
    }

    #[test]
    fn the_defaults_come_after_the_list_of_the_specification() {
        let policy = Policy::of_spec(&rules(r#"[{"allow":false,"access":"rwm"}]"#)).unwrap();
        assert!(!policy.allows_by_default);
        assert_eq!(
            listed(&policy),
            [
                "b *:* m",
                "c *:* m",
                "c 1:3 rwm",
                "c 1:5 rwm",
                "c 1:7 rwm",
                "c 1:8 rwm",
                "c 1:9 rwm",
                "c 5:0 rwm",
                "c 5:2 rwm",
                "c 10:200 rwm",
                "c 136:* rwm",
            ]
        );
        let policy = Policy::of_spec(&rules(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"r"}]"#,
        ))
        .unwrap();
        assert!(policy.allows_by_default);
        assert_eq!(listed(&policy), ["c 1:11 r"]);
    }

    #[test]
    fn a_hole_in_a_wildcard_is_refused_aloud() {
        let error = Policy::of_spec(&rules(
            r#"[{"allow":true,"type":"c","major":1,"access":"rw"},
                {"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]"#,
        ))
        .unwrap_err();
        assert!(
            error.to_string().contains("cannot punch hole in existing wildcard rule [c 1:* rw]"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_rule_is_named() {
        for (json, text) in [
            (r#"[{"allow":true}]"#, "device access at 0 field cannot be empty"),
            (r#"[{"allow":true,"access":"x"}]"#, r#"invalid device access "x" at 0"#),
            (r#"[{"allow":true,"type":"b","major":-7,"access":"r"}]"#, "invalid device major number -7 at 0"),
            (
                r#"[{"allow":true,"type":"b","minor":4294967295,"access":"r"}]"#,
                "invalid device minor number 4294967295 at 0",
            ),
        ] {
            assert_eq!(Policy::of_spec(&rules(json)).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_transition_takes_nothing_away_that_stays() {
        let old = Policy::in_force("c 1:3 rwm\nc 1:5 rw\nb 8:0 r\n").unwrap();
        let new = Policy::in_force("c 1:3 rw\nc 1:5 rwm\nc 1:7 r\n").unwrap();
        let allow = |text: &str| (true, text.to_owned());
        let deny = |text: &str| (false, text.to_owned());
        assert_eq!(
            old.transition(&new),
            [deny("b 8:0 r"), deny("c 1:3 m"), allow("c 1:5 m"), allow("c 1:7 r")]
        );
        assert_eq!(new.transition(&new), []);
        let all = Policy::in_force("a *:* rwm\n").unwrap();
        assert_eq!(
            all.transition(&old),
            [deny("a"), allow("b 8:0 r"), allow("c 1:3 rwm"), allow("c 1:5 rw")]
        );
        assert_eq!(old.transition(&all), [allow("a")]);
    }
}
