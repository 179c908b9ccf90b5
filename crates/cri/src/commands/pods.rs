//! `cofferdam pods`: pods and their containers.

use super::table::{ago, table};
use super::{Client, answered, print, short};
use crate::clock;
use crate::error::Result;
use crate::wire::v1::{ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxState};

/// Prints them.
pub(crate) async fn pods(client: &mut Client) -> Result<()> {
    let asked = || "list pods".to_owned();
    let pods =
        answered(client.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await, asked)?.items;
    let containers =
        answered(client.runtime.list_containers(ListContainersRequest::default()).await, asked)?.containers;
    let now = clock::now();
    let mut rows = Vec::new();
    for pod in &pods {
        let metadata = pod.metadata.clone().unwrap_or_default();
        let state = if pod.state() == PodSandboxState::SandboxReady { "ready" } else { "not ready" };
        let row = [short(&pod.id), &metadata.namespace, &metadata.name, "", state, &ago(pod.created_at, now)];
        rows.push(row.map(str::to_owned).to_vec());
        for container in containers.iter().filter(|container| container.pod_sandbox_id == pod.id) {
            let name = container.metadata.clone().unwrap_or_default().name;
            let image = container.image.clone().unwrap_or_default().image;
            let state = match container.state() {
                ContainerState::ContainerCreated => "created",
                ContainerState::ContainerRunning => "running",
                ContainerState::ContainerExited => "exited",
                ContainerState::ContainerUnknown => "unknown",
            };
            let row = [
                &format!("  {}", short(&container.id)),
                "",
                &format!("  {name}"),
                &image,
                state,
                &ago(container.created_at, now),
            ];
            rows.push(row.map(str::to_owned).to_vec());
        }
    }
    print(&table(&["ID", "NAMESPACE", "NAME", "IMAGE", "STATE", "AGE"], &rows))
}
