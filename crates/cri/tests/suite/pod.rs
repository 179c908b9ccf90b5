//! Pods and containers of a story: made as it says, and gone with it, however it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use cri::wire::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus, CreateContainerRequest,
    ExecSyncRequest, ExecSyncResponse, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, PodSandboxStatus, RunPodSandboxRequest, StopContainerRequest,
};
use tonic::Status;

use crate::client::Client;
use crate::leftovers::eventually;
use crate::node::Node;
use crate::registry::registry;

/// Where a story plays: a runtime, and names of its own on it.
pub(crate) struct World<'a> {
    pub(crate) node: &'a Node,
    pub(crate) client: Client,
    pub(crate) story: String,
}

static NAMES: AtomicU32 = AtomicU32::new(1);

/// A name that nothing else has.
pub(crate) fn fresh(what: &str) -> String {
    format!("{what}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

/// What an image is asked for by.
pub(crate) fn spec(name: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() })
}

impl<'a> World<'a> {
    pub(crate) fn new(node: &'a Node, story: &str) -> Self {
        Self { node, client: node.client(), story: story.to_owned() }
    }

    /// How the runtime knows an image of the suite's registry, which it has pulled.
    #[track_caller]
    pub(crate) fn image(&self, name: &str) -> String {
        self.try_image(name).unwrap()
    }

    fn try_image(&self, name: &str) -> Result<String, Status> {
        let name = registry().name(name);
        let request = cri::wire::v1::ImageStatusRequest { image: spec(&name), verbose: false };
        if self.client.image_status(request)?.image.is_none() {
            self.pull(&name)?;
        }
        Ok(name)
    }

    /// Pulls by the whole name.
    pub(crate) fn pull(&self, name: &str) -> Result<String, Status> {
        let request = cri::wire::v1::PullImageRequest { image: spec(name), auth: None, sandbox_config: None };
        Ok(self.client.pull_image(request)?.image_ref)
    }

    /// A pod on the host's network, which is quick to make.
    pub(crate) fn pod_config(&self) -> PodSandboxConfig {
        let uid = fresh("uid");
        let logs = self.node.path("logs").join(&uid);
        std::fs::create_dir_all(&logs).unwrap();
        let options = NamespaceOption {
            network: NamespaceMode::Node.into(),
            pid: NamespaceMode::Container.into(),
            ..NamespaceOption::default()
        };
        let context = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.story.clone(),
                namespace: "suite".to_owned(),
                uid: uid.clone(),
                attempt: 0,
            }),
            log_directory: logs.display().to_string(),
            labels: [("story".to_owned(), uid)].into(),
            annotations: [("note".to_owned(), "kept".to_owned())].into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/{}", self.node.cgroup, fresh("pod")),
                security_context: Some(context),
                ..Default::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    /// Runs a pod on the host's network.
    #[track_caller]
    pub(crate) fn pod(&self) -> Pod<'_> {
        self.pod_with(|_| {})
    }

    /// Runs a pod with a network of its own.
    #[track_caller]
    pub(crate) fn networked(&self) -> Pod<'_> {
        self.pod_with(|config| namespaces(config).network = NamespaceMode::Pod.into())
    }

    #[track_caller]
    pub(crate) fn pod_with(&self, change: impl FnOnce(&mut PodSandboxConfig)) -> Pod<'_> {
        self.try_pod(change).unwrap()
    }

    pub(crate) fn try_pod(&self, change: impl FnOnce(&mut PodSandboxConfig)) -> Result<Pod<'_>, Status> {
        let mut config = self.pod_config();
        change(&mut config);
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let id = self.client.run_pod_sandbox(request)?.pod_sandbox_id;
        Ok(Pod { world: self, id, config })
    }

    #[track_caller]
    pub(crate) fn container_status(&self, id: &str) -> ContainerStatus {
        let request = cri::wire::v1::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        self.client.container_status(request).unwrap().status.unwrap()
    }

    #[track_caller]
    pub(crate) fn pod_status(&self, id: &str) -> PodSandboxStatus {
        let request =
            cri::wire::v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        self.client.pod_sandbox_status(request).unwrap().status.unwrap()
    }

    pub(crate) fn stop_pod(&self, id: &str) -> Result<(), Status> {
        let request = cri::wire::v1::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.client.stop_pod_sandbox(request).map(drop)
    }

    pub(crate) fn remove_pod(&self, id: &str) -> Result<(), Status> {
        let request = cri::wire::v1::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.client.remove_pod_sandbox(request).map(drop)
    }
}

/// The namespaces that a pod asks for.
pub(crate) fn namespaces(config: &mut PodSandboxConfig) -> &mut NamespaceOption {
    pod_security(config).namespace_options.get_or_insert_default()
}

pub(crate) fn pod_security(config: &mut PodSandboxConfig) -> &mut LinuxSandboxSecurityContext {
    config.linux.get_or_insert_default().security_context.get_or_insert_default()
}

/// The security context of a container.
pub(crate) fn security(config: &mut ContainerConfig) -> &mut LinuxContainerSecurityContext {
    config.linux.get_or_insert_default().security_context.get_or_insert_default()
}

/// The limits of a container.
pub(crate) fn resources(config: &mut ContainerConfig) -> &mut cri::wire::v1::LinuxContainerResources {
    config.linux.get_or_insert_default().resources.get_or_insert_default()
}

/// `sh -c script`.
pub(crate) fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// A pod that ran when it was made.
pub(crate) struct Pod<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) id: String,
    pub(crate) config: PodSandboxConfig,
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // A story that failed has told why; this may fail for the same reason.
        let _ = self.world.stop_pod(&self.id).and_then(|()| self.world.remove_pod(&self.id));
    }
}

impl<'a> Pod<'a> {
    #[track_caller]
    pub(crate) fn status(&self) -> PodSandboxStatus {
        self.world.pod_status(&self.id)
    }

    /// A container that runs `script` and has a PID namespace as the pod says.
    pub(crate) fn container_config(&self, script: &str) -> ContainerConfig {
        let options = self.config.linux.as_ref().and_then(|linux| linux.security_context.clone());
        let context = LinuxContainerSecurityContext {
            namespace_options: options.and_then(|context| context.namespace_options),
            ..Default::default()
        };
        let name = fresh("c");
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.clone(), attempt: 0 }),
            image: spec(&registry().name("busybox:1")),
            command: shell(script),
            log_path: format!("{name}.log"),
            labels: [("part".to_owned(), name)].into(),
            annotations: [("note".to_owned(), "kept".to_owned())].into(),
            linux: Some(LinuxContainerConfig { security_context: Some(context), ..Default::default() }),
            ..ContainerConfig::default()
        }
    }

    pub(crate) fn try_create(
        &self,
        script: &str,
        change: impl FnOnce(&mut ContainerConfig),
    ) -> Result<Container<'_>, Status> {
        self.world.try_image("busybox:1")?;
        let mut config = self.container_config(script);
        change(&mut config);
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config.clone()),
            sandbox_config: Some(self.config.clone()),
        };
        let id = self.world.client.create_container(request)?.container_id;
        Ok(Container { world: self.world, id, log: self.log(&config) })
    }

    fn log(&self, config: &ContainerConfig) -> PathBuf {
        PathBuf::from(&self.config.log_directory).join(&config.log_path)
    }

    #[track_caller]
    pub(crate) fn create(&self, script: &str, change: impl FnOnce(&mut ContainerConfig)) -> Container<'_> {
        self.try_create(script, change).unwrap()
    }

    /// A container that runs.
    #[track_caller]
    pub(crate) fn start(&self, script: &str) -> Container<'_> {
        self.start_with(script, |_| {})
    }

    #[track_caller]
    pub(crate) fn start_with(
        &self,
        script: &str,
        change: impl FnOnce(&mut ContainerConfig),
    ) -> Container<'_> {
        let container = self.create(script, change);
        container.start().unwrap();
        container
    }

    /// A container that only waits.
    #[track_caller]
    pub(crate) fn idle(&self) -> Container<'_> {
        self.idle_with(|_| {})
    }

    #[track_caller]
    pub(crate) fn idle_with(&self, change: impl FnOnce(&mut ContainerConfig)) -> Container<'_> {
        self.start_with("trap exit TERM; while :; do sleep 1000 & wait; done", change)
    }

    /// What a container printed that ran to its end.
    #[track_caller]
    pub(crate) fn output(&self, script: &str, change: impl FnOnce(&mut ContainerConfig)) -> String {
        let container = self.start_with(script, change);
        container.exited();
        container.printed()
    }
}

/// A container that goes with its pod.
pub(crate) struct Container<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) id: String,
    pub(crate) log: PathBuf,
}

impl Container<'_> {
    pub(crate) fn start(&self) -> Result<(), Status> {
        let request = cri::wire::v1::StartContainerRequest { container_id: self.id.clone() };
        self.world.client.start_container(request).map(drop)
    }

    pub(crate) fn stop(&self, timeout: i64) -> Result<(), Status> {
        let request = StopContainerRequest { container_id: self.id.clone(), timeout };
        self.world.client.stop_container(request).map(drop)
    }

    pub(crate) fn remove(&self) -> Result<(), Status> {
        let request = cri::wire::v1::RemoveContainerRequest { container_id: self.id.clone() };
        self.world.client.remove_container(request).map(drop)
    }

    #[track_caller]
    pub(crate) fn status(&self) -> ContainerStatus {
        self.world.container_status(&self.id)
    }

    /// Its status when it has ended.
    #[track_caller]
    pub(crate) fn exited(&self) -> ContainerStatus {
        eventually("the end of the container", || self.status().state() == ContainerState::ContainerExited);
        self.status()
    }

    /// Its first process, as the host knows it.
    #[track_caller]
    pub(crate) fn pid(&self) -> i64 {
        let request = cri::wire::v1::ContainerStatusRequest { container_id: self.id.clone(), verbose: true };
        let info = self.world.client.container_status(request).unwrap().info;
        let info: serde_json::Value = serde_json::from_str(&info["info"]).unwrap();
        info["pid"].as_i64().unwrap()
    }

    pub(crate) fn exec(&self, words: &[&str], timeout: i64) -> Result<ExecSyncResponse, Status> {
        let cmd = words.iter().map(|word| (*word).to_owned()).collect();
        self.world.client.exec_sync(ExecSyncRequest { container_id: self.id.clone(), cmd, timeout })
    }

    /// What a script prints in it, without the space around it; it must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let done = self.exec(&["sh", "-c", script], 20).unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.exit_code, 0, "{script}: {stderr}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Whether a script succeeds in it.
    #[track_caller]
    pub(crate) fn succeeds(&self, script: &str) -> bool {
        self.exec(&["sh", "-c", script], 20).unwrap().exit_code == 0
    }

    /// The lines of its log: stream, tag and content.
    pub(crate) fn lines(&self) -> Vec<(String, String, String)> {
        lines(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// What it has printed, by its log, without the space around it.
    pub(crate) fn printed(&self) -> String {
        let mut text = String::new();
        for (_, tag, content) in self.lines() {
            text += &content;
            if tag == "F" {
                text.push('\n');
            }
        }
        text.trim().to_owned()
    }

    /// Waits until its log has this line.
    #[track_caller]
    pub(crate) fn says(&self, line: &str) {
        eventually(&format!("the line {line:?}"), || {
            self.lines().iter().any(|(_, _, content)| content.trim() == line)
        });
    }
}

/// The lines of a log, each checked for the time at its beginning.
#[track_caller]
pub(crate) fn lines(log: &str) -> Vec<(String, String, String)> {
    let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| {
            let mut words = line.trim_end_matches('\n').splitn(4, ' ');
            let mut next = || words.next().unwrap_or_else(|| panic!("{line:?} is no line of a log"));
            let time = next();
            assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{line:?} has no time");
            (next().to_owned(), next().to_owned(), next().to_owned())
        })
        .collect()
}
