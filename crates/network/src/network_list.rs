//! What one network configuration says: its name and version, and the plugins that make it.

use crate::attachment::is_identifier;
use crate::spec_version::{NoVersion, SpecVersion};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A network: a list of plugins, and what holds for all of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkList {
    pub(crate) name: String,
    /// The versions that the configuration allows and that are understood here, the newest first. At least one.
    pub(crate) versions: Vec<SpecVersion>,
    pub(crate) disable_check: bool,
    pub(crate) disable_gc: bool,
    pub(crate) load_only_inlined: bool,
    pub(crate) plugins: Vec<PluginConfig>,
}

/// The configuration of one plugin in the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PluginConfig {
    /// The program's name, which the configuration calls `type`.
    pub(crate) name: String,
    /// What it wants to be told by the runtime.
    capabilities: BTreeSet<String>,
    /// All that stands in the configuration but the capabilities.
    rest: Map<String, Value>,
}

/// Why a file is no network configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidList {
    #[error("not JSON")]
    Json(#[from] serde_json::Error),
    #[error("it is no JSON object")]
    NoObject,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not {1}")]
    Is(&'static str, &'static str),
    #[error("name {0:?} must be letters, digits, '_', '.', '-', the first a letter or digit")]
    Name(String),
    #[error(transparent)]
    Version(#[from] NoVersion),
    #[error("version {0} is newer than {newest}, the newest understood here", newest = SpecVersion::NEWEST)]
    Newer(SpecVersion),
    #[error("it has no plugins")]
    NoPlugins,
}

impl NetworkList {
    /// Reads a list, or the configuration of one plugin as a list of one. Plugins from other files may still follow.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidList> {
        match serde_json::from_slice(text)? {
            Value::Object(object) => Self::from_object(object),
            _ => Err(InvalidList::NoObject),
        }
    }

    pub(crate) fn from_object(object: Map<String, Value>) -> Result<Self, InvalidList> {
        let name = text(&object, "name")?.ok_or(InvalidList::Missing("name"))?;
        if !is_identifier(name) {
            return Err(InvalidList::Name(name.to_owned()));
        }
        let one_plugin = !object.contains_key("plugins") && object.contains_key("type");
        Ok(Self {
            name: name.to_owned(),
            versions: versions(&object)?,
            disable_check: flag(&object, "disableCheck")?,
            disable_gc: flag(&object, "disableGC")?,
            load_only_inlined: one_plugin || flag(&object, "loadOnlyInlinedPlugins")?,
            plugins: if one_plugin { vec![PluginConfig::from_object(object)?] } else { plugins(object)? },
        })
    }

    /// The whole of it in one JSON object, in the version that was agreed on.
    pub(crate) fn to_object(&self, version: SpecVersion) -> Map<String, Value> {
        let plugins: Vec<Value> = self.plugins.iter().map(PluginConfig::to_json).collect();
        let flags = [
            ("disableCheck", self.disable_check),
            ("disableGC", self.disable_gc),
            ("loadOnlyInlinedPlugins", true),
        ];
        let flags = flags.into_iter().filter(|(_, is)| *is).map(|(key, _)| (key, true.into()));
        [
            ("cniVersion", version.to_string().into()),
            ("name", self.name.as_str().into()),
            ("plugins", plugins.into()),
        ]
        .into_iter()
        .chain(flags)
        .map(|(key, value): (&str, Value)| (key.to_owned(), value))
        .collect()
    }
}

impl PluginConfig {
    /// Reads a file that holds the configuration of one plugin.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidList> {
        match serde_json::from_slice(text)? {
            Value::Object(object) => Self::from_object(object),
            _ => Err(InvalidList::NoObject),
        }
    }

    fn from_object(mut rest: Map<String, Value>) -> Result<Self, InvalidList> {
        let name = text(&rest, "type")?.filter(|name| !name.is_empty());
        let name = name.ok_or(InvalidList::Missing("a plugin's type"))?.to_owned();
        let capabilities = match rest.remove("capabilities") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(Value::Object(all)) => all
                .into_iter()
                .filter(|(_, wanted)| *wanted == Value::Bool(true))
                .map(|(name, _)| name)
                .collect(),
            Some(_) => return Err(InvalidList::Is("a plugin's capabilities", "an object")),
        };
        Ok(Self { name, capabilities, rest })
    }

    fn to_json(&self) -> Value {
        let mut json = self.rest.clone();
        if !self.capabilities.is_empty() {
            let wanted: Map<String, Value> =
                self.capabilities.iter().map(|name| (name.clone(), Value::Bool(true))).collect();
            json.insert("capabilities".to_owned(), wanted.into());
        }
        json.into()
    }

    /// What the plugin reads: its configuration with the network's name and version.
    pub(crate) fn request(&self, network: &str, version: SpecVersion) -> Map<String, Value> {
        let mut request = self.rest.clone();
        request.insert("name".to_owned(), network.into());
        request.insert("cniVersion".to_owned(), version.to_string().into());
        request
    }

    /// Of what the runtime has to tell, the part that this plugin wants to be told.
    pub(crate) fn wanted(&self, all: &Map<String, Value>) -> Map<String, Value> {
        let wanted = all.iter().filter(|(name, _)| self.capabilities.contains(*name));
        wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn plugins(mut object: Map<String, Value>) -> Result<Vec<PluginConfig>, InvalidList> {
    match object.remove("plugins") {
        None => Ok(Vec::new()),
        Some(Value::Array(plugins)) if plugins.is_empty() => Err(InvalidList::NoPlugins),
        Some(Value::Array(plugins)) => plugins
            .into_iter()
            .map(|plugin| match plugin {
                Value::Object(plugin) => PluginConfig::from_object(plugin),
                _ => Err(InvalidList::Is("a plugin's configuration", "an object")),
            })
            .collect(),
        Some(_) => Err(InvalidList::Is("plugins", "a list")),
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, InvalidList> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidList::Is(key, "a text")),
    }
}

/// Some administrators write flags as texts.
fn flag(object: &Map<String, Value>, key: &'static str) -> Result<bool, InvalidList> {
    match object.get(key) {
        None => Ok(false),
        Some(Value::Bool(is)) => Ok(*is),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(InvalidList::Is(key, "true or false")),
    }
}

/// `cniVersion` and `cniVersions` together, without those that are too new.
fn versions(object: &Map<String, Value>) -> Result<Vec<SpecVersion>, InvalidList> {
    let mut all: BTreeSet<SpecVersion> = BTreeSet::new();
    match object.get("cniVersions") {
        None => {}
        Some(Value::Array(versions)) => {
            for version in versions {
                all.insert(
                    version.as_str().ok_or(InvalidList::Is("cniVersions", "a list of texts"))?.parse()?,
                );
            }
        }
        Some(_) => return Err(InvalidList::Is("cniVersions", "a list of texts")),
    }
    match text(object, "cniVersion")? {
        Some(version) => all.insert(version.parse()?),
        None if all.is_empty() => all.insert(SpecVersion::OLDEST),
        None => false,
    };
    let understood: Vec<SpecVersion> =
        all.iter().rev().copied().filter(|version| *version <= SpecVersion::NEWEST).collect();
    match all.first() {
        Some(oldest) if understood.is_empty() => Err(InvalidList::Newer(*oldest)),
        _ => Ok(understood),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(more: Value) -> Result<NetworkList, InvalidList> {
        let mut list = json!({"name": "n", "plugins": [{"type": "bridge"}]});
        for (key, value) in more.as_object().unwrap() {
            list[key] = value.clone();
        }
        NetworkList::parse(list.to_string().as_bytes())
    }

    #[test]
    fn the_newest_version_that_is_understood_comes_first() {
        let of =
            |more| -> Vec<String> { list(more).unwrap().versions.iter().map(ToString::to_string).collect() };
        assert_eq!(of(json!({})), ["0.1.0"]);
        assert_eq!(of(json!({"cniVersion": "0.4.0"})), ["0.4.0"]);
        let several = json!({"cniVersion": "0.3.1", "cniVersions": ["1.0.0", "2.0.0", "1.1.0", "1.0.0"]});
        assert_eq!(of(several), ["1.1.0", "1.0.0", "0.3.1"]);
        let error = list(json!({"cniVersion": "2.0.0"})).unwrap_err();
        assert_eq!(error.to_string(), "version 2.0.0 is newer than 1.1.0, the newest understood here");
    }

    #[test]
    fn flags_may_be_texts_and_nonsense_is_named() {
        assert!(list(json!({"disableCheck": "True"})).unwrap().disable_check);
        assert!(!list(json!({"disableGC": "false"})).unwrap().disable_gc);
        for (bad, says) in [
            (json!({"disableGC": "no"}), "disableGC is not true or false"),
            (json!({"name": "../x"}), "name \"../x\" must be"),
            (json!({"name": 1}), "name is not a text"),
            (json!({"plugins": []}), "it has no plugins"),
            (json!({"plugins": {}}), "plugins is not a list"),
            (json!({"plugins": [{}]}), "a plugin's type is missing"),
            (json!({"plugins": [1]}), "a plugin's configuration is not an object"),
            (json!({"cniVersion": "x"}), "\"x\" is no version"),
            (json!({"cniVersions": [1]}), "cniVersions is not a list of texts"),
        ] {
            let error = list(bad).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
        assert!(matches!(NetworkList::parse(b"{"), Err(InvalidList::Json(_))));
        assert!(matches!(NetworkList::parse(b"[]"), Err(InvalidList::NoObject)));
    }

    #[test]
    fn capabilities_choose_what_a_plugin_is_told_and_are_not_told_themselves() {
        let plugin = PluginConfig::parse(
            br#"{"type": "portmap", "snat": true, "capabilities": {"portMappings": true, "mac": false}}"#,
        )
        .unwrap();
        let all = json!({"portMappings": [1], "mac": "x", "ips": []});
        assert_eq!(Value::from(plugin.wanted(all.as_object().unwrap())), json!({"portMappings": [1]}));
        assert_eq!(
            Value::from(plugin.request("n", SpecVersion::NEWEST)),
            json!({"type": "portmap", "snat": true, "name": "n", "cniVersion": "1.1.0"})
        );
    }

    #[test]
    fn a_list_comes_back_from_its_json() {
        let read = list(json!({
            "disableGC": true, "cniVersion": "1.0.0", "loadOnlyInlinedPlugins": true,
            "plugins": [{"type": "a", "capabilities": {"mac": true}}, {"type": "b", "x": [1, {"y": null}]}]
        }))
        .unwrap();
        let version = read.versions[0];
        assert_eq!(NetworkList::from_object(read.to_object(version)).unwrap(), read);
    }
}
