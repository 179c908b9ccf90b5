//! Container ids: what may be one, and why something may not.

use crate::error::{Classify, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a container, unique below one state root. It is also a file name, so it can never leave its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// The longest id, in bytes: a file name's limit on every file system we know.
pub const MAX_LEN: usize = 255;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("container id cannot be empty")]
    Empty,
    /// A character outside `[A-Za-z0-9_+.-]`, or a name that is a path of its own (`.`, `..`).
    #[error(
        "invalid container ID format: {0:?} (allowed: letters, digits, '_', '+', '-', '.'; not \".\" or \"..\")"
    )]
    Format(String),
    /// Longer than [`MAX_LEN`].
    #[error("invalid container ID format: {0} bytes long, at most {MAX_LEN} are allowed")]
    TooLong(usize),
}

impl Classify for InvalidId {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

impl ContainerId {
    /// Checks the rules runc has: at least one character, all of `[A-Za-z0-9_+.-]`, lexically clean.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
        let id = id.into();
        if id.is_empty() {
            return Err(InvalidId::Empty);
        }
        if id.len() > MAX_LEN {
            return Err(InvalidId::TooLong(id.len()));
        }
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        if !id.chars().all(known) || id == "." || id == ".." {
            return Err(InvalidId::Format(id));
        }
        Ok(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for ContainerId {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidId;
    fn try_from(id: String) -> Result<Self, InvalidId> {
        Self::new(id)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_runc_takes_are_taken() {
        for id in ["a", "A_b+c.d-e", "...", "0", &"x".repeat(255)] {
            assert_eq!(ContainerId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn ids_that_leave_their_folder_are_refused() {
        for id in [".", "..", "a/b", "/", "a b", "ä", "a\0", "a\n"] {
            assert_eq!(ContainerId::new(id), Err(InvalidId::Format(id.into())));
        }
        assert_eq!(ContainerId::new(""), Err(InvalidId::Empty));
        assert_eq!(ContainerId::new("x".repeat(256)), Err(InvalidId::TooLong(256)));
    }
}
