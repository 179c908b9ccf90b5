//! What `create` and `run` have in common: from a bundle to a container that waits to be started.

use crate::backends::{self, Engine, Isolating};
use crate::context::{Context, container};
use crate::notify::Notify;
use crate::terminal::Awaited;
use crate::wiring::{Stay, Wiring};
use anyhow::{Context as _, bail};
use clap::Args;
use compute::bundle;
use compute::{Backend, ContainerId};
use std::path::PathBuf;

/// Options of both.
#[derive(Debug, Args)]
pub(crate) struct NewContainer {
    /// The bundle's folder; the current one if not given.
    #[arg(long, short, value_name = "DIR", value_parser = crate::cli::path())]
    bundle: Option<PathBuf>,
    /// Enter the root file system by moving its mount instead of pivot_root, for hosts that run from a ramdisk.
    #[arg(long)]
    no_pivot: bool,
    /// Stay in the caller's session keyring.
    #[arg(long)]
    no_new_keyring: bool,
    #[command(flatten)]
    pub(crate) wiring: Wiring,
    #[command(flatten)]
    machine: Machine,
    /// A name for the container, unique on this host.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

/// Options of a container in a utility VM.
#[derive(Debug, Args)]
struct Machine {
    /// Log file of the container's shim.
    #[arg(long, value_name = "FILE", hide = true)]
    shim_log: Option<String>,
    /// Log file of the utility VM's shim.
    #[arg(long, value_name = "FILE", hide = true)]
    vm_log: Option<String>,
    /// Serial console of the utility VM.
    #[arg(long, value_name = "SOCKET", hide = true)]
    vm_console: Option<String>,
    /// The container whose utility VM this one shares.
    #[arg(long, value_name = "CONTAINER", hide = true)]
    host: Option<String>,
}

impl Machine {
    /// A container that is isolated by process has neither a shim nor a VM.
    fn refuse(&self) -> anyhow::Result<()> {
        let given = [
            ("shim-log", &self.shim_log),
            ("vm-log", &self.vm_log),
            ("vm-console", &self.vm_console),
            ("host", &self.host),
        ];
        if let Some((name, _)) = given.iter().find(|(_, value)| value.is_some()) {
            bail!("--{name} has no meaning for a container that is isolated by process");
        }
        Ok(())
    }
}

/// A created container, and what its caller still needs.
pub(crate) struct Created {
    pub(crate) id: ContainerId,
    pub(crate) engine: Engine,
    pub(crate) process: <Isolating as Backend>::Process,
    pub(crate) terminal: Option<Awaited>,
    pub(crate) notify: Option<Notify>,
}

impl NewContainer {
    /// Makes the container.
    pub(crate) fn create(&self, context: &Context, stay: Stay) -> anyhow::Result<Created> {
        self.machine.refuse()?;
        let id = container(&self.id)?;
        let bundle = bundle::enter(self.bundle.as_deref())?;
        let mut spec = bundle::load(&bundle)?;
        let notify = Notify::from_environment(&context.root.join(&id));
        if let Some(notify) = &notify {
            notify.announce(&mut spec).context("add the mount of the notify socket")?;
        }
        let process = spec.process_mut().as_mut().context("process property must not be empty")?;
        let (mut options, terminal) = self.wiring.open(process, stay)?;
        options.no_pivot = self.no_pivot;
        options.no_new_keyring = self.no_new_keyring;
        options.notify = notify.is_some();
        let engine = backends::engine(context)?;
        let process = engine.create(&id, &bundle, &spec, context.owner(), options)?;
        Ok(Created { id, engine, process, terminal, notify })
    }
}

impl Created {
    /// Removes the container after its end. It did what it was asked to; its exit code is the answer, whatever becomes
    /// of this.
    pub(crate) fn remove(&self) {
        if let Err(error) = self.engine.delete(&self.id, true) {
            log::error!("{error}");
        }
    }

    /// Removes the container because what was to follow failed, and returns why it did.
    pub(crate) fn undo(&self, why: anyhow::Error) -> anyhow::Error {
        match self.engine.delete(&self.id, true) {
            Ok(()) => why,
            Err(error) => why.context(format!("undoing the creation failed ({error})")),
        }
    }
}
