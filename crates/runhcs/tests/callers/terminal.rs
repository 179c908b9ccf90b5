//! A person at a terminal: types, reads, resizes the window.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::{PATIENCE, ended};

pub(crate) struct Terminal {
    master: File,
    child: Child,
    unread: String,
}

impl Terminal {
    /// Starts `command` in a session of its own whose controlling terminal is a new one of this size.
    pub(crate) fn open(command: &Command, rows: u16, columns: u16) -> Result<Self> {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).context("open a pty")?;
        grantpt(&master).context("grantpt")?;
        unlockpt(&master).context("unlockpt")?;
        tcsetwinsize(&master, size(rows, columns)).context("set the window size")?;
        let name = ptsname(&master, Vec::new()).context("name of the pty")?;
        let side = || {
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        };
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "dumb");
        session.stdin(side()?).stdout(side()?).stderr(side()?);
        let child = session.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { master: File::from(master), child, unread: String::new() })
    }

    pub(crate) fn type_line(&mut self, line: &str) -> Result<()> {
        self.master.write_all(format!("{line}\n").as_bytes()).context("type")
    }

    /// Reads on until `text` appears; what came before it is gone.
    pub(crate) fn expect(&mut self, text: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.unread.find(text) {
                self.unread.drain(..at + text.len());
                return Ok(());
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            let mut buffer = [0; 4096];
            if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&left))? == 0 {
                bail!("waited for {text:?}, read {:?}", self.unread);
            }
            // EIO is how a terminal says that nobody has it open any more.
            match self.master.read(&mut buffer) {
                Ok(length @ 1..) => self.unread.push_str(&String::from_utf8_lossy(&buffer[..length])),
                _ => bail!("waited for {text:?}, the terminal was closed after {:?}", self.unread),
            }
        }
    }

    /// The foreground process group is told by SIGWINCH.
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        tcsetwinsize(&self.master, size(rows, columns)).context("resize the window")
    }

    /// Waits for the command's end; its exit code.
    pub(crate) fn close(mut self) -> Result<i32> {
        ended(&mut self.child)?.context("the command at the terminal did not end")
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
