//! The two pipes on which a created container waits for its start.
//!
//! They lie in the container's folder for as long as the container is created. Init holds both, for reading and writing
//! so that neither ever ends on it, and waits for a word on `start`. Whoever starts the container writes that word, and
//! reads from `answer` either an error, or the end of the stream because the program was executed and init's
//! descriptors are gone. Reading and writing are all that this asks of init, which may already be under a filter that
//! allows little else.

use compute::{Error, Kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, flock, fstat, mknodat, open};
use std::path::Path;

const START: &str = "start";
const ANSWER: &str = "answer";

/// Both ends that a process needs: init the ones it waits on, a starter the opposite ones.
pub(crate) struct Pipes {
    /// From starter to init.
    pub start: OwnedFd,
    /// From init to starter.
    pub answer: OwnedFd,
}

/// Makes the pipes in a container's folder, for init.
pub(crate) fn make(state_dir: &Path) -> Result<Pipes, Error> {
    let make = |name: &str| {
        let path = state_dir.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .and_then(|()| open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()))
            .map_err(|cause| Error::io(format!("make pipe {}", path.display()), cause))
    };
    Ok(Pipes { start: make(START)?, answer: make(ANSWER)? })
}

/// Whether init still waits.
pub(crate) fn is_waited_on(state_dir: &Path) -> bool {
    // Without a reader the pipe cannot be opened for writing: its starter was cut off before it took the pipes away.
    open_start(state_dir).is_ok_and(|start| start.is_some())
}

/// Becomes the one who starts the container; waits for another who is at it. `None` when it is started already.
pub(crate) fn connect(state_dir: &Path) -> Result<Option<Pipes>, Error> {
    let Some(start) = open_start(state_dir)? else { return Ok(None) };
    let failed = |cause| Error::io(format!("start the container of {}", state_dir.display()), cause);
    flock(&start, FlockOperation::LockExclusive).map_err(failed)?;
    if fstat(&start).map_err(failed)?.st_nlink == 0 {
        return Ok(None);
    }
    // Init has it open for writing, so this does not wait for a writer; and it does not, if init is gone.
    let answer =
        open(state_dir.join(ANSWER), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
    for fd in [start.as_fd(), answer.as_fd()] {
        block(fd).map_err(failed)?;
    }
    write_word(start.as_fd())?;
    Ok(Some(Pipes { start, answer }))
}

fn open_start(state_dir: &Path) -> Result<Option<OwnedFd>, Error> {
    let path = state_dir.join(START);
    match open(&path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(start) => Ok(Some(start)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NXIO) => Ok(None),
        Err(cause) => Err(Error::io(format!("open {}", path.display()), cause)),
    }
}

fn block(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags.difference(OFlags::NONBLOCK))
}

fn write_word(start: BorrowedFd<'_>) -> Result<(), Error> {
    loop {
        match rustix::io::write(start, &[0]) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE) => {
                return Err(Error::new(Kind::WrongState, "cannot start a container that has stopped"));
            }
            Err(cause) => return Err(Error::io("tell init to start", cause)),
        }
    }
}

/// Waits, in init, for the word.
pub(crate) fn wait(start: BorrowedFd<'_>) -> Result<(), Error> {
    loop {
        match rustix::io::read(start, &mut [0u8; 1]) {
            Ok(1) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Error::io("wait for the start", cause)),
        }
    }
}

/// Takes the pipes away: the container is started.
pub(crate) fn remove(state_dir: &Path) -> Result<(), Error> {
    for name in [ANSWER, START] {
        let path = state_dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("remove {}", path.display()), error));
            }
            _ => {}
        }
    }
    Ok(())
}
