//! The life of one pod with one container, verb by verb, and one command in it.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cri::wire::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatusRequest, CreateContainerRequest,
    ExecSyncRequest, ImageSpec, LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopPodSandboxRequest,
};

use crate::contestant::{Contestant, Handler};
use crate::figures::{Figures, Goal};
use crate::image;

/// Rounds that are not counted: the first of each contestant reads its programs from disk.
const WARM_UP: usize = 2;

/// Where a pod's network is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Host,
    Cni,
}

/// A pod with one running container, and how long that took.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) container: String,
    cgroup: String,
    logs: std::path::PathBuf,
    run: Duration,
    create: Duration,
    start: Duration,
    pub(crate) running: Duration,
}

/// Times every verb, on both kinds of network.
pub(crate) async fn measure(daemons: &[&Contestant], rounds: usize, figures: &mut Figures) -> Result<()> {
    let runners: Vec<(&Contestant, Handler)> = daemons
        .iter()
        .flat_map(|daemon| daemon.kind.handlers().iter().map(|handler| (*daemon, *handler)))
        .collect();
    for (network, title, running) in [(Network::Host, "host network", 0.2), (Network::Cni, "CNI", 0.4)] {
        eprintln!("{rounds} cycles on {title}");
        figures.goal(&format!("pod start to running, {title}, ms"), Goal::AtMost(running));
        figures.goal(&format!("whole cycle, {title}, ms"), Goal::AtMost(0.3));
        figures.goal(&format!("processor time of a cycle, {title}, ms"), Goal::AtMost(0.3));
        let mut uncounted = Figures::default();
        for round in 0..rounds + WARM_UP {
            for turn in 0..runners.len() {
                let Some((daemon, handler)) = runners.get((round + turn) % runners.len()) else { continue };
                let figures = if round < WARM_UP { &mut uncounted } else { &mut *figures };
                once(daemon, *handler, (network, title), figures).await?;
            }
        }
    }
    execs(&runners, rounds, figures).await
}

async fn once(
    daemon: &Contestant,
    handler: Handler,
    (network, title): (Network, &str),
    figures: &mut Figures,
) -> Result<()> {
    let spent = daemon.group.processor_time()?;
    let pod = Pod::start(daemon, handler, network).await?;
    let times = [("RunPodSandbox", pod.run), ("CreateContainer", pod.create), ("StartContainer", pod.start)];
    let running = pod.running;
    let (stop, remove) = pod.end(daemon).await?;
    let spent = daemon.group.processor_time()?.saturating_sub(spent);
    let all = [
        ("StopPodSandbox", stop),
        ("RemovePodSandbox", remove),
        ("pod start to running", running),
        ("whole cycle", running + stop + remove),
        ("processor time of a cycle", spent),
    ];
    for (what, time) in times.into_iter().chain(all) {
        figures.time(&format!("{what}, {title}, ms"), handler.title, time);
    }
    Ok(())
}

async fn execs(runners: &[(&Contestant, Handler)], rounds: usize, figures: &mut Figures) -> Result<()> {
    const WHAT: &str = "ExecSync of true, ms";
    figures.goal(WHAT, Goal::AtMost(0.25));
    let mut pods = Vec::new();
    for (daemon, handler) in runners {
        pods.push((*daemon, *handler, Pod::start(daemon, *handler, Network::Host).await?));
    }
    for round in 0..rounds + WARM_UP {
        for (daemon, handler, pod) in &pods {
            let begun = Instant::now();
            pod.exec(daemon, &["true"]).await?;
            if round >= WARM_UP {
                figures.time(WHAT, handler.title, begun.elapsed());
            }
        }
    }
    for (daemon, _, pod) in pods {
        pod.end(daemon).await?;
    }
    Ok(())
}

impl Pod {
    /// Starts a pod as a kubelet does, and its container.
    pub(crate) async fn start(daemon: &Contestant, handler: Handler, network: Network) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("pod-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let cgroup = daemon.group.of_pod(&name);
        let logs = daemon.logs.join(&name);
        fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
        let namespaces = NamespaceOption {
            network: (if network == Network::Host { NamespaceMode::Node } else { NamespaceMode::Pod }).into(),
            pid: NamespaceMode::Container.into(),
            ..NamespaceOption::default()
        };
        let config = configuration(&name, &cgroup, &logs.to_string_lossy(), network, &namespaces);
        let mut runtime = daemon.client().runtime;

        let begun = Instant::now();
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.name.to_owned() };
        let id = runtime.run_pod_sandbox(request).await.context("RunPodSandbox")?.into_inner().pod_sandbox_id;
        let run = begun.elapsed();
        let request = CreateContainerRequest {
            pod_sandbox_id: id.clone(),
            config: Some(container(namespaces)),
            sandbox_config: Some(config),
        };
        let container =
            runtime.create_container(request).await.context("CreateContainer")?.into_inner().container_id;
        let create = begun.elapsed() - run;
        let request = StartContainerRequest { container_id: container.clone() };
        runtime.start_container(request).await.context("StartContainer")?;
        let start = begun.elapsed() - run - create;
        loop {
            let request = ContainerStatusRequest {
                container_id: container.clone(),
                ..ContainerStatusRequest::default()
            };
            let status = runtime.container_status(request).await.context("ContainerStatus")?.into_inner();
            let status = status.status.context("ContainerStatus told nothing")?;
            match status.state() {
                ContainerState::ContainerRunning => break,
                ContainerState::ContainerExited => {
                    bail!("the container ended with {}: {}", status.exit_code, status.message)
                }
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        Ok(Self { id, container, cgroup, logs, run, create, start, running: begun.elapsed() })
    }

    pub(crate) async fn exec(&self, daemon: &Contestant, command: &[&str]) -> Result<()> {
        let request = ExecSyncRequest {
            container_id: self.container.clone(),
            cmd: command.iter().map(ToString::to_string).collect(),
            timeout: 10,
        };
        let answer = daemon.client().runtime.exec_sync(request).await.context("ExecSync")?.into_inner();
        ensure!(answer.exit_code == 0, "{command:?} ended with {}", answer.exit_code);
        Ok(())
    }

    /// Stops and removes it; how long each took.
    pub(crate) async fn end(self, daemon: &Contestant) -> Result<(Duration, Duration)> {
        let mut runtime = daemon.client().runtime;
        let begun = Instant::now();
        let request = StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        runtime.stop_pod_sandbox(request).await.context("StopPodSandbox")?;
        let stop = begun.elapsed();
        let request = RemovePodSandboxRequest { pod_sandbox_id: self.id };
        runtime.remove_pod_sandbox(request).await.context("RemovePodSandbox")?;
        let remove = begun.elapsed() - stop;
        daemon.group.remove(&self.cgroup);
        fs::remove_dir_all(&self.logs).with_context(|| format!("remove {}", self.logs.display()))?;
        Ok((stop, remove))
    }
}

fn configuration(
    name: &str,
    cgroup: &str,
    logs: &str,
    network: Network,
    namespaces: &NamespaceOption,
) -> PodSandboxConfig {
    let context = LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces.clone()),
        ..LinuxSandboxSecurityContext::default()
    };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: name.to_owned(),
            namespace: "bench".to_owned(),
            attempt: 0,
        }),
        hostname: (if network == Network::Host { "" } else { name }).to_owned(),
        log_directory: logs.to_owned(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup.to_owned(),
            security_context: Some(context),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

fn container(namespaces: NamespaceOption) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "container".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: image::SMALL.to_owned(), ..ImageSpec::default() }),
        command: vec!["sleep".to_owned(), "1000000".to_owned()],
        log_path: "container.log".to_owned(),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources {
                memory_limit_in_bytes: 64 << 20,
                cpu_shares: 102,
                ..LinuxContainerResources::default()
            }),
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(namespaces),
                ..LinuxContainerSecurityContext::default()
            }),
        }),
        ..ContainerConfig::default()
    }
}
