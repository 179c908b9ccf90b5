//! What a person asks of a container engine, and the contract that every caller fulfils.
//!
//! The default methods speak Docker's command line, which podman and nerdctl share; `ctr` overrides what it says
//! otherwise.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::done;

/// The image that every story uses.
pub(crate) const IMAGE: &str = "localhost/busybox:test";

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

    /// Whether it can be relied on for [`Caller::oom_killed`].
    fn tells_of_oom_kills(&self) -> bool {
        true
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

    /// Ends, with violence, the process that stands between the engine and a container that runs.
    fn kill_shim(&self, name: &str) -> Result<()> {
        anyhow::bail!("nothing is known to stand between this engine and {name}")
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
