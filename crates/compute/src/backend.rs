//! The seam between what a container is and how one is made: [`Backend`].
//!
//! A backend is verbs on one container. It owns no records and decides no states: [`Runtime`](crate::Runtime) does.
//! What differs between backends is data ([`Capabilities`]), not extra methods.

use crate::error::Result;
use crate::id::ContainerId;
use crate::lifecycle::Status;
use oci_spec::runtime::{LinuxResources, Process as ProcessSpec, Spec};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// How a container is kept apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// The host's kernel keeps its processes apart.
    Process,
    /// A utility VM with a kernel of its own.
    Hypervisor,
}

impl Isolation {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::Process => "process",
            Isolation::Hypervisor => "hypervisor",
        }
    }
}

/// What a backend can do on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Freeze and thaw.
    pub pause: bool,
    /// Change limits of a running container.
    pub update: bool,
    /// Write a container to disk and bring it back.
    pub checkpoint: bool,
}

/// What is asked of [`Backend::create`].
pub struct NewContainer<'a> {
    /// Its id.
    pub id: &'a ContainerId,
    /// The bundle's folder, absolute.
    pub bundle: &'a Path,
    /// The bundle's `config.json`.
    pub spec: &'a Spec,
    /// The container's folder below the state root; it exists, is empty but for the record, and goes with the
    /// container. A backend keeps its sockets here.
    pub state_dir: &'a Path,
}

/// An existing container, as its record has it.
pub struct Existing<'a, S> {
    /// Its id.
    pub id: &'a ContainerId,
    /// The bundle's folder.
    pub bundle: &'a Path,
    /// Its folder below the state root.
    pub state_dir: &'a Path,
    /// What the backend saved.
    pub saved: &'a S,
}

/// What is true of a container right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Its status.
    pub status: Status,
    /// Its init process, 0 when there is none.
    pub pid: i32,
}

/// Whom a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The container's init.
    Init,
    /// Every process.
    All,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The shell's convention: the code, or 128 plus the signal.
    pub fn status(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// A process of a container that the caller started.
pub trait Process {
    /// Its id on the host.
    fn pid(&self) -> i32;
    /// Waits for its end. Only the process that created it can.
    fn wait(&mut self) -> Result<Exit>;
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<S> {
    /// The interval passed; this is what it uses.
    Stats(S),
    /// The kernel ended a process of it because its memory limit was reached.
    Oom,
}

/// Makes containers real. See the module's text; the suite in [`crate::suite`] is its contract.
pub trait Backend {
    /// What only this backend knows of a new process: terminals, descriptors, driver choices.
    type Options;
    /// A process that the caller may wait for.
    type Process: Process;
    /// What this backend must remember of a container to find and to undo everything it made.
    type Saved: Serialize + for<'de> Deserialize<'de> + Clone;
    /// What [`Backend::stats`] returns.
    type Stats: Serialize;

    /// The kind of isolation.
    fn isolation(&self) -> Isolation;
    /// What it can do on this host.
    fn capabilities(&self) -> Capabilities;

    /// Checks the request and decides what will be made, without making any of it. The result is on disk before
    /// [`create`](Backend::create) begins, so that [`delete`](Backend::delete) can undo a creation that was cut off
    /// at any point.
    fn plan(&self, new: &NewContainer<'_>, options: &Self::Options) -> Result<Self::Saved>;

    /// Makes the container up to *created*: its process waits for [`start`](Backend::start). `commit` writes what was
    /// learned on the way (the init's pid) to disk; a process that exists before its commit ends by itself when the
    /// creator dies.
    fn create(
        &self,
        new: &NewContainer<'_>,
        options: Self::Options,
        saved: &mut Self::Saved,
        commit: &mut dyn FnMut(&Self::Saved) -> Result<()>,
    ) -> Result<Self::Process>;

    /// What can be known of a container whose record cannot be read, from what lies in its folder: enough to end and
    /// remove it by force.
    fn recover(&self, id: &ContainerId, state_dir: &Path) -> Option<Self::Saved>;
    /// Looks at the world: what is it now? Works on whatever a cut-off creation left.
    fn observe(&self, container: &Existing<'_, Self::Saved>) -> Result<Observed>;
    /// Lets a created container's process run; returns when the user's program has been executed.
    fn start(&self, container: &Existing<'_, Self::Saved>) -> Result<()>;
    /// Runs one more process; returns when the program has been executed.
    fn exec(
        &self,
        container: &Existing<'_, Self::Saved>,
        process: &ProcessSpec,
        options: Self::Options,
    ) -> Result<Self::Process>;
    /// Sends a signal by number.
    fn signal(&self, container: &Existing<'_, Self::Saved>, signal: i32, scope: Scope) -> Result<()>;
    /// Freezes all processes.
    fn pause(&self, container: &Existing<'_, Self::Saved>) -> Result<()>;
    /// Thaws them.
    fn resume(&self, container: &Existing<'_, Self::Saved>) -> Result<()>;
    /// Changes the limits that are given, leaves the others.
    fn update(&self, container: &Existing<'_, Self::Saved>, resources: &LinuxResources) -> Result<()>;
    /// The process ids of the container, as the host sees them.
    fn processes(&self, container: &Existing<'_, Self::Saved>) -> Result<Vec<i32>>;
    /// What the container uses.
    fn stats(&self, container: &Existing<'_, Self::Saved>) -> Result<Self::Stats>;
    /// Reports statistics each interval and every out-of-memory kill, until the container ends or the sink breaks.
    fn watch(
        &self,
        container: &Existing<'_, Self::Saved>,
        interval: Duration,
        sink: &mut dyn FnMut(Event<Self::Stats>) -> ControlFlow<()>,
    ) -> Result<()>;
    /// Ends every process of the container and waits until they are gone.
    fn kill_all(&self, container: &Existing<'_, Self::Saved>) -> Result<()>;
    /// Removes all that was made, whatever of it exists; goes on through errors and reports all of them. Deleting
    /// what is gone succeeds.
    fn delete(&self, container: &Existing<'_, Self::Saved>) -> Result<()>;
}
