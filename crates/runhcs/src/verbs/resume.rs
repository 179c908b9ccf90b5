//! `resume`: lets the processes of a paused container go on.

use crate::backends;
use crate::context::{Context, container};
use clap::Args;

/// Let the processes of a paused container go on.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Resume {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        Ok(backends::engine(context)?.resume(&id)?)
    }
}
