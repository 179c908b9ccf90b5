//! Starts an init, tells it what to become, and answers its questions until it is ready. The runtime's half of the
//! table in [`crate::init`].

use crate::cgroup::Entrance;
use crate::child::Child;
use crate::init::{self, Answer, Lost, Plan, Report};
use crate::sealed::Program;
use crate::sys::clone;
use compute::{Error, Kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What the caller contributes at the points where init waits for the runtime.
pub(crate) trait Assist {
    /// A way into the control groups for a process that is about to be started; `None` when it must be put there.
    fn entrance(&mut self) -> Result<Option<Entrance>, Error>;
    /// The process runs and has seen nothing yet: put it into its control groups unless it `entered` them, and limit
    /// these.
    fn place(&mut self, pid: i32, entered: bool) -> Result<(), Error>;
    /// Write the id mappings of the user namespace that this process just made.
    fn map_user(&mut self, pid: i32) -> Result<(), Error>;
    /// This is the process that stays: put it on record. Returns the mount sources.
    fn init(&mut self, child: &Child) -> Result<Vec<OwnedFd>, Error>;
    /// Run the hooks that belong between the namespaces and the root.
    fn hooks(&mut self) -> Result<(), Error>;
    /// Set the resource limits of the process, and the processors it ends up with.
    fn limit(&mut self, child: &Child) -> Result<(), Error>;
    /// Hand the filter's listener to who asked for it.
    fn seccomp_listener(&mut self, child: &Child, listener: i32) -> Result<(), Error>;
}

/// Runs the conversation up to `Ready`. The socket is what remains of it: it ends when the program is executed.
pub(crate) fn launch(
    state_dir: &Path,
    plan: &Plan,
    filter: &[u8],
    fds: &[BorrowedFd<'_>],
    assist: &mut dyn Assist,
) -> Result<(Child, UnixStream), Error> {
    let (socket, theirs) = UnixStream::pair().map_err(|cause| Error::io("make a socket to init", cause))?;
    let (mut process, entered) = spawn(&theirs, state_dir, assist.entrance()?.as_ref())?;
    drop(theirs);
    let placed = assist.place(process.pid(), entered).and_then(|()| {
        init::send(&socket, plan, fds)
            .and_then(|()| init::send_bytes(&socket, filter, &[]))
            .map_err(Error::from)
    });
    let talked = placed.and_then(|()| converse(&socket, &mut process, assist));
    match talked {
        Ok(()) => Ok((process, socket)),
        Err(error) => {
            // Whatever process is left ends when its socket does; it is not left to its own devices.
            process.kill_and_reap();
            Err(error)
        }
    }
}

/// Starts init, in its control groups if it can be.
fn spawn(theirs: &UnixStream, state_dir: &Path, entrance: Option<&Entrance>) -> Result<(Child, bool), Error> {
    let program = Program::of_this_process(state_dir)?;
    let start = |entrance| clone::spawn(program.fd(), init::ARGV0, theirs.as_fd(), entrance);
    let (started, entered) = match start(entrance) {
        // The container has divided its cgroup2, or this kernel has no such clone: it is put where it belongs.
        Err(error)
            if entrance.is_some()
                && matches!(
                    error.raw_os_error(),
                    Some(libc::EBUSY | libc::EOPNOTSUPP | libc::E2BIG | libc::EINVAL | libc::EACCES)
                ) =>
        {
            (start(None), false)
        }
        other => (other, entrance.is_some()),
    };
    let pid = started.map_err(|cause| Error::io("start init", cause))?;
    Ok((Child::of(pid)?, entered))
}

/// Answers until init is ready. `process` becomes the one that stays.
fn converse(socket: &UnixStream, process: &mut Child, assist: &mut dyn Assist) -> Result<(), Error> {
    let first = process.pid();
    let mut settled = false;
    loop {
        let report = match init::receive::<Report>(socket) {
            Ok((report, _)) => report,
            Err(Lost::Closed) => return Err(process.why_it_ended()),
            Err(Lost::Broken(error)) => return Err(error),
        };
        let answered = match report {
            Report::MapUser => {
                assist.map_user(process.pid()).and_then(|()| answer(socket, &Answer::Continue, &[]))
            }
            Report::Init { pid } => (|| {
                if pid != first {
                    // The sibling is our child too. The first has nothing more to do and is gone in a moment.
                    let sibling = Child::of(pid)?;
                    let mut elder = std::mem::replace(process, sibling);
                    elder.reap();
                }
                settled = true;
                let sources = assist.init(process)?;
                let sources: Vec<BorrowedFd<'_>> = sources.iter().map(AsFd::as_fd).collect();
                answer(socket, &Answer::Sources, &sources)
            })(),
            Report::Hooks => assist.hooks().and_then(|()| answer(socket, &Answer::Continue, &[])),
            Report::Limits => assist.limit(process).and_then(|()| answer(socket, &Answer::Continue, &[])),
            Report::SeccompListener(fd) => {
                assist.seccomp_listener(process, fd).and_then(|()| answer(socket, &Answer::Continue, &[]))
            }
            Report::Ready if settled => return Ok(()),
            Report::Ready => Err(Error::new(Kind::Internal, "init was ready before its time")),
            Report::Failed(error) => Err(error),
        };
        answered?;
    }
}

fn answer(socket: &UnixStream, answer: &Answer, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
    init::send(socket, answer, fds).map_err(Error::from)
}
