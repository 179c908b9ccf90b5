//! JSON text as Go's `encoding/json` writes it.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// One line, without its end.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(escape)
}

/// Several lines, without the end of the last.
pub(crate) fn indented(value: &impl Serialize, indent: &str) -> serde_json::Result<String> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(
        &mut text,
        PrettyFormatter::with_indent(indent.as_bytes()),
    ))?;
    Ok(escape(String::from_utf8_lossy(&text).into_owned()))
}

/// Go escapes what is special in HTML and JavaScript. These characters stand nowhere in JSON but in strings.
fn escape(text: String) -> String {
    const SPECIAL: [char; 5] = ['<', '>', '&', '\u{2028}', '\u{2029}'];
    if !text.contains(SPECIAL) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if SPECIAL.contains(&c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_gos() {
        assert_eq!(line(&["a<b>&\u{2028}\"\n"]).unwrap(), r#"["a\u003cb\u003e\u0026\u2028\"\n"]"#);
        assert_eq!(indented(&[1, 2], "  ").unwrap(), "[\n  1,\n  2\n]");
    }
}
