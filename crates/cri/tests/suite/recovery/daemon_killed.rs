//! kill -9 of the daemon, at many moments of every call that changes something.

use std::path::Path;
use std::time::{Duration, Instant};

use cri::wire::v1::{
    ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxConfig, PodSandboxState,
    RunPodSandboxRequest,
};

use super::{a_new_pod_runs, remove_everything};
use crate::leftovers::{self, eventually};
use crate::node::Node;
use crate::pod::{Container, Pod, World, namespaces};
use crate::registry::registry;
use crate::story::{Need, Story, alone};

pub(crate) const STORIES: &[Story] = &[
    alone!(while_a_pod_is_made, Need::Plugins),
    alone!(while_a_container_is_created, Need::Plugins),
    alone!(while_a_container_is_started, Need::Plugins),
    alone!(while_a_container_is_stopped, Need::Plugins),
    alone!(while_a_container_is_removed, Need::Plugins),
    alone!(while_a_pod_is_stopped, Need::Plugins),
    alone!(while_a_pod_is_removed, Need::Plugins),
    alone!(while_an_image_is_pulled),
    alone!(while_a_command_runs, Need::Plugins),
    alone!(pods_go_on_without_it, Need::Plugins),
    alone!(no_line_is_lost, Need::Plugins),
    alone!(an_end_that_it_did_not_see_is_known, Need::Plugins),
    alone!(what_was_removed_does_not_come_back),
    alone!(it_ends_when_asked_and_pods_go_on, Need::Plugins),
    alone!(a_second_one_leaves_the_first_alone),
];

fn points() -> u32 {
    std::env::var("COFFERDAM_KILL_POINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Makes the call to see how long it takes; then makes it again and again, and kills the daemon at another moment of
/// it each time. `check` looks at what the next daemon knows.
fn at_many_moments<T>(
    node: &Node,
    prepare: impl Fn(&World<'_>) -> T,
    call: impl Fn(&World<'_>, &T) -> Result<(), tonic::Status> + Sync,
    check: impl Fn(&World<'_>, &T, bool),
) where
    T: Sync,
{
    node.run();
    let world = World::new(node, "kill");
    world.image("busybox:1");
    let subject = prepare(&world);
    let begin = Instant::now();
    call(&world, &subject).unwrap();
    let whole = begin.elapsed();
    check(&world, &subject, true);
    remove_everything(node);
    for point in 0..points() {
        let world = World::new(node, "kill");
        let subject = prepare(&world);
        let moment = whole * (2 * point + 1) / (2 * points());
        let answered = std::thread::scope(|scope| {
            let (world, subject, call) = (&world, &subject, &call);
            let calling = scope.spawn(move || call(world, subject));
            // The moment itself: nothing is waited for.
            std::thread::sleep(moment);
            node.kill();
            calling.join().unwrap().is_ok()
        });
        node.run();
        let world = World::new(node, "killed");
        check(&world, &subject, answered);
        remove_everything(node);
    }
    a_new_pod_runs(node);
    remove_everything(node);
}

fn networked(world: &World<'_>) -> PodSandboxConfig {
    let mut config = world.pod_config();
    namespaces(&mut config).network = cri::wire::v1::NamespaceMode::Pod.into();
    config
}

fn run(world: &World<'_>, config: &PodSandboxConfig) -> Result<String, tonic::Status> {
    let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    Ok(world.client.run_pod_sandbox(request)?.pod_sandbox_id)
}

/// The pods that there are.
fn pods(world: &World<'_>) -> Vec<(String, PodSandboxState)> {
    let items = world.client.list_pod_sandbox(ListPodSandboxRequest { filter: None }).unwrap().items;
    items.into_iter().map(|item| (item.id.clone(), item.state())).collect()
}

fn containers(world: &World<'_>) -> Vec<(String, ContainerState)> {
    let items = world.client.list_containers(ListContainersRequest { filter: None }).unwrap().containers;
    items.into_iter().map(|item| (item.id.clone(), item.state())).collect()
}

fn while_a_pod_is_made(node: &Node) {
    at_many_moments(
        node,
        networked,
        |world, config| run(world, config).map(drop),
        |world, config, answered| {
            let found = pods(world);
            match found.as_slice() {
                // It was cut off; the client does it once more.
                [] => {
                    assert!(!answered);
                    leftovers::nothing_of(node);
                    run(world, config).unwrap();
                }
                [(_, PodSandboxState::SandboxReady)] => {}
                other => panic!("{other:?}"),
            }
        },
    );
}

/// A pod that is not removed with the story's own value: its daemon is killed meanwhile.
fn keep(pod: Pod<'_>) -> (String, PodSandboxConfig) {
    let kept = (pod.id.clone(), pod.config.clone());
    std::mem::forget(pod);
    kept
}

fn in_pod<T>(world: &World<'_>, pod: &(String, PodSandboxConfig), then: impl FnOnce(&Pod<'_>) -> T) -> T {
    let pod = Pod { world, id: pod.0.clone(), config: pod.1.clone() };
    let result = then(&pod);
    std::mem::forget(pod);
    result
}

fn while_a_container_is_created(node: &Node) {
    at_many_moments(
        node,
        |world| keep(world.pod()),
        |world, pod| in_pod(world, pod, |pod| pod.try_create("sleep 1000", |_| {}).map(drop)),
        |world, pod, answered| {
            match containers(world).as_slice() {
                [] => assert!(!answered),
                [(_, ContainerState::ContainerCreated)] => {}
                other => panic!("{other:?}"),
            }
            in_pod(world, pod, |pod| assert_eq!(pod.idle().sh("echo here"), "here"));
        },
    );
}

/// A container by its id.
fn container<'a>(world: &'a World<'_>, id: &str) -> Container<'a> {
    Container { world, id: id.to_owned(), log: Path::new("").to_owned() }
}

fn while_a_container_is_started(node: &Node) {
    at_many_moments(
        node,
        |world| {
            let pod = keep(world.pod());
            in_pod(world, &pod, |pod| pod.create("sleep 1000", |_| {}).id.clone())
        },
        |world, id| container(world, id).start(),
        |world, id, answered| {
            let container = container(world, id);
            match container.status().state() {
                // What was begun may go on, and then it runs.
                ContainerState::ContainerCreated => {
                    assert!(!answered);
                    container.start().unwrap();
                    assert_eq!(container.sh("echo here"), "here");
                }
                ContainerState::ContainerRunning => assert_eq!(container.sh("echo here"), "here"),
                other => panic!("{other:?}"),
            }
        },
    );
}

/// A pod with a container that runs.
fn with_container(world: &World<'_>) -> ((String, PodSandboxConfig), String) {
    let pod = keep(world.networked());
    let id = in_pod(world, &pod, |pod| pod.idle().id.clone());
    (pod, id)
}

fn while_a_container_is_stopped(node: &Node) {
    at_many_moments(
        node,
        with_container,
        |world, (_, id)| container(world, id).stop(5),
        |world, (_, id), answered| {
            let container = container(world, id);
            let state = container.status().state();
            assert!(!answered || state == ContainerState::ContainerExited, "{state:?}");
            container.stop(5).unwrap();
            let status = container.status();
            assert_eq!(status.state(), ContainerState::ContainerExited);
            // Its own, not a guess of the daemon's.
            assert!([0, 137, 143].contains(&status.exit_code), "{status:?}");
        },
    );
}

fn while_a_container_is_removed(node: &Node) {
    at_many_moments(
        node,
        |world| {
            let (pod, id) = with_container(world);
            (pod, id)
        },
        |world, (_, id)| container(world, id).remove(),
        |world, (pod, id), answered| {
            assert!(!answered || containers(world).is_empty());
            container(world, id).remove().unwrap();
            assert!(containers(world).is_empty());
            in_pod(world, pod, |pod| assert_eq!(pod.idle().sh("echo here"), "here"));
        },
    );
}

fn while_a_pod_is_stopped(node: &Node) {
    at_many_moments(
        node,
        with_container,
        |world, (pod, _)| world.stop_pod(&pod.0),
        |world, (pod, id), answered| {
            let state = world.pod_status(&pod.0).state();
            assert!(!answered || state == PodSandboxState::SandboxNotready);
            world.stop_pod(&pod.0).unwrap();
            assert_eq!(world.pod_status(&pod.0).state(), PodSandboxState::SandboxNotready);
            let status = world.container_status(id);
            assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 137));
            assert!(node.leases().is_empty());
        },
    );
}

fn while_a_pod_is_removed(node: &Node) {
    at_many_moments(
        node,
        with_container,
        |world, (pod, _)| world.remove_pod(&pod.0),
        |world, (pod, _), answered| {
            assert!(!answered || pods(world).is_empty());
            world.remove_pod(&pod.0).unwrap();
            assert!(pods(world).is_empty());
        },
    );
}

fn while_an_image_is_pulled(node: &Node) {
    // A repository of its own, whose blobs stop in the middle.
    let repository = crate::pod::fresh("halted");
    let all = crate::image::all();
    let large = &all.iter().find(|(name, _)| *name == "large:1").unwrap().1;
    registry().put(&format!("{repository}:1"), large);
    let name = registry().name(&format!("{repository}:1"));
    let halt = registry().halt(&repository);
    node.run();
    let world = World::new(node, "pull");
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| world.pull(&name));
        halt.reached();
        node.kill();
        pulling.join().unwrap().unwrap_err();
    });
    node.run();
    let world = World::new(node, "pulled");
    let request = || cri::wire::v1::ListImagesRequest { filter: None };
    assert!(world.client.list_images(request()).unwrap().images.is_empty());
    halt.go_on();
    let id = world.pull(&name).unwrap();
    assert_eq!(world.client.list_images(request()).unwrap().images[0].id, id);
    // With the image everything goes: no half of a layer stays.
    let remove = cri::wire::v1::RemoveImageRequest { image: crate::pod::spec(&name) };
    world.client.remove_image(remove).unwrap();
    eventually("an empty disk", || {
        let files = files(&node.path("root"));
        files.iter().map(|(_, size)| size).sum::<u64>() < 4 << 20
    });
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), metadata.len()));
        }
    }
    found
}

fn while_a_command_runs(node: &Node) {
    node.run();
    let world = World::new(node, "command");
    let (_, id) = with_container(&world);
    std::thread::scope(|scope| {
        let running =
            scope.spawn(|| container(&world, &id).exec(&["sh", "-c", "echo > /begun; sleep 1000"], 0));
        eventually("the command", || container(&world, &id).succeeds("test -e /begun"));
        node.kill();
        running.join().unwrap().unwrap_err();
    });
    node.run();
    let world = World::new(node, "commanded");
    assert_eq!(container(&world, &id).sh("echo here"), "here");
    remove_everything(node);
}

fn pods_go_on_without_it(node: &Node) {
    node.run();
    let world = World::new(node, "on");
    let (pod, id) = with_container(&world);
    let (before, status) = (world.pod_status(&pod.0), world.container_status(&id));
    let pid = container(&world, &id).pid();
    node.kill();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    node.run();
    let world = World::new(node, "on");
    // Everything is as it was.
    assert_eq!(world.pod_status(&pod.0), before);
    assert_eq!(world.container_status(&id), status);
    assert_eq!(container(&world, &id).pid(), pid);
    assert_eq!(container(&world, &id).sh("echo here"), "here");
    // It is watched: what happens now is seen.
    in_pod(&world, &pod, |pod| assert_eq!(pod.idle().sh("echo new"), "new"));
    container(&world, &id).exec(&["sh", "-c", "kill -9 1; kill 1"], 5).unwrap();
    container(&world, &id).exited();
    // A name is still taken.
    run(&world, &pod.1).unwrap_err();
    remove_everything(node);
}

fn no_line_is_lost(node: &Node) {
    node.run();
    let world = World::new(node, "lines");
    let pod = keep(world.pod());
    let (id, log) = in_pod(&world, &pod, |pod| {
        let container = pod.start("i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done");
        container.says("line 5");
        (container.id.clone(), container.log.clone())
    });
    let count = || crate::pod::lines(&std::fs::read_to_string(&log).unwrap()).len();
    for _ in 0..3 {
        node.kill();
        let before = count();
        eventually("lines while nobody is there", || count() > before + 10);
        node.run();
    }
    let world = World::new(node, "lines");
    // And the log can be opened again.
    let old = log.with_extension("old");
    std::fs::rename(&log, &old).unwrap();
    let request = cri::wire::v1::ReopenContainerLogRequest { container_id: id.clone() };
    world.client.reopen_container_log(request).unwrap();
    eventually("lines in the new file", || log.exists() && count() > 5);
    container(&world, &id).stop(0).unwrap();
    let texts = [&old, &log].map(|file| std::fs::read_to_string(file).unwrap());
    let all: Vec<String> = texts.iter().flat_map(|text| crate::pod::lines(text)).map(|line| line.2).collect();
    let expected: Vec<String> = (1..=all.len()).map(|number| format!("line {number}")).collect();
    assert_eq!(all, expected);
    remove_everything(node);
}

fn an_end_that_it_did_not_see_is_known(node: &Node) {
    node.run();
    let world = World::new(node, "end");
    let pod = keep(world.pod());
    let ids = in_pod(&world, &pod, |pod| {
        let until = |code: u32| format!("while ! test -e /tmp/go; do sleep 0.05; done; exit {code}");
        [0, 42].map(|code| {
            let container =
                pod.start(&format!("sleep 0.5; {}", until(code).replace("! test -e /tmp/go", "false")));
            container.id.clone()
        })
    });
    let pids = ids.each_ref().map(|id| container(&world, id).pid());
    node.kill();
    eventually("their end", || pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    node.run();
    let world = World::new(node, "ended");
    for (id, (code, reason)) in ids.iter().zip([(0, "Completed"), (42, "Error")]) {
        let status = world.container_status(id);
        assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, code));
        assert_eq!(status.reason, reason);
        assert!(status.finished_at > status.started_at);
    }
    // It stays so.
    node.kill_and_run();
    let world = World::new(node, "ended");
    assert_eq!(world.container_status(&ids[1]).exit_code, 42);
    remove_everything(node);
}

/// A container that is removed while it runs: its end is written down at the same time.
fn what_was_removed_does_not_come_back(node: &Node) {
    node.run();
    let world = World::new(node, "removed");
    let pod = keep(world.pod());
    for _ in 0..20 {
        in_pod(&world, &pod, |pod| pod.start("exec sleep 1000").remove().unwrap());
    }
    node.kill_and_run();
    let world = World::new(node, "removed");
    assert!(containers(&world).is_empty());
    remove_everything(node);
}

fn it_ends_when_asked_and_pods_go_on(node: &Node) {
    node.run();
    let world = World::new(node, "asked");
    let (pod, id) = with_container(&world);
    let begin = Instant::now();
    drop(world);
    node.terminate();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(!node.path("sock").exists());
    node.run();
    let world = World::new(node, "asked");
    assert_eq!(world.pod_status(&pod.0).state(), PodSandboxState::SandboxReady);
    assert_eq!(container(&world, &id).sh("echo here"), "here");
    remove_everything(node);
}

fn a_second_one_leaves_the_first_alone(node: &Node) {
    node.run();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .arg("--config")
        .arg(node.path("config.toml"))
        .arg("serve")
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("is served already"), "{said}");
    assert!(node.client().version(Default::default()).is_ok());
}
