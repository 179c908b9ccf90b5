//! Many pods at once: how fast ten workers start and end them, and what it costs to hold, list and measure them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cri::wire::v1::{
    ContainerStatsRequest, ContainerStatusRequest, ImageFsInfoRequest, ListContainerStatsRequest,
    ListContainersRequest, ListImagesRequest, ListPodSandboxRequest, ListPodSandboxStatsRequest,
    PodSandboxStatusRequest,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::contestant::Contestant;
use crate::cycle::{Network, Pod};
use crate::figures::{Figures, Goal};

const WORKERS: usize = 10;

/// How often each list is asked for.
const ASKED: usize = 20;

/// Measures each daemon with `count` pods.
pub(crate) async fn measure(daemons: &[&Contestant], count: usize, figures: &mut Figures) -> Result<()> {
    let all = format!("{count} pods");
    let (starts, memory) =
        (format!("pods started per second, {all}, {WORKERS} workers"), format!("memory (PSS) of {all}, KiB"));
    figures.goal(&starts, Goal::AtLeast(3.0));
    figures.goal(&memory, Goal::AtMost(0.2));
    for list in ["ListContainerStats", "ListPodSandboxStats"] {
        figures.goal(&format!("{list} of {all}, ms"), Goal::AtMost(0.1));
    }
    for daemon in daemons {
        let handler = daemon.kind.handlers().first().context("a handler")?;
        let who = handler.title;
        eprintln!("{all} of {who}");
        // What the first pod alone costs is not part of a crowd's figures.
        Pod::start(daemon, *handler, Network::Cni).await?.end(daemon).await?;
        let spent = daemon.group.processor_time()?;
        let begun = Instant::now();
        let pods = start(daemon, count, Network::Cni).await?;
        figures.add(&starts, who, count as f64 / begun.elapsed().as_secs_f64());
        // Ten workers at once are done; what is held is measured when all is quiet.
        tokio::time::sleep(Duration::from_secs(3)).await;
        figures.add(&memory, who, pss(&daemon.group.daemons()) as f64);
        lists(daemon, &pods, (&all, who), figures).await?;
        let begun = Instant::now();
        end(daemon, pods).await?;
        figures.add(
            &format!("pods ended per second, {all}, {WORKERS} workers"),
            who,
            count as f64 / begun.elapsed().as_secs_f64(),
        );
        let spent = daemon.group.processor_time()?.saturating_sub(spent);
        figures.add(
            &format!("processor time for each of {all}, ms"),
            who,
            spent.as_secs_f64() * 1000.0 / count as f64,
        );
    }
    Ok(())
}

/// Starts pods by ten workers.
pub(crate) async fn start(daemon: &Contestant, count: usize, network: Network) -> Result<Vec<Pod>> {
    let handler = *daemon.kind.handlers().first().context("a handler")?;
    stream::iter(0..count)
        .map(|_| Pod::start(daemon, handler, network))
        .buffer_unordered(WORKERS)
        .try_collect()
        .await
}

/// Ends them by ten workers.
pub(crate) async fn end(daemon: &Contestant, pods: Vec<Pod>) -> Result<()> {
    let ends = stream::iter(pods).map(|pod| async { pod.end(daemon).await.map(|_| ()) });
    ends.buffer_unordered(WORKERS).try_collect().await
}

/// Times every list and one of each status.
pub(crate) async fn lists(
    daemon: &Contestant,
    pods: &[Pod],
    (all, who): (&str, &str),
    figures: &mut Figures,
) -> Result<()> {
    let client = daemon.client();
    let (mut runtime, mut images) = (client.runtime, client.images);
    let middle = pods.get(pods.len() / 2).context("a pod")?;
    let (pod, container) = (middle.id.clone(), middle.container.clone());
    for _ in 0..ASKED {
        let mut time = |what: &str, begun: Instant| {
            figures.time(&format!("{what} of {all}, ms"), who, begun.elapsed());
        };
        let begun = Instant::now();
        runtime.list_containers(ListContainersRequest::default()).await.context("ListContainers")?;
        time("ListContainers", begun);
        let begun = Instant::now();
        runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await.context("ListPodSandbox")?;
        time("ListPodSandbox", begun);
        let begun = Instant::now();
        let request = ContainerStatusRequest { container_id: container.clone(), verbose: false };
        runtime.container_status(request).await.context("ContainerStatus")?;
        time("ContainerStatus", begun);
        let begun = Instant::now();
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.clone(), verbose: false };
        runtime.pod_sandbox_status(request).await.context("PodSandboxStatus")?;
        time("PodSandboxStatus", begun);
        let begun = Instant::now();
        let request = ContainerStatsRequest { container_id: container.clone() };
        runtime.container_stats(request).await.context("ContainerStats")?;
        time("ContainerStats", begun);
        let begun = Instant::now();
        let request = ListContainerStatsRequest::default();
        runtime.list_container_stats(request).await.context("ListContainerStats")?;
        time("ListContainerStats", begun);
        let begun = Instant::now();
        let request = ListPodSandboxStatsRequest::default();
        runtime.list_pod_sandbox_stats(request).await.context("ListPodSandboxStats")?;
        time("ListPodSandboxStats", begun);
        let begun = Instant::now();
        images.list_images(ListImagesRequest::default()).await.context("ListImages")?;
        time("ListImages", begun);
        let begun = Instant::now();
        images.image_fs_info(ImageFsInfoRequest::default()).await.context("ImageFsInfo")?;
        time("ImageFsInfo", begun);
    }
    Ok(())
}

/// The proportional set size of processes, in KiB.
pub(crate) fn pss(processes: &[u32]) -> u64 {
    let of_one = |pid: &u32| {
        // One that has just ended has none.
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0_u64)
    };
    processes.iter().map(of_one).sum()
}
