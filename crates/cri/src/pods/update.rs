//! UpdatePodSandboxResources.

use std::sync::Arc;

use crate::daemon::Daemon;
use crate::error::Result;
use crate::plugins::{self, PodEvent};
use crate::wire::v1::UpdatePodSandboxResourcesRequest;

/// Notes the pod's new limits. The kubelet has set them on the pod's cgroup, which is its own, before it calls.
pub(crate) async fn update_resources(
    daemon: Arc<Daemon>,
    request: UpdatePodSandboxResourcesRequest,
) -> Result<()> {
    let pod = daemon.registry.pod(&request.pod_sandbox_id)?;
    let _block = daemon.plugins.verb().await;
    let _turn = pod.turn.lock().await;
    plugins::update_pod(&daemon, &pod, &request).await?;
    let record = pod.change(|record| {
        let linux = record.config.linux.get_or_insert_default();
        if request.overhead.is_some() {
            linux.overhead = request.overhead;
        }
        if request.resources.is_some() {
            linux.resources = request.resources;
        }
    });
    daemon.store.put_pod(&record).await?;
    let told = plugins::tell_pod(&daemon, PodEvent::PostUpdate, &pod).await;
    plugins::note("the pod's limits have changed", &pod.id, told);
    Ok(())
}
