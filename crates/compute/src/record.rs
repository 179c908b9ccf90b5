//! Records on disk: one folder per container below a state root, in it one versioned JSON file.
//!
//! ```text
//! <root>/              0700
//!   <id>/              0711   exists from the first moment of a creation to the last of a deletion
//!     state.json       0600   the record; written to a temporary file, synced, renamed
//!     lock             0600   held while the container is being created or deleted
//! ```
//! A reader sees a whole record or none, whenever the writer dies. A folder without a record is a creation that was
//! cut off before it had made anything, or a deletion that was cut off at its very end: nothing but the folder is left.

use crate::backend::Isolation;
use crate::error::{Classify, Error, Kind, Result, kind_of_io};
use crate::id::ContainerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The format of [`Record`]; raised whenever a change would make an older program misread it.
pub const VERSION: u32 = 1;

const RECORD: &str = "state.json";
const TEMPORARY: &str = ".state.json.new";
const LOCK: &str = "lock";
/// No record of ours comes near; what is larger was not written by us.
const MAX_RECORD_BYTES: u64 = 16 << 20;
/// Most records fit, and are read at once; `list` reads all there are.
const USUAL_RECORD_BYTES: usize = 4 << 10;

/// What is kept of a container. `S` is the backend's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<S> {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The container.
    pub id: ContainerId,
    /// The `ociVersion` of its bundle.
    pub oci_version: String,
    /// Who it belongs to, as given by `--owner`; empty when not given.
    #[serde(default)]
    pub owner: String,
    /// The bundle's folder, absolute.
    pub bundle: PathBuf,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created: RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The bundle's annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// How it is isolated, so that the right backend reads the rest.
    pub isolation: Isolation,
    /// What the backend needs to find and undo what it made.
    pub backend: S,
}

/// What can be wrong with a record or its folder.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing of that name.
    #[error("container does not exist ({id} below {})", root.display())]
    Missing {
        /// What was looked for.
        id: String,
        /// Where.
        root: PathBuf,
    },
    /// The id is taken.
    #[error("container with given ID already exists ({0}; `delete` removes it, `list` shows all)")]
    Exists(String),
    /// The system refused.
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
    /// Not a record.
    #[error("read record {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// Written by a newer program.
    #[error("record {} has version {found}, this program reads up to {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl Classify for RecordError {
    fn kind(&self) -> Kind {
        match self {
            RecordError::Missing { .. } => Kind::NotFound,
            RecordError::Exists(_) => Kind::AlreadyExists,
            RecordError::Io { cause, .. } => kind_of_io(cause),
            RecordError::Malformed { .. } => Kind::Internal,
            RecordError::Newer { .. } => Kind::Unsupported,
        }
    }
}

fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |cause| RecordError::Io { attempted, path, cause }
}

/// A state root: the folder of all containers that one `--root` names.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A container's folder, locked against others that create or delete it.
#[derive(Debug)]
pub struct Locked {
    dir: PathBuf,
    _lock: File,
}

impl Store {
    /// A state root. Nothing is made before the first container is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a container, whether it exists or not.
    pub fn dir(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id)
    }

    /// Makes the folder of a new container and locks it.
    pub fn reserve(&self, id: &ContainerId) -> Result<Locked> {
        let dir = self.dir(id);
        let made = match private_dir(0o711).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_dir(0o700)
                    .recursive(true)
                    .create(&self.root)
                    .map_err(io_error("make state root", &self.root))?;
                private_dir(0o711).create(&dir)
            }
            other => other,
        };
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RecordError::Exists(id.to_string()).into());
            }
            Err(error) => return Err(io_error("make state folder", &dir)(error).into()),
        }
        match self.lock(id) {
            Ok(locked) => Ok(locked),
            Err(error) => {
                // Nothing is in it but perhaps our lock file.
                let _ = remove(&dir);
                Err(error)
            }
        }
    }

    /// Locks the folder of an existing container; waits while another creates or deletes it.
    pub fn lock(&self, id: &ContainerId) -> Result<Locked> {
        let dir = self.dir(id);
        let path = dir.join(LOCK);
        loop {
            let lock =
                private_file().create(true).truncate(false).open(&path).map_err(|cause| {
                    match cause.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.missing(id),
                        _ => io_error("open lock", &path)(cause),
                    }
                })?;
            lock.lock().map_err(io_error("lock", &path))?;
            if platform::is_still(&lock, &path) {
                return Ok(Locked { dir, _lock: lock });
            }
            // Whoever held it is deleting the container, and we locked a file that no longer has a name. The folder
            // is about to follow it: then there is nothing to open any more.
        }
    }

    /// Reads a record.
    pub fn read<S: for<'de> Deserialize<'de>>(&self, id: &ContainerId) -> Result<Record<S>> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        let path = self.dir(id).join(RECORD);
        let mut bytes = Vec::with_capacity(USUAL_RECORD_BYTES);
        let file = File::open(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.missing(id),
            _ => io_error("open record", &path)(cause),
        })?;
        file.take(MAX_RECORD_BYTES).read_to_end(&mut bytes).map_err(io_error("read record", &path))?;
        match serde_json::from_slice::<Record<S>>(&bytes) {
            Ok(record) if record.version == VERSION => Ok(record),
            other => {
                let header: std::result::Result<Header, _> = serde_json::from_slice(&bytes);
                match (header, other) {
                    (Ok(header), _) if header.version > VERSION => {
                        Err(RecordError::Newer { path, found: header.version }.into())
                    }
                    (_, Err(cause)) => Err(RecordError::Malformed { path, cause }.into()),
                    (_, Ok(record)) => Ok(record),
                }
            }
        }
    }

    /// The ids that have a folder, sorted. A root that does not exist has none.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list state root", &self.root)(error).into()),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io_error("list state root", &self.root))?;
            // What is no folder, or no id, is not ours.
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
                && let Ok(id) = ContainerId::new(name)
            {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether a folder stands there, with or without a record.
    pub fn exists(&self, id: &ContainerId) -> bool {
        self.dir(id).is_dir()
    }

    fn missing(&self, id: &ContainerId) -> RecordError {
        RecordError::Missing { id: id.to_string(), root: self.root.clone() }
    }
}

impl Locked {
    /// The container's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the record: to a temporary file, synced, then renamed over the old one.
    pub fn write<S: Serialize>(&self, record: &Record<S>) -> Result<()> {
        let path = self.dir.join(RECORD);
        let temporary = self.dir.join(TEMPORARY);
        let bytes = serde_json::to_vec(record).map_err(|cause| {
            Error::new(Kind::Internal, format!("encode record {}: {cause}", path.display()))
        })?;
        let mut file = private_file()
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(io_error("write record", &temporary))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(io_error("write record", &path))?;
        Ok(())
    }

    /// Removes the folder with all that is in it.
    pub fn remove(self) -> Result<()> {
        remove(&self.dir).map_err(io_error("remove state folder", &self.dir))?;
        Ok(())
    }
}

/// The record goes last but the folder: a deletion that is cut off before can be repeated from the record.
fn remove(dir: &Path) -> io::Result<()> {
    // A folder that nothing was put in yet needs no descriptor to be listed; there may be none to be had.
    if !dir.join(RECORD).exists() {
        for file in [TEMPORARY, LOCK] {
            ignore_missing(fs::remove_file(dir.join(file)))?;
        }
        if ignore_missing(fs::remove_dir(dir)).is_ok() {
            return Ok(());
        }
    }
    loop {
        empty(dir)?;
        match ignore_missing(fs::remove_dir(dir)) {
            // Somebody who waits to delete it too has just made the lock file again.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            other => return other,
        }
    }
}

fn empty(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == RECORD {
            continue;
        }
        let path = entry.path();
        let removed =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        ignore_missing(removed)?;
    }
    ignore_missing(fs::remove_file(dir.join(RECORD)))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Folders and files of the store are private to its user on systems whose standard library can say so.
fn private_dir(mode: u32) -> DirBuilder {
    let mut builder = DirBuilder::new();
    platform::dir(&mut builder, mode);
    builder
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).read(true);
    platform::file(&mut options, 0o600);
    options
}

#[cfg(unix)]
mod platform {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    pub(super) fn dir(builder: &mut DirBuilder, mode: u32) {
        builder.mode(mode);
    }

    pub(super) fn file(options: &mut OpenOptions, mode: u32) {
        options.mode(mode);
    }

    /// Whether `path` still names the file that is open.
    pub(super) fn is_still(open: &File, path: &Path) -> bool {
        let id = |of: &std::fs::Metadata| (of.dev(), of.ino());
        matches!((open.metadata(), path.metadata()), (Ok(open), Ok(named)) if id(&open) == id(&named))
    }
}

#[cfg(not(unix))]
mod platform {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::path::Path;

    pub(super) fn dir(_: &mut DirBuilder, _: u32) {}

    pub(super) fn file(_: &mut OpenOptions, _: u32) {}

    /// A folder with an open file in it cannot be removed here.
    pub(super) fn is_still(_: &File, path: &Path) -> bool {
        path.exists()
    }
}

/// The present moment as RFC 3339 in UTC with nanoseconds, as runc writes it.
pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs(), since.subsec_nanos())
}

fn rfc3339(seconds: u64, nanos: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date, counting years from the first of March so that the leap day is the last of a year.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record<String> {
        Record {
            version: VERSION,
            id: ContainerId::new(id).unwrap(),
            oci_version: "1.3.0".into(),
            owner: String::new(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-01-02T03:04:05.6Z".into(),
            annotations: BTreeMap::from([("k".into(), "v".into())]),
            isolation: Isolation::Process,
            backend: "saved".into(),
        }
    }

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_format_is_fixed() {
        let fixture = include_str!("../tests/data/record-v1.json");
        assert_eq!(serde_json::to_string(&record("web")).unwrap(), fixture.trim_end());
        assert_eq!(serde_json::from_str::<Record<String>>(fixture).unwrap(), record("web"));
    }

    /// Of several that delete at once, one may wait for a lock file that another has unlinked by then, while a third
    /// has made the file anew.
    #[test]
    fn a_lock_that_lost_its_name_is_taken_again() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let id = ContainerId::new("web").unwrap();
        let held = store.reserve(&id).unwrap();
        let path = store.dir(&id).join(LOCK);
        let waiting = |path: &Path| {
            let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap()).to_string();
            let locks = fs::read_to_string("/proc/locks").unwrap();
            locks.lines().any(|line| line.contains("->") && line.contains(&format!(":{inode} ")))
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| store.lock(&id).map(drop));
            while !waiting(&path) {
                std::thread::yield_now();
            }
            fs::remove_file(&path).unwrap();
            fs::write(&path, "").unwrap();
            drop(held);
            other.join().unwrap().unwrap();
        });
        fs::remove_dir_all(store.dir(&id)).unwrap();
        assert_eq!(store.lock(&id).err().unwrap().kind(), Kind::NotFound);
    }

    #[test]
    fn a_record_comes_back_and_its_folder_goes() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("deep/root"));
        let id = ContainerId::new("web").unwrap();
        assert_eq!(store.ids().unwrap(), []);
        assert_eq!(store.read::<String>(&id).unwrap_err().kind(), Kind::NotFound);
        let locked = store.reserve(&id).unwrap();
        assert_eq!(store.reserve(&id).unwrap_err().kind(), Kind::AlreadyExists);
        locked.write(&record("web")).unwrap();
        assert_eq!(store.read::<String>(&id).unwrap(), record("web"));
        assert_eq!(store.ids().unwrap(), std::slice::from_ref(&id));
        locked.remove().unwrap();
        assert!(!store.exists(&id));
        assert_eq!(store.lock(&id).unwrap_err().kind(), Kind::NotFound);
    }

    /// A crash while the temporary file is written leaves the old record; a crash before the first rename leaves none.
    #[test]
    fn a_crash_at_any_byte_leaves_a_whole_record() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let id = ContainerId::new("web").unwrap();
        let locked = store.reserve(&id).unwrap();
        let bytes = serde_json::to_vec(&record("web")).unwrap();
        for cut in 0..bytes.len() {
            fs::write(locked.dir().join(TEMPORARY), &bytes[..cut]).unwrap();
            assert_eq!(store.read::<String>(&id).unwrap_err().kind(), Kind::NotFound);
        }
        locked.write(&record("web")).unwrap();
        for cut in 0..bytes.len() {
            fs::write(locked.dir().join(TEMPORARY), &bytes[..cut]).unwrap();
            assert_eq!(store.read::<String>(&id).unwrap(), record("web"));
        }
        locked.remove().unwrap();
    }

    #[test]
    fn a_newer_record_is_refused_by_its_version() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let id = ContainerId::new("web").unwrap();
        let locked = store.reserve(&id).unwrap();
        fs::write(locked.dir().join(RECORD), r#"{"version":2,"unheard":"of"}"#).unwrap();
        let error = store.read::<String>(&id).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("has version 2, this program reads up to 1"), "{error}");
        fs::write(locked.dir().join(RECORD), "{").unwrap();
        assert_eq!(store.read::<String>(&id).unwrap_err().kind(), Kind::Internal);
    }

    #[test]
    fn times_are_rfc3339() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399, 120_000_000), "2000-02-28T23:59:59.12Z");
        assert_eq!(rfc3339(951_782_400, 1), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(rfc3339(1_795_514_400, 0), "2026-11-24T10:00:00Z");
        assert_eq!(rfc3339(4_102_444_800, 0), "2100-01-01T00:00:00Z");
    }
}
