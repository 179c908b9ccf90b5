//! UpdateContainerResources.

use std::sync::Arc;

use shim_api::Shim;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::spec::{limits, merge, read_spec};
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
    let _turn = container.turn.lock().await;
    let resources = limits(&change, &daemon.host)?;
    match container.state() {
        ContainerState::ContainerRunning => {
            let shim = container.pod.shim()?;
            if let Err(error) = shim.update(&container.id, &resources).await {
                restore(&daemon, &container, &shim).await;
                return Err(error).attempt(|| format!("change the limits of container {}", container.id));
            }
        }
        // Those of a container that has not been started are in its configuration.
        ContainerState::ContainerCreated => rewrite(&daemon, &container, &change)?,
        ContainerState::ContainerExited | ContainerState::ContainerUnknown => {
            return Err(Error::new(Kind::Precondition, format!("container {} has ended", container.id)));
        }
    }
    let record = container.change(|record| {
        record.resources = Some(merge(&record.resources.clone().unwrap_or_default(), &change));
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

fn rewrite(daemon: &Daemon, container: &Container, change: &LinuxContainerResources) -> Result<()> {
    let now = container.with(|record| record.resources.clone()).unwrap_or_default();
    let mut resources = limits(&merge(&now, change), &daemon.host)?;
    let mut spec = read_spec(&container.bundle)?;
    if let Some(linux) = spec.linux_mut() {
        let devices = linux.resources().as_ref().and_then(|resources| resources.devices().clone());
        resources.set_devices(devices);
        linux.set_resources(Some(resources));
    }
    let file = container.bundle.join("config.json");
    let temporary = container.bundle.join("config.json.new");
    let attempted = || format!("write {}", file.display());
    std::fs::write(&temporary, serde_json::to_vec(&spec).attempt(attempted)?).attempt(attempted)?;
    std::fs::rename(&temporary, &file).attempt(attempted)
}
