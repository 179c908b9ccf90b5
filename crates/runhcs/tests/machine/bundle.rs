//! A bundle: busybox, and the runtime's own `spec` with changes.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::done;
use crate::container::Caller;

const APPLETS: [&str; 14] = [
    "cat", "chmod", "dd", "echo", "head", "id", "ls", "mkdir", "mknod", "mount", "rmdir", "sh", "sleep",
    "true",
];

/// Writes a bundle into `directory` that runs `command`; `change` has the last word on its config.
pub(crate) fn write(
    directory: &Path,
    caller: &Caller,
    command: &[&str],
    change: &dyn Fn(&mut Value),
) -> Result<()> {
    let root = directory.join("rootfs");
    for path in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(path))?;
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).context("busybox is not installed")?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let mut spec = vec!["spec", "--bundle"];
    let bundle = directory.to_str().context("the bundle's path is UTF-8")?;
    spec.push(bundle);
    if caller.is_user() {
        spec.push("--rootless");
        hand_over(directory)?;
    }
    done(caller.command(&spec))?;
    let path = directory.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?).context("read what `spec` wrote")?;
    config["process"]["args"] = json!(command);
    config["process"]["terminal"] = json!(false);
    config["process"]["env"] = json!(["PATH=/bin"]);
    config["root"]["readonly"] = json!(false);
    change(&mut config);
    fs::write(&path, config.to_string())?;
    Ok(())
}

fn hand_over(path: &Path) -> Result<()> {
    chown(path, Some(1000), Some(1000)).with_context(|| format!("give {} to the user", path.display()))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_type()?.is_symlink() {
                hand_over(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// The spec's subordinate ids in place of its single one.
pub(crate) fn map_subordinate_ids(config: &mut Value) {
    for (kind, own) in [("uidMappings", 1000), ("gidMappings", 1000)] {
        config["linux"][kind] = json!([
            { "containerID": 0, "hostID": own, "size": 1 },
            { "containerID": 1, "hostID": 100_000, "size": 65_536 },
        ]);
    }
}
