//! What can go wrong with a checkpoint.

use compute::error::kind_of_io;
use compute::{Classify, Kind};
use std::io;
use std::path::PathBuf;

/// A checkpoint that was not written, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("CRIU is not installed: there is no program {} (see https://criu.org)", .0.display())]
    NotInstalled(PathBuf),
    /// This CRIU, or this kernel, cannot do it.
    #[error("criu is missing features: [{0}]")]
    Missing(&'static str),
    /// It said no. With what it wrote to its log about that.
    #[error("criu failed: type {verb} errno {errno}{said}\nlog file: {}", log.display())]
    Failed {
        /// What it was asked.
        verb: &'static str,
        /// 0 if it gave none.
        errno: i32,
        /// What it said in its answer and in its log.
        said: String,
        /// All it said.
        log: PathBuf,
    },
    /// It ended without an answer.
    #[error("criu ended before it had done what it was asked{said}\nlog file: {}", log.display())]
    Gone {
        /// What it said in its log.
        said: String,
        /// All it said.
        log: PathBuf,
    },
    /// There is no image, or not a whole one.
    #[error("{} is no checkpoint: {attempted}", image.display())]
    NoImage {
        /// Where it was looked for.
        image: PathBuf,
        /// What was looked for.
        attempted: &'static str,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file of the image that says nonsense.
    #[error("understand {}: {cause}", path.display())]
    Descriptors {
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: serde_json::Error,
    },
    /// A namespace that is joined by path and that CRIU cannot join.
    #[error("a container that joins a {0} namespace cannot be restored")]
    Namespace(&'static str),
    /// The system refused.
    #[error("{attempted}")]
    Io {
        /// What was attempted.
        attempted: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

impl Error {
    pub(super) fn io(attempted: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Error::Io { attempted: attempted.into(), cause: cause.into() }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::NotInstalled(_) | Error::Missing(_) | Error::Namespace(_) => Kind::Unsupported,
            Error::Failed { .. } | Error::Gone { .. } => Kind::Internal,
            Error::Descriptors { .. } => Kind::InvalidArgument,
            Error::NoImage { cause, .. } | Error::Io { cause, .. } => kind_of_io(cause),
        }
    }
}
