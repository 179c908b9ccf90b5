//! As much of protocol buffers as CRIU's messages need: variable-length integers, and fields that have a length.

/// A message in the making.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    /// An integer, a truth value or a word of an enumeration.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.varint((u64::from(field) << 3) | VARINT);
        self.varint(value);
    }

    /// Text, bytes or another message.
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.varint((u64::from(field) << 3) | LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Number(_) => &[],
            Value::Bytes(bytes) => bytes,
        }
    }
}

/// Takes the next field off a message; `None` at its end, or where it is no message any more.
pub(super) fn next<'a>(message: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = varint(message)?;
    let field = u32::try_from(tag >> 3).ok()?;
    let value = match tag & 7 {
        VARINT => Value::Number(varint(message)?),
        FIXED_64 => Value::Bytes(take(message, 8)?),
        LENGTH => {
            let length = usize::try_from(varint(message)?).ok()?;
            Value::Bytes(take(message, length)?)
        }
        FIXED_32 => Value::Bytes(take(message, 4)?),
        _ => return None,
    };
    Some((field, value))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(message, 1)? else { return None };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        // The examples of protobuf.dev/programming-guides/encoding.
        let mut message = Message::default();
        message.number(1, 150);
        message.bytes(2, b"testing");
        assert_eq!(message.as_bytes(), b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn what_was_written_is_read_and_the_rest_is_not_trusted() {
        let mut message = Message::default();
        message.number(3, u64::MAX);
        message.bytes(300, b"x");
        let mut bytes = message.as_bytes();
        assert_eq!(next(&mut bytes), Some((3, Value::Number(u64::MAX))));
        assert_eq!(next(&mut bytes), Some((300, Value::Bytes(b"x"))));
        assert_eq!(next(&mut bytes), None);
        for broken in [
            &b"\x08"[..],
            b"\x08\xff",
            b"\x12\x05abc",
            b"\x0b",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(next(&mut &*broken), None, "{broken:?}");
        }
    }
}
