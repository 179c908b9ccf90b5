//! Errors of this crate, and what a caller may branch on.

use crate::archive::ArchiveError;
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::reference::ReferenceError;
use crate::registry::RegistryError;
use crate::store::StoreError;
use crate::unpack;
use compute::error::{Classify, Kind as Class};
use std::io;
use std::path::PathBuf;

/// Why something failed, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request or the configuration is wrong; the same request will fail again.
    Invalid,
    /// No such image, here or at the registry, or none for this platform.
    NotFound,
    /// The registry wants other credentials.
    Denied,
    /// The registry cannot be reached, is overloaded or broken: later it may work.
    Unavailable,
    /// What came is not what its digest says, or no image.
    Corrupt,
    /// An image of a form that is not handled here.
    Unsupported,
    /// A limit, or the host's: space, memory.
    Exhausted,
    /// Anything else the host answered.
    Internal,
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with what was attempted on what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a reference.
    #[error(transparent)]
    Reference(ReferenceError),
    /// Nothing by that name or id is here.
    #[error("no image {0:?}")]
    NotFound(String),
    /// An id that is cut so short that several images have it.
    #[error("{0:?} is the beginning of several image ids")]
    Ambiguous(String),
    /// An image could not be pulled.
    #[error("pull {reference}")]
    Pull {
        /// The image.
        reference: String,
        /// Why not.
        #[source]
        cause: Box<FetchError>,
    },
    /// An archive could not be taken in.
    #[error("import images")]
    Import(#[source] Box<FetchError>),
    /// An archive could not be made.
    #[error("export images")]
    Export(#[source] ArchiveError),
    /// The database does not do its work.
    #[error(transparent)]
    Store(StoreError),
    /// The snapshotter does not do its work.
    #[error("layers of images")]
    Layers(#[source] snapshots::Error),
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
    /// The thread that did the work is gone.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
}

/// Why an image could not be got, wherever it comes from.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The registry.
    #[error(transparent)]
    Registry(RegistryError),
    /// The archive that is imported.
    #[error(transparent)]
    Archive(ArchiveError),
    /// What the image says of itself.
    #[error(transparent)]
    Manifest(ManifestError),
    /// A layer that cannot be unpacked.
    #[error("unpack layer {digest}")]
    Unpack {
        /// The layer.
        digest: Digest,
        /// Why not.
        #[source]
        cause: unpack::Error,
    },
    /// A layer that is not what the manifest says.
    #[error("layer {expected}: what came is {found}")]
    Mismatch {
        /// As the manifest has it.
        expected: Digest,
        /// What was computed.
        found: Digest,
    },
    /// A layer that is not what the configuration says.
    #[error("layer {digest}: its content is {found}, the image's configuration says {expected}")]
    DiffId {
        /// The layer.
        digest: Digest,
        /// As the configuration has it.
        expected: Digest,
        /// What was computed.
        found: String,
    },
    /// A layer that ends elsewhere than the manifest says.
    #[error("layer {digest}: {found} bytes instead of {expected}")]
    Size {
        /// The layer.
        digest: Digest,
        /// As the manifest has it.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The snapshotter does not take it.
    #[error("keep layer {digest}")]
    Snapshotter {
        /// The layer.
        digest: Digest,
        /// Why not.
        #[source]
        cause: snapshots::Error,
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
    /// The database does not do its work.
    #[error(transparent)]
    Store(StoreError),
    /// Another layer of the image failed, or the thread that did the work is gone.
    #[error("layer {0} was interrupted")]
    Interrupted(Digest),
}

impl Error {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Reference(_) | Error::Ambiguous(_) => Kind::Invalid,
            Error::NotFound(_) => Kind::NotFound,
            Error::Pull { cause, .. } | Error::Import(cause) => cause.kind(),
            Error::Export(cause) => cause.kind(),
            Error::Store(cause) => cause.kind(),
            Error::Layers(cause) => of_class(cause.kind()),
            Error::Io { cause, .. } => of_io(cause),
            Error::Interrupted(_) => Kind::Internal,
        }
    }
}

impl FetchError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            FetchError::Registry(cause) => cause.kind(),
            FetchError::Archive(cause) => cause.kind(),
            FetchError::Manifest(cause) => cause.kind(),
            FetchError::Unpack { cause, .. } => match cause.kind() {
                // The layer is what was given here.
                Class::InvalidArgument => Kind::Corrupt,
                other => of_class(other),
            },
            FetchError::Mismatch { .. } | FetchError::DiffId { .. } | FetchError::Size { .. } => {
                Kind::Corrupt
            }
            FetchError::Snapshotter { cause, .. } => of_class(cause.kind()),
            FetchError::Io { cause, .. } => of_io(cause),
            FetchError::Store(cause) => cause.kind(),
            FetchError::Interrupted(_) => Kind::Internal,
        }
    }
}

pub(crate) fn of_io(cause: &io::Error) -> Kind {
    of_class(compute::error::kind_of_io(cause))
}

fn of_class(class: Class) -> Kind {
    match class {
        Class::InvalidArgument => Kind::Invalid,
        Class::NotFound => Kind::NotFound,
        Class::ResourceExhausted => Kind::Exhausted,
        Class::Unsupported => Kind::Unsupported,
        Class::AlreadyExists
        | Class::WrongState
        | Class::PermissionDenied
        | Class::DeadlineExceeded
        | Class::Internal => Kind::Internal,
    }
}
