//! `resize-tty`: gives the terminal of a container's process a new size, for those who have handed its master away.

use crate::backends;
use crate::context::{Context, container};
use anyhow::{Context as _, bail};
use clap::Args;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{Winsize, isatty, tcsetwinsize};

/// Set the size of the terminal of a container's process.
#[derive(Debug, Args)]
pub(crate) struct ResizeTty {
    /// The process, by its id on the host; the container's init if not given.
    #[arg(long, short, value_name = "PID")]
    pid: Option<i32>,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// Columns.
    #[arg(value_name = "WIDTH", value_parser = clap::value_parser!(u16).range(1..))]
    width: u16,
    /// Lines.
    #[arg(value_name = "HEIGHT", value_parser = clap::value_parser!(u16).range(1..))]
    height: u16,
}

impl ResizeTty {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let engine = backends::engine(context)?;
        let pids = engine.processes(&id)?;
        let pid = match self.pid {
            Some(pid) if pids.contains(&pid) => pid,
            Some(pid) => bail!("process {pid} is not one of container {id}"),
            None => engine.state(&id)?.pid,
        };
        resize(pid, self.width, self.height)
    }
}

/// The size belongs to both ends of a terminal, so the process's own end will do.
fn resize(pid: i32, width: u16, height: u16) -> anyhow::Result<()> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    for stream in 0..3 {
        let path = format!("/proc/{pid}/fd/{stream}");
        // Only a terminal is opened: opening anything else could have an effect on it.
        let is_terminal = std::fs::read_link(&path).is_ok_and(|target| {
            target.starts_with("/dev/pts/") || target == std::path::Path::new("/dev/console")
        });
        if is_terminal
            && let Ok(terminal) = rustix::fs::open(&path, flags, Mode::empty())
            && isatty(&terminal)
        {
            return tcsetwinsize(&terminal, size)
                .with_context(|| format!("resize the terminal of process {pid}"));
        }
    }
    bail!("process {pid} has no terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_terminal_is_told_so() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        let told = resize(pid, 80, 24).unwrap_err().to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(told, format!("process {pid} has no terminal"));
    }
}
