//! Removes a container's cgroups, and the ones it made below them. Done twice, it succeeds twice.

use super::dir::{Dir, gone};
use super::error::{Error, Result};
use super::placement::Hierarchy;
use super::{Cgroup, systemd};
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

/// A process that has ended still counts for a moment, until the kernel has let go of it.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LAST_PAUSE: Duration = Duration::from_millis(200);

impl Cgroup {
    /// Removes everything, whatever of it exists, and goes on through errors.
    pub fn destroy(&self) -> Result<()> {
        let mut errors = Vec::new();
        if let Some(unit) = &self.placement.unit {
            errors.extend(systemd::stop(unit).err());
        }
        for hierarchy in &self.placement.hierarchies {
            errors.extend(remove(hierarchy).err());
        }
        Error::collect(errors)
    }
}

fn remove(hierarchy: &Hierarchy) -> Result<()> {
    if hierarchy.is_root() || !hierarchy.path.starts_with(&hierarchy.mount) {
        return Ok(());
    }
    let mut pause = FIRST_PAUSE;
    loop {
        match remove_tree(&hierarchy.path) {
            Err(error) if error.is_errno(Errno::BUSY) && pause <= LAST_PAUSE => {
                std::thread::sleep(pause);
                pause = pause.saturating_mul(2);
            }
            other => return other,
        }
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match rustix::fs::rmdir(path) {
        Ok(()) => return Ok(()),
        Err(errno) if gone(errno) => return Ok(()),
        Err(Errno::BUSY) => {}
        Err(errno) => return Err(Error::on("remove", path, errno)),
    }
    if let Some(dir) = Dir::open_optional(path)? {
        for child in dir.children()? {
            remove_tree(&child)?;
        }
    }
    match rustix::fs::rmdir(path) {
        Ok(()) => Ok(()),
        Err(errno) if gone(errno) => Ok(()),
        Err(errno) => Err(Error::on("remove", path, errno)),
    }
}
