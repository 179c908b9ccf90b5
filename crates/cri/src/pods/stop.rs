//! StopPodSandbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::Instrument as _;

use super::network;
use crate::containers;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::events;
use crate::plugins::{self, PodEvent};
use crate::state::Pod;
use crate::traces::step;
use crate::wire::v1::ContainerEventType;

/// Ends the pod's containers and gives up its network. A pod that is not there, or stopped already, is stopped.
pub(crate) async fn stop(daemon: Arc<Daemon>, id: String) -> Result<()> {
    let pod = match daemon.registry.pod(&id) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        pod => pod?,
    };
    let _block = daemon.plugins.verb().await;
    let _turn = pod.turn.lock().await;
    stop_running(&daemon, &pod).await
}

/// The same for a caller that has the turn.
pub(crate) async fn stop_running(daemon: &Arc<Daemon>, pod: &Arc<Pod>) -> Result<()> {
    if pod.with(|record| record.stopped) {
        return Ok(());
    }
    // From here on no container is made or started in it.
    let was_ready = pod.is_ready();
    pod.set_ready(false);
    let containers = daemon.registry.containers_of(&pod.id);
    let stopped = join_all(containers.iter().map(|container| containers::kill(daemon, container))).await;
    if was_ready {
        events::tell(daemon, ContainerEventType::ContainerStoppedEvent, &pod.id, pod);
    }
    for result in stopped {
        result?;
    }
    if !pod.told_stop.swap(true, Ordering::AcqRel) {
        plugins::note("the pod has stopped", &pod.id, plugins::tell_pod(daemon, PodEvent::Stop, pod).await);
    }
    // The namespace goes with the shim's pins, and plugins want to see it. Both are tried, whatever becomes of the first.
    let detached = network::detach(daemon, pod).await;
    stop_shim(daemon, pod).await.and(detached)?;
    let record = pod.change(|record| record.stopped = true);
    daemon.store.put_pod(&record).await
}

/// Has the shim remove the pod's namespaces and cgroup; of one that is gone, whatever it left.
pub(super) async fn stop_shim(daemon: &Daemon, pod: &Pod) -> Result<()> {
    if let Ok(shim) = pod.shim() {
        match shim.stop_sandbox(&pod.id, Duration::ZERO).instrument(step("shim.stop_sandbox")).await {
            Ok(()) => return Ok(()),
            Err(error @ shim_api::Error::Refused { .. }) => {
                return Err(Error::caused(Kind::Internal, format!("stop pod {}", pod.id), error));
            }
            // Nobody answers any more.
            Err(_) => pod.set_shim(None),
        }
    }
    clean_up(daemon, pod).await
}

/// Removes what a shim that is gone has left of a pod.
pub(super) async fn clean_up(daemon: &Daemon, pod: &Pod) -> Result<()> {
    if !pod.bundle.join("config.json").exists() {
        return Ok(());
    }
    let launch = daemon.launch(&pod.id, &pod.bundle);
    launch.delete().await.attempt(|| format!("clean up behind the shim of pod {}", pod.id))?;
    Ok(())
}
