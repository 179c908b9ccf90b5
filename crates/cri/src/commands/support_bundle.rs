//! `cofferdam support-bundle`: what somebody who helps wants to see, in one archive, without secrets.

use std::path::Path;

use super::{Client, answered, print};
use crate::config::Config;
use crate::error::{Attempt as _, Result};
use crate::wire::v1::{ListContainersRequest, ListImagesRequest, ListPodSandboxRequest, StatusRequest};

/// Writes the archive. What cannot be found out is in it as the reason why.
pub(crate) async fn support_bundle(config: &Config, file: &Path) -> Result<()> {
    let mut parts = vec![("config.toml", config.to_toml()?)];
    for path in
        ["/proc/version", "/proc/self/mountinfo", "/proc/self/cgroup", "/proc/meminfo", "/etc/os-release"]
    {
        let name = path.trim_start_matches('/');
        parts.push((name, std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string())));
    }
    match Client::connect(&config.grpc.socket).await {
        Ok(mut client) => {
            let answers = ask(&mut client).await;
            parts.extend(answers);
        }
        Err(error) => parts.push(("daemon.txt", crate::error::chain(&error))),
    }
    write(file, &parts).attempt(|| format!("write {}", file.display()))?;
    print(&format!("{}\n", file.display()))
}

async fn ask(client: &mut Client) -> Vec<(&'static str, String)> {
    let json = |value: Result<serde_json::Value>| match value {
        Ok(value) => format!("{value:#}"),
        Err(error) => crate::error::chain(&error),
    };
    let status = client.runtime.status(StatusRequest { verbose: true }).await;
    let status = answered(status, || "ask for the status".to_owned()).map(|status| serde_json::json!(status));
    let pods = client.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await;
    // Annotations and variables may hold what is nobody's business: only what tells one from another is kept.
    let pods = answered(pods, || "list pods".to_owned()).map(|list| {
        list.items
            .iter()
            .map(|pod| serde_json::json!({ "id": pod.id, "metadata": pod.metadata, "state": pod.state }))
            .collect()
    });
    let containers = client.runtime.list_containers(ListContainersRequest::default()).await;
    let containers = answered(containers, || "list containers".to_owned()).map(|list| {
        let show = |container: &crate::wire::v1::Container| {
            serde_json::json!({
                "id": container.id, "pod": container.pod_sandbox_id, "metadata": container.metadata,
                "image": container.image_ref, "state": container.state,
            })
        };
        list.containers.iter().map(show).collect()
    });
    let images = client.images.list_images(ListImagesRequest::default()).await;
    let images = answered(images, || "list images".to_owned()).map(|list| serde_json::json!(list.images));
    vec![
        ("status.json", json(status)),
        ("pods.json", json(pods)),
        ("containers.json", json(containers)),
        ("images.json", json(images)),
    ]
}

fn write(file: &Path, parts: &[(&str, String)]) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(std::fs::File::create(file)?);
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or_default());
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("cofferdam/{name}"), text.as_bytes())?;
    }
    archive.finish()
}
