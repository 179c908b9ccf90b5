//! `start`: lets the process of a created container run.

use crate::backends;
use crate::context::{Context, container};
use crate::notify;
use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Start the program of a created container.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Start {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let engine = backends::engine(context)?;
        let Some(notify) = notify::for_container(&context.root, &id) else {
            return Ok(engine.start(&id)?);
        };
        // A service manager waits for us: we are done when the container is ready.
        let proxy = notify.listen()?;
        engine.start(&id)?;
        let pid = engine.state(&id)?.pid;
        // A container that has ended already has no process to wait for.
        let Some(process) = Pid::from_raw(pid) else { return Ok(()) };
        let process =
            pidfd_open(process, PidfdFlags::empty()).with_context(|| format!("open process {pid}"))?;
        Ok(proxy.pass_on(pid, rustix::fd::AsFd::as_fd(&process))?)
    }
}
