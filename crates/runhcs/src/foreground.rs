//! A process in the foreground: until it ends, its terminal is served, signals go to it, and its end is our end.
//!
//! One loop waits for everything at once:
//!
//! | what is ready       | what is done                                                        |
//! |---------------------|---------------------------------------------------------------------|
//! | the process's pidfd | its exit is kept; the loop ends when all it printed has been shown  |
//! | SIGCHLD             | orphans that we adopted are reaped                                  |
//! | SIGWINCH            | the terminal gets the new size                                      |
//! | SIGURG, SIGPIPE     | nothing                                                             |
//! | any other signal    | goes to the process                                                 |
//! | the terminal        | bytes are moved                                                     |
//! | the notify socket   | readiness is passed on to the service manager                       |
//!
//! The exit cannot be missed: the pidfd stays readable, whenever the process ended.

use crate::backends::signals::{self, Signals};
use crate::notify;
use crate::terminal::{Side, Terminal};
use anyhow::Context as _;
use compute::backend::{Exit, Process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};

/// Signals are ours from here on: taken before the process exists, so that none is lost.
pub(crate) struct Foreground {
    signals: Signals,
    /// Serves the process's terminal, if it has one.
    pub(crate) terminal: Option<Terminal>,
    /// Waits for the process to be ready, if somebody wants to know.
    pub(crate) notify: Option<notify::Proxy>,
}

#[derive(Clone, Copy)]
enum Source {
    Exit,
    Signal,
    Notify,
    Terminal(Side),
}

impl Foreground {
    /// Takes the signals, and with `subreaper` the orphans of all descendants.
    pub(crate) fn new(subreaper: bool) -> anyhow::Result<Self> {
        if subreaper && let Err(error) = set_child_subreaper(Some(getpid())) {
            log::warn!("become a subreaper: {error}");
        }
        let signals = Signals::block().context("block signals")?;
        Ok(Self { signals, terminal: None, notify: None })
    }

    /// Serves the process until it has ended and all it printed has been shown.
    pub(crate) fn supervise(mut self, process: &mut impl Process, pidfd: OwnedFd) -> anyhow::Result<Exit> {
        let mut exit = None;
        loop {
            let patience = match (&exit, self.has_output()) {
                (Some(_), false) => Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
                _ => None,
            };
            let ready = self.wait(exit.is_none().then_some(pidfd.as_fd()), patience)?;
            if let Some(exit) = exit
                && ready.is_empty()
                && !self.has_output()
            {
                return Ok(exit);
            }
            for (source, flags) in ready {
                match source {
                    Source::Exit => exit = Some(process.wait()?),
                    Source::Signal => {
                        let ending = self.take_signals(process.pid(), pidfd.as_fd(), exit.is_some())?;
                        // Somebody wants us gone while the reader of what is left does not read.
                        if let Some(exit) = exit.filter(|_| ending) {
                            return Ok(exit);
                        }
                    }
                    Source::Notify => self.notify = self.notify.take().and_then(notify::Proxy::pass_on_ours),
                    Source::Terminal(side) => {
                        if let Some(terminal) = &mut self.terminal {
                            terminal.progress(side, flags);
                        }
                    }
                }
            }
        }
    }

    fn has_output(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::has_output)
    }

    /// What is ready. After the exit only what can still bring or take output is waited for.
    fn wait(
        &self,
        pidfd: Option<BorrowedFd<'_>>,
        patience: Option<Timespec>,
    ) -> anyhow::Result<Vec<(Source, PollFlags)>> {
        let running = pidfd.is_some();
        let mut sources = Vec::with_capacity(6);
        let mut fds = Vec::with_capacity(6);
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        if running || patience.is_none() {
            add(Source::Signal, self.signals.as_fd(), PollFlags::IN);
        }
        if let Some(pidfd) = pidfd {
            add(Source::Exit, pidfd, PollFlags::IN);
        }
        if let Some(notify) = self.notify.as_ref().filter(|_| running) {
            add(Source::Notify, notify.as_fd(), PollFlags::IN);
        }
        for (side, fd, flags) in self.terminal.iter().flat_map(Terminal::interests) {
            if running || matches!(side, Side::Master | Side::Stdout) {
                add(Source::Terminal(side), fd, flags);
            }
        }
        loop {
            match poll(&mut fds, patience.as_ref()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for the container"),
            }
        }
        let ready = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    /// Acts on each signal that has arrived. Once the process has ended there is nobody to pass them to; then says
    /// whether one of them asks us to end.
    fn take_signals(&self, pid: i32, pidfd: BorrowedFd<'_>, ended: bool) -> anyhow::Result<bool> {
        let mut ending = false;
        while let Some(signal) = self.signals.next().context("read signals")? {
            match Signal::from_named_raw(signal) {
                Some(Signal::CHILD) => reap_orphans(pid),
                Some(Signal::WINCH) => self.terminal.iter().for_each(Terminal::resize),
                Some(Signal::URG) => {}
                Some(Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT) if ended => ending = true,
                _ if ended => {}
                _ => {
                    log::debug!("forwarding signal {signal} to {pid}");
                    if let Err(error) = signals::send(pidfd, signal) {
                        log::error!("forward signal {signal} to {pid}: {error}");
                    }
                }
            }
        }
        Ok(ending)
    }
}

/// Waits for all children that have ended but the one whose exit is ours.
fn reap_orphans(main: i32) {
    // The kernel tells of the eldest first; behind the main process nobody is waited for, we are ending anyway.
    while let Ok(Some(ended)) = signals::ended_child()
        && ended != main
    {
        let Some(pid) = Pid::from_raw(ended) else { return };
        if waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
