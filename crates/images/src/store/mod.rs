//! What is known of images: one database, and the same in memory to be read from.
//!
//! ```text
//! images.redb   redb: every change is one transaction, whole and on disk before it counts
//!   images      id → ImageRecord        names      name → NameRecord
//!   documents   digest → manifest, index or configuration, as it came      meta   "version" → 1
//! blobs/sha256/…   layers as they came, where these are kept
//! ingest/          what is being written; emptied at every start
//! ```
//! Layers themselves are the snapshotter's. They are committed before the transaction that names them, and removed after
//! the one that does not any more; what a crash leaves between is found by [`crate::garbage`].

mod names;
mod record;

pub(crate) use names::Meant;
pub(crate) use record::{ImageRecord, LayerRecord, NameRecord, VERSION};

use crate::digest::Digest;
use crate::error::Kind;
use crate::manifest::{ManifestError, parse_config};
use crate::reserve::Reserve;
use oci_spec::image::ImageConfiguration;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard};

const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

/// Everything is in memory too; the database's own cache serves only its writes.
const CACHE: usize = 256 << 10;

/// The database does not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("open the image database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: Box<redb::Error>,
    },
    /// It cannot be read or written.
    #[error("{attempted} in the image database")]
    Database {
        /// What was attempted.
        attempted: &'static str,
        /// Why not.
        #[source]
        cause: Box<redb::Error>,
    },
    /// A newer program wrote it.
    #[error("{key} in the image database has version {found}, this program reads up to {VERSION}")]
    Newer {
        /// The record.
        key: String,
        /// Its version.
        found: u32,
    },
    /// No record.
    #[error("read {key} of the image database")]
    Malformed {
        /// The record.
        key: String,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// A record that refers to what is not there.
    #[error("the image database has {key} without {lacks}")]
    Incomplete {
        /// The record.
        key: String,
        /// What it refers to.
        lacks: String,
    },
    /// A configuration that cannot be read any more.
    #[error("image {id} of the image database")]
    Config {
        /// The image.
        id: Digest,
        /// What is wrong.
        #[source]
        cause: Box<ManifestError>,
    },
}

impl StoreError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            StoreError::Newer { .. } => Kind::Unsupported,
            _ => Kind::Internal,
        }
    }

    /// What is on disk is at fault, not the disk, another process or a newer program.
    fn is_broken(&self) -> bool {
        match self {
            StoreError::Open { cause, .. } | StoreError::Database { cause, .. } => match &**cause {
                redb::Error::Io(error) => {
                    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
                }
                redb::Error::Corrupted(_)
                | redb::Error::RepairAborted
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TypeDefinitionChanged { .. }
                | redb::Error::TableIsMultimap(_) => true,
                _ => false,
            },
            StoreError::Malformed { .. } | StoreError::Incomplete { .. } | StoreError::Config { .. } => true,
            StoreError::Newer { .. } => false,
        }
    }
}

/// Since 1970.
fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// An image with its configuration read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) record: ImageRecord,
    pub(crate) config: Arc<ImageConfiguration>,
}

/// All that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<Digest, Stored>,
    pub(crate) names: BTreeMap<String, NameRecord>,
    /// How large all documents are together.
    pub(crate) document_bytes: u64,
}

pub(crate) struct Store {
    path: PathBuf,
    /// None when the disk has refused something and the file could not be opened since.
    database: RwLock<Option<Database>>,
    reserve: Reserve,
    state: RwLock<State>,
    /// One change at a time: what is in memory is what the next one starts from.
    changes: std::sync::Mutex<()>,
}

/// A change: what the state becomes, and documents that come with it.
pub(crate) struct Change<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) documents: Vec<(Digest, Vec<u8>)>,
}

impl Store {
    /// Opens the database below `root`, or makes it. One that is broken is kept under another name, and a new one is
    /// begun: images can be pulled again.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("images.redb");
        match Self::open_at(root, &path) {
            Err(error) if error.is_broken() => {
                let kept = path.with_extension(format!("redb.broken-{}", seconds()));
                let failed = |cause: std::io::Error| StoreError::Open {
                    path: path.clone(),
                    cause: Box::new(redb::Error::Io(cause)),
                };
                log::error!(
                    "the image database cannot be read; it is kept as {}, and a new one is begun: {error:?}",
                    kept.display()
                );
                std::fs::rename(&path, &kept).map_err(failed)?;
                Self::open_at(root, &path)
            }
            opened => opened,
        }
    }

    fn open_at(root: &Path, path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let database = open_database(&path)?;
        let transaction = database.begin_write().map_err(failed("begin a change"))?;
        {
            let mut meta = transaction.open_table(META).map_err(failed("open a table"))?;
            let found = meta.get("version").map_err(failed("read"))?.map(|version| version.value());
            match found {
                Some(version) if version > VERSION => {
                    return Err(StoreError::Newer { key: path.display().to_string(), found: version });
                }
                Some(_) => {}
                None => {
                    meta.insert("version", VERSION).map_err(failed("write"))?;
                }
            }
            for table in [IMAGES, NAMES, DOCUMENTS] {
                transaction.open_table(table).map_err(failed("open a table"))?;
            }
        }
        transaction.commit().map_err(failed("commit"))?;
        let state = RwLock::new(load(&database)?);
        let reserve = Reserve::take(root.join("reserve"));
        let database = RwLock::new(Some(database));
        Ok(Self { path, database, reserve, state, changes: std::sync::Mutex::new(()) })
    }

    /// All that is known, to look at. Not to be held across anything that waits.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        // Nothing panics while it holds the lock for writing: the new state is made before.
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A document, as it came.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.with_database(|database| {
            let transaction = database.begin_read().map_err(failed("begin to read"))?;
            let table = transaction.open_table(DOCUMENTS).map_err(failed("open a table"))?;
            let found = table.get(digest.as_str()).map_err(failed("read"))?;
            Ok(found.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn with_database<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        {
            let database = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(database) = &*database {
                return act(database);
            }
        }
        self.open_again()?;
        let database = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let closed = || failed("open it again")(redb::Error::DatabaseClosed);
        act(database.as_ref().ok_or_else(closed)?)
    }

    /// After an error of the disk the database refuses everything until it is opened again.
    fn open_again(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *database = None;
        *database = Some(open_database(&self.path)?);
        Ok(())
    }

    /// Changes what is known: on disk first, then in memory. Documents that nothing refers to any more go with it.
    /// When `change` says that nothing is to be done, nothing is.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Change<'_>) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = self.state().clone();
        let mut after = before.clone();
        let mut request = Change { state: &mut after, documents: Vec::new() };
        let Some(outcome) = change(&mut request) else { return Ok(None) };
        let documents = request.documents;
        let commit = |after: &State| {
            self.with_database(|database| {
                let transaction = database.begin_write().map_err(failed("begin a change"))?;
                write(&transaction, &before, after, &documents)?;
                let document_bytes = sweep_documents(&transaction, after)?;
                transaction.commit().map_err(failed("commit"))?;
                Ok(document_bytes)
            })
        };
        let shrinks = after.images.len() < before.images.len() || after.names.len() < before.names.len();
        let committed = commit(&after).or_else(|error| {
            let StoreError::Database { cause, .. } = &error else { return Err(error) };
            // What makes room gets some to begin with.
            let once_more = shrinks && self.reserve.give_up(cause);
            self.open_again()?;
            if once_more { commit(&after) } else { Err(error) }
        });
        after.document_bytes = committed?;
        self.reserve.fill();
        *self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = after;
        Ok(Some(outcome))
    }
}

impl Store {
    /// Forgets the images of which a layer is gone, which could not be unpacked any more; their ids.
    pub(crate) fn forget_incomplete(
        &self,
        is_there: impl Fn(&LayerRecord) -> bool,
    ) -> Result<Vec<Digest>, StoreError> {
        let forgotten = self.change(|change| {
            let state = &mut *change.state;
            let whole = |stored: &Stored| stored.record.layers.iter().all(&is_there);
            let gone: Vec<Digest> =
                state.images.iter().filter(|(_, stored)| !whole(stored)).map(|(id, _)| id.clone()).collect();
            state.images.retain(|id, _| !gone.contains(id));
            state.names.retain(|_, name| !gone.contains(&name.image));
            (!gone.is_empty()).then_some(gone)
        })?;
        Ok(forgotten.unwrap_or_default())
    }
}

impl State {
    /// The documents that something refers to.
    fn documents(&self) -> BTreeSet<&str> {
        let of_names = self.names.values().flat_map(|name| name.documents.iter());
        let of_images = self
            .images
            .values()
            .flat_map(|stored| std::iter::once(&stored.record.manifest).chain(&stored.record.config));
        of_names.chain(of_images).map(Digest::as_str).collect()
    }
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    Database::builder()
        .set_cache_size(CACHE)
        .create(path)
        .map_err(|cause| StoreError::Open { path: path.to_owned(), cause: Box::new(cause.into()) })
}

fn load(database: &Database) -> Result<State, StoreError> {
    let transaction = database.begin_read().map_err(failed("begin to read"))?;
    let images = transaction.open_table(IMAGES).map_err(failed("open a table"))?;
    let names = transaction.open_table(NAMES).map_err(failed("open a table"))?;
    let documents = transaction.open_table(DOCUMENTS).map_err(failed("open a table"))?;
    let mut state = State::default();
    for entry in images.iter().map_err(failed("read"))? {
        let (key, value) = entry.map_err(failed("read"))?;
        let record: ImageRecord = record::read(key.value(), value.value())?;
        let config = match &record.config {
            None => empty_config(),
            Some(digest) => {
                let lacks =
                    || StoreError::Incomplete { key: key.value().to_owned(), lacks: digest.to_string() };
                let found = documents.get(digest.as_str()).map_err(failed("read"))?.ok_or_else(lacks)?;
                parse_config(digest, found.value())
                    .map_err(|cause| StoreError::Config { id: record.id.clone(), cause: Box::new(cause) })?
            }
        };
        state.images.insert(record.id.clone(), Stored { record, config: Arc::new(config) });
    }
    for entry in names.iter().map_err(failed("read"))? {
        let (key, value) = entry.map_err(failed("read"))?;
        let record: NameRecord = record::read(key.value(), value.value())?;
        if !state.images.contains_key(&record.image) {
            let lacks = record.image.to_string();
            return Err(StoreError::Incomplete { key: key.value().to_owned(), lacks });
        }
        state.names.insert(key.value().to_owned(), record);
    }
    for entry in documents.iter().map_err(failed("read"))? {
        let (_, value) = entry.map_err(failed("read"))?;
        state.document_bytes += value.value().len() as u64;
    }
    Ok(state)
}

/// An artifact's configuration: nothing but a platform.
pub(crate) fn empty_config() -> ImageConfiguration {
    ImageConfiguration::default()
}

fn write(
    transaction: &WriteTransaction,
    before: &State,
    after: &State,
    documents: &[(Digest, Vec<u8>)],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(DOCUMENTS).map_err(failed("open a table"))?;
    for (digest, content) in documents {
        table.insert(digest.as_str(), content.as_slice()).map_err(failed("write"))?;
    }
    let mut images = transaction.open_table(IMAGES).map_err(failed("open a table"))?;
    for id in before.images.keys().filter(|id| !after.images.contains_key(*id)) {
        images.remove(id.as_str()).map_err(failed("write"))?;
    }
    for (id, stored) in &after.images {
        if before.images.get(id).is_none_or(|old| old.record != stored.record) {
            images
                .insert(id.as_str(), encode(id.as_str(), &stored.record)?.as_slice())
                .map_err(failed("write"))?;
        }
    }
    let mut names = transaction.open_table(NAMES).map_err(failed("open a table"))?;
    for name in before.names.keys().filter(|name| !after.names.contains_key(*name)) {
        names.remove(name.as_str()).map_err(failed("write"))?;
    }
    for (name, record) in &after.names {
        if before.names.get(name) != Some(record) {
            names.insert(name.as_str(), encode(name, record)?.as_slice()).map_err(failed("write"))?;
        }
    }
    Ok(())
}

fn encode<T: serde::Serialize>(key: &str, record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|cause| StoreError::Malformed { key: key.to_owned(), cause })
}

/// Removes the documents that nothing refers to; tells how large the others are.
fn sweep_documents(transaction: &WriteTransaction, state: &State) -> Result<u64, StoreError> {
    let wanted = state.documents();
    let mut table = transaction.open_table(DOCUMENTS).map_err(failed("open a table"))?;
    let mut bytes = 0;
    let mut dead = Vec::new();
    for entry in table.iter().map_err(failed("read"))? {
        let (key, value) = entry.map_err(failed("read"))?;
        if wanted.contains(key.value()) {
            bytes += value.value().len() as u64;
        } else {
            dead.push(key.value().to_owned());
        }
    }
    for key in dead {
        table.remove(key.as_str()).map_err(failed("write"))?;
    }
    Ok(bytes)
}

fn failed<E: Into<redb::Error>>(attempted: &'static str) -> impl FnOnce(E) -> StoreError {
    move |cause| StoreError::Database { attempted, cause: Box::new(cause.into()) }
}
