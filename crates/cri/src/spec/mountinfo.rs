//! Which mount a path lies on, and whether mounts propagate to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Attempt as _, Error, Result};

/// `/proc/self/mountinfo`, as far as propagation goes.
pub(super) struct Mountinfo {
    mounts: Vec<Point>,
}

struct Point {
    at: PathBuf,
    shared: bool,
    slave: bool,
}

impl Mountinfo {
    pub(super) fn of_this_process() -> Result<Self> {
        let file = "/proc/self/mountinfo";
        let text = fs::read_to_string(file).attempt(|| format!("read {file}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mounts = text.lines().filter_map(|line| {
            let (mount, _) = line.split_once(" - ")?;
            let mut fields = mount.split(' ');
            let at = unescape(fields.nth(4)?);
            let mut point = Point { at, shared: false, slave: false };
            for field in fields.skip(1) {
                point.shared |= field.starts_with("shared:");
                point.slave |= field.starts_with("master:");
            }
            Some(point)
        });
        Self { mounts: mounts.collect() }
    }

    /// Fails unless mounts made by the host below `path` can reach a container.
    pub(super) fn receives(&self, path: &Path) -> Result<()> {
        let point = self.point_of(path)?;
        if point.shared || point.slave {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} lies on the mount {}, which is neither shared nor slave: nothing propagates from it",
            path.display(),
            point.at.display()
        )))
    }

    /// Fails unless mounts made by a container below `path` can reach the host.
    pub(super) fn shares(&self, path: &Path) -> Result<()> {
        let point = self.point_of(path)?;
        if point.shared {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} lies on the mount {}, which is not shared: nothing propagates to it",
            path.display(),
            point.at.display()
        )))
    }

    /// The innermost mount that holds the path; of several at one place, the last.
    fn point_of(&self, path: &Path) -> Result<&Point> {
        let holds = self.mounts.iter().filter(|point| path.starts_with(&point.at));
        holds
            .max_by_key(|point| point.at.components().count())
            .ok_or_else(|| Error::invalid(format!("{} lies on no mount", path.display())))
    }
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = text.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    PathBuf::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 8:2 / /data rw,relatime - ext4 /dev/sda2 rw
24 22 8:3 / /data/with\\040blank rw,relatime master:7 - ext4 /dev/sda3 rw
";

    #[test]
    fn the_innermost_mount_decides() {
        let mounts = Mountinfo::parse(TEXT);
        assert!(mounts.shares(Path::new("/srv")).is_ok());
        assert!(mounts.receives(Path::new("/data/x")).is_err());
        assert!(mounts.receives(Path::new("/data/with blank/x")).is_ok());
        assert!(mounts.shares(Path::new("/data/with blank/x")).is_err());
        assert!(mounts.shares(Path::new("/database")).is_ok());
    }
}
