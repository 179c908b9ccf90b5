//! Mount options: one table of all words, and what a list of them comes to.
//!
//! The words are mount(8)'s and those the OCI runtime specification adds; what is not in the table is for the file
//! system itself.

use libc::{MOUNT_ATTR__ATIME as ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME};
use libc::{MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY};
use libc::{MOUNT_ATTR_RELATIME, MOUNT_ATTR_STRICTATIME};
use serde::{Deserialize, Serialize};

/// `MS_*` flags, as mount(2) has them.
pub(super) mod ms {
    pub(in super::super) const RDONLY: u32 = libc::MS_RDONLY as u32;
    pub(in super::super) const NOSUID: u32 = libc::MS_NOSUID as u32;
    pub(in super::super) const NODEV: u32 = libc::MS_NODEV as u32;
    pub(in super::super) const NOEXEC: u32 = libc::MS_NOEXEC as u32;
    pub(in super::super) const SYNCHRONOUS: u32 = libc::MS_SYNCHRONOUS as u32;
    pub(in super::super) const REMOUNT: u32 = libc::MS_REMOUNT as u32;
    pub(in super::super) const MANDLOCK: u32 = libc::MS_MANDLOCK as u32;
    pub(in super::super) const DIRSYNC: u32 = libc::MS_DIRSYNC as u32;
    pub(in super::super) const NOSYMFOLLOW: u32 = libc::MS_NOSYMFOLLOW as u32;
    pub(in super::super) const NOATIME: u32 = libc::MS_NOATIME as u32;
    pub(in super::super) const NODIRATIME: u32 = libc::MS_NODIRATIME as u32;
    pub(in super::super) const BIND: u32 = libc::MS_BIND as u32;
    pub(in super::super) const REC: u32 = libc::MS_REC as u32;
    pub(in super::super) const SILENT: u32 = libc::MS_SILENT as u32;
    pub(in super::super) const UNBINDABLE: u32 = libc::MS_UNBINDABLE as u32;
    pub(in super::super) const PRIVATE: u32 = libc::MS_PRIVATE as u32;
    pub(in super::super) const SLAVE: u32 = libc::MS_SLAVE as u32;
    pub(in super::super) const SHARED: u32 = libc::MS_SHARED as u32;
    pub(in super::super) const RELATIME: u32 = libc::MS_RELATIME as u32;
    pub(in super::super) const I_VERSION: u32 = libc::MS_I_VERSION as u32;
    pub(in super::super) const STRICTATIME: u32 = libc::MS_STRICTATIME as u32;
    pub(in super::super) const LAZYTIME: u32 = libc::MS_LAZYTIME as u32;
    /// All that decide about access times.
    pub(in super::super) const ALL_ATIME: u32 = NOATIME | NODIRATIME | RELATIME | STRICTATIME;
    /// What a mount inherited from a more privileged namespace keeps.
    pub(in super::super) const LOCKABLE: u32 = RDONLY | NOSUID | NODEV | NOEXEC | ALL_ATIME;
}

/// What a word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Set(u32),
    Clear(u32),
    Propagate(u32),
    SetBelow(u64),
    ClearBelow(u64),
    CopyUp,
    MapIds { recursive: bool },
}

use Effect::{Clear, ClearBelow, CopyUp, MapIds, Propagate, Set, SetBelow};

/// Sorted by what they do.
const WORDS: &[(&str, Effect)] = &[
    ("defaults", Set(0)),
    ("bind", Set(ms::BIND)),
    ("rbind", Set(ms::BIND | ms::REC)),
    ("remount", Set(ms::REMOUNT)),
    ("ro", Set(ms::RDONLY)),
    ("rw", Clear(ms::RDONLY)),
    ("nosuid", Set(ms::NOSUID)),
    ("suid", Clear(ms::NOSUID)),
    ("nodev", Set(ms::NODEV)),
    ("dev", Clear(ms::NODEV)),
    ("noexec", Set(ms::NOEXEC)),
    ("exec", Clear(ms::NOEXEC)),
    ("nosymfollow", Set(ms::NOSYMFOLLOW)),
    ("symfollow", Clear(ms::NOSYMFOLLOW)),
    ("sync", Set(ms::SYNCHRONOUS)),
    ("async", Clear(ms::SYNCHRONOUS)),
    ("dirsync", Set(ms::DIRSYNC)),
    ("mand", Set(ms::MANDLOCK)),
    ("nomand", Clear(ms::MANDLOCK)),
    ("noatime", Set(ms::NOATIME)),
    ("atime", Clear(ms::NOATIME)),
    ("nodiratime", Set(ms::NODIRATIME)),
    ("diratime", Clear(ms::NODIRATIME)),
    ("relatime", Set(ms::RELATIME)),
    ("norelatime", Clear(ms::RELATIME)),
    ("strictatime", Set(ms::STRICTATIME)),
    ("nostrictatime", Clear(ms::STRICTATIME)),
    ("iversion", Set(ms::I_VERSION)),
    ("noiversion", Clear(ms::I_VERSION)),
    ("lazytime", Set(ms::LAZYTIME)),
    ("nolazytime", Clear(ms::LAZYTIME)),
    ("silent", Set(ms::SILENT)),
    ("loud", Clear(ms::SILENT)),
    ("private", Propagate(ms::PRIVATE)),
    ("rprivate", Propagate(ms::PRIVATE | ms::REC)),
    ("shared", Propagate(ms::SHARED)),
    ("rshared", Propagate(ms::SHARED | ms::REC)),
    ("slave", Propagate(ms::SLAVE)),
    ("rslave", Propagate(ms::SLAVE | ms::REC)),
    ("unbindable", Propagate(ms::UNBINDABLE)),
    ("runbindable", Propagate(ms::UNBINDABLE | ms::REC)),
    ("rro", SetBelow(MOUNT_ATTR_RDONLY)),
    ("rrw", ClearBelow(MOUNT_ATTR_RDONLY)),
    ("rnosuid", SetBelow(MOUNT_ATTR_NOSUID)),
    ("rsuid", ClearBelow(MOUNT_ATTR_NOSUID)),
    ("rnodev", SetBelow(MOUNT_ATTR_NODEV)),
    ("rdev", ClearBelow(MOUNT_ATTR_NODEV)),
    ("rnoexec", SetBelow(MOUNT_ATTR_NOEXEC)),
    ("rexec", ClearBelow(MOUNT_ATTR_NOEXEC)),
    ("rnodiratime", SetBelow(MOUNT_ATTR_NODIRATIME)),
    ("rdiratime", ClearBelow(MOUNT_ATTR_NODIRATIME)),
    ("rrelatime", SetBelow(MOUNT_ATTR_RELATIME)),
    ("rnorelatime", ClearBelow(MOUNT_ATTR_RELATIME)),
    ("rnoatime", SetBelow(MOUNT_ATTR_NOATIME)),
    ("ratime", ClearBelow(MOUNT_ATTR_NOATIME)),
    ("rstrictatime", SetBelow(MOUNT_ATTR_STRICTATIME)),
    ("rnostrictatime", ClearBelow(MOUNT_ATTR_STRICTATIME)),
    ("rnosymfollow", SetBelow(MOUNT_ATTR_NOSYMFOLLOW)),
    ("rsymfollow", ClearBelow(MOUNT_ATTR_NOSYMFOLLOW)),
    ("tmpcopyup", CopyUp),
    ("idmap", MapIds { recursive: false }),
    ("ridmap", MapIds { recursive: true }),
];

/// The words of mount options that are understood, sorted, as `features` lists them (id mappings have an entry of
/// their own there).
pub fn known_options() -> Vec<&'static str> {
    let mut words: Vec<&str> =
        WORDS.iter().filter(|(_, effect)| !matches!(effect, MapIds { .. })).map(|(word, _)| *word).collect();
    words.sort_unstable();
    words
}

/// The flags of a word for `linux.rootfsPropagation`.
pub(super) fn propagation(word: &str) -> Option<u32> {
    WORDS.iter().find_map(|(known, effect)| match effect {
        Propagate(flags) if *known == word => Some(*flags),
        _ => None,
    })
}

/// Attributes that apply to a whole tree of mounts, for mount_setattr(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Below {
    pub(super) set: u64,
    pub(super) clear: u64,
}

/// What a list of options comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `MS_*` flags that are wanted.
    pub(super) set: u32,
    /// `MS_*` flags that are explicitly not wanted.
    pub(super) cleared: u32,
    /// In the order given.
    pub(super) propagation: Vec<u32>,
    pub(super) below: Below,
    pub(super) copy_up: bool,
    /// Recursively?
    pub(super) map_ids: Option<bool>,
    /// What is left is for the file system.
    pub(super) data: Vec<String>,
}

/// Reads a list of options; later ones win.
pub(super) fn parse(words: &[String]) -> Options {
    let mut options = Options::default();
    for word in words {
        match WORDS.iter().find(|(known, _)| known == word).map(|(_, effect)| *effect) {
            Some(Set(flags)) => {
                options.set |= flags;
                options.cleared &= !flags;
            }
            Some(Clear(flags)) => {
                options.set &= !flags;
                options.cleared |= flags;
            }
            Some(Propagate(flags)) => options.propagation.push(flags),
            Some(SetBelow(bits)) => set_below(&mut options.below, bits),
            Some(ClearBelow(bits)) => clear_below(&mut options.below, bits),
            Some(CopyUp) => options.copy_up = true,
            Some(MapIds { recursive }) => options.map_ids = Some(recursive),
            None => options.data.extend(split(word)),
        }
    }
    options
}

/// Access times are one value, not bits: setting one of them clears the field (mount_setattr(2)).
fn set_below(below: &mut Below, bits: u64) {
    if bits & ATIME == bits {
        below.set &= !ATIME;
        below.clear |= ATIME;
    }
    below.set |= bits;
    below.clear &= !bits | ATIME;
}

/// What is cleared falls back to relatime, the value without a bit.
fn clear_below(below: &mut Below, bits: u64) {
    if bits != 0 && bits & ATIME == bits {
        below.clear |= ATIME;
    }
    below.set &= !bits;
    below.clear |= bits;
}

/// One string may hold several options; commas inside of quotes belong to a value.
fn split(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in word.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The attributes of a mount that mount(2) would derive from these flags.
pub(super) fn attributes(set: u32) -> u64 {
    let mut bits = 0;
    for (flag, bit) in PLAIN {
        if set & flag != 0 {
            bits |= bit;
        }
    }
    bits | if set & ms::STRICTATIME != 0 {
        MOUNT_ATTR_STRICTATIME
    } else if set & ms::NOATIME != 0 {
        MOUNT_ATTR_NOATIME
    } else {
        MOUNT_ATTR_RELATIME
    }
}

/// The reverse, for kernels whose only way is mount(2).
pub(super) fn flags(attributes: u64) -> u32 {
    let mut flags = 0;
    for (flag, bit) in PLAIN {
        if attributes & bit != 0 {
            flags |= flag;
        }
    }
    flags
        | match attributes & ATIME {
            MOUNT_ATTR_NOATIME => ms::NOATIME,
            MOUNT_ATTR_STRICTATIME => ms::STRICTATIME,
            _ => ms::RELATIME,
        }
}

const PLAIN: [(u32, u64); 6] = [
    (ms::RDONLY, MOUNT_ATTR_RDONLY),
    (ms::NOSUID, MOUNT_ATTR_NOSUID),
    (ms::NODEV, MOUNT_ATTR_NODEV),
    (ms::NOEXEC, MOUNT_ATTR_NOEXEC),
    (ms::NODIRATIME, MOUNT_ATTR_NODIRATIME),
    (ms::NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
];

/// Names for messages.
pub(super) fn describe(flags: u32) -> String {
    const NAMES: [(u32, &str); 9] = [
        (ms::RDONLY, "MS_RDONLY"),
        (ms::NOSUID, "MS_NOSUID"),
        (ms::NODEV, "MS_NODEV"),
        (ms::NOEXEC, "MS_NOEXEC"),
        (ms::NOSYMFOLLOW, "MS_NOSYMFOLLOW"),
        (ms::NOATIME, "MS_NOATIME"),
        (ms::NODIRATIME, "MS_NODIRATIME"),
        (ms::RELATIME, "MS_RELATIME"),
        (ms::STRICTATIME, "MS_STRICTATIME"),
    ];
    let names: Vec<&str> =
        NAMES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    names.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn later_words_win() {
        let read = options(&["rbind", "ro", "nosuid", "rw", "noexec", "exec", "ro"]);
        assert_eq!(read.set, ms::BIND | ms::REC | ms::RDONLY | ms::NOSUID);
        assert_eq!(read.cleared, ms::NOEXEC);
    }

    #[test]
    fn words_of_the_file_system_are_kept_in_order_and_split() {
        let read = options(&["mode=755,size=64k", "defaults", "newinstance", r#"context="a:b:s0:c1,c2""#]);
        assert_eq!(read.data, ["mode=755", "size=64k", "newinstance", r#"context="a:b:s0:c1,c2""#]);
        assert_eq!(read.set, 0);
    }

    #[test]
    fn access_times_of_a_tree_are_one_value() {
        assert_eq!(options(&["rnoatime"]).below, Below { set: MOUNT_ATTR_NOATIME, clear: ATIME });
        assert_eq!(options(&["rnoatime", "rrelatime"]).below, Below { set: 0, clear: ATIME });
        assert_eq!(options(&["rnoatime", "ratime"]).below, Below { set: 0, clear: ATIME });
        let both = options(&["rro", "rstrictatime", "rrw", "rnodiratime"]).below;
        assert_eq!(both.set, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME);
        assert_eq!(both.clear, ATIME | MOUNT_ATTR_RDONLY);
    }

    #[test]
    fn attributes_are_those_mount_would_derive() {
        assert_eq!(attributes(ms::NOATIME | ms::STRICTATIME), MOUNT_ATTR_STRICTATIME);
        assert_eq!(attributes(ms::RDONLY | ms::NODIRATIME), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODIRATIME);
        for flag in [ms::RDONLY, ms::NOSUID, ms::NODEV, ms::NOEXEC, ms::NOSYMFOLLOW, ms::NODIRATIME] {
            assert_eq!(flags(attributes(flag)), flag | ms::RELATIME);
        }
    }

    #[test]
    fn every_word_of_runc_is_known_once() {
        let known = known_options();
        assert_eq!(known.len(), WORDS.len() - 2);
        assert!(known.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(propagation("rslave"), Some(ms::SLAVE | ms::REC));
        assert_eq!(propagation("bind"), None);
    }
}
