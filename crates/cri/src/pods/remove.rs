//! RemovePodSandbox, and what is left of a pod that never came to be.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument as _;

use super::{files, network, stop};
use crate::containers;
use crate::daemon::{Daemon, blocking};
use crate::error::{Error, Kind, Result, chain};
use crate::events;
use crate::plugins::{self, PodEvent};
use crate::record::{PodRecord, VERSION};
use crate::state::Pod;
use crate::traces::step;
use crate::wire::v1::ContainerEventType;

/// Removes a pod with all its containers. One that is not there is removed.
pub(crate) async fn remove(daemon: Arc<Daemon>, id: String) -> Result<()> {
    let pod = match daemon.registry.pod(&id) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        pod => pod?,
    };
    let _block = daemon.plugins.verb().await;
    let _turn = pod.turn.lock().await;
    stop::stop_running(&daemon, &pod).await?;
    for container in daemon.registry.containers_of(&pod.id) {
        containers::remove_container(&daemon, &container).await?;
    }
    if !pod.told_removal.swap(true, Ordering::AcqRel) {
        plugins::note("the pod goes", &pod.id, plugins::tell_pod(&daemon, PodEvent::Remove, &pod).await);
    }
    if let Ok(shim) = pod.shim() {
        // It ends while it answers.
        let ending = shim.shutdown_sandbox(&pod.id).instrument(step("shim.shutdown_sandbox"));
        if let Err(error) = ending.await {
            tracing::debug!(pod = pod.id, error = chain(&error), "the shim ended without an answer");
        }
        pod.set_shim(None);
    }
    remove_bundle(&pod).await?;
    daemon.store.remove_pod(&pod.id).await?;
    daemon.registry.remove_pod(&pod.id);
    events::tell(&daemon, ContainerEventType::ContainerDeletedEvent, &pod.id, &pod);
    Ok(())
}

/// Undoes a pod that was begun, whatever of it exists; goes on through errors.
pub(super) async fn undo(daemon: &Daemon, pod: &Pod) -> Result<()> {
    let mut errors = Vec::new();
    if let Ok(shim) = pod.shim() {
        // What a shim leaves that ends on the way is looked for below.
        if let Err(error) = shim.shutdown_sandbox(&pod.id).await {
            tracing::debug!(pod = pod.id, error = chain(&error), "the shim ended without an answer");
            // One that has not made its pod yet knows of none, and ends as one that is idle.
            if let Err(error) = shim.shutdown(&pod.id, false).await {
                tracing::debug!(pod = pod.id, error = chain(&error), "the shim ended without an answer");
            }
        }
        pod.set_shim(None);
    }
    errors.extend(stop::clean_up(daemon, pod).await.err());
    errors.extend(network::detach(daemon, pod).await.err());
    errors.extend(remove_bundle(pod).await.err());
    match errors.as_slice() {
        [] => Ok(()),
        errors => {
            let texts: Vec<String> = errors.iter().map(|error| chain(error)).collect();
            Err(Error::new(Kind::Internal, texts.join("; ")))
        }
    }
}

/// Removes what lies about of a pod that has no record: its daemon died while it was made. Its shim may run.
pub(crate) async fn remove_leftovers(daemon: &Daemon, id: &str) -> Result<()> {
    let record = PodRecord {
        version: VERSION,
        id: id.to_owned(),
        config: Default::default(),
        handler: String::new(),
        created_at: 0,
        ips: Vec::new(),
        shim: String::new(),
        stopped: false,
        ready: false,
    };
    let pod = Pod::new(record, daemon.pod_bundle(id));
    if pod.bundle.join("config.json").exists() {
        // It gives the shim that is there, or one that has nothing to do and is ended with the pod.
        match shim_api::Shim::start(&daemon.launch(id, &pod.bundle)).await {
            Ok(shim) => pod.set_shim(Some(shim)),
            Err(error) => tracing::warn!(pod = id, error = chain(&error), "look for its shim"),
        }
    }
    undo(daemon, &pod).await
}

async fn remove_bundle(pod: &Pod) -> Result<()> {
    let bundle = pod.bundle.clone();
    blocking(move || files::remove(&bundle)).await
}
