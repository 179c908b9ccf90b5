//! The options of the program itself, and the list of verbs. Each verb defines its own options in its file; a
//! definition here or there gives the parser, the help text, the man page and the completions.

use crate::verbs::Verb;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Command, Subcommand};
use std::path::PathBuf;

/// Options in front of the verb.
#[derive(Debug, Default, Args)]
pub(crate) struct Globals {
    /// Write debug messages to the log.
    #[arg(long)]
    pub(crate) debug: bool,
    /// Append the log to this file instead of writing it to stderr; errors then go to both.
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub(crate) log: Option<PathBuf>,
    /// Write the log as 'text' (default) or 'json'.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Keep the state of containers below this folder, which should be in a tmpfs.
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) root: Option<PathBuf>,
    /// Let systemd make the cgroups; cgroupsPath then has the form "slice:prefix:name".
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Whether to go on where cgroups may not be written: 'true', 'false' or 'auto' (default).
    #[arg(long, value_name = "WHEN")]
    pub(crate) rootless: Option<String>,
    /// Record this as the owner of new containers; `list` shows it.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// The criu program for checkpoint and restore.
    #[arg(long, value_name = "FILE", value_parser = path(), hide = true)]
    pub(crate) criu: Option<PathBuf>,
    /// Print the version.
    #[arg(long, short)]
    pub(crate) version: bool,
}

/// The program with all its verbs: what help, man pages and completions are made from.
pub(crate) fn command() -> Command {
    globals(verbs("runhcs"))
        .about("Runs containers from OCI bundles")
        .long_about(
            "Runs containers from OCI bundles.\n\n\
             A bundle is a folder with a file config.json and a root file system. `runhcs spec` writes a config.json \
             that runs as it is, and `runhcs run -b BUNDLE ID` runs it. The verbs, options, outputs and exit codes are \
             those of runc, whose place it can take.",
        )
}

/// Adds the program's own options.
pub(crate) fn globals(command: Command) -> Command {
    Globals::augment_args(command)
}

/// Only the verbs.
pub(crate) fn verbs(program: &'static str) -> Command {
    Verb::augment_subcommands(Command::new(program))
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommand_required(true)
}

/// A path as it was given, text or not.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
