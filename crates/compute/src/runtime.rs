//! The verbs on containers, for every caller: read the record, ask the lifecycle table, call the backend, write the
//! record.

use crate::backend::{Backend, Event, Existing, NewContainer, Observed, Scope};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::lifecycle::{Status, Step, Verb, admit};
use crate::record::{self, Record, Store};
use oci_spec::runtime::{LinuxResources, Process as ProcessSpec, Spec};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The containers below one state root, made by one backend.
pub struct Runtime<B> {
    backend: B,
    store: Store,
}

/// What `state` and `list` report: the state of the OCI runtime specification and what runc adds to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The `ociVersion` of the bundle.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Its init process, 0 when stopped.
    pub pid: i32,
    /// Its status.
    pub status: Status,
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// RFC 3339, UTC.
    pub created: String,
    /// The bundle's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who it belongs to.
    pub owner: String,
}

impl<B: Backend> Runtime<B> {
    /// The containers that `backend` made below `store`'s root.
    pub fn new(backend: B, store: Store) -> Self {
        Self { backend, store }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a container up to *created*. When it fails, nothing is left of it.
    pub fn create(
        &self,
        id: &ContainerId,
        bundle: &Path,
        spec: &Spec,
        owner: &str,
        options: B::Options,
    ) -> Result<B::Process> {
        self.create_by(id, bundle, spec, owner, options, |new, options, saved, commit| {
            self.backend.create(new, options, saved, commit)
        })
    }

    /// As [`create`](Self::create), for a container that `make` brings into being in some other way than
    /// [`Backend::create`], whose contract it keeps: from a checkpoint.
    pub fn create_by<T>(
        &self,
        id: &ContainerId,
        bundle: &Path,
        spec: &Spec,
        owner: &str,
        options: B::Options,
        make: impl FnOnce(
            &NewContainer<'_>,
            B::Options,
            &mut B::Saved,
            &mut dyn FnMut(&B::Saved) -> Result<()>,
        ) -> Result<T>,
    ) -> Result<T> {
        if self.store.exists(id) {
            return Err(record::RecordError::Exists(id.to_string()).into());
        }
        let state_dir = self.store.dir(id);
        let new = NewContainer { id, bundle, spec, state_dir: &state_dir };
        let mut saved = self.backend.plan(&new, &options)?;
        let locked = self.store.reserve(id)?;
        let mut record = new_record(&new, owner, self.backend.isolation(), saved.clone());
        let created = locked.write(&record).and_then(|()| {
            let commit = &mut |saved: &B::Saved| {
                record.backend = saved.clone();
                locked.write(&record)
            };
            make(&new, options, &mut saved, commit)
        });
        match created {
            Ok(made) => Ok(made),
            Err(error) => {
                let leftover = Existing { id, bundle, state_dir: &state_dir, saved: &saved };
                let undone = self.backend.kill_all(&leftover).and_then(|()| self.backend.delete(&leftover));
                // When the undoing failed, the record must stay: `delete --force` goes on from it.
                match undone.and_then(|()| locked.remove()) {
                    Ok(()) => Err(error),
                    Err(undo) => {
                        Err(Error::new(error.kind(), format!("{error} (and undoing it failed: {undo})")))
                    }
                }
            }
        }
    }

    /// Lets a created container run; returns when its program has been executed.
    pub fn start(&self, id: &ContainerId) -> Result<()> {
        self.admitted(id, Verb::Start, |existing, _| self.backend.start(existing))
    }

    /// Runs one more process in a container.
    pub fn exec(
        &self,
        id: &ContainerId,
        process: &ProcessSpec,
        ignore_paused: bool,
        options: B::Options,
    ) -> Result<B::Process> {
        self.admitted(id, Verb::Exec { ignore_paused }, |existing, _| {
            self.backend.exec(existing, process, options)
        })
    }

    /// Sends a signal by number.
    pub fn kill(&self, id: &ContainerId, signal: i32, scope: Scope) -> Result<()> {
        self.admitted(id, Verb::Kill, |existing, _| self.backend.signal(existing, signal, scope))
    }

    /// Freezes all processes.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        self.admitted(id, Verb::Pause, |existing, _| self.backend.pause(existing))
    }

    /// Thaws them.
    pub fn resume(&self, id: &ContainerId) -> Result<()> {
        self.admitted(id, Verb::Resume, |existing, _| self.backend.resume(existing))
    }

    /// Changes limits.
    pub fn update(&self, id: &ContainerId, resources: &LinuxResources) -> Result<()> {
        self.admitted(id, Verb::Update, |existing, _| self.backend.update(existing, resources))
    }

    /// The process ids of a container, as the host sees them.
    pub fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        self.admitted(id, Verb::Inspect, |existing, _| self.backend.processes(existing))
    }

    /// What a container uses.
    pub fn stats(&self, id: &ContainerId) -> Result<B::Stats> {
        self.admitted(id, Verb::Inspect, |existing, _| self.backend.stats(existing))
    }

    /// Reports statistics and out-of-memory kills until the container ends or `sink` breaks.
    pub fn watch(
        &self,
        id: &ContainerId,
        interval: Duration,
        sink: &mut dyn FnMut(Event<B::Stats>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.admitted(id, Verb::Inspect, |existing, _| self.backend.watch(existing, interval, sink))
    }

    /// Calls `act` if the table admits `verb` in the state that the container is in now.
    pub fn admitted<T>(
        &self,
        id: &ContainerId,
        verb: Verb,
        act: impl FnOnce(&Existing<'_, B::Saved>, Observed) -> Result<T>,
    ) -> Result<T> {
        let record = self.store.read::<B::Saved>(id)?;
        let state_dir = self.store.dir(id);
        let existing = existing(id, &record, &state_dir);
        let observed = self.backend.observe(&existing)?;
        admit(id.as_str(), observed.status, verb)?;
        act(&existing, observed)
    }

    /// Removes a container and all that was made for it. With `force`, whatever its state; a container that does not
    /// exist is then deleted already.
    pub fn delete(&self, id: &ContainerId, force: bool) -> Result<()> {
        match self.delete_existing(id, force) {
            Err(error) if force && error.kind() == Kind::NotFound && !self.store.exists(id) => Ok(()),
            other => other,
        }
    }

    fn delete_existing(&self, id: &ContainerId, force: bool) -> Result<()> {
        let state_dir = self.store.dir(id);
        if force && let Ok(record) = self.store.read::<B::Saved>(id) {
            // A creation that hangs holds the lock: without its processes it fails and lets go.
            let existing = existing(id, &record, &state_dir);
            self.backend.kill_all(&existing)?;
        }
        let locked = self.store.lock(id)?;
        let record = match self.store.read::<B::Saved>(id) {
            Ok(record) => record,
            // A folder without a record: nothing was made yet, or all is gone already.
            Err(error) if error.kind() == Kind::NotFound && force => return locked.remove(),
            // A damaged one: somebody wrote to it. What can be found out is enough to end it by force.
            Err(error) if force && error.kind() == Kind::Internal => {
                let Some(saved) = self.backend.recover(id, &state_dir) else { return Err(error) };
                let existing = Existing { id, bundle: &state_dir, state_dir: &state_dir, saved: &saved };
                self.backend.kill_all(&existing)?;
                self.backend.delete(&existing)?;
                return locked.remove();
            }
            Err(error) => return Err(error),
        };
        let existing = existing(id, &record, &state_dir);
        let observed = self.backend.observe(&existing)?;
        match admit(id.as_str(), observed.status, Verb::Delete { force })? {
            Step::Go => {}
            Step::KillFirst => self.backend.kill_all(&existing)?,
        }
        self.backend.delete(&existing)?;
        locked.remove()
    }

    /// What a container is now.
    pub fn state(&self, id: &ContainerId) -> Result<State> {
        let record = self.store.read::<B::Saved>(id)?;
        let state_dir = self.store.dir(id);
        let existing = existing(id, &record, &state_dir);
        let Observed { status, pid } = self.backend.observe(&existing)?;
        Ok(State {
            oci_version: record.oci_version,
            id: record.id.into(),
            pid: if status == Status::Stopped { 0 } else { pid },
            status,
            bundle: record.bundle,
            rootfs: record.rootfs,
            created: record.created,
            annotations: record.annotations,
            owner: record.owner,
        })
    }

    /// Every container below the root, sorted by id; one that cannot be read comes with its error.
    pub fn list(&self) -> Result<Vec<(String, Result<State>)>> {
        let ids = self.store.ids()?;
        Ok(ids.into_iter().map(|id| (id.to_string(), self.state(&id))).collect())
    }

    /// The record as it is on disk.
    pub fn record(&self, id: &ContainerId) -> Result<Record<B::Saved>> {
        self.store.read(id)
    }

    /// The bundle of a container.
    pub fn bundle(&self, id: &ContainerId) -> Result<PathBuf> {
        Ok(self.store.read::<B::Saved>(id)?.bundle)
    }
}

/// The container of a record.
fn existing<'a, S>(id: &'a ContainerId, record: &'a Record<S>, state_dir: &'a Path) -> Existing<'a, S> {
    Existing { id, bundle: &record.bundle, state_dir, saved: &record.backend }
}

fn new_record<S>(
    new: &NewContainer<'_>,
    owner: &str,
    isolation: crate::backend::Isolation,
    backend: S,
) -> Record<S> {
    let root = new.spec.root().as_ref().map(|root| root.path().clone()).unwrap_or_default();
    Record {
        version: record::VERSION,
        id: new.id.clone(),
        oci_version: new.spec.version().clone(),
        owner: owner.to_owned(),
        bundle: new.bundle.to_owned(),
        rootfs: new.bundle.join(root),
        created: record::now(),
        annotations: new.spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        isolation,
        backend,
    }
}
