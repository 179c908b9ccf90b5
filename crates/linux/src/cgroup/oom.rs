//! Tells when the kernel ended a process of the container because memory ran out.
//!
//! Version 1 counts into an eventfd that was registered for it, and also when the cgroup is removed; that is the end.
//! cgroup2 changes `memory.events`, which poll(2) reports as an exception. It could be seen by inotify too, but a user has
//! 128 of these, and may have more containers.

use super::Cgroup;
use super::dir::{Dir, retry};
use super::error::{Error, Result};
use super::layout::Version;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Out-of-memory kills of one container. Wait until it is readable, then ask [`OomEvents::next_event`].
#[derive(Debug)]
pub struct OomEvents {
    fd: OwnedFd,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The cgroup, whose existence tells the last event from a kill; and the file the events are registered with,
    /// which must stay open.
    V1 { cgroup: PathBuf, _control: OwnedFd },
    /// How many kills were reported.
    V2 { kills: u64 },
}

/// What [`OomEvents::next_event`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomEvent {
    /// Nothing yet.
    Nothing,
    /// A process was ended.
    Killed,
    /// The cgroup is gone: nothing will follow.
    End,
}

impl Cgroup {
    /// Begins to watch.
    pub fn oom_events(&self) -> Result<OomEvents> {
        let Some((index, version)) = self.host("memory") else {
            return Err(Error::Unsupported("cgroup memory is not available".into()));
        };
        let dir = self.dir(index)?;
        match version {
            Version::V1 => watch_v1(dir),
            Version::V2 => watch_v2(dir),
        }
    }
}

fn watch_v1(dir: &Dir) -> Result<OomEvents> {
    let control = dir.open_file("memory.oom_control", rustix::fs::OFlags::RDONLY)?;
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::io("make an eventfd", errno))?;
    dir.write("cgroup.event_control", &format!("{} {}", fd.as_raw_fd(), control.as_raw_fd()))?;
    Ok(OomEvents { fd, source: Source::V1 { cgroup: dir.path().to_owned(), _control: control } })
}

fn watch_v2(dir: &Dir) -> Result<OomEvents> {
    let fd = dir.open_file("memory.events", rustix::fs::OFlags::RDONLY)?;
    let mut events = OomEvents { fd, source: Source::V2 { kills: 0 } };
    // What is reported are changes after a first reading.
    let kills = events.kills()?.unwrap_or_default();
    events.source = Source::V2 { kills };
    Ok(events)
}

impl OomEvents {
    /// What to wait for on the descriptor.
    pub fn interest(&self) -> PollFlags {
        match self.source {
            Source::V1 { .. } => PollFlags::IN,
            Source::V2 { .. } => PollFlags::PRI,
        }
    }

    /// What happened since the last time; does not block.
    pub fn next_event(&mut self) -> Result<OomEvent> {
        match &self.source {
            Source::V1 { cgroup, .. } => match retry(|| rustix::io::read(&self.fd, &mut [0; 8])) {
                Err(Errno::AGAIN) => Ok(OomEvent::Nothing),
                Err(errno) => Err(Error::io("read events of the cgroup", errno)),
                Ok(_) if cgroup.join("cgroup.procs").exists() => Ok(OomEvent::Killed),
                Ok(_) => Ok(OomEvent::End),
            },
            Source::V2 { kills: reported } => {
                let reported = *reported;
                let Some(now) = self.kills()? else { return Ok(OomEvent::End) };
                self.source = Source::V2 { kills: now };
                Ok(if now > reported { OomEvent::Killed } else { OomEvent::Nothing })
            }
        }
    }

    /// `None` when the cgroup is gone.
    fn kills(&self) -> Result<Option<u64>> {
        let mut buffer = [0; 1024];
        match retry(|| rustix::io::pread(&self.fd, &mut buffer, 0)) {
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::io("read memory.events of the cgroup", errno)),
            Ok(length) => Ok(Some(kills(&String::from_utf8_lossy(buffer.get(..length).unwrap_or_default())))),
        }
    }
}

fn kills(events: &str) -> u64 {
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kills_count() {
        assert_eq!(kills("low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 1\n"), 2);
        assert_eq!(kills(""), 0);
    }
}
