//! `state`: what a container is now, as the OCI runtime specification has it.

use crate::backends;
use crate::context::{Context, container};
use crate::json;
use clap::Args;
use std::io::{self, Write};

/// Print the state of a container as JSON.
#[derive(Debug, Args)]
pub(crate) struct State {
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl State {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let state = backends::engine(context)?.state(&id)?;
        // runc ends without a line end, and some callers compare.
        Ok(io::stdout().write_all(json::indented(&state, "  ")?.as_bytes())?)
    }
}
