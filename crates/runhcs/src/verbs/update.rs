//! `update`: changes the limits of a container.

use crate::backends;
use crate::context::{Context, container};
use crate::update_resources::{self, Limits};
use anyhow::bail;
use clap::Args;
use compute::bundle;
use std::io;
use std::path::{Path, PathBuf};

/// Change the limits of a container.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Read the limits from this file, or from standard input for '-', in the form that linux.resources of config.json
    /// has; limits that are not in it stay. Other options are then ignored.
    #[arg(long, short, value_name = "FILE", value_parser = crate::cli::path())]
    resources: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
    /// The L3 cache schema of Intel RDT.
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// The memory bandwidth schema of Intel RDT.
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Update {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let mut resources = match &self.resources {
            Some(path) if path == Path::new("-") => {
                bundle::read_json(Path::new("standard input"), io::stdin())?
            }
            Some(path) => bundle::load_json(path)?,
            None => self.limits.to_resources()?,
        };
        update_resources::unlimited_memory_needs_unlimited_swap(&mut resources);
        self.refuse_rdt()?;
        Ok(backends::engine(context)?.update(&id, &resources)?)
    }

    fn refuse_rdt(&self) -> anyhow::Result<()> {
        let mounted = Path::new("/sys/fs/resctrl/info");
        match (&self.l3_cache_schema, &self.mem_bw_schema) {
            (None, None) => Ok(()),
            (Some(_), _) if !mounted.join("L3").exists() => {
                bail!("Intel RDT/CAT: l3 cache schema is not enabled")
            }
            (_, Some(_)) if !mounted.join("MB").exists() => {
                bail!("Intel RDT/MBA: memory bandwidth schema is not enabled")
            }
            _ => bail!(
                "the Intel RDT schema of an existing container cannot be changed; it is set in linux.intelRdt"
            ),
        }
    }
}
