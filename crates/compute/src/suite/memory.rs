//! A backend whose containers are entries of a map: the smallest thing that keeps the contract.

use super::{Fixture, Program};
use crate::backend::{
    Backend, Capabilities, Event, Existing, Exit, Isolation, NewContainer, Observed, Process, Scope,
};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::lifecycle::Status;
use oci_spec::runtime::{LinuxResources, Process as ProcessSpec, ProcessBuilder, Spec, SpecBuilder};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Its "programs" are one argument: `sleep`, or a number to exit with.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    processes: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    last: i32,
    entries: BTreeMap<i32, Entry>,
}

#[derive(Debug)]
struct Entry {
    program: String,
    status: Status,
    exit: Option<Exit>,
}

/// A process of the map.
pub struct Handle {
    pid: i32,
    backend: Memory,
}

impl Process for Handle {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn wait(&mut self) -> Result<Exit> {
        let table = self.backend.table();
        let exit = table.entries.get(&self.pid).and_then(|entry| entry.exit);
        exit.ok_or_else(|| Error::new(Kind::Internal, "waiting here would never end"))
    }
}

impl Memory {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, process: &ProcessSpec) -> Result<i32> {
        let program = process.args().as_ref().and_then(|args| args.first()).cloned().unwrap_or_default();
        if program != "sleep" && program.parse::<i32>().is_err() {
            return Err(Error::new(Kind::NotFound, format!("exec: {program:?}: executable file not found")));
        }
        let mut table = self.table();
        table.last += 1;
        let pid = table.last;
        table.entries.insert(pid, Entry { program, status: Status::Created, exit: None });
        Ok(pid)
    }

    fn let_run(&self, pid: i32) -> Result<()> {
        let mut table = self.table();
        let entry = table.entries.get_mut(&pid).ok_or_else(gone)?;
        if entry.status != Status::Created {
            return Err(Error::new(Kind::WrongState, "cannot start an already running container"));
        }
        entry.status = Status::Running;
        if let Ok(code) = entry.program.parse() {
            entry.exit = Some(Exit::Code(code));
            entry.status = Status::Stopped;
        }
        Ok(())
    }

    fn set(&self, saved: &Option<i32>, status: Status) -> Result<()> {
        let mut table = self.table();
        table.entries.get_mut(&saved.unwrap_or(0)).ok_or_else(gone)?.status = status;
        Ok(())
    }

    fn end(&self, saved: &Option<i32>, signal: i32) {
        if let Some(entry) = self.table().entries.get_mut(&saved.unwrap_or(0))
            && entry.exit.is_none()
        {
            entry.exit = Some(Exit::Signal(signal));
            entry.status = Status::Stopped;
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::NotFound, "no such process")
}

impl Backend for Memory {
    type Options = ();
    type Process = Handle;
    type Saved = Option<i32>;
    type Stats = usize;

    fn isolation(&self) -> Isolation {
        Isolation::Process
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { pause: true, update: false, checkpoint: false }
    }

    fn plan(&self, _: &NewContainer<'_>, (): &()) -> Result<Option<i32>> {
        Ok(None)
    }

    fn create(
        &self,
        new: &NewContainer<'_>,
        (): (),
        saved: &mut Option<i32>,
        commit: &mut dyn FnMut(&Option<i32>) -> Result<()>,
    ) -> Result<Handle> {
        let process = new.spec.process().as_ref();
        let process = process.ok_or_else(|| Error::new(Kind::InvalidArgument, "process must be given"))?;
        let pid = self.spawn(process)?;
        *saved = Some(pid);
        commit(saved)?;
        Ok(Handle { pid, backend: self.clone() })
    }

    fn recover(&self, _: &ContainerId, _: &Path) -> Option<Option<i32>> {
        // Nothing lies in a folder.
        None
    }

    fn observe(&self, container: &Existing<'_, Option<i32>>) -> Result<Observed> {
        let pid = container.saved.unwrap_or(0);
        let status = self.table().entries.get(&pid).map_or(Status::Stopped, |entry| entry.status);
        Ok(Observed { status, pid })
    }

    fn start(&self, container: &Existing<'_, Option<i32>>) -> Result<()> {
        self.let_run(container.saved.unwrap_or(0))
    }

    fn exec(&self, _: &Existing<'_, Option<i32>>, process: &ProcessSpec, (): ()) -> Result<Handle> {
        let pid = self.spawn(process)?;
        self.let_run(pid)?;
        Ok(Handle { pid, backend: self.clone() })
    }

    fn signal(&self, container: &Existing<'_, Option<i32>>, signal: i32, _: Scope) -> Result<()> {
        self.end(container.saved, signal);
        Ok(())
    }

    fn pause(&self, container: &Existing<'_, Option<i32>>) -> Result<()> {
        self.set(container.saved, Status::Paused)
    }

    fn resume(&self, container: &Existing<'_, Option<i32>>) -> Result<()> {
        self.set(container.saved, Status::Running)
    }

    fn update(&self, _: &Existing<'_, Option<i32>>, _: &LinuxResources) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "a map has no limits"))
    }

    fn processes(&self, container: &Existing<'_, Option<i32>>) -> Result<Vec<i32>> {
        Ok(container.saved.iter().copied().collect())
    }

    fn stats(&self, _: &Existing<'_, Option<i32>>) -> Result<usize> {
        Ok(self.table().entries.len())
    }

    fn watch(
        &self,
        container: &Existing<'_, Option<i32>>,
        _: Duration,
        sink: &mut dyn FnMut(Event<usize>) -> ControlFlow<()>,
    ) -> Result<()> {
        while self.observe(container)?.status != Status::Stopped {
            if sink(Event::Stats(self.stats(container)?)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn kill_all(&self, container: &Existing<'_, Option<i32>>) -> Result<()> {
        self.end(container.saved, 9);
        Ok(())
    }

    fn delete(&self, container: &Existing<'_, Option<i32>>) -> Result<()> {
        if let Some(pid) = container.saved {
            self.table().entries.remove(pid);
        }
        Ok(())
    }
}

/// The suite's view of a [`Memory`]. The caller gives the folder for records.
pub struct MemoryFixture {
    backend: Memory,
    root: PathBuf,
}

impl MemoryFixture {
    /// Records go below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { backend: Memory::default(), root }
    }
}

impl Fixture for MemoryFixture {
    type Backend = Memory;

    fn backend(&self) -> Memory {
        self.backend.clone()
    }

    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn bundle(&self, _: &ContainerId, program: Program) -> (PathBuf, Spec) {
        let spec =
            SpecBuilder::default().process(self.process(program)).build().expect("all fields are given");
        (PathBuf::from("/nowhere"), spec)
    }

    fn process(&self, program: Program) -> ProcessSpec {
        let argument = match program {
            Program::Sleeps => "sleep".to_owned(),
            Program::Exits(code) => code.to_string(),
            Program::Missing => "missing".to_owned(),
        };
        ProcessBuilder::default().args([argument]).build().expect("all fields are given")
    }

    fn options(&self) {}
}
