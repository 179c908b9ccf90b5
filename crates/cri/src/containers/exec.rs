//! ExecSync: one more process, its output and its exit code.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use shim_api::{NewProcess, Shim, Signal, Streams};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::id;
use crate::spec::{exec_process, read_spec};
use crate::state::Container;
use crate::traces::step;
use crate::wire::v1::{ExecSyncRequest, ExecSyncResponse};

/// What is kept of each stream; a message of the interface holds no more than both.
const MAX_OUTPUT: usize = 8 << 20;

/// Runs a command in a container and gives what it printed; kills it when the time that was given has passed, or when
/// the other end of `client` is dropped: who asked has gone away.
pub(crate) async fn exec_sync(
    daemon: Arc<Daemon>,
    request: ExecSyncRequest,
    client: oneshot::Receiver<Infallible>,
) -> Result<ExecSyncResponse> {
    let container = daemon.registry.container(&request.container_id)?;
    let shim = running(&container)?;
    let process = exec_process(&first_process(&container)?, &request.cmd, false)?;
    let fifos = Fifos::make(&daemon)?;
    let stdout = fifos.receiver("stdout")?;
    let stderr = fifos.receiver("stderr")?;
    let exec = fifos.id.clone();
    let attempted = || format!("run {:?} in container {}", request.cmd.join(" "), container.id);
    let streams = Streams {
        stdin: String::new(),
        stdout: fifos.path("stdout"),
        stderr: fifos.path("stderr"),
        terminal: false,
    };
    let new = NewProcess { id: container.id.clone(), exec_id: exec.clone(), process, streams };
    shim.exec(&new).instrument(step("shim.exec")).await.attempt(attempted)?;
    let started = shim.start_process(&container.id, &exec).instrument(step("shim.start_process")).await;
    if let Err(error) = started {
        forget(&shim, &container, &exec).await;
        return Err(error).attempt(attempted);
    }
    let seconds = u64::try_from(request.timeout).ok().filter(|seconds| *seconds > 0);
    let ending = async {
        let exited = shim.wait(&container.id, Some(&exec)).await;
        // The fifos end with the process's removal, after all that was printed.
        forget(&shim, &container, &exec).await;
        exited
    };
    let run = async { tokio::join!(ending, collect(stdout), collect(stderr)) };
    let finished = tokio::select! {
        finished = run => Ok(finished),
        why = late(seconds) => Err(why),
        _ = client => Err("its client has gone away".to_owned()),
    };
    let (exited, stdout, stderr) = match finished {
        Ok(finished) => finished,
        Err(why) => {
            // Whether it is there to be killed or not: it is over.
            let _ = shim.kill(&container.id, Some(&exec), Signal { number: 9, all: false }).await;
            let _ = shim.wait(&container.id, Some(&exec)).await;
            forget(&shim, &container, &exec).await;
            return Err(Error::new(Kind::Deadline, format!("{}: {why}", attempted())));
        }
    };
    let exited = exited.attempt(attempted)?;
    Ok(ExecSyncResponse {
        stdout: stdout.attempt(attempted)?,
        stderr: stderr.attempt(attempted)?,
        exit_code: exited.code,
    })
}

/// When the time that was given has passed: why that is an end.
async fn late(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else { return std::future::pending().await };
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    format!("{seconds} s have passed")
}

/// The shim of a container that runs.
pub(crate) fn running(container: &Container) -> Result<Shim> {
    if container.is_running() {
        return container.pod.shim();
    }
    Err(Error::new(Kind::Precondition, format!("container {} does not run", container.id)))
}

/// What the container's first process was given.
pub(crate) fn first_process(container: &Container) -> Result<oci_spec::runtime::Process> {
    let spec = read_spec(&container.bundle)?;
    spec.process().clone().ok_or_else(|| {
        Error::new(Kind::Internal, format!("the configuration of container {} has no process", container.id))
    })
}

/// Removes a process that has ended.
pub(crate) async fn forget(shim: &Shim, container: &Container, exec: &str) {
    if let Err(error) = shim.delete(&container.id, Some(exec)).await {
        tracing::debug!(
            container = container.id,
            exec,
            error = crate::error::chain(&error),
            "it is gone already"
        );
    }
}

/// Reads a stream to its end; what is beyond the limit is read and dropped, so that the process can go on.
async fn collect(mut stream: pipe::Receiver) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(kept);
        }
        let room = MAX_OUTPUT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
}

/// Fifos in a folder of their own, which goes with them.
pub(crate) struct Fifos {
    pub(crate) id: String,
    folder: PathBuf,
}

impl Fifos {
    pub(crate) fn make(daemon: &Daemon) -> Result<Self> {
        let mut id = id::new()?;
        id.truncate(32);
        let folder = daemon.config.state.join("io").join(&id);
        let attempted = || format!("make {}", folder.display());
        std::fs::create_dir_all(&folder).attempt(attempted)?;
        Ok(Self { id, folder })
    }

    /// Makes one that the shim writes to.
    pub(crate) fn receiver(&self, name: &str) -> Result<pipe::Receiver> {
        let path = self.folder.join(name);
        make_fifo(&path)?;
        pipe::OpenOptions::new().open_receiver(&path).attempt(|| format!("open {}", path.display()))
    }

    /// Makes one that the shim reads from.
    pub(crate) fn sender(&self, name: &str) -> Result<pipe::Sender> {
        let path = self.folder.join(name);
        make_fifo(&path)?;
        // Opened for both directions, it opens before the shim does.
        pipe::OpenOptions::new()
            .read_write(true)
            .open_sender(&path)
            .attempt(|| format!("open {}", path.display()))
    }

    /// As the shim is told.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), error = crate::error::chain(&error), "fifos are left");
        }
    }
}

fn make_fifo(path: &Path) -> Result<()> {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR)
        .attempt(|| format!("make the fifo {}", path.display()))
}
