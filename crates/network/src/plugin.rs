//! One run of one plugin: a program that reads its configuration from stdin, its parameters from the environment, and
//! answers on stdout.

use crate::error::Kind;
use serde::Deserialize;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// No answer comes near.
const MAX_ANSWER: u64 = 8 << 20;
const MAX_LOG: u64 = 64 << 10;
/// While a plugin's file is being replaced it cannot be started.
const BUSY_RETRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// A plugin that answered may leave a child that holds its output open: it is not waited for any longer.
const LINGER: Duration = Duration::from_secs(2);

/// What can go wrong with a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// There is no such program.
    #[error("plugin {plugin} is in none of the folders {}", folders(searched))]
    Missing {
        /// Its name.
        plugin: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// It could not be started, or not be spoken to.
    #[error("run plugin {}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It took too long, and was killed.
    #[error("plugin {plugin} did not finish {command} within {} s", after.as_secs_f32())]
    TimedOut {
        /// Its name.
        plugin: String,
        /// What was asked.
        command: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// It answered with an error of the specification.
    #[error("plugin {plugin} failed to {command}: {msg} (code {code}){}", and_details(details))]
    Answered {
        /// Its name.
        plugin: String,
        /// What was asked.
        command: &'static str,
        /// The error's number; those below 100 are the specification's.
        code: u32,
        /// What it says.
        msg: String,
        /// More of it; may be empty.
        details: String,
    },
    /// It failed without an error that could be read.
    #[error("plugin {plugin} failed to {command}: {status}{}", and_said(said))]
    Failed {
        /// Its name.
        plugin: String,
        /// What was asked.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// It succeeded, but what it answered is no answer.
    #[error("read the answer of plugin {plugin} to {command}")]
    Malformed {
        /// Its name.
        plugin: String,
        /// What was asked.
        command: &'static str,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// It does not speak the version of the configuration.
    #[error("plugin {plugin} does not speak version {wanted}, only {supported}")]
    Incompatible {
        /// Its name.
        plugin: String,
        /// The version asked for.
        wanted: String,
        /// What it speaks.
        supported: String,
    },
}

impl PluginError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::Unavailable,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Answered { code: TRY_AGAIN_LATER | NOT_AVAILABLE | LIMITED, .. } => Kind::Unavailable,
            Self::Incompatible { .. } => Kind::Unsupported,
            Self::Run { .. } | Self::Answered { .. } | Self::Failed { .. } | Self::Malformed { .. } => {
                Kind::Failed
            }
        }
    }
}

/// The specification's numbers that somebody acts on.
pub(crate) const UNKNOWN_CONTAINER: u32 = 3;
const TRY_AGAIN_LATER: u32 = 11;
const NOT_AVAILABLE: u32 = 50;
const LIMITED: u32 = 51;

/// A command of the specification with its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) command: &'static str,
    /// What is attached; commands on a whole network have none.
    pub(crate) attachment: Option<Parameters<'a>>,
}

/// The parameters of a command on one attachment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub(crate) id: &'a str,
    /// Missing when the namespace is gone.
    pub(crate) netns: Option<&'a Path>,
    pub(crate) interface: &'a str,
    pub(crate) args: &'a str,
}

/// Where plugins are, and how long each may take.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) time: Duration,
}

impl Runner {
    /// The program of a plugin: the first that can be executed.
    pub(crate) fn find(&self, plugin: &str) -> Result<PathBuf, PluginError> {
        let is_program = |path: &PathBuf| {
            path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        // A name with a separator would lead out of the folders.
        let named = (!plugin.contains('/')).then(|| self.folders.iter().map(|folder| folder.join(plugin)));
        named
            .and_then(|mut paths| paths.find(is_program))
            .ok_or_else(|| PluginError::Missing { plugin: plugin.to_owned(), searched: self.folders.clone() })
    }

    /// Runs a plugin to its end and returns what it answered.
    pub(crate) async fn run(
        &self,
        plugin: &str,
        call: Call<'_>,
        request: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        let path = self.find(plugin)?;
        self.run_at(&path, plugin, call, request).await
    }

    pub(crate) async fn run_at(
        &self,
        path: &Path,
        plugin: &str,
        call: Call<'_>,
        request: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        let failed = |cause| PluginError::Run { path: path.to_owned(), cause };
        let mut child = start(&mut self.command(path, call)).await.map_err(failed)?;
        match timeout(self.time, speak(&mut child, request)).await {
            Ok(spoken) => judge(plugin, call.command, spoken.map_err(failed)?),
            Err(_) => {
                kill_group(&child);
                // It is dead already or cannot be killed; either way there is nothing to learn from how it ended.
                let _ = child.kill().await;
                Err(PluginError::TimedOut {
                    plugin: plugin.to_owned(),
                    command: call.command,
                    after: self.time,
                })
            }
        }
    }

    /// The plugin has our environment, because it needs to find programs such as iptables, and exactly the parameters
    /// of this call.
    fn command(&self, path: &Path, call: Call<'_>) -> Command {
        let mut command = Command::new(path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CNI_")) {
            command.env_remove(name);
        }
        command.env("CNI_COMMAND", call.command).env("CNI_PATH", join(&self.folders));
        if let Some(Parameters { id, netns, interface, args }) = call.attachment {
            command.env("CNI_CONTAINERID", id).env("CNI_IFNAME", interface).env("CNI_ARGS", args);
            command.env("CNI_NETNS", netns.unwrap_or(Path::new("")));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // In a group of its own, it dies with its children when it takes too long.
        command.process_group(0).kill_on_drop(true);
        command
    }
}

async fn start(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_RETRIES {
        match command.spawn() {
            Err(cause) if cause.kind() == io::ErrorKind::ExecutableFileBusy => sleep(BUSY_PAUSE).await,
            started => return started,
        }
    }
    command.spawn()
}

/// How a plugin ended and what it printed.
struct Spoken {
    status: ExitStatus,
    answer: Vec<u8>,
    log: Vec<u8>,
}

async fn speak(child: &mut Child, request: &[u8]) -> io::Result<Spoken> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut answer, mut log) = (Vec::new(), Vec::new());
    let status = {
        let ask = async {
            if let Some(mut stdin) = stdin {
                match stdin.write_all(request).await {
                    // It may answer without reading all of the question.
                    Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {}
                    other => other?,
                }
            }
            io::Result::Ok(())
        };
        let talk = async {
            tokio::try_join!(ask, read(stdout, MAX_ANSWER, &mut answer), read(stderr, MAX_LOG, &mut log))
        };
        let mut talk = std::pin::pin!(talk);
        tokio::select! {
            talked = &mut talk => {
                talked?;
                child.wait().await?
            }
            status = child.wait() => {
                if let Ok(talked) = timeout(LINGER, talk).await {
                    talked?;
                }
                status?
            }
        }
    };
    Ok(Spoken { status, answer, log })
}

/// Reads to the end, and keeps what is within the limit.
async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut from) = from {
        (&mut from).take(limit).read_to_end(into).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

fn judge(plugin: &str, command: &'static str, spoken: Spoken) -> Result<Vec<u8>, PluginError> {
    #[derive(Deserialize)]
    struct Answer {
        code: u32,
        #[serde(default)]
        msg: String,
        #[serde(default)]
        details: String,
    }
    let Spoken { status, answer, log } = spoken;
    if status.success() {
        if !log.is_empty() {
            log::debug!("plugin {plugin} on {command}: {}", String::from_utf8_lossy(&log).trim_end());
        }
        return Ok(answer);
    }
    let plugin = plugin.to_owned();
    Err(match serde_json::from_slice(&answer) {
        Ok(Answer { code, msg, details }) => PluginError::Answered { plugin, command, code, msg, details },
        Err(_) => {
            let said = if answer.is_empty() { log } else { answer };
            let said: String = String::from_utf8_lossy(&said).trim().chars().take(1000).collect();
            PluginError::Failed { plugin, command, status, said }
        }
    })
}

fn kill_group(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It leads its group, and is not yet waited for: the number cannot have become another's.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn join(folders: &[PathBuf]) -> OsString {
    let mut joined = OsString::new();
    for folder in folders {
        if !joined.is_empty() {
            joined.push(":");
        }
        joined.push(folder);
    }
    joined
}

fn folders(searched: &[PathBuf]) -> String {
    searched.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn and_details(details: &str) -> String {
    if details.is_empty() { String::new() } else { format!("; {details}") }
}

fn and_said(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
