//! Chain ids: the name of a layer together with all that lies below it.

use compute::error::{Classify, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The digest over a layer's uncompressed content and its parent's chain id: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainId(String);

/// A text that is no chain id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid chain id {0:?}: it has to be \"sha256:\" and 64 lower-case hexadecimal digits")]
pub struct InvalidChainId(String);

impl Classify for InvalidChainId {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

impl ChainId {
    /// Checks the form.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidChainId> {
        let id = id.into();
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        match id.strip_prefix("sha256:") {
            Some(digits) if digits.len() == 64 && digits.bytes().all(hexadecimal) => Ok(Self(id)),
            _ => Err(InvalidChainId(id)),
        }
    }

    /// With its `sha256:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ChainId {
    type Error = InvalidChainId;
    fn try_from(id: String) -> Result<Self, InvalidChainId> {
        Self::new(id)
    }
}

impl From<ChainId> for String {
    fn from(id: ChainId) -> Self {
        id.0
    }
}

impl std::str::FromStr for ChainId {
    type Err = InvalidChainId;
    fn from_str(id: &str) -> Result<Self, InvalidChainId> {
        Self::new(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_sha256_digest_is_a_chain_id() {
        let good = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(ChainId::new(good.clone()).unwrap().as_str(), good);
        for bad in ["", "sha256:", "sha256:../../etc", &good[..70], &good.to_uppercase(), &good[7..]] {
            assert!(ChainId::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<ChainId>("\"sha256:x\"").is_err());
    }
}
