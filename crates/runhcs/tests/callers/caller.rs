//! What a person asks of a container engine, and the contract that every caller fulfils.
//!
//! The default methods speak Docker's command line, which podman and nerdctl share; `ctr` overrides what it says
//! otherwise.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// The image that every story uses.
pub(crate) const IMAGE: &str = "localhost/busybox:test";

/// No single command of a caller takes longer, even on a machine under load or under emulation.
const PATIENCE: Duration = Duration::from_secs(120);

/// A container as its user words it.
#[derive(Default, Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) command: &'a [&'a str],
    pub(crate) memory: Option<u64>,
    /// In hundredths of a processor.
    pub(crate) cpu_percent: Option<u32>,
    pub(crate) volumes: &'a [Volume<'a>],
    pub(crate) user_namespace: bool,
    pub(crate) init: bool,
    pub(crate) terminal: bool,
    /// A shell command whose success means health.
    pub(crate) health: Option<&'a str>,
}

#[derive(Clone, Copy)]
pub(crate) struct Volume<'a> {
    pub(crate) source: &'a Path,
    pub(crate) target: &'a str,
    pub(crate) read_only: bool,
}

/// A program that calls the runtime under test.
pub(crate) trait Caller: Send + Sync {
    /// The command line up to the verb.
    fn command(&self) -> Command;

    /// What this caller's command line calls for beside the common words.
    fn extra(&self, container: &Container<'_>) -> Vec<String>;

    /// Runs in the foreground; nothing remains afterwards.
    fn run(&self, container: &Container<'_>) -> Command {
        let mut command = self.command();
        command.args(["run", "--rm", "-i"]);
        options(&mut command, self, container);
        command
    }

    /// Starts in the background.
    fn start(&self, container: &Container<'_>) -> Command {
        let mut command = self.command();
        command.args(["run", "--detach"]);
        options(&mut command, self, container);
        command
    }

    fn exec(&self, name: &str, terminal: bool, argv: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("exec").args(terminal.then_some("-it")).arg(name).args(argv);
        command
    }

    fn logs(&self, name: &str) -> Command {
        verb(self, &["logs", name])
    }

    fn pause(&self, name: &str) -> Command {
        verb(self, &["pause", name])
    }

    fn unpause(&self, name: &str) -> Command {
        verb(self, &["unpause", name])
    }

    fn kill(&self, name: &str, signal: &str) -> Command {
        verb(self, &["kill", "--signal", signal, name])
    }

    /// SIGTERM, and SIGKILL for what is still there after `seconds`.
    fn stop(&self, name: &str, seconds: u32) -> Result<()> {
        done(verb(self, &["stop", "--time", &seconds.to_string(), name])).map(drop)
    }

    /// Waits for the end; the exit code.
    fn wait(&self, name: &str) -> Result<i32> {
        let code = done(verb(self, &["wait", name]))?;
        code.trim().parse().with_context(|| format!("exit code of {name}: {code:?}"))
    }

    fn status(&self, name: &str) -> Result<String> {
        self.inspect(name, "{{.State.Status}}")
    }

    fn pid(&self, name: &str) -> Result<String> {
        self.inspect(name, "{{.State.Pid}}")
    }

    fn oom_killed(&self, name: &str) -> Result<bool> {
        Ok(self.inspect(name, "{{.State.OOMKilled}}")? == "true")
    }

    fn healthy(&self, name: &str) -> Result<bool> {
        Ok(self.inspect(name, "{{.State.Health.Status}}")? == "healthy")
    }

    fn inspect(&self, name: &str, template: &str) -> Result<String> {
        Ok(done(verb(self, &["inspect", "--format", template, name]))?.trim().to_owned())
    }

    /// Ends it first where it runs.
    fn remove(&self, name: &str) -> Result<()> {
        done(verb(self, &["rm", "--force", name])).map(drop)
    }

    /// Ends the engine and starts it again; containers run on meanwhile.
    fn restart(&self) -> Result<()>;
}

fn verb<C: Caller + ?Sized>(caller: &C, words: &[&str]) -> Command {
    let mut command = caller.command();
    command.args(words);
    command
}

fn options<C: Caller + ?Sized>(command: &mut Command, caller: &C, container: &Container<'_>) {
    command.args(["--name", container.name, "--network", "none"]);
    command.args(container.terminal.then_some("-t"));
    command.args(container.init.then_some("--init"));
    if let Some(bytes) = container.memory {
        command.args(["--memory", &format!("{bytes}b")]);
    }
    if let Some(percent) = container.cpu_percent {
        command.args(["--cpus", &format!("{}.{:02}", percent / 100, percent % 100)]);
    }
    if let Some(check) = container.health {
        command.args(["--health-cmd", check]);
    }
    for volume in container.volumes {
        let mode = if volume.read_only { "ro" } else { "rw" };
        command.args(["--volume", &format!("{}:{}:{mode}", volume.source.display(), volume.target)]);
    }
    command.args(caller.extra(container)).arg(IMAGE).args(container.command);
}

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

/// A daemon with its own log; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child })
    }

    /// Asks it to go and waits for that.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).context("end the daemon")?;
        }
        ensure!(ended(&mut self.child)?.is_some(), "the daemon did not end on SIGTERM");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The tests are over: there is nobody to tell.
        let _ = self.end();
    }
}
