//! kill -9 of a pod's shim, alone and together with the daemon.

use cri::wire::v1::{ContainerState, PodSandboxState};
use rustix::process::{Pid, Signal, kill_process};

use super::{a_new_pod_runs, remove_everything};
use crate::leftovers::{self, eventually};
use crate::node::Node;
use crate::pod::{Pod, World};
use crate::story::{Need, Story, alone};

pub(crate) const STORIES: &[Story] = &[
    alone!(the_pod_is_no_longer_ready, Need::Plugins),
    alone!(containers_end_with_it, Need::Plugins),
    alone!(other_pods_do_not_notice, Need::Plugins),
    alone!(it_dies_with_the_daemon, Need::Plugins),
    alone!(it_dies_while_the_daemon_is_away, Need::Plugins),
    alone!(an_end_is_known_that_came_before, Need::Plugins),
    alone!(it_dies_while_a_container_is_started),
];

/// The shims of a node, by what they are called with.
fn shims(node: &Node) -> Vec<i32> {
    let is_shim = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("containerd-shim")
    };
    leftovers::processes(node).into_iter().filter(is_shim).collect()
}

fn kill(pids: &[i32]) {
    assert!(!pids.is_empty(), "no shim is found");
    for pid in pids {
        kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL).unwrap();
    }
}

/// A pod, and its shims.
fn pod<'a>(world: &'a World<'_>) -> (Pod<'a>, Vec<i32>) {
    let before = shims(world.node);
    let pod = world.networked();
    let new = shims(world.node).into_iter().filter(|pid| !before.contains(pid)).collect();
    (pod, new)
}

fn is_ready(world: &World<'_>, pod: &str) -> bool {
    world.pod_status(pod).state() == PodSandboxState::SandboxReady
}

fn the_pod_is_no_longer_ready(node: &Node) {
    node.run();
    let world = World::new(node, "shim");
    let (pod, shim) = pod(&world);
    kill(&shim);
    eventually("that it is seen", || !is_ready(&world, &pod.id));
    world.image("busybox:1");
    assert!(pod.try_create("true", |_| {}).is_err());
    remove_everything(node);
    a_new_pod_runs(node);
    remove_everything(node);
}

fn containers_end_with_it(node: &Node) {
    node.run();
    let world = World::new(node, "shim");
    let (pod, shim) = pod(&world);
    let (running, ended, created) = (pod.idle(), pod.start("exit 5"), pod.create("true", |_| {}));
    ended.exited();
    let pid = running.pid();
    kill(&shim);
    eventually("that it is seen", || running.status().state() != ContainerState::ContainerRunning);
    let status = running.status();
    assert!(status.exit_code != 0 && status.finished_at > 0, "{status:?}");
    // Nothing of it runs any more, whatever is said of it.
    eventually("the end of its process", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(ended.status().exit_code, 5);
    created.start().unwrap_err();
    running.stop(1).unwrap();
    running.remove().unwrap();
    drop((ended, created));
    remove_everything(node);
}

fn other_pods_do_not_notice(node: &Node) {
    node.run();
    let world = World::new(node, "shim");
    let (dying, shim) = pod(&world);
    let other = world.networked();
    let container = other.idle();
    kill(&shim);
    eventually("that it is seen", || !is_ready(&world, &dying.id));
    assert!(is_ready(&world, &other.id));
    assert_eq!(container.sh("echo here"), "here");
    world.stop_pod(&dying.id).unwrap();
    world.remove_pod(&dying.id).unwrap();
    assert_eq!(container.sh("echo here"), "here");
    drop(other);
    remove_everything(node);
}

/// Kills both in this order, starts the daemon and looks.
fn with_the_daemon(node: &Node, daemon_first: bool) {
    node.run();
    let world = World::new(node, "both");
    let (pod, shim) = pod(&world);
    let (running, ended) = (pod.idle(), pod.start("exit 5"));
    ended.exited();
    let (pod_id, ids) = (pod.id.clone(), [running.id.clone(), ended.id.clone()]);
    std::mem::forget(pod);
    if daemon_first {
        node.kill();
        kill(&shim);
    } else {
        kill(&shim);
        node.kill();
    }
    node.run();
    let world = World::new(node, "both");
    assert!(!is_ready(&world, &pod_id));
    let [running, ended] = ids.map(|id| world.container_status(&id));
    assert_ne!(running.state(), ContainerState::ContainerRunning);
    assert_ne!(running.exit_code, 0);
    assert_eq!((ended.state(), ended.exit_code), (ContainerState::ContainerExited, 5));
    remove_everything(node);
    a_new_pod_runs(node);
    remove_everything(node);
}

fn it_dies_with_the_daemon(node: &Node) {
    with_the_daemon(node, false);
}

fn it_dies_while_the_daemon_is_away(node: &Node) {
    with_the_daemon(node, true);
}

fn an_end_is_known_that_came_before(node: &Node) {
    node.run();
    let world = World::new(node, "before");
    let (pod, shim) = pod(&world);
    let container = pod.start("sleep 0.5; exit 42");
    let (id, pid) = (container.id.clone(), container.pid());
    std::mem::forget(pod);
    node.kill();
    eventually("its end", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    kill(&shim);
    node.run();
    let world = World::new(node, "after");
    let status = world.container_status(&id);
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 42));
    assert_eq!(status.reason, "Error");
    remove_everything(node);
}

fn it_dies_while_a_container_is_started(node: &Node) {
    node.run();
    for wait in [5, 15, 30] {
        let world = World::new(node, "start");
        let before = shims(node);
        let pod = world.pod();
        let shim: Vec<i32> = shims(node).into_iter().filter(|pid| !before.contains(pid)).collect();
        let container = pod.create("sleep 1000", |_| {});
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| container.start());
            // The moment itself: nothing is waited for.
            std::thread::sleep(std::time::Duration::from_millis(wait));
            kill(&shim);
            // Either is right; that it comes to an end is what counts.
            let _ = starting.join().unwrap();
        });
        eventually("that it is seen", || !is_ready(&world, &pod.id));
        eventually("the container's end", || container.status().state() != ContainerState::ContainerRunning);
        drop(pod);
        remove_everything(node);
    }
}
