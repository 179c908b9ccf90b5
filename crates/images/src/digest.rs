//! Digests: names of content that the content itself proves.

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt;
use std::str::FromStr;

/// `sha256:…`, `sha384:…` or `sha512:…`, in lower case and of the right length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// Not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No algorithm before a colon.
    #[error("{0:?} is no digest: an algorithm, a colon and hexadecimal digits are needed")]
    Malformed(String),
    /// An algorithm that this program cannot check.
    #[error("digest algorithm {0:?} is not supported (sha256, sha384 and sha512 are)")]
    Algorithm(String),
    /// Digits that are too few, too many or none.
    #[error("{0:?} does not have the digits of its algorithm")]
    Digits(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

const ALGORITHMS: [(&str, Algorithm, usize); 3] = [
    ("sha256", Algorithm::Sha256, 64),
    ("sha384", Algorithm::Sha384, 96),
    ("sha512", Algorithm::Sha512, 128),
];

impl Digest {
    /// The SHA-256 of something small.
    pub fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", hexadecimal(&Sha256::digest(content))))
    }

    /// The whole: algorithm, colon, digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The part behind the colon.
    pub fn digits(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, digits)| digits)
    }

    /// Starts a computation by the same algorithm.
    pub fn hasher(&self) -> Hasher {
        match self.split().1 {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Whether this is the digest of `content`.
    pub fn is_of(&self, content: &[u8]) -> bool {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish() == *self
    }

    fn split(&self) -> (&str, Algorithm) {
        let known = ALGORITHMS.iter().find(|(name, ..)| *name == self.algorithm());
        known.map_or(("sha256", Algorithm::Sha256), |(name, algorithm, _)| (name, *algorithm))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, digits) =
            text.split_once(':').ok_or_else(|| DigestError::Malformed(shortened(text)))?;
        let known = ALGORITHMS.iter().find(|(name, ..)| *name == algorithm);
        let (_, _, length) = known.ok_or_else(|| DigestError::Algorithm(shortened(algorithm)))?;
        let lower_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != *length || !digits.bytes().all(lower_hexadecimal) {
            return Err(DigestError::Digits(shortened(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest in the making.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// SHA-256
    Sha256(Sha256),
    /// SHA-384
    Sha384(Sha384),
    /// SHA-512
    Sha512(Sha512),
}

impl Hasher {
    /// Takes in the next piece.
    pub fn update(&mut self, content: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(content),
            Hasher::Sha384(hasher) => hasher.update(content),
            Hasher::Sha512(hasher) => hasher.update(content),
        }
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> Digest {
        Digest(match self {
            Hasher::Sha256(hasher) => format!("sha256:{}", hexadecimal(&hasher.finalize())),
            Hasher::Sha384(hasher) => format!("sha384:{}", hexadecimal(&hasher.finalize())),
            Hasher::Sha512(hasher) => format!("sha512:{}", hexadecimal(&hasher.finalize())),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As much of a hostile text as an error message should repeat.
fn shortened(text: &str) -> String {
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_proves_its_content() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.as_str(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(digest.is_of(b"abc") && !digest.is_of(b"abd"));
        for (algorithm, ..) in ALGORITHMS {
            let mut hasher = match algorithm {
                "sha384" => Hasher::Sha384(Sha384::new()),
                "sha512" => Hasher::Sha512(Sha512::new()),
                _ => Hasher::Sha256(Sha256::new()),
            };
            hasher.update(b"a");
            hasher.update(b"bc");
            let digest = hasher.finish();
            assert_eq!(digest.as_str().parse(), Ok(digest.clone()));
            assert_eq!(digest.algorithm(), algorithm);
            assert!(digest.is_of(b"abc"));
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let parse = |text: &str| text.parse::<Digest>().unwrap_err();
        assert_eq!(parse("abc"), DigestError::Malformed("abc".into()));
        assert_eq!(parse("md5:abc"), DigestError::Algorithm("md5".into()));
        assert_eq!(parse("sha256:abc"), DigestError::Digits("sha256:abc".into()));
        let upper = format!("sha256:{}", "A".repeat(64));
        assert_eq!(parse(&upper), DigestError::Digits(upper.clone()));
        let path = format!("sha256:../{}", "a".repeat(61));
        assert_eq!(parse(&path), DigestError::Digits(path.clone()));
    }
}
