//! The folder of an image and CRIU's working folder, and the options that both verbs share.

use super::error::Error;
use super::rpc::{Opt, Opts};
use super::{CgroupMode, Image};
use oci_spec::runtime::Spec;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The annotation that names a file with more options for CRIU; the empty string is none.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// The file when there is no annotation.
const CONFIG: &str = "/etc/criu/runc.conf";
/// Everything, for its log.
const LOG_LEVEL: u32 = 4;

/// Both folders, open.
pub(super) struct Folders {
    image: OwnedFd,
    work: Option<OwnedFd>,
    pub(super) log: PathBuf,
}

impl Folders {
    /// Those of an image that is to be written.
    pub(super) fn make(image: &Image, log: &str) -> Result<Self, Error> {
        make(&image.path)?;
        Self::open(image, log)
    }

    /// Those of an image that is there. CRIU mounts in its working folder, so both are to be opened in CRIU's mount
    /// namespace.
    pub(super) fn open(image: &Image, log: &str) -> Result<Self, Error> {
        let work = image.work.as_deref();
        let log = work.unwrap_or(&image.path).join(log);
        if let Some(work) = work {
            make(work)?;
        }
        Ok(Self { image: open(&image.path)?, work: work.map(open).transpose()?, log })
    }

    /// What CRIU is to have open: it finds them by their numbers.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.image.as_fd()).chain(self.work.as_ref().map(AsFd::as_fd))
    }

    /// The options that both verbs share.
    pub(super) fn options(&self, image: &Image, spec: &Spec) -> Opts {
        let mut opts = Opts::default();
        opts.number(Opt::ImagesDirFd, number(&self.image));
        if let Some(work) = &self.work {
            opts.number(Opt::WorkDirFd, number(work));
        }
        opts.number(Opt::LogLevel, LOG_LEVEL);
        opts.text(Opt::LogFile, &self.log.file_name().unwrap_or_default().to_string_lossy());
        opts.flag(Opt::NotifyScripts, true);
        opts.flag(Opt::OrphanPtsMaster, true);
        opts.flag(Opt::TcpEstablished, image.tcp_established);
        opts.flag(Opt::ExtUnixSk, image.ext_unix_sk);
        opts.flag(Opt::ShellJob, image.shell_job);
        opts.flag(Opt::FileLocks, image.file_locks);
        opts.flag(Opt::AutoDedup, image.auto_dedup);
        opts.flag(Opt::LazyPages, image.lazy_pages);
        opts.number(Opt::ManageCgroupsMode, cgroup_mode(image.cgroups));
        if image.empty_network {
            opts.number(Opt::EmptyNs, libc::CLONE_NEWNET as u32);
        }
        let annotated = spec.annotations().as_ref().and_then(|all| all.get(CONFIG_ANNOTATION));
        match annotated.map(String::as_str) {
            Some("") => {}
            named => opts.text(Opt::ConfigFile, named.unwrap_or(CONFIG)),
        }
        opts
    }
}

impl Image {
    /// Whether the parent, which is relative to this one, is there. CRIU would write a whole image without a word.
    pub(super) fn check_parent(&self, parent: &Path) -> Result<(), Error> {
        let path = self.path.join(parent);
        let attempted = || format!("look for the parent image {}", path.display());
        std::fs::metadata(&path).map(drop).map_err(|cause| Error::io(attempted(), cause))
    }

    /// Whether it is one, as far as its inventory tells.
    pub(super) fn check(&self) -> Result<(), Error> {
        std::fs::symlink_metadata(self.path.join("inventory.img")).map(drop).map_err(|cause| Error::NoImage {
            image: self.path.clone(),
            attempted: "look for inventory.img",
            cause,
        })
    }
}

/// `criu_cg_mode`.
fn cgroup_mode(mode: CgroupMode) -> u32 {
    match mode {
        CgroupMode::Ignore => 0,
        CgroupMode::Soft => 3,
        CgroupMode::Full => 4,
        CgroupMode::Strict => 5,
        CgroupMode::Default => 6,
    }
}

/// As CRIU is told.
pub(super) fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd() as u32
}

/// An image holds the memory of processes: its files are their owner's alone. But they can be looked for by others, as
/// CRIU does in the container's user namespace. One folder may take several images in turn.
fn make(folder: &Path) -> Result<(), Error> {
    match std::fs::DirBuilder::new().recursive(true).mode(0o711).create(folder) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
            Err(Error::io(format!("make {}", folder.display()), cause))
        }
        _ => Ok(()),
    }
}

fn open(folder: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|cause| Error::io(format!("open {}", folder.display()), cause))
}
