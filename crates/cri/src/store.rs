//! The records of pods and containers, in one transactional file.
//!
//! All changes go through one thread, which commits whatever has come in meanwhile at once: ten pods that start
//! together wait for one flush of the disk, not for ten.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::error::{Attempt as _, Error, Kind, Result};
use crate::figures::Figures;
use crate::record::{ContainerRecord, PodRecord, VERSION};
use crate::traces::step;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

const PODS: Table = TableDefinition::new("pods");
const CONTAINERS: Table = TableDefinition::new("containers");

/// Every record; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    changes: Sender<Change>,
    figures: Arc<Figures>,
}

/// What is to become of one key.
struct Change {
    table: Table,
    key: String,
    /// Nothing removes the record.
    value: Option<Vec<u8>>,
    done: oneshot::Sender<std::result::Result<(), String>>,
}

/// What the store held when it was opened.
#[derive(Default, Debug)]
pub(crate) struct Contents {
    pub(crate) pods: Vec<PodRecord>,
    pub(crate) containers: Vec<ContainerRecord>,
    /// Records that this version cannot read, by key, with the reason. They stay as they are.
    pub(crate) unreadable: Vec<(String, String)>,
}

impl Store {
    /// Opens the file, or makes it.
    pub(crate) fn open(file: &Path, figures: Arc<Figures>) -> Result<(Self, Contents)> {
        let attempted = || format!("open the records {}", file.display());
        let database = Database::create(file).attempt(attempted)?;
        let write = database.begin_write().attempt(attempted)?;
        for table in [PODS, CONTAINERS] {
            write.open_table(table).attempt(attempted)?;
        }
        write.commit().attempt(attempted)?;
        let contents = read(&database).attempt(attempted)?;
        let (changes, incoming) = channel();
        std::thread::Builder::new()
            .name("records".to_owned())
            .stack_size(256 << 10)
            .spawn(move || commit_all(&database, &incoming))
            .attempt(|| "start the thread that writes records".to_owned())?;
        Ok((Self { changes, figures }, contents))
    }

    /// Writes a pod's record; on disk when this returns.
    pub(crate) async fn put_pod(&self, pod: &PodRecord) -> Result<()> {
        self.put(PODS, &pod.id, pod).await
    }

    /// Writes a container's record.
    pub(crate) async fn put_container(&self, container: &ContainerRecord) -> Result<()> {
        self.put(CONTAINERS, &container.id, container).await
    }

    /// Forgets a pod.
    pub(crate) async fn remove_pod(&self, id: &str) -> Result<()> {
        self.change(PODS, id, None).await
    }

    /// Forgets a container.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        self.change(CONTAINERS, id, None).await
    }

    async fn put(&self, table: Table, key: &str, record: &impl Serialize) -> Result<()> {
        let value = serde_json::to_vec(record).attempt(|| format!("write the record of {key}"))?;
        self.change(table, key, Some(value)).await
    }

    async fn change(&self, table: Table, key: &str, value: Option<Vec<u8>>) -> Result<()> {
        let begun = Instant::now();
        let (done, result) = oneshot::channel();
        let gone = || Error::new(Kind::Internal, "the thread that writes records has ended");
        self.changes.send(Change { table, key: key.to_owned(), value, done }).map_err(|_| gone())?;
        let result = result.instrument(step("records.write")).await.map_err(|_| gone())?;
        self.figures.record_is_written(begun.elapsed());
        result.attempt(|| format!("write the record of {key}"))
    }
}

fn read(database: &Database) -> std::result::Result<Contents, redb::Error> {
    let mut contents = Contents::default();
    let read = database.begin_read()?;
    for entry in read.open_table(PODS)?.iter()? {
        let (key, value) = entry?;
        match decode::<PodRecord>(value.value(), |pod| pod.version) {
            Ok(pod) => contents.pods.push(pod),
            Err(reason) => contents.unreadable.push((key.value().to_owned(), reason)),
        }
    }
    for entry in read.open_table(CONTAINERS)?.iter()? {
        let (key, value) = entry?;
        match decode::<ContainerRecord>(value.value(), |container| container.version) {
            Ok(container) => contents.containers.push(container),
            Err(reason) => contents.unreadable.push((key.value().to_owned(), reason)),
        }
    }
    Ok(contents)
}

fn decode<R: DeserializeOwned>(bytes: &[u8], version: impl Fn(&R) -> u32) -> std::result::Result<R, String> {
    let record: R = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match version(&record) {
        VERSION => Ok(record),
        other => Err(format!("it has version {other}, this program knows {VERSION}")),
    }
}

/// Commits changes until nobody can send any.
fn commit_all(database: &Database, incoming: &Receiver<Change>) {
    while let Ok(first) = incoming.recv() {
        let batch: Vec<Change> = std::iter::once(first).chain(incoming.try_iter()).collect();
        let result = commit(database, &batch).map_err(|error| error.to_string());
        for change in batch {
            // Who asked may have gone away; the record is written all the same.
            let _ = change.done.send(result.clone());
        }
    }
}

fn commit(database: &Database, batch: &[Change]) -> std::result::Result<(), redb::Error> {
    let write = database.begin_write()?;
    for change in batch {
        let mut table = write.open_table(change.table)?;
        match &change.value {
            Some(value) => table.insert(change.key.as_str(), value.as_slice())?,
            None => table.remove(change.key.as_str())?,
        };
    }
    write.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(id: &str) -> PodRecord {
        PodRecord {
            version: VERSION,
            id: id.to_owned(),
            config: Default::default(),
            handler: String::new(),
            created_at: 1,
            ips: Vec::new(),
            shim: String::new(),
            stopped: false,
            ready: false,
        }
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records");
        let (store, contents) = Store::open(&file, Arc::default()).unwrap();
        assert!(contents.pods.is_empty());
        let (a, b) = (pod("a"), pod("b"));
        let (one, other) = tokio::join!(store.put_pod(&a), store.put_pod(&b));
        one.unwrap();
        other.unwrap();
        store.remove_pod("a").await.unwrap();
        drop(store);
        // The thread lets go of the file when it sees that nobody can send any more.
        let contents = loop {
            match Store::open(&file, Arc::default()) {
                Ok((_, contents)) => break contents,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(contents.pods, [pod("b")]);
    }

    #[test]
    fn a_record_of_a_newer_version_is_named_and_left() {
        let mut record = serde_json::to_value(pod("a")).unwrap();
        record["version"] = 2.into();
        let reason = decode::<PodRecord>(record.to_string().as_bytes(), |pod| pod.version).unwrap_err();
        assert_eq!(reason, "it has version 2, this program knows 1");
    }
}
