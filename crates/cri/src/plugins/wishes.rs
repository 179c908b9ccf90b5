//! What plugins want of containers that exist: other limits, or their end.

use std::sync::Arc;

use ::nri::api::{ContainerEviction, ContainerUpdate, Event, LinuxResources};
use async_trait::async_trait;
use oci_spec::runtime::LinuxResources as Limits;

use super::{adjust, message, shown_container, shown_pod};
use crate::containers;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Result, chain};
use crate::spec::limits;
use crate::state::Container;
use crate::wire::v1::{ContainerState, LinuxContainerResources};

/// How long an evicted container may take, in seconds.
const GRACE: i64 = 10;

/// The daemon as plugins may call it.
pub(super) struct Wishes(pub(super) Arc<Daemon>);

#[async_trait]
impl ::nri::Runtime for Wishes {
    async fn everything(&self) -> (Vec<::nri::api::PodSandbox>, Vec<::nri::api::Container>) {
        let daemon = &self.0;
        let pods = daemon.registry.pods().iter().map(|pod| shown_pod(daemon, pod)).collect();
        let mut containers = Vec::new();
        for container in daemon.registry.containers() {
            let state = container.state();
            if !matches!(state, ContainerState::ContainerCreated | ContainerState::ContainerRunning) {
                continue;
            }
            match shown_container(&container).await {
                Ok(shown) => containers.push(shown),
                Err(error) => {
                    tracing::error!(container = container.id, error = chain(&error), "show it to a plugin");
                }
            }
        }
        (pods, containers)
    }

    async fn update(&self, updates: Vec<ContainerUpdate>) -> Vec<ContainerUpdate> {
        let mut failed = Vec::new();
        for update in updates {
            if let Err(error) = apply_one(&self.0, &update).await {
                log(&update, &error);
                if !update.ignore_failure {
                    failed.push(update);
                }
            }
        }
        failed
    }

    async fn evict(&self, evictions: Vec<ContainerEviction>) {
        evict(&self.0, evictions);
    }
}

/// Changes the limits of containers because something has happened to another; the first error that may not be ignored.
pub(super) async fn apply(daemon: &Arc<Daemon>, updates: Vec<ContainerUpdate>) -> Result<()> {
    for update in updates {
        match apply_one(daemon, &update).await {
            Err(error) if update.ignore_failure => log(&update, &error),
            applied => applied?,
        }
    }
    Ok(())
}

/// The same when nobody waits for it.
pub(super) fn later(daemon: &Arc<Daemon>, updates: Vec<ContainerUpdate>) {
    if updates.is_empty() {
        return;
    }
    let daemon = daemon.clone();
    tokio::spawn(async move {
        for update in updates {
            if let Err(error) = apply_one(&daemon, &update).await {
                log(&update, &error);
            }
        }
    });
}

/// Ends containers. Nobody waits for it.
pub(super) fn evict(daemon: &Arc<Daemon>, evictions: Vec<ContainerEviction>) {
    for eviction in evictions {
        let daemon = daemon.clone();
        tokio::spawn(async move {
            let ContainerEviction { container_id, reason } = eviction;
            tracing::info!(container = container_id, reason, "an NRI plugin has it ended");
            if let Err(error) = containers::stop(daemon, container_id.clone(), GRACE).await {
                tracing::warn!(container = container_id, error = chain(&error), "end it for an NRI plugin");
            }
        });
    }
}

/// A client's update of a container, as plugins have changed it: what is asked for, and the limits that come of it.
/// What plugins want of other containers is done when the caller has let go of this one.
pub(crate) async fn update(
    daemon: &Arc<Daemon>,
    container: &Container,
    change: LinuxContainerResources,
) -> Result<(LinuxContainerResources, Limits, Others)> {
    if !daemon.plugins.wants(Event::UpdateContainer) {
        let resources = limits(&change, &daemon.host)?;
        return Ok((change, resources, Others::default()));
    }
    let attempted = || format!("ask NRI plugins about container {}", container.id);
    // What cannot be meant is no plugin's affair.
    limits(&change, &daemon.host)?;
    let pod = shown_pod(daemon, &container.pod);
    let shown = shown_container(container).await?;
    let asked = daemon.plugins.update_container(pod, shown, message::limits(&change)).await;
    let updated = asked.attempt(attempted)?;
    let (change, resources) = understood(daemon, &updated.limits)?;
    Ok((change, resources, Others { updates: updated.updates, evictions: updated.evictions }))
}

/// What plugins want of containers other than the one that something happens to.
#[derive(Default)]
pub(crate) struct Others {
    updates: Vec<ContainerUpdate>,
    evictions: Vec<ContainerEviction>,
}

impl Others {
    /// Does it.
    pub(crate) async fn apply(self, daemon: &Arc<Daemon>) -> Result<()> {
        apply(daemon, self.updates).await?;
        evict(daemon, self.evictions);
        Ok(())
    }
}

/// A plugin's limits in a client's words, and all of them in the specification's.
fn understood(daemon: &Daemon, wanted: &LinuxResources) -> Result<(LinuxContainerResources, Limits)> {
    let change = adjust::reported(wanted);
    let resources =
        limits(&LinuxContainerResources { unified: Default::default(), ..change.clone() }, &daemon.host)?;
    let resources = adjust::set_limits(&resources, wanted, &daemon.host)?;
    Ok((change, resources))
}

async fn apply_one(daemon: &Arc<Daemon>, update: &ContainerUpdate) -> Result<()> {
    let container = daemon.registry.container(&update.container_id)?;
    let Some(wanted) = update.linux.as_ref().and_then(|linux| linux.resources.as_ref()) else {
        return Ok(());
    };
    let (change, resources) = understood(daemon, wanted)?;
    let _turn = container.turn.lock().await;
    containers::set_limits(daemon, &container, &change, resources).await
}

fn log(update: &ContainerUpdate, error: &Error) {
    tracing::warn!(
        container = update.container_id,
        error = chain(error),
        "change its limits for an NRI plugin"
    );
}
