//! The life of a pod.

use cri::wire::v1::{
    ContainerState, LinuxContainerResources, ListPodSandboxRequest, PodSandboxConfig, PodSandboxFilter,
    PodSandboxState, PodSandboxStateValue, PodSandboxStatusRequest, RunPodSandboxRequest,
    StreamPodSandboxesRequest, UpdatePodSandboxResourcesRequest,
};
use tonic::Code;

use crate::leftovers::eventually;
use crate::pod::{Pod, World};
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_pod_is_ready_then_stopped_then_gone),
    story!(what_is_not_there_is_stopped_and_removed),
    story!(a_pod_keeps_what_was_said_of_it),
    story!(pods_are_listed_by_filter),
    story!(a_name_is_given_once),
    story!(an_attempt_makes_a_name_new),
    story!(an_unknown_handler_is_refused),
    story!(a_pod_without_a_name_is_refused),
    story!(stopping_a_pod_ends_its_containers),
    story!(removing_a_pod_removes_its_containers),
    story!(removing_a_running_pod_stops_it),
    story!(a_stopped_pod_takes_no_container),
    story!(a_stopped_pod_starts_no_container),
    story!(a_pod_without_containers_is_stopped_quickly),
    story!(pods_come_and_go_at_the_same_time, Need::Plugins),
    story!(a_pod_gets_new_limits),
    story!(the_status_has_its_containers),
    story!(details_are_given_when_asked),
];

const NONE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn listed(world: &World<'_>, filter: PodSandboxFilter) -> Vec<String> {
    let request = ListPodSandboxRequest { filter: Some(filter.clone()) };
    let items = world.client.list_pod_sandbox(request).unwrap().items;
    // Where lists are streamed, the stream has the same, each once. Of all there is, other stories make more meanwhile.
    let narrow = filter != PodSandboxFilter::default();
    let streamed = world.client.stream_pod_sandboxes(StreamPodSandboxesRequest { filter: Some(filter) });
    if let (Ok(streamed), true) = (streamed, narrow) {
        let streamed: Vec<_> = streamed.into_iter().flat_map(|part| part.pod_sandboxes).collect();
        assert_eq!(streamed.len(), items.len());
    }
    items.into_iter().map(|item| item.id).collect()
}

fn a_pod_is_ready_then_stopped_then_gone(world: &World<'_>) {
    let pod = world.pod();
    assert_eq!(pod.status().state(), PodSandboxState::SandboxReady);
    world.stop_pod(&pod.id).unwrap();
    assert_eq!(pod.status().state(), PodSandboxState::SandboxNotready);
    world.stop_pod(&pod.id).unwrap();
    world.remove_pod(&pod.id).unwrap();
    let request = PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose: false };
    assert_eq!(world.client.pod_sandbox_status(request).unwrap_err().code(), Code::NotFound);
    world.remove_pod(&pod.id).unwrap();
    world.stop_pod(&pod.id).unwrap();
}

fn what_is_not_there_is_stopped_and_removed(world: &World<'_>) {
    world.stop_pod(NONE).unwrap();
    world.remove_pod(NONE).unwrap();
    let request = PodSandboxStatusRequest { pod_sandbox_id: NONE.to_owned(), verbose: false };
    assert_eq!(world.client.pod_sandbox_status(request).unwrap_err().code(), Code::NotFound);
}

fn a_pod_keeps_what_was_said_of_it(world: &World<'_>) {
    let before = now();
    let pod = world.pod();
    let status = pod.status();
    assert_eq!(status.metadata, pod.config.metadata);
    assert_eq!(status.labels, pod.config.labels);
    assert_eq!(status.annotations, pod.config.annotations);
    assert!((before..=now()).contains(&status.created_at), "created at {}", status.created_at);
    let filter = PodSandboxFilter { id: pod.id.clone(), ..Default::default() };
    let items = world.client.list_pod_sandbox(ListPodSandboxRequest { filter: Some(filter) }).unwrap().items;
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((&item.metadata, &item.labels), (&pod.config.metadata, &pod.config.labels));
    assert_eq!((&item.annotations, item.created_at), (&pod.config.annotations, status.created_at));
    assert_eq!(item.state(), PodSandboxState::SandboxReady);
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn pods_are_listed_by_filter(world: &World<'_>) {
    let (ready, stopped) = (world.pod(), world.pod());
    world.stop_pod(&stopped.id).unwrap();
    let by_label =
        |pod: &Pod<'_>| PodSandboxFilter { label_selector: pod.config.labels.clone(), ..Default::default() };
    assert_eq!(listed(world, by_label(&ready)), [ready.id.as_str()]);
    assert_eq!(listed(world, by_label(&stopped)), [stopped.id.as_str()]);
    let by_id = |id: &str| PodSandboxFilter { id: id.to_owned(), ..Default::default() };
    assert_eq!(listed(world, by_id(&ready.id)), [ready.id.as_str()]);
    // Nothing is found rather than everything.
    assert!(listed(world, by_id(NONE)).is_empty());
    let no_label = PodSandboxFilter {
        label_selector: [("no".to_owned(), "such".to_owned())].into(),
        ..Default::default()
    };
    assert!(listed(world, no_label).is_empty());
    let state = |state: PodSandboxState| Some(PodSandboxStateValue { state: state.into() });
    let of = |pod: &Pod<'_>, state| PodSandboxFilter { id: pod.id.clone(), state, ..Default::default() };
    assert_eq!(listed(world, of(&ready, state(PodSandboxState::SandboxReady))), [ready.id.as_str()]);
    assert!(listed(world, of(&stopped, state(PodSandboxState::SandboxReady))).is_empty());
    assert_eq!(listed(world, of(&stopped, state(PodSandboxState::SandboxNotready))), [stopped.id.as_str()]);
    let all = listed(world, PodSandboxFilter::default());
    assert!(all.contains(&ready.id) && all.contains(&stopped.id));
}

fn run(world: &World<'_>, config: &PodSandboxConfig) -> Result<String, tonic::Status> {
    let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    Ok(world.client.run_pod_sandbox(request)?.pod_sandbox_id)
}

fn a_name_is_given_once(world: &World<'_>) {
    let pod = world.pod();
    run(world, &pod.config).unwrap_err();
    world.stop_pod(&pod.id).unwrap();
    run(world, &pod.config).unwrap_err();
    world.remove_pod(&pod.id).unwrap();
    let again = run(world, &pod.config).unwrap();
    assert_ne!(again, pod.id);
    world.stop_pod(&again).unwrap();
    world.remove_pod(&again).unwrap();
}

fn an_attempt_makes_a_name_new(world: &World<'_>) {
    let pod = world.pod();
    let next = world.pod_with(|config| {
        config.metadata.clone_from(&pod.config.metadata);
        config.metadata.as_mut().unwrap().attempt = 1;
    });
    assert_ne!(next.id, pod.id);
    assert_eq!(next.status().metadata.unwrap().attempt, 1);
}

fn an_unknown_handler_is_refused(world: &World<'_>) {
    let config = world.pod_config();
    let filter = PodSandboxFilter { label_selector: config.labels.clone(), ..Default::default() };
    let request =
        RunPodSandboxRequest { config: Some(config), runtime_handler: "no-such-handler".to_owned() };
    let refused = world.client.run_pod_sandbox(request).unwrap_err();
    assert!(refused.message().contains("no-such-handler"), "{}", refused.message());
    assert!(listed(world, filter).is_empty());
}

fn a_pod_without_a_name_is_refused(world: &World<'_>) {
    let mut config = world.pod_config();
    config.metadata = None;
    run(world, &config).unwrap_err();
    world.client.run_pod_sandbox(RunPodSandboxRequest::default()).unwrap_err();
}

fn stopping_a_pod_ends_its_containers(world: &World<'_>) {
    let pod = world.pod();
    // They do not heed a signal.
    let containers = [pod.start("trap '' TERM; sleep 1000"), pod.idle()];
    world.stop_pod(&pod.id).unwrap();
    for container in &containers {
        assert_eq!(container.status().state(), ContainerState::ContainerExited);
    }
    assert_eq!(containers[0].status().exit_code, 137);
}

fn removing_a_pod_removes_its_containers(world: &World<'_>) {
    let pod = world.pod();
    let (created, running) = (pod.create("true", |_| {}), pod.idle());
    world.stop_pod(&pod.id).unwrap();
    world.remove_pod(&pod.id).unwrap();
    for container in [created, running] {
        let request =
            cri::wire::v1::ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
        assert_eq!(world.client.container_status(request).unwrap_err().code(), Code::NotFound);
    }
}

fn removing_a_running_pod_stops_it(world: &World<'_>) {
    let pod = world.pod();
    let pid = pod.idle().pid();
    world.remove_pod(&pod.id).unwrap();
    assert!(listed(world, PodSandboxFilter { id: pod.id.clone(), ..Default::default() }).is_empty());
    eventually("the end of its process", || {
        !std::path::Path::new(&format!("/proc/{pid}/ns")).exists() || zombie(pid)
    });
}

fn zombie(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn a_stopped_pod_takes_no_container(world: &World<'_>) {
    let pod = world.pod();
    world.image("busybox:1");
    world.stop_pod(&pod.id).unwrap();
    assert!(pod.try_create("true", |_| {}).is_err());
}

fn a_stopped_pod_starts_no_container(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.create("true", |_| {});
    world.stop_pod(&pod.id).unwrap();
    container.start().unwrap_err();
    container.remove().unwrap();
}

fn a_pod_without_containers_is_stopped_quickly(world: &World<'_>) {
    let pod = world.pod();
    let begin = std::time::Instant::now();
    world.stop_pod(&pod.id).unwrap();
    world.remove_pod(&pod.id).unwrap();
    assert!(begin.elapsed().as_secs() < 10);
}

fn pods_come_and_go_at_the_same_time(world: &World<'_>) {
    let mut addresses: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let pod = world.networked();
                    assert_eq!(pod.idle().sh("echo here"), "here");
                    pod.status().network.unwrap().ip
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(addresses.iter().all(|address| !address.is_empty()));
    addresses.sort();
    addresses.dedup();
    // One may have got the address of another that had gone already.
    assert!(!addresses.is_empty());
}

fn a_pod_gets_new_limits(world: &World<'_>) {
    let pod = world.pod();
    let resources = LinuxContainerResources { cpu_shares: 200, ..Default::default() };
    let request = |id: &str| UpdatePodSandboxResourcesRequest {
        pod_sandbox_id: id.to_owned(),
        overhead: None,
        resources: Some(resources.clone()),
    };
    world.client.update_pod_sandbox_resources(request(&pod.id)).unwrap();
    world.client.update_pod_sandbox_resources(request(NONE)).unwrap_err();
    assert_eq!(pod.idle().sh("echo here"), "here");
}

fn the_status_has_its_containers(world: &World<'_>) {
    let pod = world.pod();
    let (running, exited) = (pod.idle(), pod.start("exit 3"));
    exited.exited();
    let request = PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose: false };
    let answer = world.client.pod_sandbox_status(request).unwrap();
    let mut found: Vec<_> = answer
        .containers_statuses
        .iter()
        .map(|status| (status.id.as_str(), status.state(), status.exit_code))
        .collect();
    let mut expected = vec![
        (running.id.as_str(), ContainerState::ContainerRunning, 0),
        (exited.id.as_str(), ContainerState::ContainerExited, 3),
    ];
    found.sort_unstable_by_key(|status| status.0);
    expected.sort_unstable_by_key(|status| status.0);
    assert_eq!(found, expected);
    assert!(answer.timestamp > 0);
}

fn details_are_given_when_asked(world: &World<'_>) {
    let pod = world.pod();
    let ask = |verbose| {
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose };
        world.client.pod_sandbox_status(request).unwrap().info
    };
    assert!(ask(false).is_empty());
    let info: serde_json::Value = serde_json::from_str(&ask(true)["info"]).unwrap();
    assert!(info.to_string().contains(&pod.config.metadata.as_ref().unwrap().uid), "{info}");
}
