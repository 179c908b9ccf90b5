//! What a pod is asked to be, checked, and the configuration that its shim makes it from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, RootBuilder, Spec, SpecBuilder,
};

use super::mounts::mappings;
use super::resources::{Cgroups, limits};
use crate::error::{Attempt as _, Error, Result};
use crate::host::Host;
use crate::wire::v1::{self, NamespaceMode};

/// The namespaces of a pod, as far as they follow from its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Namespaces {
    pub(crate) network: NamespaceMode,
    pub(crate) pid: NamespaceMode,
    pub(crate) ipc: NamespaceMode,
    /// The pod has a user namespace of its own.
    pub(crate) user: bool,
}

impl Namespaces {
    /// What a pod's configuration says, refused where it makes no sense.
    pub(crate) fn of(config: &v1::PodSandboxConfig) -> Result<Self> {
        let default = v1::NamespaceOption::default();
        let options =
            security(config).and_then(|context| context.namespace_options.as_ref()).unwrap_or(&default);
        for (name, mode) in [("network", options.network()), ("ipc", options.ipc())] {
            if !matches!(mode, NamespaceMode::Pod | NamespaceMode::Node) {
                return Err(Error::invalid(format!("namespace_options.{name} of a pod is POD or NODE")));
            }
        }
        if options.pid() == NamespaceMode::Target {
            return Err(Error::invalid("namespace_options.pid of a pod is POD, CONTAINER or NODE"));
        }
        let user = user_namespace(options.userns_options.as_ref())?.is_some();
        if user && options.ipc() == NamespaceMode::Node {
            return Err(Error::invalid("a pod with a user namespace cannot use the host's IPC namespace"));
        }
        Ok(Self { network: options.network(), pid: options.pid(), ipc: options.ipc(), user })
    }

    /// The network is the host's.
    pub(crate) fn host_network(self) -> bool {
        self.network == NamespaceMode::Node
    }
}

/// The pod's security context.
pub(crate) fn security(config: &v1::PodSandboxConfig) -> Option<&v1::LinuxSandboxSecurityContext> {
    config.linux.as_ref()?.security_context.as_ref()
}

/// Ranges of user and group ids.
pub(crate) type Mappings<'a> = (&'a [v1::IdMapping], &'a [v1::IdMapping]);

/// The mappings of a user namespace; nothing for the host's.
pub(crate) fn user_namespace(asked: Option<&v1::UserNamespace>) -> Result<Option<Mappings<'_>>> {
    let Some(asked) = asked else { return Ok(None) };
    match asked.mode() {
        NamespaceMode::Node => {
            if asked.uids.is_empty() && asked.gids.is_empty() {
                Ok(None)
            } else {
                Err(Error::invalid("userns_options of mode NODE can have no mappings"))
            }
        }
        NamespaceMode::Pod => {
            for (name, ranges) in [("uids", &asked.uids), ("gids", &asked.gids)] {
                let [range] = ranges.as_slice() else {
                    return Err(Error::invalid(format!(
                        "userns_options.{name} has {} mappings, exactly one is possible",
                        ranges.len()
                    )));
                };
                if range.container_id != 0 || range.length == 0 {
                    return Err(Error::invalid(format!("userns_options.{name} has to map from id 0 on")));
                }
            }
            if asked.uids != asked.gids {
                return Err(Error::invalid("userns_options has to map users and groups alike"));
            }
            Ok(Some((&asked.uids, &asked.gids)))
        }
        NamespaceMode::Container | NamespaceMode::Target => {
            Err(Error::invalid("userns_options.mode is POD or NODE"))
        }
    }
}

/// Refuses a container that says of its user namespace what its pod does not.
pub(super) fn check_user_namespace(
    pod: &v1::PodSandboxConfig,
    container: &v1::NamespaceOption,
) -> Result<()> {
    let Some(asked) = &container.userns_options else { return Ok(()) };
    if user_namespace(Some(asked))? == pod_mappings(pod)? {
        return Ok(());
    }
    Err(Error::invalid("namespace_options.userns_options of a container has to be that of its pod"))
}

/// The id mappings of a pod that has a user namespace.
pub(crate) fn pod_mappings(config: &v1::PodSandboxConfig) -> Result<Option<Mappings<'_>>> {
    let options = security(config).and_then(|context| context.namespace_options.as_ref());
    user_namespace(options.and_then(|options| options.userns_options.as_ref()))
}

/// The host name that a pod's containers see.
pub(crate) fn hostname(config: &v1::PodSandboxConfig) -> String {
    if config.hostname.is_empty() { Host::name() } else { config.hostname.clone() }
}

/// What the pod's shim reads.
pub(crate) struct PodRequest<'a> {
    pub(crate) id: &'a str,
    pub(crate) config: &'a v1::PodSandboxConfig,
    pub(crate) host: &'a Host,
    pub(crate) systemd: bool,
    /// Where the network namespace is; nothing lets the shim make it.
    pub(crate) netns: Option<&'a Path>,
    pub(crate) annotations: HashMap<String, String>,
    /// `net.ipv4.ip_unprivileged_port_start` and its like may be set.
    pub(crate) unprivileged_ports: bool,
}

/// The pod's configuration for its shim.
pub(crate) fn pod_spec(request: &PodRequest<'_>) -> Result<Spec> {
    let config = request.config;
    let wrong = || format!("put the configuration of pod {} together", request.id);
    let namespaces = Namespaces::of(config)?;
    let linux_config = config.linux.clone().unwrap_or_default();
    let mut list = Vec::new();
    let mut new = |kind, path: Option<PathBuf>| -> Result<()> {
        list.push(namespace(kind, path)?);
        Ok(())
    };
    if namespaces.user {
        new(LinuxNamespaceType::User, None)?;
    }
    if !namespaces.host_network() {
        new(LinuxNamespaceType::Network, request.netns.map(Path::to_path_buf))?;
        new(LinuxNamespaceType::Uts, None)?;
    }
    if namespaces.ipc == NamespaceMode::Pod {
        new(LinuxNamespaceType::Ipc, None)?;
    }
    if namespaces.pid == NamespaceMode::Pod {
        new(LinuxNamespaceType::Pid, None)?;
    }
    let cgroups = Cgroups { parent: &linux_config.cgroup_parent, pod: request.id, systemd: request.systemd };
    let mut linux = LinuxBuilder::default().namespaces(list).sysctl(sysctls(request, namespaces)?);
    let own_cgroup = has_own_cgroup(config, request.systemd);
    if own_cgroup {
        let asked = linux_config.resources.unwrap_or_default();
        linux = linux.cgroups_path(cgroups.of_pod()).resources(limits(&asked, request.host)?);
    }
    if let Some((uids, gids)) = pod_mappings(config)? {
        linux = linux.uid_mappings(mappings(uids)?).gid_mappings(mappings(gids)?);
    }
    let mut linux = linux.build().attempt(wrong)?;
    if !own_cgroup {
        linux.set_resources(None);
    }
    let mut spec = SpecBuilder::default()
        .version("1.3.0")
        .root(RootBuilder::default().path("rootfs").build().attempt(wrong)?)
        .mounts(Vec::new())
        .annotations(request.annotations.clone())
        .linux(linux)
        .build()
        .attempt(wrong)?;
    spec.set_hostname((!namespaces.host_network()).then(|| hostname(config)));
    Ok(spec)
}

/// Whether the pod's cgroup is made and limited here: the kubelet makes and limits its own.
pub(crate) fn has_own_cgroup(config: &v1::PodSandboxConfig, systemd: bool) -> bool {
    !systemd && config.linux.as_ref().is_none_or(|linux| linux.cgroup_parent.is_empty())
}

/// What is set in the pod's namespaces; what would change the host is refused.
fn sysctls(request: &PodRequest<'_>, namespaces: Namespaces) -> Result<HashMap<String, String>> {
    let asked = request.config.linux.as_ref().map(|linux| linux.sysctls.clone()).unwrap_or_default();
    let mut sysctls = HashMap::with_capacity(asked.len());
    for (name, value) in asked {
        // Both spellings are in use.
        let name = if name.contains('.') { name } else { name.replace('/', ".") };
        let of_network = name.starts_with("net.");
        let of_ipc = name.starts_with("kernel.shm")
            || name.starts_with("kernel.msg")
            || name == "kernel.sem"
            || name.starts_with("fs.mqueue.");
        if (of_network && namespaces.host_network()) || (of_ipc && namespaces.ipc == NamespaceMode::Node) {
            return Err(Error::invalid(format!(
                "sysctl {name} would be set on the host: the pod uses its namespace"
            )));
        }
        if !of_network && !of_ipc {
            return Err(Error::invalid(format!("sysctl {name} belongs to no namespace of a pod")));
        }
        sysctls.insert(name, value);
    }
    if request.unprivileged_ports && !namespaces.host_network() && !namespaces.user {
        sysctls.entry("net.ipv4.ip_unprivileged_port_start".to_owned()).or_insert_with(|| "0".to_owned());
        sysctls.entry("net.ipv4.ping_group_range".to_owned()).or_insert_with(|| "0 2147483647".to_owned());
    }
    Ok(sysctls)
}

/// A namespace of the spec: joined with a path, new without.
pub(super) fn namespace(kind: LinuxNamespaceType, path: Option<PathBuf>) -> Result<LinuxNamespace> {
    let mut namespace = LinuxNamespaceBuilder::default().typ(kind);
    if let Some(path) = path {
        namespace = namespace.path(path);
    }
    namespace.build().attempt(|| "put a namespace together".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(options: v1::NamespaceOption) -> v1::PodSandboxConfig {
        let context =
            v1::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        let linux = v1::LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() };
        v1::PodSandboxConfig { linux: Some(linux), ..Default::default() }
    }

    fn userns(mode: NamespaceMode, ranges: &[(u32, u32, u32)]) -> v1::NamespaceOption {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(container_id, host_id, length)| v1::IdMapping {
                container_id: *container_id,
                host_id: *host_id,
                length: *length,
            })
            .collect();
        let user = v1::UserNamespace { mode: mode.into(), uids: ranges.clone(), gids: ranges };
        v1::NamespaceOption { userns_options: Some(user), ..Default::default() }
    }

    #[test]
    fn a_user_namespace_maps_one_range_from_0_on() {
        let of = |mode, ranges: &[(u32, u32, u32)]| Namespaces::of(&config(userns(mode, ranges)));
        assert!(of(NamespaceMode::Pod, &[(0, 65536, 65536)]).unwrap().user);
        assert!(!of(NamespaceMode::Node, &[]).unwrap().user);
        for refused in [
            of(NamespaceMode::Pod, &[(0, 1, 1), (1, 5, 1)]),
            of(NamespaceMode::Pod, &[(5, 1, 1)]),
            of(NamespaceMode::Pod, &[]),
            of(NamespaceMode::Container, &[(0, 1, 1)]),
            of(NamespaceMode::Target, &[(0, 1, 1)]),
            of(NamespaceMode::Node, &[(0, 1, 1)]),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
    }

    #[test]
    fn what_a_pod_cannot_be_is_refused_by_name() {
        let target = v1::NamespaceOption { pid: NamespaceMode::Target.into(), ..Default::default() };
        let error = Namespaces::of(&config(target)).unwrap_err().to_string();
        assert_eq!(error, "namespace_options.pid of a pod is POD, CONTAINER or NODE");
        let container =
            v1::NamespaceOption { network: NamespaceMode::Container.into(), ..Default::default() };
        let error = Namespaces::of(&config(container)).unwrap_err().to_string();
        assert_eq!(error, "namespace_options.network of a pod is POD or NODE");
    }

    #[test]
    fn a_container_has_its_pods_user_namespace() {
        let pod = config(userns(NamespaceMode::Pod, &[(0, 65536, 65536)]));
        let check = |options: v1::NamespaceOption| check_user_namespace(&pod, &options);
        check(v1::NamespaceOption::default()).unwrap();
        check(userns(NamespaceMode::Pod, &[(0, 65536, 65536)])).unwrap();
        assert!(check(userns(NamespaceMode::Pod, &[(0, 1, 65536)])).is_err());
        assert!(check(userns(NamespaceMode::Node, &[])).is_err());
    }

    #[test]
    fn a_sysctl_of_the_host_is_refused() {
        let host = Host::look();
        let with = |name: &str, network: NamespaceMode| {
            let mut config = config(v1::NamespaceOption { network: network.into(), ..Default::default() });
            let sysctls = &mut config.linux.as_mut().unwrap().sysctls;
            sysctls.insert(name.to_owned(), "1".to_owned());
            let request = PodRequest {
                id: "p",
                config: &config,
                host: &host,
                systemd: false,
                netns: None,
                annotations: HashMap::new(),
                unprivileged_ports: true,
            };
            pod_spec(&request)
        };
        assert!(with("net.ipv4.ip_forward", NamespaceMode::Pod).is_ok());
        assert!(with("net.ipv4.ip_forward", NamespaceMode::Node).is_err());
        assert!(with("kernel.panic", NamespaceMode::Pod).is_err());
    }
}
