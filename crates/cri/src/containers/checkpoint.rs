//! CheckpointContainer.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::CheckpointContainerRequest;

/// Writes a running container to a tar archive; it goes on running.
pub(crate) async fn checkpoint(daemon: Arc<Daemon>, request: CheckpointContainerRequest) -> Result<()> {
    let container = daemon.registry.container(&request.container_id)?;
    if request.location.is_empty() {
        return Err(Error::invalid("location is empty"));
    }
    let _turn = container.turn.lock().await;
    if !container.is_running() {
        return Err(Error::new(Kind::Precondition, format!("container {} does not run", container.id)));
    }
    let shim = container.pod.shim()?;
    let folder = container.bundle.join("checkpoint");
    std::fs::create_dir_all(&folder).attempt(|| format!("make {}", folder.display()))?;
    let checkpoint = shim_api::Checkpoint { path: folder.clone(), ..shim_api::Checkpoint::default() };
    let patience =
        u64::try_from(request.timeout).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let write = shim.checkpoint(&container.id, &checkpoint);
    let written = match patience {
        Some(patience) => tokio::time::timeout(patience, write).await.map_err(|_| {
            Error::new(
                Kind::Deadline,
                format!("checkpoint container {}: {} s have passed", container.id, patience.as_secs()),
            )
        })?,
        None => write.await,
    };
    let result = written.attempt(|| format!("checkpoint container {}", container.id));
    let record = container.record();
    let work = folder.clone();
    let archived = match result {
        Ok(()) => blocking(move || archive(&work, &record, &request.location)).await,
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&folder).attempt(|| format!("remove {}", folder.display()))?;
    archived
}

/// The kernel state, and what the container was, in one file; whole or not there.
fn archive(folder: &std::path::Path, record: &crate::record::ContainerRecord, location: &str) -> Result<()> {
    let attempted = || format!("write the checkpoint {location}");
    let temporary = format!("{location}.part");
    let file = std::fs::File::create(&temporary).attempt(attempted)?;
    let write = || -> std::io::Result<()> {
        let mut archive = tar::Builder::new(file);
        archive.append_dir_all("checkpoint", folder)?;
        let config = serde_json::to_vec_pretty(record)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(config.len()).unwrap_or_default());
        header.set_mode(0o600);
        archive.append_data(&mut header, "config.dump", config.as_slice())?;
        archive.into_inner()?.sync_all()?;
        std::fs::rename(&temporary, location)
    };
    let written = write();
    if written.is_err() {
        // What there is of it helps nobody; that it cannot be removed either adds nothing.
        let _ = std::fs::remove_file(&temporary);
    }
    written.attempt(attempted)
}
