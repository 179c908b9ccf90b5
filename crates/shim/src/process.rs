//! One process of a container: its first, or one that was added.
//!
//! | state   | start   | signal | exit    | delete |
//! |---------|---------|--------|---------|--------|
//! | Added   | Running | –      | –       | gone   |
//! | Created | Running | ok     | Stopped | gone   |
//! | Running | –       | ok     | Stopped | –      |
//! | Stopped | –       | –      | –       | gone   |
//!
//! The first process of a container is never *added*: it is created with the container, unless that continues from a
//! checkpoint.

use crate::backends::Child;
use crate::io::Io;
use compute::Status;
use compute::backend::Exit;
use oci_spec::runtime::Process as ProcessSpec;
use shim_api::{Exited, Kind, Refusal, Streams};
use std::time::SystemTime;
use tokio::sync::watch;

/// Where it is in its life.
pub(crate) enum State {
    /// Asked for; what will be run, unless that is the container's own.
    Added(Option<Box<ProcessSpec>>),
    /// Made; waits to be started.
    Created(Child),
    /// Runs.
    Running(Child),
    /// Has ended.
    Stopped(Exited),
}

/// See the module's text.
pub(crate) struct Process {
    pub(crate) streams: Streams,
    pub(crate) state: State,
    pub(crate) io: Option<Io>,
    ended: watch::Sender<Option<Exited>>,
}

impl Process {
    /// One that was asked for.
    pub(crate) fn added(streams: Streams, process: Option<Box<ProcessSpec>>) -> Self {
        Self { streams, state: State::Added(process), io: None, ended: watch::Sender::new(None) }
    }

    /// Its id on the host, 0 while there is none.
    pub(crate) fn pid(&self) -> i32 {
        match &self.state {
            State::Added(_) => 0,
            State::Created(child) | State::Running(child) => child.pid(),
            State::Stopped(exited) => exited.pid,
        }
    }

    /// As the protocol has it; freezing is the container's affair.
    pub(crate) fn status(&self) -> Status {
        match &self.state {
            State::Added(_) | State::Created(_) => Status::Created,
            State::Running(_) => Status::Running,
            State::Stopped(_) => Status::Stopped,
        }
    }

    /// How it ended.
    pub(crate) fn exited(&self) -> Option<Exited> {
        match self.state {
            State::Stopped(exited) => Some(exited),
            State::Added(_) | State::Created(_) | State::Running(_) => None,
        }
    }

    /// Its descriptor, to signal it.
    pub(crate) fn child(&self) -> Result<&Child, Refusal> {
        match &self.state {
            State::Created(child) | State::Running(child) => Ok(child),
            State::Added(_) => {
                Err(Refusal::new(Kind::FailedPrecondition, "the process must be created first"))
            }
            State::Stopped(_) => Err(Refusal::new(Kind::NotFound, "process already finished")),
        }
    }

    /// The program runs.
    pub(crate) fn run(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Added(None));
        self.state = match state {
            State::Created(child) => State::Running(child),
            other => other,
        };
    }

    /// It has ended; those who wait learn it.
    pub(crate) fn end(&mut self, exited: Exited) {
        self.state = State::Stopped(exited);
        self.ended.send_replace(Some(exited));
    }

    /// To wait for its end without holding on to anything else.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Exited>> {
        self.ended.subscribe()
    }
}

/// How and when, of a process that ended just now.
pub(crate) fn exited(pid: i32, exit: Exit) -> Exited {
    Exited { pid, code: exit.status(), at: SystemTime::now() }
}
