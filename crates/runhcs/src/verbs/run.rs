//! `run`: creates a container, starts it, and unless detached stays until it ends and removes it.

use super::new_container::{Created, NewContainer};
use crate::context::Context;
use crate::foreground::Foreground;
use crate::notify::Notify;
use crate::terminal::Awaited;
use crate::wiring::Stay;
use clap::Args;
use rustix::fd::OwnedFd;

/// Create and run a container.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    new: NewContainer,
    /// Do not wait for the container's end.
    #[arg(long, short)]
    detach: bool,
    /// Do not delete the container when it has ended.
    #[arg(long)]
    keep: bool,
    /// Do not adopt the orphans of the container's processes.
    #[arg(long)]
    no_subreaper: bool,
}

impl Run {
    pub(crate) fn run(mut self, context: &Context) -> anyhow::Result<u8> {
        self.new.wiring.settle()?;
        if self.detach {
            let mut created = self.new.create(context, Stay::Detached)?;
            return self.detached(&mut created).map(|()| 0).map_err(|error| created.undo(error));
        }
        let foreground = Foreground::new(!self.no_subreaper)?;
        let mut created = self.new.create(context, Stay::Attached)?;
        let exit = match self.attached(&mut created, foreground) {
            Ok(exit) => exit,
            Err(error) => return Err(created.undo(error)),
        };
        if !self.keep {
            created.remove();
        }
        Ok(exit)
    }

    fn detached(&self, created: &mut Created) -> anyhow::Result<()> {
        let proxy = created.notify.take().map(Notify::listen).transpose()?;
        created.engine.start(&created.id)?;
        self.new.wiring.record(&created.process)?;
        if let Some(proxy) = proxy {
            proxy.pass_on(created.process.pid(), created.process.pidfd())?;
        }
        Ok(())
    }

    fn attached(&self, created: &mut Created, mut foreground: Foreground) -> anyhow::Result<u8> {
        foreground.notify = created.notify.take().map(Notify::listen).transpose()?;
        foreground.terminal = created.terminal.take().map(Awaited::attach).transpose()?;
        created.engine.start(&created.id)?;
        self.new.wiring.record(&created.process)?;
        let pidfd: OwnedFd = created.process.pidfd().try_clone_to_owned()?;
        let exit = foreground.supervise(&mut created.process, pidfd)?;
        Ok(exit.status() as u8)
    }
}
