//! The pid file: whoever waits for it to appear finds a whole number in it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write pid file {}", path.display())]
pub(crate) struct PidFileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Writes `pid` in decimal, without a line end, to a hidden file beside `path` that must not exist, and renames it.
pub(crate) fn write(path: &Path, pid: i32) -> Result<(), PidFileError> {
    let failed = |cause| PidFileError { path: path.to_owned(), cause };
    let Some(name) = path.file_name() else {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let hidden = path.with_file_name(hidden);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&hidden).map_err(failed)?;
    file.write_all(pid.to_string().as_bytes()).and_then(|()| fs::rename(&hidden, path)).map_err(|cause| {
        // It is ours; without it the next attempt can succeed.
        let _ = fs::remove_file(&hidden);
        failed(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_number_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        write(&path, 4711).unwrap();
        write(&path, 42).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "42");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_planted_temporary_file_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join(".pid")).unwrap();
        let error = write(&dir.path().join("pid"), 1).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pid")).unwrap();
        write(&dir.path().join("pid"), 1).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
