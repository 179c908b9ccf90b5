//! Which field of a JSON text a parser was at when it gave up. Parsers tell line and column; people think in fields.
//!
//! (A deserializer that keeps track of its path does the same at the price of a second copy of all parsing code.)

/// An open object with the key it is at, or an open array with its index.
enum Level<'a> {
    Object(Option<&'a [u8]>),
    Array(usize),
}

/// The field at `line` and `column` as `a.b[1].c`, both counted as serde_json does; empty at the top.
pub(super) fn at(text: &[u8], line: usize, column: usize) -> String {
    let start: usize =
        text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let seen = text.get(..start.saturating_add(column)).unwrap_or(text);
    let mut levels = Vec::new();
    let mut bytes = seen.iter().enumerate();
    // A string in an object is a key where no value is due.
    let mut value_due = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => drop(levels.pop()),
            b':' => value_due = true,
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key)) => *key = None,
                None => {}
            },
            b'"' => {
                let string = string(seen.get(at + 1..).unwrap_or_default());
                // The string and its closing quote.
                bytes.by_ref().take(string.len() + 1).for_each(drop);
                if let (Some(Level::Object(key)), false) = (levels.last_mut(), value_due) {
                    *key = Some(string);
                }
            }
            _ => {}
        }
        if !matches!(byte, b':' | b' ' | b'\t' | b'\r' | b'\n') {
            value_due = false;
        }
    }
    render(&levels)
}

/// The bytes before the closing quote.
fn string(text: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn render(levels: &[Level<'_>]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(None) => {}
            Level::Object(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(key));
            }
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path at the mark `^`, which is taken out.
    fn at_mark(text: &str) -> String {
        let (before, after) = text.split_once('^').unwrap();
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        at(format!("{before}{after}").as_bytes(), line, column)
    }

    #[test]
    fn a_place_is_a_path() {
        assert_eq!(at_mark(r#"{"a":1^}"#), "a");
        assert_eq!(at_mark(r#"{"a":{"b":[0,{"c":"x"^}]}}"#), "a.b[1].c");
        assert_eq!(at_mark(r#"{"a":{"b":[0,{"c":"x"}^]}}"#), "a.b[1]");
        assert_eq!(at_mark(r#"{"a":{"b":1}^,"c":2}"#), "a");
        assert_eq!(at_mark("{\n\"a\" : [\n1,\n 2^]}"), "a[1]");
        assert_eq!(at_mark(r#"[[1],[2,[3^]]]"#), "[1][1][0]");
    }

    #[test]
    fn strings_are_not_structure() {
        assert_eq!(at_mark(r#"{"a":"{[\",","b\"":"x"^}"#), r#"b\""#);
        assert_eq!(at_mark(r#"{"a":"\\","b":1^}"#), "b");
        assert_eq!(at_mark(r#"{"a":"unfinished^"#), "a");
    }

    #[test]
    fn nonsense_has_no_path() {
        for text in ["^", "]]}}^", "{^", "nonsense^", "\"^", "{,,,:::^"] {
            assert_eq!(at_mark(text), "", "{text}");
        }
        assert_eq!(at(b"{}", 100, 100), "");
        assert_eq!(at(b"{}", usize::MAX, usize::MAX), "");
    }
}
