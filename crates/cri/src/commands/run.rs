//! `cofferdam run`: one pod with one container, for trying things; it goes when its command ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Client, answered};
use crate::clock;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatusRequest, CreateContainerRequest,
    ImageSpec, ImageStatusRequest, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, PullImageRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StopPodSandboxRequest,
};

/// How often the container and its log are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is to be run.
pub(crate) struct Wanted {
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) handler: String,
    pub(crate) host_network: bool,
}

/// Runs it, prints what it prints, and gives its exit code.
pub(crate) async fn run(client: &mut Client, state: &Path, wanted: &Wanted) -> Result<i32> {
    pull(client, &wanted.image).await?;
    let logs = Logs::make(state)?;
    let config = pod(&logs.folder, wanted);
    let request =
        RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: wanted.handler.clone() };
    let pod =
        answered(client.runtime.run_pod_sandbox(request).await, || "start a pod".to_owned())?.pod_sandbox_id;
    let code = tokio::select! {
        code = in_pod(client, &pod, config, &logs, wanted) => code,
        _ = tokio::signal::ctrl_c() => Ok(130),
    };
    let stopped =
        client.runtime.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: pod.clone() }).await;
    answered(stopped, || format!("stop pod {pod}"))?;
    let removed =
        client.runtime.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: pod.clone() }).await;
    answered(removed, || format!("remove pod {pod}"))?;
    code
}

async fn pull(client: &mut Client, name: &str) -> Result<()> {
    let image = Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() });
    let request = ImageStatusRequest { image: image.clone(), verbose: false };
    let status = answered(client.images.image_status(request).await, || format!("look for {name}"))?;
    if status.image.is_some() {
        return Ok(());
    }
    let request = PullImageRequest { image, ..PullImageRequest::default() };
    answered(client.images.pull_image(request).await, || format!("pull {name}"))?;
    Ok(())
}

fn pod(logs: &Path, wanted: &Wanted) -> PodSandboxConfig {
    let network = if wanted.host_network { NamespaceMode::Node } else { NamespaceMode::Pod };
    let options = NamespaceOption {
        network: network.into(),
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    };
    let context = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    let uid = format!("{}-{}", std::process::id(), clock::now());
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "run".to_owned(),
            namespace: "default".to_owned(),
            uid,
            attempt: 0,
        }),
        log_directory: logs.to_string_lossy().into_owned(),
        linux: Some(LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() }),
        ..PodSandboxConfig::default()
    }
}

async fn in_pod(
    client: &mut Client,
    pod: &str,
    sandbox: PodSandboxConfig,
    logs: &Logs,
    wanted: &Wanted,
) -> Result<i32> {
    let options = NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() };
    let context = LinuxContainerSecurityContext { namespace_options: Some(options), ..Default::default() };
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata { name: "run".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: wanted.image.clone(), ..ImageSpec::default() }),
        // The words take the place of the image's command, as with every tool of this kind.
        args: wanted.command.clone(),
        log_path: LOG.to_owned(),
        linux: Some(LinuxContainerConfig { security_context: Some(context), ..Default::default() }),
        ..ContainerConfig::default()
    };
    let request = CreateContainerRequest {
        pod_sandbox_id: pod.to_owned(),
        config: Some(config),
        sandbox_config: Some(sandbox),
    };
    let created = answered(client.runtime.create_container(request).await, || "make a container".to_owned())?;
    let container_id = created.container_id;
    let request = StartContainerRequest { container_id: container_id.clone() };
    answered(client.runtime.start_container(request).await, || format!("start {}", wanted.image))?;
    let mut shown = 0;
    loop {
        let request = ContainerStatusRequest { container_id: container_id.clone(), verbose: false };
        let status =
            answered(client.runtime.container_status(request).await, || "look at the container".to_owned())?;
        let status =
            status.status.ok_or_else(|| Error::new(Kind::Internal, "the container has no status"))?;
        // Looked at before the log, so that the last lines are not missed.
        let over = status.state() != ContainerState::ContainerRunning;
        logs.show(&mut shown)?;
        if over {
            return Ok(status.exit_code);
        }
        tokio::time::sleep(LOOK).await;
    }
}

const LOG: &str = "run.log";

/// The folder of the container's log, which goes with the command.
struct Logs {
    folder: PathBuf,
}

impl Logs {
    fn make(state: &Path) -> Result<Self> {
        let folder = state.join("run").join(format!("{}", std::process::id()));
        std::fs::create_dir_all(&folder).attempt(|| format!("make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Prints what has come since the last time.
    fn show(&self, shown: &mut usize) -> Result<()> {
        let text = std::fs::read(self.folder.join(LOG)).unwrap_or_default();
        let new = text.get(*shown..).unwrap_or_default();
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in new[..whole].split_inclusive(|byte| *byte == b'\n') {
            let Some((stream, content)) = entry(line) else { continue };
            let written = if stream == b"stderr" {
                std::io::stderr().write_all(content)
            } else {
                std::io::stdout().write_all(content)
            };
            written.attempt(|| "print".to_owned())?;
        }
        *shown += whole;
        std::io::stdout().flush().attempt(|| "print".to_owned())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // The daemon's state goes with the next reboot in any case.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The stream and the content of a line `TIME STREAM P|F CONTENT`; a partial one has no end of line of its own.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let (_, stream, tag, content) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let content = if tag.starts_with(b"P") { content.strip_suffix(b"\n")? } else { content };
    Some((stream, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_log() {
        assert_eq!(entry(b"2026 stdout F a b\n"), Some((b"stdout".as_slice(), b"a b\n".as_slice())));
        assert_eq!(entry(b"2026 stderr P part\n"), Some((b"stderr".as_slice(), b"part".as_slice())));
        assert_eq!(entry(b"broken\n"), None);
    }
}
