//! `delete`: removes what was made for a container.

use crate::backends;
use crate::context::{Context, container};
use clap::Args;

/// Delete a container that does not run.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Whatever its state: what runs is killed, and what does not exist is deleted already.
    #[arg(long, short)]
    force: bool,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Delete {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        Ok(backends::engine(context)?.delete(&id, self.force)?)
    }
}
