//! The folders with vendors' files, and what was read of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Document, Edits};
use crate::error::{Error, Result};

/// Tells whether a file is the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// A file, as it was read.
struct File {
    stamp: Stamp,
    /// Or why it could not be read.
    document: Result<Arc<Document>, String>,
}

pub(super) struct Folders {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, File>,
}

/// Who describes a device.
enum Described {
    Once {
        folder: usize,
        document: Arc<Document>,
        device: usize,
    },
    /// Two files of one folder.
    Twice {
        folder: usize,
        by: [PathBuf; 2],
    },
}

impl Folders {
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, files: BTreeMap::new() }
    }

    /// What these devices, in this order, are to change in a container.
    pub(super) fn resolve(&mut self, wanted: &[String]) -> Result<Vec<Edits>> {
        self.refresh();
        let described = self.described();
        let mut edits = Vec::new();
        let mut applied: Vec<*const Document> = Vec::new();
        let mut missing = Vec::new();
        for name in wanted {
            match described.get(name) {
                Some(Described::Once { document, device, .. }) => {
                    if !applied.contains(&Arc::as_ptr(document)) {
                        applied.push(Arc::as_ptr(document));
                        edits.push(document.container_edits.clone());
                    }
                    edits.push(document.devices[*device].container_edits.clone());
                }
                Some(Described::Twice { by: [one, other], .. }) => {
                    missing.push(format!("{name} (both {} and {} have it)", one.display(), other.display()));
                }
                None => missing.push(name.clone()),
            }
        }
        if missing.is_empty() { Ok(edits) } else { Err(self.unresolved(&missing)) }
    }

    fn unresolved(&self, missing: &[String]) -> Error {
        let places: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        let mut says = format!(
            "CDI devices that cannot be resolved: {}; looked in {}",
            missing.join(", "),
            places.join(", ")
        );
        for (path, file) in &self.files {
            if let Err(why) = &file.document {
                says += &format!("; {}: {why}", path.display());
            }
        }
        Error::invalid(says)
    }

    /// Every device by its name.
    fn described(&self) -> HashMap<String, Described> {
        let mut all: HashMap<String, (PathBuf, Described)> = HashMap::new();
        for (path, file) in &self.files {
            let Ok(document) = &file.document else { continue };
            let Some(folder) = self.folders.iter().rposition(|folder| path.parent() == Some(folder)) else {
                continue;
            };
            for (device, description) in document.devices.iter().enumerate() {
                let name = format!("{}={}", document.kind, description.name);
                let this = Described::Once { folder, document: document.clone(), device };
                match all.get(&name) {
                    Some((_, known)) if known.folder() > folder => {}
                    Some((other, known)) if known.folder() == folder => {
                        let twice = Described::Twice { folder, by: [other.clone(), path.clone()] };
                        all.insert(name, (path.clone(), twice));
                    }
                    _ => {
                        all.insert(name, (path.clone(), this));
                    }
                }
            }
        }
        all.into_iter().map(|(name, (_, described))| (name, described)).collect()
    }

    /// Reads what is new or has changed since the last look.
    fn refresh(&mut self) {
        let mut before = std::mem::take(&mut self.files);
        for path in self.folders.iter().flat_map(|folder| files_in(folder)) {
            let Ok(stamp) = stamp(&path) else { continue };
            let file = match before.remove(&path) {
                Some(known) if known.stamp == stamp => known,
                _ => {
                    let document = read(&path);
                    if let Err(why) = &document {
                        tracing::warn!(file = %path.display(), why, "a description of CDI devices cannot be used");
                    }
                    File { stamp, document }
                }
            };
            self.files.insert(path, file);
        }
    }
}

impl Described {
    fn folder(&self) -> usize {
        match self {
            Self::Once { folder, .. } | Self::Twice { folder, .. } => *folder,
        }
    }
}

/// The files that can be descriptions. A folder that is not there has none.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(folder = %folder.display(), %error, "look for descriptions of CDI devices");
            }
            return Vec::new();
        }
    };
    let is_description =
        |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json" || ending == "yaml");
    entries.flatten().map(|entry| entry.path()).filter(is_description).collect()
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = fs::metadata(path)?;
    Ok(Stamp { inode: data.ino(), size: data.size(), changed: (data.ctime(), data.ctime_nsec()) })
}

fn read(path: &Path) -> Result<Arc<Document>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    Document::parse(&text).map(Arc::new)
}
