//! The rules of the whole specification that belong to no single attribute, with runc's texts.

use super::error::Error;
use super::{hooks, selinux};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType as Ns, Spec};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a specification that contradicts itself, before anything is made. What one attribute alone decides is
/// refused by [`plan`](super::plan()).
pub fn validate(spec: &Spec, rootless: bool) -> Result<(), Error> {
    if spec.process().is_none() {
        return Err(Error::invalid("process property must not be empty"));
    }
    known_version(spec)?;
    if spec.root().as_ref().is_none_or(|root| root.path().as_os_str().is_empty()) {
        return Err(Error::invalid("root.path must not be empty"));
    }
    let namespaces = Namespaces::of(spec)?;
    if rootless {
        rootless_needs_a_namespace(spec, &namespaces)?;
    }
    names_need_a_namespace(spec, &namespaces)?;
    if let Some(linux) = spec.linux() {
        restrictions_need_a_namespace(linux, &namespaces)?;
        mappings_need_a_namespace(linux, &namespaces)?;
        offsets_need_a_namespace(linux, &namespaces)?;
        devices_need_a_namespace(linux, &namespaces, rootless)?;
        weights_are_weights(linux)?;
        if linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()) && !selinux::enabled() {
            return Err(Error::invalid(
                "selinux label is specified in config (linux.mountLabel), but selinux is disabled or not supported",
            ));
        }
    }
    spec.hooks().as_ref().map_or(Ok(()), hooks::validate)
}

/// The namespaces of a specification: each at most once, new or joined by a path.
pub(crate) struct Namespaces<'a>(&'a [LinuxNamespace]);

impl<'a> Namespaces<'a> {
    pub(crate) fn of(spec: &'a Spec) -> Result<Self, Error> {
        let all = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        for (index, namespace) in all.iter().enumerate() {
            if all.iter().take(index).any(|earlier| earlier.typ() == namespace.typ()) {
                let name = serde_json::to_value(namespace.typ()).unwrap_or_default();
                return Err(Error::invalid(format!("malformed spec file: duplicated ns {name}")));
            }
        }
        Ok(Self(all))
    }

    fn get(&self, kind: Ns) -> Option<&'a LinuxNamespace> {
        self.0.iter().find(|namespace| namespace.typ() == kind)
    }

    /// Whether the container is not in the runtime's.
    pub(crate) fn has(&self, kind: Ns) -> bool {
        self.get(kind).is_some()
    }

    /// Whether it is made for the container.
    pub(crate) fn is_new(&self, kind: Ns) -> bool {
        self.has(kind) && self.path(kind).is_none()
    }

    fn path(&self, kind: Ns) -> Option<&'a Path> {
        self.get(kind)?.path().as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Whether the container's network is the runtime's after all: none of its own, or joined by a path to it.
    pub(crate) fn shares_network(&self) -> io::Result<bool> {
        if !self.has(Ns::Network) {
            return Ok(true);
        }
        let Some(path) = self.path(Ns::Network) else { return Ok(false) };
        let (ours, theirs) = (std::fs::metadata("/proc/self/ns/net")?, std::fs::metadata(path)?);
        Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
    }
}

/// A newer minor version only adds fields, another major version could mean anything.
fn known_version(spec: &Spec) -> Result<(), Error> {
    let version = spec.version();
    let mut parts = version.split(['.', '-', '+']);
    let known = parts.next() == Some("1") && parts.next().is_some_and(|minor| minor.parse::<u32>().is_ok());
    if known { Ok(()) } else { Err(Error::invalid(format!("ociVersion: {version:?} is not a version 1.x"))) }
}

fn weights_are_weights(linux: &Linux) -> Result<(), Error> {
    let block = linux.resources().as_ref().and_then(|resources| resources.block_io().as_ref());
    match block.and_then(oci_spec::runtime::LinuxBlockIo::weight) {
        // 0 is not given.
        Some(weight) if weight != 0 && !(10..=1000).contains(&weight) => {
            Err(Error::invalid(format!("linux.resources.blockIO.weight: {weight} is not within 10 and 1000")))
        }
        _ => Ok(()),
    }
}

fn names_need_a_namespace(spec: &Spec, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    for (what, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if !namespaces.has(Ns::Uts) {
            return Err(Error::invalid(format!("unable to set {what} without a private UTS namespace")));
        }
        if name.contains('\0') {
            return Err(Error::invalid(format!("{what}: {name:?} contains a nul byte")));
        }
        if name.len() > 64 {
            return Err(Error::invalid(format!("{what}: {name:?} is longer than 64 bytes")));
        }
    }
    Ok(())
}

fn restrictions_need_a_namespace(linux: &Linux, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    let any = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    if (any(linux.masked_paths()) || any(linux.readonly_paths())) && !namespaces.has(Ns::Mount) {
        return Err(Error::invalid("unable to restrict sys entries without a private MNT namespace"));
    }
    Ok(())
}

fn mappings_need_a_namespace(linux: &Linux, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    let mapped = linux.uid_mappings().is_some() || linux.gid_mappings().is_some();
    match (namespaces.has(Ns::User), namespaces.path(Ns::User).is_some(), mapped) {
        (true, false, false) => Err(Error::invalid(
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
        )),
        (false, _, true) => Err(Error::invalid(
            "user namespace mappings specified, but user namespace isn't enabled in the config",
        )),
        (true, true, true) => path_and_mappings_agree(linux, namespaces),
        (true, false, true) | (true, true, false) | (false, _, false) => Ok(()),
    }?;
    let missing = [
        (namespaces.has(Ns::User), "/proc/self/ns/user", "user namespaces"),
        (namespaces.has(Ns::Cgroup), "/proc/self/ns/cgroup", "cgroup namespaces"),
        (namespaces.has(Ns::Time), "/proc/self/timens_offsets", "time namespaces"),
    ];
    for (wanted, file, name) in missing {
        if wanted && !Path::new(file).exists() {
            return Err(Error::Unsupported(format!("{name} aren't enabled in the kernel")));
        }
    }
    Ok(())
}

/// containerd and CRI-O give both the path of a user namespace and its mappings, which is not legal, so runc lets it
/// pass when they agree. The mappings of a namespace are only to be seen at a process in it: if the path names one,
/// here; else by [`joined_mappings_agree`] once init is in it.
fn path_and_mappings_agree(linux: &Linux, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    log::warn!("config.json has both a userns path to join and userns mappings -- you may only provide one");
    let process = namespaces
        .path(Ns::User)
        .and_then(|path| path.to_str()?.strip_prefix("/proc/")?.strip_suffix("/ns/user")?.parse().ok());
    process.map_or(Ok(()), |pid| joined_mappings_agree(linux, pid))
}

/// Refuses mappings that are not those of the user namespace that the process is in; for a container that joins one.
pub fn joined_mappings_agree(linux: &Linux, pid: i32) -> Result<(), Error> {
    for (file, wanted) in [("uid_map", linux.uid_mappings()), ("gid_map", linux.gid_mappings())] {
        let path = format!("/proc/{pid}/{file}");
        let text = std::fs::read_to_string(&path).map_err(Error::system(format!("read {path}")))?;
        if wanted.as_deref().is_some_and(|wanted| parse_mappings(&text) != sorted(wanted)) {
            return Err(Error::invalid(
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only \
                 provide one",
            ));
        }
    }
    Ok(())
}

fn sorted(mappings: &[LinuxIdMapping]) -> Vec<[u32; 3]> {
    let mut all: Vec<_> =
        mappings.iter().map(|map| [map.container_id(), map.host_id(), map.size()]).collect();
    all.sort_unstable();
    all
}

fn parse_mappings(text: &str) -> Vec<[u32; 3]> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    };
    let mut all: Vec<_> = text.lines().filter_map(line).collect();
    all.sort_unstable();
    all
}

fn offsets_need_a_namespace(linux: &Linux, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    if linux.time_offsets().is_none() {
        return Ok(());
    }
    if !namespaces.has(Ns::Time) {
        return Err(Error::invalid(
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ));
    }
    if namespaces.path(Ns::Time).is_some() {
        return Err(Error::invalid(
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ));
    }
    Ok(())
}

fn devices_need_a_namespace(linux: &Linux, namespaces: &Namespaces<'_>, rootless: bool) -> Result<(), Error> {
    if linux.net_devices().as_ref().is_none_or(std::collections::HashMap::is_empty) {
        return Ok(());
    }
    if !namespaces.has(Ns::Network) {
        return Err(Error::invalid("unable to move network devices without a NET namespace"));
    }
    if rootless {
        return Err(Error::invalid("network devices are not supported for rootless containers"));
    }
    Ok(())
}

fn rootless_needs_a_namespace(spec: &Spec, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    if !namespaces.has(Ns::User) {
        return Err(Error::invalid("rootless container requires user namespaces"));
    }
    if namespaces.is_new(Ns::User) {
        let linux = spec.linux().as_ref();
        let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
        let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
        for (ids, kind) in [(uids, "UID"), (gids, "GID")] {
            if ids.is_empty() {
                return Err(Error::invalid(format!(
                    "rootless containers requires at least one {kind} mapping"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn verdict(linux: Value, rootless: bool) -> Result<(), String> {
        with(json!({"linux": linux}), rootless)
    }

    fn with(more: Value, rootless: bool) -> Result<(), String> {
        let mut spec = json!({"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"user": {}, "args": ["sh"], "cwd": "/"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        validate(&serde_json::from_value(spec).unwrap(), rootless).map_err(|error| error.to_string())
    }

    fn ns(names: &[&str]) -> Value {
        names.iter().map(|name| json!({"type": name})).collect()
    }

    #[test]
    fn the_texts_are_runcs() {
        let mapping = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        let joined_user = json!([{"type": "user", "path": "/proc/1/ns/user"}]);
        for (linux, text) in [
            (
                json!({"namespaces": ns(&["pid", "network", "network"])}),
                r#"malformed spec file: duplicated ns "network""#,
            ),
            (
                json!({"maskedPaths": ["/x"]}),
                "unable to restrict sys entries without a private MNT namespace",
            ),
            (
                json!({"namespaces": ns(&["user"])}),
                "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
            ),
            (
                json!({"namespaces": joined_user, "uidMappings": mapping}),
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only \
                 provide one",
            ),
            (
                json!({"gidMappings": mapping}),
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            ),
            (
                json!({"timeOffsets": {}}),
                "time namespace offsets specified, but time namespace isn't enabled in the config",
            ),
            (
                json!({"timeOffsets": {}, "namespaces": [{"type": "time", "path": "/p"}]}),
                "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
            ),
            (json!({"netDevices": {"e": {}}}), "unable to move network devices without a NET namespace"),
        ] {
            assert_eq!(verdict(linux, false).unwrap_err(), text);
        }
        assert_eq!(
            with(json!({"hostname": "h"}), false).unwrap_err(),
            "unable to set hostname without a private UTS namespace"
        );
        assert_eq!(
            with(json!({"domainname": "d"}), false).unwrap_err(),
            "unable to set domainname without a private UTS namespace"
        );
    }

    #[test]
    fn a_path_and_the_mappings_behind_it_may_both_be_given() {
        let map = std::fs::read_to_string("/proc/1/uid_map").unwrap();
        let mappings: Value = parse_mappings(&map)
            .iter()
            .map(|[container, host, size]| json!({"containerID": container, "hostID": host, "size": size}))
            .collect();
        let joined = json!([{"type": "user", "path": "/proc/1/ns/user"}]);
        assert_eq!(verdict(json!({"namespaces": joined, "uidMappings": mappings}), false), Ok(()));
    }

    #[test]
    fn rootless_has_rules_of_its_own() {
        let mapping = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        assert_eq!(verdict(json!({}), true).unwrap_err(), "rootless container requires user namespaces");
        assert_eq!(
            verdict(json!({"namespaces": ns(&["user"]), "uidMappings": mapping}), true).unwrap_err(),
            "rootless containers requires at least one GID mapping"
        );
        let fine = json!({"namespaces": ns(&["user"]), "uidMappings": mapping, "gidMappings": mapping});
        assert_eq!(verdict(fine, true), Ok(()));
    }

    #[test]
    fn hooks_are_looked_at() {
        assert_eq!(
            with(json!({"hooks": {"poststop": [{"path": "rel"}]}}), false).unwrap_err(),
            r#"hooks.poststop[0].path: "rel" is not an absolute path"#
        );
        assert_eq!(
            with(json!({"hooks": {"prestart": [{"path": "/x", "timeout": 0}]}}), false).unwrap_err(),
            "hooks.prestart[0].timeout must be greater than zero"
        );
    }
}
