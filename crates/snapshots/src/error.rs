//! Why keeping or giving out layers failed.

use crate::chain::ChainId;
use crate::idmap::InvalidIdMap;
use compute::error::{Classify, Kind, kind_of_io};
use std::io;
use std::path::{Path, PathBuf};

/// The result of every call of a snapshotter.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with what was attempted on what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layer was never committed, or is removed.
    #[error("layer {0} is not there")]
    NoLayer(ChainId),
    /// No root of this name was prepared, or it is removed.
    #[error("snapshot {0:?} is not there")]
    NoSnapshot(String),
    /// A root of this name is there.
    #[error("snapshot {0:?} exists already")]
    SnapshotExists(String),
    /// The layer cannot go: something lies on it.
    #[error("layer {chain} is in use by {layers} layers and {snapshots} snapshots")]
    LayerInUse {
        /// The layer.
        chain: ChainId,
        /// How many layers lie directly on it.
        layers: usize,
        /// How many roots lie directly on it.
        snapshots: usize,
    },
    /// A root's name that cannot be one.
    #[error("invalid snapshot key {0:?}: it has to have 1 to 255 bytes and no control characters")]
    InvalidKey(String),
    /// A user namespace that cannot be one.
    #[error("ids of snapshot {key:?}")]
    InvalidIdMap {
        /// The root it is for.
        key: String,
        /// What is wrong.
        #[source]
        cause: InvalidIdMap,
    },
    /// The image has nothing there.
    #[error("{path:?} is not in the image")]
    NotInImage {
        /// Inside the image, as it was asked for.
        path: String,
    },
    /// There is something, but nothing that can be mounted, or the way to it is none.
    #[error("{path:?} in the image {problem}")]
    NotMountable {
        /// Inside the image, as it was asked for.
        path: String,
        /// In words that follow on the path.
        problem: &'static str,
    },
    /// The root's files were kept in memory by the host's system, which was started anew since.
    #[error("snapshot {0:?} was prepared before this host was restarted: its files may be incomplete")]
    HostRestarted(String),
    /// Another process keeps this folder.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The folder holds what only a newer version of this program understands.
    #[error("{} has version {found}, this program reads up to {known}", path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A draft that another snapshotter made.
    #[error("{} is no draft of {}", draft.display(), root.display())]
    ForeignDraft {
        /// Where the draft is.
        draft: PathBuf,
        /// Where drafts of this snapshotter are.
        root: PathBuf,
    },
    /// The system refused.
    #[error("{attempted} {}", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::NoLayer(_) | Error::NoSnapshot(_) | Error::NotInImage { .. } => Kind::NotFound,
            Error::SnapshotExists(_) => Kind::AlreadyExists,
            Error::LayerInUse { .. } | Error::HostRestarted(_) | Error::Locked(_) => Kind::WrongState,
            Error::InvalidKey(_)
            | Error::InvalidIdMap { .. }
            | Error::NotMountable { .. }
            | Error::ForeignDraft { .. } => Kind::InvalidArgument,
            Error::Newer { .. } => Kind::Unsupported,
            Error::Io { cause, .. } => kind_of_io(cause),
        }
    }
}

/// For `map_err`: what was attempted on `path`.
pub(crate) fn io_error<E: Into<io::Error>>(attempted: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { attempted, path, cause: cause.into() }
}
