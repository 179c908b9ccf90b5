//! The two facts about a process that only /proc tells: whether it is alive, and when it started.

use crate::saved::InitProcess;
use compute::Error;
use std::fs::File;
use std::io::{self, Read};

/// More than the fields of /proc/pid/stat can take: so it is read at once.
const LONGEST: usize = 2 << 10;

/// What /proc/pid/stat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// A letter: `Z` and `X` are dead.
    pub state: u8,
    /// Clock ticks after boot.
    pub start_time: u64,
}

/// Reads /proc/pid/stat; `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Result<Option<Stat>, Error> {
    let path = format!("/proc/{pid}/stat");
    let mut bytes = Vec::with_capacity(LONGEST);
    let read = File::open(&path).and_then(|file| file.take(LONGEST as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => match parse(&bytes) {
            Some(stat) => Ok(Some(stat)),
            None => Err(Error::io(format!("understand {path}"), io::Error::from(io::ErrorKind::InvalidData))),
        },
        // ESRCH: it went away between open and read.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::io(format!("read {path}"), error)),
    }
}

/// The second field is the program's name in parentheses, and may hold anything.
fn parse(bytes: &[u8]) -> Option<Stat> {
    let end = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // State is field 3; starttime is field 22.
    let start_time = fields.nth(22 - 4)?.parse().ok()?;
    Some(Stat { state, start_time })
}

/// Whether this very process is still alive.
pub(crate) fn is_alive(process: InitProcess) -> Result<bool, Error> {
    let stat = stat(process.pid)?;
    Ok(stat.is_some_and(|stat| stat.start_time == process.start_time && !matches!(stat.state, b'Z' | b'X')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let line = b"7 (a) Z 1 (b) S 1 7 7 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 4242 1 1\n";
        assert_eq!(parse(line), Some(Stat { state: b'S', start_time: 4242 }));
        assert_eq!(parse(b"7 (a"), None);
        assert_eq!(parse(b"7 (a) S 1"), None);
    }

    #[test]
    fn we_are_alive() {
        let pid = std::process::id() as i32;
        let start_time = stat(pid).unwrap().unwrap().start_time;
        assert!(is_alive(InitProcess { pid, start_time }).unwrap());
        assert!(!is_alive(InitProcess { pid, start_time: start_time + 1 }).unwrap());
        assert_eq!(stat(i32::MAX).unwrap(), None);
    }
}
