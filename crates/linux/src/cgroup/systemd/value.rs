//! Values of D-Bus, and GVariant's text form of them, as far as unit properties need it.

/// A value that knows its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    String(String),
    ObjectPath(String),
    Signature(String),
    /// With the type of its elements, which an empty one needs too.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    Entry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl Value {
    /// `a(sv)`.
    pub(crate) fn properties(properties: Vec<(String, Value)>) -> Self {
        let pair = |(name, value)| Value::Struct(vec![Value::String(name), Value::Variant(Box::new(value))]);
        Value::Array("(sv)".into(), properties.into_iter().map(pair).collect())
    }

    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Value::Array("y".into(), bytes.into_iter().map(Value::Byte).collect())
    }

    pub(crate) fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Self {
        Value::Array("s".into(), strings.into_iter().map(Value::from).collect())
    }

    pub(crate) fn signature(&self) -> String {
        match self {
            Value::Byte(_) => "y".into(),
            Value::Bool(_) => "b".into(),
            Value::I16(_) => "n".into(),
            Value::U16(_) => "q".into(),
            Value::I32(_) => "i".into(),
            Value::U32(_) => "u".into(),
            Value::I64(_) => "x".into(),
            Value::U64(_) => "t".into(),
            Value::F64(_) => "d".into(),
            Value::String(_) => "s".into(),
            Value::ObjectPath(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(fields) => {
                format!("({})", fields.iter().map(Value::signature).collect::<String>())
            }
            Value::Entry(entry) => format!("{{{}{}}}", entry.0.signature(), entry.1.signature()),
            Value::Variant(_) => "v".into(),
        }
    }

    /// Reads the text form: `uint64 5`, `'text'`, `['a', "b"]`, `@as []`, `(1, true)`, `{'k': <'v'>}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, depth: 0 };
        let value = parser.value(None)?;
        parser.blank();
        if parser.rest.is_empty() {
            Ok(value)
        } else {
            Err(format!("unexpected {:?} after the value", parser.rest))
        }
    }
}

/// Types named by a keyword.
const KEYWORDS: [(&str, &str); 13] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("handle", "h"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];
const DEEPEST: u8 = 32;

struct Parser<'a> {
    rest: &'a str,
    depth: u8,
}

impl<'a> Parser<'a> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blank();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected {token:?} at {:?}", self.rest)) }
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        self.blank();
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// `wanted` is the type that the surroundings ask for.
    fn value(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST {
            return Err("too deep".into());
        }
        self.blank();
        let value = match self.rest.chars().next() {
            None => Err("nothing there".into()),
            Some('@') => {
                self.expect("@")?;
                let signature = self.word(|c| c.is_ascii_alphabetic() || "(){}".contains(c)).to_owned();
                self.value(Some(&signature))
            }
            Some('[') => self.array(wanted),
            Some('{') => self.dictionary(wanted),
            Some('(') => self.tuple(wanted),
            Some('<') => {
                self.expect("<")?;
                let inner = self.value(None)?;
                self.expect(">")?;
                Ok(Value::Variant(Box::new(inner)))
            }
            Some('\'' | '"') => {
                let text = self.quoted()?;
                match wanted {
                    None | Some("s") => Ok(Value::String(text)),
                    Some("o") => Ok(Value::ObjectPath(text)),
                    Some("g") => Ok(Value::Signature(text)),
                    Some(other) => Err(format!("{text:?} is not of type {other}")),
                }
            }
            Some('b') if self.rest.starts_with(['b']) && matches!(self.rest.get(1..2), Some("'" | "\"")) => {
                self.expect("b")?;
                let mut bytes = self.quoted()?.into_bytes();
                bytes.push(0);
                Ok(Value::bytes(bytes))
            }
            Some(c) if c.is_ascii_alphabetic() => self.named(wanted),
            Some(_) => self.number(wanted),
        };
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn named(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        let word = self.word(|c| c.is_ascii_alphanumeric() || c == '.');
        match (word, wanted) {
            ("true" | "false", None | Some("b")) => Ok(Value::Bool(word == "true")),
            ("inf" | "nan", None | Some("d")) => word.parse().map(Value::F64).map_err(|_| word.to_owned()),
            _ => match KEYWORDS.iter().find(|(keyword, _)| *keyword == word) {
                Some((_, signature)) => self.value(Some(signature)),
                None => Err(format!("unknown word {word:?}")),
            },
        }
    }

    fn number(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        let text = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_real = text.contains(['.', 'e', 'E']) && !text.contains("0x");
        let bad = || format!("{text:?} is no number of type {}", wanted.unwrap_or("i"));
        if is_real || wanted == Some("d") {
            return match wanted {
                None | Some("d") => text.parse().map(Value::F64).map_err(|_| bad()),
                Some(_) => Err(bad()),
            };
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let magnitude = match digits.strip_prefix("0x") {
            Some(hexadecimal) => i128::from_str_radix(hexadecimal, 16),
            None => digits.parse(),
        }
        .map_err(|_| bad())?;
        let n = if negative { magnitude.checked_neg().ok_or_else(bad)? } else { magnitude };
        match wanted.unwrap_or("i") {
            "y" => n.try_into().map(Value::Byte),
            "n" => n.try_into().map(Value::I16),
            "q" => n.try_into().map(Value::U16),
            "i" => n.try_into().map(Value::I32),
            "u" => n.try_into().map(Value::U32),
            "x" => n.try_into().map(Value::I64),
            "t" => n.try_into().map(Value::U64),
            _ => return Err(bad()),
        }
        .map_err(|_| bad())
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.rest.chars();
        let quote = chars.next();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            if Some(c) == quote {
                self.rest = chars.as_str();
                return Ok(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let escape = chars.next().ok_or("the text ends in a backslash")?;
            text.push(match escape {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                'u' | 'U' => {
                    let digits: String = chars.by_ref().take(if escape == 'u' { 4 } else { 8 }).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    code.ok_or_else(|| format!("no character has the code {digits:?}"))?
                }
                other => other,
            });
        }
        Err("the quotation does not end".into())
    }

    fn array(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        let element = match wanted {
            None => None,
            Some(wanted) => Some(
                wanted
                    .strip_prefix('a')
                    .ok_or_else(|| format!("an array is not of type {wanted}"))?
                    .to_owned(),
            ),
        };
        self.expect("[")?;
        let mut items: Vec<Value> = Vec::new();
        while !self.eat("]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            let like_the_first = element.clone().or_else(|| items.first().map(Value::signature));
            items.push(self.value(like_the_first.as_deref())?);
        }
        let element = element.or_else(|| items.first().map(Value::signature));
        let element = element.ok_or("an empty array needs a type, as in @as []")?;
        same_type(&element, items.iter().map(Value::signature))?;
        Ok(Value::Array(element, items))
    }

    fn dictionary(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.eat("}") {
            if !entries.is_empty() {
                self.expect(",")?;
            }
            let key = self.value(None)?;
            self.expect(":")?;
            entries.push(Value::Entry(Box::new((key, self.value(None)?))));
        }
        let element = wanted.and_then(|wanted| wanted.strip_prefix('a')).map(str::to_owned);
        let element = element.or_else(|| entries.first().map(Value::signature));
        let element = element.ok_or("an empty dictionary needs a type, as in @a{sv} {}")?;
        same_type(&element, entries.iter().map(Value::signature))?;
        Ok(Value::Array(element, entries))
    }

    fn tuple(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        self.expect("(")?;
        let mut types = wanted.map(|wanted| super::wire::split_signature(wanted.trim_matches(['(', ')'])));
        let mut fields = Vec::new();
        while !self.eat(")") {
            if !fields.is_empty() {
                self.expect(",")?;
                if self.eat(")") {
                    break;
                }
            }
            let wanted = types.as_mut().and_then(Iterator::next).map(str::to_owned);
            fields.push(self.value(wanted.as_deref())?);
        }
        if fields.is_empty() { Err("an empty tuple".into()) } else { Ok(Value::Struct(fields)) }
    }
}

fn same_type(element: &str, mut types: impl Iterator<Item = String>) -> Result<(), String> {
    match types.find(|other| other != element) {
        None => Ok(()),
        Some(other) => Err(format!("{other} among {element}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read() {
        for (text, signature, expected) in [
            ("true", "b", Value::Bool(true)),
            ("-7", "i", Value::I32(-7)),
            (" uint64 18446744073709551615 ", "t", Value::U64(u64::MAX)),
            ("byte 0xff", "y", Value::Byte(255)),
            ("@t 9", "t", Value::U64(9)),
            ("1.5", "d", Value::F64(1.5)),
            (r#""a'b\n""#, "s", Value::from("a'b\n")),
            ("['a', 'b']", "as", Value::strings(["a", "b"])),
            ("@as []", "as", Value::strings([])),
            ("[uint32 1, 2]", "au", Value::Array("u".into(), vec![Value::U32(1), Value::U32(2)])),
            ("b'x'", "ay", Value::bytes(vec![b'x', 0])),
            ("('a', true)", "(sb)", Value::Struct(vec![Value::from("a"), Value::Bool(true)])),
            ("@(st) ('a', 1)", "(st)", Value::Struct(vec![Value::from("a"), Value::U64(1)])),
            (
                "{'k': <'v'>}",
                "a{sv}",
                Value::Array(
                    "{sv}".into(),
                    vec![Value::Entry(Box::new((
                        Value::from("k"),
                        Value::Variant(Box::new(Value::from("v"))),
                    )))],
                ),
            ),
            ("objectpath '/a'", "o", Value::ObjectPath("/a".into())),
        ] {
            let value = Value::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(value, expected, "{text}");
            assert_eq!(value.signature(), signature, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in [
            "",
            "x",
            "[",
            "[]",
            "['a', 1]",
            "'open",
            "1 2",
            "byte 256",
            "-",
            "()",
            "{1}",
            "<",
            "@",
            "@as 5",
            "\\",
            "99999999999",
            "é",
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            "'\\u12'",
            "0x",
            "b",
            "uint64",
        ] {
            assert!(Value::parse(text).is_err(), "{text:?} was read");
        }
    }
}
