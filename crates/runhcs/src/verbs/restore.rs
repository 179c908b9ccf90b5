//! `restore`: makes a container from what `checkpoint` wrote.

use super::checkpoint::{Image, warn_if_not_root};
use super::new_container::Created;
use crate::backends;
use crate::context::{Context, container};
use crate::foreground::Foreground;
use crate::terminal::Awaited;
use crate::wiring::{Stay, Wiring};
use anyhow::Context as _;
use clap::Args;
use compute::bundle;
use rustix::fd::OwnedFd;
use std::path::PathBuf;

/// Restore a container from a checkpoint.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    image: Image,
    /// The bundle's folder; the current one if not given.
    #[arg(long, short, value_name = "DIR", value_parser = crate::cli::path())]
    bundle: Option<PathBuf>,
    /// Send the master of the process's terminal to this unix socket.
    #[arg(long, value_name = "SOCKET", value_parser = crate::cli::path())]
    console_socket: Option<PathBuf>,
    /// Do not wait for the container's end.
    #[arg(long, short)]
    detach: bool,
    /// Write the process id to this file.
    #[arg(long, value_name = "FILE", value_parser = crate::cli::path())]
    pid_file: Option<PathBuf>,
    /// Do not adopt the orphans of the container's processes.
    #[arg(long)]
    no_subreaper: bool,
    /// Enter the root file system by moving its mount instead of pivot_root.
    #[arg(long)]
    no_pivot: bool,
    /// A security label to restore the processes with.
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// A security context to restore the mounts with.
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// A name for the container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Restore {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<u8> {
        warn_if_not_root("restore");
        let request = backends::Restore {
            image: self.image.settle()?,
            lsm_profile: self.lsm_profile.clone(),
            lsm_mount_context: self.lsm_mount_context.clone(),
        };
        let mut wiring = Wiring::restored(self.console_socket.clone(), self.pid_file.clone());
        wiring.settle()?;
        if self.detach {
            let created = self.restore(context, &request, &wiring, Stay::Detached)?;
            return wiring.record(&created.process).map(|()| 0).map_err(|error| created.undo(error));
        }
        let foreground = Foreground::new(!self.no_subreaper)?;
        let mut created = self.restore(context, &request, &wiring, Stay::Attached)?;
        let exit = match attached(&mut created, &wiring, foreground) {
            Ok(exit) => exit,
            Err(error) => return Err(created.undo(error)),
        };
        created.remove();
        Ok(exit)
    }

    fn restore(
        &self,
        context: &Context,
        request: &backends::Restore,
        wiring: &Wiring,
        stay: Stay,
    ) -> anyhow::Result<Created> {
        let id = container(&self.id)?;
        let bundle = bundle::enter(self.bundle.as_deref())?;
        let mut spec = bundle::load(&bundle)?;
        let process = spec.process_mut().as_mut().context("process property must not be empty")?;
        let (mut options, terminal) = wiring.open(process, stay)?;
        options.no_pivot = self.no_pivot;
        let engine = backends::engine(context)?;
        let process = engine.create_by(
            &id,
            &bundle,
            &spec,
            context.owner(),
            options,
            |new, options, saved, commit| engine.backend().restore(new, options, request, saved, commit),
        )?;
        Ok(Created { id, engine, process, terminal, notify: None })
    }
}

fn attached(created: &mut Created, wiring: &Wiring, mut foreground: Foreground) -> anyhow::Result<u8> {
    foreground.terminal = created.terminal.take().map(Awaited::attach).transpose()?;
    wiring.record(&created.process)?;
    let pidfd: OwnedFd = created.process.pidfd().try_clone_to_owned()?;
    let exit = foreground.supervise(&mut created.process, pidfd)?;
    Ok(exit.status() as u8)
}
