//! What containers share with each other and with the host.

use std::fs;

use cri::wire::v1::{IdMapping, NamespaceMode, PodSandboxConfig, UserNamespace};

use crate::pod::{Container, Pod, World, namespaces, security};
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(each_container_has_processes_of_its_own),
    story!(a_pod_may_share_its_processes),
    story!(a_container_may_see_those_of_another),
    story!(a_target_has_to_run_in_the_same_pod),
    story!(a_pod_may_see_the_processes_of_the_host),
    story!(containers_share_memory_and_the_host_does_not),
    story!(a_pod_may_share_memory_with_the_host),
    story!(a_pod_may_be_on_the_network_of_the_host),
    story!(a_pod_has_a_host_name, Need::Plugins),
    story!(a_pod_without_a_host_name_has_one, Need::Plugins),
    story!(sysctls_are_those_of_the_pod, Need::Plugins),
    story!(a_sysctl_of_the_host_is_refused, Need::Plugins),
    story!(root_of_a_pod_with_users_of_its_own_is_nobody_outside, Need::Path("/proc/self/ns/user")),
    story!(files_of_a_pod_with_users_of_its_own_are_its_root_s, Need::Path("/proc/self/ns/user")),
    story!(a_pod_may_have_the_users_of_the_host),
    story!(mappings_that_make_no_sense_are_refused),
];

fn namespace(container: &Container<'_>, kind: &str) -> String {
    container.sh(&format!("readlink /proc/self/ns/{kind}"))
}

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn each_container_has_processes_of_its_own(world: &World<'_>) {
    let pod = world.pod();
    let [one, other] = [pod.idle(), pod.idle()];
    assert_ne!(namespace(&one, "pid"), namespace(&other, "pid"));
    assert_ne!(namespace(&one, "pid"), own("pid"));
    assert_eq!(one.sh("cat /proc/1/comm"), "sh");
}

fn a_pod_may_share_its_processes(world: &World<'_>) {
    let pod = world.pod_with(|config| namespaces(config).pid = NamespaceMode::Pod.into());
    let [one, other] = [pod.start("exec sleep 1001"), pod.start("exec sleep 1002")];
    assert_eq!(namespace(&one, "pid"), namespace(&other, "pid"));
    assert_ne!(namespace(&one, "pid"), own("pid"));
    assert!(one.sh("ps").contains("sleep 1002") && other.sh("ps").contains("sleep 1001"));
    // The end of one is not that of the other.
    one.stop(0).unwrap();
    assert!(!other.sh("ps").contains("sleep 1001"));
}

fn a_container_may_see_those_of_another(world: &World<'_>) {
    let pod = world.pod();
    let target = pod.start("exec sleep 1003");
    let watcher = pod.idle_with(|config| {
        let options = security(config).namespace_options.get_or_insert_default();
        options.pid = NamespaceMode::Target.into();
        options.target_id.clone_from(&target.id);
    });
    assert_eq!(namespace(&watcher, "pid"), namespace(&target, "pid"));
    assert!(watcher.sh("ps").contains("sleep 1003"));
}

fn a_target_has_to_run_in_the_same_pod(world: &World<'_>) {
    let (pod, elsewhere) = (world.pod(), world.pod());
    let (created, foreign) = (pod.create("true", |_| {}), elsewhere.idle());
    for target in [created.id.as_str(), foreign.id.as_str(), "no-such-container"] {
        let refused = pod.try_create("true", |config| {
            let options = security(config).namespace_options.get_or_insert_default();
            options.pid = NamespaceMode::Target.into();
            options.target_id = target.to_owned();
        });
        assert!(refused.is_err(), "{target}");
    }
}

fn a_pod_may_see_the_processes_of_the_host(world: &World<'_>) {
    let pod = world.pod_with(|config| namespaces(config).pid = NamespaceMode::Node.into());
    let container = pod.idle();
    assert_eq!(namespace(&container, "pid"), own("pid"));
    assert!(container.succeeds(&format!("kill -0 {}", std::process::id())));
    assert_eq!(pod.status().linux.unwrap().namespaces.unwrap().options.unwrap().pid(), NamespaceMode::Node);
}

fn containers_share_memory_and_the_host_does_not(world: &World<'_>) {
    let pod = world.pod();
    let [one, other] = [pod.idle(), pod.idle()];
    assert_eq!(namespace(&one, "ipc"), namespace(&other, "ipc"));
    assert_ne!(namespace(&one, "ipc"), own("ipc"));
    one.sh("echo told > /dev/shm/file");
    assert_eq!(other.sh("cat /dev/shm/file"), "told");
    assert!(!std::path::Path::new("/dev/shm/file").exists());
    // 64 MiB, as everywhere.
    let size = other.sh("df -k /dev/shm | tail -n 1 | awk '{print $2}'");
    assert_eq!(size, "65536");
}

fn a_pod_may_share_memory_with_the_host(world: &World<'_>) {
    let pod = world.pod_with(|config| namespaces(config).ipc = NamespaceMode::Node.into());
    let container = pod.idle();
    assert_eq!(namespace(&container, "ipc"), own("ipc"));
    let name = format!("cri-suite-{}", std::process::id());
    container.sh(&format!("echo told > /dev/shm/{name}"));
    let file = std::path::Path::new("/dev/shm").join(name);
    assert_eq!(fs::read_to_string(&file).unwrap(), "told\n");
    fs::remove_file(file).unwrap();
}

fn a_pod_may_be_on_the_network_of_the_host(world: &World<'_>) {
    let container_pod = world.pod();
    let container = container_pod.idle();
    assert_eq!(namespace(&container, "net"), own("net"));
    assert_eq!(container.sh("hostname"), fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    assert_eq!(
        container_pod.status().linux.unwrap().namespaces.unwrap().options.unwrap().network(),
        NamespaceMode::Node
    );
}

fn a_pod_has_a_host_name(world: &World<'_>) {
    let pod = world.pod_with(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        config.hostname = "a-name.of-its-own".to_owned();
    });
    let [one, other] = [pod.idle(), pod.idle()];
    for container in [&one, &other] {
        assert_eq!(container.sh("hostname"), "a-name.of-its-own");
        assert_eq!(container.sh("cat /etc/hostname"), "a-name.of-its-own");
    }
    assert_eq!(namespace(&one, "uts"), namespace(&other, "uts"));
    assert_ne!(namespace(&one, "uts"), own("uts"));
    // A program that asks its environment finds it there too.
    assert_eq!(one.sh("echo $HOSTNAME"), "a-name.of-its-own");
}

fn a_pod_without_a_host_name_has_one(world: &World<'_>) {
    let pod = world.networked();
    assert!(!pod.idle().sh("hostname").is_empty());
}

fn with_sysctls<'a>(world: &'a World<'_>, sysctls: &[(&str, &str)]) -> Result<Pod<'a>, tonic::Status> {
    world.try_pod(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        let owned = sysctls.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        config.linux.as_mut().unwrap().sysctls = owned.collect();
    })
}

fn sysctls_are_those_of_the_pod(world: &World<'_>) {
    let asked = [
        ("kernel.shm_rmid_forced", "1"),
        ("net.ipv4.ip_local_port_range", "20000 30000"),
        ("fs.mqueue.msg_max", "77"),
    ];
    let pod = with_sysctls(world, &asked).unwrap();
    let container = pod.idle();
    let read = |name: &str| container.sh(&format!("cat /proc/sys/{}", name.replace('.', "/")));
    assert_eq!(read(asked[0].0), "1");
    assert_eq!(read(asked[1].0).split_whitespace().collect::<Vec<_>>(), ["20000", "30000"]);
    assert_eq!(read(asked[2].0), "77");
    assert_ne!(fs::read_to_string("/proc/sys/fs/mqueue/msg_max").unwrap().trim(), "77");
}

fn a_sysctl_of_the_host_is_refused(world: &World<'_>) {
    for asked in [("vm.overcommit_memory", "0"), ("kernel.no_such_thing", "1")] {
        let Ok(pod) = with_sysctls(world, &[asked]) else { continue };
        // The kubelet would not let it through; at the latest a container must not run with it.
        assert!(pod.try_create("true", |_| {}).is_err(), "{asked:?}");
    }
}

fn users(config: &mut PodSandboxConfig, mode: NamespaceMode, mappings: &[IdMapping]) {
    namespaces(config).network = NamespaceMode::Pod.into();
    namespaces(config).userns_options =
        Some(UserNamespace { mode: mode.into(), uids: mappings.to_vec(), gids: mappings.to_vec() });
}

const MAPPING: IdMapping = IdMapping { host_id: 200_000, container_id: 0, length: 65_536 };

fn mapped<'a>(world: &'a World<'_>) -> Pod<'a> {
    world.pod_with(|config| users(config, NamespaceMode::Pod, &[MAPPING]))
}

fn root_of_a_pod_with_users_of_its_own_is_nobody_outside(world: &World<'_>) {
    let pod = mapped(world);
    let [one, other] = [pod.idle(), pod.idle()];
    for file in ["uid_map", "gid_map"] {
        let map = one.sh(&format!("cat /proc/self/{file}"));
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "200000", "65536"]);
    }
    assert_eq!(namespace(&one, "user"), namespace(&other, "user"));
    assert_ne!(namespace(&one, "user"), own("user"));
    let status = fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids.split_whitespace().nth(1), Some("200000"), "{uids}");
    // It is root there all the same.
    assert_eq!(one.sh("id -u; touch /root/file && chown 5:5 /root/file && stat -c %u /root/file"), "0\n5");
}

fn files_of_a_pod_with_users_of_its_own_are_its_root_s(world: &World<'_>) {
    let pod = mapped(world);
    let container = pod.idle();
    assert_eq!(
        container.sh("stat -c %u:%g /bin/busybox /etc/hosts /etc/hostname /dev/shm").replace('\n', " "),
        "0:0 0:0 0:0 0:0"
    );
    assert_eq!(container.sh("echo mine > /root/file && stat -c %u /root/file"), "0");
    assert_eq!(pod.output("echo printed", |_| {}), "printed");
}

fn a_pod_may_have_the_users_of_the_host(world: &World<'_>) {
    let pod = world.pod_with(|config| {
        users(config, NamespaceMode::Node, &[]);
        namespaces(config).network = NamespaceMode::Node.into();
    });
    assert_eq!(namespace(&pod.idle(), "user"), own("user"));
}

fn mappings_that_make_no_sense_are_refused(world: &World<'_>) {
    let second = IdMapping { host_id: 300_000, container_id: 65_536, length: 10 };
    let without_root = IdMapping { container_id: 1, ..MAPPING };
    for (what, mode, mappings) in [
        ("two mappings", NamespaceMode::Pod, vec![MAPPING, second]),
        ("no mapping of root", NamespaceMode::Pod, vec![without_root]),
        ("no mapping", NamespaceMode::Pod, vec![]),
        ("mode CONTAINER", NamespaceMode::Container, vec![MAPPING]),
        ("mode TARGET", NamespaceMode::Target, vec![MAPPING]),
    ] {
        assert!(world.try_pod(|config| users(config, mode, &mappings)).is_err(), "{what}");
    }
}
