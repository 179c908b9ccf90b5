//! What must be known to undo an attachment, on disk before anything is done.
//!
//! ```text
//! <root>/<id>/<interface>.json   0600   one attachment; written to a temporary file and renamed
//! ```
//! The record is written before the first plugin runs, and again with the result. Whenever this process dies, an
//! attachment can be undone with the configuration that made it. Records are not synced: a host that loses power loses
//! its namespaces too, and what plugins keep on disk can then be undone with the present configuration.

use crate::error::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The format of [`Record`]; raised whenever a change would make an older program misread it.
const VERSION: u32 = 1;
const TEMPORARY: &str = ".new";
const EXTENSION: &str = ".json";

/// An attachment of one namespace to one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    /// Whose attachment.
    pub(crate) id: String,
    /// The interface in the namespace.
    pub(crate) interface: String,
    /// The pinned namespace.
    pub(crate) netns: PathBuf,
    /// The network's whole configuration, in the version that was agreed on.
    pub(crate) network: Map<String, Value>,
    /// The generic arguments.
    pub(crate) arguments: Vec<(String, String)>,
    /// The capability arguments.
    pub(crate) capabilities: Map<String, Value>,
    /// What the last plugin answered; missing until all plugins have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
}

/// What can be wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
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
    /// Not a record: it was cut off by a loss of power, or somebody else wrote it.
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

impl RecordError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Unsupported,
            Self::Io { .. } | Self::Malformed { .. } => Kind::Failed,
        }
    }
}

fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |cause| RecordError::Io { attempted, path, cause }
}

impl Record {
    /// An attachment that is about to be made.
    pub(crate) fn new(
        id: &str,
        interface: &str,
        netns: &Path,
        network: Map<String, Value>,
        arguments: Vec<(String, String)>,
        capabilities: Map<String, Value>,
    ) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            interface: interface.to_owned(),
            netns: netns.to_owned(),
            network,
            arguments,
            capabilities,
            result: None,
        }
    }
}

/// All records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    root: PathBuf,
}

/// What is found for one interface.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) interface: String,
    pub(crate) record: Result<Record, RecordError>,
}

impl Records {
    /// Nothing is made before the first record is.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The attachments of an id, by the names of their interfaces.
    pub(crate) fn of(&self, id: &str) -> Result<Vec<Found>, RecordError> {
        let folder = self.root.join(id);
        let mut found = Vec::new();
        for name in names(&folder)? {
            let Some(interface) = name.strip_suffix(EXTENSION).filter(|_| !name.starts_with('.')) else {
                continue;
            };
            match read(&folder.join(&name)) {
                // Removed meanwhile.
                Err(RecordError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
                record => found.push(Found { interface: interface.to_owned(), record }),
            }
        }
        Ok(found)
    }

    /// All ids that may have attachments.
    pub(crate) fn ids(&self) -> Result<Vec<String>, RecordError> {
        names(&self.root)
    }

    /// Puts a record in the place of the old one.
    pub(crate) fn write(&self, record: &Record) -> Result<(), RecordError> {
        let folder = self.root.join(&record.id);
        let path = folder.join(format!("{}{EXTENSION}", record.interface));
        let temporary = folder.join(format!(".{}{TEMPORARY}", record.interface));
        let bytes = serde_json::to_vec(record)
            .map_err(|cause| RecordError::Malformed { path: path.clone(), cause })?;
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io_error("make", &folder))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(io_error("write record", &path))
    }

    /// Removes a record, and the folder of its id when it was the last.
    pub(crate) fn remove(&self, id: &str, interface: &str) -> Result<(), RecordError> {
        let folder = self.root.join(id);
        for name in [format!("{interface}{EXTENSION}"), format!(".{interface}{TEMPORARY}")] {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove record", &path)(cause));
                }
                _ => {}
            }
        }
        match fs::remove_dir(&folder) {
            Err(cause)
                if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                Err(io_error("remove", &folder)(cause))
            }
            _ => Ok(()),
        }
    }
}

/// Sorted. A folder that does not exist is empty.
fn names(folder: &Path) -> Result<Vec<String>, RecordError> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(io_error("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn read(path: &Path) -> Result<Record, RecordError> {
    #[derive(Deserialize)]
    struct Header {
        version: u32,
    }
    let bytes = fs::read(path).map_err(io_error("read record", path))?;
    let path = path.to_owned();
    match serde_json::from_slice(&bytes) {
        Ok(Header { version }) if version > VERSION => Err(RecordError::Newer { path, found: version }),
        Ok(_) => serde_json::from_slice(&bytes).map_err(|cause| RecordError::Malformed { path, cause }),
        Err(cause) => Err(RecordError::Malformed { path, cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(id: &str, interface: &str) -> Record {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let mut record = Record::new(
            id,
            interface,
            Path::new("/run/netns/a"),
            object(json!({"cniVersion": "1.1.0", "name": "n", "plugins": [{"type": "bridge"}]})),
            vec![("IgnoreUnknown".to_owned(), "1".to_owned())],
            object(json!({"mac": "00:00:00:00:00:01"})),
        );
        record.result = Some(json!({"cniVersion": "1.1.0", "ips": []}));
        record
    }

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_format_is_fixed() {
        let fixture = include_str!("../tests/fixtures/attachment-v1.json");
        assert_eq!(serde_json::to_string(&record("a", "eth0")).unwrap(), fixture.trim_end());
        assert_eq!(serde_json::from_str::<Record>(fixture).unwrap(), record("a", "eth0"));
    }

    #[test]
    fn records_come_back_by_id_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().join("deep/root"));
        assert!(records.ids().unwrap().is_empty() && records.of("a").unwrap().is_empty());
        records.write(&record("a", "eth1")).unwrap();
        records.write(&record("a", "eth0")).unwrap();
        records.write(&record("b", "eth0")).unwrap();
        assert_eq!(records.ids().unwrap(), ["a", "b"]);
        let found: Vec<Record> =
            records.of("a").unwrap().into_iter().map(|found| found.record.unwrap()).collect();
        assert_eq!(found, [record("a", "eth0"), record("a", "eth1")]);
        for interface in ["eth0", "eth1", "eth1"] {
            records.remove("a", interface).unwrap();
        }
        assert_eq!(records.ids().unwrap(), ["b"]);
    }

    #[test]
    fn a_crash_at_any_byte_leaves_a_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().to_owned());
        let bytes = serde_json::to_vec(&record("a", "eth0")).unwrap();
        records.write(&record("a", "eth0")).unwrap();
        for cut in 0..bytes.len() {
            fs::write(folder.path().join("a/.eth0.new"), &bytes[..cut]).unwrap();
            let found = records.of("a").unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(*found[0].record.as_ref().unwrap(), record("a", "eth0"));
        }
        records.remove("a", "eth0").unwrap();
        assert!(records.ids().unwrap().is_empty());
    }

    #[test]
    fn a_cut_record_and_a_newer_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().to_owned());
        records.write(&record("a", "eth0")).unwrap();
        fs::write(folder.path().join("a/eth0.json"), "").unwrap();
        assert!(matches!(records.of("a").unwrap()[0].record, Err(RecordError::Malformed { .. })));
        fs::write(folder.path().join("a/eth0.json"), r#"{"version": 2}"#).unwrap();
        assert!(matches!(records.of("a").unwrap()[0].record, Err(RecordError::Newer { found: 2, .. })));
    }
}
