//! Namespaces: new, joined, or the host's.

use crate::host::namespace;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;

pub(crate) const STORIES: &[Story] = &[
    story!(new_namespaces_differ_from_the_hosts),
    story!(namespaces_not_asked_for_are_the_hosts),
    story!(a_new_network_has_loopback_up),
    story!(hostname_and_domainname_are_set),
    story!(a_hostname_needs_a_uts_namespace, Need::NotCrun),
    story!(two_containers_share_a_pod),
    story!(a_joined_pid_namespace_sees_its_processes),
    story!(a_joined_user_namespace_needs_no_mappings, Need::NotRunc("runc needs them until 1.2")),
    story!(a_path_of_another_kind_is_refused),
    story!(a_missing_path_is_named),
    story!(a_namespace_named_twice_is_refused, Need::NotCrun),
    story!(an_unknown_namespace_is_refused),
    story!(a_cgroup_namespace_shows_its_own_root),
    story!(
        a_time_namespace_has_its_offsets,
        Need::Path("/proc/self/ns/time"),
        Need::Ours("runc has it since 1.2, crun 1.8 fails with offsets")
    ),
    story!(sysctls_of_its_own_namespaces_are_set),
    story!(sysctls_of_the_host_are_refused, Need::NotCrun),
    story!(a_network_device_moves_in, Need::Ours("netDevices are of runtime-spec 1.3"), Need::Program("ip")),
    story!(the_hosts_pid_namespace_can_be_used),
    story!(without_a_mount_namespace_the_root_is_still_the_bundles, Need::NotCrun),
    story!(exec_enters_all_namespaces),
    story!(a_joined_pod_outlives_neither_member),
];

const KINDS: [&str; 5] = ["mnt", "pid", "net", "ipc", "uts"];

fn new_namespaces_differ_from_the_hosts(w: &World) {
    let c = w.idle();
    for kind in KINDS {
        assert_ne!(namespace(c.pid(), kind), namespace(std::process::id().cast_signed(), kind), "{kind}");
    }
}

fn namespaces_not_asked_for_are_the_hosts(w: &World) {
    let bundle =
        w.bundle().without_namespace("network").without_namespace("ipc").without_mount("/dev/mqueue");
    let c = w.ready(&bundle.without_namespace("uts").remove("/hostname"));
    for kind in ["net", "ipc", "uts", "user", "cgroup"] {
        assert_eq!(namespace(c.pid(), kind), namespace(std::process::id().cast_signed(), kind), "{kind}");
    }
}

fn a_new_network_has_loopback_up(w: &World) {
    let flags = w.output_of(w.bundle().sh("cat /sys/class/net/lo/flags; ls /sys/class/net"));
    assert!(flags.starts_with("0x9"), "{flags}");
    assert!(w.output_of(w.bundle().sh("ping -c 1 127.0.0.1 2>&1; ip addr show lo")).contains("127.0.0.1/8"));
}

fn hostname_and_domainname_are_set(w: &World) {
    let bundle = w.bundle().set("/hostname", json!("a-name.of-its.own"));
    assert_eq!(w.output_of(bundle.sh("hostname")), "a-name.of-its.own");
    if w.kind() == Kind::Ours {
        let bundle = w.bundle().set("/domainname", json!("domain.example"));
        assert_eq!(w.output_of(bundle.sh("cat /proc/sys/kernel/domainname")), "domain.example");
    }
}

fn a_hostname_needs_a_uts_namespace(w: &World) {
    w.run(&w.bundle().without_namespace("uts"))
        .code(1)
        .fails("unable to set hostname without a private UTS namespace");
}

fn two_containers_share_a_pod(w: &World) {
    let pod = w.idle();
    let at = |kind: &str| format!("/proc/{}/ns/{kind}", pod.pid());
    let bundle = w.bundle().join("network", &at("net")).join("ipc", &at("ipc")).join("uts", &at("uts"));
    let c = w.ready(&bundle.remove("/hostname"));
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(namespace(c.pid(), kind), namespace(pod.pid(), kind), "{kind}");
    }
    for kind in ["mnt", "pid"] {
        assert_ne!(namespace(c.pid(), kind), namespace(pod.pid(), kind), "{kind}");
    }
    assert_eq!(c.sh("hostname").ok().text(), "story");
}

fn a_joined_pid_namespace_sees_its_processes(w: &World) {
    let pod = w.ready(&w.bundle().sh("echo ready; exec sleep 1234"));
    let bundle = w.bundle().join("pid", &format!("/proc/{}/ns/pid", pod.pid()));
    let output = w.output_of(bundle.sh("ps; test $$ -ne 1"));
    assert!(output.contains("sleep 1234"), "{output}");
    assert_eq!(pod.status(), "running");
    let bundle = w.bundle().join("pid", &format!("/proc/{}/ns/pid", pod.pid()));
    let c = w.ready(&bundle);
    c.delete();
    assert_eq!(pod.status(), "running", "ending a guest of the namespace does not end its owner");
}

fn a_joined_user_namespace_needs_no_mappings(w: &World) {
    let pod = w.ready(&w.bundle().mapped(200_000));
    let at = |kind: &str| format!("/proc/{}/ns/{kind}", pod.pid());
    let bundle =
        w.bundle().join("user", &at("user")).join("network", &at("net")).sh("id -u; cat /proc/self/uid_map");
    let output = w.output_of(bundle);
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "200000", "65536"]);
}

fn a_path_of_another_kind_is_refused(w: &World) {
    let pod = w.idle();
    let bundle = w.bundle().join("network", &format!("/proc/{}/ns/uts", pod.pid()));
    w.run(&bundle).fails("");
    w.run(&w.bundle().join("network", "/etc/passwd")).fails("");
}

fn a_missing_path_is_named(w: &World) {
    w.run(&w.bundle().join("network", "/no/such/namespace")).fails("/no/such/namespace");
}

fn a_namespace_named_twice_is_refused(w: &World) {
    w.run(&w.bundle().namespace("ipc")).code(1).fails("malformed spec file: duplicated ns");
}

fn an_unknown_namespace_is_refused(w: &World) {
    w.run(&w.bundle().namespace("dreams")).fails("dreams");
}

fn a_cgroup_namespace_shows_its_own_root(w: &World) {
    let bundle = w.bundle().namespace("cgroup").sh("cat /proc/self/cgroup; echo ready; exec sleep 1000");
    let mut c = w.started(&bundle);
    let text = c.out.until("ready");
    assert!(!text.contains("cofferdam"), "{text}");
    assert!(text.lines().filter(|line| line.contains(':')).any(|line| line.ends_with(":/")), "{text}");
}

fn a_time_namespace_has_its_offsets(w: &World) {
    let offsets =
        json!({"monotonic": {"secs": 7881, "nanosecs": 2_718_281}, "boottime": {"secs": 1_000_000}});
    let bundle = w.bundle().namespace("time").set("/linux/timeOffsets", offsets);
    let output = w.output_of(bundle.sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime"));
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "7881", "2718281", "boottime", "1000000", "0"]);
    assert!(words[6].parse::<u64>().unwrap() >= 1_000_000);
}

fn sysctls_of_its_own_namespaces_are_set(w: &World) {
    let values = json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "1234", "fs.mqueue.msg_max": "11"});
    let script = "cd /proc/sys && cat net/ipv4/ip_forward kernel/shmmni fs/mqueue/msg_max";
    assert_eq!(w.output_of(w.bundle().set("/linux/sysctl", values).sh(script)), "1\n1234\n11");
}

fn sysctls_of_the_host_are_refused(w: &World) {
    let with = |name: &str| w.bundle().set("/linux/sysctl", json!({name: "1"}));
    w.run(&with("vm.swappiness"))
        .code(1)
        .fails("sysctl \"vm.swappiness\" is not in a separate kernel namespace");
    let host = with("net.ipv4.ip_forward").without_namespace("network");
    w.run(&host).code(1).fails("net.ipv4.ip_forward");
    let host = with("kernel.shmmni").without_namespace("ipc").without_mount("/dev/mqueue");
    w.run(&host).code(1).fails("sysctl \"kernel.shmmni\" is not allowed in the hosts ipc namespace");
}

fn a_network_device_moves_in(w: &World) {
    let link = |words: &[&str]| std::process::Command::new("ip").arg("link").args(words).status();
    if !link(&["add", "cfd0", "type", "veth", "peer", "name", "cfd1"]).is_ok_and(|status| status.success()) {
        crate::story::skip("this kernel has no veth devices");
    }
    let bundle = w.bundle().set("/linux/netDevices", json!({"cfd0": {"name": "inside0"}}));
    let output = w.run(&bundle.sh("ls /sys/class/net"));
    let _ = link(&["del", "cfd1"]);
    assert!(output.ok().text().contains("inside0"));
    let missing = w.bundle().set("/linux/netDevices", json!({"nosuch0": {}}));
    w.run(&missing).fails("nosuch0");
}

fn the_hosts_pid_namespace_can_be_used(w: &World) {
    let c = w.ready(&w.bundle().without_namespace("pid"));
    assert_eq!(c.sh("cat /proc/1/comm").ok().text(), std::fs::read_to_string("/proc/1/comm").unwrap().trim());
    c.kill_and_wait();
}

fn without_a_mount_namespace_the_root_is_still_the_bundles(w: &World) {
    // What it mounts is its host's: here one that goes with the story.
    let host = w.private_mounts("true");
    let bundle = w.bundle().without_namespace("mount").without_mount("/sys").without_mount("/sys/fs/cgroup");
    let bundle = bundle.without_mount("/dev/mqueue").set("/linux/maskedPaths", json!([]));
    let bundle =
        bundle.set("/linux/readonlyPaths", json!([])).file("mark", "of the bundle").sh("cat /mark; ls /");
    let output = w.run_call(&bundle, "c", &[]).behind(&host.enter()).run().ok();
    assert!(output.stdout.starts_with("of the bundle") && !output.stdout.contains("boot"), "{output}");
}

fn exec_enters_all_namespaces(w: &World) {
    let c = w.ready(&w.bundle().mapped(200_000).namespace("cgroup"));
    let output = c.sh("for n in mnt pid net ipc uts user cgroup; do readlink /proc/self/ns/$n; done").ok();
    for (name, kind) in output.stdout.lines().zip(["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"]) {
        assert_eq!(name, namespace(c.pid(), kind));
    }
}

fn a_joined_pod_outlives_neither_member(w: &World) {
    let pod = w.idle();
    let c = w.ready(&w.bundle().join("network", &format!("/proc/{}/ns/net", pod.pid())));
    pod.delete();
    assert_eq!(c.status(), "running");
    assert!(c.sh("ls /sys/class/net").ok().text().contains("lo"));
}
