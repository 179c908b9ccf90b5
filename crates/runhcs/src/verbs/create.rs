//! `create`: makes a container whose process waits for `start`.

use super::new_container::NewContainer;
use crate::context::Context;
use crate::wiring::Stay;
use clap::Args;

/// Create a container.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    new: NewContainer,
}

impl Create {
    pub(crate) fn run(mut self, context: &Context) -> anyhow::Result<()> {
        self.new.wiring.settle()?;
        let created = self.new.create(context, Stay::Detached)?;
        self.new.wiring.record(&created.process).map_err(|error| created.undo(error))
    }
}
