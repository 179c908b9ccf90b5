//! The shim's own log: one line per record, in the form of containerd's, on the fifo or file that `start` opened.

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::io::Write;

struct Logger {
    id: String,
    /// Not standard error, which processes are lent.
    to: File,
}

/// Begins to log for this container or sandbox.
pub(crate) fn open(id: &str, to: OwnedFd, debug: bool) {
    let logger = Box::new(Logger { id: id.to_owned(), to: to.into() });
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The protocol's library reports each client that goes away.
        metadata.level() <= log::max_level()
            && (metadata.target().starts_with("shim")
                || metadata.target().starts_with("linux")
                || metadata.target().starts_with("compute")
                || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let message = record.args().to_string();
        let line = format!(
            "time=\"{}\" level={level} msg={message:?} id={} pid={}\n",
            compute::record::now(),
            self.id,
            std::process::id()
        );
        // A log that cannot be written must not stop the pod; a fifo that nobody reads loses records.
        let _ = (&self.to).write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
