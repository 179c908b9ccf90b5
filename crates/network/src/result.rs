//! What plugins answer to ADD, in every version of the specification, as one type.
//!
//! | versions | addresses | interfaces |
//! |---|---|---|
//! | 0.1.0, 0.2.0 | `ip4` and `ip6`, with their routes inside | not told |
//! | 0.3.0 – 0.4.0 | `ips`, each with its `version` | `interfaces` |
//! | 1.0.0 | `ips`, without | the same |
//! | 1.1.0 | the same | also `mtu`, `socketPath`, `pciID`; routes with metrics |

use crate::spec_version::SpecVersion;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The result of an attachment to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddResult {
    /// The interfaces made, also those on the host.
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Vec<Interface>,
    /// The addresses assigned.
    #[serde(deserialize_with = "or_default")]
    pub ips: Vec<IpConfig>,
    /// The routes made.
    #[serde(deserialize_with = "or_default")]
    pub routes: Vec<Route>,
    /// How names are resolved on this network.
    #[serde(deserialize_with = "or_default")]
    pub dns: Dns,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Its largest packet in bytes; 0 where not told.
    #[serde(skip_serializing_if = "is_zero")]
    pub mtu: u32,
    /// The namespace that it is in; empty on the host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// The socket that it is reached by, if any.
    #[serde(rename = "socketPath", skip_serializing_if = "String::is_empty")]
    pub socket_path: String,
    /// The PCI device behind it, if any.
    #[serde(rename = "pciID", skip_serializing_if = "String::is_empty")]
    pub pci_id: String,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpConfig {
    /// With its prefix: `10.0.0.2/24`.
    pub address: String,
    /// The default gateway of its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The index of its interface in the list of interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<i64>,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination, with its prefix.
    pub dst: String,
    /// The next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// What version 1.1 adds: `mtu`, `advmss`, `priority`, `table`, `scope`.
    #[serde(flatten)]
    pub metrics: Map<String, Value>,
}

/// How names are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Servers, by preference.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Domains to search.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options for the resolver.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Programs in Go write an empty list as `null`.
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl IpConfig {
    /// The address without its prefix.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.split('/').next().and_then(|ip| ip.parse().ok())
    }
}

impl AddResult {
    /// The addresses of an interface in the namespace, in the order in which they were assigned. Those that name no
    /// interface belong to it.
    pub fn ips_of(&self, interface: &str) -> Vec<IpAddr> {
        let belongs = |ip: &&IpConfig| match ip.interface.and_then(|index| usize::try_from(index).ok()) {
            None => true,
            Some(index) => self
                .interfaces
                .get(index)
                .is_some_and(|found| found.name == interface && !found.sandbox.is_empty()),
        };
        self.ips.iter().filter(belongs).filter_map(IpConfig::ip).collect()
    }

    /// Reads an answer in the version of its `cniVersion`. An answer that names none has the version that was asked.
    pub(crate) fn from_json(answer: &Value, asked: SpecVersion) -> Result<Self, serde_json::Error> {
        let version = match answer.get("cniVersion").and_then(Value::as_str) {
            None | Some("") => asked,
            Some(text) => text.parse().map_err(serde::de::Error::custom)?,
        };
        let result: Self =
            if version < SpecVersion::LISTS { two_addresses(answer)? } else { Self::deserialize(answer)? };
        match result.ips.iter().find(|ip| ip.ip().is_none()) {
            Some(ip) => Err(serde::de::Error::custom(format!("{:?} is no IP address", ip.address))),
            None => Ok(result),
        }
    }

    /// As a plugin that speaks `version` reads it.
    pub(crate) fn to_json(&self, version: SpecVersion) -> Value {
        let mut answer =
            if version < SpecVersion::LISTS { self.as_two_addresses() } else { self.as_lists(version) };
        answer["cniVersion"] = json!(version);
        answer
    }

    fn as_lists(&self, version: SpecVersion) -> Value {
        let mut older = self.clone();
        if version < SpecVersion::STATUS {
            for interface in &mut older.interfaces {
                let Interface { name, mac, sandbox, .. } = std::mem::take(interface);
                *interface = Interface { name, mac, sandbox, ..Interface::default() };
            }
            older.routes.iter_mut().for_each(|route| route.metrics.clear());
        }
        let mut answer = serde_json::to_value(&older).unwrap_or_default();
        if version < SpecVersion::NO_FAMILY
            && let Some(ips) = answer["ips"].as_array_mut()
        {
            for (json, ip) in ips.iter_mut().zip(&self.ips) {
                json["version"] = json!(if ip.ip().is_some_and(|ip| ip.is_ipv6()) { "6" } else { "4" });
            }
        }
        answer
    }

    /// The first address of each family, which is all that the oldest versions can say.
    fn as_two_addresses(&self) -> Value {
        let mut answer = json!({"dns": self.dns});
        for (key, v6) in [("ip4", false), ("ip6", true)] {
            let family = |ip: IpAddr| ip.is_ipv6() == v6;
            let Some(first) = self.ips.iter().find(|ip| ip.ip().is_some_and(family)) else { continue };
            let to_family = |route: &&Route| route.dst.contains(':') == v6;
            let routes: Vec<Value> = (self.routes.iter().filter(to_family))
                .map(|route| match route.gw {
                    Some(gw) => json!({"dst": route.dst, "gw": gw}),
                    None => json!({"dst": route.dst}),
                })
                .collect();
            answer[key] = json!({"ip": first.address, "routes": routes});
            if let Some(gateway) = first.gateway {
                answer[key]["gateway"] = json!(gateway);
            }
        }
        answer
    }
}

/// An answer of version 0.1.0 or 0.2.0.
fn two_addresses(answer: &Value) -> Result<AddResult, serde_json::Error> {
    #[derive(Deserialize)]
    struct Old {
        ip: String,
        #[serde(default)]
        gateway: Option<IpAddr>,
        #[serde(default, deserialize_with = "or_default")]
        routes: Vec<Route>,
    }
    let mut result =
        AddResult { dns: Option::deserialize(&answer["dns"])?.unwrap_or_default(), ..AddResult::default() };
    for key in ["ip4", "ip6"] {
        let Some(Old { ip, gateway, routes }) = Option::deserialize(&answer[key])? else { continue };
        result.ips.push(IpConfig { address: ip, gateway, interface: None });
        result.routes.extend(routes);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> SpecVersion {
        text.parse().unwrap()
    }

    fn newest() -> Value {
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": "cni0", "mac": "00:00:00:00:00:01"},
                {"name": "eth0", "mac": "00:00:00:00:00:02", "mtu": 1450, "sandbox": "/run/netns/a"}
            ],
            "ips": [
                {"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 1},
                {"address": "fd00::2/64", "gateway": "fd00::1", "interface": 1}
            ],
            "routes": [{"dst": "0.0.0.0/0", "mtu": 1400}, {"dst": "::/0", "gw": "fd00::1"}],
            "dns": {"nameservers": ["10.0.0.10"]}
        })
    }

    #[test]
    fn the_newest_comes_back_unchanged() {
        let result = AddResult::from_json(&newest(), SpecVersion::NEWEST).unwrap();
        assert_eq!(result.to_json(SpecVersion::NEWEST), newest());
        assert_eq!(
            result.ips_of("eth0"),
            ["10.0.0.2".parse::<IpAddr>().unwrap(), "fd00::2".parse().unwrap()]
        );
        assert_eq!(result.ips_of("cni0"), [] as [IpAddr; 0]);
    }

    #[test]
    fn older_versions_say_less_and_are_read_as_one_type() {
        let result = AddResult::from_json(&newest(), SpecVersion::NEWEST).unwrap();
        for old in ["0.3.0", "0.3.1", "0.4.0"] {
            let json = result.to_json(version(old));
            assert_eq!((&json["ips"][0]["version"], &json["ips"][1]["version"]), (&json!("4"), &json!("6")));
            assert_eq!(json["interfaces"][1].get("mtu"), None);
            assert_eq!(json["routes"][0].get("mtu"), None);
            let back = AddResult::from_json(&json, SpecVersion::NEWEST).unwrap();
            assert_eq!(back.ips, result.ips);
        }
        assert_eq!(result.to_json(version("1.0.0"))["ips"][0].get("version"), None);
        let oldest = result.to_json(version("0.2.0"));
        assert_eq!(
            oldest,
            json!({
                "cniVersion": "0.2.0",
                "ip4": {"ip": "10.0.0.2/24", "gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
                "ip6": {"ip": "fd00::2/64", "gateway": "fd00::1", "routes": [{"dst": "::/0", "gw": "fd00::1"}]},
                "dns": {"nameservers": ["10.0.0.10"]}
            })
        );
        let back = AddResult::from_json(&oldest, SpecVersion::NEWEST).unwrap();
        assert_eq!(back.ips_of("eth0"), result.ips_of("eth0"), "addresses without interface are the pod's");
        assert_eq!(back.routes.len(), 2);
    }

    #[test]
    fn what_go_leaves_out_or_writes_as_null_is_empty() {
        let answer = json!({"ips": null, "interfaces": null, "dns": {"search": null}});
        assert_eq!(AddResult::from_json(&answer, version("1.0.0")).unwrap(), AddResult::default());
        assert_eq!(AddResult::from_json(&json!({}), version("0.1.0")).unwrap(), AddResult::default());
        for bad in
            [json!({"ips": [{"address": "x"}]}), json!({"ips": 1}), json!({"cniVersion": "x"}), json!(null)]
        {
            assert!(AddResult::from_json(&bad, SpecVersion::NEWEST).is_err(), "{bad}");
        }
    }
}
