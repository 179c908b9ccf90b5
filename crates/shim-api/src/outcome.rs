//! How a container ended, in a file of its bundle: what a daemon learns when neither it nor the shim was there to tell.
//!
//! The file is complete before the end is reported to anybody, and is not synced: it must survive the daemon and the
//! shim, and after a reboot nothing runs anyway.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Its name in the bundle.
pub const FILE: &str = "exit.json";
/// The format; raised whenever a change would make an older program misread it.
pub const VERSION: u32 = 1;

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// When.
    pub at: SystemTime,
    /// Memory had run out, and the kernel ended a process of it.
    pub oom_killed: bool,
}

/// What can be wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// It cannot be read or written.
    #[error("{attempted} {}", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It is not of this program.
    #[error("understand {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// It is of a newer program.
    #[error("{} has version {found}, this program reads up to {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    code: i32,
    /// Nanoseconds since 1970.
    at: u64,
    oom_killed: bool,
}

impl Outcome {
    /// Puts it into the bundle, whole or not at all.
    pub fn write(&self, bundle: &Path) -> Result<(), OutcomeError> {
        let path = bundle.join(FILE);
        let temporary = bundle.join(".exit.json.new");
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored = Stored {
            version: VERSION,
            code: self.code,
            at: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            oom_killed: self.oom_killed,
        };
        serde_json::to_vec(&stored)
            .map_err(io::Error::from)
            .and_then(|bytes| std::fs::write(&temporary, bytes))
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|cause| OutcomeError::Io { attempted: "write", path, cause })
    }

    /// Forgets an earlier one: a container is about to be made in the bundle.
    pub fn forget(bundle: &Path) -> Result<(), OutcomeError> {
        let path = bundle.join(FILE);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(OutcomeError::Io { attempted: "remove", path, cause })
            }
            _ => Ok(()),
        }
    }

    /// What a bundle holds; `None` while the container has not ended.
    pub fn read(bundle: &Path) -> Result<Option<Self>, OutcomeError> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        let path = bundle.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(OutcomeError::Io { attempted: "read", path, cause }),
        };
        match serde_json::from_slice::<Header>(&bytes) {
            Ok(Header { version }) if version > VERSION => {
                return Err(OutcomeError::Newer { path, found: version });
            }
            Ok(_) => {}
            Err(cause) => return Err(OutcomeError::Malformed { path, cause }),
        }
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|cause| OutcomeError::Malformed { path, cause })?;
        let at = UNIX_EPOCH + Duration::from_nanos(stored.at);
        Ok(Some(Self { code: stored.code, at, oom_killed: stored.oom_killed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let at = UNIX_EPOCH + Duration::new(1_795_514_400, 120_000_000);
        Outcome { code: 137, at, oom_killed: true }
    }

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_format_is_fixed() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(Outcome::read(bundle.path()).unwrap(), None);
        outcome().write(bundle.path()).unwrap();
        let fixture = include_str!("../tests/data/exit-v1.json");
        assert_eq!(std::fs::read_to_string(bundle.path().join(FILE)).unwrap(), fixture.trim_end());
        assert_eq!(Outcome::read(bundle.path()).unwrap(), Some(outcome()));
        Outcome::forget(bundle.path()).unwrap();
        Outcome::forget(bundle.path()).unwrap();
        assert_eq!(Outcome::read(bundle.path()).unwrap(), None);
    }

    #[test]
    fn what_another_program_wrote_is_told_apart() {
        let bundle = tempfile::tempdir().unwrap();
        let put = |text: &str| {
            std::fs::write(bundle.path().join(FILE), text).unwrap();
            Outcome::read(bundle.path()).unwrap_err()
        };
        assert!(matches!(put(""), OutcomeError::Malformed { .. }));
        assert!(matches!(put(r#"{"version":1}"#), OutcomeError::Malformed { .. }));
        assert!(matches!(put(r#"{"version":2,"unheard":"of"}"#), OutcomeError::Newer { found: 2, .. }));
    }
}
