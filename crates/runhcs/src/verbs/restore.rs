//! `restore`: makes a container from what `checkpoint` wrote.

use super::checkpoint::Image;
use crate::context::{Context, container};
use anyhow::bail;
use clap::Args;
use std::path::PathBuf;

/// Restore a container from a checkpoint.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    image: Image,
    /// The bundle's folder; the current one if not given.
    #[arg(long, short, value_name = "DIR", value_parser = crate::cli::path())]
    bundle: Option<PathBuf>,
    /// Send the master of the process's terminal to this unix socket.
    #[arg(long, value_name = "SOCKET", value_parser = crate::cli::path())]
    console_socket: Option<PathBuf>,
    /// Do not wait for the container's end.
    #[arg(long, short)]
    detach: bool,
    /// Write the process id to this file.
    #[arg(long, value_name = "FILE", value_parser = crate::cli::path())]
    pid_file: Option<PathBuf>,
    /// Do not adopt the orphans of the container's processes.
    #[arg(long)]
    no_subreaper: bool,
    /// Enter the root file system by moving its mount instead of pivot_root.
    #[arg(long)]
    no_pivot: bool,
    /// A security label to restore the processes with.
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// A security context to restore the mounts with.
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// A name for the container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Restore {
    pub(crate) fn run(self, _: &Context) -> anyhow::Result<u8> {
        let id = container(&self.id)?;
        self.image.check()?;
        bail!("container {id} cannot be restored: this build has no support for CRIU")
    }
}
