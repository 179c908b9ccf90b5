//! Where the standard streams of a process come from and go to, as strings that the protocol carries.
//!
//! | string                            | what it is                                                              |
//! |-----------------------------------|-------------------------------------------------------------------------|
//! | empty                             | nothing: `/dev/null`                                                    |
//! | `/path`, `fifo:///path`           | a fifo; the other end is the caller's                                   |
//! | `file:///path`                    | output is appended to the file                                          |
//! | `binary:///path?name=value…`      | output goes to a program that the shim starts                           |
//! | `cri-log:///path?limit=16384`     | output is written as a log in the format of CRI; both streams share it  |
//! | `cri-stdin:?once=true`            | input comes from those who attach; with `once` until the first is done  |

use std::fmt;
use std::path::{Path, PathBuf};

/// How long a line of a log is before it is cut, unless the string says otherwise.
pub const CRI_LINE_LIMIT: usize = 16 << 10;

/// The streams of a process. With a terminal, nothing comes from standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Streams {
    /// Standard input.
    pub stdin: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The process gets a terminal.
    pub terminal: bool,
}

/// The string for output to a log in the format of CRI.
pub fn cri_log(path: &Path, limit: usize) -> String {
    format!("cri-log://{}?limit={limit}", Escaped(path))
}

/// The string for input from those who attach.
pub fn cri_stdin(once: bool) -> String {
    format!("cri-stdin:?once={once}")
}

/// A string that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nothing.
    Null,
    /// A fifo.
    Fifo(PathBuf),
    /// Output is appended.
    File(PathBuf),
    /// A program with arguments, each `(name, value)` two of them.
    Binary(PathBuf, Vec<(String, String)>),
    /// A log in the format of CRI, with the length at which lines are cut.
    CriLog(PathBuf, usize),
    /// From those who attach; with `true` until the first is done.
    CriStdin(bool),
}

/// A string that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {text:?}: {why}")]
pub struct Misunderstood {
    text: String,
    why: &'static str,
}

impl Target {
    /// Understands a string of [`Streams`].
    pub fn parse(text: &str) -> Result<Self, Misunderstood> {
        let wrong = |why| Misunderstood { text: text.to_owned(), why };
        if text.is_empty() {
            return Ok(Target::Null);
        }
        if text.starts_with('/') {
            return Ok(Target::Fifo(text.into()));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("not an absolute path"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = unescape(path.strip_prefix("//").unwrap_or(path)).ok_or_else(|| wrong("a bad escape"))?;
        let mut arguments = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plus = |text: &str| unescape(&text.replace('+', " "));
            let both = plus(name).zip(plus(value)).ok_or_else(|| wrong("a bad escape"))?;
            arguments.push(both);
        }
        let argument =
            |wanted: &str| arguments.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        if scheme != "cri-stdin" && !path.starts_with('/') {
            return Err(wrong("the path is not absolute"));
        }
        match scheme {
            "fifo" => Ok(Target::Fifo(path.into())),
            "file" => Ok(Target::File(path.into())),
            "binary" => Ok(Target::Binary(path.into(), arguments)),
            "cri-log" => {
                let limit = match argument("limit") {
                    None => CRI_LINE_LIMIT,
                    Some(limit) => limit.parse().map_err(|_| wrong("the limit is no number"))?,
                };
                Ok(Target::CriLog(path.into(), limit))
            }
            "cri-stdin" => match argument("once") {
                None | Some("false") => Ok(Target::CriStdin(false)),
                Some("true") => Ok(Target::CriStdin(true)),
                Some(_) => Err(wrong("once is true or false")),
            },
            _ => Err(wrong("no such scheme")),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// What would end or change a path in such a string is escaped.
struct Escaped<'a>(&'a Path);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            match c {
                '%' | '?' | '#' => write!(f, "%{:02X}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    #[test]
    fn each_scheme_is_understood() {
        assert_eq!(parse(""), Target::Null);
        assert_eq!(parse("/run/x?y"), Target::Fifo("/run/x?y".into()));
        assert_eq!(parse("fifo:///run/x"), Target::Fifo("/run/x".into()));
        assert_eq!(parse("file:///var/log/a%20b"), Target::File("/var/log/a b".into()));
        let arguments = vec![("id".to_owned(), "a b".to_owned()), ("flag".to_owned(), String::new())];
        assert_eq!(parse("binary:///bin/l?id=a+b&flag"), Target::Binary("/bin/l".into(), arguments));
        assert_eq!(parse("cri-log:///l"), Target::CriLog("/l".into(), CRI_LINE_LIMIT));
        assert_eq!(parse("cri-stdin:"), Target::CriStdin(false));
        assert_eq!(parse(&cri_stdin(true)), Target::CriStdin(true));
        let odd = Path::new("/l/100%?#ä b");
        assert_eq!(parse(&cri_log(odd, 7)), Target::CriLog(odd.into(), 7));
    }

    #[test]
    fn what_means_nothing_is_refused_with_the_reason() {
        let why = |text| Target::parse(text).unwrap_err().to_string();
        assert_eq!(why("x"), "stream \"x\": not an absolute path");
        assert_eq!(why("file://x"), "stream \"file://x\": the path is not absolute");
        assert_eq!(why("npipe:///x"), "stream \"npipe:///x\": no such scheme");
        assert_eq!(why("cri-log:///x?limit=y"), "stream \"cri-log:///x?limit=y\": the limit is no number");
        assert_eq!(why("file:///%4"), "stream \"file:///%4\": a bad escape");
    }
}
