//! What containers and pods use, and the figures of a node's monitoring.

use std::collections::{BTreeMap, BTreeSet};

use cri::wire::v1::{
    ContainerStats, ContainerStatsFilter, ContainerStatsRequest, ListContainerStatsRequest,
    ListMetricDescriptorsRequest, ListPodSandboxMetricsRequest, ListPodSandboxStatsRequest, Metric,
    MetricType, PodSandboxStatsFilter, PodSandboxStatsRequest, StreamContainerStatsRequest,
    StreamPodSandboxMetricsRequest, StreamPodSandboxStatsRequest,
};

use crate::leftovers::eventually;
use crate::pod::{World, resources};
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_container_tells_what_it_uses),
    story!(processor_time_grows),
    story!(written_files_are_counted),
    story!(stats_are_listed_by_filter),
    story!(only_what_runs_has_stats_in_the_list),
    story!(stats_of_what_is_not_there_are_an_error),
    story!(a_pod_tells_what_it_uses, Need::Plugins),
    story!(stats_of_pods_are_listed_by_filter),
    story!(lists_and_streams_have_the_same),
    story!(descriptors_stay_the_same),
    story!(metrics_are_those_that_are_described, Need::Plugins),
    story!(metrics_tell_what_is_true),
];

fn stats(world: &World<'_>, id: &str) -> Result<ContainerStats, tonic::Status> {
    let request = ContainerStatsRequest { container_id: id.to_owned() };
    Ok(world.client.container_stats(request)?.stats.unwrap())
}

fn a_container_tells_what_it_uses(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| resources(config).memory_limit_in_bytes = 64 << 20);
    let stats = stats(world, &container.id).unwrap();
    let attributes = stats.attributes.unwrap();
    let status = container.status();
    assert_eq!((attributes.id, attributes.metadata), (container.id.clone(), status.metadata));
    assert_eq!((attributes.labels, attributes.annotations), (status.labels, status.annotations));
    let cpu = stats.cpu.unwrap();
    assert!(cpu.timestamp > 0 && cpu.usage_core_nano_seconds.unwrap().value > 0);
    let memory = stats.memory.unwrap();
    let working_set = memory.working_set_bytes.unwrap().value;
    assert!(working_set > 0 && working_set < 64 << 20, "{working_set}");
    assert!(memory.usage_bytes.unwrap().value >= working_set);
    assert_eq!(memory.available_bytes.unwrap().value + working_set, 64 << 20);
    let layer = stats.writable_layer.unwrap();
    assert!(!layer.fs_id.unwrap().mountpoint.is_empty() && layer.used_bytes.is_some());
}

fn processor_time_grows(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("while :; do :; done");
    let used = || stats(world, &container.id).unwrap().cpu.unwrap().usage_core_nano_seconds.unwrap().value;
    let before = used();
    eventually("a tenth of a second of processor time", || used() > before + 100_000_000);
    let rate = || stats(world, &container.id).unwrap().cpu.unwrap().usage_nano_cores;
    eventually("a rate", || rate().is_some_and(|rate| rate.value > 10_000_000));
}

fn written_files_are_counted(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let used = || {
        let layer = stats(world, &container.id).unwrap().writable_layer.unwrap();
        (layer.used_bytes.unwrap().value, layer.inodes_used.unwrap().value)
    };
    let before = used();
    container.sh("head -c 5000000 /dev/zero > /file; touch /other; sync");
    eventually("more that is used", || {
        let now = used();
        now.0 >= before.0 + 5_000_000 && now.1 >= before.1 + 2
    });
}

fn listed(world: &World<'_>, filter: ContainerStatsFilter) -> Vec<String> {
    let request = ListContainerStatsRequest { filter: Some(filter) };
    let stats = world.client.list_container_stats(request).unwrap().stats;
    let mut ids: Vec<String> = stats.into_iter().map(|stats| stats.attributes.unwrap().id).collect();
    ids.sort();
    ids
}

fn stats_are_listed_by_filter(world: &World<'_>) {
    let (pod, elsewhere) = (world.pod(), world.pod());
    let (one, other, foreign) = (pod.idle(), pod.idle(), elsewhere.idle());
    let by_id = |id: &str| ContainerStatsFilter { id: id.to_owned(), ..Default::default() };
    let by_pod = ContainerStatsFilter { pod_sandbox_id: pod.id.clone(), ..Default::default() };
    assert_eq!(listed(world, by_id(&one.id)), [one.id.as_str()]);
    let mut both = [one.id.clone(), other.id.clone()];
    both.sort();
    assert_eq!(listed(world, by_pod.clone()), both);
    let by_label = ContainerStatsFilter { label_selector: foreign.status().labels, ..Default::default() };
    assert_eq!(listed(world, by_label), [foreign.id.as_str()]);
    assert!(listed(world, ContainerStatsFilter { id: foreign.id.clone(), ..by_pod }).is_empty());
    assert!(listed(world, by_id("0123456789abcdef")).is_empty());
}

fn only_what_runs_has_stats_in_the_list(world: &World<'_>) {
    let pod = world.pod();
    let (running, ended, _created) = (pod.idle(), pod.start("true"), pod.create("true", |_| {}));
    ended.exited();
    let by_pod = ContainerStatsFilter { pod_sandbox_id: pod.id.clone(), ..Default::default() };
    assert_eq!(listed(world, by_pod), [running.id.as_str()]);
}

fn stats_of_what_is_not_there_are_an_error(world: &World<'_>) {
    stats(world, "0123456789abcdef").unwrap_err();
    let request = PodSandboxStatsRequest { pod_sandbox_id: "0123456789abcdef".to_owned() };
    world.client.pod_sandbox_stats(request).unwrap_err();
}

fn a_pod_tells_what_it_uses(world: &World<'_>) {
    let pod = world.networked();
    let container = pod.idle();
    let request = || PodSandboxStatsRequest { pod_sandbox_id: pod.id.clone() };
    let stats = world.client.pod_sandbox_stats(request()).unwrap().stats.unwrap();
    let attributes = stats.attributes.unwrap();
    assert_eq!((attributes.id, attributes.metadata), (pod.id.clone(), pod.config.metadata.clone()));
    let linux = stats.linux.unwrap();
    assert!(linux.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
    assert!(linux.memory.unwrap().working_set_bytes.unwrap().value > 0);
    assert!(linux.process.unwrap().process_count.unwrap().value >= 1);
    let [of_container] = linux.containers.as_slice() else { panic!("{:?}", linux.containers) };
    assert_eq!(of_container.attributes.as_ref().unwrap().id, container.id);
    let network = linux.network.unwrap();
    assert_eq!(network.default_interface.unwrap().name, "eth0");
    let received = || {
        let stats = world.client.pod_sandbox_stats(request()).unwrap().stats.unwrap();
        let interface = stats.linux.unwrap().network.unwrap().default_interface.unwrap();
        interface.tx_bytes.unwrap().value
    };
    let before = received();
    container
        .exec(&["ping", "-c", "2", "-i", "0.1", &gateway(&pod.status().network.unwrap().ip)], 10)
        .unwrap();
    eventually("bytes on the network", || received() > before);
}

fn gateway(address: &str) -> String {
    let parts: Vec<&str> = address.split('.').collect();
    format!("{}.{}.0.1", parts[0], parts[1])
}

fn stats_of_pods_are_listed_by_filter(world: &World<'_>) {
    let (pod, other) = (world.pod(), world.pod());
    let _running = (pod.idle(), other.idle());
    let listed = |filter: PodSandboxStatsFilter| {
        let request = ListPodSandboxStatsRequest { filter: Some(filter) };
        let stats = world.client.list_pod_sandbox_stats(request).unwrap().stats;
        stats.into_iter().map(|stats| stats.attributes.unwrap().id).collect::<Vec<_>>()
    };
    let by_id = PodSandboxStatsFilter { id: pod.id.clone(), ..Default::default() };
    assert_eq!(listed(by_id), [pod.id.as_str()]);
    let by_label =
        PodSandboxStatsFilter { label_selector: other.config.labels.clone(), ..Default::default() };
    assert_eq!(listed(by_label), [other.id.as_str()]);
    world.stop_pod(&pod.id).unwrap();
    eventually("a list without it", || {
        listed(PodSandboxStatsFilter { id: pod.id.clone(), ..Default::default() }).is_empty()
    });
}

fn lists_and_streams_have_the_same(world: &World<'_>) {
    let pod = world.pod();
    let containers = [pod.idle(), pod.idle(), pod.idle()];
    let mut expected: Vec<&str> = containers.iter().map(|container| container.id.as_str()).collect();
    expected.sort_unstable();
    let filter = ContainerStatsFilter { pod_sandbox_id: pod.id.clone(), ..Default::default() };
    let request = StreamContainerStatsRequest { filter: Some(filter) };
    let parts = world.client.stream_container_stats(request).unwrap();
    assert!(parts.iter().all(|part| !part.container_stats.is_empty()));
    let all = parts.into_iter().flat_map(|part| part.container_stats);
    let mut ids: Vec<String> = all.map(|stats| stats.attributes.unwrap().id).collect();
    ids.sort();
    assert_eq!(ids, expected);
    let filter = PodSandboxStatsFilter { id: pod.id.clone(), ..Default::default() };
    let request = StreamPodSandboxStatsRequest { filter: Some(filter) };
    let parts = world.client.stream_pod_sandbox_stats(request).unwrap();
    assert_eq!(parts.iter().map(|part| part.pod_sandbox_stats.len()).sum::<usize>(), 1);
    let parts = world.client.stream_pod_sandbox_metrics(StreamPodSandboxMetricsRequest {}).unwrap();
    let of_pod = parts.iter().flat_map(|part| &part.pod_sandbox_metrics);
    assert_eq!(of_pod.filter(|metrics| metrics.pod_sandbox_id == pod.id).count(), 1);
}

/// Names of monitoring that users have alerts and dashboards on.
const NAMES: [&str; 20] = [
    "container_cpu_usage_seconds_total",
    "container_cpu_user_seconds_total",
    "container_cpu_system_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_memory_cache",
    "container_memory_rss",
    "container_memory_usage_bytes",
    "container_memory_max_usage_bytes",
    "container_memory_working_set_bytes",
    "container_oom_events_total",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_network_receive_packets_dropped_total",
    "container_fs_usage_bytes",
    "container_processes",
    "container_threads",
    "container_start_time_seconds",
    "container_last_seen",
    "container_spec_memory_limit_bytes",
];

fn descriptors(world: &World<'_>) -> BTreeMap<String, Vec<String>> {
    let answer = world.client.list_metric_descriptors(ListMetricDescriptorsRequest {}).unwrap();
    let count = answer.descriptors.len();
    assert!(answer.descriptors.iter().all(|descriptor| !descriptor.help.is_empty()));
    let all: BTreeMap<_, _> =
        answer.descriptors.into_iter().map(|descriptor| (descriptor.name, descriptor.label_keys)).collect();
    assert_eq!(all.len(), count, "a name is described twice");
    all
}

fn descriptors_stay_the_same(world: &World<'_>) {
    let before = descriptors(world);
    for name in NAMES {
        assert!(before.contains_key(name), "{name}");
    }
    let pod = world.pod();
    let _container = pod.idle();
    assert_eq!(descriptors(world), before);
}

/// Of one pod: its own and those of each container.
fn metrics(world: &World<'_>, pod: &str) -> (Vec<Metric>, BTreeMap<String, Vec<Metric>>) {
    let all = world.client.list_pod_sandbox_metrics(ListPodSandboxMetricsRequest {}).unwrap().pod_metrics;
    let mut of_pod = all.into_iter().filter(|metrics| metrics.pod_sandbox_id == pod);
    let found = of_pod.next().expect("metrics of the pod");
    assert!(of_pod.next().is_none());
    let containers = found.container_metrics.into_iter().map(|of| (of.container_id, of.metrics)).collect();
    (found.metrics, containers)
}

fn metrics_are_those_that_are_described(world: &World<'_>) {
    let pod = world.networked();
    let container = pod.idle();
    let described = descriptors(world);
    let (of_pod, of_containers) = metrics(world, &pod.id);
    let of_container = &of_containers[&container.id];
    for metric in of_pod.iter().chain(of_container) {
        let keys = described.get(&metric.name).unwrap_or_else(|| panic!("{} is not described", metric.name));
        assert_eq!(metric.label_values.len(), keys.len(), "{metric:?} of {keys:?}");
        assert!(metric.value.is_some() && metric.timestamp > 0, "{metric:?}");
        // Two are named against the custom, and everybody knows them so.
        let counts = match metric.name.as_str() {
            "container_memory_failcnt" => true,
            "container_fs_inodes_total" => false,
            name => name.ends_with("_total"),
        };
        assert_eq!(metric.metric_type() == MetricType::Counter, counts, "{metric:?}");
    }
    let names: BTreeSet<&str> =
        of_pod.iter().chain(of_container).map(|metric| metric.name.as_str()).collect();
    for name in NAMES {
        assert!(names.contains(name), "{name} is described and nobody has it");
    }
}

fn metrics_tell_what_is_true(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| resources(config).memory_limit_in_bytes = 64 << 20);
    let (_, of_containers) = metrics(world, &pod.id);
    let value = |name: &str| {
        let metric = of_containers[&container.id].iter().find(|metric| metric.name == name);
        metric.unwrap_or_else(|| panic!("{name}")).value.unwrap().value
    };
    assert_eq!(value("container_spec_memory_limit_bytes"), 64 << 20);
    assert!((1..10).contains(&value("container_processes")));
    let started = u64::try_from(container.status().started_at / 1_000_000_000).unwrap();
    assert!(value("container_start_time_seconds").abs_diff(started) <= 1);
    assert!(value("container_memory_working_set_bytes") < 64 << 20);
}
