//! The OCI command line. It turns words into requests to [`compute::Runtime`] and its answers into the words, files and
//! exit codes that callers of runc know; invoked under the name `runc` it takes its place.
//!
//! ```text
//! argv ──▶ argv (Go's flag rules) ──▶ cli, verbs (clap definitions) ──▶ verbs/<verb>.rs ──▶ backends ──▶ compute
//!                                                                           │
//!                              create, run, exec: wiring, terminal, notify, foreground
//! ```
//! The library exists for the program and for the generator of man pages and completions; its one public definition is
//! [`command`].

mod argv;
mod backends;
mod cli;
mod context;
mod dispatch;
mod foreground;
mod json;
mod logging;
mod notify;
mod pid_file;
mod signals;
mod table;
mod terminal;
mod this_host;
mod units;
mod update_resources;
mod verbs;
mod version;
mod wiring;

use std::process::ExitCode;

/// The whole command line: what man pages and completions are generated from.
#[doc(hidden)]
pub fn command() -> clap::Command {
    cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    // First of all: a container's process must not do anything else.
    backends::become_init();
    dispatch::main(std::env::args_os().collect())
}
