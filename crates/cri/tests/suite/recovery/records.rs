//! Records that are broken: the file as a whole, and a single one in it.

use std::fs;

use cri::wire::v1::{ContainerState, ListPodSandboxRequest, PodSandboxState};
use redb::{Database, ReadableTable as _, TableDefinition};

use super::{a_new_pod_runs, remove_everything};
use crate::node::Node;
use crate::pod::World;
use crate::story::{Need, Story, alone};

pub(crate) const STORIES: &[Story] = &[
    alone!(the_file_is_cut, Need::Plugins),
    alone!(the_file_is_empty, Need::Plugins),
    alone!(the_file_is_full_of_something_else, Need::Plugins),
    alone!(the_file_is_gone, Need::Plugins),
    alone!(a_pod_s_record_is_broken, Need::Plugins),
    alone!(a_container_s_record_is_broken, Need::Plugins),
    alone!(the_images_file_is_cut, Need::Plugins),
    alone!(records_of_layers_are_cut, Need::Plugins),
];

/// A pod with a container that runs and one that has ended; `harm` is done to the records while the daemon is away.
fn after(node: &Node, harm: impl FnOnce(&Node, [&str; 3])) -> [String; 3] {
    node.run();
    let world = World::new(node, "records");
    let pod = world.networked();
    let (running, ended) = (pod.idle(), pod.start("exit 5"));
    ended.exited();
    let ids = [pod.id.clone(), running.id.clone(), ended.id.clone()];
    std::mem::forget(pod);
    node.kill();
    harm(node, ids.each_ref().map(String::as_str));
    node.run();
    ids
}

/// What runs is the truth, and it is known what that is.
fn everything_is_known(node: &Node, [pod, running, ended]: &[String; 3]) {
    let world = World::new(node, "known");
    assert_eq!(world.pod_status(pod).state(), PodSandboxState::SandboxReady);
    let status = world.container_status(running);
    assert_eq!(status.state(), ContainerState::ContainerRunning);
    assert!(!status.metadata.unwrap().name.is_empty());
    let status = world.container_status(ended);
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 5));
    let done = world.client.exec_sync(cri::wire::v1::ExecSyncRequest {
        container_id: running.clone(),
        cmd: vec!["true".to_owned()],
        timeout: 10,
    });
    assert_eq!(done.unwrap().exit_code, 0);
    // And it is written down again.
    node.kill_and_run();
    let world = World::new(node, "again");
    assert_eq!(world.pod_status(pod).state(), PodSandboxState::SandboxReady);
    a_new_pod_runs(node);
    remove_everything(node);
}

fn file(node: &Node) -> std::path::PathBuf {
    node.path("root/records.redb")
}

fn the_file_is_cut(node: &Node) {
    let ids = after(node, |node, _| {
        let length = fs::metadata(file(node)).unwrap().len();
        fs::File::options().write(true).open(file(node)).unwrap().set_len(length / 2).unwrap();
    });
    everything_is_known(node, &ids);
    // What there was is kept for whoever wants to know.
    let kept = fs::read_dir(node.path("root")).unwrap().flatten();
    assert!(kept.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("records.redb.")));
    assert!(node.log().contains("records.redb"), "{}", node.log());
}

fn the_file_is_empty(node: &Node) {
    let ids = after(node, |node, _| fs::write(file(node), "").unwrap());
    everything_is_known(node, &ids);
}

fn the_file_is_full_of_something_else(node: &Node) {
    let ids = after(node, |node, _| {
        let length = usize::try_from(fs::metadata(file(node)).unwrap().len()).unwrap();
        let mut bytes = fs::read(file(node)).unwrap();
        // The head is as it was.
        bytes[length / 4..].fill(0x5a);
        fs::write(file(node), bytes).unwrap();
    });
    everything_is_known(node, &ids);
}

fn the_file_is_gone(node: &Node) {
    let ids = after(node, |node, _| fs::remove_file(file(node)).unwrap());
    everything_is_known(node, &ids);
}

/// Cuts one record in half.
fn cut(node: &Node, table: &'static str, key: &str) {
    let table = TableDefinition::<&str, &[u8]>::new(table);
    let database = Database::open(file(node)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(table).unwrap();
        let whole = table.get(key).unwrap().unwrap().value().to_vec();
        table.insert(key, &whole[..whole.len() / 2]).unwrap();
    }
    write.commit().unwrap();
}

fn a_pod_s_record_is_broken(node: &Node) {
    let ids = after(node, |node, [pod, ..]| cut(node, "pods", pod));
    everything_is_known(node, &ids);
}

fn a_container_s_record_is_broken(node: &Node) {
    let ids = after(node, |node, [_, running, ended]| {
        cut(node, "containers", running);
        cut(node, "containers", ended);
    });
    let world = World::new(node, "listed");
    let pods = world.client.list_pod_sandbox(ListPodSandboxRequest { filter: None }).unwrap().items;
    assert_eq!(pods.len(), 1);
    everything_is_known(node, &ids);
}

fn halve(file: &std::path::Path) {
    let length = fs::metadata(file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// What runs goes on; what is lost of images is pulled again.
fn images_are_pulled_again(node: &Node, [pod, running, _]: &[String; 3]) {
    let world = World::new(node, "images");
    assert_eq!(world.pod_status(pod).state(), PodSandboxState::SandboxReady);
    assert_eq!(world.container_status(running).state(), ContainerState::ContainerRunning);
    assert!(world.client.list_images(Default::default()).unwrap().images.is_empty());
    a_new_pod_runs(node);
    assert_eq!(world.client.list_images(Default::default()).unwrap().images.len(), 1);
    remove_everything(node);
}

fn the_images_file_is_cut(node: &Node) {
    let ids = after(node, |node, _| halve(&node.path("root/images/images.redb")));
    images_are_pulled_again(node, &ids);
    assert!(node.log().contains("images.redb"), "{}", node.log());
}

fn records_of_layers_are_cut(node: &Node) {
    let ids = after(node, |node, _| {
        let entries = fs::read_dir(node.path("root/layers/l")).unwrap().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .for_each(|path| halve(&path));
    });
    images_are_pulled_again(node, &ids);
}
