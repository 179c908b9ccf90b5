//! What only a machine with systemd and nothing but cgroup v2 can show, as stories.
//!
//! They play in the test machine of `cargo xtask machine`, as root and on behalf of its unprivileged user; elsewhere
//! they are skipped. `COFFERDAM_RUNTIME` names the runtime under test, by path or by name; without it, it is the
//! one that cargo built.

mod bundle;
#[path = "../callers/command.rs"]
mod command;
mod container;
mod stories;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime =
        std::env::var_os("COFFERDAM_RUNTIME").map_or(env!("CARGO_BIN_EXE_runhcs").into(), PathBuf::from);
    let trials = stories::all()
        .map(|(name, tell)| {
            let runtime = runtime.clone();
            Trial::ignorable_test(name, move || {
                if let Some(reason) = missing() {
                    return Ok(Completion::ignored_with(reason));
                }
                let told = tell(&runtime).map_err(|error| format!("{error:#}"))?;
                Ok(told.map_or(Completion::Completed, Completion::ignored_with))
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What this machine has not.
fn missing() -> Option<&'static str> {
    let checks = [
        (rustix::process::geteuid().is_root(), "needs root"),
        (Path::new("/run/systemd/system").is_dir(), "needs systemd as PID 1"),
        (Path::new("/sys/fs/cgroup/cgroup.controllers").is_file(), "needs cgroup v2 alone"),
        (Path::new("/run/user/1000/bus").exists(), "needs a user 1000 whose systemd runs"),
    ];
    checks.iter().find(|(there, _)| !there).map(|(_, reason)| *reason)
}
