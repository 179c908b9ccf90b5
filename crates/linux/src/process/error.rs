//! What can go wrong while a process is given its attributes.
//!
//! One type for the whole module: every attribute fails in one of three ways (the request is wrong, this host cannot,
//! the system refused), and nobody branches on which attribute it was.

use compute::error::{Classify, Kind, kind_of_io};
use std::io;

/// A failure to plan or to apply an attribute.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification asks for something that cannot be meant. The text names the field or is runc's.
    #[error("{0}")]
    Invalid(String),
    /// The kernel or the build has not what is asked for.
    #[error("{0}")]
    Unsupported(String),
    /// Something that would let the container out.
    #[error("{0} -- possible container breakout detected")]
    Breakout(String),
    /// No such executable, or none that may be executed; the text is Go's, which callers of runc parse.
    #[error("exec: {name:?}: {why}")]
    Executable {
        /// What was asked for.
        name: String,
        /// Why it cannot be.
        why: String,
        /// The errno behind it.
        errno: Option<i32>,
    },
    /// The system refused.
    #[error("{attempted}")]
    System {
        /// What was attempted on what.
        attempted: String,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// A hook failed; the text is runc's.
    #[error("error running {hook} hook #{index}: {why}")]
    Hook {
        /// Which list it is in.
        hook: &'static str,
        /// Where in the list.
        index: usize,
        /// What it did.
        why: String,
        /// Whether it was the deadline.
        timed_out: bool,
    },
}

impl Error {
    /// For `map_err`: what was attempted, then the system's answer.
    pub(crate) fn system<C: Into<io::Error>>(attempted: impl Into<String>) -> impl FnOnce(C) -> Self {
        move |cause| Self::System { attempted: attempted.into(), cause: cause.into() }
    }

    /// The specification asks for something that cannot be meant.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::InvalidArgument,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Breakout(_) => Kind::PermissionDenied,
            Self::Executable { errno, .. } => match errno {
                Some(errno) => kind_of_io(&io::Error::from_raw_os_error(*errno)),
                None => Kind::NotFound,
            },
            Self::System { cause, .. } => kind_of_io(cause),
            Self::Hook { timed_out: true, .. } => Kind::DeadlineExceeded,
            Self::Hook { timed_out: false, .. } => Kind::Internal,
        }
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Self::System { cause, .. } => cause.raw_os_error(),
            Self::Executable { errno, .. } => *errno,
            _ => None,
        }
    }
}
