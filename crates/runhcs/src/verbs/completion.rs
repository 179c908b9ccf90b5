//! `completion`: prints the script that makes a shell complete our command lines.

use crate::cli;
use clap::Args;
use clap_complete::Shell;
use std::io::{self, Write};

/// Print the completion script of a shell.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// 'bash', 'elvish', 'fish', 'powershell' or 'zsh'.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(), "runhcs", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
