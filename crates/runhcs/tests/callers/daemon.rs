//! A daemon of a caller.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::ended;

/// A daemon with its own log; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child })
    }

    /// Asks it to go and waits for that.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).context("end the daemon")?;
        }
        ensure!(ended(&mut self.child)?.is_some(), "the daemon did not end on SIGTERM");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The tests are over: there is nobody to tell.
        let _ = self.end();
    }
}
