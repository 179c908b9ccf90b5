//! Room that is kept for the day when the disk is full: what makes room has to be written down first.

use std::fs;
use std::io;
use std::path::PathBuf;

/// What a few changes of a database need, in bytes.
const SIZE: usize = 512 << 10;

/// A file that is given up when there is no room.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Takes the room, if there is any.
    pub fn take(path: PathBuf) -> Self {
        let reserve = Self { path };
        reserve.fill();
        reserve
    }

    /// Takes the room again that was given up. A disk that is still full has none; the next change tries anew.
    pub fn fill(&self) {
        if self.path.exists() {
            return;
        }
        if fs::write(&self.path, vec![0; SIZE]).is_err() {
            // Half of it would only make the disk fuller.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives it up, if that can help against this error; whether there was any.
    pub fn give_up(&self, error: &redb::Error) -> bool {
        let full = matches!(
            error,
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        );
        full && fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_once_and_only_to_a_full_disk() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::take(folder.path().join("reserve"));
        let error = |kind: io::ErrorKind| redb::Error::Io(kind.into());
        assert!(!reserve.give_up(&error(io::ErrorKind::PermissionDenied)));
        assert!(reserve.give_up(&error(io::ErrorKind::StorageFull)));
        assert!(!reserve.give_up(&error(io::ErrorKind::StorageFull)));
        reserve.fill();
        assert!(reserve.give_up(&error(io::ErrorKind::StorageFull)));
    }
}
