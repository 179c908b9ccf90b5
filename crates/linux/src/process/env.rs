//! The environment: `process.env` without duplicates, and HOME from the container's `/etc/passwd` when it is missing.

use super::error::Error;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::retry_on_intr;
use std::collections::HashSet;

/// A passwd file is read up to here; the line of a container's user is not beyond it.
const PASSWD_LIMIT: usize = 1 << 20;

/// Checks each `NAME=value` and keeps the last of each name, in the order given. An empty HOME counts as none.
pub(crate) fn plan(wanted: &[String]) -> Result<Vec<String>, Error> {
    let mut seen = HashSet::with_capacity(wanted.len());
    let mut kept = Vec::with_capacity(wanted.len() + 1);
    for pair in wanted.iter().rev() {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Error::invalid("invalid environment variable: missing '='"));
        };
        if name.is_empty() {
            return Err(Error::invalid("invalid environment variable: name cannot be empty"));
        }
        if pair.contains('\0') {
            return Err(Error::invalid(format!(
                "invalid environment variable {name:?}: contains nul byte (\\x00)"
            )));
        }
        if seen.insert(name) && !(name == "HOME" && value.is_empty()) {
            kept.push(pair.clone());
        }
    }
    kept.reverse();
    Ok(kept)
}

/// The value of a variable.
pub(crate) fn get<'a>(env: &'a [String], wanted: &str) -> Option<&'a str> {
    env.iter()
        .find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == wanted).map(|(_, value)| value))
}

/// Adds HOME if there is none: the user's in the `/etc/passwd` of the calling process's root, or `/`.
pub fn add_home(env: &mut Vec<String>, uid: u32) {
    if get(env, "HOME").is_none() {
        let home = read_passwd().and_then(|passwd| home_of(&passwd, uid)).unwrap_or_else(|| "/".to_owned());
        env.push(format!("HOME={home}"));
    }
}

/// Whatever the image put there (a fifo, a device, an endless file), this returns.
fn read_passwd() -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(CWD, "/etc/passwd", flags, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut text = vec![0; 16 << 10];
    let mut length = 0;
    loop {
        match retry_on_intr(|| rustix::io::read(&file, text.get_mut(length..).unwrap_or_default())).ok()? {
            0 => break,
            n => length += n,
        }
        if length == text.len() {
            if length >= PASSWD_LIMIT {
                break;
            }
            text.resize(length * 2, 0);
        }
    }
    text.truncate(length);
    Some(text)
}

/// `name:password:uid:gid:comment:home:shell`; what is no such line is passed over.
fn home_of(passwd: &[u8], uid: u32) -> Option<String> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.split(':').skip(2);
        let found = fields.next()?.parse() == Ok(uid);
        let home = fields.nth(2)?;
        (found && !home.is_empty() && !home.contains('\0')).then(|| home.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[&str]) -> Result<Vec<String>, String> {
        plan(&pairs.iter().map(ToString::to_string).collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_of_a_name_wins_and_keeps_its_place() {
        assert_eq!(env(&["A=1", "B=2", "A=3=4", "C="]).unwrap(), ["B=2", "A=3=4", "C="]);
        assert_eq!(env(&["HOME=", "A=1"]).unwrap(), ["A=1"]);
        assert_eq!(env(&["HOME=/x", "HOME="]).unwrap(), [] as [&str; 0], "the last HOME is the empty one");
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        assert_eq!(env(&["A"]).unwrap_err(), "invalid environment variable: missing '='");
        assert_eq!(env(&["=A"]).unwrap_err(), "invalid environment variable: name cannot be empty");
        assert_eq!(
            env(&["A=\0"]).unwrap_err(),
            "invalid environment variable \"A\": contains nul byte (\\x00)"
        );
    }

    #[test]
    fn home_is_found_between_broken_lines() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\nbroken\n\xff:x:7:7::/no:\n:::::::\nu:x:7:7::/home/u:/bin/sh";
        assert_eq!(home_of(passwd, 0).unwrap(), "/root");
        assert_eq!(home_of(passwd, 7).unwrap(), "/home/u");
        assert_eq!(home_of(passwd, 8), None);
        assert_eq!(home_of(b"u:x:7:7:::", 7), None, "an empty home is none");
    }
}
