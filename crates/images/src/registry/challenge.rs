//! `WWW-Authenticate`: how a registry wants to be asked (RFC 9110 section 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One challenge of possibly several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case.
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All challenges of a response.
    pub(crate) fn all(headers: &HeaderMap) -> Vec<Challenge> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
    }

    /// A parameter's value; names are not case sensitive.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A comma separates challenges as well as their parameters: a word that `=` does not follow begins a challenge.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return challenges;
        }
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        match (value, challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = match value.strip_prefix('"') {
                    Some(quoted) => unquote(quoted),
                    None => {
                        let (value, after) = token(value);
                        (value.to_owned(), after)
                    }
                };
                challenge.parameters.push((word.to_owned(), value));
                rest = after;
            }
            // A parameter of nothing.
            (Some(_), None) => return challenges,
            (None, _) => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    text.split_at(end)
}

/// What stands before the closing quote, and what comes after it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_from_their_parameters() {
        let text = r#"Bearer realm="https://auth.example/token?x=1,2",service="r",scope="repository:a/b:pull,push", Basic realm = "say \"hi\"", Negotiate"#;
        let challenges = parse(text);
        let schemes: Vec<&str> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["bearer", "basic", "negotiate"]);
        assert_eq!(challenges[0].get("Realm"), Some("https://auth.example/token?x=1,2"));
        assert_eq!(challenges[0].get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(challenges[1].get("realm"), Some("say \"hi\""));
        assert_eq!(challenges[2].get("realm"), None);
    }

    #[test]
    fn nonsense_ends_the_list() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("=x"), []);
        assert_eq!(parse("\"x\""), []);
        assert_eq!(parse("Basic realm=\"open").first().and_then(|c| c.get("realm")), Some("open"));
        assert_eq!(parse("Bearer realm=plain,service=s")[0].get("service"), Some("s"));
    }
}
