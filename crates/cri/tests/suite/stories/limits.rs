//! Limits: seen in the cgroup, and told as they are.

use cri::wire::v1::{
    ContainerState, Device, HugepageLimit, LinuxContainerResources, UpdateContainerResourcesRequest,
};

use crate::cgroups;
use crate::pod::{Container, World, resources};
use crate::story::{Need, Story, skip, story};

pub(crate) const STORIES: &[Story] = &[
    story!(limits_are_those_of_the_cgroup, Need::Controller("memory")),
    story!(limits_change_while_it_runs, Need::Controller("memory")),
    story!(limits_change_before_it_starts, Need::Controller("memory")),
    story!(a_change_that_fails_changes_nothing, Need::Controller("memory")),
    story!(processors_are_pinned, Need::Controller("cpuset")),
    story!(what_uses_too_much_memory_is_killed_and_that_is_told, Need::Controller("memory")),
    story!(another_s_memory_is_not_one_s_own_death, Need::Controller("memory")),
    story!(swap_is_limited, Need::Swap),
    story!(huge_pages_are_limited, Need::Controller("hugetlb")),
    story!(files_of_the_cgroup_are_set_as_they_are_named, Need::CgroupV2),
    story!(the_kernel_s_choice_of_victims_is_influenced),
    story!(devices_are_given),
    story!(a_pod_s_cgroup_is_where_it_was_asked_for),
];

const MIB: i64 = 1 << 20;

fn memory(container: &Container<'_>) -> String {
    cgroups::value_of(container.pid(), ("memory", "memory.limit_in_bytes"), "memory.max")
}

/// Quota and period.
fn quota(container: &Container<'_>) -> String {
    if cgroups::is_v2() {
        return cgroups::value_of(container.pid(), ("", ""), "cpu.max");
    }
    let read = |file| cgroups::value_of(container.pid(), ("cpu", file), "");
    format!("{} {}", read("cpu.cfs_quota_us"), read("cpu.cfs_period_us"))
}

fn shares(container: &Container<'_>) -> u64 {
    cgroups::value_of(container.pid(), ("cpu", "cpu.shares"), "cpu.weight").parse().unwrap()
}

fn usual() -> LinuxContainerResources {
    LinuxContainerResources {
        cpu_period: 100_000,
        cpu_quota: 50_000,
        cpu_shares: 512,
        memory_limit_in_bytes: 64 * MIB,
        ..Default::default()
    }
}

fn told(container: &Container<'_>) -> LinuxContainerResources {
    container.status().resources.unwrap().linux.unwrap()
}

fn change(container: &Container<'_>, resources: LinuxContainerResources) -> Result<(), tonic::Status> {
    let request = UpdateContainerResourcesRequest {
        container_id: container.id.clone(),
        linux: Some(resources),
        ..Default::default()
    };
    container.world.client.update_container_resources(request).map(drop)
}

fn limits_are_those_of_the_cgroup(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| *resources(config) = usual());
    assert_eq!(memory(&container), (64 * MIB).to_string());
    assert_eq!(quota(&container), "50000 100000");
    if !cgroups::is_v2() {
        assert_eq!(shares(&container), 512);
    }
    let told = told(&container);
    assert_eq!((told.memory_limit_in_bytes, told.cpu_quota, told.cpu_shares), (64 * MIB, 50_000, 512));
}

fn limits_change_while_it_runs(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| *resources(config) = usual());
    let before = shares(&container);
    let new =
        LinuxContainerResources { cpu_shares: 1024, memory_limit_in_bytes: 96 * MIB, ..Default::default() };
    change(&container, new).unwrap();
    assert_eq!(memory(&container), (96 * MIB).to_string());
    assert!(shares(&container) > before);
    // What was not spoken of stays.
    assert_eq!(quota(&container), "50000 100000");
    let told = told(&container);
    assert_eq!((told.memory_limit_in_bytes, told.cpu_quota, told.cpu_shares), (96 * MIB, 50_000, 1024));
    assert_eq!(container.status().state(), ContainerState::ContainerRunning);
}

fn limits_change_before_it_starts(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.create("sleep 1000", |config| *resources(config) = usual());
    let new = LinuxContainerResources { memory_limit_in_bytes: 80 * MIB, ..Default::default() };
    change(&container, new).unwrap();
    assert_eq!(told(&container).memory_limit_in_bytes, 80 * MIB);
    container.start().unwrap();
    assert_eq!(memory(&container), (80 * MIB).to_string());
    assert_eq!(quota(&container), "50000 100000");
}

fn a_change_that_fails_changes_nothing(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| *resources(config) = usual());
    let impossible = LinuxContainerResources {
        memory_limit_in_bytes: 80 * MIB,
        cpuset_cpus: "100000".to_owned(),
        ..Default::default()
    };
    change(&container, impossible).unwrap_err();
    assert_eq!(memory(&container), (64 * MIB).to_string());
    assert_eq!(told(&container).memory_limit_in_bytes, 64 * MIB);
}

fn processors_are_pinned(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| resources(config).cpuset_cpus = "0".to_owned());
    let allowed = "grep Cpus_allowed_list /proc/1/status | cut -f 2";
    assert_eq!(container.sh(allowed), "0");
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        change(&container, LinuxContainerResources { cpuset_cpus: "1".to_owned(), ..Default::default() })
            .unwrap();
        assert_eq!(container.sh(allowed), "1");
    }
}

/// Holds as many bytes as it is told.
const HOG: &str = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo survived";

fn what_uses_too_much_memory_is_killed_and_that_is_told(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start_with(&format!("exec sh -c \"{}\"", HOG.replace('$', "\\$")), |config| {
        resources(config).memory_limit_in_bytes = 20 * MIB;
        resources(config).memory_swap_limit_in_bytes = 20 * MIB;
    });
    let status = container.exited();
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

fn another_s_memory_is_not_one_s_own_death(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start_with("sleep 1000", |config| {
        resources(config).memory_limit_in_bytes = 64 * MIB;
    });
    container.stop(0).unwrap();
    let status = container.status();
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
}

fn swap_is_limited(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        resources(config).memory_limit_in_bytes = 64 * MIB;
        resources(config).memory_swap_limit_in_bytes = 96 * MIB;
    });
    let found =
        cgroups::value_of(container.pid(), ("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max");
    // Version 1 counts memory and swap together, version 2 swap alone.
    let expected = if cgroups::is_v2() { 32 * MIB } else { 96 * MIB };
    assert_eq!(found, expected.to_string());
}

fn huge_pages_are_limited(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        resources(config).hugepage_limits =
            vec![HugepageLimit { page_size: "2MB".to_owned(), limit: 4 << 20 }];
    });
    let found =
        cgroups::value_of(container.pid(), ("hugetlb", "hugetlb.2MB.limit_in_bytes"), "hugetlb.2MB.max");
    assert_eq!(found, (4 << 20).to_string());
}

fn files_of_the_cgroup_are_set_as_they_are_named(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        resources(config).unified = [("memory.high".to_owned(), (48 * MIB).to_string())].into();
    });
    let found = cgroups::value_of(container.pid(), ("", ""), "memory.high");
    assert_eq!(found, (48 * MIB).to_string());
}

fn the_kernel_s_choice_of_victims_is_influenced(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| resources(config).oom_score_adj = 900);
    assert_eq!(container.sh("cat /proc/1/oom_score_adj"), "900");
}

fn devices_are_given(world: &World<'_>) {
    let pod = world.pod();
    // One that is not among the usual, and that can be opened by anybody who has it.
    let host = ["/dev/fuse", "/dev/net/tun", "/dev/loop-control"].into_iter();
    let Some(host) = host.into_iter().find(|device| std::fs::File::open(device).is_ok()) else {
        skip("the kernel offers no device that could be given");
    };
    let given = |permissions: &str| {
        pod.idle_with(|config| {
            config.devices = vec![Device {
                container_path: "/dev/given".to_owned(),
                host_path: host.to_owned(),
                permissions: permissions.to_owned(),
            }];
        })
    };
    let container = given("rwm");
    assert!(container.succeeds("test -c /dev/given && : < /dev/given"));
    assert!(!pod.idle().succeeds("test -e /dev/given"));
    assert!(!given("w").succeeds(": < /dev/given"));
    let absent = pod.try_create("true", |config| {
        config.devices = vec![Device {
            container_path: "/dev/x".to_owned(),
            host_path: "/dev/no-such-device".to_owned(),
            permissions: "rwm".to_owned(),
        }];
    });
    assert!(absent.is_err());
}

fn a_pod_s_cgroup_is_where_it_was_asked_for(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let parent = pod.config.linux.as_ref().unwrap().cgroup_parent.clone();
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(text.lines().any(|line| line.contains(&format!("{parent}/"))), "{text}");
}
