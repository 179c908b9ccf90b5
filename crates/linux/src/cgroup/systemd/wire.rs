//! Values as bytes: the D-Bus message format. Each value is aligned to its own size from the start of the message.

use super::value::Value;

/// The kinds of messages.
pub(super) const CALL: u8 = 1;
pub(super) const REPLY: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

const LITTLE_ENDIAN: u8 = b'l';
const VERSION: u8 = 1;
pub(super) const FIXED_HEADER: usize = 16;
/// Nothing systemd says to us is longer.
const LONGEST: usize = 16 << 20;
const DEEPEST: u8 = 32;

/// The header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) member: String,
    pub(super) error_name: String,
    pub(super) reply_serial: u32,
    pub(super) body: Vec<Value>,
}

/// A method call, ready to be sent.
pub(super) fn call(
    serial: u32,
    destination: Option<&str>,
    path: &str,
    interface: &str,
    member: &str,
    body: &[Value],
) -> Vec<u8> {
    let mut content = Vec::new();
    for value in body {
        encode(value, &mut content);
    }
    let mut fields =
        vec![(PATH, Value::ObjectPath(path.into())), (INTERFACE, interface.into()), (MEMBER, member.into())];
    fields.extend(destination.map(|destination| (DESTINATION, destination.into())));
    if !body.is_empty() {
        fields.push((SIGNATURE, Value::Signature(body.iter().map(Value::signature).collect())));
    }
    let mut message = vec![LITTLE_ENDIAN, CALL, 0, VERSION];
    message.extend(length_of(content.len()));
    message.extend(serial.to_le_bytes());
    let field = |(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
    encode(&Value::Array("(yv)".into(), fields.into_iter().map(field).collect()), &mut message);
    align(&mut message, 8);
    message.extend(content);
    message
}

/// Lengths on the wire have 32 bits; what is sent here is far below.
fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn align(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn alignment(signature: &str) -> usize {
    match signature.bytes().next() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a' | b'h') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    align(out, alignment(&value.signature()));
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(length_of(text.len()));
        out.extend(text.as_bytes());
        out.push(0);
    };
    match value {
        Value::Byte(n) => out.push(*n),
        Value::Bool(b) => out.extend(u32::from(*b).to_le_bytes()),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::F64(n) => out.extend(n.to_le_bytes()),
        Value::String(s) | Value::ObjectPath(s) => text(out, s),
        Value::Signature(s) => signature(out, s),
        Value::Variant(inner) => {
            signature(out, &inner.signature());
            encode(inner, out);
        }
        Value::Struct(fields) => fields.iter().for_each(|field| encode(field, out)),
        Value::Entry(entry) => {
            encode(&entry.0, out);
            encode(&entry.1, out);
        }
        Value::Array(element, items) => {
            let at = out.len();
            out.extend([0; 4]);
            align(out, alignment(element));
            let start = out.len();
            items.iter().for_each(|item| encode(item, out));
            let length = length_of(out.len().saturating_sub(start));
            if let Some(place) = out.get_mut(at..at.saturating_add(4)) {
                place.copy_from_slice(&length);
            }
        }
    }
}

fn signature(out: &mut Vec<u8>, signature: &str) {
    out.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
    out.extend(signature.as_bytes());
    out.push(0);
}

/// How much follows the fixed header of a message: padded fields and body.
pub(super) fn remaining(header: &[u8; FIXED_HEADER]) -> Result<usize, String> {
    let mut reader = Reader::new(header)?;
    reader.at = 4;
    let (body, _serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let all = size(fields).checked_next_multiple_of(8).and_then(|fields| fields.checked_add(size(body)));
    all.filter(|all| *all <= LONGEST).ok_or_else(|| "a message that is too long".into())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Message, String> {
    let mut reader = Reader::new(bytes)?;
    let mut message = Message { kind: bytes.get(1).copied().unwrap_or_default(), ..Message::default() };
    reader.at = 12;
    let mut body_signature = String::new();
    let Value::Array(_, fields) = reader.value("a(yv)")? else { return Err("no header fields".into()) };
    for field in fields {
        let Value::Struct(field) = field else { continue };
        if let [Value::Byte(code), Value::Variant(value)] = field.as_slice() {
            match (*code, value.as_ref()) {
                (MEMBER, Value::String(member)) => message.member.clone_from(member),
                (ERROR_NAME, Value::String(name)) => message.error_name.clone_from(name),
                (REPLY_SERIAL, Value::U32(serial)) => message.reply_serial = *serial,
                (SIGNATURE, Value::Signature(signature)) => body_signature.clone_from(signature),
                _ => {}
            }
        }
    }
    reader.align(8);
    for signature in split_signature(&body_signature) {
        message.body.push(reader.value(signature)?);
    }
    Ok(message)
}

/// The complete types that a signature consists of.
pub(super) fn split_signature(signature: &str) -> impl Iterator<Item = &str> {
    let mut rest = signature;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_at_checked(first_type(rest))?;
        rest = tail;
        (!first.is_empty()).then_some(first)
    })
}

fn first_type(signature: &str) -> usize {
    let mut depth = 0usize;
    for (index, c) in signature.char_indices() {
        match c {
            'a' => continue,
            '(' | '{' => depth = depth.saturating_add(1),
            ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index.saturating_add(c.len_utf8());
        }
    }
    signature.len()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
    depth: u8,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, String> {
        match bytes.first() {
            Some(b'l') => Ok(Self { bytes, at: 0, little: true, depth: 0 }),
            Some(b'B') => Ok(Self { bytes, at: 0, little: false, depth: 0 }),
            other => Err(format!("a message that begins with {other:?}")),
        }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.checked_next_multiple_of(to).unwrap_or(usize::MAX);
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length).ok_or("a length without end")?;
        let taken = self.bytes.get(self.at..end).ok_or("a message that is too short")?;
        self.at = end;
        Ok(taken)
    }

    /// A number of a size, in the byte order of this machine.
    fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.align(N);
        let mut bytes: [u8; N] = self.take(N)?.try_into().map_err(|_| "a number of another size")?;
        if self.little != cfg!(target_endian = "little") {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.number().map(u32::from_ne_bytes)
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        let bytes = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(bytes).map_err(|_| "a string that is not UTF-8".into())
    }

    fn string(&mut self) -> Result<String, String> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.text(length)
    }

    fn signature(&mut self) -> Result<String, String> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        self.text(length.into())
    }

    fn value(&mut self, signature: &str) -> Result<Value, String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST {
            return Err("a value that is too deep".into());
        }
        let value = self.value_of(signature);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn value_of(&mut self, signature: &str) -> Result<Value, String> {
        Ok(match signature.bytes().next() {
            Some(b'y') => Value::Byte(self.number().map(u8::from_ne_bytes)?),
            Some(b'b') => Value::Bool(self.u32()? != 0),
            Some(b'n') => Value::I16(self.number().map(i16::from_ne_bytes)?),
            Some(b'q') => Value::U16(self.number().map(u16::from_ne_bytes)?),
            Some(b'i') => Value::I32(self.number().map(i32::from_ne_bytes)?),
            Some(b'u' | b'h') => Value::U32(self.u32()?),
            Some(b'x') => Value::I64(self.number().map(i64::from_ne_bytes)?),
            Some(b't') => Value::U64(self.number().map(u64::from_ne_bytes)?),
            Some(b'd') => Value::F64(self.number().map(f64::from_ne_bytes)?),
            Some(b's') => Value::String(self.string()?),
            Some(b'o') => Value::ObjectPath(self.string()?),
            Some(b'g') => Value::Signature(self.signature()?),
            Some(b'v') => {
                let inner = self.signature()?;
                Value::Variant(Box::new(self.value(&inner)?))
            }
            Some(b'a') => {
                let element = signature.get(1..).unwrap_or_default();
                let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
                self.align(alignment(element));
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
                let end = end.ok_or("an array that is too long")?;
                let mut items = Vec::new();
                while self.at < end {
                    items.push(self.value(element)?);
                }
                Value::Array(element.to_owned(), items)
            }
            Some(open @ (b'(' | b'{')) => {
                self.align(8);
                let inner = signature.get(1..signature.len().saturating_sub(1)).unwrap_or_default();
                let fields =
                    split_signature(inner).map(|field| self.value(field)).collect::<Result<Vec<_>, _>>()?;
                match <[Value; 2]>::try_from(fields) {
                    Ok([key, value]) if open == b'{' => Value::Entry(Box::new((key, value))),
                    Ok(both) => Value::Struct(both.into()),
                    // A value takes at least a byte, or an array of these would never end.
                    Err(fields) if fields.is_empty() => return Err("an empty structure".into()),
                    Err(fields) => Value::Struct(fields),
                }
            }
            other => return Err(format!("unknown type {other:?}")),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message as a peer of ours would send it.
    pub(in super::super) fn message(kind: u8, fields: Vec<(u8, Value)>, body: &[Value]) -> Vec<u8> {
        let mut content = Vec::new();
        body.iter().for_each(|value| encode(value, &mut content));
        let mut fields = fields;
        fields.push((SIGNATURE, Value::Signature(body.iter().map(Value::signature).collect())));
        let mut message = vec![b'l', kind, 0, 1];
        message.extend(length_of(content.len()));
        message.extend(7u32.to_le_bytes());
        let field = |(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        encode(&Value::Array("(yv)".into(), fields.into_iter().map(field).collect()), &mut message);
        align(&mut message, 8);
        message.extend(content);
        message
    }

    #[test]
    fn a_call_has_the_bytes_of_the_specification() {
        let bytes = call(1, Some("d"), "/", "i.i", "M", &[Value::from("x")]);
        #[rustfmt::skip]
        let expected = [
            b'l', 1, 0, 1, 6, 0, 0, 0, 1, 0, 0, 0, 69, 0, 0, 0,
            1, 1, b'o', 0, 1, 0, 0, 0, b'/', 0, 0, 0, 0, 0, 0, 0,
            2, 1, b's', 0, 3, 0, 0, 0, b'i', b'.', b'i', 0, 0, 0, 0, 0,
            3, 1, b's', 0, 1, 0, 0, 0, b'M', 0, 0, 0, 0, 0, 0, 0,
            6, 1, b's', 0, 1, 0, 0, 0, b'd', 0, 0, 0, 0, 0, 0, 0,
            8, 1, b'g', 0, 1, b's', 0, 0,
            1, 0, 0, 0, b'x', 0,
        ];
        // The array's length leaves out the padding before the body.
        assert_eq!(bytes.len(), expected.len());
        assert_eq!(bytes[16..], expected[16..]);
        assert_eq!(bytes[..12], expected[..12]);
        assert_eq!(u32::from_le_bytes(bytes[12..16].try_into().unwrap()), 71);
    }

    #[test]
    fn every_value_survives_the_wire() {
        let body = vec![
            Value::Byte(1),
            Value::I64(-2),
            Value::Bool(true),
            Value::U16(3),
            Value::F64(0.5),
            Value::strings(["a", "bcd"]),
            Value::Array("(sa(sv))".into(), vec![]),
            Value::properties(vec![
                ("A".into(), Value::U64(u64::MAX)),
                ("B".into(), Value::bytes(vec![1, 2, 3])),
                (
                    "C".into(),
                    Value::Array(
                        "(ss)".into(),
                        vec![Value::Struct(vec![Value::from("x"), Value::from("y")])],
                    ),
                ),
            ]),
            Value::Array(
                "{sv}".into(),
                vec![Value::Entry(Box::new((Value::from("k"), Value::Variant(Box::new(Value::I32(4))))))],
            ),
        ];
        let bytes = call(9, None, "/org", "a.b", "Do", &body);
        let header: [u8; FIXED_HEADER] = bytes[..FIXED_HEADER].try_into().unwrap();
        assert_eq!(remaining(&header).unwrap(), bytes.len() - FIXED_HEADER);
        let message = decode(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (CALL, "Do"));
        assert_eq!(message.body, body);
    }

    #[test]
    fn a_broken_message_is_an_error_at_whatever_byte() {
        let bytes =
            message(SIGNAL, vec![(MEMBER, "JobRemoved".into())], &[Value::U32(1), Value::strings(["x"])]);
        assert!(decode(&bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes were read");
        }
        for index in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 0xff;
            // Whatever it is, it is no panic and no endless loop.
            drop(decode(&broken));
        }
    }
}
