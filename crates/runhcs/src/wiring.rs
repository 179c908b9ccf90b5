//! How a new process is tied to its surroundings: where its terminal goes, which descriptors it keeps, where its id is
//! written. The same for `create`, `run` and `exec`.

use crate::backends::Options;
use crate::pid_file;
use crate::terminal::Awaited;
use anyhow::{Context as _, bail};
use clap::Args;
use compute::backend::Process;
use oci_spec::runtime::{BoxBuilder, Process as ProcessSpec};
use rustix::fd::OwnedFd;
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::env;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Options of all verbs that start a process.
#[derive(Debug, Default, Args)]
pub(crate) struct Wiring {
    /// Send the master of the process's terminal to this unix socket.
    #[arg(long, value_name = "SOCKET", value_parser = crate::cli::path())]
    console_socket: Option<PathBuf>,
    /// Send a descriptor of the process (a pidfd) to this unix socket.
    #[arg(long, value_name = "SOCKET", value_parser = crate::cli::path())]
    pidfd_socket: Option<PathBuf>,
    /// Write the process id to this file.
    #[arg(long, value_name = "FILE", value_parser = crate::cli::path())]
    pid_file: Option<PathBuf>,
    /// Pass N more descriptors to the process, behind the standard streams and those of socket activation.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
}

/// Whether we stay with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Until it ends.
    Attached,
    /// Not at all.
    Detached,
}

impl Wiring {
    /// That of a process that is restored: it keeps its own descriptors.
    pub(crate) fn restored(console_socket: Option<PathBuf>, pid_file: Option<PathBuf>) -> Self {
        Self { console_socket, pid_file, ..Self::default() }
    }

    /// Resolves what is relative to the folder we were started in; to be called before it is left.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        if let Some(path) = &mut self.pid_file {
            *path = std::path::absolute(&*path)
                .with_context(|| format!("resolve --pid-file {}", path.display()))?;
        }
        Ok(())
    }

    /// Checks the request and opens what the process gets. With a terminal in the foreground also what we serve it
    /// with; `process` then starts with the size of ours.
    pub(crate) fn open(
        &self,
        process: &mut ProcessSpec,
        stay: Stay,
    ) -> anyhow::Result<(Options, Option<Awaited>)> {
        let terminal = process.terminal().unwrap_or(false);
        let listen_fds = listen_fds();
        let mut options = Options {
            preserve_fds: listen_fds.saturating_add(self.preserve_fds),
            listen_fds,
            ..Options::default()
        };
        check_preserved(listen_fds, self.preserve_fds, is_inherited)?;
        if let Some(path) = &self.pidfd_socket {
            // Kernels before 5.3 have no pidfd_open, and nothing that could be sent.
            pidfd_open(getpid(), PidfdFlags::empty()).context("--pidfd-socket requires >= v5.3 kernel")?;
            options.pidfd_socket = Some(connect("pidfd socket", path)?);
        }
        let mut awaited = None;
        match (&self.console_socket, stay, terminal) {
            (None, Stay::Detached, true) => {
                bail!("cannot allocate tty if runc will detach without setting console socket")
            }
            (Some(_), Stay::Attached, _) | (Some(_), _, false) => {
                bail!("cannot use console socket if runc will not detach or allocate tty")
            }
            (Some(path), Stay::Detached, true) => options.console = Some(connect("console socket", path)?),
            (None, Stay::Attached, true) => {
                let (ours, theirs) = Awaited::new()?;
                give_size(process, &ours)?;
                options.console = Some(theirs);
                options.raw_output = true;
                awaited = Some(ours);
            }
            (None, _, false) => {}
        }
        Ok((options, awaited))
    }

    /// Writes the pid file, if there is to be one.
    pub(crate) fn record(&self, process: &impl Process) -> anyhow::Result<()> {
        if let Some(path) = &self.pid_file {
            pid_file::write(path, process.pid())?;
        }
        Ok(())
    }
}

/// A size in the spec was meant; without one the first thing the process draws should fit.
fn give_size(process: &mut ProcessSpec, awaited: &Awaited) -> anyhow::Result<()> {
    if process.console_size().is_some_and(|size| size.height() != 0 || size.width() != 0) {
        return Ok(());
    }
    if let Some(size) = awaited.size() {
        let size =
            BoxBuilder::default().height(u64::from(size.ws_row)).width(u64::from(size.ws_col)).build()?;
        process.set_console_size(Some(size));
    }
    Ok(())
}

fn connect(what: &str, path: &Path) -> anyhow::Result<OwnedFd> {
    let socket =
        UnixStream::connect(path).with_context(|| format!("connect to {what} {}", path.display()))?;
    Ok(socket.into())
}

/// How many descriptors socket activation passed to us (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => count,
        _ => 0,
    }
}

/// Descriptors that a caller promised must have come from it.
fn check_preserved(listen_fds: u32, count: u32, is_inherited: impl Fn(u64) -> bool) -> anyhow::Result<()> {
    let first = 3 + u64::from(listen_fds);
    for i in 0..u64::from(count) {
        let fd = first + i;
        if !is_inherited(fd) {
            bail!(
                "unable to stat preserved-fd {i} (of {count}): stat /proc/self/fd/{fd}: no such file or directory"
            );
        }
    }
    Ok(())
}

/// What we opened ourselves is closed at exec; what we were given is not.
fn is_inherited(fd: u64) -> bool {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
    flags.and_then(|flags| u32::from_str_radix(flags, 8).ok()).is_some_and(|flags| flags & O_CLOEXEC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::ProcessBuilder;
    use std::os::fd::AsRawFd;

    fn open(console_socket: Option<&str>, stay: Stay, terminal: bool) -> String {
        let console_socket = console_socket.map(PathBuf::from);
        let wiring = Wiring { console_socket, pidfd_socket: None, pid_file: None, preserve_fds: 0 };
        let mut process = ProcessBuilder::default().terminal(terminal).build().unwrap();
        match wiring.open(&mut process, stay) {
            Ok((options, awaited)) => format!("{} {}", options.console.is_some(), awaited.is_some()),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn terminals_and_console_sockets_go_together_in_runcs_words() {
        let no_socket = "cannot allocate tty if runc will detach without setting console socket";
        let no_use = "cannot use console socket if runc will not detach or allocate tty";
        assert_eq!(open(None, Stay::Detached, true), no_socket);
        assert_eq!(open(Some("/s"), Stay::Attached, true), no_use);
        assert_eq!(open(Some("/s"), Stay::Detached, false), no_use);
        assert_eq!(open(None, Stay::Detached, false), "false false");
        assert_eq!(
            open(Some("/nowhere/s"), Stay::Detached, true),
            "connect to console socket /nowhere/s: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_console_socket_is_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(open(path.to_str(), Stay::Detached, true), "true false");
        listener.accept().unwrap();
    }

    #[test]
    fn preserved_descriptors_must_be_there() {
        check_preserved(1, 2, |fd| (3..=5).contains(&fd)).unwrap();
        let told = check_preserved(1, 3, |fd| (3..=5).contains(&fd)).unwrap_err().to_string();
        assert!(told.starts_with("unable to stat preserved-fd 2 (of 3): "), "{told}");
        let own = std::fs::File::open("/").unwrap();
        assert!(!is_inherited(own.as_raw_fd().try_into().unwrap()));
        assert!(is_inherited(0));
        assert!(!is_inherited(1_000_000));
    }
}
