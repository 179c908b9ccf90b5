//! Signals to a container, and the end of all its processes.

use crate::procfs;
use crate::saved::{InitProcess, Saved, Stage};
use crate::sys::signals;
use compute::backend::{Existing, Scope};
use compute::{Error, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone: one in an uninterruptible wait for a dead disk never is.
const END: Duration = Duration::from_secs(10);

/// Sends a signal by number.
pub(crate) fn signal(container: &Existing<'_, Saved>, number: i32, scope: Scope) -> Result<(), Error> {
    let cgroup = container.saved.cgroup();
    let kill = number == libc::SIGKILL;
    // Without a PID namespace of its own, the end of the first process is not the end of the others.
    if scope == Scope::All || (kill && !container.saved.own_pid_namespace) {
        return Ok(cgroup.kill_all(number)?);
    }
    let not_running = || Error::new(Kind::WrongState, "container not running");
    let init = container.saved.init.ok_or_else(not_running)?;
    let pidfd = open(init)?.ok_or_else(not_running)?;
    send(pidfd.as_fd(), number)?;
    if kill && cgroup.frozen()? {
        // On cgroup v1 a frozen process does not even die.
        cgroup.thaw()?;
    }
    Ok(())
}

/// Ends every process and waits for that. Bounded, and idempotent.
pub(crate) fn kill_all(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let deadline = Instant::now() + END;
    let saved = container.saved;
    let cgroup = saved.cgroup();
    let init = match saved.init {
        Some(init) => open(init)?,
        None => None,
    };
    if let Some(pidfd) = &init {
        send(pidfd.as_fd(), libc::SIGKILL)?;
    }
    // With a PID namespace that ends with init the kernel ends the rest; otherwise, or when init is not on record, what
    // is in the control groups is the container's, once they were made ours.
    let in_cgroup = saved.stage != Stage::Planned && !(saved.own_pid_namespace && init.is_some());
    if in_cgroup {
        cgroup.kill_all(libc::SIGKILL)?;
    } else if init.is_some() && cgroup.frozen()? {
        cgroup.thaw()?;
    }
    if let Some(pidfd) = &init
        && !ended(pidfd.as_fd(), deadline)?
    {
        return Err(Error::new(
            Kind::DeadlineExceeded,
            format!("container init still running {} s after it was killed", END.as_secs()),
        ));
    }
    Ok(())
}

/// Opens the very process that is on record; `None` when it is gone.
pub(crate) fn open(init: InitProcess) -> Result<Option<OwnedFd>, Error> {
    let pid =
        Pid::from_raw(init.pid).ok_or_else(|| Error::new(Kind::Internal, "the record has no process id"))?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Checked after it is open: the descriptor cannot come to mean another process.
        Ok(pidfd) => Ok(procfs::is_alive(init)?.then_some(pidfd)),
        // EINVAL: its id is still that of a session or a group, in which others of the container live on.
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => Ok(None),
        Err(cause) => Err(Error::io(format!("open process {}", init.pid), cause)),
    }
}

fn send(pidfd: BorrowedFd<'_>, number: i32) -> Result<(), Error> {
    match signals::send(pidfd, number) {
        Ok(()) => Ok(()),
        // It ended in between: for a kill that is as good, for others the caller learns it from the state.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        Err(cause) => Err(Error::io(format!("send signal {number} to the container's init"), cause)),
    }
}

/// Waits for the end of a process that may be no child of ours.
fn ended(pidfd: BorrowedFd<'_>, deadline: Instant) -> Result<bool, Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Error::io("wait for the container's init", cause)),
        }
    }
}
