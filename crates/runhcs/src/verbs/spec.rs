//! `spec`: writes a config.json to start from, which runs as it is where a root file system lies beside it.

use anyhow::{Context as _, bail};
use clap::Args;
use compute::bundle;
use rustix::process::{getegid, geteuid};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that runc writes, with `EUID` and `EGID` where the caller's ids belong.
const ROOTFUL: &str = include_str!("spec/rootful.json");
const ROOTLESS: &str = include_str!("spec/rootless.json.in");
/// On hosts with nothing but cgroup v2 a namespace for it is added, which cgroup v1 cannot make useful.
const NAMESPACES: &str = "\t\t\t{\n\t\t\t\t\"type\": \"mount\"\n\t\t\t}";
const CGROUP_NAMESPACE: &str = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";

/// Write a config.json to start from.
#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// The bundle's folder; the current one if not given.
    #[arg(long, short, value_name = "DIR", value_parser = crate::cli::path())]
    bundle: Option<PathBuf>,
    /// For a user without privileges: in a user namespace, without a network of its own or limits.
    #[arg(long)]
    rootless: bool,
}

impl Spec {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = bundle::enter(self.bundle.as_deref())?;
        let path = bundle.join(bundle::CONFIG);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("File {} exists. Remove it first", bundle::CONFIG)
            }
            Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
        };
        let text = text(self.rootless, is_unified(), (geteuid().as_raw(), getegid().as_raw()));
        file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
    }
}

fn text(rootless: bool, unified: bool, (uid, gid): (u32, u32)) -> String {
    let text = match rootless {
        true => ROOTLESS.replace("EUID", &uid.to_string()).replace("EGID", &gid.to_string()),
        false => ROOTFUL.to_owned(),
    };
    let text = text.trim_end().to_owned();
    match unified {
        true => text.replace(NAMESPACES, &format!("{NAMESPACES}{CGROUP_NAMESPACE}")),
        false => text,
    }
}

fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(rootless: bool, unified: bool) -> Value {
        serde_json::from_str(&text(rootless, unified, (1000, 100))).unwrap()
    }

    #[test]
    fn the_text_has_tabs_and_no_last_line_end() {
        let text = text(false, false, (0, 0));
        assert!(
            text.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,")
        );
        assert!(text.ends_with("\n\t}\n}"));
    }

    #[test]
    fn the_bundle_reader_takes_it() {
        for rootless in [false, true] {
            for unified in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                std::fs::write(dir.path().join(bundle::CONFIG), text(rootless, unified, (1, 2))).unwrap();
                bundle::load(dir.path()).unwrap();
            }
        }
    }

    #[test]
    fn a_rootless_one_maps_the_caller() {
        let spec = spec(true, true);
        assert_eq!(spec["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
        assert_eq!(spec["linux"]["gidMappings"], json!([{"containerID": 0, "hostID": 100, "size": 1}]));
        let namespaces: Vec<&str> = spec["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|ns| ns["type"].as_str())
            .collect();
        assert_eq!(namespaces, ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        assert_eq!(spec["linux"]["resources"], Value::Null);
    }

    #[test]
    fn a_cgroup_namespace_comes_with_cgroup_v2() {
        let types = |unified| spec(false, unified)["linux"]["namespaces"].as_array().unwrap().len();
        assert_eq!((types(false), types(true)), (5, 6));
    }
}
