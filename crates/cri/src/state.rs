//! Pods and containers as the daemon has them in memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shim_api::{Pins, Shim};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::record::{ContainerRecord, End, PodRecord};
use crate::wire::v1::{ContainerState, PodSandboxState};

/// A pod.
pub(crate) struct Pod {
    pub(crate) id: String,
    /// What it is made of that goes with a reboot: configuration, pins, shared files.
    pub(crate) bundle: PathBuf,
    /// Held by a verb that changes it.
    pub(crate) turn: tokio::sync::Mutex<()>,
    record: Mutex<PodRecord>,
    shim: Mutex<Option<Shim>>,
    ready: AtomicBool,
}

impl Pod {
    pub(crate) fn new(record: PodRecord, bundle: PathBuf) -> Self {
        Self {
            id: record.id.clone(),
            bundle,
            turn: tokio::sync::Mutex::new(()),
            record: Mutex::new(record),
            shim: Mutex::new(None),
            ready: AtomicBool::new(false),
        }
    }

    pub(crate) fn record(&self) -> PodRecord {
        lock(&self.record).clone()
    }

    /// Looks at the record without copying it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&PodRecord) -> T) -> T {
        look(&lock(&self.record))
    }

    /// Changes the record in memory; the caller writes what this returns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut PodRecord)) -> PodRecord {
        let mut record = lock(&self.record);
        change(&mut record);
        record.clone()
    }

    /// Its shim, while there is one.
    pub(crate) fn shim(&self) -> Result<Shim> {
        let gone = || Error::new(Kind::Precondition, format!("pod {} does not run any more", self.id));
        lock(&self.shim).clone().ok_or_else(gone)
    }

    pub(crate) fn set_shim(&self, shim: Option<Shim>) {
        *lock(&self.shim) = shim;
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> PodSandboxState {
        if self.is_ready() { PodSandboxState::SandboxReady } else { PodSandboxState::SandboxNotready }
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins::of(&self.bundle)
    }
}

/// A container.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) pod: Arc<Pod>,
    pub(crate) bundle: PathBuf,
    /// Held by a verb that changes it.
    pub(crate) turn: tokio::sync::Mutex<()>,
    record: Mutex<ContainerRecord>,
    /// Its process on the host, 0 while there is none.
    pid: AtomicI32,
    /// How far its end has come.
    ended: watch::Sender<Ended>,
    /// Its last processor time, to tell how much it uses now.
    pub(crate) usage: Mutex<Option<Sample>>,
}

/// How far a container's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Not,
    /// It has ended, and the record is on its way to the disk.
    Known,
    Recorded,
}

/// Processor time at a moment, both in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: i64,
    pub(crate) used: u64,
    /// What was found the last time, where two looks are too close together to tell.
    pub(crate) rate: u64,
}

impl Container {
    pub(crate) fn new(record: ContainerRecord, pod: Arc<Pod>, bundle: PathBuf) -> Self {
        let ended = watch::Sender::new(if record.end.is_some() { Ended::Recorded } else { Ended::Not });
        Self {
            id: record.id.clone(),
            pod,
            bundle,
            turn: tokio::sync::Mutex::new(()),
            record: Mutex::new(record),
            pid: AtomicI32::new(0),
            ended,
            usage: Mutex::new(None),
        }
    }

    pub(crate) fn record(&self) -> ContainerRecord {
        lock(&self.record).clone()
    }

    /// Looks at the record without copying it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&ContainerRecord) -> T) -> T {
        look(&lock(&self.record))
    }

    /// Changes the record in memory; the caller writes what this returns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ContainerRecord)) -> ContainerRecord {
        let mut record = lock(&self.record);
        change(&mut record);
        record.clone()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.load(Ordering::Acquire)
    }

    pub(crate) fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::Release);
    }

    pub(crate) fn state(&self) -> ContainerState {
        self.with(|record| match (record.started_at, &record.end) {
            (_, Some(end)) if end.reason == UNKNOWN => ContainerState::ContainerUnknown,
            (_, Some(_)) => ContainerState::ContainerExited,
            (0, None) => ContainerState::ContainerCreated,
            _ => ContainerState::ContainerRunning,
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state() == ContainerState::ContainerRunning
    }

    /// Notes how it ended, once; the record that is to be written.
    pub(crate) fn end(&self, end: End) -> Option<ContainerRecord> {
        let mut first = false;
        let record = self.change(|record| {
            first = record.end.is_none();
            if first {
                record.end = Some(end);
            }
        });
        self.set_pid(0);
        if first {
            self.ended.send_replace(Ended::Known);
        }
        first.then_some(record)
    }

    /// Notes that its end is written down, as far as it could be.
    pub(crate) fn end_is_recorded(&self) {
        self.ended.send_replace(Ended::Recorded);
    }

    /// Returns when it has ended.
    pub(crate) async fn wait(&self) {
        // The sender lives as long as the container.
        let _ = self.ended.subscribe().wait_for(|ended| *ended >= Ended::Known).await;
    }

    /// Returns when nobody will write down its end any more: at once, unless somebody is about to.
    pub(crate) async fn wait_for_record(&self) {
        // As above.
        let _ = self.ended.subscribe().wait_for(|ended| *ended != Ended::Known).await;
    }
}

/// The reason of a container whose end nobody saw and nothing tells.
pub(crate) const UNKNOWN: &str = "ContainerStatusUnknown";

/// All pods and containers, by id.
#[derive(Default)]
pub(crate) struct Registry {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    pods: HashMap<String, Arc<Pod>>,
    containers: HashMap<String, Arc<Container>>,
    /// Names that are taken, with the id that has them.
    names: HashMap<String, String>,
}

impl Registry {
    /// Takes a name for an id.
    pub(crate) fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut all = lock(&self.all);
        if let Some(owner) = all.names.get(name) {
            return Err(Error::new(Kind::AlreadyExists, format!("the name {name:?} is taken by {owner}")));
        }
        all.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives up every name of an id.
    pub(crate) fn release(&self, id: &str) {
        lock(&self.all).names.retain(|_, owner| owner != id);
    }

    pub(crate) fn add_pod(&self, pod: Arc<Pod>) {
        lock(&self.all).pods.insert(pod.id.clone(), pod);
    }

    pub(crate) fn add_container(&self, container: Arc<Container>) {
        lock(&self.all).containers.insert(container.id.clone(), container);
    }

    pub(crate) fn remove_pod(&self, id: &str) {
        lock(&self.all).pods.remove(id);
        self.release(id);
    }

    pub(crate) fn remove_container(&self, id: &str) {
        lock(&self.all).containers.remove(id);
        self.release(id);
    }

    /// A pod by its id or the beginning of it.
    pub(crate) fn pod(&self, id: &str) -> Result<Arc<Pod>> {
        find(&lock(&self.all).pods, "pod", id)
    }

    /// A container by its id or the beginning of it.
    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>> {
        find(&lock(&self.all).containers, "container", id)
    }

    /// All pods, the youngest first.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        let mut pods: Vec<_> = lock(&self.all).pods.values().cloned().collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.with(|record| record.created_at)));
        pods
    }

    /// All containers, the youngest first.
    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        let mut containers: Vec<_> = lock(&self.all).containers.values().cloned().collect();
        containers.sort_by_key(|container| std::cmp::Reverse(container.with(|record| record.created_at)));
        containers
    }

    /// The containers of a pod.
    pub(crate) fn containers_of(&self, pod: &str) -> Vec<Arc<Container>> {
        self.containers().into_iter().filter(|container| container.pod.id == pod).collect()
    }
}

fn find<T>(all: &HashMap<String, Arc<T>>, what: &str, id: &str) -> Result<Arc<T>> {
    if let Some(found) = all.get(id) {
        return Ok(found.clone());
    }
    let mut starting = all.iter().filter(|(known, _)| !id.is_empty() && known.starts_with(id));
    match (starting.next(), starting.next()) {
        (Some((_, found)), None) => Ok(found.clone()),
        (Some(_), Some(_)) => {
            Err(Error::invalid(format!("more than one {what} has an id that begins with {id:?}")))
        }
        (None, _) => Err(Error::not_found(what, id)),
    }
}

/// A thread that died with the lock held leaves values that are whole: each change is one assignment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_owner_until_it_is_released() {
        let registry = Registry::default();
        registry.reserve("web", "a").unwrap();
        assert_eq!(registry.reserve("web", "b").unwrap_err().kind(), Kind::AlreadyExists);
        registry.release("a");
        registry.reserve("web", "b").unwrap();
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
        let all = HashMap::from([("abc".to_owned(), Arc::new(1)), ("abd".to_owned(), Arc::new(2))]);
        assert_eq!(*find(&all, "pod", "abc").unwrap(), 1);
        assert_eq!(*find(&all, "pod", "abd").unwrap(), 2);
        assert_eq!(find(&all, "pod", "ab").unwrap_err().kind(), Kind::Invalid);
        assert_eq!(find(&all, "pod", "").unwrap_err().kind(), Kind::NotFound);
    }
}
