//! A disk without room: calls fail and say so, what runs goes on, and with room everything works again.

use std::fs;
use std::io::Write as _;

use cri::wire::v1::{ContainerState, ListImagesRequest};
use rustix::mount::{MountFlags, mount};

use super::{a_new_pod_runs, remove_everything};
use crate::node::Node;
use crate::pod::{World, spec};
use crate::registry::registry;
use crate::story::{Story, alone};

pub(crate) const STORIES: &[Story] = &[
    alone!(an_image_does_not_fit),
    alone!(a_container_does_not_fit),
    alone!(what_is_there_can_be_removed),
    alone!(a_daemon_starts_and_its_pods_go_on),
];

/// A node whose root has this much room, in bytes.
fn small(node: &Node, size: u32) {
    let options = std::ffi::CString::new(format!("size={size}")).unwrap();
    mount("suite", node.path("root"), "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
    node.run();
}

/// Leaves not a byte.
fn fill(node: &Node) {
    let mut file = fs::File::create(node.path("root/filling")).unwrap();
    let block = vec![1; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
}

fn make_room(node: &Node) {
    fs::remove_file(node.path("root/filling")).unwrap();
}

fn images(world: &World<'_>) -> Vec<String> {
    let all = world.client.list_images(ListImagesRequest { filter: None }).unwrap().images;
    all.into_iter().map(|image| image.id).collect()
}

fn an_image_does_not_fit(node: &Node) {
    small(node, 8 << 20);
    let world = World::new(node, "full");
    world.image("busybox:1");
    let before = images(&world);
    let name = registry().name("large:1");
    let refused = world.pull(&name).unwrap_err();
    assert!(refused.message().contains("No space left"), "{}", refused.message());
    assert_eq!(images(&world), before);
    // Nothing of it takes up room.
    let pod = world.pod();
    assert_eq!(pod.idle().sh("echo here"), "here");
    drop(pod);
    let smaller = registry().name("volume:1");
    world.pull(&smaller).unwrap();
    remove_everything(node);
}

fn a_container_does_not_fit(node: &Node) {
    small(node, 16 << 20);
    let world = World::new(node, "full");
    let pod = world.pod();
    let running = pod.idle();
    fill(node);
    let mut made = Vec::new();
    // A few small ones may fit in pages that are there already.
    let refused = (0..200).find_map(|_| match pod.try_create("sleep 1000", |_| {}) {
        Ok(container) => {
            made.push(container);
            None
        }
        Err(refused) => Some(refused),
    });
    let refused = refused.expect("no room at last");
    assert!(!refused.message().is_empty());
    assert_eq!(running.sh("echo here"), "here");
    make_room(node);
    let container = pod.idle();
    assert_eq!(container.sh("echo here"), "here");
    drop(pod);
    remove_everything(node);
}

fn what_is_there_can_be_removed(node: &Node) {
    small(node, 16 << 20);
    let world = World::new(node, "full");
    let pod = world.pod();
    let (running, other) = (pod.idle(), pod.idle());
    world.image("volume:1");
    fill(node);
    // How a node gets room again.
    running.stop(0).unwrap();
    assert_eq!(running.status().state(), ContainerState::ContainerExited);
    running.remove().unwrap();
    let remove = cri::wire::v1::RemoveImageRequest { image: spec(&registry().name("volume:1")) };
    world.client.remove_image(remove).unwrap();
    assert_eq!(images(&world).len(), 1);
    assert_eq!(other.sh("echo here"), "here");
    drop(pod);
    remove_everything(node);
    make_room(node);
    let pod = world.pod();
    assert_eq!(pod.idle().sh("echo here"), "here");
}

fn a_daemon_starts_and_its_pods_go_on(node: &Node) {
    small(node, 16 << 20);
    let world = World::new(node, "full");
    let pod = world.pod();
    let container = pod.idle();
    let (pod_id, id) = (pod.id.clone(), container.id.clone());
    std::mem::forget(pod);
    fill(node);
    node.kill_and_run();
    let world = World::new(node, "full");
    assert_eq!(world.container_status(&id).state(), ContainerState::ContainerRunning);
    make_room(node);
    world.stop_pod(&pod_id).unwrap();
    remove_everything(node);
    if crate::node::plugins().is_some() {
        a_new_pod_runs(node);
        remove_everything(node);
    }
}
