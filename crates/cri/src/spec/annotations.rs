//! The annotations that shims, hooks and plugins know pods and containers by.

use std::collections::HashMap;

use crate::config::Handler;
use crate::record::PodRecord;
use crate::wire::v1;

const PREFIX: &str = "io.kubernetes.cri.";

/// Of a pod's own configuration.
pub(crate) fn of_pod(pod: &PodRecord, handler: &Handler) -> HashMap<String, String> {
    let mut annotations = common(pod, "sandbox");
    annotations.insert(format!("{PREFIX}sandbox-log-directory"), pod.config.log_directory.clone());
    if let Some(resources) = pod.config.linux.as_ref().and_then(|linux| linux.resources.as_ref()) {
        for (name, value) in [
            ("sandbox-cpu-period", resources.cpu_period),
            ("sandbox-cpu-quota", resources.cpu_quota),
            ("sandbox-cpu-shares", resources.cpu_shares),
            ("sandbox-memory", resources.memory_limit_in_bytes),
        ] {
            annotations.insert(format!("{PREFIX}{name}"), value.to_string());
        }
    }
    pass_on(&pod.config.annotations, handler, &mut annotations);
    annotations
}

/// Of a container's.
pub(crate) fn of_container(
    pod: &PodRecord,
    container: &v1::ContainerConfig,
    handler: &Handler,
    image_name: &str,
) -> HashMap<String, String> {
    let mut annotations = common(pod, "container");
    let name = container.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
    annotations.insert(format!("{PREFIX}container-name"), name);
    annotations.insert(format!("{PREFIX}image-name"), image_name.to_owned());
    pass_on(&container.annotations, handler, &mut annotations);
    annotations
}

fn common(pod: &PodRecord, kind: &str) -> HashMap<String, String> {
    let metadata = pod.config.metadata.clone().unwrap_or_default();
    let named = [
        ("container-type", kind),
        ("sandbox-id", pod.id.as_str()),
        ("sandbox-name", metadata.name.as_str()),
        ("sandbox-namespace", metadata.namespace.as_str()),
        ("sandbox-uid", metadata.uid.as_str()),
    ];
    let mut annotations: HashMap<String, String> =
        named.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned())).collect();
    if !pod.handler.is_empty() {
        annotations.insert("io.containerd.cri.runtime-handler".to_owned(), pod.handler.clone());
    }
    annotations
}

/// Those of the request that the handler lets through.
fn pass_on<'a>(
    asked: impl IntoIterator<Item = (&'a String, &'a String)>,
    handler: &Handler,
    annotations: &mut HashMap<String, String>,
) {
    for (name, value) in asked {
        let passes = handler.pod_annotations.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        });
        if passes {
            annotations.insert(name.clone(), value.clone());
        }
    }
}
