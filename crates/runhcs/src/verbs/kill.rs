//! `kill`: sends a signal.

use crate::backends;
use crate::context::{Context, container};
use crate::signals;
use clap::Args;
use compute::Kind;
use compute::backend::Scope;

/// Send a signal to a container's init.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Send it to all processes of the container; a container that does not run is then no error.
    #[arg(long, short)]
    all: bool,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// A name with or without SIG, a number, or a console event of Windows such as CtrlC.
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM", allow_hyphen_values = true)]
    signal: String,
}

impl Kill {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let signal = signals::number(&self.signal)?;
        let scope = if self.all { Scope::All } else { Scope::Init };
        match backends::engine(context)?.kill(&id, signal, scope) {
            Err(error) if self.all && error.kind() == Kind::WrongState => Ok(()),
            other => Ok(other?),
        }
    }
}
