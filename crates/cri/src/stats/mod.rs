//! What pods and containers use, read from their cgroups, their network namespaces and their layers; no shim is asked,
//! nothing is executed.

pub(crate) mod cgroup;
pub(crate) mod network;

use std::sync::Arc;

use cgroup::{Depth, Pressure, Reading};
use futures_util::future::try_join_all;

use crate::clock;
use crate::daemon::{Daemon, blocking};
use crate::error::{Error, Kind, Result, chain};
use crate::pods::matches_labels;
use crate::state::{Container, Pod, Sample, lock};
use crate::wire::v1::{
    ContainerAttributes, ContainerStats, ContainerStatsFilter, CpuUsage, FilesystemIdentifier,
    FilesystemUsage, IoUsage, LinuxPodSandboxStats, MemoryUsage, PodSandboxAttributes, PodSandboxStats,
    PodSandboxStatsFilter, ProcessUsage, PsiData, PsiStats, SwapUsage, UInt64Value,
};

/// Fewer than this are not worth another thread.
const SHARE: usize = 8;

/// Two looks that are closer together than this, in nanoseconds, tell nothing about a rate.
const TOO_CLOSE: i64 = 100_000_000;

/// Of one container, whatever its state.
pub(crate) async fn of_container(daemon: &Arc<Daemon>, container: Arc<Container>) -> Result<ContainerStats> {
    let daemon = daemon.clone();
    blocking(move || Ok(container_stats(&daemon, &container))).await
}

/// Of all running containers that a filter lets through.
pub(crate) async fn of_containers(
    daemon: &Arc<Daemon>,
    filter: Option<ContainerStatsFilter>,
) -> Result<Vec<ContainerStats>> {
    let filter = filter.unwrap_or_default();
    let passes = |container: &Container| {
        (filter.id.is_empty() || container.id.starts_with(&filter.id))
            && (filter.pod_sandbox_id.is_empty() || container.pod.id.starts_with(&filter.pod_sandbox_id))
            && container.with(|record| matches_labels(&record.config.labels, &filter.label_selector))
    };
    let mut containers = daemon.registry.containers();
    containers.retain(|container| container.is_running() && passes(container));
    of_each(daemon, containers, container_stats).await
}

/// Of one pod.
pub(crate) async fn of_pod(daemon: &Arc<Daemon>, pod: Arc<Pod>) -> Result<PodSandboxStats> {
    if !pod.is_ready() {
        return Err(Error::new(Kind::Precondition, format!("pod {} does not run", pod.id)));
    }
    let daemon = daemon.clone();
    blocking(move || Ok(pod_stats(&daemon, &pod))).await
}

/// Of all running pods that a filter lets through.
pub(crate) async fn of_pods(
    daemon: &Arc<Daemon>,
    filter: Option<PodSandboxStatsFilter>,
) -> Result<Vec<PodSandboxStats>> {
    let filter = filter.unwrap_or_default();
    let mut pods = daemon.registry.pods();
    pods.retain(|pod| {
        pod.is_ready()
            && (filter.id.is_empty() || pod.id.starts_with(&filter.id))
            && pod.with(|record| matches_labels(&record.config.labels, &filter.label_selector))
    });
    of_each(daemon, pods, pod_stats).await
}

/// Looks at everything, with as many threads as there are processors.
async fn of_each<T: Send + Sync + 'static, S: Send + 'static>(
    daemon: &Arc<Daemon>,
    all: Vec<Arc<T>>,
    look: fn(&Daemon, &T) -> S,
) -> Result<Vec<S>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads).max(SHARE);
    let shares = all.chunks(share).map(|share| {
        let (daemon, share) = (daemon.clone(), share.to_vec());
        blocking(move || Ok(share.iter().map(|one| look(&daemon, one)).collect::<Vec<S>>()))
    });
    Ok(try_join_all(shares).await?.into_iter().flatten().collect())
}

fn container_stats(daemon: &Daemon, container: &Container) -> ContainerStats {
    let attributes = container.with(|record| ContainerAttributes {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
    });
    let mut stats = ContainerStats {
        attributes: Some(attributes),
        writable_layer: writable_layer(daemon, container),
        ..ContainerStats::default()
    };
    let reading = Some(container.pid())
        .filter(|pid| *pid > 0)
        .and_then(|pid| cgroup::of_container(&container.id, pid, Depth::Usage));
    if let Some(reading) = reading {
        let now = clock::now();
        let started = container.with(|record| record.started_at);
        let rate = rate(container, started, now, reading.cpu_nanoseconds);
        stats.cpu = Some(cpu(now, &reading, rate));
        stats.memory = Some(memory(now, &reading));
        stats.swap = Some(swap(now, &reading));
        stats.io = Some(IoUsage { timestamp: now, psi: psi(reading.io_pressure) });
    }
    stats
}

fn writable_layer(daemon: &Daemon, container: &Container) -> Option<FilesystemUsage> {
    match daemon.snapshots.usage(&container.id) {
        Ok(usage) => Some(FilesystemUsage {
            timestamp: clock::now(),
            fs_id: Some(FilesystemIdentifier {
                mountpoint: daemon.snapshots.root().to_string_lossy().into_owned(),
            }),
            used_bytes: value(usage.bytes),
            inodes_used: value(usage.inodes),
        }),
        Err(error) => {
            tracing::debug!(container = container.id, error = chain(&error), "what its files take up");
            None
        }
    }
}

/// Processor time per second since the last look, or since the start.
fn rate(container: &Container, started: i64, now: i64, used: u64) -> u64 {
    let mut last = lock(&container.usage);
    let before = last.unwrap_or(Sample { at: started, used: 0, rate: 0 });
    let passed = now - before.at;
    if passed < TOO_CLOSE && last.is_some() {
        return before.rate;
    }
    let rate = per_second(used.saturating_sub(before.used), passed);
    *last = Some(Sample { at: now, used, rate });
    rate
}

fn per_second(used: u64, passed: i64) -> u64 {
    let passed = u128::from(passed.max(1).unsigned_abs());
    u64::try_from(u128::from(used) * 1_000_000_000 / passed).unwrap_or(u64::MAX)
}

fn pod_stats(daemon: &Daemon, pod: &Pod) -> PodSandboxStats {
    let containers = daemon.registry.containers_of(&pod.id);
    let running: Vec<&Arc<Container>> =
        containers.iter().filter(|container| container.is_running()).collect();
    let now = clock::now();
    let stats: Vec<ContainerStats> =
        running.iter().map(|container| container_stats(daemon, container)).collect();
    let reading = running
        .iter()
        .find_map(|container| cgroup::above_container(&container.id, container.pid(), Depth::Processes))
        .or_else(|| cgroup::at(&pod_cgroup(daemon, pod), Depth::Processes))
        .unwrap_or_default();
    // The pod's own rate is what its containers use; between containers nothing runs.
    let rate =
        stats.iter().filter_map(|stats| stats.cpu.as_ref()?.usage_nano_cores).map(|rate| rate.value).sum();
    PodSandboxStats {
        attributes: Some(pod.with(|record| PodSandboxAttributes {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        })),
        linux: Some(LinuxPodSandboxStats {
            cpu: Some(cpu(now, &reading, rate)),
            memory: Some(memory(now, &reading)),
            network: network::usage(pod, running.first().map(|container| container.pid())),
            process: Some(ProcessUsage { timestamp: now, process_count: value(reading.processes) }),
            io: Some(IoUsage { timestamp: now, psi: psi(reading.io_pressure) }),
            containers: stats,
        }),
        windows: None,
    }
}

/// The pod's own cgroup, where it has no container to look at.
pub(crate) fn pod_cgroup(daemon: &Daemon, pod: &Pod) -> String {
    pod.with(|record| {
        let parent =
            record.config.linux.as_ref().map(|linux| linux.cgroup_parent.as_str()).unwrap_or_default();
        let cgroups = crate::spec::Cgroups { parent, pod: &record.id, systemd: daemon.systemd };
        // Of a slice, systemd names the folders above it itself; with a parent, the kubelet has.
        if daemon.systemd && !parent.is_empty() { parent.to_owned() } else { cgroups.of_pod() }
    })
}

fn value(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

fn cpu(now: i64, reading: &Reading, rate: u64) -> CpuUsage {
    CpuUsage {
        timestamp: now,
        usage_core_nano_seconds: value(reading.cpu_nanoseconds),
        usage_nano_cores: value(rate),
        psi: psi(reading.cpu_pressure),
    }
}

fn memory(now: i64, reading: &Reading) -> MemoryUsage {
    let working_set = reading.working_set();
    MemoryUsage {
        timestamp: now,
        working_set_bytes: value(working_set),
        available_bytes: value(reading.memory_limit.map_or(0, |limit| limit.saturating_sub(working_set))),
        usage_bytes: value(reading.memory),
        rss_bytes: value(reading.rss),
        page_faults: value(reading.page_faults),
        major_page_faults: value(reading.major_page_faults),
        psi: psi(reading.memory_pressure),
    }
}

fn swap(now: i64, reading: &Reading) -> SwapUsage {
    SwapUsage {
        timestamp: now,
        swap_available_bytes: value(reading.swap_limit.map_or(0, |limit| limit.saturating_sub(reading.swap))),
        swap_usage_bytes: value(reading.swap),
    }
}

fn psi(pressure: Option<Pressure>) -> Option<PsiStats> {
    let data = |line: cgroup::PressureLine| PsiData {
        total: line.total,
        avg10: line.averages[0],
        avg60: line.averages[1],
        avg300: line.averages[2],
    };
    pressure.map(|pressure| PsiStats { full: Some(data(pressure.full)), some: Some(data(pressure.some)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_used_in_a_second() {
        assert_eq!(per_second(500, 1_000_000_000), 500);
        assert_eq!(per_second(500, 500_000_000), 1000);
        assert_eq!(per_second(5, 0), 5_000_000_000);
    }
}
