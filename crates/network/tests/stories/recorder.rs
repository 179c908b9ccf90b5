//! A plugin that records what it is told and answers what it is told to.

use network::{Attachment, Cni, Config};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Writes its parameters and its question into `log/NUMBER-NAME-COMMAND.{env,json}`, then does what the file
/// `NAME-COMMAND`, or else `COMMAND`, in `says` says.
const SCRIPT: &str = r#"#!/bin/sh
root=$(dirname "$(dirname "$0")"); name=$(basename "$0")
at=$(ls "$root/log" | grep -c 'env$')
file=$root/log/$(printf %03d "$at")-$name-$CNI_COMMAND
env | grep ^CNI_ | sort > "$file.env"
if [ -e "$root/says/$name-$CNI_COMMAND" ]; then . "$root/says/$name-$CNI_COMMAND"; elif [ -e "$root/says/$CNI_COMMAND" ]; then . "$root/says/$CNI_COMMAND"; else cat > "$file.json"; fi
"#;

/// A folder with configurations, recording plugins, and what they recorded.
pub(crate) struct Recorder {
    root: TempDir,
}

/// One run of a plugin.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) plugin: String,
    pub(crate) command: String,
    pub(crate) environment: Vec<String>,
    /// Null if it did not read it.
    pub(crate) question: Value,
}

impl Recorder {
    pub(crate) fn new(plugins: &[&str]) -> Self {
        let recorder = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["net.d", "bin", "log", "says"] {
            fs::create_dir(recorder.path(folder)).unwrap();
        }
        for plugin in plugins {
            recorder.program(plugin, SCRIPT);
        }
        recorder.says("ADD", r#"cat > "$file.json"; echo '{"ips": [{"address": "10.0.0.2/24"}]}'"#);
        recorder.says(
            "VERSION",
            r#"echo '{"cniVersion":"1.1.0","supportedVersions":["0.2.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'"#,
        );
        recorder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// From now on `what`, which is `COMMAND` or `NAME-COMMAND`, does this.
    pub(crate) fn says(&self, what: &str, script: &str) {
        fs::write(self.path("says").join(what), script).unwrap();
    }

    pub(crate) fn says_nothing_special(&self, what: &str) {
        fs::remove_file(self.path("says").join(what)).unwrap();
    }

    pub(crate) fn configure(&self, list: &Value) {
        fs::write(self.path("net.d/10.conflist"), list.to_string()).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            conf_dirs: vec![self.path("net.d")],
            bin_dirs: vec![self.path("bin")],
            cache_dir: self.path("cache"),
            timeout: Duration::from_secs(20),
            ..Config::default()
        }
    }

    /// As after a restart: it knows what is on disk.
    pub(crate) fn cni(&self) -> Cni {
        Cni::new(self.config())
    }

    /// What has been run since this was last asked, but for questions for versions.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let runs = self.all_runs();
        runs.into_iter().filter(|run| run.command != "VERSION").collect()
    }

    pub(crate) fn all_runs(&self) -> Vec<Run> {
        let log = self.path("log");
        let mut names: Vec<String> = fs::read_dir(&log)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let runs =
            names.iter().filter_map(|name| name.strip_suffix(".env")).map(|name| Run::read(&log, name));
        let runs = runs.collect();
        for name in names {
            fs::remove_file(log.join(name)).unwrap();
        }
        runs
    }

    /// What was run, in short.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.runs().into_iter().map(|run| format!("{} {}", run.plugin, run.command)).collect()
    }

    pub(crate) fn records(&self) -> usize {
        fs::read_dir(self.path("cache")).map_or(0, Iterator::count)
    }
}

impl Run {
    fn read(log: &Path, name: &str) -> Self {
        let mut parts = name.splitn(3, '-').skip(1).map(str::to_owned);
        let question = fs::read(log.join(format!("{name}.json"))).unwrap_or_default();
        let environment = fs::read_to_string(log.join(format!("{name}.env"))).unwrap();
        Self {
            plugin: parts.next().unwrap(),
            command: parts.next().unwrap(),
            environment: environment.lines().map(str::to_owned).collect(),
            question: serde_json::from_slice(&question).unwrap_or_default(),
        }
    }
}

pub(crate) fn pod(id: &str) -> Attachment {
    Attachment {
        id: id.to_owned(),
        netns: "/run/netns/none".into(),
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        uid: "u-1".to_owned(),
        ..Attachment::default()
    }
}
