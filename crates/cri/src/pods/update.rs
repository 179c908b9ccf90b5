//! UpdatePodSandboxResources.

use std::sync::Arc;

use tracing::Instrument as _;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Result};
use crate::plugins::{self, PodEvent};
use crate::spec::{has_own_cgroup, limits, merge};
use crate::traces::step;
use crate::wire::v1::UpdatePodSandboxResourcesRequest;

/// Changes the pod's limits. Those of a cgroup that the kubelet made are the kubelet's, who has set them before it calls
/// and only tells; a cgroup that this daemon made for the pod is given them here.
pub(crate) async fn update_resources(
    daemon: Arc<Daemon>,
    request: UpdatePodSandboxResourcesRequest,
) -> Result<()> {
    let pod = daemon.registry.pod(&request.pod_sandbox_id)?;
    let _block = daemon.plugins.verb().await;
    let _turn = pod.turn.lock().await;
    plugins::update_pod(&daemon, &pod, &request).await?;
    if let Some(change) = &request.resources {
        let wanted = limits(change, &daemon.host)?;
        let own = pod.with(|record| has_own_cgroup(&record.config, daemon.systemd));
        if own && pod.is_ready() {
            pod.shim()?
                .update(&pod.id, &wanted)
                .instrument(step("shim.update"))
                .await
                .attempt(|| format!("change the limits of pod {}", pod.id))?;
        }
    }
    let record = pod.change(|record| {
        let linux = record.config.linux.get_or_insert_default();
        if request.overhead.is_some() {
            linux.overhead = request.overhead;
        }
        if let Some(change) = &request.resources {
            linux.resources = Some(merge(&linux.resources.clone().unwrap_or_default(), change));
        }
    });
    daemon.store.put_pod(&record).await?;
    let told = plugins::tell_pod(&daemon, PodEvent::PostUpdate, &pod).await;
    plugins::note("the pod's limits have changed", &pod.id, told);
    Ok(())
}
