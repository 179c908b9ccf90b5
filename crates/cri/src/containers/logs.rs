//! ReopenContainerLog.

use std::sync::Arc;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};

/// Has the shim go on in a new file, after the old one was renamed. On failure none is made.
pub(crate) async fn reopen_log(daemon: Arc<Daemon>, id: String) -> Result<()> {
    let container = daemon.registry.container(&id)?;
    if !container.is_running() {
        return Err(Error::new(Kind::Precondition, format!("container {} does not run", container.id)));
    }
    let shim = container.pod.shim()?;
    shim.reopen_log(&container.id).await.attempt(|| format!("reopen the log of container {}", container.id))
}
