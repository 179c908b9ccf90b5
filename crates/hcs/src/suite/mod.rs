//! What every [`ComputeService`], [`ComputeNetwork`] and [`ComputeStorage`] must do, as cases that any implementation
//! runs against itself.
//!
//! An implementation's test file makes a [`Fixture`] and hands it to [`run`], or makes a test of each of [`cases`]. The [in-memory implementations](memory) beside
//! this file pass all of them, which proves that the cases ask for nothing but the contract. A case ends by panicking
//! or returns; it cleans up what it made, and any number of cases may run at the same time.

mod concurrency;
mod events;
mod lifecycle;
pub mod memory;
mod networks;
mod operations;
mod processes;
mod queries;
mod service;
mod stdio;
mod storage;

use crate::documents::{ComputeSystem, ProcessParameters, Properties, StartOptions, SystemPropertyQuery};
use crate::error::Result;
use crate::hresult::HResult;
use crate::network::ComputeNetwork;
use crate::operation::Operation;
use crate::service::{ComputeService, Process, ProcessInformation, System};
use crate::storage::{ComputeStorage, LayerDriver};
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What a process of the suite does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program<'a> {
    /// Ends at once with this code.
    Exits(u32),
    /// Runs until it is ended.
    Sleeps,
    /// Copies its input to its output, and ends with 0 when the input ends.
    Copies,
    /// Writes this to its output, and ends with 0.
    Says(&'a str),
    /// Writes this to its error output, and ends with 0.
    Complains(&'a str),
    /// Does not exist.
    Missing,
}

/// What a case needs that not every implementation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// A compute service that runs containers.
    Containers,
    /// Processes in containers.
    Processes,
    /// Containers that can be paused.
    Pause,
    /// Virtual machines that can be paused and saved.
    Machines,
    /// Containers in virtual machines.
    Hosted,
    /// Containers that can be crashed.
    Crash,
    /// The property queries of schema 2.5.
    Queries,
    /// Processor groups.
    ProcessorGroups,
    /// A network service.
    Network,
    /// Layers as computestorage.dll has them.
    Storage,
    /// Layers as vmcompute.dll has them.
    Driver,
}

/// How the suite gets at the implementations under test.
pub trait Fixture: Sync {
    /// Whether there is what a case needs; only then the methods below are called that give it.
    fn can(&self, need: Need) -> bool;
    /// The compute service; the same one each time.
    fn service(&self) -> &dyn ComputeService;
    /// The document of a container that can be started.
    fn container(&self) -> ComputeSystem;
    /// The document of a virtual machine that can be started.
    fn machine(&self) -> ComputeSystem {
        panic!("no machines: see `can`")
    }
    /// The document of a container in the virtual machine with this id.
    fn hosted(&self, _host: &str) -> ComputeSystem {
        panic!("no hosted containers: see `can`")
    }
    /// The parameters of a process that does this.
    fn process(&self, program: Program<'_>) -> ProcessParameters;
    /// The network service; the same one each time.
    fn network(&self) -> &dyn ComputeNetwork {
        panic!("no network service: see `can`")
    }
    /// The layers.
    fn storage(&self) -> &dyn ComputeStorage {
        panic!("no layers: see `can`")
    }
    /// The layers below a home folder, as vmcompute.dll has them.
    fn driver(&self, _home: &Path) -> Box<dyn LayerDriver> {
        panic!("no layer driver: see `can`")
    }
    /// A folder for files of the cases, which the implementations can reach.
    fn folder(&self) -> &Path;
}

/// One thing that an implementation must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is shown, as a sentence.
    pub name: &'static str,
    /// What it is about.
    pub group: &'static str,
    /// What it needs.
    pub need: Need,
    /// Shows it, or panics.
    pub run: fn(&dyn Fixture),
}

/// The groups of cases, in the order in which they are best read.
pub const CASES: [&[Case]; 10] = [
    lifecycle::CASES,
    operations::CASES,
    events::CASES,
    queries::CASES,
    service::CASES,
    processes::CASES,
    stdio::CASES,
    concurrency::CASES,
    networks::CASES,
    storage::CASES,
];

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    CASES.into_iter().flatten().copied()
}

/// Runs all cases for which the fixture has what they need, naming each.
pub fn run(fixture: &dyn Fixture) {
    for case in cases().filter(|case| fixture.can(case.need)) {
        println!("  {}: {}", case.group, case.name);
        (case.run)(fixture);
    }
}

/// How long the suite waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other case, thread or process of the suite has.
fn unique(name: &str) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("suite-{name}-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// An empty folder of the case's own.
fn folder(fixture: &dyn Fixture, name: &str) -> PathBuf {
    let folder = fixture.folder().join(unique(name));
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("make {}: {error}", folder.display()));
    folder
}

/// The end of a call, wherever it was refused.
fn finish<T>(call: Result<Operation<T>>) -> Result<T> {
    call?.wait_timeout(PATIENCE)
}

/// The end of a call that must succeed.
#[track_caller]
fn done<T>(call: Result<Operation<T>>) -> T {
    must(finish(call))
}

#[track_caller]
fn must<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// The code of a call that must fail.
#[track_caller]
fn refused<T>(result: Result<T>) -> HResult {
    match result {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => {
            if let Some(document) = error.document() {
                assert_eq!(document.error.map(HResult::from), Some(error.code()), "{error}: {document:?}");
            }
            if let Some(record) = error.record() {
                assert_eq!(record.error_code, Some(error.code().code()), "{error}: {record:?}");
            }
            error.code()
        }
    }
}

/// Asks again until it is so; for what nobody tells.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// All that comes out of a pipe, which must come to its end.
#[track_caller]
fn read(mut pipe: PipeReader) -> String {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text).map(|_| text);
        sender.send(read).unwrap_or_default();
    });
    let read = receiver.recv_timeout(PATIENCE).expect("the output ends");
    read.unwrap_or_else(|error| panic!("read: {error}"))
}

/// A compute system that is terminated when the case is over.
struct Subject {
    id: String,
    system: Box<dyn System>,
}

impl Subject {
    /// Makes one of a document, with a name that says which case it is of.
    fn create(fixture: &dyn Fixture, name: &str, document: ComputeSystem) -> Self {
        let id = unique(name);
        let (system, created) = must(fixture.service().create_system(&id, &document.into()));
        done(Ok(created));
        Self { id, system }
    }

    /// A container that was not started.
    fn created(fixture: &dyn Fixture, name: &str) -> Self {
        Self::create(fixture, name, fixture.container())
    }

    /// A container that runs.
    fn running(fixture: &dyn Fixture, name: &str) -> Self {
        let subject = Self::created(fixture, name);
        subject.start();
        subject
    }

    fn start(&self) {
        done(self.system.start(&StartOptions::new()));
    }

    fn terminate(&self) {
        done(self.system.terminate());
    }

    /// Another handle to it.
    fn again(&self, fixture: &dyn Fixture) -> Box<dyn System> {
        must(fixture.service().open_system(&self.id))
    }

    fn properties(&self) -> Properties {
        done(self.system.properties(&SystemPropertyQuery::new()))
    }

    /// A process in it, and what is known of it.
    fn process(&self, parameters: &ProcessParameters) -> (Box<dyn Process>, ProcessInformation) {
        let (process, created) = must(self.system.create_process(parameters));
        (process, done(Ok(created)))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Many a case has ended it already.
        let _ = finish(self.system.terminate());
    }
}
