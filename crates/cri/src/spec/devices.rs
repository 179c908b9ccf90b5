//! The devices of a container.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use crate::error::{Attempt as _, Error, Result};
use crate::wire::v1;

/// Devices with the rules that let a container use them.
#[derive(Default)]
pub(super) struct Devices {
    pub(super) nodes: Vec<LinuxDevice>,
    pub(super) rules: Vec<LinuxDeviceCgroup>,
}

/// The devices that were asked for; a folder stands for all in it.
pub(super) fn asked(devices: &[v1::Device]) -> Result<Devices> {
    let mut found = Devices { nodes: Vec::new(), rules: vec![rule(false, None, None, None, "rwm")?] };
    for device in devices {
        let access = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        if !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(Error::invalid(format!(
                "permissions of the device {} are {access:?}; r, w and m are possible",
                device.host_path
            )));
        }
        // A link such as /dev/disk/by-id/… leads to the device.
        let source =
            fs::canonicalize(&device.host_path).attempt(|| format!("use the device {}", device.host_path))?;
        let target =
            if device.container_path.is_empty() { &device.host_path } else { &device.container_path };
        let mut pairs = Vec::new();
        if source.is_dir() {
            walk(&source, &source, Path::new(target), &mut pairs)?;
        } else {
            pairs.push((source, PathBuf::from(target)));
        }
        for (from, to) in pairs {
            let node =
                node(&from, to)?.ok_or_else(|| Error::invalid(format!("{} is no device", from.display())))?;
            found.rules.push(rule(true, Some(node.typ()), Some(node.major()), Some(node.minor()), access)?);
            found.nodes.push(node);
        }
    }
    Ok(found)
}

/// Every device of the host, for a privileged container.
pub(super) fn all_of_host() -> Result<Devices> {
    let mut pairs = Vec::new();
    walk(Path::new("/dev"), Path::new("/dev"), Path::new("/dev"), &mut pairs)?;
    let mut nodes = Vec::new();
    for (from, to) in pairs {
        nodes.extend(node(&from, to)?);
    }
    Ok(Devices { nodes, rules: vec![rule(true, None, None, None, "rwm")?] })
}

/// The device nodes below a folder. What every container has by itself is left out.
fn walk(folder: &Path, from: &Path, to: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    let attempted = || format!("look for devices in {}", folder.display());
    for entry in fs::read_dir(folder).attempt(attempted)? {
        let entry = entry.attempt(attempted)?;
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let own = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
            if !own.iter().any(|name| entry.file_name() == *name) {
                walk(&path, from, to, found)?;
            }
        } else if (kind.is_char_device() || kind.is_block_device()) && entry.file_name() != "console" {
            let inner = path.strip_prefix(from).unwrap_or(&path);
            found.push((path.clone(), to.join(inner)));
        }
    }
    Ok(())
}

/// A device as the spec has it; nothing if it is none, or is gone meanwhile.
fn node(from: &Path, to: PathBuf) -> Result<Option<LinuxDevice>> {
    let Ok(data) = fs::symlink_metadata(from) else { return Ok(None) };
    let kind = match data.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        kind if kind.is_fifo() => LinuxDeviceType::P,
        _ => return Ok(None),
    };
    let device = data.rdev();
    LinuxDeviceBuilder::default()
        .path(to)
        .typ(kind)
        .major(i64::from(rustix::fs::major(device)))
        .minor(i64::from(rustix::fs::minor(device)))
        .file_mode(data.mode() & 0o7777)
        .uid(data.uid())
        .gid(data.gid())
        .build()
        .map(Some)
        .attempt(|| format!("use the device {}", from.display()))
}

fn rule(
    allow: bool,
    kind: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup> {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access);
    if let Some(kind) = kind {
        rule = rule.typ(kind);
    }
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().attempt(|| "put a rule for devices together".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_comes_with_the_rule_that_allows_it() {
        let device = v1::Device {
            host_path: "/dev/null".to_owned(),
            container_path: "/dev/nothing".to_owned(),
            permissions: "r".to_owned(),
        };
        let found = asked(&[device]).unwrap();
        assert_eq!((found.nodes[0].major(), found.nodes[0].minor()), (1, 3));
        assert_eq!(found.nodes[0].path(), Path::new("/dev/nothing"));
        assert_eq!(found.rules[1].access().as_deref(), Some("r"));
        assert!(!found.rules[0].allow());
    }

    #[test]
    fn what_is_no_device_is_refused() {
        let device = |path: &str, permissions: &str| v1::Device {
            host_path: path.to_owned(),
            permissions: permissions.to_owned(),
            ..Default::default()
        };
        assert!(asked(&[device("/etc/passwd", "")]).is_err());
        assert!(asked(&[device("/dev/null", "x")]).is_err());
        assert!(asked(&[device("/dev/not-there", "")]).is_err());
    }
}
