//! StopContainer.

use std::sync::Arc;
use std::time::Duration;

use shim_api::{Shim, Signal};
use tracing::Instrument as _;

use crate::daemon::Daemon;
use crate::error::{Error, Kind, Result};
use crate::plugins;
use crate::record::End;
use crate::state::Container;
use crate::traces::step;

/// SIGKILL.
const KILL: i32 = 9;
/// How long a killed container may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(30);

/// Asks a container to end, and kills it when `timeout` has passed. One that does not run, or is not there, has ended.
pub(crate) async fn stop(daemon: Arc<Daemon>, id: String, timeout: i64) -> Result<()> {
    let container = match daemon.registry.container(&id) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        container => container?,
    };
    end(&daemon, &container, timeout).await?;
    if container.with(|record| record.end.is_some()) {
        // Whoever goes on from here tells plugins of what comes after it.
        plugins::ended(&daemon, &container).await;
    }
    Ok(())
}

async fn end(daemon: &Arc<Daemon>, container: &Container, timeout: i64) -> Result<()> {
    if !container.is_running() {
        return Ok(());
    }
    let seconds = u64::try_from(timeout).unwrap_or(0);
    if seconds > 0 {
        let shim = container.pod.shim()?;
        let signal = container.with(|record| record.stop_signal);
        send(&shim, container, signal, false).await?;
        // A second call with a shorter time does not wait for this one: each has its own patience.
        if tokio::time::timeout(Duration::from_secs(seconds), container.wait()).await.is_ok() {
            return Ok(());
        }
    }
    kill(daemon, container).await
}

/// Kills a container's processes, and waits until it is gone.
pub(crate) async fn kill(daemon: &Arc<Daemon>, container: &Container) -> Result<()> {
    if !container.is_running() {
        return Ok(());
    }
    let Ok(shim) = container.pod.shim() else {
        // Its watcher has noted what is known, or the pod's own end will.
        note_lost(daemon, container).await;
        return Ok(());
    };
    send(&shim, container, KILL, true).await?;
    if tokio::time::timeout(AFTER_KILL, container.wait()).await.is_err() {
        return Err(Error::new(
            Kind::Deadline,
            format!(
                "container {} was killed and is still there after {} s",
                container.id,
                AFTER_KILL.as_secs()
            ),
        ));
    }
    plugins::ended(daemon, container).await;
    Ok(())
}

async fn note_lost(daemon: &Arc<Daemon>, container: &Container) {
    let end = super::start::read_outcome(container).unwrap_or_else(|| End {
        at: crate::clock::now(),
        code: 255,
        oom_killed: false,
        message: "its shim is gone".to_owned(),
        reason: crate::state::UNKNOWN.to_owned(),
    });
    super::start::ended(daemon, container, end).await;
}

/// A process that has ended needs no signal; a shim that is gone has none to pass it on to, and the watcher will know.
async fn send(shim: &Shim, container: &Container, number: i32, all: bool) -> Result<()> {
    let signal = Signal { number, all };
    match shim.kill(&container.id, None, signal).instrument(step("shim.kill")).await {
        Ok(()) | Err(shim_api::Error::NoAnswer { .. }) => Ok(()),
        Err(error) if error.kind() == shim_api::Kind::NotFound => Ok(()),
        Err(error) => Err(Error::caused(
            Kind::Internal,
            format!("send signal {number} to container {}", container.id),
            error,
        )),
    }
}
