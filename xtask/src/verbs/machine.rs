//! `machine`: the test machine for a person: a shell in it, or one command.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use xtask::machine;

/// Boot the test machine (Debian with systemd and cgroup v2) and run a command in it
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A shell instead of a command
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// A file to be had in the machine, in /payload
    #[arg(long, short, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Words for the machine's shell, run as root in /payload
    #[arg(last = true, required_unless_present = "shell")]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut payload = Vec::new();
    for path in &arguments.file {
        let name = path.file_name().and_then(|name| name.to_str());
        payload.push((path.as_path(), name.with_context(|| format!("{} has no name", path.display()))?));
    }
    if arguments.shell {
        machine::attend(&payload, "exec bash -l")?;
        return Ok(());
    }
    let outcome = machine::run(&payload, &arguments.command.join(" "), machine::PATIENCE)?;
    ensure!(outcome.code == 0, "exit code {} after {:.1?}", outcome.code, outcome.took);
    Ok(())
}
