//! The plugins of a network run in order, for one attachment or for the network as a whole.

use crate::network_list::{NetworkList, PluginConfig};
use crate::plugin::{Call, Parameters, PluginError, Runner, UNKNOWN_CONTAINER};
use crate::record::Record;
use crate::result::AddResult;
use crate::spec_version::SpecVersion;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A network whose version is agreed on, and the attachment that its plugins work on.
pub(crate) struct Chain<'a> {
    runner: &'a Runner,
    network: &'a NetworkList,
    version: SpecVersion,
    record: &'a Record,
    args: String,
    netns: Option<&'a Path>,
}

impl<'a> Chain<'a> {
    /// `netns` is missing when the namespace is gone.
    pub(crate) fn new(
        runner: &'a Runner,
        network: &'a NetworkList,
        version: SpecVersion,
        record: &'a Record,
        netns: Option<&'a Path>,
    ) -> Self {
        let pairs = record.arguments.iter().map(|(name, value)| format!("{name}={value}"));
        let args = pairs.collect::<Vec<_>>().join(";");
        Self { runner, network, version, record, args, netns }
    }

    /// Runs every plugin with the result of the one before. The result of the last is that of the network.
    pub(crate) async fn add(&self) -> Result<Value, PluginError> {
        let mut result = None;
        for plugin in &self.network.plugins {
            let answer = self.run("ADD", plugin, result.as_ref()).await?;
            let malformed =
                |cause| PluginError::Malformed { plugin: plugin.name.clone(), command: "ADD", cause };
            result = Some(self.understand(&answer).map_err(malformed)?);
        }
        Ok(result.unwrap_or_else(|| AddResult::default().to_json(self.version)))
    }

    /// Runs every plugin, last to first, and goes on when one fails.
    pub(crate) async fn del(&self) -> Vec<PluginError> {
        let last = self.record.result.as_ref().filter(|_| self.version >= SpecVersion::CHECK);
        let mut failures = Vec::new();
        for plugin in self.network.plugins.iter().rev() {
            match self.run("DEL", plugin, last).await {
                // It says that there is nothing to undo.
                Ok(_) | Err(PluginError::Answered { code: UNKNOWN_CONTAINER, .. }) => {}
                Err(error) => failures.push(error),
            }
        }
        failures
    }

    /// Runs every plugin with the result of the whole, and ends at the first that finds something wrong.
    pub(crate) async fn check(&self) -> Result<(), PluginError> {
        for plugin in &self.network.plugins {
            self.run("CHECK", plugin, self.record.result.as_ref()).await?;
        }
        Ok(())
    }

    async fn run(
        &self,
        command: &'static str,
        plugin: &PluginConfig,
        before: Option<&Value>,
    ) -> Result<Vec<u8>, PluginError> {
        let mut request = plugin.request(&self.network.name, self.version);
        let told = plugin.wanted(&self.record.capabilities);
        if !told.is_empty() {
            request.insert("runtimeConfig".to_owned(), told.into());
        }
        if let Some(before) = before {
            request.insert("prevResult".to_owned(), before.clone());
        }
        let attachment = Parameters {
            id: &self.record.id,
            netns: self.netns,
            interface: &self.record.interface,
            args: &self.args,
        };
        let call = Call { command, attachment: Some(attachment) };
        self.runner.run(&plugin.name, call, Value::from(request).to_string().as_bytes()).await
    }

    /// The answer in the version of this network. Plugins answer in it; one that does not is translated for the next.
    fn understand(&self, answer: &[u8]) -> Result<Value, serde_json::Error> {
        let mut answer: Value = serde_json::from_slice(answer)?;
        let result = AddResult::from_json(&answer, self.version)?;
        let said = answer.get("cniVersion").and_then(Value::as_str).unwrap_or_default();
        if said.is_empty() {
            answer["cniVersion"] = json!(self.version);
        } else if said != self.version.to_string() {
            answer = result.to_json(self.version);
        }
        Ok(answer)
    }
}

/// Runs a command that is about the network as a whole on every plugin; how each went, in order.
pub(crate) async fn on_network(
    runner: &Runner,
    network: &NetworkList,
    version: SpecVersion,
    command: &'static str,
    more: &Map<String, Value>,
) -> Vec<PluginError> {
    let mut failures = Vec::new();
    for plugin in &network.plugins {
        let mut request = plugin.request(&network.name, version);
        request.extend(more.clone());
        let call = Call { command, attachment: None };
        let ran = runner.run(&plugin.name, call, Value::from(request).to_string().as_bytes()).await;
        failures.extend(ran.err());
    }
    failures
}
