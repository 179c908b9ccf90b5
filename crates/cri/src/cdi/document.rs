//! What a vendor's file says: <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>, versions 0.3.0
//! to 1.1.0.
//!
//! A field that is not known, or that the declared version does not have yet, is an error, as the specification demands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::names;

/// The versions that are read; [`Document::needs`] has what came with each.
const VERSIONS: [&str; 10] =
    ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    cdi_version: String,
    pub(super) kind: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    pub(super) devices: Vec<Device>,
    #[serde(default)]
    pub(super) container_edits: Edits,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Device {
    pub(super) name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) container_edits: Edits,
}

/// What is done to a container's configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Edits {
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<DeviceNode>,
    pub(super) net_devices: Vec<NetDevice>,
    pub(super) hooks: Vec<Hook>,
    pub(super) mounts: Vec<Mount>,
    pub(super) intel_rdt: Option<IntelRdt>,
    #[serde(alias = "additionalGIDs")]
    pub(super) additional_gids: Vec<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct DeviceNode {
    pub(super) path: String,
    pub(super) host_path: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) major: i64,
    pub(super) minor: i64,
    pub(super) file_mode: Option<u32>,
    pub(super) permissions: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NetDevice {
    pub(super) host_interface_name: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mount {
    pub(super) host_path: String,
    pub(super) container_path: String,
    #[serde(default)]
    pub(super) options: Vec<String>,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
}

/// When a hook runs, by its name in the OCI specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum HookName {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Hook {
    pub(super) hook_name: HookName,
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(super) timeout: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct IntelRdt {
    #[serde(rename = "closID")]
    pub(super) clos_id: String,
    pub(super) l3_cache_schema: String,
    pub(super) mem_bw_schema: String,
    pub(super) schemata: Vec<String>,
    pub(super) enable_monitoring: bool,
    /// Until 1.0.0, like the next: monitoring of one kind.
    #[serde(rename = "enableCMT")]
    pub(super) enable_cmt: bool,
    #[serde(rename = "enableMBM")]
    pub(super) enable_mbm: bool,
}

impl Document {
    /// Reads a file's text; JSON is YAML too.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Self = serde_saphyr::from_str(text).map_err(|error| one_line(&error.to_string()))?;
        document.check()?;
        Ok(document)
    }

    fn check(&self) -> Result<(), String> {
        let position = |version: &str| VERSIONS.iter().position(|known| *known == version);
        let declared = position(&self.cdi_version)
            .ok_or_else(|| format!("cdiVersion {:?} is not known", self.cdi_version))?;
        names::check_kind(&self.kind).map_err(|why| format!("kind {:?}: {why}", self.kind))?;
        if let Some((version, what)) =
            self.needs().into_iter().find(|(version, _)| position(version) > Some(declared))
        {
            return Err(format!("{what} came with version {version}, cdiVersion is {}", self.cdi_version));
        }
        if self.devices.is_empty() {
            return Err("devices is empty".to_owned());
        }
        self.container_edits.check().map_err(|why| format!("containerEdits: {why}"))?;
        for (number, device) in self.devices.iter().enumerate() {
            let named = |why: &str| format!("device {:?}: {why}", device.name);
            names::check_device(&device.name).map_err(named)?;
            if self.devices[..number].iter().any(|other| other.name == device.name) {
                return Err(named("is there twice"));
            }
            if device.container_edits == Edits::default() {
                return Err(named("containerEdits is empty"));
            }
            device.container_edits.check().map_err(|why| named(&why))?;
        }
        Ok(())
    }

    /// What is used of each version, with the words for it.
    fn needs(&self) -> Vec<(&'static str, &'static str)> {
        let edits =
            || self.devices.iter().map(|device| &device.container_edits).chain([&self.container_edits]);
        let uses = |of: fn(&Edits) -> bool| edits().any(of);
        let rdt = |of: fn(&IntelRdt) -> bool| edits().filter_map(|edits| edits.intel_rdt.as_ref()).any(of);
        let annotated =
            !self.annotations.is_empty() || self.devices.iter().any(|device| !device.annotations.is_empty());
        let class_has_dot = self.kind.split_once('/').is_some_and(|(_, class)| class.contains('.'));
        [
            ("0.4.0", "the type of a mount", uses(|edits| edits.mounts.iter().any(|m| !m.kind.is_empty()))),
            (
                "0.5.0",
                "hostPath of a device node",
                uses(|edits| edits.device_nodes.iter().any(|node| !node.host_path.is_empty())),
            ),
            (
                "0.5.0",
                "a digit at the beginning of a device's name",
                self.devices.iter().any(|device| device.name.starts_with(|c: char| c.is_ascii_digit())),
            ),
            ("0.6.0", "annotations", annotated),
            ("0.6.0", "a dot in the class", class_has_dot),
            ("0.7.0", "intelRdt", uses(|edits| edits.intel_rdt.is_some())),
            ("0.7.0", "additionalGids", uses(|edits| !edits.additional_gids.is_empty())),
            ("1.1.0", "netDevices", uses(|edits| !edits.net_devices.is_empty())),
            ("1.1.0", "intelRdt.schemata", rdt(|rdt| !rdt.schemata.is_empty())),
            ("1.1.0", "intelRdt.enableMonitoring", rdt(|rdt| rdt.enable_monitoring)),
        ]
        .into_iter()
        .filter_map(|(version, what, used)| used.then_some((version, what)))
        .collect()
    }
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        check_env(&self.env)?;
        self.device_nodes.iter().try_for_each(DeviceNode::check)?;
        for (number, device) in self.net_devices.iter().enumerate() {
            if device.host_interface_name.is_empty() || device.name.is_empty() {
                return Err("a netDevice needs hostInterfaceName and name".to_owned());
            }
            let same = |other: &NetDevice| {
                other.host_interface_name == device.host_interface_name || other.name == device.name
            };
            if self.net_devices[..number].iter().any(same) {
                return Err(format!("netDevice {} is there twice", device.host_interface_name));
            }
        }
        for hook in &self.hooks {
            if !hook.path.is_absolute() {
                return Err(format!("path {} of a hook is not absolute", hook.path.display()));
            }
            check_env(&hook.env)?;
        }
        if self.mounts.iter().any(|mount| mount.host_path.is_empty() || mount.container_path.is_empty()) {
            return Err("a mount needs hostPath and containerPath".to_owned());
        }
        match self.intel_rdt.as_ref().map(|rdt| rdt.clos_id.as_str()) {
            None | Some("/") => Ok(()),
            Some(id) if id.len() >= 4096 || id == "." || id == ".." || id.contains(['/', '\n']) => {
                Err(format!("intelRdt.closID {id:?} names no class"))
            }
            Some(_) => Ok(()),
        }
    }
}

impl DeviceNode {
    fn check(&self) -> Result<(), String> {
        let path = &self.path;
        if path.is_empty() {
            return Err("a device node has no path".to_owned());
        }
        if !matches!(self.kind.as_str(), "" | "b" | "c" | "u" | "p") {
            return Err(format!("type {:?} of device node {path} is none of b, c, u, p", self.kind));
        }
        if self.major < 0 || self.minor < 0 {
            return Err(format!("device node {path} has a negative number"));
        }
        if self.permissions != "none" && !self.permissions.chars().all(|letter| "rwm".contains(letter)) {
            return Err(format!(
                "permissions {:?} of device node {path}: r, w and m are possible",
                self.permissions
            ));
        }
        Ok(())
    }
}

fn check_env(env: &[String]) -> Result<(), String> {
    match env.iter().find(|variable| variable.find('=').is_none_or(|at| at == 0)) {
        Some(variable) => Err(format!("env: {variable:?} is not NAME=VALUE")),
        None => Ok(()),
    }
}

/// A parser's message without the picture of the place.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not readable").to_owned()
}
