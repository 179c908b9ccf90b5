//! A process of a container that is this process's child.

use crate::sys::clone::{NOT_ENTERED, NOT_EXECUTED};
use compute::backend::Exit;
use compute::{Error, Kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// Held by a descriptor, so that its id cannot come to mean another process.
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    exit: Option<Exit>,
}

impl Child {
    /// A child that was not waited for yet.
    pub(crate) fn of(pid: i32) -> Result<Self, Error> {
        let pid = Pid::from_raw(pid)
            .ok_or_else(|| Error::new(Kind::Internal, format!("init reported {pid} as its process id")))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|cause| Error::io(format!("open process {}", pid.as_raw_nonzero()), cause))?;
        Ok(Self { pid, pidfd, exit: None })
    }

    /// Its id on the host.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends it a signal, if it is still there.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits for its end.
    pub(crate) fn reap(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = wait(self.pidfd.as_fd()).ok();
        }
        self.exit
    }

    pub(crate) fn kill_and_reap(&mut self) {
        self.kill();
        self.reap();
    }

    /// What can be said when it ended without a word.
    pub(crate) fn why_it_ended(&mut self) -> Error {
        let how = match self.reap() {
            Some(Exit::Signal(9)) => {
                "init was killed before it was ready (is the memory limit below what a process needs to start?)".to_owned()
            }
            Some(Exit::Signal(signal)) => format!("init was ended by signal {signal} before it was ready"),
            Some(Exit::Code(NOT_ENTERED)) => "init could not enter its control groups".to_owned(),
            Some(Exit::Code(NOT_EXECUTED)) => "init could not be executed (is its file system mounted noexec?)".to_owned(),
            Some(Exit::Code(code)) => format!("init exited with code {code} before it was ready"),
            None => "init went away before it was ready".to_owned(),
        };
        Error::new(Kind::Internal, how)
    }
}

impl compute::backend::Process for Child {
    fn pid(&self) -> i32 {
        self.pid()
    }

    fn wait(&mut self) -> Result<Exit, Error> {
        if self.exit.is_none() {
            let exit = wait(self.pidfd.as_fd())
                .map_err(|cause| Error::io(format!("wait for process {}", self.pid()), cause))?;
            self.exit = Some(exit);
        }
        self.exit.ok_or_else(|| Error::new(Kind::Internal, "a process ended in no known way"))
    }
}

fn wait(pidfd: BorrowedFd<'_>) -> rustix::io::Result<Exit> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map(Exit::Signal);
                let code = status.exit_status().map(Exit::Code);
                return signal.or(code).ok_or(rustix::io::Errno::CHILD);
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(cause),
        }
    }
}
