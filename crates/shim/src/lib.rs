//! `containerd-shim-runhcs-v1`: one process per pod, which owns its containers, their streams and logs, and outlives the
//! daemon that asked for it.
//!
//! ```text
//!  start ──▶ a socket that listens, and `serve` behind it
//!  serve     ┌───────────── one thread ─────────────────────────────────────────────────────┐
//!   ttrpc ──▶│ service ──▶ task, pod ──▶ backends ──▶ compute, linux                         │
//!   SIGCHLD ▶│ children ──▶ task: streams drained, outcome on disk, exit told ──▶ publish ──▶│──▶ daemon
//!   pipes ──▶│ io: pumps ──▶ fifos, files, programs, logs; whoever is attached               │
//!   kills ──▶│ oom                                                                           │
//!            └───────────────────────────────────────────────────────────────────────────────┘
//!  delete ──▶ what a shim that died has left behind
//! ```
//! There is one thread because the engine forks. A request that the engine is busy with keeps the others waiting, for a
//! few milliseconds as a rule; hooks and checkpoints take as long as they take.

mod address;
mod backends;
mod children;
mod delete;
mod exits;
mod flags;
mod info;
mod io;
mod lend;
mod logging;
mod oom;
mod pod;
mod process;
mod publish;
mod ready;
mod serve;
mod service;
mod start;
mod task;

use flags::{Command, Flags};
use std::io::Write;
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    // First of all: a container's process, or a pod's, must not do anything else.
    backends::become_init();
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let done = Flags::parse(args).and_then(|flags| match flags.command {
        Command::Version => info::version(&program),
        Command::Info => info::info(),
        Command::Start => start::start(&flags),
        Command::Delete => delete::delete(&flags),
        Command::Serve => serve::serve(&flags),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(std::io::stderr(), "{}: {error:#}", program.display());
            ExitCode::FAILURE
        }
    }
}
