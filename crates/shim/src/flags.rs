//! The command line, as containerd gives it: flags in the manner of Go, then a command.

use anyhow::{Context as _, bail};
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Command {
    /// Start a shim, or find the one of the pod; print where it listens.
    Start,
    /// Remove what a shim that died has left behind.
    Delete,
    /// Be the shim.
    #[default]
    Serve,
    /// `-v`
    Version,
    /// `-info`
    Info,
}

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    /// See [`Command`].
    pub(crate) command: Command,
    /// Whose containers these are.
    pub(crate) namespace: String,
    /// The container or sandbox.
    pub(crate) id: String,
    /// Where the daemon takes requests.
    pub(crate) address: String,
    /// The program that publishes events.
    pub(crate) publish_binary: PathBuf,
    /// The bundle; the working folder if not given.
    pub(crate) bundle: PathBuf,
    /// More is logged.
    pub(crate) debug: bool,
}

impl Flags {
    /// Reads everything but the program's name.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut flags = Self::default();
        let mut args = args.map(|arg| {
            arg.into_string().map_err(|arg| anyhow::anyhow!("argument {} is not text", arg.display()))
        });
        let mut command = None;
        while let Some(arg) = args.next().transpose()? {
            let Some(name) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                // Go stops at the first word; flags behind it are for nobody.
                command = Some(arg);
                break;
            };
            let (name, given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            match name {
                "debug" => flags.debug = truth(name, given)?,
                "v" if truth(name, given.clone())? => flags.command = Command::Version,
                "info" if truth(name, given.clone())? => flags.command = Command::Info,
                "v" | "info" => {}
                "namespace" | "id" | "address" | "publish-binary" | "bundle" | "socket" => {
                    let value = match given {
                        Some(value) => value,
                        None => args
                            .next()
                            .transpose()?
                            .with_context(|| format!("flag needs an argument: -{name}"))?,
                    };
                    match name {
                        "namespace" => flags.namespace = value,
                        "id" => flags.id = value,
                        "address" => flags.address = value,
                        "publish-binary" => flags.publish_binary = value.into(),
                        "bundle" => flags.bundle = value.into(),
                        // containerd's own shims can be told their socket; ours is always made by `start`.
                        _ => {}
                    }
                }
                _ => bail!("flag provided but not defined: -{name}"),
            }
        }
        if matches!(flags.command, Command::Version | Command::Info) {
            return Ok(flags);
        }
        flags.command = match command.as_deref() {
            Some("start") => Command::Start,
            Some("delete") => Command::Delete,
            Some("serve") => Command::Serve,
            Some(other) => bail!("unknown command {other:?}: start, delete or serve"),
            None => bail!("a command is missing: start, delete or serve"),
        };
        flags.check()?;
        Ok(flags)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.namespace.is_empty() {
            bail!("namespace is required (-namespace)");
        }
        if self.id.is_empty() {
            bail!("id is required (-id)");
        }
        Ok(())
    }

    /// The bundle, absolute.
    pub(crate) fn bundle(&self) -> anyhow::Result<PathBuf> {
        let here = std::env::current_dir().context("find the working folder")?;
        Ok(here.join(&self.bundle))
    }
}

/// A flag of yes or no, as Go reads it.
fn truth(name: &str, given: Option<String>) -> anyhow::Result<bool> {
    match given.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => bail!("invalid boolean value {other:?} for -{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        Flags::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn containerds_command_line_is_understood() {
        let line =
            "-namespace k8s.io -address /run/c.sock -publish-binary /usr/bin/containerd -id a -debug start";
        let flags = parse(line).unwrap();
        assert_eq!(flags.command, Command::Start);
        assert_eq!((flags.namespace.as_str(), flags.id.as_str()), ("k8s.io", "a"));
        assert_eq!(flags.publish_binary, PathBuf::from("/usr/bin/containerd"));
        assert!(flags.debug);
        let flags = parse("--namespace=n -id=a -bundle /b -debug=false delete").unwrap();
        assert_eq!((flags.command, flags.debug), (Command::Delete, false));
        assert_eq!(flags.bundle, PathBuf::from("/b"));
        assert_eq!(parse("-v").unwrap().command, Command::Version);
        assert_eq!(parse("-info").unwrap().command, Command::Info);
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        assert_eq!(parse("-id a start").unwrap_err(), "namespace is required (-namespace)");
        assert_eq!(parse("-namespace n start").unwrap_err(), "id is required (-id)");
        assert_eq!(parse("-namespace").unwrap_err(), "flag needs an argument: -namespace");
        assert_eq!(parse("-frob start").unwrap_err(), "flag provided but not defined: -frob");
        assert!(parse("-namespace n -id a").unwrap_err().starts_with("a command is missing"));
        assert!(parse("-namespace n -id a jump").unwrap_err().starts_with("unknown command \"jump\""));
    }
}
