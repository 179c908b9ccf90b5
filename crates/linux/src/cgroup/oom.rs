//! Tells when the kernel ended a process of the container because memory ran out.
//!
//! Version 1 counts into an eventfd that was registered for it; cgroup2 changes `memory.events`, which inotify sees.
//! Both also speak when the cgroup is removed, and that is the end.

use super::Cgroup;
use super::dir::{Dir, absent_as_none, retry};
use super::error::{Error, Result};
use super::layout::Version;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
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
    /// The directory, and how many kills were reported.
    V2 { path: PathBuf, kills: u64 },
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
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(|errno| Error::io("make an inotify", errno))?;
    // The kernel does not announce the removal of a cgroup, but the change to "populated 0" that comes before it.
    for file in ["memory.events", "cgroup.events"] {
        let path = dir.path().join(file);
        inotify::add_watch(&fd, &path, WatchFlags::MODIFY)
            .map_err(|errno| Error::on("watch", &path, errno))?;
    }
    let kills = kills(&dir.read("memory.events")?);
    Ok(OomEvents { fd, source: Source::V2 { path: dir.path().to_owned(), kills } })
}

impl OomEvents {
    /// What happened since the last time; does not block.
    pub fn next_event(&mut self) -> Result<OomEvent> {
        let mut buffer = [0; 4096];
        match retry(|| rustix::io::read(&self.fd, &mut buffer)) {
            Err(Errno::AGAIN) => return Ok(OomEvent::Nothing),
            Err(errno) => return Err(Error::io("read events of the cgroup", errno)),
            Ok(_) => {}
        }
        match &mut self.source {
            Source::V1 { cgroup, .. } => {
                Ok(if cgroup.join("cgroup.procs").exists() { OomEvent::Killed } else { OomEvent::End })
            }
            Source::V2 { path, kills: reported } => {
                let Some(dir) = Dir::open_optional(path)? else { return Ok(OomEvent::End) };
                let Some(events) = absent_as_none(dir.read("memory.events"))? else {
                    return Ok(OomEvent::End);
                };
                let now = kills(&events);
                if now > *reported {
                    *reported = now;
                    return Ok(OomEvent::Killed);
                }
                let populated = dir.read_optional("cgroup.events")?;
                let ended = populated.is_none_or(|text| text.lines().any(|line| line == "populated 0"));
                Ok(if ended { OomEvent::End } else { OomEvent::Nothing })
            }
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
