//! The runtime's command line, spoken by root or by the unprivileged user, and a container made by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bundle;
use crate::command::{Outcome, done, eventually, outcome};

/// Who calls the runtime, and how.
pub(crate) struct Caller {
    runtime: PathBuf,
    user: bool,
    /// The scopes are made by systemd: the system's, or the user's own.
    systemd: bool,
}

impl Caller {
    pub(crate) fn root(runtime: &Path) -> Self {
        Self { runtime: runtime.to_owned(), user: false, systemd: false }
    }

    pub(crate) fn user(runtime: &Path) -> Self {
        Self { user: true, ..Self::root(runtime) }
    }

    pub(crate) fn with_systemd(self) -> Self {
        Self { systemd: true, ..self }
    }

    pub(crate) fn is_user(&self) -> bool {
        self.user
    }

    pub(crate) fn is_systemd(&self) -> bool {
        self.systemd
    }

    /// A command line of the runtime.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let runtime = self.runtime.to_string_lossy();
        let mut line = vec![&*runtime];
        if self.systemd {
            line.push("--systemd-cgroup");
        }
        line.extend(words);
        self.any(&line)
    }

    /// A command line of whatever program, by the same person, in a session of its own if that is the user.
    pub(crate) fn any(&self, line: &[&str]) -> Command {
        if self.user {
            let line: Vec<String> =
                line.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
            let mut command = Command::new("su");
            command.args(["--login", "user", "--command", &line.join(" ")]);
            return command;
        }
        let mut command = Command::new(line[0]);
        command.args(&line[1..]);
        command
    }
}

/// Deleted when dropped.
pub(crate) struct Container<'a> {
    caller: &'a Caller,
    id: String,
    directory: tempfile::TempDir,
}

impl<'a> Container<'a> {
    /// Writes the bundle, runs nothing.
    pub(crate) fn new(
        caller: &'a Caller,
        id: &str,
        command: &[&str],
        change: impl Fn(&mut Value),
    ) -> Result<Self> {
        let directory = tempfile::tempdir_in("/var/tmp")?;
        bundle::write(directory.path(), caller, command, &change)?;
        Ok(Self { caller, id: id.to_owned(), directory })
    }

    /// Runs in the foreground.
    pub(crate) fn run(&self) -> Result<Outcome> {
        outcome(self.caller.command(&["run", "--bundle", &self.bundle(), &self.id]))
    }

    /// Starts it in the background.
    pub(crate) fn start(&self) -> Result<()> {
        self.start_with("exec \"$@\" > \"$log\"")
    }

    /// Starts it in the background with no file of the machine open, for CRIU could not tell where that is.
    pub(crate) fn start_detached_from_files(&self) -> Result<()> {
        self.start_with("exec \"$@\" > /dev/null 2>&1")
    }

    fn start_with(&self, exec: &str) -> Result<()> {
        let runtime = self.caller.command(&["run", "--detach", "--bundle", &self.bundle(), &self.id]);
        let words: Vec<_> = std::iter::once(runtime.get_program()).chain(runtime.get_args()).collect();
        let mut command = Command::new("sh");
        // The container keeps the runtime's standard output for its own.
        command.args(["-c", &format!("log=$1; shift; {exec}"), "sh"]).arg(self.log()).args(words);
        done(command).map(drop)
    }

    pub(crate) fn exec(&self, argv: &[&str]) -> Result<Outcome> {
        outcome(self.caller.command(&[&["exec", &self.id], argv].concat()))
    }

    /// A verb that wants nothing but the id after its options.
    pub(crate) fn verb(&self, words: &[&str]) -> Result<String> {
        done(self.caller.command(&[words, &[&self.id]].concat()))
    }

    pub(crate) fn kill(&self, signal: &str) -> Result<()> {
        done(self.caller.command(&["kill", &self.id, signal])).map(drop)
    }

    pub(crate) fn state(&self) -> Result<Value> {
        serde_json::from_str(&self.verb(&["state"])?).context("read what `state` says")
    }

    pub(crate) fn status(&self) -> Result<String> {
        Ok(self.state()?["status"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn await_status(&self, status: &str) -> Result<()> {
        eventually(status, || Ok(self.status()? == status))
    }

    /// Its cgroup, relative to the root of the hierarchy.
    pub(crate) fn cgroup(&self) -> Result<String> {
        let pid = self.state()?["pid"].as_i64().context("a pid in the state")?;
        let line = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        Ok(line.trim().strip_prefix("0::").context("one hierarchy")?.to_owned())
    }

    /// What a file of its cgroup holds.
    pub(crate) fn limit(&self, file: &str) -> Result<String> {
        let path = format!("/sys/fs/cgroup{}/{file}", self.cgroup()?);
        Ok(fs::read_to_string(&path).with_context(|| format!("read {path}"))?.trim().to_owned())
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bundle(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    /// Deletes it, and sees to it that its cgroup went too.
    pub(crate) fn delete(&self) -> Result<()> {
        let cgroup = format!("/sys/fs/cgroup{}", self.cgroup()?);
        self.verb(&["delete", "--force"])?;
        eventually("the cgroup to go", || Ok(!Path::new(&cgroup).exists()))?;
        ensure!(outcome(self.caller.command(&["state", &self.id]))?.code != 0, "{} is still known", self.id);
        Ok(())
    }

    /// What a file in its root holds.
    pub(crate) fn file(&self, path: &str) -> Result<String> {
        let path = self.directory.path().join("rootfs").join(path);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // Deleted already if the story went well.
        let _ = self.verb(&["delete", "--force"]);
    }
}
