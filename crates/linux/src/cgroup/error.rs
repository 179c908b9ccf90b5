//! What can go wrong with control groups. The texts are those of runc where its callers look at them.

use compute::{Classify, Kind};
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// What was attempted; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody's processes are already where the container's should go.
    #[error("container's cgroup is not empty: {count} process(es) found")]
    NotEmpty {
        /// How many.
        count: usize,
    },
    /// Processes placed there would stop at once.
    #[error("container's cgroup unexpectedly frozen")]
    Frozen,
    /// The request contradicts itself or the current state; it will fail again.
    #[error("{0}")]
    Invalid(String),
    /// This host has no such controller, or it is not available to us.
    #[error("{0}")]
    Unsupported(String),
    /// A write that the kernel refused.
    #[error("failed to write {value:?}: write {path}")]
    Write {
        /// What was written.
        value: String,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Any other system call.
    #[error("{attempted}")]
    Io {
        /// The call and its object.
        attempted: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Puts the purpose in front of what failed.
    #[error("{purpose}")]
    Context {
        /// What all of it was for.
        purpose: String,
        /// What failed.
        #[source]
        cause: Box<Error>,
    },
    /// systemd did not do what it was asked.
    #[error("{attempted}: {answer}")]
    Systemd {
        /// The call and its unit.
        attempted: String,
        /// What it said, or that it said nothing.
        answer: String,
        /// The D-Bus name of the error, empty when it is ours.
        name: String,
    },
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(String),
    /// Several things failed; each is said.
    #[error("{}", .0.iter().map(|e| compute::Error::from(e).to_string()).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
}

impl Error {
    pub(crate) fn io(attempted: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Error::Io { attempted: attempted.into(), cause: cause.into() }
    }

    /// A call on one path: `mkdir /sys/fs/cgroup/cpu/x`.
    pub(crate) fn on(call: &str, path: &Path, cause: impl Into<io::Error>) -> Self {
        Error::io(format!("{call} {}", path.display()), cause)
    }

    pub(crate) fn context(self, purpose: impl Into<String>) -> Self {
        Error::Context { purpose: purpose.into(), cause: Box::new(self) }
    }

    pub(crate) fn io_cause(&self) -> Option<&io::Error> {
        match self {
            Error::Write { cause, .. } | Error::Io { cause, .. } => Some(cause),
            Error::Context { cause, .. } => cause.io_cause(),
            _ => None,
        }
    }

    pub(crate) fn is_errno(&self, errno: rustix::io::Errno) -> bool {
        self.io_cause().and_then(io::Error::raw_os_error) == Some(errno.raw_os_error())
    }

    /// The host says no: what a rootless container may do without.
    pub(crate) fn is_permission(&self) -> bool {
        use rustix::io::Errno;
        [Errno::PERM, Errno::ACCESS, Errno::ROFS].iter().any(|errno| self.is_errno(*errno))
    }

    /// One error for all that were met.
    pub(crate) fn collect(mut errors: Vec<Error>) -> Result<()> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Several(errors)),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::NotEmpty { .. } | Error::Frozen => Kind::WrongState,
            Error::Invalid(_) => Kind::InvalidArgument,
            Error::Unsupported(_) => Kind::Unsupported,
            Error::Write { cause, .. } | Error::Io { cause, .. } => compute::error::kind_of_io(cause),
            Error::Context { cause, .. } => cause.kind(),
            Error::Systemd { name, .. } => match name.as_str() {
                "org.freedesktop.DBus.Error.AccessDenied"
                | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Kind::PermissionDenied,
                "org.freedesktop.systemd1.UnitExists" => Kind::AlreadyExists,
                "org.freedesktop.DBus.Error.InvalidArgs" | "org.freedesktop.DBus.Error.PropertyReadOnly" => {
                    Kind::InvalidArgument
                }
                _ => Kind::Internal,
            },
            Error::Timeout(_) => Kind::DeadlineExceeded,
            Error::Several(errors) => errors.first().map_or(Kind::Internal, Classify::kind),
        }
    }
}

impl Classify for &Error {
    fn kind(&self) -> Kind {
        (**self).kind()
    }
}
