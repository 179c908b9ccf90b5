//! Images as files: OCI image layouts (folders and tar streams) and the archives of `docker save`.
//!
//! An archive that is read is hostile until its digests are checked: it is spread out below `ingest/` under names of our
//! own, within limits, and then taken in as if that folder were a registry.

mod export;
mod import;
mod spool;

pub(crate) use export::export;
pub(crate) use import::import;

use crate::digest::Digest;
use crate::error::{Kind, of_io};
use std::io;
use std::path::PathBuf;

/// Where images are imported from.
pub enum Input {
    /// An OCI image layout, spread out.
    Folder(PathBuf),
    /// A tar stream, which may be compressed with gzip or zstd.
    Stream(Box<dyn io::Read + Send>),
}

/// An archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream cannot be read.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// The stream cannot be written.
    #[error("write the archive")]
    Write(#[source] io::Error),
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
    /// It takes too much.
    #[error("the archive has more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// An entry that no archive of images has.
    #[error("entry {path:?} of the archive {problem}")]
    Entry {
        /// Its name.
        path: String,
        /// In words that follow on the name.
        problem: &'static str,
    },
    /// One of its documents is not what it should be.
    #[error("read {file} of the archive")]
    Malformed {
        /// The document.
        file: &'static str,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// It lacks a file that it speaks of.
    #[error("the archive has no {0:?}")]
    Missing(String),
    /// There is no image in it, or none for this platform.
    #[error("the archive has no image for this platform")]
    NoImage,
    /// It gives a name that is none.
    #[error("the archive names an image {0:?}, which is no reference")]
    Name(String),
    /// Layers are not kept as they came, so what was pulled cannot be written again.
    #[error(
        "layer {layer} of image {image} was not kept as it came: with `discard_unpacked_layers = false`, images that \
         are pulled or imported from then on can be exported"
    )]
    NotKept {
        /// The image.
        image: Digest,
        /// The layer.
        layer: Digest,
    },
    /// Its documents are not in the store.
    #[error("document {0} is not in the store")]
    NoDocument(Digest),
    /// The store does not do its work.
    #[error(transparent)]
    Store(crate::store::StoreError),
}

impl ArchiveError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Read(cause) | Self::Write(cause) | Self::Io { cause, .. } => of_io(cause),
            Self::TooMuch { .. } => Kind::Exhausted,
            Self::Entry { .. } | Self::Malformed { .. } | Self::Missing(_) | Self::Name(_) => Kind::Corrupt,
            Self::NoImage => Kind::NotFound,
            Self::NotKept { .. } => Kind::Unsupported,
            Self::NoDocument(_) => Kind::Internal,
            Self::Store(cause) => cause.kind(),
        }
    }
}
