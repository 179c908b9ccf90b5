//! The plugins of the Node Resource Interface: what they are told of pods and containers, and what becomes of what they
//! want. The interface's messages go no further than this folder.
//!
//! Nothing is put together for an event that no plugin has subscribed to: without plugins each of these functions is one
//! look at a number.
//!
//! | verb              | plugins are told                                 | a plugin's no   |
//! |-------------------|--------------------------------------------------|-----------------|
//! | run a pod         | when it is made, before anybody sees it          | undoes the pod, of which they are told |
//! | stop a pod        | when its containers have ended, once             | is logged       |
//! | remove a pod      | when its containers are gone, once               | is logged       |
//! | update a pod      | before it, and when it is done                   | refuses it; is logged |
//! | create            | before it, with what they want of it; when it is done | undoes it, of which they are told; is logged |
//! | start             | when it is made and runs nothing, and when it is done | ends it; is logged |
//! | update            | before it, with what they want of it; when it is done | refuses it; is logged |
//! | a container ends  | whoever ended it, once; of one that never ran, when it is removed | is logged |
//! | remove            | while everything of it is still there, once      | is logged       |

mod adjust;
mod message;
mod wishes;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::nri::api::Event;
use ::nri::{Config, Timeouts};
use oci_spec::runtime::Spec;

pub(crate) use ::nri::{ContainerEvent, PodEvent};
pub(crate) use wishes::update;

use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Kind, Result, chain};
use crate::spec::{merge, of_pod, read_spec, write_spec};
use crate::state::{Container, Pod};
use crate::wire::v1::{ContainerState, LinuxContainerResources};

/// How the daemon treats plugins.
pub(crate) fn config(config: &crate::config::Nri) -> Config {
    Config {
        runtime_name: "cofferdam".to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        socket: config.connections.then(|| config.socket.clone()),
        plugin_folder: config.plugin_folder.clone(),
        config_folder: config.config_folder.clone(),
        timeouts: Timeouts {
            registration: Duration::from_millis(config.registration_timeout_ms),
            synchronisation: Duration::from_millis(config.synchronization_timeout_ms),
            request: Duration::from_millis(config.request_timeout_ms),
        },
        required: config.required_plugins.clone(),
    }
}

/// Starts the plugins that are installed, and lets others connect. What hinders that hinders no pod.
pub(crate) async fn start(daemon: &Arc<Daemon>) {
    if !daemon.config.nri.enabled {
        return;
    }
    let runtime = Arc::new(wishes::Wishes(daemon.clone()));
    let config = config(&daemon.config.nri);
    if let Err(error) = ::nri::serve(config, daemon.plugins.clone(), runtime).await {
        tracing::warn!(error = chain(&error), "NRI plugins cannot come");
    }
}

/// Tells of a pod. An error is a plugin's no.
pub(crate) async fn tell_pod(daemon: &Daemon, event: PodEvent, pod: &Pod) -> Result<()> {
    if !daemon.plugins.wants_pod(event) {
        return Ok(());
    }
    let told = daemon.plugins.tell_pod(event, shown_pod(daemon, pod)).await;
    told.attempt(|| format!("ask NRI plugins about pod {}", pod.id))
}

/// Tells of a container. An error is a plugin's no.
pub(crate) async fn tell_container(
    daemon: &Daemon,
    event: ContainerEvent,
    container: &Container,
) -> Result<()> {
    if !daemon.plugins.wants_container(event) {
        return Ok(());
    }
    let (pod, shown) = (shown_pod(daemon, &container.pod), shown_container(container).await?);
    let told = daemon.plugins.tell_container(event, pod, shown).await;
    told.attempt(|| format!("ask NRI plugins about container {}", container.id))
}

/// For events after which nothing can be refused any more.
pub(crate) fn note(what: &str, id: &str, told: Result<()>) {
    if let Err(error) = told {
        tracing::warn!(id, error = chain(&error), "an NRI plugin objects to what has happened: {what}");
    }
}

/// Tells that a container has ended, once, whoever asks first; returns when plugins have been told.
pub(crate) async fn ended(daemon: &Arc<Daemon>, container: &Container) {
    let tell = async {
        if !daemon.plugins.wants(Event::StopContainer) {
            return;
        }
        let _block = daemon.plugins.ending().await;
        let shown = match shown_container(container).await {
            Ok(shown) => shown,
            Err(error) => return note("a container has ended", &container.id, Err(error)),
        };
        match daemon.plugins.stop_container(shown_pod(daemon, &container.pod), shown).await {
            // Others may be held by verbs that wait for this.
            Ok(updates) => wishes::later(daemon, updates),
            Err(error) => {
                let told = Err(error).attempt(|| "ask NRI plugins".to_owned());
                note("a container has ended", &container.id, told);
            }
        }
    };
    container.told_end.get_or_init(|| tell).await;
}

/// Asks what plugins want of a container that is being made, and makes it so: in its configuration on disk and its record.
pub(crate) async fn create(daemon: &Arc<Daemon>, container: &Container, spec: Spec) -> Result<()> {
    let asked = [Event::CreateContainer, Event::ValidateContainerAdjustment];
    if !asked.into_iter().any(|event| daemon.plugins.wants(event)) {
        return Ok(());
    }
    let pod = shown_pod(daemon, &container.pod);
    let shown =
        container.with(|record| message::container(record, ContainerState::ContainerUnknown, 0, Some(&spec)));
    let wanted = daemon.plugins.create_container(pod, shown).await;
    let wanted = wanted.attempt(|| format!("ask NRI plugins about container {}", container.id))?;
    let mut spec = adjust::adjust(&spec, &wanted.adjustment, &daemon.host)?;
    let devices: Vec<String> =
        wanted.adjustment.cdi_devices.iter().map(|device| device.name.clone()).collect();
    let limits = wanted.adjustment.linux.and_then(|linux| linux.resources).unwrap_or_default();
    let (shared, bundle) = (daemon.clone(), container.bundle.clone());
    let [blockio, rdt] =
        [&limits.blockio_class, &limits.rdt_class].map(|class| Some(class.as_ref()?.value.clone()));
    blocking(move || {
        shared.cdi.inject(&mut spec, &devices)?;
        shared.qos.apply_wanted(&mut spec, blockio.as_deref(), rdt.as_deref())?;
        write_spec(&bundle, &spec)
    })
    .await?;
    let reported = adjust::reported(&limits);
    if reported != LinuxContainerResources::default() {
        container.change(|record| {
            let now = record.resources.clone().unwrap_or_default();
            record.resources = Some(merge(&now, &reported));
        });
    }
    wishes::apply(daemon, wanted.updates).await?;
    wishes::evict(daemon, wanted.evictions);
    Ok(())
}

/// Whether those plugins are there without which no container is made.
pub(crate) fn check_required(daemon: &Daemon) -> Result<()> {
    daemon.plugins.check_required().attempt_as(Kind::Unavailable, || "make a container".to_owned())
}

/// Tells that a pod that plugins were told of has failed.
pub(crate) async fn undo_pod(daemon: &Daemon, pod: &Pod) {
    for event in [PodEvent::Stop, PodEvent::Remove] {
        note("a pod has failed", &pod.id, tell_pod(daemon, event, pod).await);
    }
}

/// Tells that a container that plugins were asked about has failed.
pub(crate) async fn undo_container(daemon: &Arc<Daemon>, container: &Container) {
    ended(daemon, container).await;
    let told = tell_container(daemon, ContainerEvent::Remove, container).await;
    note("a container has failed", &container.id, told);
}

/// Asks whether a pod's limits may change.
pub(crate) async fn update_pod(
    daemon: &Daemon,
    pod: &Pod,
    request: &crate::wire::v1::UpdatePodSandboxResourcesRequest,
) -> Result<()> {
    if !daemon.plugins.wants(Event::UpdatePodSandbox) {
        return Ok(());
    }
    let overhead = request.overhead.as_ref().map(message::limits);
    let limits = request.resources.as_ref().map(message::limits);
    let asked = daemon.plugins.update_pod(shown_pod(daemon, pod), overhead, limits).await;
    asked.attempt(|| format!("ask NRI plugins about pod {}", pod.id))
}

fn shown_pod(daemon: &Daemon, pod: &Pod) -> ::nri::api::PodSandbox {
    let cgroup = crate::stats::pod_cgroup(daemon, pod);
    let pins = pod.pins();
    let all = [
        ("ipc", pins.ipc()),
        ("uts", pins.uts()),
        ("network", pins.net()),
        ("user", pins.user()),
        ("pid", pins.pid()),
    ];
    let there: Vec<(&str, &Path)> =
        all.iter().filter(|(_, path)| path.exists()).map(|(kind, path)| (*kind, path.as_path())).collect();
    pod.with(|record| {
        let annotations = daemon.handler(&record.handler).map(|handler| of_pod(record, handler));
        message::pod(record, annotations.unwrap_or_default(), cgroup, &there)
    })
}

async fn shown_container(container: &Container) -> Result<::nri::api::Container> {
    let (record, state, pid) = (container.record(), container.state(), container.pid());
    let bundle = container.bundle.clone();
    blocking(move || {
        // After a reboot there is none any more.
        let spec = read_spec(&bundle).ok();
        Ok(message::container(&record, state, pid, spec.as_ref()))
    })
    .await
}
