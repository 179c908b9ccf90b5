//! What happens to containers, told to whoever listens.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::clock;
use crate::containers;
use crate::daemon::Daemon;
use crate::pods;
use crate::state::Pod;
use crate::wire::v1::{ContainerEventResponse, ContainerEventType};

/// How many events a listener may lag behind before it is dropped: nobody waits for one that has stopped reading.
const BUFFER: usize = 1024;

/// The source of events.
pub(crate) struct Events {
    sender: broadcast::Sender<Arc<ContainerEventResponse>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BUFFER) }
    }
}

impl Events {
    /// Listens from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<ContainerEventResponse>> {
        self.sender.subscribe()
    }
}

/// Tells what happened to a container, or to a pod, which counts as one.
pub(crate) fn tell(daemon: &Daemon, kind: ContainerEventType, id: &str, pod: &Pod) {
    if daemon.events.sender.receiver_count() == 0 {
        return;
    }
    let statuses = daemon
        .registry
        .containers_of(&pod.id)
        .iter()
        .map(|container| containers::status(container))
        .collect();
    let event = ContainerEventResponse {
        container_id: id.to_owned(),
        container_event_type: kind.into(),
        created_at: clock::now(),
        pod_sandbox_status: Some(pods::status(pod)),
        containers_statuses: statuses,
    };
    // Without listeners it is nobody's.
    let _ = daemon.events.sender.send(Arc::new(event));
}
