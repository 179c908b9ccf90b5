//! Why a layer could not be unpacked.

use super::limits::Limit;
use compute::error::{Classify, Kind, kind_of_io};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The result of unpacking.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with what was attempted on what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of the compressed bytes failed: that is not the layer's fault.
    #[error("read the layer")]
    Source(#[source] io::Error),
    /// The compressed bytes are none, or are cut off.
    #[error("decompress the layer ({format})")]
    Compressed {
        /// What its first bytes say it is.
        format: &'static str,
        /// What the decompressor says.
        #[source]
        cause: io::Error,
    },
    /// A compression that is not read here.
    #[error("the layer is compressed with {0}: only gzip, zstd and no compression are supported")]
    UnknownCompression(&'static str),
    /// The archive breaks the rules of the format.
    #[error("the layer's archive is malformed at byte {offset}: {problem}")]
    Malformed {
        /// In the uncompressed archive.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// An entry that would reach out of the folder, or means nothing that a layer may mean.
    #[error("entry {path:?} of the layer {problem}")]
    Refused {
        /// The entry's name.
        path: String,
        /// In words that follow on the name.
        problem: &'static str,
    },
    /// More than a layer may take.
    #[error("the layer has more than {most} {limit}")]
    TooMuch {
        /// Which limit.
        limit: Limit,
        /// The limit.
        most: u64,
    },
    /// The system refused to make what an entry asks for.
    #[error("{attempted} {} of the layer", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// On what; inside the layer's folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::Source(cause) | Error::Io { cause, .. } => kind_of_io(cause),
            Error::Compressed { .. } | Error::Malformed { .. } | Error::Refused { .. } => {
                Kind::InvalidArgument
            }
            Error::UnknownCompression(_) => Kind::Unsupported,
            Error::TooMuch { .. } => Kind::ResourceExhausted,
        }
    }
}

impl Error {
    /// What was attempted on what in the layer's folder.
    pub(super) fn io(attempted: &'static str, path: &[u8], cause: impl Into<io::Error>) -> Self {
        Error::Io { attempted, path: PathBuf::from(OsStr::from_bytes(path)), cause: cause.into() }
    }

    /// An entry that is not done as it asks.
    pub(super) fn refused(path: &[u8], problem: &'static str) -> Self {
        // A name may be as long as a hostile archive likes; who reads the error need not read all of it.
        let shown = path.get(..path.len().min(256)).unwrap_or_default();
        Error::Refused { path: String::from_utf8_lossy(shown).into_owned(), problem }
    }
}
