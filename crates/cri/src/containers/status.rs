//! ContainerStatus.

use std::collections::HashMap;

use super::create;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Result};
use crate::record::ContainerRecord;
use crate::spec::{read_spec, signal_to_wire};
use crate::state::Container;
use crate::wire::v1::{
    ContainerResources, ContainerStatus, ContainerStatusResponse, ContainerUser, ImageSpec,
};

/// What is true of a container.
pub(crate) fn status(container: &Container) -> ContainerStatus {
    let state = container.state();
    container.with(|record| {
        let end = record.end.as_ref();
        ContainerStatus {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            state: state.into(),
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: end.map_or(0, |end| end.at),
            exit_code: end.map_or(0, |end| end.code),
            image: record.config.image.clone().map(image),
            image_ref: record.image_ref.clone(),
            image_id: record.image_id.clone(),
            reason: end.map(|end| end.reason().to_owned()).unwrap_or_default(),
            message: end.map(|end| end.message.clone()).unwrap_or_default(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            mounts: record.config.mounts.clone(),
            log_path: record.log_path.clone(),
            resources: Some(ContainerResources { linux: record.resources.clone(), windows: None }),
            user: Some(ContainerUser { linux: Some(record.user.clone()) }),
            stop_signal: signal_to_wire(record.stop_signal).into(),
        }
    })
}

/// The name by which a container's image was asked for; what a client put beside it stays.
pub(super) fn image(asked: ImageSpec) -> ImageSpec {
    let name = if asked.user_specified_image.is_empty() {
        asked.image.clone()
    } else {
        asked.user_specified_image.clone()
    };
    ImageSpec { image: name, ..asked }
}

/// The answer to ContainerStatus.
pub(crate) fn status_response(
    daemon: &Daemon,
    container: &Container,
    verbose: bool,
) -> Result<ContainerStatusResponse> {
    let mut status = status(container);
    if let Ok(Some(found)) = daemon.images.find(&status.image_id) {
        // By the name that a person would use, whatever the container was asked for by.
        let spec = status.image.get_or_insert_default();
        if spec.user_specified_image.is_empty() {
            spec.image = create::name_of(&found);
        }
    }
    let mut info = HashMap::new();
    if verbose {
        let text = container.with(|record| verbose_info(container, record))?;
        info.insert("info".to_owned(), text);
    }
    Ok(ContainerStatusResponse { status: Some(status), info })
}

fn verbose_info(container: &Container, record: &ContainerRecord) -> Result<String> {
    let shown = serde_json::json!({
        "sandboxID": record.pod,
        "pid": container.pid(),
        "config": record.config,
        "bundle": container.bundle,
        "runtimeSpec": read_spec(&container.bundle).ok(),
    });
    serde_json::to_string(&shown).attempt(|| format!("show container {}", record.id))
}
