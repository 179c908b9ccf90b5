//! A container's configuration, from what was asked, what its image says and what its pod is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use compute::Mount as SnapshotMount;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxNamespace, LinuxNamespaceType, Process, ProcessBuilder, RootBuilder, Spec,
    SpecBuilder, UserBuilder,
};
use shim_api::Pins;

use super::capabilities::sets;
use super::devices::{self, Devices};
use super::mounts::{Surroundings, mappings, mounts, volumes};
use super::pod::{Namespaces, check_user_namespace, namespace, pod_mappings};
use super::resources::{Cgroups, limits};
use super::seccomp;
use super::selinux;
use super::user::User;
use crate::config::{Handler, Runtime};
use crate::error::{Attempt as _, Error, Result};
use crate::host::Host;
use crate::record::PodRecord;
use crate::wire::v1::security_profile::ProfileType;
use crate::wire::v1::{self, NamespaceMode};

/// Everything that a container's configuration follows from.
pub(crate) struct ContainerRequest<'a> {
    pub(crate) id: &'a str,
    pub(crate) config: &'a v1::ContainerConfig,
    pub(crate) pod: &'a PodRecord,
    pub(crate) pins: &'a Pins,
    /// Files that the pod's containers share, by the path in the container.
    pub(crate) shared: &'a [(&'static str, PathBuf)],
    pub(crate) image: Option<&'a ImageConfiguration>,
    pub(crate) user: &'a User,
    /// Of the mounts that are images, by their number: how they are mounted.
    pub(crate) image_mounts: &'a [(usize, Vec<SnapshotMount>)],
    /// Folders of the host for the volumes that the image declares, by the path in the container.
    pub(crate) volumes: &'a [(String, PathBuf)],
    /// The process whose PID namespace is joined, for mode TARGET.
    pub(crate) target_pid: Option<i32>,
    pub(crate) annotations: HashMap<String, String>,
    pub(crate) host: &'a Host,
    pub(crate) runtime: &'a Runtime,
    pub(crate) handler: &'a Handler,
    pub(crate) systemd: bool,
}

impl ContainerRequest<'_> {
    fn security(&self) -> v1::LinuxContainerSecurityContext {
        let linux = self.config.linux.as_ref();
        linux.and_then(|linux| linux.security_context.clone()).unwrap_or_default()
    }

    fn options(&self) -> v1::NamespaceOption {
        self.security().namespace_options.unwrap_or_default()
    }
}

/// The container's configuration.
pub(crate) fn container_spec(request: &ContainerRequest<'_>) -> Result<Spec> {
    let wrong = || format!("put the configuration of container {} together", request.id);
    refuse_what_is_not_done(request.config)?;
    let security = request.security();
    check_user_namespace(&request.pod.config, &request.options())?;
    let pod_is_privileged = super::security(&request.pod.config).is_some_and(|pod| pod.privileged);
    if security.privileged && !pod_is_privileged {
        return Err(Error::invalid("a privileged container needs a privileged pod"));
    }
    let namespaces = Namespaces::of(&request.pod.config)?;
    let cgroup_namespace = request.host.cgroup2 && !security.privileged;
    let around = Surroundings {
        host: request.host,
        privileged: security.privileged,
        read_only_root: security.readonly_rootfs,
        user_namespace: namespaces.user,
        host_network: namespaces.host_network(),
        shared: request.shared,
    };
    let (mut mounts, propagation) = mounts(&request.config.mounts, request.image_mounts, &around)?;
    mounts.extend(volumes(&mounts, request.volumes)?);
    let root =
        RootBuilder::default().path("rootfs").readonly(security.readonly_rootfs).build().attempt(wrong)?;
    let mut spec = SpecBuilder::default()
        .version("1.3.0")
        .root(root)
        .mounts(mounts)
        .process(process(request, &security)?)
        .annotations(request.annotations.clone())
        .linux(linux(request, &security, namespaces, cgroup_namespace, propagation)?)
        .build()
        .attempt(wrong)?;
    // The name is the pod's.
    spec.set_hostname(None);
    Ok(spec)
}

/// Fields that this daemon knows and cannot honour.
fn refuse_what_is_not_done(config: &v1::ContainerConfig) -> Result<()> {
    if config.windows.is_some() {
        return Err(Error::invalid("windows: this host runs Linux containers"));
    }
    Ok(())
}

fn linux(
    request: &ContainerRequest<'_>,
    security: &v1::LinuxContainerSecurityContext,
    pod: Namespaces,
    cgroup_namespace: bool,
    propagation: Option<&str>,
) -> Result<Linux> {
    let wrong = || format!("put the configuration of container {} together", request.id);
    let asked = request.config.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
    let mut resources = limits(&asked, request.host)?;
    let devices = devices(request, security)?;
    resources.set_devices(Some(devices.rules));
    let pod_linux = request.pod.config.linux.clone().unwrap_or_default();
    let cgroups =
        Cgroups { parent: &pod_linux.cgroup_parent, pod: &request.pod.id, systemd: request.systemd };
    let mut linux = LinuxBuilder::default()
        .namespaces(container_namespaces(request, pod, cgroup_namespace)?)
        .cgroups_path(cgroups.of_container(request.id))
        .resources(resources)
        .devices(devices.nodes);
    if let Some(propagation) = propagation {
        linux = linux.rootfs_propagation(propagation);
    }
    if !security.privileged {
        linux = linux
            .masked_paths(given_or(&security.masked_paths, MASKED))
            .readonly_paths(given_or(&security.readonly_paths, READ_ONLY));
    } else {
        linux = linux.masked_paths(Vec::new()).readonly_paths(Vec::new());
    }
    let capabilities = sets(security.capabilities.as_ref(), security.privileged, request.host.capabilities)?;
    let granted = capabilities.bounding().clone().unwrap_or_default();
    let filter = seccomp::profile(
        security.seccomp.as_ref(),
        &security.seccomp_profile_path,
        security.privileged,
        &granted,
        request.runtime,
    )?;
    if let Some(filter) = filter {
        linux = linux.seccomp(filter);
    }
    if request.host.selinux && security.selinux_options.is_some() {
        linux = linux.mount_label(selinux::of_files(security.selinux_options.as_ref()));
    }
    if let Some((uids, gids)) = pod_mappings(&request.pod.config)? {
        linux = linux.uid_mappings(mappings(uids)?).gid_mappings(mappings(gids)?);
    }
    linux.build().attempt(wrong)
}

fn given_or(given: &[String], usual: &[&str]) -> Vec<String> {
    if given.is_empty() { usual.iter().map(|path| (*path).to_owned()).collect() } else { given.to_vec() }
}

fn devices(request: &ContainerRequest<'_>, security: &v1::LinuxContainerSecurityContext) -> Result<Devices> {
    if security.privileged && request.handler.privileged_has_host_devices {
        return devices::all_of_host();
    }
    devices::asked(&request.config.devices)
}

fn container_namespaces(
    request: &ContainerRequest<'_>,
    pod: Namespaces,
    cgroup_namespace: bool,
) -> Result<Vec<LinuxNamespace>> {
    let pins = request.pins;
    let options = request.options();
    let mut list = vec![namespace(LinuxNamespaceType::Mount, None)?];
    let mut add = |kind, path| -> Result<()> {
        list.push(namespace(kind, path)?);
        Ok(())
    };
    match options.pid() {
        NamespaceMode::Container => add(LinuxNamespaceType::Pid, None)?,
        NamespaceMode::Pod => {
            if pod.pid != NamespaceMode::Pod {
                return Err(Error::invalid(
                    "namespace_options.pid is POD, which the pod's own configuration is not",
                ));
            }
            add(LinuxNamespaceType::Pid, Some(pins.pid()))?;
        }
        NamespaceMode::Target => {
            let pid = request.target_pid.ok_or_else(|| {
                Error::invalid(format!("the target container {:?} does not run", options.target_id))
            })?;
            add(LinuxNamespaceType::Pid, Some(format!("/proc/{pid}/ns/pid").into()))?;
        }
        NamespaceMode::Node => {}
    }
    if pod.ipc == NamespaceMode::Pod {
        add(LinuxNamespaceType::Ipc, Some(pins.ipc()))?;
    }
    if !pod.host_network() {
        add(LinuxNamespaceType::Network, Some(pins.net()))?;
        add(LinuxNamespaceType::Uts, Some(pins.uts()))?;
    }
    if pod.user {
        add(LinuxNamespaceType::User, Some(pins.user()))?;
    }
    if cgroup_namespace {
        add(LinuxNamespaceType::Cgroup, None)?;
    }
    Ok(list)
}

fn process(request: &ContainerRequest<'_>, security: &v1::LinuxContainerSecurityContext) -> Result<Process> {
    let wrong = || format!("put the process of container {} together", request.id);
    let image = request.image.and_then(|image| image.config().clone()).unwrap_or_default();
    let args = command(
        &request.config.command,
        &request.config.args,
        image.entrypoint().as_deref().unwrap_or_default(),
        image.cmd().as_deref().unwrap_or_default(),
    )?;
    let cwd = [request.config.working_dir.as_str(), image.working_dir().as_deref().unwrap_or_default(), "/"]
        .into_iter()
        .find(|folder| !folder.is_empty())
        .unwrap_or("/");
    if !cwd.starts_with('/') {
        return Err(Error::invalid(format!("working_dir {cwd:?} is not absolute")));
    }
    let asked = request.config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let score = request.host.clamp_oom_score_adj(asked.map_or(0, |resources| resources.oom_score_adj));
    let user = UserBuilder::default()
        .uid(request.user.uid)
        .gid(request.user.gid)
        .additional_gids(request.user.groups.clone())
        .build()
        .attempt(wrong)?;
    let mut process = ProcessBuilder::default()
        .terminal(request.config.tty)
        .user(user)
        .args(args)
        .env(environment(request, image.env().as_deref().unwrap_or_default())?)
        .cwd(cwd)
        .capabilities(sets(security.capabilities.as_ref(), security.privileged, request.host.capabilities)?)
        .no_new_privileges(security.no_new_privs)
        .oom_score_adj(score)
        .rlimits(Vec::new());
    if let Some(profile) = apparmor(request, security)? {
        process = process.apparmor_profile(profile);
    }
    if let Some(options) = security.selinux_options.as_ref().filter(|_| request.host.selinux) {
        process = process.selinux_label(selinux::of_process(options));
    }
    process.build().attempt(wrong)
}

/// What is run: the request's words take the place of the image's, and a command without arguments drops those of the
/// image too.
fn command(
    command: &[String],
    args: &[String],
    entrypoint: &[String],
    cmd: &[String],
) -> Result<Vec<String>> {
    let (first, rest) = match (command, args) {
        ([], []) => (entrypoint, cmd),
        ([], args) => (entrypoint, args),
        (command, args) => (command, args),
    };
    let words: Vec<String> = first.iter().chain(rest).cloned().collect();
    if words.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("no command: neither the request nor the image names one"));
    }
    Ok(words)
}

/// The image's variables, the request's over them, and what every program expects.
fn environment(request: &ContainerRequest<'_>, image: &[String]) -> Result<Vec<String>> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => value.clone_into(known),
        None => variables.push((name.to_owned(), value.to_owned())),
    };
    set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    set("HOSTNAME", &super::hostname(&request.pod.config));
    if request.config.tty {
        set("TERM", "xterm");
    }
    for variable in image {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(name, value);
    }
    for variable in &request.config.envs {
        if variable.key.is_empty() || variable.key.contains('=') {
            return Err(Error::invalid(format!("envs: {:?} cannot be the name of a variable", variable.key)));
        }
        let value = std::str::from_utf8(&variable.value).map_err(|_| {
            Error::invalid(format!("the value of the variable {} is not UTF-8", variable.key))
        })?;
        set(&variable.key, value);
    }
    if let Some(home) = &request.user.home
        && !variables.iter().any(|(name, _)| name == "HOME")
    {
        variables.push(("HOME".to_owned(), home.clone()));
    }
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn apparmor(
    request: &ContainerRequest<'_>,
    security: &v1::LinuxContainerSecurityContext,
) -> Result<Option<String>> {
    let (kind, name) = match &security.apparmor {
        Some(profile) => (profile.profile_type(), profile.localhost_ref.as_str()),
        None => match security.apparmor_profile.as_str() {
            "" => return Ok(None),
            "runtime/default" => (ProfileType::RuntimeDefault, ""),
            "unconfined" => (ProfileType::Unconfined, ""),
            profile => (ProfileType::Localhost, profile),
        },
    };
    match kind {
        _ if security.privileged => Ok(None),
        ProfileType::RuntimeDefault if request.host.apparmor => {
            Ok(Some(request.runtime.apparmor_default.clone()))
        }
        ProfileType::RuntimeDefault | ProfileType::Unconfined => Ok(None),
        ProfileType::Localhost if !request.host.apparmor => {
            Err(Error::invalid("apparmor: this host's kernel has no AppArmor"))
        }
        ProfileType::Localhost => Ok(Some(name.trim_start_matches("localhost/").to_owned())),
    }
}

/// One more process in a container: as its first one, with another command.
pub(crate) fn exec_process(first: &Process, command: &[String], terminal: bool) -> Result<Process> {
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("cmd is empty"));
    }
    let mut process = first.clone();
    process.set_args(Some(command.to_vec()));
    process.set_terminal(Some(terminal));
    process.set_console_size(None);
    if terminal {
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|variable| variable.starts_with("TERM=")) {
            env.push("TERM=xterm".to_owned());
        }
        process.set_env(Some(env));
    }
    Ok(process)
}

/// A file of a container's bundle, read back.
pub(crate) fn read(bundle: &Path) -> Result<Spec> {
    let file = bundle.join("config.json");
    let text = std::fs::read(&file).attempt(|| format!("read {}", file.display()))?;
    serde_json::from_slice(&text).attempt(|| format!("read {}", file.display()))
}

/// Writes it; whoever reads meanwhile sees the one before.
pub(crate) fn write(bundle: &Path, spec: &Spec) -> Result<()> {
    let file = bundle.join("config.json");
    let temporary = bundle.join("config.json.new");
    let attempted = || format!("write {}", file.display());
    std::fs::write(&temporary, serde_json::to_vec(spec).attempt(attempted)?).attempt(attempted)?;
    std::fs::rename(&temporary, &file).attempt(attempted)
}

const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_takes_the_place_of_all_that_the_image_says() {
        let run = |first: &str, rest: &str| {
            command(&words(first), &words(rest), &words("entry -e"), &words("cmd")).unwrap().join(" ")
        };
        assert_eq!(run("", ""), "entry -e cmd");
        assert_eq!(run("", "args"), "entry -e args");
        assert_eq!(run("mine", ""), "mine");
        assert_eq!(run("mine", "args"), "mine args");
        assert!(command(&[], &[], &[], &[]).is_err());
    }
}
