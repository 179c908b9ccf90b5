//! RemoveContainer.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use rustix::mount::UnmountFlags;
use snapshots::Snapshotter;
use tracing::Instrument as _;

use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::events;
use crate::state::Container;
use crate::traces::step;
use crate::wire::v1::ContainerEventType;

/// Removes a container, killing it if it runs. One that is not there is removed.
pub(crate) async fn remove(daemon: Arc<Daemon>, id: String) -> Result<()> {
    match daemon.registry.container(&id) {
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        container => remove_container(&daemon, &container?).await,
    }
}

/// The same for a container that was found.
pub(crate) async fn remove_container(daemon: &Arc<Daemon>, container: &Arc<Container>) -> Result<()> {
    let _turn = container.turn.lock().await;
    super::stop::kill(daemon, container).await?;
    // Otherwise its record would come after its removal.
    container.wait_for_record().await;
    if !delete_in_shim(container).await? {
        super::start::reap_leftovers(daemon, &container.id).await;
    }
    remove_leftovers(daemon, &container.id).await?;
    daemon.store.remove_container(&container.id).await?;
    daemon.registry.remove_container(&container.id);
    events::tell(daemon, ContainerEventType::ContainerDeletedEvent, &container.id, &container.pod);
    let (image, volumes) = container.with(|record| (record.image_id.clone(), record.image_volumes.clone()));
    volumes.iter().for_each(|chain| daemon.images.end_use(chain));
    if !volumes.is_empty() || matches!(daemon.images.find(&image), Ok(None)) {
        collect(daemon.clone());
    }
    Ok(())
}

/// Has the shim remove it; whether there was one that could.
async fn delete_in_shim(container: &Container) -> Result<bool> {
    let Ok(shim) = container.pod.shim() else { return Ok(false) };
    match shim.delete(&container.id, None).instrument(step("shim.delete")).await {
        Ok(_) => Ok(true),
        // The daemon may have died between this and the next step.
        Err(error) if error.kind() == shim_api::Kind::NotFound => Ok(true),
        Err(shim_api::Error::NoAnswer { .. }) => Ok(false),
        Err(error) => Err(Error::caused(Kind::Internal, format!("remove container {}", container.id), error)),
    }
}

/// Removes the layers that were kept only because the container stood on them. Nobody waits for it.
fn collect(daemon: Arc<Daemon>) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = daemon.images.collect() {
            tracing::warn!(error = chain(&error), "remove layers that nothing needs");
        }
    });
}

/// Removes a container's root and bundle, whatever of them exists.
pub(crate) async fn remove_leftovers(daemon: &Daemon, id: &str) -> Result<()> {
    let bundle = daemon.container_bundle(id);
    let snapshots = daemon.snapshots.clone();
    let folders = [daemon.volumes(id), bundle.clone()];
    let id = id.to_owned();
    blocking(move || {
        step("snapshot.remove").in_scope(|| remove_root(&snapshots, &id, &bundle))?;
        folders.iter().try_for_each(|folder| remove_folder(folder))
    })
    .await
}

fn remove_root(snapshots: &Arc<dyn Snapshotter>, id: &str, bundle: &Path) -> Result<()> {
    let rootfs = bundle.join("rootfs");
    // Usually the shim has done it.
    match rustix::mount::unmount(&rootfs, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => tracing::warn!(container = id, error = chain(&error), "its root is still mounted"),
    }
    snapshots.remove(id).attempt(|| format!("remove the root of container {id}"))
}

/// One that is not there is removed.
fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).attempt(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
