//! Rust text without what is no code: comments and the insides of literals become blanks, line for line.

/// Blanks comments and the contents of string and character literals; lines keep their numbers.
pub(crate) fn blank(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, keep) = token(rest, first, blanked.chars().next_back());
        let (token, tail) = rest.split_at(length);
        if keep {
            blanked.push_str(token);
        } else {
            blanked.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = tail;
    }
    blanked
}

/// How long the token at the start of `rest` is in bytes, and whether it is code.
fn token(rest: &str, first: char, before: Option<char>) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let Some(length) = raw_string(rest).filter(|_| !in_name) {
        return (length, false);
    }
    match first {
        '"' => (quoted(rest, '"'), false),
        '\'' => match character(rest) {
            Some(length) => (length, false),
            None => (1, true),
        },
        _ => (first.len_utf8(), true),
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a raw string: `r"…"`, `r#"…"#`, `br"…"` and so on.
fn raw_string(rest: &str) -> Option<usize> {
    let after_prefix = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let quote = after_prefix.trim_start_matches('#');
    let content = quote.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(after_prefix.len() - quote.len()));
    let closed = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(rest.len() - content.len() + closed)
}

/// The length of a literal between two `quote`s, in which a backslash escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.chars().skip(1);
    match (characters.next()?, characters.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(blank("a // unsafe\nb"), "a          \nb");
        assert_eq!(blank("a /* x /* y */ z */ b"), "a                   b");
        assert_eq!(blank(r#"f("unsafe \" x", 'u', b"n")"#), r"f(             ,    , b   )");
        assert_eq!(blank("r#\"a \" b\"# c"), "           c");
    }

    #[test]
    fn lifetimes_and_names_stay() {
        assert_eq!(blank("fn f<'a>(x: &'a str) -> '\\'' {}"), "fn f<'a>(x: &'a str) ->      {}");
        assert_eq!(blank("for bar in r"), "for bar in r");
    }
}
