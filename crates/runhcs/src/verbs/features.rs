//! `features`: what this runtime can do, as the OCI runtime specification has it.

use crate::context::Context;
use crate::{features, json};
use clap::Args;
use std::io::{self, Write};

/// Print what this runtime can do as JSON.
#[derive(Debug, Args)]
pub(crate) struct Features {}

impl Features {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let text = json::indented(&features::of(context.program), "    ")? + "\n";
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}
