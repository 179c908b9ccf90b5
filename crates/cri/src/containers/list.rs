//! ListContainers.

use crate::daemon::Daemon;
use crate::pods::matches_labels;
use crate::state::Container as Known;
use crate::wire::v1::{Container, ContainerFilter};

/// The containers that a filter lets through, the youngest first.
pub(crate) fn list(daemon: &Daemon, filter: Option<&ContainerFilter>) -> Vec<Container> {
    let containers = daemon.registry.containers();
    let passing = containers.iter().filter(|container| filter.is_none_or(|filter| passes(container, filter)));
    passing.map(|container| item(container)).collect()
}

/// Whether a filter lets a container through.
pub(crate) fn passes(container: &Known, filter: &ContainerFilter) -> bool {
    let state = filter.state.as_ref().is_none_or(|state| state.state == i32::from(container.state()));
    state
        && (filter.id.is_empty() || container.id.starts_with(&filter.id))
        && (filter.pod_sandbox_id.is_empty() || container.pod.id.starts_with(&filter.pod_sandbox_id))
        && container.with(|record| matches_labels(&record.config.labels, &filter.label_selector))
}

fn item(container: &Known) -> Container {
    let state = container.state();
    container.with(|record| Container {
        id: record.id.clone(),
        pod_sandbox_id: record.pod.clone(),
        metadata: record.config.metadata.clone(),
        image: record.config.image.clone().map(super::status::image),
        image_ref: record.image_ref.clone(),
        image_id: record.image_id.clone(),
        state: state.into(),
        created_at: record.created_at,
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
    })
}
