//! What can go wrong, by what a caller would do about it.

use crate::cni::NotReady;
use crate::plugin::PluginError;
use crate::record::RecordError;
use std::fmt;

/// The result of this crate's verbs.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something failed, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong; the same request will fail again.
    Invalid,
    /// No network is configured, or a plugin says that it cannot serve yet: again later.
    Unavailable,
    /// A plugin took too long.
    TimedOut,
    /// Nothing of that id is attached.
    NotFound,
    /// A record is of a newer version of this program.
    Unsupported,
    /// A plugin failed, or the system did.
    Failed,
}

/// What was attempted, on which network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the request.
    #[error("{field} {value:?} must be {rule}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        rule: &'static str,
    },
    /// There is no network to work with.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// An attachment could not be made. What had been made of it was undone, but for `left`.
    #[error("attach {id} to network {network}{}", and_undo(left))]
    Attach {
        /// Whose attachment.
        id: String,
        /// To what.
        network: String,
        /// What could not be undone; it is tried again by the next `del`.
        left: Vec<Failure>,
        /// Which plugin failed, and how.
        #[source]
        cause: Box<PluginError>,
    },
    /// Some of an attachment could not be undone; the rest is.
    #[error("detach {id}: {}", list(failures))]
    Detach {
        /// Whose attachment.
        id: String,
        /// What failed.
        failures: Vec<Failure>,
    },
    /// An attachment is not what it was.
    #[error("check attachment of {id} to network {network}")]
    Check {
        /// Whose attachment.
        id: String,
        /// To what.
        network: String,
        /// What the plugin found.
        #[source]
        cause: Box<PluginError>,
    },
    /// Nothing of that id is attached.
    #[error("{0} is attached to no network")]
    NotAttached(String),
    /// Some garbage could not be collected; the rest is.
    #[error("collect garbage: {}", list(.0))]
    Collect(Vec<Failure>),
    /// The record of an attachment.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The process is ending.
    #[error("{0} was cut off: the program is ending")]
    CutOff(&'static str),
}

/// One step that failed while the others went on.
#[derive(Debug)]
pub struct Failure {
    /// Whose attachment; empty where it is about a whole network.
    pub id: String,
    /// Of which network.
    pub network: String,
    /// What failed.
    pub cause: Cause,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The record of an attachment.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Error {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        let worst = |failures: &[Failure]| {
            failures.first().map_or(Kind::Failed, |failure| match &failure.cause {
                Cause::Plugin(cause) => cause.kind(),
                Cause::Record(cause) => cause.kind(),
            })
        };
        match self {
            Self::Invalid { .. } => Kind::Invalid,
            Self::NotReady(_) => Kind::Unavailable,
            Self::Attach { cause, .. } | Self::Check { cause, .. } => cause.kind(),
            Self::Detach { failures, .. } | Self::Collect(failures) => worst(failures),
            Self::NotAttached(_) => Kind::NotFound,
            Self::Record(cause) => cause.kind(),
            Self::CutOff(_) => Kind::Failed,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.id.is_empty() {
            write!(f, "{} on ", self.id)?;
        }
        write!(f, "network {}: {}", self.network, self.cause)?;
        let mut cause = std::error::Error::source(&self.cause);
        while let Some(next) = cause {
            write!(f, ": {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}

fn list(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn and_undo(left: &[Failure]) -> String {
    if left.is_empty() { String::new() } else { format!(" (undoing it failed too: {})", list(left)) }
}
