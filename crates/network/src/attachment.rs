//! What is asked for: one namespace is to be joined to the networks.

use crate::bandwidth::Bandwidth;
use crate::error::Error;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Ids become file names, with a suffix.
const MAX_ID: usize = 200;

/// A namespace that is to be joined to the networks, and what plugins are told about it. Whatever is empty is not
/// passed on; what is passed reaches the plugins whose configuration asks for it by `capabilities`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// What tells this attachment from all others: the sandbox's id.
    pub id: String,
    /// The pinned namespace. For `del` it may be gone.
    pub netns: PathBuf,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace in Kubernetes.
    pub namespace: String,
    /// The pod's UID in Kubernetes.
    pub uid: String,
    /// Capability `portMappings`; those without a host port are left out.
    pub port_mappings: Vec<PortMapping>,
    /// Capability `bandwidth`.
    pub bandwidth: Option<Bandwidth>,
    /// Capability `dns`.
    pub dns: Option<DnsConfig>,
    /// Capability `ips`: addresses that are asked for, with or without `/prefix`.
    pub ips: Vec<String>,
    /// Capability `mac`.
    pub mac: Option<String>,
    /// Capability `infinibandGUID`.
    pub infiniband_guid: Option<String>,
    /// Capability `aliases`: names by which others on the network may find this one.
    pub aliases: Vec<String>,
    /// Capability `deviceID`: the device that has been allocated for it.
    pub device_id: Option<String>,
    /// Capability `cgroupPath`: the pod's cgroup.
    pub cgroup_path: Option<String>,
    /// Capability `io.kubernetes.cri.pod-annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// A port of the host that leads to one of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// On the host; 0 for none.
    pub host_port: u16,
    /// In the pod.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The address of the host that it is limited to; empty for all.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
}

/// Of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How the pod resolves names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DnsConfig {
    /// Servers, by preference.
    pub servers: Vec<String>,
    /// Domains to search.
    pub searches: Vec<String>,
    /// Options for the resolver.
    pub options: Vec<String>,
}

impl Attachment {
    /// Checks what becomes part of file names and of `CNI_ARGS`.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let invalid = |field, value: &str, rule| Err(Error::Invalid { field, value: value.to_owned(), rule });
        if self.id.len() > MAX_ID || !is_identifier(&self.id) {
            return invalid(
                "id",
                &self.id,
                "up to 200 letters, digits, '_', '.', '-', the first a letter or digit",
            );
        }
        for (field, value) in [("name", &self.name), ("namespace", &self.namespace), ("uid", &self.uid)] {
            if value.contains([';', '=', '\0']) {
                return invalid(field, value, "no ';', '=' or NUL, which CNI_ARGS cannot carry");
            }
        }
        Ok(())
    }

    /// The generic arguments, in the order and with the names that plugins know from other runtimes.
    pub(crate) fn arguments(&self) -> Vec<(String, String)> {
        [
            ("IgnoreUnknown", "1"),
            ("K8S_POD_NAMESPACE", &self.namespace),
            ("K8S_POD_NAME", &self.name),
            ("K8S_POD_INFRA_CONTAINER_ID", &self.id),
            ("K8S_POD_UID", &self.uid),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// The capability arguments by their conventional names.
    pub(crate) fn capabilities(&self) -> Map<String, Value> {
        let mapped: Vec<&PortMapping> =
            self.port_mappings.iter().filter(|mapping| mapping.host_port != 0).collect();
        let mut all = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value);
            }
        };
        add("portMappings", (!mapped.is_empty()).then(|| json(&mapped)));
        add("bandwidth", self.bandwidth.as_ref().map(json));
        add("dns", self.dns.as_ref().map(json));
        add("ips", (!self.ips.is_empty()).then(|| json(&self.ips)));
        add("mac", self.mac.as_ref().map(json));
        add("infinibandGUID", self.infiniband_guid.as_ref().map(json));
        add("aliases", (!self.aliases.is_empty()).then(|| json(&self.aliases)));
        add("deviceID", self.device_id.as_ref().map(json));
        add("cgroupPath", self.cgroup_path.as_ref().map(json));
        let annotations = (!self.annotations.is_empty()).then(|| json(&self.annotations));
        add("io.kubernetes.cri.pod-annotations", annotations);
        all
    }
}

/// Text, numbers and maps with text keys: nothing in them can fail to be encoded.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Whether the specification takes this for an id or for a network's name.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_that_would_be_read_as_something_else_are_refused() {
        let named =
            |id: &str, name: &str| Attachment { id: id.into(), name: name.into(), ..Attachment::default() };
        named("a-1_b.c", "web").validate().unwrap();
        for id in ["", ".", "../a", "-a", "a/b", "a b", "ä", &"a".repeat(201)] {
            assert!(named(id, "web").validate().is_err(), "{id}");
        }
        for name in ["a;K8S_POD_NAME=b", "a=b"] {
            assert!(named("a", name).validate().is_err(), "{name}");
        }
    }

    #[test]
    fn nothing_asked_for_is_nothing_passed() {
        assert_eq!(Attachment::default().capabilities(), Map::new());
        let unmapped =
            PortMapping { host_port: 0, container_port: 80, protocol: Protocol::Tcp, host_ip: String::new() };
        let attachment = Attachment { port_mappings: vec![unmapped], ..Attachment::default() };
        assert_eq!(attachment.capabilities(), Map::new());
    }
}
