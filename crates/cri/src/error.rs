//! What a call ends in, and the one table from that to gRPC codes.

use std::error::Error as StdError;
use std::fmt;

use tonic::{Code, Status};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the classes that a client branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be meant: a field has a value that is not allowed.
    Invalid,
    /// There is no such pod, container or image.
    NotFound,
    /// It is there already, or its name is taken.
    AlreadyExists,
    /// It is in a state in which that cannot be done.
    Precondition,
    /// This daemon, or this host, cannot do that.
    Unsupported,
    /// The time that was given has passed.
    Deadline,
    /// A service that is needed does not answer.
    Unavailable,
    /// The limits of this host are reached.
    Exhausted,
    /// The caller may not.
    Denied,
    /// Anything else.
    Internal,
}

/// A failed call: its kind, what was attempted on what, and the cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    attempted: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that has no cause below it.
    pub fn new(kind: Kind, says: impl Into<String>) -> Self {
        Self { kind, attempted: says.into(), cause: None }
    }

    /// A field of the request that cannot be meant.
    pub fn invalid(says: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, says)
    }

    /// Something that does not exist.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} {id:?} does not exist"))
    }

    /// An error with its cause.
    pub fn caused(
        kind: Kind,
        attempted: impl Into<String>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, attempted: attempted.into(), cause: Some(cause.into()) }
    }

    /// Its class.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempted)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Says what was attempted when something below fails.
pub(crate) trait Attempt<T> {
    /// As an error of the daemon's own.
    fn attempt(self, attempted: impl FnOnce() -> String) -> Result<T>;
    /// As an error of this kind.
    fn attempt_as(self, kind: Kind, attempted: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Attempt<T> for std::result::Result<T, E> {
    fn attempt(self, attempted: impl FnOnce() -> String) -> Result<T> {
        self.attempt_as(Kind::Internal, attempted)
    }

    fn attempt_as(self, kind: Kind, attempted: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::caused(kind, attempted(), cause))
    }
}

/// An error and all its causes, in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            Kind::Invalid => Code::InvalidArgument,
            Kind::NotFound => Code::NotFound,
            Kind::AlreadyExists => Code::AlreadyExists,
            Kind::Precondition => Code::FailedPrecondition,
            Kind::Unsupported => Code::Unimplemented,
            Kind::Deadline => Code::DeadlineExceeded,
            Kind::Unavailable => Code::Unavailable,
            Kind::Exhausted => Code::ResourceExhausted,
            Kind::Denied => Code::PermissionDenied,
            Kind::Internal => Code::Unknown,
        };
        Status::new(code, chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_the_whole_chain_once() {
        let cause = std::io::Error::other("no space left");
        let error = Error::caused(Kind::Exhausted, "write the record of pod p", cause);
        let status = Status::from(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "write the record of pod p: no space left");
    }
}
