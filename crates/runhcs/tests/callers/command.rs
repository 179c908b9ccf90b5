//! Commands run to their end, with all that they said, and never for ever.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// No single command takes longer, even on a busy machine or under emulation.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a command said and how it ended; a signal counts as 128 and its number.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end, whatever that is. Its output goes to files, not pipes: what it leaves running may
/// hold them open.
pub(crate) fn outcome(mut command: Command) -> Result<Outcome> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
    let code = ended(&mut child)?;
    let outcome =
        Outcome { code: code.unwrap_or(-1), stdout: text(&mut stdout)?, stderr: text(&mut stderr)? };
    ensure!(code.is_some(), "{command:?} did not end; it said:\n{}{}", outcome.stdout, outcome.stderr);
    Ok(outcome)
}

/// Runs a command that has to succeed; its standard output.
pub(crate) fn done(command: Command) -> Result<String> {
    let said = format!("{command:?}");
    let outcome = outcome(command)?;
    if outcome.code != 0 {
        bail!("{said}: exit code {}\n{}{}", outcome.code, outcome.stdout, outcome.stderr);
    }
    Ok(outcome.stdout)
}

/// The exit code, or nothing when patience ran out (then it was killed).
pub(crate) fn ended(child: &mut Child) -> Result<Option<i32>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child has a process id")?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("open the child's pidfd")?;
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let readable =
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).context("wait for the child")?;
    if readable == 0 {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok((readable > 0).then(|| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// For what only shows by asking again.
pub(crate) fn eventually(what: &str, mut seen: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if seen()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{what}: not seen within {PATIENCE:?}")
}
