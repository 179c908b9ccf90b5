//! What the node as a whole tells: versions, conditions, features, configuration.

use std::collections::HashMap;

use crate::config::Handler;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::{
    CgroupDriver, LinuxRuntimeConfiguration, RuntimeCondition, RuntimeConfigResponse, RuntimeFeatures,
    RuntimeHandler, RuntimeHandlerFeatures, RuntimeStatus, StatusResponse, UpdateRuntimeConfigRequest,
    VersionResponse,
};

/// The version of the protocol that asks for versions; the kubelet insists on it.
const KUBELET: &str = "0.1.0";

pub(crate) fn version() -> VersionResponse {
    VersionResponse {
        version: KUBELET.to_owned(),
        runtime_name: "cofferdam".to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime_api_version: "v1".to_owned(),
    }
}

/// Whether pods can be run, and what they may ask for.
pub(crate) async fn status(daemon: &Daemon, verbose: bool) -> Result<StatusResponse> {
    let network = daemon.cni.status().await;
    let condition = |kind: &str, problem: Option<(&str, String)>| RuntimeCondition {
        r#type: kind.to_owned(),
        status: problem.is_none(),
        reason: problem.as_ref().map(|(reason, _)| (*reason).to_owned()).unwrap_or_default(),
        message: problem.map(|(_, message)| message).unwrap_or_default(),
    };
    let network_problem = network.err().map(|error| ("NetworkPluginNotReady", crate::error::chain(&error)));
    let conditions = vec![condition("RuntimeReady", None), condition("NetworkReady", network_problem)];
    let mut info = HashMap::new();
    if verbose {
        info.insert("config".to_owned(), json(&daemon.config)?);
        let (configured, broken) = daemon.cni.configured().await;
        let networks: Vec<_> = configured
            .iter()
            .map(|network| serde_json::json!({ "name": network.name, "file": network.path, "plugins": network.plugins }))
            .collect();
        let broken: Vec<_> = broken
            .iter()
            .map(|file| serde_json::json!({ "file": file.path, "reason": file.reason }))
            .collect();
        info.insert(
            "cniconfig".to_owned(),
            json(&serde_json::json!({ "networks": networks, "broken": broken }))?,
        );
    }
    Ok(StatusResponse {
        status: Some(RuntimeStatus { conditions }),
        info,
        runtime_handlers: handlers(daemon),
        features: Some(RuntimeFeatures {
            supplemental_groups_policy: true,
            user_namespaces_host_network: false,
        }),
    })
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).attempt(|| "show the configuration".to_owned())
}

/// Every handler, and the default one also by the empty name.
fn handlers(daemon: &Daemon) -> Vec<RuntimeHandler> {
    let runtime = &daemon.config.runtime;
    let features = |_: &Handler| RuntimeHandlerFeatures {
        recursive_read_only_mounts: daemon.host.recursive_read_only,
        user_namespaces: daemon.host.user_namespaces,
    };
    let mut handlers: Vec<RuntimeHandler> = runtime
        .handlers
        .iter()
        .map(|(name, handler)| RuntimeHandler { name: name.clone(), features: Some(features(handler)) })
        .collect();
    if let Some(default) = runtime.handlers.get(&runtime.default_handler) {
        handlers.push(RuntimeHandler { name: String::new(), features: Some(features(default)) });
    }
    handlers
}

/// Which cgroup driver the kubelet is to use.
pub(crate) fn runtime_config(daemon: &Daemon) -> RuntimeConfigResponse {
    let driver = if daemon.systemd { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    RuntimeConfigResponse { linux: Some(LinuxRuntimeConfiguration { cgroup_driver: driver.into() }) }
}

/// The kubelet tells the node's range of pod addresses. Networks are configured by their files here.
pub(crate) fn update_runtime_config(request: UpdateRuntimeConfigRequest) -> Result<()> {
    let cidr =
        request.runtime_config.and_then(|config| config.network_config).map(|network| network.pod_cidr);
    match cidr.filter(|cidr| !cidr.is_empty()) {
        None => Ok(()),
        Some(cidr) if cidr.split(',').all(is_range) => {
            tracing::info!(
                pod_cidr = cidr,
                "the kubelet told the range of pod addresses; networks are configured by files"
            );
            Ok(())
        }
        Some(cidr) => Err(Error::new(
            Kind::Invalid,
            format!("network_config.pod_cidr {cidr:?} is no range of addresses"),
        )),
    }
}

fn is_range(text: &str) -> bool {
    let Some((address, bits)) = text.trim().split_once('/') else { return false };
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    bits.parse::<u8>().is_ok_and(|bits| bits <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelet_gets_the_version_that_it_insists_on() {
        assert_eq!(version().version, "0.1.0");
    }

    #[test]
    fn ranges_of_addresses() {
        assert!(is_range("10.0.0.0/8") && is_range("fd00::/64"));
        assert!(!is_range("10.0.0.0") && !is_range("10.0.0.0/33") && !is_range("x/8"));
    }
}
