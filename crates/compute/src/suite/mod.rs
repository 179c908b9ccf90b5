//! What every [`Backend`] must do, as tests that any implementation runs against itself.
//!
//! A backend's test file is one line: `compute::suite::run(&MyFixture)`. The [in-memory backend](memory) beside this
//! file passes the suite too, which proves that the suite asks for nothing but the contract.

pub mod memory;

use crate::backend::{Backend, Event, Exit, NewContainer, Process as _, Scope};
use crate::error::Kind;
use crate::id::ContainerId;
use crate::lifecycle::Status;
use crate::record::{self, Record, Store};
use crate::runtime::Runtime;
use oci_spec::runtime::{Process as ProcessSpec, Spec};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a container of the suite does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Runs until a signal ends it.
    Sleeps,
    /// Ends at once with this code.
    Exits(i32),
    /// Does not exist in the image.
    Missing,
}

/// How the suite gets at the implementation under test.
pub trait Fixture {
    /// The implementation.
    type Backend: Backend;
    /// A backend; all of one fixture see the same containers.
    fn backend(&self) -> Self::Backend;
    /// A state root of its own.
    fn root(&self) -> PathBuf;
    /// A bundle whose container runs this.
    fn bundle(&self, id: &ContainerId, program: Program) -> (PathBuf, Spec);
    /// A process that runs this.
    fn process(&self, program: Program) -> ProcessSpec;
    /// What a new process gets when nothing special is asked.
    fn options(&self) -> <Self::Backend as Backend>::Options;
}

/// One case: its name, and what it does.
type Case<F> = (&'static str, fn(&F));

/// The cases, by name.
pub fn cases<F: Fixture>() -> Vec<Case<F>> {
    vec![
        ("a created container waits until it is started", created_waits),
        ("the exit code reaches the creator", exit_code),
        ("a container is started once", started_once),
        ("a created container is deleted without force", created_deleted),
        ("a running container is deleted with force only", running_deleted),
        ("a paused container runs nothing until it is resumed", paused),
        ("an exec has an exit code of its own", exec_code),
        ("a creation that fails leaves nothing", failed_creation),
        ("an id is taken once", id_taken),
        ("what does not exist is not found", missing),
        ("a stopped container takes no signal", stopped),
        ("a creation that was cut off is stopped and can be deleted", cut_off),
        ("two containers do not touch each other", independent),
        ("a watch ends with the container", watch_ends),
    ]
}

/// Runs all cases, naming each.
pub fn run<F: Fixture>(fixture: &F) {
    for (name, case) in cases() {
        println!("  {name}");
        case(fixture);
    }
}

fn id(name: &str) -> ContainerId {
    ContainerId::new(format!("suite-{name}-{}", std::process::id())).expect("the suite's ids are ids")
}

fn runtime<F: Fixture>(fixture: &F) -> Runtime<F::Backend> {
    Runtime::new(fixture.backend(), Store::new(fixture.root()))
}

fn create<F: Fixture>(fixture: &F, id: &ContainerId, program: Program) -> <F::Backend as Backend>::Process {
    let (bundle, spec) = fixture.bundle(id, program);
    runtime(fixture)
        .create(id, &bundle, &spec, "", fixture.options())
        .unwrap_or_else(|error| panic!("create {id}: {error}"))
}

fn status<F: Fixture>(fixture: &F, id: &ContainerId) -> Status {
    runtime(fixture).state(id).unwrap_or_else(|error| panic!("state {id}: {error}")).status
}

fn kind<T>(result: Result<T, crate::Error>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

fn done<T>(result: Result<T, crate::Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn created_waits<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("waits"), runtime(fixture));
    let mut process = create(fixture, &id, Program::Sleeps);
    let state = done(runtime.state(&id));
    assert_eq!((state.status, state.pid), (Status::Created, process.pid()));
    done(runtime.start(&id));
    assert_eq!(status(fixture, &id), Status::Running);
    assert!(done(runtime.processes(&id)).contains(&process.pid()));
    done(runtime.kill(&id, 9, Scope::Init));
    assert_eq!(done(process.wait()), Exit::Signal(9));
    let state = done(runtime.state(&id));
    assert_eq!((state.status, state.pid), (Status::Stopped, 0));
    done(runtime.delete(&id, false));
    assert_eq!(kind(runtime.state(&id)), Some(Kind::NotFound));
}

fn exit_code<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("code"), runtime(fixture));
    let mut process = create(fixture, &id, Program::Exits(7));
    done(runtime.start(&id));
    assert_eq!(done(process.wait()), Exit::Code(7));
    assert_eq!(done(process.wait()), Exit::Code(7), "waiting twice gives the same");
    done(runtime.delete(&id, false));
}

fn started_once<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("once"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.start(&id));
    assert_eq!(kind(runtime.start(&id)), Some(Kind::WrongState));
    done(runtime.delete(&id, true));
}

fn created_deleted<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("unstarted"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.delete(&id, false));
    assert!(!runtime.store().exists(&id));
}

fn running_deleted<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("force"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.start(&id));
    assert_eq!(kind(runtime.delete(&id, false)), Some(Kind::WrongState));
    assert_eq!(status(fixture, &id), Status::Running);
    done(runtime.delete(&id, true));
    assert!(!runtime.store().exists(&id));
    done(runtime.delete(&id, true));
}

fn paused<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("paused"), runtime(fixture));
    if !runtime.backend().capabilities().pause {
        return;
    }
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.start(&id));
    done(runtime.pause(&id));
    assert_eq!(status(fixture, &id), Status::Paused);
    assert_eq!(kind(runtime.pause(&id)), Some(Kind::WrongState));
    let process = fixture.process(Program::Exits(0));
    assert_eq!(kind(runtime.exec(&id, &process, false, fixture.options())), Some(Kind::WrongState));
    done(runtime.resume(&id));
    assert_eq!(kind(runtime.resume(&id)), Some(Kind::WrongState));
    assert_eq!(done(done(runtime.exec(&id, &process, false, fixture.options())).wait()), Exit::Code(0));
    done(runtime.pause(&id));
    done(runtime.delete(&id, true));
}

fn exec_code<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("exec"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.start(&id));
    let mut other = done(runtime.exec(&id, &fixture.process(Program::Exits(3)), false, fixture.options()));
    assert_eq!(done(other.wait()), Exit::Code(3));
    assert_eq!(status(fixture, &id), Status::Running);
    assert!(runtime.exec(&id, &fixture.process(Program::Missing), false, fixture.options()).is_err());
    assert_eq!(status(fixture, &id), Status::Running);
    done(runtime.delete(&id, true));
}

fn failed_creation<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("missing"), runtime(fixture));
    let (bundle, spec) = fixture.bundle(&id, Program::Missing);
    assert!(runtime.create(&id, &bundle, &spec, "", fixture.options()).is_err());
    assert!(!runtime.store().exists(&id));
}

fn id_taken<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("taken"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    let (bundle, spec) = fixture.bundle(&id, Program::Exits(0));
    assert_eq!(kind(runtime.create(&id, &bundle, &spec, "", fixture.options())), Some(Kind::AlreadyExists));
    assert_eq!(status(fixture, &id), Status::Created);
    done(runtime.delete(&id, true));
}

fn missing<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("nobody"), runtime(fixture));
    assert_eq!(kind(runtime.state(&id)), Some(Kind::NotFound));
    assert_eq!(kind(runtime.start(&id)), Some(Kind::NotFound));
    assert_eq!(kind(runtime.kill(&id, 15, Scope::Init)), Some(Kind::NotFound));
    assert_eq!(kind(runtime.delete(&id, false)), Some(Kind::NotFound));
    done(runtime.delete(&id, true));
}

fn stopped<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("stopped"), runtime(fixture));
    let mut process = create(fixture, &id, Program::Exits(0));
    done(runtime.start(&id));
    done(process.wait());
    assert_eq!(kind(runtime.kill(&id, 15, Scope::Init)), Some(Kind::WrongState));
    assert_eq!(kind(runtime.pause(&id)), Some(Kind::WrongState));
    let process = fixture.process(Program::Exits(0));
    assert_eq!(kind(runtime.exec(&id, &process, true, fixture.options())), Some(Kind::WrongState));
    done(runtime.delete(&id, false));
}

fn cut_off<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("cut-off"), runtime(fixture));
    let (bundle, spec) = fixture.bundle(&id, Program::Sleeps);
    let backend = runtime.backend();
    let state_dir = runtime.store().dir(&id);
    let new = NewContainer { id: &id, bundle: &bundle, spec: &spec, state_dir: &state_dir };
    let saved = done(backend.plan(&new, &fixture.options()));
    let locked = done(runtime.store().reserve(&id));
    done(locked.write(&Record {
        version: record::VERSION,
        id: id.clone(),
        oci_version: spec.version().clone(),
        owner: String::new(),
        rootfs: bundle.join("rootfs"),
        bundle: bundle.clone(),
        created: record::now(),
        annotations: std::collections::BTreeMap::new(),
        isolation: backend.isolation(),
        backend: saved,
    }));
    drop(locked);
    assert_eq!(status(fixture, &id), Status::Stopped);
    done(runtime.delete(&id, false));
    assert!(!runtime.store().exists(&id));

    drop(done(runtime.store().reserve(&id)));
    assert_eq!(
        kind(runtime.delete(&id, false)),
        Some(Kind::NotFound),
        "a folder without a record is no container"
    );
    done(runtime.delete(&id, true));
    assert!(!runtime.store().exists(&id));
}

fn independent<F: Fixture>(fixture: &F) {
    let (one, two, runtime) = (id("one"), id("two"), runtime(fixture));
    let _first = create(fixture, &one, Program::Sleeps);
    let _second = create(fixture, &two, Program::Sleeps);
    done(runtime.start(&one));
    done(runtime.delete(&two, true));
    assert_eq!(status(fixture, &one), Status::Running);
    let listed: Vec<String> = done(runtime.list()).into_iter().map(|(id, _)| id).collect();
    assert!(listed.contains(&one.to_string()) && !listed.contains(&two.to_string()));
    done(runtime.delete(&one, true));
}

fn watch_ends<F: Fixture>(fixture: &F) {
    let (id, runtime) = (id("watch"), runtime(fixture));
    let _process = create(fixture, &id, Program::Sleeps);
    done(runtime.start(&id));
    let mut seen = 0;
    let begun = Instant::now();
    let killer = self::runtime(fixture);
    done(runtime.watch(&id, Duration::from_millis(20), &mut |event| {
        assert!(matches!(event, Event::Stats(_)), "nothing was out of memory");
        seen += 1;
        if seen == 3 {
            done(killer.kill(&id, 9, Scope::Init));
        }
        ControlFlow::Continue(())
    }));
    assert!(seen >= 3, "three intervals passed before the container was ended");
    assert!(begun.elapsed() < Duration::from_secs(30), "the watch ended with the container");
    done(runtime.delete(&id, true));
}
