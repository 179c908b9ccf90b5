//! A reboot: processes, mounts, cgroups, devices and the state folder are gone; what is on disk is still there.

use std::fs;

use cri::wire::v1::{ContainerState, PodSandboxState};

use super::{a_new_pod_runs, remove_everything, take_down};
use crate::node::Node;
use crate::pod::World;
use crate::story::{Need, Story, alone};

pub(crate) const STORIES: &[Story] = &[
    alone!(pods_are_known_and_no_longer_ready, Need::Plugins),
    alone!(stopped_pods_are_removed, Need::Plugins),
];

fn reboot(node: &Node) {
    take_down(node);
    fs::remove_dir_all(node.path("state")).unwrap();
    // The socket lies where the state does.
    let _ = fs::remove_file(node.path("sock"));
    node.run();
}

fn pods_are_known_and_no_longer_ready(node: &Node) {
    node.run();
    let world = World::new(node, "reboot");
    let pod = world.networked();
    let (running, ended, created) = (pod.idle(), pod.start("exit 5"), pod.create("true", |_| {}));
    ended.exited();
    let pod_id = pod.id.clone();
    let ids = [&running, &ended, &created].map(|container| container.id.clone());
    let images = world.client.list_images(Default::default()).unwrap();
    std::mem::forget(pod);
    reboot(node);
    let world = World::new(node, "rebooted");
    assert_eq!(world.client.list_images(Default::default()).unwrap(), images);
    assert_eq!(world.pod_status(&pod_id).state(), PodSandboxState::SandboxNotready);
    let [running, ended, created] = ids.each_ref().map(|id| world.container_status(id));
    assert_ne!(running.state(), ContainerState::ContainerRunning);
    assert!(running.exit_code != 0 && running.finished_at >= running.started_at, "{running:?}");
    assert_eq!((ended.state(), ended.exit_code), (ContainerState::ContainerExited, 5));
    assert_ne!(created.state(), ContainerState::ContainerRunning);
    // As a kubelet does: it makes the pod anew, with another attempt, and removes the old one.
    a_new_pod_runs(node);
    remove_everything(node);
}

fn stopped_pods_are_removed(node: &Node) {
    node.run();
    let world = World::new(node, "reboot");
    let pod = world.networked();
    pod.idle();
    world.stop_pod(&pod.id).unwrap();
    let id = pod.id.clone();
    std::mem::forget(pod);
    reboot(node);
    let world = World::new(node, "rebooted");
    assert_eq!(world.pod_status(&id).state(), PodSandboxState::SandboxNotready);
    remove_everything(node);
}
