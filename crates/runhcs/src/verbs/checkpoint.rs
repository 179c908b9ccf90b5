//! `checkpoint`: writes the processes of a container to disk, through CRIU.

use crate::backends;
use crate::context::{Context, container};
use anyhow::bail;
use clap::Args;
use std::path::PathBuf;

/// What `checkpoint` and `restore` have in common.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// Folder of the image files; 'checkpoint' below the current one if not given.
    #[arg(long, value_name = "DIR", value_parser = crate::cli::path())]
    pub(crate) image_path: Option<PathBuf>,
    /// Folder of CRIU's working files and logs.
    #[arg(long, value_name = "DIR", value_parser = crate::cli::path())]
    pub(crate) work_path: Option<PathBuf>,
    /// With open TCP connections.
    #[arg(long)]
    pub(crate) tcp_established: bool,
    /// With unix sockets whose other end is outside.
    #[arg(long)]
    pub(crate) ext_unix_sk: bool,
    /// With a session leader outside, as of a shell's job.
    #[arg(long)]
    pub(crate) shell_job: bool,
    /// With file locks.
    #[arg(long)]
    pub(crate) file_locks: bool,
    /// How cgroups are treated: 'soft' (default), 'full', 'strict' or 'ignore'.
    #[arg(long, value_name = "MODE")]
    pub(crate) manage_cgroups_mode: Option<String>,
    /// Make a namespace of this kind but do not restore what is in it; only 'network' (may be repeated).
    #[arg(long, value_name = "KIND")]
    pub(crate) empty_ns: Vec<String>,
    /// Remove from parent images what newer ones have.
    #[arg(long)]
    pub(crate) auto_dedup: bool,
    /// Leave memory behind to be fetched when it is touched (userfaultfd).
    #[arg(long)]
    pub(crate) lazy_pages: bool,
}

/// Write a running container to disk.
#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    image: Image,
    /// Folder of an earlier image, relative to this one's, that has what did not change since.
    #[arg(long, value_name = "DIR", value_parser = crate::cli::path())]
    parent_path: Option<PathBuf>,
    /// Let the container run on.
    #[arg(long)]
    leave_running: bool,
    /// Without TCP connections that are being made.
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// With files that were deleted while open.
    #[arg(long)]
    link_remap: bool,
    /// Write a zero byte to this descriptor when lazy pages can be fetched.
    #[arg(long, value_name = "FD", allow_negative_numbers = true, default_value_t = -1)]
    status_fd: i32,
    /// Send memory to this page server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// Write only memory, and let the container run on.
    #[arg(long)]
    pre_dump: bool,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

impl Image {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if let Some(mode) = self.manage_cgroups_mode.as_deref()
            && !matches!(mode, "soft" | "full" | "strict" | "ignore")
        {
            bail!(
                "Invalid manage-cgroups-mode value: {mode:?} ('soft', 'full', 'strict' or 'ignore' are possible)"
            );
        }
        if let Some(kind) = self.empty_ns.iter().find(|kind| *kind != "network") {
            bail!("namespace {kind} is not supported");
        }
        Ok(())
    }
}

impl Checkpoint {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        self.image.check()?;
        if self.parent_path.as_ref().is_some_and(|path| path.is_absolute()) {
            bail!("--parent-path must be relative");
        }
        if let Some(server) = &self.page_server {
            let port = server.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                bail!("Use --page-server ADDRESS:PORT to specify page server");
            }
        }
        let state = backends::engine(context)?.state(&id)?;
        bail!("container {} cannot be checkpointed: this build has no support for CRIU", state.id)
    }
}
