//! `features`: what this runtime can do, as the OCI runtime specification has it.

use crate::backends::features;
use crate::context::Context;
use crate::{json, version};
use clap::Args;
use std::io::{self, Write};

/// Print what this runtime can do as JSON.
#[derive(Debug, Args)]
pub(crate) struct Features {}

impl Features {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let about = [
            ("org.opencontainers.runc.checkpoint.enabled", "true".to_owned()),
            ("org.opencontainers.runc.commit", version::commit().to_owned()),
            ("org.opencontainers.runc.version", version::of(context.program)),
        ];
        let text = json::indented(&features::of(version::SPEC, about), "    ")? + "\n";
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}
