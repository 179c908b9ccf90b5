//! Numbers whose bits or values have names, as HCN has them: written as they were read, number or word.

use super::{Mismatch, Node, Since, Words};
use serde_json::Value;
use std::hash::{Hash, Hasher};

/// A number, and the word it was read from if it was one. Equal by number.
#[derive(Debug, Clone)]
pub struct Spelled {
    value: u64,
    text: Option<Box<str>>,
}

impl Spelled {
    /// A number.
    #[must_use]
    pub const fn number(value: u64) -> Self {
        Self { value, text: None }
    }

    /// The number.
    pub const fn value(&self) -> u64 {
        self.value
    }

    pub(crate) fn node(&self, words: &Words, numbers: &[u64], bits: bool) -> Node<'_> {
        let since = since_of(self.value, words, numbers, bits);
        match &self.text {
            Some(text) => Node::Word(text.as_ref().into(), since),
            None => Node::Number(self.value, since),
        }
    }
}

impl PartialEq for Spelled {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Spelled {}

impl Hash for Spelled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// Reads a number, a name, or (of bits) names joined by commas.
pub(crate) fn read_number(
    value: Value,
    words: &Words,
    numbers: &[u64],
    bits: bool,
) -> Result<Spelled, Mismatch> {
    let mismatch = Mismatch::new(words.name, &value);
    match value {
        Value::Number(number) => {
            let value = number.as_u64().filter(|value| u32::try_from(*value).is_ok());
            value.map(Spelled::number).ok_or(mismatch)
        }
        Value::String(text) => {
            let parts = text.split(',').map(|part| {
                let index = words.values.iter().position(|(name, _)| *name == part.trim())?;
                numbers.get(index)
            });
            let values: Option<Vec<&u64>> = parts.collect();
            let values = values.filter(|values| bits || values.len() == 1).ok_or(mismatch)?;
            Ok(Spelled {
                value: values.into_iter().fold(0, |all, value| all | value),
                text: Some(text.into()),
            })
        }
        _ => Err(mismatch),
    }
}

/// The newest of the named bits that are set, or the version of the one value.
fn since_of(value: u64, words: &Words, numbers: &[u64], bits: bool) -> Since {
    let named = numbers.iter().zip(words.values).filter(|(number, _)| match bits {
        true => **number != 0 && value & **number == **number,
        false => **number == value,
    });
    let versions = named.filter_map(|(_, (_, since))| match since.unwrap_or(words.since) {
        Since::Schema(version) => Some(version),
        Since::Unpublished => None,
    });
    versions.max().map_or(Since::Unpublished, Since::Schema)
}

/// `bits Name { … }` or `value Name { … }`.
pub(crate) const fn is_bits(how: &str) -> bool {
    match how.as_bytes() {
        b"bits" => true,
        b"value" => false,
        _ => panic!("a table of numbers begins with `bits` or `value`"),
    }
}
