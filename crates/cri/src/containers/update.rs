//! UpdateContainerResources.

use std::path::Path;
use std::sync::Arc;

use oci_spec::runtime::LinuxResources;
use shim_api::Shim;

use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::plugins::{self, ContainerEvent};
use crate::spec::{limits, merge, over, read_spec, write_spec};
use crate::state::Container;
use crate::wire::v1::{ContainerState, LinuxContainerResources, UpdateContainerResourcesRequest};

/// Changes the limits of a container: all of them, or none.
pub(crate) async fn update_resources(
    daemon: Arc<Daemon>,
    request: UpdateContainerResourcesRequest,
) -> Result<()> {
    let container = daemon.registry.container(&request.container_id)?;
    if request.windows.is_some() {
        return Err(Error::invalid("windows: this host runs Linux containers"));
    }
    let Some(change) = request.linux else { return Ok(()) };
    let _block = daemon.plugins.verb().await;
    may_change(&container)?;
    let (change, resources, others) = plugins::update(&daemon, &container, change).await?;
    {
        let _turn = container.turn.lock().await;
        set_limits(&daemon, &container, &change, resources).await?;
    }
    others.apply(&daemon).await?;
    let told = plugins::tell_container(&daemon, ContainerEvent::PostUpdate, &container).await;
    plugins::note("a container's limits have changed", &container.id, told);
    Ok(())
}

/// Sets limits on a container whose turn the caller has: all of them, or none. `change` is what the record says then.
pub(crate) async fn set_limits(
    daemon: &Daemon,
    container: &Container,
    change: &LinuxContainerResources,
    limits: LinuxResources,
) -> Result<()> {
    may_change(container)?;
    if container.is_running() {
        let shim = container.pod.shim()?;
        if let Err(error) = shim.update(&container.id, &limits).await {
            restore(daemon, container, &shim).await;
            return Err(error).attempt(|| format!("change the limits of container {}", container.id));
        }
    } else {
        // Those of a container that has not been started are in its configuration.
        let bundle = container.bundle.clone();
        blocking(move || rewrite(&bundle, &limits)).await?;
    }
    let record = container.change(|record| {
        record.resources = Some(merge(&record.resources.clone().unwrap_or_default(), change));
    });
    daemon.store.put_container(&record).await
}

/// Sets the limits that were there before a change of which only a part could be made.
async fn restore(daemon: &Daemon, container: &Container, shim: &Shim) {
    let before = container.with(|record| record.resources.clone()).unwrap_or_default();
    let restored = match limits(&before, &daemon.host) {
        Ok(before) => shim.update(&container.id, &before).await.attempt(|| "set them".to_owned()),
        Err(error) => Err(error),
    };
    if let Err(error) = restored {
        tracing::warn!(
            container = container.id,
            error = chain(&error),
            "go back to the limits that were there"
        );
    }
}

fn may_change(container: &Container) -> Result<()> {
    match container.state() {
        ContainerState::ContainerRunning | ContainerState::ContainerCreated => Ok(()),
        ContainerState::ContainerExited | ContainerState::ContainerUnknown => {
            Err(Error::new(Kind::Precondition, format!("container {} has ended", container.id)))
        }
    }
}

fn rewrite(bundle: &Path, limits: &LinuxResources) -> Result<()> {
    let mut spec = read_spec(bundle)?;
    if let Some(linux) = spec.linux_mut() {
        let now = linux.resources().clone().unwrap_or_default();
        linux.set_resources(Some(over(&now, limits)?));
    }
    write_spec(bundle, &spec)
}
