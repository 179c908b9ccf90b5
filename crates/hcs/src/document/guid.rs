//! GUIDs: equal by value, written as they were read.

use super::{Element, Mismatch, Node, Shape};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A GUID. Two are equal when their values are, in whatever spelling; it is written as it was read.
#[derive(Clone)]
pub struct Guid {
    bytes: [u8; 16],
    /// Only if it differs from lower case without braces.
    spelling: Option<Box<str>>,
}

/// Text that is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a GUID")]
pub struct NotAGuid {
    text: String,
}

impl Guid {
    /// All zero: the utility VM itself in the guest protocol, "make one" in HCN.
    pub const NIL: Self = Self::from_bytes([0; 16]);

    /// A GUID of its bytes in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, spelling: None }
    }

    /// A GUID of a number whose highest byte is written first.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self::from_bytes(value.to_be_bytes())
    }

    /// The Hyper-V socket service of a vsock port: `xxxxxxxx-facb-11e6-bd58-64006a7986d3`, the port in hex.
    #[must_use]
    pub const fn of_vsock_port(port: u32) -> Self {
        Self::from_u128(((port as u128) << 96) | 0xfacb_11e6_bd58_6400_6a79_86d3)
    }

    /// The bytes in the order in which they are written.
    pub const fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// The fields of the C structure: `Data1`, `Data2`, `Data3`, `Data4`.
    pub const fn fields(&self) -> (u32, u16, u16, [u8; 8]) {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.bytes;
        (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]), rest)
    }

    /// A GUID of the fields of the C structure.
    #[must_use]
    pub const fn from_fields(data1: u32, data2: u16, data3: u16, data4: [u8; 8]) -> Self {
        let ([a, b, c, d], [e, f], [g, h]) = (data1.to_be_bytes(), data2.to_be_bytes(), data3.to_be_bytes());
        let [i, j, k, l, m, n, o, p] = data4;
        Self::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// As it was read, or else lower case without braces.
    pub(crate) fn spelling(&self) -> Cow<'_, str> {
        match &self.spelling {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(canonical(&self.bytes)),
        }
    }
}

fn canonical(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text
}

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let bytes = parse(text).ok_or_else(|| NotAGuid { text: text.to_owned() })?;
        let spelling = (canonical(&bytes) != text).then(|| text.into());
        Ok(Self { bytes, spelling })
    }
}

/// 8-4-4-4-12 hex digits, in braces or not.
fn parse(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix('{').map_or(Some(text), |inner| inner.strip_suffix('}'))?.as_bytes();
    if digits.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut nibble = 0;
    for (index, &digit) in digits.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if digit != b'-' {
                return None;
            }
            continue;
        }
        let value = char::from(digit).to_digit(16)? as u8;
        bytes[nibble / 2] = bytes[nibble / 2] << 4 | value;
        nibble += 1;
    }
    Some(bytes)
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&canonical(&self.bytes))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl PartialEq for Guid {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Guid {}

impl PartialOrd for Guid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Guid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for Guid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Element for Guid {
    fn shape() -> Shape {
        Shape::Text("Guid")
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        let guid = value.as_str().and_then(|text| text.parse().ok());
        guid.ok_or_else(|| Mismatch::new("Guid", &value))
    }
    fn node(&self) -> Node<'_> {
        Node::Text(self.spelling())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_differ_and_values_do_not() {
        let plain: Guid = "df6d0690-79e5-55b6-a5ec-c1e2f77f580a".parse().unwrap();
        let shouted: Guid = "{DF6D0690-79E5-55B6-A5EC-C1E2F77F580A}".parse().unwrap();
        assert_eq!(plain, shouted);
        assert_eq!(shouted.spelling(), "{DF6D0690-79E5-55B6-A5EC-C1E2F77F580A}");
        assert_eq!(shouted.to_string(), "df6d0690-79e5-55b6-a5ec-c1e2f77f580a");
        let (a, b, c, d) = plain.fields();
        assert_eq!((a, b, c), (0xdf6d0690, 0x79e5, 0x55b6));
        assert_eq!(Guid::from_fields(a, b, c, d), plain);
    }

    #[test]
    fn a_vsock_port_has_its_service() {
        assert_eq!(Guid::of_vsock_port(0x4000_0000).to_string(), "40000000-facb-11e6-bd58-64006a7986d3");
    }

    #[test]
    fn what_is_not_a_guid_is_refused() {
        for text in [
            "",
            "{}",
            "df6d0690-79e5-55b6-a5ec-c1e2f77f580",
            "df6d069079e555b6a5ecc1e2f77f580a",
            "{df6d0690-79e5-55b6-a5ec-c1e2f77f580a",
            "df6d0690-79e5-55b6-a5ec-c1e2f77f58é",
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }
}
