//! RunPodSandbox.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{files, network};
use crate::clock;
use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::events;
use crate::id;
use crate::plugins::{self, PodEvent};
use crate::record::{PodRecord, VERSION};
use crate::spec::{Namespaces, PodRequest, of_pod, pod_spec};
use crate::state::Pod;
use crate::traces::step;
use crate::wire::v1::{ContainerEventType, PodSandboxConfig, RunPodSandboxRequest};

/// Makes a pod and everything that its containers share, and gives its id; or leaves nothing behind.
pub(crate) async fn run(daemon: Arc<Daemon>, request: RunPodSandboxRequest) -> Result<String> {
    let config = request.config.ok_or_else(|| Error::invalid("config is missing"))?;
    let name = name(&config)?;
    daemon.handler(&request.runtime_handler)?;
    let record = PodRecord {
        version: VERSION,
        id: id::new()?,
        handler: request.runtime_handler,
        config,
        created_at: clock::now(),
        ips: Vec::new(),
        shim: String::new(),
        stopped: false,
        ready: false,
    };
    let id = record.id.clone();
    let pod = Arc::new(Pod::new(record, daemon.pod_bundle(&id)));
    // Of what is refused here nothing has to be undone.
    pod.with(|record| Namespaces::of(&record.config))?;
    network::check(&pod)?;
    let _block = daemon.plugins.verb().await;
    daemon.registry.reserve(&name, &id)?;
    match make(&daemon, &pod).await {
        Ok(()) => Ok(id),
        Err(error) => {
            if let Err(left) = super::remove::undo(&daemon, &pod).await {
                tracing::warn!(
                    pod = id,
                    error = crate::error::chain(&left),
                    "a pod that failed left something behind"
                );
            }
            daemon.registry.remove_pod(&id);
            Err(error)
        }
    }
}

/// The name that no other pod may have.
pub(crate) fn name(config: &PodSandboxConfig) -> Result<String> {
    let metadata = config.metadata.as_ref().ok_or_else(|| Error::invalid("config.metadata is missing"))?;
    if metadata.name.is_empty() || metadata.uid.is_empty() {
        return Err(Error::invalid("config.metadata needs a name and a uid"));
    }
    if config.windows.is_some() {
        return Err(Error::invalid("config.windows: this host runs Linux pods"));
    }
    Ok(format!("pod {}_{}_{}_{}", metadata.name, metadata.namespace, metadata.uid, metadata.attempt))
}

async fn make(daemon: &Arc<Daemon>, pod: &Arc<Pod>) -> Result<()> {
    let namespaces = pod.with(|record| Namespaces::of(&record.config))?;
    prepare(daemon, pod, namespaces).instrument(step("pod.prepare")).await?;
    if namespaces.host_network() || namespaces.user {
        start_shim(daemon, pod, namespaces).await?;
        if !namespaces.host_network() {
            // It belongs to the user namespace, so the shim has made it.
            network::attach(daemon, pod).await?;
        }
    } else {
        // Plugins need tens of milliseconds; the shim starts meanwhile. Whichever fails, the other comes to its end.
        let (shim, attached) =
            tokio::join!(start_shim(daemon, pod, namespaces), network::attach(daemon, pod));
        attached?;
        shim?;
    }
    if let Err(error) = announce(daemon, pod).await {
        plugins::undo_pod(daemon, pod).await;
        return Err(error);
    }
    pod.set_ready(true);
    daemon.registry.add_pod(pod.clone());
    tokio::spawn(watch(daemon.clone(), pod.clone()));
    events::tell(daemon, ContainerEventType::ContainerCreatedEvent, &pod.id, pod);
    events::tell(daemon, ContainerEventType::ContainerStartedEvent, &pod.id, pod);
    Ok(())
}

/// Plugins may refuse it; what they have agreed to goes to disk.
async fn announce(daemon: &Daemon, pod: &Pod) -> Result<()> {
    plugins::tell_pod(daemon, PodEvent::Run, pod).await?;
    let record = pod.change(|record| record.ready = true);
    daemon.store.put_pod(&record).await
}

/// Writes the bundle, the files that the containers share, and makes the network namespace.
async fn prepare(daemon: &Arc<Daemon>, pod: &Arc<Pod>, namespaces: Namespaces) -> Result<()> {
    let daemon = daemon.clone();
    let pod = pod.clone();
    blocking(move || {
        let record = pod.record();
        files::write(&pod.bundle, &record.config, namespaces)?;
        let netns = pod.pins().net();
        let own_netns = !namespaces.host_network() && !namespaces.user;
        if own_netns {
            ::network::netns::create(&netns)
                .attempt(|| format!("make the network namespace of pod {}", pod.id))?;
        }
        let handler = daemon.handler(&record.handler)?;
        let spec = pod_spec(&PodRequest {
            id: &pod.id,
            config: &record.config,
            host: &daemon.host,
            systemd: daemon.systemd,
            netns: own_netns.then_some(netns.as_path()),
            annotations: of_pod(&record, handler),
            unprivileged_ports: daemon.config.runtime.unprivileged_ports,
        })?;
        let file = pod.bundle.join("config.json");
        let text = serde_json::to_vec(&spec).attempt(|| format!("write {}", file.display()))?;
        std::fs::write(&file, text).attempt(|| format!("write {}", file.display()))
    })
    .await
}

async fn start_shim(daemon: &Arc<Daemon>, pod: &Arc<Pod>, namespaces: Namespaces) -> Result<()> {
    let attempted = || format!("start the shim of pod {}", pod.id);
    let shim = shim_api::Shim::start(&daemon.launch(&pod.id, &pod.bundle))
        .instrument(step("shim.start"))
        .await
        .attempt(attempted)?;
    let address = shim.address().to_owned();
    pod.change(|record| record.shim = address);
    pod.set_shim(Some(shim.clone()));
    let own_netns = !namespaces.host_network() && !namespaces.user;
    let sandbox = shim_api::NewSandbox {
        id: pod.id.clone(),
        bundle: pod.bundle.clone(),
        netns: own_netns.then(|| pod.pins().net()),
        options: daemon.shim_options(),
        annotations: Default::default(),
    };
    shim.create_sandbox(&sandbox).instrument(step("shim.create_sandbox")).await.attempt(attempted)?;
    shim.start_sandbox(&pod.id).instrument(step("shim.start_sandbox")).await.attempt(attempted)?;
    Ok(())
}

/// Waits for the end of a pod's shim, whoever brings it about.
pub(crate) async fn watch(daemon: Arc<Daemon>, pod: Arc<Pod>) {
    let Ok(shim) = pod.shim() else { return };
    let answer = shim.wait_sandbox(&pod.id).await;
    if !pod.is_ready() {
        return;
    }
    pod.set_ready(false);
    if let Err(error) = answer {
        tracing::warn!(pod = pod.id, error = crate::error::chain(&error), "the shim of a pod is gone");
    }
    events::tell(&daemon, ContainerEventType::ContainerStoppedEvent, &pod.id, &pod);
}

/// The pod, if containers can be made in it.
pub(crate) fn ready(pod: &Pod) -> Result<()> {
    if pod.is_ready() {
        return Ok(());
    }
    Err(Error::new(Kind::Precondition, format!("pod {} is not ready", pod.id)))
}
