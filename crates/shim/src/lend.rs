//! Standard streams for a process that is about to be made.
//!
//! The engine lets a new process inherit ours, as the command line does. So they are the process's for that moment; the
//! rest of the time they are the null device, and nothing of ours reads or writes them.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::io;

/// Until it is dropped.
pub(crate) struct Lent(());

/// Makes these the standard streams of this process.
pub(crate) fn lend(streams: [BorrowedFd<'_>; 3]) -> io::Result<Lent> {
    let lent = Lent(());
    let [stdin, stdout, stderr] = streams;
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    Ok(lent)
}

/// Makes the null device all three of them.
pub(crate) fn take_back() -> io::Result<()> {
    let null = null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The null device.
pub(crate) fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(error) = take_back() {
            log::error!("take the standard streams back: {error}");
        }
    }
}
