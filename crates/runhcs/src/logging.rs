//! The log and the last word on stderr, byte for byte as runc's: container managers show their users the message of
//! the last `"level":"error"` record in the `--log` file.
//!
//! | log goes to       | a record is                                         | the final error on stderr |
//! |-------------------|-----------------------------------------------------|---------------------------|
//! | `--log FILE`      | one line of the chosen format                       | its plain text            |
//! | stderr            | one line of the chosen format                       | that record               |
//! | stderr, terminal  | one coloured line (text format only)                | that record               |
//!
//! Times are in UTC.

use crate::json;
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

impl Format {
    /// The format that `--log-format` names.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            "" | "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => anyhow::bail!("invalid log-format: {other}"),
        }
    }
}

struct Logger {
    format: Format,
    file: Option<File>,
    /// Records tell where in the program they come from.
    debug: bool,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Opens the log; to be called once. Before it, and when it fails, errors go to stderr as text.
pub(crate) fn open(file: Option<&Path>, format: Format, debug: bool) -> io::Result<()> {
    let file = match file {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    install(Logger { format, file, debug });
    Ok(())
}

/// Reports the error that ends the program.
pub(crate) fn fatal(message: &str) {
    install(Logger { format: Format::Text, file: None, debug: false });
    log::error!("{message}");
    if LOGGER.get().is_some_and(|logger| logger.file.is_some()) {
        // Nobody is left to be told when this fails.
        let _ = writeln!(io::stderr(), "{}", message.strip_suffix('\n').unwrap_or(message));
    }
}

/// The first one stays.
fn install(logger: Logger) {
    let logger = LOGGER.get_or_init(|| logger);
    if log::set_logger(logger).is_ok() {
        log::set_max_level(if logger.debug { LevelFilter::Debug } else { LevelFilter::Info });
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = compute::record::now();
        let now = format!("{}Z", now.split(['.', 'Z']).next().unwrap_or(&now));
        let message = record.args().to_string();
        let source = self.debug.then(|| Source {
            func: record.module_path().unwrap_or_default().to_owned(),
            file: format!("{}:{}", record.file().unwrap_or_default(), record.line().unwrap_or_default()),
        });
        let entry = Entry { level: record.level(), message: &message, time: &now, source };
        let coloured = self.file.is_none() && self.format == Format::Text && io::stderr().is_terminal();
        let line = if coloured { entry.coloured() } else { entry.render(self.format) };
        // A log that cannot be written must not stop the container that is being made.
        let _ = match &self.file {
            Some(file) => (&mut &*file).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

struct Entry<'a> {
    level: Level,
    message: &'a str,
    time: &'a str,
    source: Option<Source>,
}

/// Where in the program a record comes from.
struct Source {
    func: String,
    file: String,
}

impl Entry<'_> {
    fn render(&self, format: Format) -> String {
        match format {
            Format::Text => self.text(),
            Format::Json => self.json(),
        }
    }

    fn text(&self) -> String {
        let mut line = format!("time={} level={}", quoted(self.time), word(self.level));
        if !self.message.is_empty() {
            line.push_str(&format!(" msg={}", quoted(self.message)));
        }
        if let Some(Source { func, file }) = &self.source {
            line.push_str(&format!(" func={} file={}", quoted(func), quoted(file)));
        }
        line.push('\n');
        line
    }

    fn json(&self) -> String {
        /// Keys in alphabetical order, as Go writes a map.
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            func: Option<&'a str>,
            level: &'static str,
            msg: &'a str,
            time: &'a str,
        }
        let fields = Fields {
            file: self.source.as_ref().map(|source| &*source.file),
            func: self.source.as_ref().map(|source| &*source.func),
            level: word(self.level),
            msg: self.message,
            time: self.time,
        };
        let mut line =
            json::line(&fields).unwrap_or_else(|error| format!("{{\"level\":\"error\",\"msg\":{error:?}}}"));
        line.push('\n');
        line
    }

    fn coloured(&self) -> String {
        let (colour, word) = match self.level {
            Level::Error => (31, "ERRO"),
            Level::Warn => (33, "WARN"),
            Level::Info => (36, "INFO"),
            Level::Debug => (37, "DEBU"),
            Level::Trace => (37, "TRAC"),
        };
        let message = self.message.strip_suffix('\n').unwrap_or(self.message);
        format!("\x1b[{colour}m{word}\x1b[0m[0000] {message:<44} \n")
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// In quotes as Go writes them, unless all characters are harmless.
fn quoted(text: &str) -> String {
    let harmless =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | '@' | '^' | '+');
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> Entry<'_> {
        Entry { level: Level::Error, message, time: "2026-01-02T03:04:05Z", source: None }
    }

    /// Recorded from runc.
    #[test]
    fn records_are_runcs_byte_for_byte() {
        assert_eq!(
            entry("runc: \"start\" requires exactly 1 argument(s)").text(),
            "time=\"2026-01-02T03:04:05Z\" level=error msg=\"runc: \\\"start\\\" requires exactly 1 argument(s)\"\n"
        );
        assert_eq!(
            entry("No help topic for 'nosuch'\n").text(),
            "time=\"2026-01-02T03:04:05Z\" level=error msg=\"No help topic for 'nosuch'\\n\"\n"
        );
        assert_eq!(
            entry("No help topic for 'nosuch'\n").json(),
            "{\"level\":\"error\",\"msg\":\"No help topic for 'nosuch'\\n\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
        assert_eq!(
            entry("a<b> & \u{1}ä").json(),
            "{\"level\":\"error\",\"msg\":\"a\\u003cb\\u003e \\u0026 \\u0001ä\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
        assert_eq!(
            entry("plain").coloured(),
            "\x1b[31mERRO\x1b[0m[0000] plain                                        \n"
        );
    }

    #[test]
    fn debug_records_tell_where_they_come_from() {
        let source = Some(Source { func: "runhcs::x".into(), file: "src/x.rs:7".into() });
        let entry = Entry { level: Level::Debug, source, ..entry("plain") };
        assert_eq!(
            entry.text(),
            "time=\"2026-01-02T03:04:05Z\" level=debug msg=plain func=\"runhcs::x\" file=\"src/x.rs:7\"\n"
        );
        assert_eq!(
            entry.json(),
            "{\"file\":\"src/x.rs:7\",\"func\":\"runhcs::x\",\"level\":\"debug\",\"msg\":\"plain\",\
             \"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
    }

    #[test]
    fn formats_have_names() {
        assert_eq!(Format::named("").unwrap(), Format::Text);
        assert_eq!(Format::named("json").unwrap(), Format::Json);
        assert_eq!(Format::named("xml").unwrap_err().to_string(), "invalid log-format: xml");
    }
}
