//! What a container may do.

use std::fs;

use cri::wire::v1::security_profile::ProfileType;
use cri::wire::v1::{Capability, ContainerConfig, SecurityProfile};
use serde_json::json;

use crate::pod::{Pod, World, fresh, pod_security, security};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(capabilities_are_added_and_dropped),
    story!(a_capability_that_does_not_exist_is_refused),
    story!(ambient_capabilities_are_a_user_s),
    story!(a_privileged_container_is_as_the_host),
    story!(a_container_that_is_not_privileged_cannot_mount),
    story!(a_privileged_container_needs_a_privileged_pod),
    story!(paths_are_masked_and_read_only),
    story!(a_privileged_container_s_paths_are_not_masked),
    story!(the_root_may_be_read_only),
    story!(new_privileges_may_be_ruled_out),
    story!(system_calls_are_filtered_as_the_runtime_does),
    story!(system_calls_may_go_unfiltered),
    story!(system_calls_are_filtered_as_a_file_says),
    story!(a_profile_that_is_not_there_is_refused),
    story!(devices_are_the_usual_ones),
];

/// The effective capabilities of the first process.
fn effective(pod: &Pod<'_>, change: impl FnOnce(&mut ContainerConfig)) -> u64 {
    let printed = pod.output("grep CapEff /proc/self/status", change);
    u64::from_str_radix(printed.split_whitespace().last().unwrap(), 16).unwrap()
}

const CHOWN: u64 = 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn capabilities_are_added_and_dropped(world: &World<'_>) {
    let pod = world.pod();
    let with = |add: &[&str], drop: &[&str]| {
        effective(&pod, |config| {
            let capabilities = security(config).capabilities.get_or_insert_default();
            capabilities.add_capabilities = words(add);
            capabilities.drop_capabilities = words(drop);
        })
    };
    let usual = with(&[], &[]);
    assert_eq!(usual & (CHOWN | NET_ADMIN | SYS_ADMIN), CHOWN, "{usual:x}");
    assert_eq!(with(&["NET_ADMIN"], &[]), usual | NET_ADMIN);
    assert_eq!(with(&[], &["CHOWN"]), usual & !CHOWN);
    assert_eq!(with(&[], &["ALL"]), 0);
    assert_eq!(with(&["NET_ADMIN"], &["ALL"]), NET_ADMIN);
    let all = with(&["ALL"], &[]);
    assert_eq!(all & (NET_ADMIN | SYS_ADMIN), NET_ADMIN | SYS_ADMIN, "{all:x}");
    assert_eq!(with(&["ALL"], &["SYS_ADMIN"]) & SYS_ADMIN, 0);
}

fn a_capability_that_does_not_exist_is_refused(world: &World<'_>) {
    let pod = world.pod();
    let made = pod.try_create("true", |config| {
        let add_capabilities = words(&["FLY"]);
        security(config).capabilities = Some(Capability { add_capabilities, ..Default::default() });
    });
    assert!(made.and_then(|container| container.start()).is_err());
}

fn ambient_capabilities_are_a_user_s(world: &World<'_>) {
    let pod = world.pod();
    let found = effective(&pod, |config| {
        security(config).run_as_user = Some(cri::wire::v1::Int64Value { value: 1000 });
        security(config).capabilities = Some(Capability {
            add_capabilities: words(&["NET_ADMIN"]),
            add_ambient_capabilities: words(&["NET_ADMIN"]),
            ..Default::default()
        });
    });
    assert_eq!(found, NET_ADMIN);
}

fn privileged<'a>(world: &'a World<'_>) -> Pod<'a> {
    world.pod_with(|config| pod_security(config).privileged = true)
}

fn a_privileged_container_is_as_the_host(world: &World<'_>) {
    let pod = privileged(world);
    let container = pod.idle_with(|config| security(config).privileged = true);
    assert!(container.succeeds("mount -t tmpfs none /tmp"));
    assert!(container.succeeds("test -c /dev/kmsg -o -c /dev/fuse -o -c /dev/net/tun -o -c /dev/mem"));
    let caps = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned();
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
    };
    let host = caps(&fs::read_to_string("/proc/self/status").unwrap());
    assert_eq!(caps(&container.sh("cat /proc/self/status")), host);
}

fn a_container_that_is_not_privileged_cannot_mount(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    assert!(!container.succeeds("mount -t tmpfs none /tmp"));
    assert!(!container.succeeds("ip link add suite0 type dummy"));
    assert!(!container.succeeds("echo x > /proc/sysrq-trigger"));
}

fn a_privileged_container_needs_a_privileged_pod(world: &World<'_>) {
    let pod = world.pod();
    assert!(pod.try_create("true", |config| security(config).privileged = true).is_err());
}

fn paths_are_masked_and_read_only(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        security(config).masked_paths = words(&["/etc/passwd", "/home", "/no/such/path"]);
        security(config).readonly_paths = words(&["/tmp", "/proc/sys", "/no/such/path"]);
    });
    assert_eq!(container.sh("cat /etc/passwd; ls /home"), "");
    assert!(!container.succeeds("echo x > /home/x"));
    assert!(!container.succeeds("echo x > /tmp/x"));
    assert!(!container.succeeds("echo 1 > /proc/sys/kernel/domainname"));
    assert!(container.succeeds("echo x > /var/x"));
}

fn a_privileged_container_s_paths_are_not_masked(world: &World<'_>) {
    let pod = privileged(world);
    let container = pod.idle_with(|config| {
        security(config).privileged = true;
        // The kubelet sends them all the same.
        security(config).masked_paths.clear();
        security(config).readonly_paths.clear();
    });
    assert!(container.succeeds("test -w /proc/sys/kernel/domainname"));
    let mounts = container.sh("cat /proc/mounts");
    assert!(!mounts.contains(" /proc/"), "{mounts}");
    let sys = mounts.lines().find(|line| line.contains(" /sys ")).unwrap();
    assert!(sys.contains(" rw,"), "{sys}");
}

fn the_root_may_be_read_only(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| security(config).readonly_rootfs = true);
    assert!(!container.succeeds("echo x > /file"));
    assert!(container.succeeds("echo x > /dev/shm/file"));
    assert!(pod.idle().succeeds("echo x > /file"));
}

fn new_privileges_may_be_ruled_out(world: &World<'_>) {
    let pod = world.pod();
    let asked = |value| {
        pod.output("grep NoNewPrivs /proc/self/status", |config| security(config).no_new_privs = value)
    };
    assert_eq!(asked(true).split_whitespace().last(), Some("1"));
    assert_eq!(asked(false).split_whitespace().last(), Some("0"));
}

fn profile(kind: ProfileType, file: &str) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type: kind.into(), localhost_ref: file.to_owned() })
}

/// 0 unfiltered, 2 filtered.
const FILTER: &str = "grep '^Seccomp:' /proc/self/status | tr -dc 0-9";

fn system_calls_are_filtered_as_the_runtime_does(world: &World<'_>) {
    let pod = world.pod();
    let container =
        pod.idle_with(|config| security(config).seccomp = profile(ProfileType::RuntimeDefault, ""));
    assert_eq!(container.sh(FILTER), "2");
    assert!(container.succeeds("touch /x && chmod 600 /x"));
    assert!(!container.succeeds("unshare -U true"));
}

fn system_calls_may_go_unfiltered(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| security(config).seccomp = profile(ProfileType::Unconfined, ""));
    assert_eq!(container.sh(FILTER), "0");
}

fn system_calls_are_filtered_as_a_file_says(world: &World<'_>) {
    let pod = world.pod();
    let folder = world.node.path("seccomp");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(fresh("profile"));
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{
            "names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"
        }],
    });
    fs::write(&file, filter.to_string()).unwrap();
    let path = file.display().to_string();
    let container = pod.idle_with(|config| security(config).seccomp = profile(ProfileType::Localhost, &path));
    assert_eq!(container.sh(FILTER), "2");
    assert!(!container.succeeds("touch /x && chmod 600 /x"));
}

fn a_profile_that_is_not_there_is_refused(world: &World<'_>) {
    let pod = world.pod();
    let refused = pod.try_create("true", |config| {
        security(config).seccomp = profile(ProfileType::Localhost, "/no/such/profile.json");
    });
    assert!(refused.err().unwrap().message().contains("/no/such/profile.json"));
}

fn devices_are_the_usual_ones(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        assert!(container.succeeds(&format!("test -c /dev/{device}")), "{device}");
    }
    assert!(container.succeeds("echo x > /dev/null && head -c 1 /dev/zero"));
    assert!(!container.succeeds("test -e /dev/kmsg || test -e /dev/mem"));
    // One that is made by hand cannot be opened.
    assert!(!container.succeeds("mknod /kmsg c 1 11 && head -c 1 /kmsg"));
}
