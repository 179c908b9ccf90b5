//! `checkpoint`: writes the processes of a container to disk, through CRIU.

use crate::backends::{self, CgroupMode};
use crate::context::{Context, container};
use anyhow::{Context as _, bail};
use clap::Args;
use compute::lifecycle::Verb;
use rustix::process::geteuid;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

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
    /// What the backend is told. Paths are made absolute: a restore leaves the folder we were started in.
    pub(super) fn settle(&self) -> anyhow::Result<backends::Image> {
        let cgroups = match self.manage_cgroups_mode.as_deref() {
            None => CgroupMode::Default,
            Some("soft") => CgroupMode::Soft,
            Some("full") => CgroupMode::Full,
            Some("strict") => CgroupMode::Strict,
            Some("ignore") => CgroupMode::Ignore,
            Some(mode) => bail!(
                "Invalid manage-cgroups-mode value: {mode:?} ('soft', 'full', 'strict' or 'ignore' are possible)"
            ),
        };
        if let Some(kind) = self.empty_ns.iter().find(|kind| *kind != "network") {
            bail!("namespace {kind} is not supported");
        }
        let image = self.image_path.as_deref().unwrap_or(Path::new("checkpoint"));
        Ok(backends::Image {
            path: absolute(image)?,
            work: self.work_path.as_deref().map(absolute).transpose()?,
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            cgroups,
            empty_network: !self.empty_ns.is_empty(),
            auto_dedup: self.auto_dedup,
            lazy_pages: self.lazy_pages,
        })
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("resolve {}", path.display()))
}

impl Checkpoint {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        warn_if_not_root("checkpoint");
        let leaves = self.leave_running || self.pre_dump;
        let request = self.request()?;
        let engine = backends::engine(context)?;
        engine
            .admitted(&id, Verb::Checkpoint, |existing, _| engine.backend().checkpoint(existing, request))?;
        if !leaves {
            // What is left of it would be in the way of its restore.
            engine.delete(&id, false)?;
        }
        Ok(())
    }

    fn request(self) -> anyhow::Result<backends::Checkpoint> {
        let image = self.image.settle()?;
        if self.parent_path.as_ref().is_some_and(|parent| parent.is_absolute()) {
            bail!("--parent-path must be relative");
        }
        Ok(backends::Checkpoint {
            image,
            parent: self.parent_path,
            pre_dump: self.pre_dump,
            leave_running: self.leave_running,
            skip_in_flight: self.tcp_skip_in_flight,
            link_remap: self.link_remap,
            status: status(self.status_fd)?,
            page_server: self.page_server.as_deref().map(address).transpose()?,
        })
    }
}

/// Rootless containers may be beyond what CRIU can do without root.
pub(super) fn warn_if_not_root(verb: &str) {
    if !geteuid().is_root() {
        log::warn!("{verb} is untested with rootless containers");
    }
}

/// A descriptor that we were started with, as a file of our own.
fn status(fd: i32) -> anyhow::Result<Option<File>> {
    if fd == -1 {
        return Ok(None);
    }
    let opened = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
    Ok(Some(opened.with_context(|| format!("invalid --status-fd argument {fd}"))?))
}

/// `ADDRESS:PORT`, where an address of IPv6 is in brackets.
fn address(server: &str) -> anyhow::Result<(String, u16)> {
    let parts = server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() && port != 0 => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            Ok((bare.unwrap_or(host).to_owned(), port))
        }
        _ => bail!("Use --page-server ADDRESS:PORT to specify page server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_server_has_an_address_and_a_port() {
        assert_eq!(address("10.0.0.1:27").unwrap(), ("10.0.0.1".to_owned(), 27));
        assert_eq!(address("[::1]:27").unwrap(), ("::1".to_owned(), 27));
        for wrong in ["", "host", "host:", ":27", "host:0", "host:65536", "host:x"] {
            let told = address(wrong).unwrap_err().to_string();
            assert_eq!(told, "Use --page-server ADDRESS:PORT to specify page server", "{wrong}");
        }
    }

    #[test]
    fn a_status_descriptor_must_be_open_for_writing() {
        assert!(status(-1).unwrap().is_none());
        let told = format!("{:#}", status(1_000_000).unwrap_err());
        assert!(told.starts_with("invalid --status-fd argument 1000000: "), "{told}");
    }
}
