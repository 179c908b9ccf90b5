//! ListPodSandbox and PodSandboxStatus.

use std::collections::HashMap;

use crate::clock;
use crate::containers;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Result};
use crate::record::PodRecord;
use crate::spec::security;
use crate::state::Pod;
use crate::wire::v1::{
    ContainerResources, LinuxPodSandboxStatus, Namespace, NamespaceOption, PodIp, PodSandbox,
    PodSandboxFilter, PodSandboxNetworkStatus, PodSandboxStatus, PodSandboxStatusResponse,
};

/// The pods that a filter lets through, the youngest first.
pub(crate) fn list(daemon: &Daemon, filter: Option<&PodSandboxFilter>) -> Vec<PodSandbox> {
    let pods = daemon.registry.pods();
    let passing = pods.iter().filter(|pod| filter.is_none_or(|filter| passes(pod, filter)));
    passing.map(|pod| item(pod)).collect()
}

fn passes(pod: &Pod, filter: &PodSandboxFilter) -> bool {
    let state = filter.state.as_ref().is_none_or(|state| state.state == i32::from(pod.state()));
    state
        && (filter.id.is_empty() || pod.id.starts_with(&filter.id))
        && pod.with(|record| matches_labels(&record.config.labels, &filter.label_selector))
}

/// Whether all that is selected is there.
pub(crate) fn matches_labels(labels: &HashMap<String, String>, selected: &HashMap<String, String>) -> bool {
    selected.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn item(pod: &Pod) -> PodSandbox {
    let state = pod.state();
    pod.with(|record| PodSandbox {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        state: state.into(),
        created_at: record.created_at,
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        runtime_handler: record.handler.clone(),
    })
}

/// What is true of a pod.
pub(crate) fn status(pod: &Pod) -> PodSandboxStatus {
    let state = pod.state();
    pod.with(|record| PodSandboxStatus {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        state: state.into(),
        created_at: record.created_at,
        network: Some(network(record)),
        linux: Some(LinuxPodSandboxStatus {
            namespaces: Some(Namespace { options: Some(namespaces(record)) }),
        }),
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        runtime_handler: record.handler.clone(),
    })
}

fn network(record: &PodRecord) -> PodSandboxNetworkStatus {
    let mut ips = record.ips.iter().cloned();
    PodSandboxNetworkStatus {
        ip: ips.next().unwrap_or_default(),
        additional_ips: ips.map(|ip| PodIp { ip }).collect(),
    }
}

fn namespaces(record: &PodRecord) -> NamespaceOption {
    security(&record.config).and_then(|context| context.namespace_options.clone()).unwrap_or_default()
}

/// The answer to PodSandboxStatus.
pub(crate) fn status_response(daemon: &Daemon, pod: &Pod, verbose: bool) -> Result<PodSandboxStatusResponse> {
    let mut info = HashMap::new();
    if verbose {
        let shown = pod.with(|record| {
            let linux = record.config.linux.clone().unwrap_or_default();
            serde_json::json!({
                "config": record.config,
                "runtimeHandler": record.handler,
                "overhead": ContainerResources { linux: linux.overhead, windows: None },
                "resources": ContainerResources { linux: linux.resources, windows: None },
                "bundle": pod.bundle,
                "shim": record.shim,
                "namespaces": pod.pins().folder,
            })
        });
        let text = serde_json::to_string(&shown).attempt(|| format!("show pod {}", pod.id))?;
        info.insert("info".to_owned(), text);
    }
    let containers = daemon.registry.containers_of(&pod.id);
    Ok(PodSandboxStatusResponse {
        status: Some(status(pod)),
        info,
        containers_statuses: containers.iter().map(|container| containers::status(container)).collect(),
        timestamp: clock::now(),
    })
}
