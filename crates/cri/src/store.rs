//! The records of pods and containers, in one transactional file.
//!
//! All changes go through one thread, which commits whatever has come in meanwhile at once: ten pods that start
//! together wait for one flush of the disk, not for ten.
//!
//! | what is wrong              | what becomes of it                                                              |
//! |----------------------------|---------------------------------------------------------------------------------|
//! | the file is no such file   | it is renamed; a new one is begun with the copies beside what is there          |
//! | one record cannot be read  | its copy is taken; without one it is left as it is                              |
//! | the disk refuses a change  | that change fails; the file is opened again for the next                        |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use images::Reserve;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::clock;
use crate::copies::Copies;
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::figures::Figures;
use crate::record::{ContainerRecord, PodRecord, VERSION};
use crate::traces::step;

type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

/// What records are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Pods,
    Containers,
}

impl Table {
    const ALL: [Self; 2] = [Self::Pods, Self::Containers];

    const fn definition(self) -> Definition {
        match self {
            Self::Pods => Definition::new("pods"),
            Self::Containers => Definition::new("containers"),
        }
    }
}

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
    /// What was known by copies alone.
    copied: Vec<(Table, String, Option<Vec<u8>>)>,
}

/// The copies of the records of either table.
struct Copied {
    pods: Copies,
    containers: Copies,
}

impl Copied {
    fn of(&self, table: Table) -> &Copies {
        match table {
            Table::Pods => &self.pods,
            Table::Containers => &self.containers,
        }
    }
}

impl Store {
    /// Opens the file, or makes it; `state` is the folder with the bundles.
    pub(crate) fn open(file: &Path, state: &Path, figures: Arc<Figures>) -> Result<(Self, Contents)> {
        let attempted = || format!("open the records {}", file.display());
        let copied = Copied {
            pods: Copies::below(state.join("pods")),
            containers: Copies::below(state.join("containers")),
        };
        let there = std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0);
        let opened = open_database(file).and_then(|database| Ok((read(&database, &copied)?, database)));
        let (mut contents, database) = match opened {
            Ok(opened) if there => opened,
            Ok((_, database)) => (from_copies(&copied), database),
            Err(error) if is_broken(&error) => {
                let kept = set_aside(file).attempt(attempted)?;
                tracing::error!(
                    file = %file.display(), kept = %kept.display(), error = chain(&error),
                    "the records cannot be read; what runs is taken up by the copies beside it"
                );
                (from_copies(&copied), open_database(file).attempt(attempted)?)
            }
            Err(error) => return Err(error).attempt(attempted),
        };
        let (changes, incoming) = channel();
        let copies = std::mem::take(&mut contents.copied);
        if !copies.is_empty()
            && let Err(error) = commit(&database, &copies)
        {
            tracing::error!(file = %file.display(), error = chain(&error), "write down what copies have told");
        }
        let reserve = Reserve::take(file.with_file_name("reserve"));
        let writer = Writer { file: file.to_owned(), database: Some(database), reserve, copied };
        std::thread::Builder::new()
            .name("records".to_owned())
            .stack_size(256 << 10)
            .spawn(move || writer.commit_all(&incoming))
            .attempt(|| "start the thread that writes records".to_owned())?;
        Ok((Self { changes, figures }, contents))
    }

    /// Writes a pod's record; on disk when this returns.
    pub(crate) async fn put_pod(&self, pod: &PodRecord) -> Result<()> {
        self.put(Table::Pods, &pod.id, pod).await
    }

    /// Writes a container's record.
    pub(crate) async fn put_container(&self, container: &ContainerRecord) -> Result<()> {
        self.put(Table::Containers, &container.id, container).await
    }

    /// Forgets a pod.
    pub(crate) async fn remove_pod(&self, id: &str) -> Result<()> {
        self.change(Table::Pods, id, None).await
    }

    /// Forgets a container.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        self.change(Table::Containers, id, None).await
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

fn open_database(file: &Path) -> std::result::Result<Database, redb::Error> {
    let database = Database::create(file)?;
    let read = database.begin_read()?;
    let is_absent =
        |table: Table| matches!(read.open_table(table.definition()), Err(TableError::TableDoesNotExist(_)));
    // A full disk must not keep a daemon from starting: nothing is written that is there.
    if Table::ALL.into_iter().any(is_absent) {
        let write = database.begin_write()?;
        for table in Table::ALL {
            write.open_table(table.definition())?;
        }
        write.commit()?;
    }
    Ok(database)
}

/// The file's content is at fault, not the disk or another daemon.
fn is_broken(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        redb::Error::Corrupted(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_) => true,
        _ => false,
    }
}

/// Keeps a broken file under another name, for whoever wants to look at it.
fn set_aside(file: &Path) -> std::io::Result<PathBuf> {
    let name = format!("{}.broken-{}", file.file_name().unwrap_or_default().to_string_lossy(), clock::now());
    let kept = file.with_file_name(name);
    std::fs::rename(file, &kept)?;
    Ok(kept)
}

fn read(database: &Database, copied: &Copied) -> std::result::Result<Contents, redb::Error> {
    let mut contents = Contents::default();
    let read = database.begin_read()?;
    for table in Table::ALL {
        for entry in read.open_table(table.definition())?.iter()? {
            let (key, value) = entry?;
            contents.take(table, key.value(), Some(value.value()), copied.of(table));
        }
    }
    Ok(contents)
}

/// What can be known without the file.
fn from_copies(copied: &Copied) -> Contents {
    let mut contents = Contents::default();
    for table in Table::ALL {
        let copies = copied.of(table);
        for id in copies.ids() {
            // A bundle without a copy is the rest of a call that was cut off.
            if copies.get(&id).is_some() {
                contents.take(table, &id, None, copies);
            }
        }
    }
    contents
}

impl Contents {
    /// Takes in a record, or its copy where the record cannot be read.
    fn take(&mut self, table: Table, key: &str, record: Option<&[u8]>, copies: &Copies) {
        let reason = match record.map(|bytes| self.decode(table, bytes)) {
            Some(Ok(())) => return,
            Some(Err(reason)) => reason,
            None => "the file of records is broken, and so is its copy".to_owned(),
        };
        match copies.get(key) {
            // A newer daemon's record is as unreadable as its copy, and stays.
            Some(copy) if self.decode(table, &copy).is_ok() => {
                tracing::warn!(record = key, "its copy is taken");
                self.copied.push((table, key.to_owned(), Some(copy)));
            }
            _ => self.unreadable.push((key.to_owned(), reason)),
        }
    }

    fn decode(&mut self, table: Table, bytes: &[u8]) -> std::result::Result<(), String> {
        match table {
            Table::Pods => self.pods.push(decode::<PodRecord>(bytes, |pod| pod.version)?),
            Table::Containers => {
                self.containers.push(decode::<ContainerRecord>(bytes, |container| container.version)?);
            }
        }
        Ok(())
    }
}

fn decode<R: DeserializeOwned>(bytes: &[u8], version: impl Fn(&R) -> u32) -> std::result::Result<R, String> {
    let record: R = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match version(&record) {
        VERSION => Ok(record),
        other => Err(format!("it has version {other}, this program knows {VERSION}")),
    }
}

/// Who alone writes to the file.
struct Writer {
    file: PathBuf,
    /// None after the disk has refused something.
    database: Option<Database>,
    /// Room for what makes room.
    reserve: Reserve,
    copied: Copied,
}

impl Writer {
    /// Commits changes until nobody can send any.
    fn commit_all(mut self, incoming: &Receiver<Change>) {
        while let Ok(first) = incoming.recv() {
            let batch: Vec<Change> = std::iter::once(first).chain(incoming.try_iter()).collect();
            let result = self.commit(&batch).map_err(|error| chain(&error));
            for change in batch {
                if let (Ok(()), Some(value)) = (&result, &change.value) {
                    self.copied.of(change.table).put(&change.key, value);
                }
                // Who asked may have gone away; the record is written all the same.
                let _ = change.done.send(result.clone());
            }
        }
    }

    fn commit(&mut self, batch: &[Change]) -> std::result::Result<(), redb::Error> {
        let changes: Vec<_> =
            batch.iter().map(|change| (change.table, change.key.clone(), change.value.clone())).collect();
        let mut committed = self.try_commit(&changes);
        if let Err(error) = &committed
            && self.reserve.give_up(error)
        {
            committed = self.try_commit(&changes);
        }
        if committed.is_ok() {
            self.reserve.fill();
        }
        committed
    }

    /// Of a file that the disk has refused something every later change would be refused too: it is opened again then.
    fn try_commit(
        &mut self,
        changes: &[(Table, String, Option<Vec<u8>>)],
    ) -> std::result::Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(&self.file)?,
        };
        commit(&database, changes)?;
        self.database = Some(database);
        Ok(())
    }
}

fn commit(
    database: &Database,
    changes: &[(Table, String, Option<Vec<u8>>)],
) -> std::result::Result<(), redb::Error> {
    let write = database.begin_write()?;
    for (table, key, value) in changes {
        let mut table = write.open_table(table.definition())?;
        match value {
            Some(value) => table.insert(key.as_str(), value.as_slice())?,
            None => table.remove(key.as_str())?,
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
        let (store, contents) = Store::open(&file, folder.path(), Arc::default()).unwrap();
        assert!(contents.pods.is_empty());
        let (a, b) = (pod("a"), pod("b"));
        let (one, other) = tokio::join!(store.put_pod(&a), store.put_pod(&b));
        one.unwrap();
        other.unwrap();
        store.remove_pod("a").await.unwrap();
        drop(store);
        // The thread lets go of the file when it sees that nobody can send any more.
        let contents = loop {
            match Store::open(&file, folder.path(), Arc::default()) {
                Ok((_, contents)) => break contents,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(contents.pods, [pod("b")]);
    }

    #[tokio::test]
    async fn what_copies_tell_takes_the_place_of_a_broken_file() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir_all(state.join("pods/a")).unwrap();
        let (store, _) = Store::open(&folder.path().join("whole"), &state, Arc::default()).unwrap();
        store.put_pod(&pod("a")).await.unwrap();
        // Of this one nothing is there that could run.
        store.put_pod(&pod("b")).await.unwrap();
        let broken = folder.path().join("broken");
        std::fs::write(&broken, [0x5a; 9000]).unwrap();
        let (again, contents) = Store::open(&broken, &state, Arc::default()).unwrap();
        assert_eq!(contents.pods, [pod("a")]);
        again.remove_pod("a").await.unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
        assert_eq!(
            names.filter(|name| name.to_string_lossy().starts_with("broken.broken-")).count(),
            1,
            "it is kept"
        );
    }

    #[test]
    fn a_record_of_a_newer_version_is_named_and_left() {
        let mut record = serde_json::to_value(pod("a")).unwrap();
        record["version"] = 2.into();
        let reason = decode::<PodRecord>(record.to_string().as_bytes(), |pod| pod.version).unwrap_err();
        assert_eq!(reason, "it has version 2, this program knows 1");
    }
}
