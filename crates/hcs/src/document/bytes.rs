//! Bytes in a document: base64 with padding.

use super::{Element, Mismatch, Node, Shape};
use serde_json::Value;
use std::fmt;

/// Bytes as a document carries them; kept as they are written, decoded on demand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ByteArray(String);

/// Text that is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64: byte {at}")]
pub struct NotBase64 {
    at: usize,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl ByteArray {
    /// Encodes bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let group = chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte))
                << (8 * (3 - chunk.len()));
            for position in 0..4 {
                let index = group >> (18 - 6 * position) & 63;
                let padding = position > chunk.len();
                text.push(if padding { '=' } else { ALPHABET[index as usize].into() });
            }
        }
        Self(text)
    }

    /// The text as it is in the document.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes.
    ///
    /// # Errors
    /// The text is not base64 with padding.
    pub fn decode(&self) -> Result<Vec<u8>, NotBase64> {
        let text = self.0.as_bytes();
        let body = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
        if !text.len().is_multiple_of(4) || text.len() - body > 2 {
            return Err(NotBase64 { at: body });
        }
        let mut bytes = Vec::with_capacity(body * 3 / 4);
        let (mut group, mut bits) = (0u32, 0);
        for (at, byte) in text[..body].iter().enumerate() {
            let value = ALPHABET.iter().position(|letter| letter == byte).ok_or(NotBase64 { at })?;
            group = (group << 6 | value as u32) & 0xffff;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((group >> bits) as u8);
            }
        }
        Ok(bytes)
    }
}

impl fmt::Display for ByteArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Element for ByteArray {
    fn shape() -> Shape {
        Shape::Text("ByteArray")
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        String::read(value).map(Self)
    }
    fn node(&self) -> Node<'_> {
        self.0.node()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(ByteArray::new(bytes.as_bytes()).as_str(), text);
            assert_eq!(ByteArray(text.into()).decode().unwrap(), bytes.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(ByteArray::new(&all).decode().unwrap(), all);
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["Z", "Zg=", "Z===", "====", "Zm9*", "=Zg="] {
            assert!(ByteArray(text.into()).decode().is_err(), "{text}");
        }
    }
}
