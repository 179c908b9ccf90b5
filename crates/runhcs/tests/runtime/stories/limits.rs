//! Control groups: limits that hold, on version 1, on version 2 and where both are.

use crate::cgroups;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(a_memory_limit_is_set, Need::Controller("memory")),
    story!(a_container_beyond_its_memory_is_killed, Need::Controller("memory")),
    story!(memory_reservation_and_swap_are_set, Need::Controller("memory")),
    story!(cpu_shares_quota_and_period_are_set, Need::Controller("cpu")),
    story!(cpus_and_memory_nodes_are_set, Need::Controller("cpuset")),
    story!(the_number_of_processes_is_limited, Need::Controller("pids")),
    story!(an_io_weight_is_set_or_refused_by_name, Need::Controller("blkio")),
    story!(io_throttling_is_set, Need::Controller("blkio")),
    story!(cpu_idle_is_set, Need::Controller("cpu"), Need::Ours("runc has it since 1.2")),
    story!(cpu_burst_is_set, Need::Controller("cpu"), Need::Ours("runc has it since 1.2")),
    story!(huge_pages_are_limited_or_refused_by_name, Need::NotCrun),
    story!(unified_settings_are_written, Need::CgroupV2),
    story!(unified_settings_need_version_2, Need::CgroupV1),
    story!(a_unified_setting_cannot_be_a_path, Need::Ours("runc checks since 1.1, with other words")),
    story!(a_limit_that_the_kernel_refuses_is_named, Need::NotCrun),
    story!(real_time_needs_what_the_parent_gives, Need::Controller("cpu"), Need::NotCrun),
    story!(deep_new_parents_can_be_used),
    story!(a_relative_path_works),
    story!(without_a_path_there_is_a_cgroup_still),
    story!(two_containers_may_share_a_parent),
    story!(a_cgroup_with_processes_is_refused, Need::Ours("runc only warns until 1.2")),
    story!(a_frozen_cgroup_is_refused, Need::NotCrun, Need::Controller("freezer")),
    story!(a_hybrid_host_with_controllers_in_version_2_works, Need::CgroupV1),
    story!(a_plain_folder_is_not_a_cgroup, Need::CgroupV1),
    story!(the_cgroup_is_in_every_hierarchy, Need::NotCrun),
    story!(a_container_is_limited_before_it_runs, Need::Controller("pids")),
    story!(delegation_to_a_user_namespace, Need::CgroupV2),
    story!(the_systemd_driver_makes_a_scope, Need::Systemd),
    story!(the_systemd_driver_takes_slices_and_properties, Need::Systemd),
    story!(the_systemd_driver_refuses_a_plain_path, Need::NotCrun),
];

fn a_memory_limit_is_set(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/memory", json!({"limit": 64 << 20})));
    assert_eq!(c.cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864");
}

fn a_container_beyond_its_memory_is_killed(w: &World) {
    let bundle = w.bundle().set("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20}));
    let output = w.run(&bundle.inside(&["use-memory", "256"]));
    assert_eq!(output.code, Some(137), "{output}");
    let bundle = w.bundle().set("/linux/resources/memory", json!({"limit": 64 << 20}));
    w.run(&bundle.inside(&["use-memory", "8"])).ok();
}

fn memory_reservation_and_swap_are_set(w: &World) {
    let memory = json!({"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20});
    let output = w.fresh("c");
    let bundle = w.bundle().set("/linux/resources/memory", memory);
    let c = w.adopt(w.create_call(&bundle, &output, &[]), output, &bundle);
    if c.created.code != Some(0) && !cgroups::is_v2() {
        c.created.clone().fails("memsw");
        crate::story::skip("this kernel does not account for swap");
    }
    c.created.clone().ok();
    assert_eq!(c.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), (32 << 20).to_string());
    if cgroups::is_v2() {
        // Version 2 counts swap alone.
        assert_eq!(c.cgroup("memory", "", "memory.swap.max"), (32 << 20).to_string());
    } else {
        assert_eq!(c.cgroup("memory", "memory.memsw.limit_in_bytes", ""), (96 << 20).to_string());
    }
}

fn cpu_shares_quota_and_period_are_set(w: &World) {
    let c = w.ready(
        &w.bundle().set("/linux/resources/cpu", json!({"shares": 512, "quota": 20_000, "period": 50_000})),
    );
    if cgroups::is_v2() {
        assert_eq!(c.cgroup("cpu", "", "cpu.max"), "20000 50000");
        let weight: u64 = c.cgroup("cpu", "", "cpu.weight").parse().unwrap();
        assert!((15..=60).contains(&weight), "{weight}");
    } else {
        assert_eq!(c.cgroup("cpu", "cpu.shares", ""), "512");
        assert_eq!(c.cgroup("cpu", "cpu.cfs_quota_us", ""), "20000");
        assert_eq!(c.cgroup("cpu", "cpu.cfs_period_us", ""), "50000");
    }
    // A quota alone, a period alone.
    let c = w.ready(&w.bundle().set("/linux/resources/cpu", json!({"quota": 30_000})));
    assert!(c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("30000"));
    w.ready(&w.bundle().set("/linux/resources/cpu", json!({"period": 30_000})));
}

fn cpus_and_memory_nodes_are_set(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"})));
    assert_eq!(c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(c.cgroup("cpuset", "cpuset.mems", "cpuset.mems"), "0");
    assert_eq!(
        c.sh("grep Cpus_allowed_list /proc/1/status").ok().text().split_whitespace().last(),
        Some("0")
    );
    w.run(&w.bundle().set("/linux/resources/cpu", json!({"cpus": "4000"}))).fails("cpuset");
}

fn the_number_of_processes_is_limited(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/pids", json!({"limit": 7})));
    assert_eq!(c.cgroup("pids", "pids.max", "pids.max"), "7");
    let output = c.sh("i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done; echo all");
    assert!(output.said().contains("fork") && !output.stdout.contains("all"), "{output}");
    if w.kind() != Kind::Crun {
        let c = w.ready(&w.bundle().set("/linux/resources/pids", json!({"limit": -1})));
        assert_eq!(c.cgroup("pids", "pids.max", "pids.max"), "max");
    }
}

fn an_io_weight_is_set_or_refused_by_name(w: &World) {
    let bundle = w.bundle().set("/linux/resources/blockIO", json!({"weight": 300}));
    let id = w.fresh("c");
    let c = w.adopt(w.create_call(&bundle, &id, &[]), id, &bundle);
    if c.created.code != Some(0) {
        c.created.clone().fails("weight");
        return;
    }
    let folder = cgroups::of(c.pid(), "blkio");
    let names = ["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"];
    let values: Vec<String> =
        names.iter().filter_map(|name| fs::read_to_string(folder.join(name)).ok()).collect();
    // Version 2 counts from 1 to 10,000 where it has no bfq.
    let set = values.iter().any(|value| value.contains("300") || value.contains("default 2930"));
    assert!(set || w.kind() != Kind::Ours, "a weight was asked for and not set: {values:?}");
}

fn io_throttling_is_set(w: &World) {
    let disks = fs::read_dir("/sys/block").unwrap().flatten();
    let numbers = disks.filter_map(|disk| fs::read_to_string(disk.path().join("dev")).ok());
    let Some(number) = numbers.map(|text| text.trim().to_owned()).next() else {
        crate::story::skip("no disks")
    };
    let (major, minor) = number.split_once(':').unwrap();
    let (major, minor): (u64, u64) = (major.parse().unwrap(), minor.parse().unwrap());
    let device = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let io = json!({"throttleReadBpsDevice": device(1 << 20), "throttleWriteBpsDevice": device(2 << 20),
                    "throttleReadIOPSDevice": device(100), "throttleWriteIOPSDevice": device(200)});
    let c = w.ready(&w.bundle().set("/linux/resources/blockIO", io));
    if cgroups::is_v2() {
        assert_eq!(
            c.cgroup("io", "", "io.max"),
            format!("{number} rbps=1048576 wbps=2097152 riops=100 wiops=200")
        );
    } else {
        assert_eq!(c.cgroup("blkio", "blkio.throttle.read_bps_device", ""), format!("{number} 1048576"));
        assert_eq!(c.cgroup("blkio", "blkio.throttle.write_iops_device", ""), format!("{number} 200"));
    }
}

fn cpu_idle_is_set(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/cpu", json!({"idle": 1})));
    assert_eq!(c.cgroup("cpu", "cpu.idle", "cpu.idle"), "1");
}

fn cpu_burst_is_set(w: &World) {
    let c = w.ready(
        &w.bundle().set("/linux/resources/cpu", json!({"quota": 50_000, "period": 100_000, "burst": 20_000})),
    );
    assert_eq!(c.cgroup("cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "20000");
}

fn huge_pages_are_limited_or_refused_by_name(w: &World) {
    let limits = json!([{"pageSize": "2MB", "limit": 2 << 20}]);
    let output = w.run(&w.bundle().set("/linux/resources/hugepageLimits", limits).sh("echo fine"));
    if output.code != Some(0) {
        output.fails("huge");
    }
    let wrong = json!([{"pageSize": "3MB", "limit": 2 << 20}]);
    let output = w.run(&w.bundle().set("/linux/resources/hugepageLimits", wrong).sh("echo fine"));
    if w.kind() == Kind::Ours {
        output.fails("3MB");
    }
}

fn unified_settings_are_written(w: &World) {
    let unified = json!({"memory.high": "100000000", "pids.max": "55"});
    let c = w.ready(&w.bundle().set("/linux/resources/unified", unified));
    assert_eq!(c.cgroup("pids", "", "pids.max"), "55");
    assert!(c.cgroup("memory", "", "memory.high").starts_with("999"));
    w.run(&w.bundle().set("/linux/resources/unified", json!({"no.such": "1"}))).fails("no.such");
}

fn unified_settings_need_version_2(w: &World) {
    w.run(&w.bundle().set("/linux/resources/unified", json!({"memory.high": "1"}))).fails("unified");
}

fn a_unified_setting_cannot_be_a_path(w: &World) {
    for name in ["../cgroup.procs", "a/b", "..", "memory"] {
        w.run(&w.bundle().set("/linux/resources/unified", json!({name: "1"}))).fails("unified");
    }
}

fn a_limit_that_the_kernel_refuses_is_named(w: &World) {
    w.run(&w.bundle().set("/linux/resources/cpu", json!({"quota": 1}))).fails(if cgroups::is_v2() {
        "cpu"
    } else {
        "quota"
    });
}

fn real_time_needs_what_the_parent_gives(w: &World) {
    let cpu = json!({"realtimeRuntime": 5000, "realtimePeriod": 1_000_000});
    let output = w.run(&w.bundle().set("/linux/resources/cpu", cpu).sh("echo fine"));
    // The parent that was just made has no real-time runtime of its own, or the kernel has none at all.
    if output.code != Some(0) {
        let named = output.stderr.contains("rt") || output.stderr.contains("real-time");
        assert!(named, "{output}");
    }
}

fn deep_new_parents_can_be_used(w: &World) {
    let path = format!("{}/a/b/c/d", w.cgroup());
    let cpu = json!({"cpus": "0", "mems": "0", "quota": 20_000, "period": 50_000});
    let bundle = w.bundle().set("/linux/cgroupsPath", json!(path)).set("/linux/resources/cpu", cpu);
    let c = w.ready(&bundle);
    assert_eq!(c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    c.delete();
    for folder in cgroups::folders(&path) {
        assert!(!folder.exists(), "{}", folder.display());
    }
    for folder in ["/a/b/c", "/a/b", "/a"] {
        cgroups::remove(&format!("{}{folder}", w.cgroup()));
    }
}

fn a_relative_path_works(w: &World) {
    let path = w.fresh("relative");
    let bundle = w.bundle().set("/linux/cgroupsPath", json!(path));
    let c = w.ready(&bundle);
    assert!(fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap().contains(&path));
    c.delete();
}

fn without_a_path_there_is_a_cgroup_still(w: &World) {
    let bundle = w.bundle().remove("/linux/cgroupsPath");
    let c = w.ready(&bundle);
    let table = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
    assert!(table.contains(&c.id), "{table}");
    c.delete();
}

fn two_containers_may_share_a_parent(w: &World) {
    let first = w.idle();
    let second = w.idle();
    first.delete();
    assert_eq!(second.status(), "running");
    assert!(!second.cgroup("memory", "cgroup.procs", "cgroup.procs").is_empty());
}

fn a_cgroup_with_processes_is_refused(w: &World) {
    let bundle = w.bundle();
    let first = w.ready(&bundle);
    let path = bundle.config["linux"]["cgroupsPath"].clone();
    let other = w.bundle().set("/linux/cgroupsPath", path);
    w.run(&other).code(1).fails("container's cgroup is not empty: 1 process(es) found");
    assert_eq!(first.status(), "running", "the other container was not touched");
    assert_eq!(first.sh("echo alive").ok().text(), "alive");
}

fn a_frozen_cgroup_is_refused(w: &World) {
    let path = format!("{}/frozen", w.cgroup());
    let (file, word) = if cgroups::is_v2() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    let mut folders = cgroups::mount_points().iter();
    let (at, _) =
        folders.find(|(_, names)| cgroups::is_v2() || names.iter().any(|name| name == "freezer")).unwrap();
    let folder = at.join(path.trim_start_matches('/'));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(file), word).unwrap();
    let output = w.run(&w.bundle().set("/linux/cgroupsPath", json!(path)));
    let _ = fs::write(folder.join(file), if cgroups::is_v2() { "0" } else { "THAWED" });
    cgroups::remove(&path);
    output.code(1).fails("container's cgroup unexpectedly frozen");
}

fn a_hybrid_host_with_controllers_in_version_2_works(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/pids", json!({"limit": 9})));
    assert_eq!(c.cgroup("pids", "pids.max", ""), "9");
}

fn a_plain_folder_is_not_a_cgroup(w: &World) {
    // /sys/fs/cgroup itself is a tmpfs on such hosts: what is made there by mistake is a plain folder.
    let at = std::path::Path::new("/sys/fs/cgroup").join(w.fresh("plain"));
    if fs::create_dir(&at).is_err() {
        crate::story::skip("/sys/fs/cgroup cannot be written");
    }
    let c = w.ready(&w.bundle());
    let entries = fs::read_dir(&at).unwrap().count();
    c.delete();
    fs::remove_dir(&at).unwrap();
    assert_eq!(entries, 0);
    let stray =
        fs::read_dir("/sys/fs/cgroup").unwrap().flatten().any(|entry| entry.file_name() == "cofferdam-suite");
    assert!(!stray, "a cgroup was made on the tmpfs");
}

fn the_cgroup_is_in_every_hierarchy(w: &World) {
    let bundle = w.bundle();
    let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap().to_owned();
    let c = w.ready(&bundle);
    let table = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
    for line in table.lines().filter(|line| !line.starts_with("0::") || cgroups::is_v2()) {
        let named = line.split(':').nth(1).unwrap_or_default();
        let mounted = cgroups::mount_points()
            .iter()
            .any(|(_, names)| names.iter().any(|name| named.split(',').any(|have| have == name)));
        assert!(!mounted || line.ends_with(&path), "{line}");
    }
}

fn a_container_is_limited_before_it_runs(w: &World) {
    let c = w.created(&w.bundle().set("/linux/resources/pids", json!({"limit": 9})));
    assert_eq!(c.cgroup("pids", "pids.max", "pids.max"), "9");
}

fn delegation_to_a_user_namespace(w: &World) {
    let bundle = w.bundle().mapped(200_000).namespace("cgroup").without_mount("/sys/fs/cgroup");
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "rw"]);
    w.run(&bundle.sh("mkdir /sys/fs/cgroup/own && echo $$ >/sys/fs/cgroup/own/cgroup.procs")).ok();
}

fn scope(w: &World, slice: &str) -> (crate::bundle::Bundle, String) {
    let name = w.fresh("s");
    (
        w.bundle().set("/linux/cgroupsPath", json!(format!("{slice}:suite:{name}"))),
        format!("suite-{name}.scope"),
    )
}

fn systemd_container(w: &World, bundle: &crate::bundle::Bundle) -> crate::container::Container {
    let id = w.fresh("c");
    let mut c = w.adopt(w.create_call(bundle, &id, &[]).global(&["--systemd-cgroup"]), id, bundle);
    c.runtime.before.clear();
    c.created.clone().ok();
    c.start();
    c.out.expect("ready");
    c
}

fn systemctl(args: &[&str]) -> String {
    let output = std::process::Command::new("systemctl").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn the_systemd_driver_makes_a_scope(w: &World) {
    let (bundle, unit) = scope(w, "");
    let bundle = bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    let c = systemd_container(w, &bundle);
    assert!(systemctl(&["show", "-p", "ActiveState", &unit]).contains("=active"));
    assert!(systemctl(&["show", "-p", "MemoryMax", &unit]).contains("67108864"));
    assert!(systemctl(&["show", "-p", "Slice", &unit]).contains("system.slice"));
    assert!(systemctl(&["show", "-p", "Delegate", &unit]).contains("yes"));
    w.call(&["update", "--memory", "128M", &c.id]).global(&["--systemd-cgroup"]).run().ok();
    assert!(systemctl(&["show", "-p", "MemoryMax", &unit]).contains("134217728"));
    c.delete();
    assert!(systemctl(&["show", "-p", "LoadState", &unit]).contains("not-found"));
}

fn the_systemd_driver_takes_slices_and_properties(w: &World) {
    let (bundle, unit) = scope(w, "cofferdam-suite.slice");
    let annotations = json!({"org.systemd.property.TimeoutStopUSec": "uint64 123456789",
                             "org.systemd.property.CollectMode": "'inactive-or-failed'"});
    let c = systemd_container(w, &bundle.set("/annotations", annotations));
    assert!(systemctl(&["show", "-p", "Slice", &unit]).contains("cofferdam-suite.slice"));
    assert!(systemctl(&["show", "-p", "TimeoutStopUSec", &unit]).contains("2min 3"));
    let table = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
    assert!(table.contains("cofferdam.slice/cofferdam-suite.slice"), "{table}");
    c.delete();
    systemctl(&["stop", "cofferdam.slice"]);
}

fn the_systemd_driver_refuses_a_plain_path(w: &World) {
    let bundle = w.bundle().set("/linux/cgroupsPath", json!("/plain/path"));
    let output = w.run_call(&bundle, "c", &[]).global(&["--systemd-cgroup"]).run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    assert!(output.said().contains("systemd") || output.said().contains("slice:prefix:name"), "{output}");
}
