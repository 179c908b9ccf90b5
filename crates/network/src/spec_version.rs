//! Versions of the specification.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A version of the CNI specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpecVersion(u16, u16, u16);

impl SpecVersion {
    /// What a configuration without `cniVersion` means.
    pub const OLDEST: Self = Self(0, 1, 0);
    /// The newest that is understood here.
    pub const NEWEST: Self = Self(1, 1, 0);
    /// From here on results list all addresses.
    pub(crate) const LISTS: Self = Self(0, 3, 0);
    /// From here on there is CHECK, and DEL is told the result of ADD.
    pub(crate) const CHECK: Self = Self(0, 4, 0);
    /// From here on addresses do not name their family.
    pub(crate) const NO_FAMILY: Self = Self(1, 0, 0);
    /// From here on there are STATUS and GC.
    pub(crate) const STATUS: Self = Self(1, 1, 0);
}

/// A text that is no version.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no version of the CNI specification")]
pub struct NoVersion(String);

impl FromStr for SpecVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        if text.is_empty() {
            return Ok(Self::OLDEST);
        }
        let parts: Option<Vec<u16>> = text.split('.').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some([major]) => Ok(Self(*major, 0, 0)),
            Some([major, minor]) => Ok(Self(*major, *minor, 0)),
            Some([major, minor, patch]) => Ok(Self(*major, *minor, *patch)),
            _ => Err(NoVersion(text.to_owned())),
        }
    }
}

impl TryFrom<String> for SpecVersion {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<SpecVersion> for String {
    fn from(version: SpecVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = |text: &str| text.parse::<SpecVersion>().unwrap();
        assert!(version("0.10.0") > version("0.4.0"));
        assert_eq!(version(""), SpecVersion::OLDEST);
        assert_eq!(version("1.1"), SpecVersion::NEWEST);
        assert_eq!(version("0.3.1").to_string(), "0.3.1");
        for bad in ["x", "1.x", "1..0", "1.0.0.0", "-1.0", "70000.0"] {
            assert!(bad.parse::<SpecVersion>().is_err(), "{bad}");
        }
    }
}
