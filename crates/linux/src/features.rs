//! What this engine can do, in the form of the OCI runtime specification (features.md). The same for the command line
//! and for the shim, whatever the host.

use crate::process::features as known;
use crate::rootfs::known_options;
use serde::Serialize;
use std::collections::BTreeMap;

/// The document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: Vec<&'static str>,
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, String>,
    potentially_unsafe_config_annotations: &'static [&'static str],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<&'static str>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<&'static str>,
    supported_flags: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Debug, Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

/// The document of a program that reads bundles up to this version of the specification, and has this to say of itself.
pub fn of(
    oci_version_max: &'static str,
    about: impl IntoIterator<Item = (&'static str, String)>,
) -> Features {
    let mut annotations: BTreeMap<&'static str, String> = about.into_iter().collect();
    if let Some(version) = known::libseccomp_version() {
        annotations.insert("io.github.seccomp.libseccomp.version", version);
    }
    Features {
        oci_version_min: "1.0.0",
        oci_version_max,
        hooks: known::hooks(),
        mount_options: known_options(),
        linux: linux(),
        annotations,
        potentially_unsafe_config_annotations: &["bundle", "org.systemd.property.", "org.criu.config"],
    }
}

fn linux() -> Linux {
    let yes = || Enabled { enabled: true };
    Linux {
        namespaces: known::namespaces(),
        capabilities: known::capabilities(),
        cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
        seccomp: Seccomp {
            enabled: true,
            actions: known::seccomp_actions(),
            operators: known::seccomp_operators(),
            archs: known::seccomp_architectures(),
            known_flags: known::seccomp_flags(),
            supported_flags: known::seccomp_supported_flags(),
        },
        apparmor: yes(),
        selinux: yes(),
        intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
        memory_policy: MemoryPolicy {
            modes: known::memory_policy_modes(),
            flags: known::memory_policy_flags(),
        },
        mount_extensions: MountExtensions { idmap: yes() },
        net_devices: yes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_own_type_reads_it() {
        let text = serde_json::to_string(&of("1.3.0", [("a", "b".to_owned())])).unwrap();
        assert!(text.starts_with(r#"{"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0","#), "{text}");
        let features: oci_spec::runtime::Features = serde_json::from_str(&text).unwrap();
        assert_eq!(features.hooks().as_ref().unwrap().len(), 6);
        assert!(features.mount_options().as_ref().unwrap().contains(&"rbind".to_owned()));
    }
}
