//! Freezes and thaws all processes of a container, and waits until that is so.
//!
//! Version 1 has a controller for it, whose frozen processes ignore even SIGKILL until they are thawed, and which can
//! be outrun by processes that multiply. cgroup2 freezes by itself, reports when it is done, and lets SIGKILL through.

use super::Cgroup;
use super::dir::{Dir, absent_as_none};
use super::error::{Error, Result};
use super::layout::Version;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::time::{Duration, Instant};

const STATE: &str = "freezer.state";
/// How long cgroup2 may take to freeze: a process in an uninterruptible system call delays it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Version 1 is written to again and again: thawing in between lets a stuck process go on.
const ATTEMPTS: u32 = 1000;

impl Cgroup {
    /// Freezes every process and returns when all are frozen. If that cannot be, none is.
    pub fn freeze(&self) -> Result<()> {
        match self.freezer()? {
            (dir, Version::V1) => freeze_v1(dir).inspect_err(|_| undo(dir.write(STATE, "THAWED"))),
            (dir, Version::V2) => freeze_v2(dir, true).inspect_err(|_| undo(dir.write("cgroup.freeze", "0"))),
        }
    }

    /// Lets every process go on; with cgroup2, which systemd removes as soon as it is empty, also one that is gone.
    pub fn thaw(&self) -> Result<()> {
        match self.freezer()? {
            (dir, Version::V1) => dir.write(STATE, "THAWED"),
            (dir, Version::V2) => absent_as_none(freeze_v2(dir, false)).map(drop),
        }
    }

    /// Whether this cgroup itself is frozen, not only one above it. A cgroup that is gone is not.
    pub fn frozen(&self) -> Result<bool> {
        match self.host_dir("freezer")? {
            None => Ok(false),
            Some((dir, Version::V1)) => frozen_v1(dir),
            Some((dir, Version::V2)) => {
                let wanted = dir.read_optional("cgroup.freeze")?.is_some_and(|text| text.trim() == "1");
                Ok(wanted && absent_as_none(wait_for(dir, true))?.is_some())
            }
        }
    }

    pub(crate) fn freezer(&self) -> Result<(&Dir, Version)> {
        match self.host("freezer") {
            Some((index, version)) => Ok((self.dir(index)?, version)),
            None => Err(Error::Unsupported("cgroup freezer is not available".into())),
        }
    }
}

fn undo(result: Result<()>) {
    if let Err(error) = result {
        log::warn!("{}", compute::Error::from(error));
    }
}

fn freeze_v1(dir: &Dir) -> Result<()> {
    for attempt in 1..=ATTEMPTS {
        if attempt.is_multiple_of(50) {
            dir.write(STATE, "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        dir.write(STATE, "FROZEN")?;
        if attempt.is_multiple_of(25) {
            std::thread::sleep(Duration::from_micros(10));
        }
        match dir.read(STATE)?.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" => {}
            other => return Err(Error::Invalid(format!("unexpected state {other} while freezing"))),
        }
    }
    Err(Error::Timeout("unable to freeze".into()))
}

fn frozen_v1(dir: &Dir) -> Result<bool> {
    loop {
        let Some(state) = dir.read_optional(STATE)? else { return Ok(false) };
        match state.trim() {
            "FREEZING" => std::thread::sleep(Duration::from_millis(1)),
            "FROZEN" => {
                let own = dir.read_optional("freezer.self_freezing")?;
                return Ok(own.is_none_or(|own| own.trim() == "1"));
            }
            _ => return Ok(false),
        }
    }
}

fn freeze_v2(dir: &Dir, frozen: bool) -> Result<()> {
    match dir.write("cgroup.freeze", if frozen { "1" } else { "0" }) {
        // Before Linux 5.2 there is nothing that could have frozen it.
        Err(error) if error.is_errno(Errno::NOENT) && !frozen => return Ok(()),
        Err(error) if error.is_errno(Errno::NOENT) => {
            return Err(Error::Unsupported("cgroup freezer is not available".into()));
        }
        other => other?,
    }
    wait_for(dir, frozen)
}

/// The kernel marks `cgroup.events` as readable with priority whenever it changed.
fn wait_for(dir: &Dir, frozen: bool) -> Result<()> {
    wait_for_event(dir, &dir.open_file("cgroup.events", OFlags::RDONLY)?, frozen)
}

fn wait_for_event(dir: &Dir, events: &OwnedFd, frozen: bool) -> Result<()> {
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        let mut buffer = [0; 256];
        let length = super::dir::retry(|| rustix::io::pread(events, &mut buffer, 0))
            .map_err(|errno| Error::on("read", &dir.path().join("cgroup.events"), errno))?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let state = text.lines().find_map(|line| line.strip_prefix("frozen "));
        if state.is_none_or(|state| (state == "1") == frozen) {
            return Ok(());
        }
        let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Error::Timeout(if frozen { "unable to freeze" } else { "unable to thaw" }.into()));
        }
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(events, PollFlags::PRI)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::on("poll", &dir.path().join("cgroup.events"), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// As systemd removes the cgroup of a container that was killed while somebody looks whether it is frozen.
    #[test]
    fn a_cgroup_that_goes_while_it_is_looked_at_is_not_frozen() {
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let Some(mount) = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists()) else {
            println!("skipped: no cgroup2 is mounted here");
            return;
        };
        let path = mount.join(format!("cofferdam-freezer-{}", std::process::id()));
        if fs::create_dir(&path).is_err() {
            println!("skipped: needs root");
            return;
        }
        let dir = Dir::open(&path).unwrap();
        let events = dir.open_file("cgroup.events", OFlags::RDONLY).unwrap();
        fs::remove_dir(&path).unwrap();
        assert!(absent_as_none(wait_for_event(&dir, &events, true)).unwrap().is_none());
        assert!(absent_as_none(wait_for(&dir, true)).unwrap().is_none());
        absent_as_none(freeze_v2(&dir, false)).unwrap();
    }
}
