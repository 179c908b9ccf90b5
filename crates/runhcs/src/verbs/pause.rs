//! `pause`: freezes all processes of a container.

use crate::backends;
use crate::context::{Context, container};
use clap::Args;

/// Freeze all processes of a container.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Pause {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        Ok(backends::engine(context)?.pause(&id)?)
    }
}
