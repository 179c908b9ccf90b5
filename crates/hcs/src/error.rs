//! The error of every call: what was attempted on what, the HRESULT, and the error document if there came one.

use crate::document::DocumentError;
use crate::documents::ResultError;
use crate::documents::network::Response;
use crate::hresult::HResult;
use crate::state::Denied;
use std::fmt;
use std::sync::Arc;

/// Why a call or an operation failed. It can be cloned, because an operation's result may be asked for more than once.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Error {
    attempted: String,
    code: HResult,
    report: Option<Report>,
    #[source]
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What the service said about it.
#[derive(Debug, Clone)]
enum Report {
    Compute(Arc<ResultError>),
    Network(Arc<Response>),
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure: "start compute system web", and the code that came of it.
    pub fn new(attempted: impl Into<String>, code: HResult) -> Self {
        Self { attempted: attempted.into(), code, report: None, cause: None }
    }

    /// Adds the error document that the Host Compute Service gave.
    #[must_use]
    pub fn with_document(mut self, document: ResultError) -> Self {
        self.report = Some(Report::Compute(Arc::new(document)));
        self
    }

    /// Adds the error record that the Host Compute Network service gave.
    #[must_use]
    pub fn with_record(mut self, record: Response) -> Self {
        self.report = Some(Report::Network(Arc::new(record)));
        self
    }

    /// Adds what lies beneath.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The code, with its name, meaning, hint and the questions one may ask it.
    pub fn code(&self) -> HResult {
        self.code
    }

    /// What was attempted, on what.
    pub fn attempted(&self) -> &str {
        &self.attempted
    }

    /// The error document, if the Host Compute Service gave one.
    pub fn document(&self) -> Option<&ResultError> {
        match &self.report {
            Some(Report::Compute(document)) => Some(document),
            Some(Report::Network(_)) | None => None,
        }
    }

    /// The error record, if the Host Compute Network service gave one.
    pub fn record(&self) -> Option<&Response> {
        match &self.report {
            Some(Report::Network(record)) => Some(record),
            Some(Report::Compute(_)) | None => None,
        }
    }

    /// A state that did not admit what was attempted.
    pub fn denied(attempted: impl Into<String>, denied: Denied) -> Self {
        Self::new(attempted, denied.code()).caused_by(denied)
    }

    /// A document that cannot be read.
    pub fn unreadable(attempted: impl Into<String>, cause: DocumentError) -> Self {
        Self::new(attempted, HResult::HCS_E_INVALID_JSON).caused_by(cause)
    }

    /// Something the operating system refused.
    pub fn io(attempted: impl Into<String>, cause: std::io::Error) -> Self {
        Self::new(attempted, code_of_io(&cause)).caused_by(cause)
    }
}

/// `start compute system web: HCS_E_INVALID_STATE (0x80370105): the state of the object does not admit the operation`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attempted, self.code)?;
        match self.code.meaning() {
            Some(meaning) => write!(f, ": {meaning}"),
            None => Ok(()),
        }
    }
}

/// The HRESULT that stands for an error of the operating system.
fn code_of_io(error: &std::io::Error) -> HResult {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => HResult::ERROR_FILE_NOT_FOUND,
        ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
        ErrorKind::AlreadyExists => HResult::ERROR_ALREADY_EXISTS,
        ErrorKind::DirectoryNotEmpty => HResult::ERROR_DIR_NOT_EMPTY,
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => HResult::E_INVALIDARG,
        ErrorKind::InvalidData => HResult::ERROR_INVALID_DATA,
        ErrorKind::OutOfMemory => HResult::E_OUTOFMEMORY,
        ErrorKind::TimedOut => HResult::ERROR_WAIT_TIMEOUT,
        ErrorKind::Unsupported => HResult::ERROR_NOT_SUPPORTED,
        _ => HResult::E_FAIL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{State, Verb, admit};
    use std::error::Error as _;

    #[test]
    fn an_error_says_what_was_attempted_and_keeps_its_cause() {
        let denied = admit(State::Created, Verb::Pause).unwrap_err();
        let error = Error::denied("pause compute system web", denied);
        assert_eq!(
            error.to_string(),
            "pause compute system web: HCS_E_INVALID_STATE (0x80370105): the state of the object does not admit the operation"
        );
        assert_eq!(error.source().unwrap().to_string(), "cannot pause a compute system that is Created");
        let unknown = Error::new("x", HResult::new(0x8123_4567));
        assert_eq!(unknown.to_string(), "x: 0x81234567");
    }

    #[test]
    fn an_error_of_the_system_has_its_code() {
        let error = Error::io("read /x", std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(error.code(), HResult::ERROR_FILE_NOT_FOUND);
    }
}
