//! What happens to a node, and what its runtime makes of it: the truth is what runs, and nothing is left behind.
//!
//! Each of these stories has a runtime of its own. What there is of it is counted ([`leftovers`]) after everything has
//! been removed.

mod daemon_killed;
mod disk_full;
mod network_missing;
mod reboot;
mod records;
mod shim_killed;

use std::process::Command;

use cri::wire::v1::{ListContainersRequest, ListPodSandboxRequest};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::cgroups;
use crate::leftovers::{self, eventually};
use crate::node::Node;
use crate::pod::World;
use crate::story::Story;

pub(crate) fn all() -> impl Iterator<Item = Story> {
    [
        daemon_killed::STORIES,
        shim_killed::STORIES,
        reboot::STORIES,
        records::STORIES,
        disk_full::STORIES,
        network_missing::STORIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Removes every pod there is, as a kubelet does with those that it does not know, and looks at what is left.
#[track_caller]
fn remove_everything(node: &Node) {
    let client = node.client();
    let pods = client.list_pod_sandbox(ListPodSandboxRequest { filter: None }).unwrap().items;
    let world = World::new(node, "remove");
    for pod in pods {
        world.stop_pod(&pod.id).unwrap();
        world.remove_pod(&pod.id).unwrap();
    }
    let containers = client.list_containers(ListContainersRequest { filter: None }).unwrap().containers;
    assert!(containers.is_empty(), "{containers:?}");
    leftovers::nothing_of(node);
}

/// A new pod runs as if nothing had happened.
#[track_caller]
fn a_new_pod_runs(node: &Node) {
    let world = World::new(node, "new");
    let pod = world.networked();
    assert_eq!(pod.idle().sh("echo here"), "here");
}

/// Ends every process of the node's pods, shims and containers.
fn kill_processes(node: &Node) {
    eventually("the end of all processes", || {
        let left = leftovers::processes(node);
        for pid in &left {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL);
        }
        left.is_empty()
    });
}

/// Takes away what goes with a host: processes, mounts, cgroups, network devices.
fn take_down(node: &Node) {
    node.kill();
    kill_processes(node);
    for mount in leftovers::mounts_below(node.folder()).iter().rev() {
        // One may have gone with another.
        let _ = unmount(mount.as_str(), UnmountFlags::DETACH);
    }
    for cgroup in cgroups::below(&node.cgroup) {
        // The kernel ends processes in its own time; what is left is removed at the end of the run.
        let _ = std::fs::remove_dir(cgroup);
    }
    // There may never have been a pod on it.
    let _ = Command::new("ip").args(["link", "delete", &node.bridge()]).output();
}

/// Whatever a story has left, also when it failed.
pub(crate) fn clear(node: &Node) {
    take_down(node);
    for name in ["root", "state"] {
        let _ = unmount(node.path(name), UnmountFlags::DETACH);
    }
}
