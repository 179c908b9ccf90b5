//! update: limits change while the container runs.

use crate::cgroups;
use crate::container::Container;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(memory_is_updated, Need::Controller("memory")),
    story!(sizes_have_units, Need::Controller("memory"), Need::NotCrun),
    story!(cpu_is_updated, Need::Controller("cpu")),
    story!(one_cpu_setting_leaves_the_others, Need::Controller("cpu"), Need::NotCrun),
    story!(cpus_are_updated, Need::Controller("cpuset")),
    story!(pids_are_updated, Need::Controller("pids")),
    story!(resources_come_from_a_file, Need::Controller("memory")),
    story!(resources_come_from_standard_input, Need::Controller("memory"), Need::NotCrun),
    story!(a_resources_file_makes_flags_count_for_nothing, Need::Controller("pids"), Need::NotCrun),
    story!(what_is_not_named_stays, Need::Controller("pids")),
    story!(a_created_container_is_updated, Need::Controller("pids")),
    story!(a_paused_container_stays_paused, Need::Controller("freezer"), Need::Controller("pids")),
    story!(a_stopped_container_is_not_updated, Need::NotCrun),
    story!(a_wrong_value_is_refused_and_changes_nothing, Need::Controller("memory"), Need::NotCrun),
    story!(a_broken_resources_file_is_an_error),
    story!(
        a_limit_below_the_use_is_refused_when_asked,
        Need::Controller("memory"),
        Need::Ours("checkBeforeUpdate")
    ),
    story!(devices_stay_as_they_are, Need::Controller("devices")),
];

fn update(c: &Container, options: &[&str]) -> crate::runtime::Output {
    let mut words = vec!["update"];
    words.extend(options);
    words.push(&c.id);
    c.runtime.call(&words).run()
}

fn limit(c: &Container) -> String {
    c.cgroup("memory", "memory.limit_in_bytes", "memory.max")
}

fn pids(c: &Container) -> String {
    c.cgroup("pids", "pids.max", "pids.max")
}

fn memory_is_updated(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/memory", json!({"limit": 64 << 20})));
    update(&c, &["--memory", "33554432"]).ok();
    assert_eq!(limit(&c), "33554432");
    update(&c, &["--memory", "50331648", "--memory-reservation", "16777216"]).ok();
    assert_eq!(limit(&c), "50331648");
    assert_eq!(c.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "16777216");
}

fn sizes_have_units(w: &World) {
    let c = w.idle();
    for (given, bytes) in
        [("50M", 50 << 20), ("64m", 64 << 20), ("1g", 1 << 30), ("65536k", 64 << 20), ("40MiB", 40 << 20)]
    {
        update(&c, &["--memory", given]).ok();
        assert_eq!(limit(&c), bytes.to_string(), "{given}");
    }
    update(&c, &["--memory", "-1"]).ok();
    update(&c, &["--memory", "12 parsecs"]).fails("");
}

fn cpu_is_updated(w: &World) {
    let c = w.idle();
    update(&c, &["--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "300"]).ok();
    if cgroups::is_v2() {
        assert_eq!(c.cgroup("cpu", "", "cpu.max"), "25000 50000");
    } else {
        assert_eq!(c.cgroup("cpu", "cpu.cfs_quota_us", ""), "25000");
        assert_eq!(c.cgroup("cpu", "cpu.shares", ""), "300");
    }
}

fn one_cpu_setting_leaves_the_others(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/cpu", json!({"quota": 50_000, "period": 100_000})));
    update(&c, &["--cpu-quota", "60000"]).ok();
    update(&c, &["--cpu-share", "200"]).ok();
    if cgroups::is_v2() {
        assert_eq!(c.cgroup("cpu", "", "cpu.max"), "60000 100000");
    } else {
        assert_eq!(c.cgroup("cpu", "cpu.cfs_quota_us", ""), "60000");
        assert_eq!(c.cgroup("cpu", "cpu.cfs_period_us", ""), "100000");
    }
    update(&c, &["--cpu-quota", "-1"]).ok();
    let quota = c.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "-1" || quota.starts_with("max"), "{quota}");
}

fn cpus_are_updated(w: &World) {
    let c = w.idle();
    update(&c, &["--cpuset-cpus", "0", "--cpuset-mems", "0"]).ok();
    assert_eq!(c.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
}

fn pids_are_updated(w: &World) {
    let c = w.idle();
    update(&c, &["--pids-limit", "10"]).ok();
    assert_eq!(pids(&c), "10");
    if w.kind() != crate::runtime::Kind::Crun {
        update(&c, &["--pids-limit", "-1"]).ok();
        assert_eq!(pids(&c), "max");
    }
}

fn resources_come_from_a_file(w: &World) {
    let c = w.idle();
    let file = w.path("resources.json");
    fs::write(&file, json!({"memory": {"limit": 67_108_864}, "cpu": {"shares": 200}}).to_string()).unwrap();
    update(&c, &["--resources", file.to_str().unwrap()]).ok();
    assert_eq!(limit(&c), "67108864");
}

fn resources_come_from_standard_input(w: &World) {
    let c = w.idle();
    let resources = json!({"memory": {"limit": 33_554_432}, "pids": {"limit": 22}}).to_string();
    w.call(&["update", "-r", "-", &c.id]).stdin(resources.as_bytes()).run().ok();
    assert_eq!(limit(&c), "33554432");
    if w.kind() == crate::runtime::Kind::Ours {
        assert_eq!(pids(&c), "22");
    }
}

fn a_resources_file_makes_flags_count_for_nothing(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/pids", json!({"limit": 9})));
    let file = w.path("resources.json");
    fs::write(&file, json!({"memory": {"limit": 67_108_864}}).to_string()).unwrap();
    update(&c, &["-r", file.to_str().unwrap(), "--pids-limit", "50"]).ok();
    assert_eq!(pids(&c), "9");
}

fn what_is_not_named_stays(w: &World) {
    let resources = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 11}});
    let c = w.ready(
        &w.bundle()
            .set("/linux/resources/memory", resources["memory"].clone())
            .set("/linux/resources/pids", resources["pids"].clone()),
    );
    update(&c, &["--pids-limit", "12"]).ok();
    assert_eq!((limit(&c), pids(&c)), ("67108864".to_owned(), "12".to_owned()));
    update(&c, &["--memory", "33554432"]).ok();
    assert_eq!((limit(&c), pids(&c)), ("33554432".to_owned(), "12".to_owned()));
}

fn a_created_container_is_updated(w: &World) {
    let mut c = w.created(&w.bundle());
    update(&c, &["--pids-limit", "12"]).ok();
    c.start();
    c.out.expect("ready");
    assert_eq!(pids(&c), "12");
}

fn a_paused_container_stays_paused(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    update(&c, &["--pids-limit", "12"]).ok();
    assert_eq!(c.status(), "paused");
    assert_eq!(pids(&c), "12");
    c.verb(&["resume"]).ok();
}

fn a_stopped_container_is_not_updated(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    update(&c, &["--pids-limit", "12"]).fails("not running");
}

fn a_wrong_value_is_refused_and_changes_nothing(w: &World) {
    let c = w.ready(&w.bundle().set("/linux/resources/memory", json!({"limit": 64 << 20})));
    for options in
        [["--memory", "much"], ["--pids-limit", "x"], ["--cpu-quota", "1.5"], ["--cpuset-cpus", "9-x"]]
    {
        let output = update(&c, &options);
        assert!(output.code.is_some_and(|code| code != 0), "{output}");
    }
    assert_eq!(limit(&c), "67108864");
    assert_eq!(c.status(), "running");
}

fn a_broken_resources_file_is_an_error(w: &World) {
    let c = w.idle();
    let file = w.path("resources.json");
    fs::write(&file, "{\"memory\": ").unwrap();
    update(&c, &["-r", file.to_str().unwrap()]).fails("");
    update(&c, &["-r", "/no/such/resources"]).fails("");
}

fn a_limit_below_the_use_is_refused_when_asked(w: &World) {
    let bundle =
        w.bundle().with_programs().sh("head -c 20m /dev/zero >/dev/shm/x; echo ready; exec sleep 1000");
    let c = w.ready(&bundle);
    let file = w.path("resources.json");
    fs::write(&file, json!({"memory": {"limit": 4 << 20, "checkBeforeUpdate": true}}).to_string()).unwrap();
    update(&c, &["-r", file.to_str().unwrap()]).fails("memory");
    assert_eq!(c.status(), "running");
}

fn devices_stay_as_they_are(w: &World) {
    let c = w.idle();
    let file = w.path("resources.json");
    fs::write(
        &file,
        json!({"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 50}}).to_string(),
    )
    .unwrap();
    let _ = update(&c, &["-r", file.to_str().unwrap()]);
    update(&c, &["--pids-limit", "60"]).ok();
    c.sh("echo x >/dev/null && head -c 1 /dev/zero >/dev/null").ok();
}
