//! What can go wrong between a daemon and a shim.

use std::fmt;
use std::path::PathBuf;

/// The result of a call to a shim.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was refused, as far as a caller would act differently. Each is one code of ttrpc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong; the same request will fail again.
    InvalidArgument,
    /// No such container or process, or it has ended.
    NotFound,
    /// The id is taken.
    AlreadyExists,
    /// The state does not admit the request.
    FailedPrecondition,
    /// The host refuses.
    PermissionDenied,
    /// The host ran out of something.
    ResourceExhausted,
    /// This shim or host cannot do it.
    Unimplemented,
    /// A deadline passed.
    DeadlineExceeded,
    /// The other end is not there (any more).
    Unavailable,
    /// Anything else.
    Internal,
}

/// What a shim answers when it does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub kind: Kind,
    /// Its words.
    pub message: String,
}

impl Refusal {
    /// A refusal of a class, with words.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<compute::Error> for Refusal {
    fn from(error: compute::Error) -> Self {
        let kind = match error.kind() {
            compute::Kind::InvalidArgument => Kind::InvalidArgument,
            compute::Kind::NotFound => Kind::NotFound,
            compute::Kind::AlreadyExists => Kind::AlreadyExists,
            compute::Kind::WrongState => Kind::FailedPrecondition,
            compute::Kind::PermissionDenied => Kind::PermissionDenied,
            compute::Kind::ResourceExhausted => Kind::ResourceExhausted,
            compute::Kind::Unsupported => Kind::Unimplemented,
            compute::Kind::DeadlineExceeded => Kind::DeadlineExceeded,
            compute::Kind::Internal => Kind::Internal,
        };
        Self { kind, message: error.to_string() }
    }
}

/// A call that failed, or a shim that could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The shim answered with a refusal.
    #[error("{call} {id}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// Of which container or sandbox.
        id: String,
        /// The answer.
        #[source]
        refusal: Refusal,
    },
    /// There was no answer, or none that could be understood.
    #[error("{call} {id} at {address}")]
    NoAnswer {
        /// What was asked.
        call: &'static str,
        /// Of which container or sandbox.
        id: String,
        /// Where.
        address: String,
        /// What happened instead.
        #[source]
        cause: Box<ttrpc::Error>,
    },
    /// Nobody listens there.
    #[error("connect to the shim at {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        cause: Box<ttrpc::Error>,
    },
    /// The program could not be run.
    #[error("run {} {command} for {id}", program.display())]
    Run {
        /// The shim's program.
        program: PathBuf,
        /// Its command.
        command: &'static str,
        /// The container or sandbox.
        id: String,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The program ended with an error.
    #[error("{} {command} for {id} ended with {status}: {said}", program.display())]
    Failed {
        /// The shim's program.
        program: PathBuf,
        /// Its command.
        command: &'static str,
        /// The container or sandbox.
        id: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        said: String,
    },
    /// The program answered what is no answer.
    #[error("understand the answer of {} {command} for {id}: {why}", program.display())]
    Answer {
        /// The shim's program.
        program: PathBuf,
        /// Its command.
        command: &'static str,
        /// The container or sandbox.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The shim's answer does not follow the protocol.
    #[error("understand the answer to {call} {id}: {why}")]
    Malformed {
        /// What was asked.
        call: &'static str,
        /// Of which container or sandbox.
        id: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Refused { refusal, .. } => refusal.kind,
            Error::NoAnswer { cause, .. } if is_timeout(cause) => Kind::DeadlineExceeded,
            Error::NoAnswer { .. } | Error::Connect { .. } => Kind::Unavailable,
            Error::Run { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => Kind::NotFound,
            Error::Run { .. } | Error::Failed { .. } | Error::Answer { .. } | Error::Malformed { .. } => {
                Kind::Internal
            }
        }
    }
}

fn is_timeout(cause: &ttrpc::Error) -> bool {
    matches!(cause, ttrpc::Error::RpcStatus(status) if status.code() == ttrpc::Code::DEADLINE_EXCEEDED)
}
