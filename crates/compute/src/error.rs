//! The one error that crosses the seams between a backend, the runtime and its callers.
//!
//! Modules have typed errors of their own that say what was attempted; at the seam such an error becomes an
//! [`Error`]: a [`Kind`] to branch on, the chain of what was attempted (outermost first), and the errno at its end if
//! the system gave one. It can be written to a wire, because init sends it through a socket.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why something failed, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request or the bundle is wrong; the same request will fail again.
    InvalidArgument,
    /// No such container, process or file.
    NotFound,
    /// The id is taken.
    AlreadyExists,
    /// The container's state does not admit the verb.
    WrongState,
    /// The host refuses: privileges, a security module, a read-only file system.
    PermissionDenied,
    /// The host ran out of something: space, processes, memory.
    ResourceExhausted,
    /// This host, kernel or build cannot do it.
    Unsupported,
    /// A deadline passed.
    DeadlineExceeded,
    /// Anything else the system answered.
    Internal,
}

/// An error that knows its [`Kind`]; implemented by the typed errors of each module.
pub trait Classify: std::error::Error {
    /// The class a caller may branch on.
    fn kind(&self) -> Kind;
    /// The errno at the bottom, if the system gave one.
    fn errno(&self) -> Option<i32> {
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                return io.raw_os_error();
            }
            cause = error.source();
        }
        None
    }
}

/// A failure with what was attempted, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: Kind,
    chain: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
}

/// The result of anything that crosses a seam.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure with one sentence.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, chain: vec![what.into()], errno: None }
    }

    /// Puts what was attempted in front of the cause.
    #[must_use]
    pub fn context(mut self, attempted: impl Into<String>) -> Self {
        self.chain.insert(0, attempted.into());
        self
    }

    /// Something the system refused: the kind follows from its errno.
    pub fn io(attempted: impl Into<String>, cause: impl Into<std::io::Error>) -> Self {
        let cause = cause.into();
        let kind = kind_of_io(&cause);
        Self { kind, chain: vec![attempted.into(), describe_io(&cause)], errno: cause.raw_os_error() }
    }

    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The errno at the bottom, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// What was attempted, outermost first.
    pub fn chain(&self) -> &[String] {
        &self.chain
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain.join(": "))
    }
}

impl std::error::Error for Error {}

impl<E: Classify> From<E> for Error {
    fn from(error: E) -> Self {
        let mut chain = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(next) = cause {
            chain.push(next.downcast_ref::<std::io::Error>().map_or_else(|| next.to_string(), describe_io));
            cause = next.source();
        }
        Self { kind: error.kind(), chain, errno: error.errno() }
    }
}

/// The kind that an errno stands for.
pub fn kind_of_io(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::NotFound => Kind::NotFound,
        K::PermissionDenied | K::ReadOnlyFilesystem => Kind::PermissionDenied,
        K::AlreadyExists => Kind::AlreadyExists,
        K::InvalidInput | K::NotADirectory | K::InvalidFilename => Kind::InvalidArgument,
        K::StorageFull | K::QuotaExceeded | K::OutOfMemory | K::WouldBlock | K::FileTooLarge => {
            Kind::ResourceExhausted
        }
        K::Unsupported => Kind::Unsupported,
        K::TimedOut => Kind::DeadlineExceeded,
        _ => Kind::Internal,
    }
}

/// The system's words in the form callers of runc know: lower case, without the number.
fn describe_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = match text.find(" (os error ") {
        Some(end) => &text[..end],
        None => &text,
    };
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("mount proc on /x")]
    struct MountError(#[source] std::io::Error);
    impl Classify for MountError {
        fn kind(&self) -> Kind {
            kind_of_io(&self.0)
        }
    }

    #[test]
    fn a_typed_error_keeps_its_chain_kind_and_errno() {
        let error = Error::from(MountError(std::io::Error::from_raw_os_error(1)));
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert_eq!(error.errno(), Some(1));
        assert_eq!(
            error.context("create c").to_string(),
            "create c: mount proc on /x: operation not permitted"
        );
    }

    #[test]
    fn an_error_survives_the_wire() {
        let error = Error::io("open /x", std::io::Error::from_raw_os_error(28));
        assert_eq!(error.kind(), Kind::ResourceExhausted);
        let wire = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Error>(&wire).unwrap(), error);
    }
}
