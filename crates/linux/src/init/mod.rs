//! Init: the small program that becomes the container's process.
//!
//! The runtime starts it as `runhcs-init` from a sealed copy of its own file ([`crate::sealed`]), with one end of a
//! socket as standard input. From there on everything happens in a process with a single thread.
//!
//! | runtime                                   | socket           | init                                              |
//! |-------------------------------------------|------------------|---------------------------------------------------|
//! | starts it, puts it into the cgroups       |                  |                                                   |
//! | sends all it will need                    | plan, fds →      |                                                   |
//! |                                           | filter →         | joins namespaces; makes a user namespace          |
//! | writes the id mappings                    | ← `MapUser`      |                                                   |
//! |                                           | `Continue` →     | makes the other namespaces; splits for pid, time  |
//! | puts the pid on record, opens the sources | ← `Init`         |                                                   |
//! |                                           | `Sources`, fds → | keyring, network, mounts                          |
//! | runs prestart and createRuntime hooks     | ← `Hooks` ¹      |                                                   |
//! |                                           | `Continue` →     | createContainer hooks, enters the root, terminal, |
//! |                                           |                  | attributes of the process                         |
//! | sets resource limits                      | ← `Limits`       |                                                   |
//! |                                           | `Continue` →     | becomes the user                                  |
//! | passes the listener on                    | ← `Seccomp…` ²   |                                                   |
//! |                                           | `Continue` →     |                                                   |
//! | `create` returns                          | ← `Ready`        | waits for a word on the start pipe                |
//! | `start` writes the word                   | start pipe →     | startContainer hooks, execve                      |
//! | `start` returns                           | ← end of stream  |                                                   |
//!
//! ¹ only with such hooks; ² only with a filter that notifies, here or on the start pipes.
//!
//! A process that is executed in a container takes the same way without mounts, hooks and start pipes: `Ready` comes
//! last, and the end of the stream after it says that the program was executed.
//!
//! At any moment init may send `Failed` and exit. When the runtime dies, init reads the end of the stream at its next
//! question and exits; from the answer `Init` on, its pid is on record and a deletion finds it.

mod container;
mod message;
mod stage;
mod wire;

pub(crate) use message::{Answer, Container, Namespaces, Plan, Report, Role, Slot};
pub(crate) use wire::{Lost, read_plainly, receive, send, send_bytes, write_plainly};

use crate::sys::exec;
use compute::{Error, Kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::de::DeserializeOwned;

/// The name under which the runtime executes itself as init.
pub const ARGV0: &std::ffi::CStr = c"runhcs-init";

/// Whether this process was started as init. To be asked before anything else.
pub fn is_init() -> bool {
    is_called(ARGV0)
}

/// Whether this process was executed under that name.
pub(crate) fn is_called(name: &std::ffi::CStr) -> bool {
    std::env::args_os().next().is_some_and(|own| own.as_encoded_bytes() == name.to_bytes())
}

/// Runs init: becomes the container's program, or ends.
pub fn main() -> ! {
    if let Ok(runtime) = Runtime::take_over_stdin() {
        let Err(error) = stage::run(&runtime);
        runtime.failed(error);
    }
    exec::end(1)
}

/// The other end: the runtime that started us, and later whoever starts the container.
pub(crate) struct Runtime {
    /// Where its words come from.
    input: OwnedFd,
    /// Where ours go, if not the same way.
    output: Option<OwnedFd>,
}

impl Runtime {
    /// Takes the socket away from standard input, where the plan's descriptor will go.
    fn take_over_stdin() -> Result<Self, Error> {
        // What ps shows; executed by descriptor, we would be called by its number.
        let _ = rustix::thread::set_name(ARGV0);
        // Nobody in the container may look into us, or trace us, before we are the user's program.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .map_err(|cause| Error::io("make init not dumpable", cause))?;
        let stdin = rustix::stdio::stdin();
        let socket =
            rustix::io::fcntl_dupfd_cloexec(stdin, 3).map_err(|cause| Error::io("keep the socket", cause))?;
        Ok(Self { input: socket, output: None })
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// By write(2) alone: a filter may be in force.
    fn tell(&self, report: &Report) -> Result<(), Error> {
        write_plainly(self.output(), report).map_err(Error::from)
    }

    /// Reports, and waits until the runtime has done its part.
    fn ask(&self, report: &Report) -> Result<(Answer, Vec<OwnedFd>), Error> {
        self.tell(report)?;
        self.receive()
    }

    /// As [`ask`](Self::ask), by write(2) and read(2) alone.
    fn ask_plainly(&self, report: &Report) -> Result<Answer, Error> {
        self.tell(report)?;
        read_plainly(&self.input).map_err(Error::from)
    }

    fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), Error> {
        receive(&self.input).map_err(Error::from)
    }

    /// Tells why it ends here. When nobody listens any more, nobody waits for it either.
    fn failed(&self, error: Error) {
        let _ = self.tell(&Report::Failed(error));
    }
}

/// The descriptors that came with a message, each taken once.
pub(crate) struct Fds(Vec<Option<OwnedFd>>);

impl Fds {
    fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }

    fn take(&mut self, slot: Slot) -> Result<OwnedFd, Error> {
        let found = self.0.get_mut(slot.0 as usize).and_then(Option::take);
        found.ok_or_else(|| {
            Error::new(Kind::Internal, format!("the plan names descriptor {}, which did not come", slot.0))
        })
    }

    fn get(&self, slot: Slot) -> Result<BorrowedFd<'_>, Error> {
        let found = self.0.get(slot.0 as usize).and_then(Option::as_ref).map(AsFd::as_fd);
        found.ok_or_else(|| {
            Error::new(Kind::Internal, format!("the plan names descriptor {}, which did not come", slot.0))
        })
    }
}
