//! Starts a shim, and cleans up behind one that died: the daemon's side of [`crate::bootstrap`].

use crate::bootstrap::{Answer, MAX_VERSION, Params, TTRPC_ADDRESS, VERSION};
use crate::{Error, Exited, Result, wire};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How a shim is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Launch {
    /// Its program.
    pub program: PathBuf,
    /// The sandbox, or a container that is alone.
    pub id: String,
    /// The bundle, which is the program's working folder.
    pub bundle: PathBuf,
    /// The namespace in its events.
    pub namespace: String,
    /// Where it sends events: the path of a unix socket, see [`crate::events::listen`].
    pub events: PathBuf,
    /// Where its own socket is made; its default if none. To be kept short: a socket's path has at most 107 bytes.
    pub socket_dir: Option<PathBuf>,
    /// More is logged.
    pub debug: bool,
}

/// What cleaning up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How the container ended; 137 when that is not known.
    pub exited: Exited,
}

impl Launch {
    /// Runs the program's `start`; the shim listens when this returns.
    pub(crate) async fn start(&self) -> Result<Answer> {
        let output = self.run("start").await?;
        Answer::read(&output.stdout).map_err(|why| Error::Answer {
            program: self.program.clone(),
            command: "start",
            id: self.id.clone(),
            why,
        })
    }

    /// Ends and removes what a shim that is gone has left behind of one container or sandbox. May be repeated.
    pub async fn delete(&self) -> Result<Reaped> {
        let output = self.run("delete").await?;
        wire::deleted(&output.stdout).map(|exited| Reaped { exited }).map_err(|why| Error::Answer {
            program: self.program.clone(),
            command: "delete",
            id: self.id.clone(),
            why,
        })
    }

    async fn run(&self, command: &'static str) -> Result<Output> {
        let failed =
            |cause| Error::Run { program: self.program.clone(), command, id: self.id.clone(), cause };
        let mut shim = Command::new(&self.program);
        shim.args(["-namespace", &self.namespace, "-id", &self.id, "-address"]).arg(&self.events);
        shim.arg("-bundle").arg(&self.bundle);
        if self.debug {
            shim.arg("-debug");
        }
        shim.arg(command).current_dir(&self.bundle);
        shim.env(MAX_VERSION, VERSION.to_string()).env(TTRPC_ADDRESS, &self.events);
        shim.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shim.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            let params = serde_json::to_vec(&self.params()).map_err(|cause| failed(cause.into()))?;
            // A program that does not read it ends with an error that tells more.
            let _ = stdin.write_all(&params).await;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(output);
        }
        Err(Error::Failed {
            program: self.program.clone(),
            command,
            id: self.id.clone(),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn params(&self) -> Params {
        Params {
            instance_id: self.id.clone(),
            namespace: self.namespace.clone(),
            log_level: if self.debug { "LOG_LEVEL_DEBUG".into() } else { serde_json::Value::Null },
            containerd_ttrpc_address: self.events.to_string_lossy().into_owned(),
            containerd_grpc_address: self.events.to_string_lossy().into_owned(),
            containerd_binary: String::new(),
            socket_dir: self.socket_dir.clone(),
        }
    }
}
