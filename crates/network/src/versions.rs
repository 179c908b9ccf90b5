//! Which versions of the specification a plugin speaks. Each program is asked once, and again when its file changes.

use crate::network_list::NetworkList;
use crate::plugin::{Call, PluginError, Runner};
use crate::spec_version::SpecVersion;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What programs have answered so far.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    known: Mutex<HashMap<PathBuf, (Stamp, Spoken)>>,
}

/// What changes with the file.
type Stamp = (u64, u64, i64, i64);

/// What a plugin speaks; `None` if it did not say.
type Spoken = Option<Vec<SpecVersion>>;

impl Versions {
    /// The newest version of those that the network's configuration allows and that all its plugins speak. A plugin
    /// that does not answer the question is believed to speak what it is asked.
    pub(crate) async fn agree(
        &self,
        runner: &Runner,
        network: &NetworkList,
    ) -> Result<SpecVersion, PluginError> {
        let mut spoken = Vec::with_capacity(network.plugins.len());
        for plugin in &network.plugins {
            spoken.push((plugin.name.as_str(), self.of(runner, &plugin.name).await?));
        }
        let refuses = |version: SpecVersion| {
            spoken.iter().find_map(|(plugin, spoken)| {
                let spoken = spoken.as_deref().filter(|spoken| !spoken.contains(&version))?;
                Some((*plugin, spoken))
            })
        };
        let refusal =
            |version: SpecVersion| refuses(version).map(|(plugin, spoken)| (version, plugin, spoken));
        let mut refused = None;
        for version in network.versions.iter().copied() {
            match refusal(version) {
                None => return Ok(version),
                Some(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        let (wanted, plugin, spoken) = refused.unwrap_or((SpecVersion::OLDEST, &network.name, &[]));
        Err(PluginError::Incompatible {
            plugin: plugin.to_owned(),
            wanted: wanted.to_string(),
            supported: spoken.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    async fn of(&self, runner: &Runner, plugin: &str) -> Result<Spoken, PluginError> {
        let path = runner.find(plugin)?;
        let found = path.metadata().map_err(|cause| PluginError::Run { path: path.clone(), cause })?;
        let stamp = stamp(&found);
        if let Some((_, spoken)) = self.lock().get(&path).filter(|(known, _)| *known == stamp) {
            return Ok(spoken.clone());
        }
        let spoken = ask(runner, &path, plugin).await;
        self.lock().insert(path, (stamp, spoken.clone()));
        Ok(spoken)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Spoken)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(found: &Metadata) -> Stamp {
    (found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

async fn ask(runner: &Runner, path: &Path, plugin: &str) -> Spoken {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(default)]
        supported_versions: Vec<String>,
    }
    let question = json!({"cniVersion": SpecVersion::NEWEST}).to_string();
    let call = Call { command: "VERSION", attachment: None };
    match runner.run_at(path, plugin, call, question.as_bytes()).await {
        Ok(answer) => {
            let answer: Answer = serde_json::from_slice(&answer).ok()?;
            // Versions that nobody here can read do not matter.
            let spoken: Vec<SpecVersion> =
                answer.supported_versions.iter().filter_map(|version| version.parse().ok()).collect();
            (!spoken.is_empty()).then_some(spoken)
        }
        Err(error) => {
            log::debug!("plugin {plugin} does not say which versions it speaks: {error}");
            None
        }
    }
}
