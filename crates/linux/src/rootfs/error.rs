//! What can go wrong with a root file system. Where callers of runc look at the text, it is runc's.

use compute::{Classify, Kind};
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// A root file system that cannot be planned or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle has no `root`.
    #[error("root must be specified")]
    NoRoot,
    /// `root.path` cannot be looked at.
    #[error("invalid rootfs: open {}", path.display())]
    Root {
        /// Where it was expected.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// `root.path` leads through a symbolic link.
    #[error("invalid rootfs: not an absolute path, or a symlink")]
    RootIsLink,
    /// An unknown word.
    #[error("rootfsPropagation={0} is not supported")]
    Propagation(String),
    /// Without pivot_root the old root stays below, and private mounts in it cannot be unmounted by the host.
    #[error("rootfsPropagation of [r]private is not safe without pivot_root")]
    PrivateWithoutPivot,
    /// Masked or read-only paths would be those of the host.
    #[error("unable to restrict sys entries without a private MNT namespace")]
    NoMountNamespace,
    /// A mount of the bundle contradicts itself.
    #[error("invalid mount {}: {rule}", destination.display())]
    InvalidMount {
        /// Which one.
        destination: PathBuf,
        /// The rule it breaks.
        rule: MountRule,
    },
    /// A device of the bundle contradicts itself.
    #[error("invalid device {}: {rule}", path.display())]
    InvalidDevice {
        /// Which one.
        path: PathBuf,
        /// The rule it breaks.
        rule: DeviceRule,
    },
    /// Init did not get as many opened sources as the plan has.
    #[error("{got} mount sources arrived, {expected} were planned")]
    Sources {
        /// What the plan says.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// A mount could not be made.
    #[error("error mounting {source_name:?} to rootfs at {destination:?}")]
    Mount {
        /// As the bundle has it.
        source_name: String,
        /// As the bundle has it.
        destination: PathBuf,
        /// Why not.
        #[source]
        cause: Refusal,
    },
    /// Another step failed.
    #[error(transparent)]
    Step(#[from] Failure),
}

/// A rule for a mount of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum MountRule {
    #[error("mount field contains null byte")]
    NullByte,
    #[error("bind mounts need a source")]
    NoSource,
    #[error("it has neither a type nor the option bind")]
    NoType,
    #[error("bind mounts cannot have any filesystem-specific options applied")]
    BindWithData,
    #[error("id-mapped mounts are only supported for bind-mounts")]
    IdMapWithoutBind,
    #[error("id-mapped mounts are not supported for rootless containers")]
    IdMapRootless,
    #[error("id-mapped mounts must have both uid and gid mappings specified")]
    IdMapIncomplete,
}

/// A rule for a device of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum DeviceRule {
    #[error("invalid device type {0:?}")]
    Type(String),
    #[error("device number {0} is out of range")]
    Number(i64),
}

/// Why a mount was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Only what lxcfs and the like emulate may be mounted inside /proc.
    #[error("{0:?} cannot be mounted because it is inside /proc")]
    InsideProc(PathBuf),
    /// /proc has to be a procfs.
    #[error("{0:?} cannot be mounted because it is not of type proc")]
    NotProc(PathBuf),
    /// A proc or sysfs behind a symbolic link is an attempt to have later writes land elsewhere.
    #[error("filesystem {0:?} must be mounted on ordinary directory")]
    NotOrdinaryDirectory(String),
    /// It would hide the whole container.
    #[error("mountpoint {0:?} is on the top of rootfs")]
    OnRoot(PathBuf),
    /// The bundle wants an attribute gone that belongs to the owner of the host's mount.
    #[error("cannot clear locked flags {0}")]
    LockedFlags(String, #[source] io::Error),
    /// The bundle wants another access-time behaviour than the locked one.
    #[error("cannot change locked atime flags {0}")]
    LockedAtime(String, #[source] io::Error),
    /// The system refused.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A system call that failed, and what for.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}")]
pub struct Failure {
    attempted: String,
    #[source]
    cause: io::Error,
}

impl Failure {
    /// Names the cause.
    pub(super) fn new(attempted: impl Into<String>, cause: Errno) -> Self {
        Self { attempted: attempted.into(), cause: cause.into() }
    }

    /// Puts what it was part of in front.
    pub(super) fn within(mut self, what: String) -> Self {
        self.attempted = format!("{what}: {}", self.attempted);
        self
    }

    /// The system's answer.
    pub(super) fn into_cause(self) -> io::Error {
        self.cause
    }

    /// Whether this was the cause.
    pub(super) fn is(&self, errno: Errno) -> bool {
        self.cause.raw_os_error() == Some(errno.raw_os_error())
    }

    fn kind(&self) -> Kind {
        compute::error::kind_of_io(&self.cause)
    }
}

/// Names what was attempted by a system call.
pub(super) trait Attempted<T> {
    /// The name is only made on failure.
    fn attempted<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Failure>;
}

impl<T> Attempted<T> for Result<T, Errno> {
    fn attempted<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|cause| Failure::new(what(), cause))
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::NoRoot
            | Error::RootIsLink
            | Error::Propagation(_)
            | Error::PrivateWithoutPivot
            | Error::NoMountNamespace
            | Error::InvalidMount { .. }
            | Error::InvalidDevice { .. } => Kind::InvalidArgument,
            Error::Sources { .. } => Kind::Internal,
            Error::Root { cause, .. } => compute::error::kind_of_io(cause),
            Error::Step(failure) => failure.kind(),
            Error::Mount { cause, .. } => match cause {
                Refusal::InsideProc(_)
                | Refusal::NotProc(_)
                | Refusal::NotOrdinaryDirectory(_)
                | Refusal::OnRoot(_) => Kind::InvalidArgument,
                Refusal::LockedFlags(..) | Refusal::LockedAtime(..) => Kind::PermissionDenied,
                Refusal::Failed(failure) => failure.kind(),
            },
        }
    }
}
