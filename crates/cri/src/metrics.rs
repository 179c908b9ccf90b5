//! ListMetricDescriptors and ListPodSandboxMetrics: the figures of cAdvisor, by its names.
//!
//! One table has every figure: its name, what it tells, its kind, its labels beyond those that every figure has, and how
//! it is read. Descriptors and values both come from it, so that nothing is broadcast that was not declared.

use std::fs;
use std::sync::Arc;

use crate::clock;
use crate::daemon::{Daemon, blocking};
use crate::error::Result;
use crate::state::{Container, Pod};
use crate::stats::cgroup::{self, Depth, Reading};
use crate::stats::network::{self, Traffic};
use crate::stats::pod_cgroup;
use crate::wire::v1::{
    ContainerMetrics, Metric, MetricDescriptor, MetricType, PodSandboxMetrics, UInt64Value,
};

/// What every figure is told apart by.
const LABELS: [&str; 5] = ["id", "name", "image", "pod", "namespace"];

/// What the figures of a cgroup are read from.
struct Look<'a> {
    reading: Reading,
    files: Files,
    /// Of a container; none of a pod.
    container: Option<&'a Container>,
    started_at: i64,
    now: i64,
    limits: Limits,
}

/// What a container's writable layer takes up.
#[derive(Default)]
struct Files {
    bytes: u64,
    /// Of the file system that it lies on.
    bytes_total: u64,
    inodes_total: u64,
    inodes_free: u64,
}

/// What was asked for, as cAdvisor's `container_spec_…`.
#[derive(Default)]
struct Limits {
    cpu_period: u64,
    cpu_shares: u64,
    memory: u64,
    memory_swap: u64,
}

/// A value with the labels that tell it apart from others of its name.
type Values = Vec<(Vec<String>, u64)>;

/// A figure of a cgroup.
struct Figure {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    values: fn(&Look<'_>) -> Values,
}

/// A figure of a pod's network.
struct NetworkFigure {
    name: &'static str,
    help: &'static str,
    value: fn(&Traffic) -> u64,
}

fn one(value: u64) -> Values {
    vec![(Vec::new(), value)]
}

fn seconds(nanoseconds: u64) -> Values {
    one(nanoseconds / 1_000_000_000)
}

const fn counter(name: &'static str, help: &'static str, values: fn(&Look<'_>) -> Values) -> Figure {
    Figure { name, help, kind: MetricType::Counter, labels: &[], values }
}

const fn gauge(name: &'static str, help: &'static str, values: fn(&Look<'_>) -> Values) -> Figure {
    Figure { name, help, kind: MetricType::Gauge, labels: &[], values }
}

const FIGURES: &[Figure] = &[
    counter("container_cpu_usage_seconds_total", "Processor time used, in seconds.", |look| {
        seconds(look.reading.cpu_nanoseconds)
    }),
    counter(
        "container_cpu_user_seconds_total",
        "Processor time used outside the kernel, in seconds.",
        |look| seconds(look.reading.cpu_user_nanoseconds),
    ),
    counter("container_cpu_system_seconds_total", "Processor time used in the kernel, in seconds.", |look| {
        seconds(look.reading.cpu_system_nanoseconds)
    }),
    counter("container_cpu_cfs_periods_total", "Periods of the processor limit that have passed.", |look| {
        one(look.reading.periods)
    }),
    counter("container_cpu_cfs_throttled_periods_total", "Periods in which the limit was reached.", |look| {
        one(look.reading.throttled_periods)
    }),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Time held back by the limit, in seconds.",
        |look| seconds(look.reading.throttled_nanoseconds),
    ),
    gauge("container_memory_cache", "Memory that caches files, in bytes.", |look| one(look.reading.cache)),
    gauge("container_memory_rss", "Memory of processes themselves, in bytes.", |look| one(look.reading.rss)),
    gauge("container_memory_kernel_usage", "Memory of the kernel, in bytes.", |look| {
        one(look.reading.kernel)
    }),
    gauge("container_memory_mapped_file", "Memory of mapped files, in bytes.", |look| {
        one(look.reading.mapped)
    }),
    gauge("container_memory_swap", "Memory that is swapped out, in bytes.", |look| one(look.reading.swap)),
    counter("container_memory_failcnt", "How often the memory limit was reached.", |look| {
        one(look.reading.memory_failures)
    }),
    gauge("container_memory_usage_bytes", "All memory, in bytes.", |look| one(look.reading.memory)),
    gauge("container_memory_max_usage_bytes", "The most memory so far, in bytes.", |look| {
        one(look.reading.memory_peak)
    }),
    gauge("container_memory_working_set_bytes", "Memory that cannot be given back, in bytes.", |look| {
        one(look.reading.working_set())
    }),
    gauge("container_memory_total_active_file_bytes", "Cached files in use, in bytes.", |look| {
        one(look.reading.active_file)
    }),
    gauge("container_memory_total_inactive_file_bytes", "Cached files out of use, in bytes.", |look| {
        one(look.reading.inactive_file)
    }),
    Figure {
        name: "container_memory_failures_total",
        help: "Page faults.",
        kind: MetricType::Counter,
        labels: &["failure_type", "scope"],
        values: |look| {
            let labels = |kind: &str| vec![kind.to_owned(), "container".to_owned()];
            vec![
                (labels("pgfault"), look.reading.page_faults),
                (labels("pgmajfault"), look.reading.major_page_faults),
            ]
        },
    },
    counter("container_oom_events_total", "Processes ended for want of memory.", |look| {
        one(look.reading.oom_kills)
    }),
    gauge("container_fs_usage_bytes", "What the writable layer takes up, in bytes.", |look| {
        one(look.files.bytes)
    }),
    gauge("container_fs_limit_bytes", "The size of the file system that it lies on, in bytes.", |look| {
        one(look.files.bytes_total)
    }),
    gauge("container_fs_inodes_free", "Inodes that are free on it.", |look| one(look.files.inodes_free)),
    gauge("container_fs_inodes_total", "Inodes that it has.", |look| one(look.files.inodes_total)),
    counter("container_fs_reads_total", "Reads from block devices.", |look| {
        one(look.reading.reads.operations)
    }),
    counter("container_fs_reads_bytes_total", "Bytes read from block devices.", |look| {
        one(look.reading.reads.bytes)
    }),
    counter("container_fs_writes_total", "Writes to block devices.", |look| {
        one(look.reading.writes.operations)
    }),
    counter("container_fs_writes_bytes_total", "Bytes written to block devices.", |look| {
        one(look.reading.writes.bytes)
    }),
    Figure {
        name: "container_blkio_device_usage_total",
        help: "Bytes that went to and came from block devices.",
        kind: MetricType::Counter,
        labels: &["operation"],
        values: |look| {
            vec![
                (vec!["Read".to_owned()], look.reading.reads.bytes),
                (vec!["Write".to_owned()], look.reading.writes.bytes),
            ]
        },
    },
    gauge("container_processes", "Processes.", |look| {
        one(pids(look).map_or(look.reading.processes, |pids| pids.len() as u64))
    }),
    gauge("container_threads", "Threads.", |look| one(look.reading.processes)),
    gauge("container_threads_max", "How many threads there may be; 0 for no limit.", |look| {
        one(look.reading.processes_limit.unwrap_or(0))
    }),
    gauge("container_file_descriptors", "Open files of all processes.", |look| one(descriptors_of(look).0)),
    gauge("container_sockets", "Open sockets of all processes.", |look| one(descriptors_of(look).1)),
    Figure {
        name: "container_ulimits_soft",
        help: "Soft limits of the first process; -1 for none counts as the highest value.",
        kind: MetricType::Gauge,
        labels: &["ulimit"],
        values: |look| vec![(vec!["max_open_files".to_owned()], max_open_files(look))],
    },
    gauge("container_start_time_seconds", "When it was started, in seconds since 1970.", |look| {
        one(u64::try_from(look.started_at / 1_000_000_000).unwrap_or(0))
    }),
    gauge("container_last_seen", "When it was looked at, in seconds since 1970.", |look| {
        one(u64::try_from(look.now / 1_000_000_000).unwrap_or(0))
    }),
    gauge("container_spec_cpu_period", "The period of the processor limit, in microseconds.", |look| {
        one(look.limits.cpu_period)
    }),
    gauge("container_spec_cpu_shares", "The share of the processor.", |look| one(look.limits.cpu_shares)),
    gauge("container_spec_memory_limit_bytes", "The memory limit, in bytes; 0 for none.", |look| {
        one(look.limits.memory)
    }),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "The memory that is kept for it, in bytes.",
        |_| one(0),
    ),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "The limit of memory and swap, in bytes; 0 for none.",
        |look| one(look.limits.memory_swap),
    ),
];

const NETWORK: &[NetworkFigure] = &[
    NetworkFigure {
        name: "container_network_receive_bytes_total",
        help: "Bytes received.",
        value: |t| t.received.bytes,
    },
    NetworkFigure {
        name: "container_network_receive_packets_total",
        help: "Packets received.",
        value: |t| t.received.packets,
    },
    NetworkFigure {
        name: "container_network_receive_packets_dropped_total",
        help: "Packets dropped on arrival.",
        value: |t| t.received.dropped,
    },
    NetworkFigure {
        name: "container_network_receive_errors_total",
        help: "Errors on arrival.",
        value: |t| t.received.errors,
    },
    NetworkFigure {
        name: "container_network_transmit_bytes_total",
        help: "Bytes sent.",
        value: |t| t.sent.bytes,
    },
    NetworkFigure {
        name: "container_network_transmit_packets_total",
        help: "Packets sent.",
        value: |t| t.sent.packets,
    },
    NetworkFigure {
        name: "container_network_transmit_packets_dropped_total",
        help: "Packets dropped before they were sent.",
        value: |t| t.sent.dropped,
    },
    NetworkFigure {
        name: "container_network_transmit_errors_total",
        help: "Errors on sending.",
        value: |t| t.sent.errors,
    },
];

/// Every figure that is ever told.
pub(crate) fn descriptors() -> Vec<MetricDescriptor> {
    let describe = |name: &str, help: &str, labels: &[&str]| MetricDescriptor {
        name: name.to_owned(),
        help: help.to_owned(),
        label_keys: LABELS.iter().chain(labels).map(|label| (*label).to_owned()).collect(),
    };
    let of_cgroups = FIGURES.iter().map(|figure| describe(figure.name, figure.help, figure.labels));
    let of_networks = NETWORK.iter().map(|figure| describe(figure.name, figure.help, &["interface"]));
    of_cgroups.chain(of_networks).collect()
}

/// The figures of all running pods and their containers.
pub(crate) async fn of_pods(daemon: &Arc<Daemon>) -> Result<Vec<PodSandboxMetrics>> {
    let daemon = daemon.clone();
    blocking(move || {
        let pods = daemon.registry.pods();
        let ready = pods.iter().filter(|pod| pod.is_ready());
        Ok(ready.map(|pod| of_pod(&daemon, pod)).collect())
    })
    .await
}

fn of_pod(daemon: &Daemon, pod: &Pod) -> PodSandboxMetrics {
    let now = clock::now();
    let containers = daemon.registry.containers_of(&pod.id);
    let running: Vec<_> = containers.iter().filter(|container| container.is_running()).collect();
    let labels = labels(pod, None);
    let reading = running
        .iter()
        .find_map(|container| cgroup::above_container(&container.id, container.pid(), Depth::All))
        .or_else(|| cgroup::at(&pod_cgroup(daemon, pod), Depth::All))
        .unwrap_or_default();
    let look = Look {
        reading,
        files: Files::default(),
        container: None,
        started_at: pod.with(|record| record.created_at),
        now,
        limits: Limits::default(),
    };
    let mut metrics = values(&look, &labels);
    for traffic in network::traffic(pod, running.first().map(|container| container.pid())) {
        for figure in NETWORK {
            let labels = labels.iter().cloned().chain([traffic.interface.clone()]).collect();
            metrics.push(metric(figure.name, MetricType::Counter, labels, (figure.value)(&traffic), now));
        }
    }
    let container_metrics =
        running.iter().map(|container| of_container(daemon, pod, container, now)).collect();
    PodSandboxMetrics { pod_sandbox_id: pod.id.clone(), metrics, container_metrics }
}

fn of_container(daemon: &Daemon, pod: &Pod, container: &Container, now: i64) -> ContainerMetrics {
    let look = Look {
        reading: cgroup::of_container(&container.id, container.pid(), Depth::All).unwrap_or_default(),
        files: files(daemon, container),
        container: Some(container),
        started_at: container.with(|record| record.started_at),
        now,
        limits: container.with(|record| {
            let asked = record.resources.clone().unwrap_or_default();
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            Limits {
                cpu_period: number(asked.cpu_period),
                cpu_shares: number(asked.cpu_shares),
                memory: number(asked.memory_limit_in_bytes),
                memory_swap: number(asked.memory_swap_limit_in_bytes),
            }
        }),
    };
    ContainerMetrics {
        container_id: container.id.clone(),
        metrics: values(&look, &labels(pod, Some(container))),
    }
}

/// The values of [`LABELS`].
fn labels(pod: &Pod, container: Option<&Container>) -> Vec<String> {
    let metadata = pod.with(|record| record.config.metadata.clone()).unwrap_or_default();
    let (id, name, image) = match container {
        None => (pod.id.clone(), "POD".to_owned(), String::new()),
        Some(container) => container.with(|record| {
            let name = record.config.metadata.clone().unwrap_or_default().name;
            (record.id.clone(), name, record.image_ref.clone())
        }),
    };
    vec![id, name, image, metadata.name, metadata.namespace]
}

fn values(look: &Look<'_>, labels: &[String]) -> Vec<Metric> {
    let mut metrics = Vec::with_capacity(FIGURES.len() + 2);
    for figure in FIGURES {
        for (own, value) in (figure.values)(look) {
            let labels = labels.iter().cloned().chain(own).collect();
            metrics.push(metric(figure.name, figure.kind, labels, value, look.now));
        }
    }
    metrics
}

fn metric(name: &str, kind: MetricType, label_values: Vec<String>, value: u64, timestamp: i64) -> Metric {
    let value = Some(UInt64Value { value });
    Metric { name: name.to_owned(), timestamp, metric_type: kind.into(), label_values, value }
}

fn files(daemon: &Daemon, container: &Container) -> Files {
    let usage = daemon.snapshots.usage(&container.id).unwrap_or_default();
    let system = rustix::fs::statvfs(daemon.snapshots.root()).ok();
    let of = |read: fn(&rustix::fs::StatVfs) -> u64| system.as_ref().map_or(0, read);
    Files {
        bytes: usage.bytes,
        bytes_total: of(|system| system.f_blocks * system.f_frsize),
        inodes_total: of(|system| system.f_files),
        inodes_free: of(|system| system.f_ffree),
    }
}

/// The processes of a container.
fn pids(look: &Look<'_>) -> Option<Vec<i32>> {
    let container = look.container?;
    cgroup::processes(&container.id, container.pid())
}

/// Open files and, of these, sockets.
fn descriptors_of(look: &Look<'_>) -> (u64, u64) {
    let (mut files, mut sockets) = (0, 0);
    for pid in pids(look).unwrap_or_default() {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            files += 1;
            let target = fs::read_link(entry.path()).unwrap_or_default();
            sockets += u64::from(target.to_string_lossy().starts_with("socket:"));
        }
    }
    (files, sockets)
}

fn max_open_files(look: &Look<'_>) -> u64 {
    let Some(container) = look.container else { return 0 };
    let text = fs::read_to_string(format!("/proc/{}/limits", container.pid())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    match line.and_then(|line| line.split_whitespace().next()) {
        Some("unlimited") => u64::MAX,
        Some(number) => number.parse().unwrap_or(0),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_figure_is_declared_once_with_as_many_labels_as_it_has_values() {
        let descriptors = descriptors();
        let names: HashSet<&str> = descriptors.iter().map(|descriptor| descriptor.name.as_str()).collect();
        assert_eq!(names.len(), descriptors.len());
        let look = Look {
            reading: Reading::default(),
            files: Files::default(),
            container: None,
            started_at: 0,
            now: 0,
            limits: Limits::default(),
        };
        for metric in values(&look, &LABELS.map(str::to_owned)) {
            let descriptor = descriptors.iter().find(|descriptor| descriptor.name == metric.name).unwrap();
            assert_eq!(descriptor.label_keys.len(), metric.label_values.len(), "{}", metric.name);
        }
    }
}
