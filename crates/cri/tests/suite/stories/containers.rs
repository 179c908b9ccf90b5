//! The life of a container.

use cri::wire::v1::{
    CheckpointContainerRequest, ContainerFilter, ContainerState, ContainerStateValue, ContainerStatusRequest,
    KeyValue, ListContainersRequest, Signal, StreamContainersRequest,
};
use tonic::Code;

use crate::pod::{World, fresh, shell, spec};
use crate::registry::registry;
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_container_is_created_runs_ends_and_is_gone),
    story!(what_is_not_there_is_stopped_and_removed),
    story!(a_container_keeps_what_was_said_of_it),
    story!(containers_are_listed_by_filter),
    story!(a_name_is_given_once_in_a_pod),
    story!(a_container_starts_once),
    story!(an_exit_code_has_a_reason),
    story!(a_signal_is_an_exit_code),
    story!(a_program_that_is_not_there_is_told),
    story!(an_image_that_is_not_there_is_told),
    story!(a_pod_that_is_not_there_is_told),
    story!(a_container_is_asked_to_end_before_it_is_killed),
    story!(a_container_that_does_not_listen_is_killed),
    story!(without_patience_it_is_killed_at_once),
    story!(the_image_says_which_signal_asks),
    story!(the_container_says_which_signal_asks),
    story!(stopping_twice_and_removing_twice_is_no_error),
    story!(a_running_container_is_removed),
    story!(an_ended_container_can_be_asked_nothing),
    story!(the_image_says_what_runs),
    story!(the_container_says_what_runs),
    story!(environment_and_folder_are_those_of_the_container),
    story!(a_checkpoint_is_written_or_refused),
    story!(an_image_is_known_by_its_id_everywhere),
    story!(details_are_given_when_asked),
];

const NONE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn a_container_is_created_runs_ends_and_is_gone(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.create("sleep 1000", |_| {});
    let created = container.status();
    assert_eq!(created.state(), ContainerState::ContainerCreated);
    assert!(created.created_at > 0 && created.started_at == 0 && created.finished_at == 0, "{created:?}");
    container.start().unwrap();
    let running = container.status();
    assert_eq!(running.state(), ContainerState::ContainerRunning);
    assert!(running.started_at >= running.created_at && running.finished_at == 0, "{running:?}");
    container.stop(0).unwrap();
    let exited = container.status();
    assert_eq!(exited.state(), ContainerState::ContainerExited);
    assert!(exited.finished_at >= exited.started_at, "{exited:?}");
    container.remove().unwrap();
    let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
    assert_eq!(world.client.container_status(request).unwrap_err().code(), Code::NotFound);
    let filter = ContainerFilter { id: container.id.clone(), ..Default::default() };
    assert!(listed(world, filter).is_empty());
}

fn what_is_not_there_is_stopped_and_removed(world: &World<'_>) {
    let stop = cri::wire::v1::StopContainerRequest { container_id: NONE.to_owned(), timeout: 1 };
    world.client.stop_container(stop).unwrap();
    let remove = cri::wire::v1::RemoveContainerRequest { container_id: NONE.to_owned() };
    world.client.remove_container(remove).unwrap();
    let status = ContainerStatusRequest { container_id: NONE.to_owned(), verbose: false };
    assert_eq!(world.client.container_status(status).unwrap_err().code(), Code::NotFound);
    let start = cri::wire::v1::StartContainerRequest { container_id: NONE.to_owned() };
    assert_eq!(world.client.start_container(start).unwrap_err().code(), Code::NotFound);
}

fn a_container_keeps_what_was_said_of_it(world: &World<'_>) {
    let pod = world.pod();
    let mut said = None;
    let container = pod.create("true", |config| said = Some(config.clone()));
    let said = said.unwrap();
    let status = container.status();
    assert_eq!((&status.metadata, &status.labels), (&said.metadata, &said.labels));
    assert_eq!(status.annotations, said.annotations);
    assert_eq!(status.log_path, container.log.display().to_string());
    let filter = ContainerFilter { id: container.id.clone(), ..Default::default() };
    let request = ListContainersRequest { filter: Some(filter) };
    let items = world.client.list_containers(request).unwrap().containers;
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((&item.metadata, &item.labels), (&said.metadata, &said.labels));
    assert_eq!((&item.annotations, &item.pod_sandbox_id), (&said.annotations, &pod.id));
    assert_eq!(item.created_at, status.created_at);
}

fn listed(world: &World<'_>, filter: ContainerFilter) -> Vec<String> {
    let request = ListContainersRequest { filter: Some(filter.clone()) };
    let items = world.client.list_containers(request).unwrap().containers;
    let streamed = world.client.stream_containers(StreamContainersRequest { filter: Some(filter) });
    if let Ok(streamed) = streamed {
        let streamed: Vec<_> = streamed.into_iter().flat_map(|part| part.containers).collect();
        assert_eq!(streamed.len(), items.len());
    }
    let mut ids: Vec<String> = items.into_iter().map(|item| item.id).collect();
    ids.sort();
    ids
}

fn containers_are_listed_by_filter(world: &World<'_>) {
    let (pod, elsewhere) = (world.pod(), world.pod());
    let (created, running, other) = (pod.create("true", |_| {}), pod.idle(), elsewhere.idle());
    let mut both = [created.id.clone(), running.id.clone()];
    both.sort();
    let of_pod = ContainerFilter { pod_sandbox_id: pod.id.clone(), ..Default::default() };
    assert_eq!(listed(world, of_pod.clone()), both);
    let state = |state: ContainerState| Some(ContainerStateValue { state: state.into() });
    let running_only = ContainerFilter { state: state(ContainerState::ContainerRunning), ..of_pod.clone() };
    assert_eq!(listed(world, running_only), [running.id.as_str()]);
    let created_only = ContainerFilter { state: state(ContainerState::ContainerCreated), ..of_pod.clone() };
    assert_eq!(listed(world, created_only), [created.id.as_str()]);
    let by_label = ContainerFilter { label_selector: other.status().labels, ..ContainerFilter::default() };
    assert_eq!(listed(world, by_label), [other.id.as_str()]);
    // All that is asked for has to be true.
    assert!(listed(world, ContainerFilter { id: other.id.clone(), ..of_pod.clone() }).is_empty());
    assert!(listed(world, ContainerFilter { id: NONE.to_owned(), ..Default::default() }).is_empty());
    let no_pod = ContainerFilter { pod_sandbox_id: NONE.to_owned(), ..Default::default() };
    assert!(listed(world, no_pod).is_empty());
}

fn a_name_is_given_once_in_a_pod(world: &World<'_>) {
    let (pod, elsewhere) = (world.pod(), world.pod());
    let container = pod.create("true", |_| {});
    let metadata = container.status().metadata;
    assert!(pod.try_create("true", |config| config.metadata.clone_from(&metadata)).is_err());
    elsewhere.create("true", |config| config.metadata.clone_from(&metadata));
    pod.create("true", |config| {
        config.metadata.clone_from(&metadata);
        config.metadata.as_mut().unwrap().attempt = 1;
    });
    container.remove().unwrap();
    pod.create("true", |config| config.metadata.clone_from(&metadata));
}

fn a_container_starts_once(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    container.start().unwrap_err();
    assert_eq!(container.status().state(), ContainerState::ContainerRunning);
    container.stop(0).unwrap();
    container.start().unwrap_err();
    assert_eq!(container.status().state(), ContainerState::ContainerExited);
}

fn an_exit_code_has_a_reason(world: &World<'_>) {
    let pod = world.pod();
    for (code, reason) in [(0, "Completed"), (1, "Error"), (42, "Error")] {
        let status = pod.start(&format!("exit {code}")).exited();
        assert_eq!((status.exit_code, status.reason.as_str()), (code, reason));
    }
}

fn a_signal_is_an_exit_code(world: &World<'_>) {
    let pod = world.pod();
    let status =
        pod.start("kill -9 $(sh -c 'echo $PPID')& exec sh -c 'trap - TERM; sleep 0.1; exit 143'").exited();
    assert_eq!(status.exit_code, 143);
    let container = pod.start("sleep 1000");
    container.stop(0).unwrap();
    assert_eq!((container.status().exit_code, container.status().reason.as_str()), (137, "Error"));
}

fn a_program_that_is_not_there_is_told(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.create("", |config| config.command = vec!["/no/such/program".to_owned()]);
    let refused = container.start().unwrap_err();
    assert!(refused.message().contains("/no/such/program"), "{}", refused.message());
    let status = container.exited();
    assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
    assert!(status.message.contains("/no/such/program"), "{}", status.message);
    container.remove().unwrap();
}

fn an_image_that_is_not_there_is_told(world: &World<'_>) {
    let pod = world.pod();
    let refused = pod.try_create("true", |config| config.image = spec(&registry().name("no/such:image")));
    assert!(refused.err().unwrap().message().contains("no/such"));
}

fn a_pod_that_is_not_there_is_told(world: &World<'_>) {
    let pod = world.pod();
    world.image("busybox:1");
    let request = cri::wire::v1::CreateContainerRequest {
        pod_sandbox_id: NONE.to_owned(),
        config: Some(pod.container_config("true")),
        sandbox_config: Some(pod.config.clone()),
    };
    world.client.create_container(request).unwrap_err();
}

fn a_container_is_asked_to_end_before_it_is_killed(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.1; done");
    container.says("ready");
    container.stop(30).unwrap();
    let status = container.status();
    assert_eq!((status.exit_code, status.state()), (7, ContainerState::ContainerExited));
    assert_eq!(container.printed(), "ready\nasked");
}

fn a_container_that_does_not_listen_is_killed(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    container.says("ready");
    let begin = std::time::Instant::now();
    container.stop(1).unwrap();
    assert!((1..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(container.status().exit_code, 137);
}

fn without_patience_it_is_killed_at_once(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done");
    container.says("ready");
    container.stop(0).unwrap();
    assert_eq!(container.status().exit_code, 137);
}

const TELLS_SIGNALS: &str = "trap 'exit 10' USR1; trap 'exit 12' USR2; trap 'exit 15' TERM; echo ready; \
    while :; do sleep 0.1; done";

fn the_image_says_which_signal_asks(world: &World<'_>) {
    let image = world.image("stop-signal:1");
    let pod = world.pod();
    let container = pod.start_with(TELLS_SIGNALS, |config| config.image = spec(&image));
    container.says("ready");
    container.stop(30).unwrap();
    assert_eq!(container.status().exit_code, 10);
}

fn the_container_says_which_signal_asks(world: &World<'_>) {
    let image = world.image("stop-signal:1");
    let pod = world.pod();
    let container = pod.start_with(TELLS_SIGNALS, |config| {
        config.image = spec(&image);
        config.stop_signal = Signal::Sigusr2.into();
    });
    container.says("ready");
    assert_eq!(container.status().stop_signal(), Signal::Sigusr2);
    container.stop(30).unwrap();
    assert_eq!(container.status().exit_code, 12);
}

fn stopping_twice_and_removing_twice_is_no_error(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    for _ in 0..2 {
        container.stop(5).unwrap();
    }
    for _ in 0..2 {
        container.remove().unwrap();
    }
    container.stop(5).unwrap();
    let created = pod.create("true", |_| {});
    created.stop(5).unwrap();
    created.remove().unwrap();
}

fn a_running_container_is_removed(world: &World<'_>) {
    let pod = world.pod();
    let (container, other) = (pod.idle(), pod.idle());
    container.remove().unwrap();
    let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
    assert_eq!(world.client.container_status(request).unwrap_err().code(), Code::NotFound);
    assert_eq!(other.sh("echo here"), "here");
}

fn an_ended_container_can_be_asked_nothing(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("true");
    container.exited();
    container.exec(&["true"], 5).unwrap_err();
    let request = cri::wire::v1::UpdateContainerResourcesRequest {
        container_id: container.id.clone(),
        linux: Some(cri::wire::v1::LinuxContainerResources { cpu_shares: 100, ..Default::default() }),
        ..Default::default()
    };
    world.client.update_container_resources(request).unwrap_err();
}

fn the_image_says_what_runs(world: &World<'_>) {
    let image = world.image("declared:1");
    let pod = world.pod();
    let container = pod.start_with("", |config| {
        config.image = spec(&image);
        config.command.clear();
    });
    container.says("image /home");
    // What it declares as a volume is a folder that can be written to.
    assert_eq!(container.sh("echo x > /data/file && cat /data/file"), "x");
    // Words take the place of the image's own.
    let printed = pod.output("", |config| {
        config.image = spec(&image);
        config.command.clear();
        config.args = vec!["echo args $WHERE".to_owned()];
    });
    assert_eq!(printed, "args image");
}

fn the_container_says_what_runs(world: &World<'_>) {
    let image = world.image("declared:1");
    let pod = world.pod();
    let printed = pod.output("", |config| {
        config.image = spec(&image);
        config.command = shell("echo command $0");
        config.args = vec!["args".to_owned()];
    });
    assert_eq!(printed, "command args");
}

fn environment_and_folder_are_those_of_the_container(world: &World<'_>) {
    let pod = world.pod();
    let variable =
        |key: &str, value: &str| KeyValue { key: key.to_owned(), value: value.as_bytes().to_vec() };
    let printed = pod.output("echo $FROM-$NEW-$EMPTY-; pwd", |config| {
        config.envs = vec![variable("FROM", "container"), variable("NEW", "a b=c"), variable("EMPTY", "")];
        config.working_dir = "/made/for/it".to_owned();
    });
    assert_eq!(printed, "container-a b=c--\n/made/for/it");
}

fn a_checkpoint_is_written_or_refused(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("i=0; while :; do i=$((i+1)); sleep 0.1; done");
    let location = world.node.path(&fresh("checkpoint")).display().to_string();
    let request = |id: &str| CheckpointContainerRequest {
        container_id: id.to_owned(),
        location: location.clone(),
        timeout: 30,
    };
    world.client.checkpoint_container(request(NONE)).unwrap_err();
    match world.client.checkpoint_container(request(&container.id)) {
        Ok(_) => assert!(std::fs::metadata(&location).unwrap().len() > 0),
        Err(refused) => {
            assert!(refused.message().to_lowercase().contains("criu"), "{}", refused.message());
            assert!(!std::path::Path::new(&location).exists());
        }
    }
    // Either way it goes on.
    assert_eq!(container.status().state(), ContainerState::ContainerRunning);
    assert_eq!(container.sh("echo here"), "here");
}

fn an_image_is_known_by_its_id_everywhere(world: &World<'_>) {
    let name = world.image("busybox:1");
    let request = cri::wire::v1::ImageStatusRequest { image: spec(&name), verbose: false };
    let id = world.client.image_status(request).unwrap().image.unwrap().id;
    let pulled = world.pull(&name).unwrap();
    assert_eq!(pulled, id);
    let pod = world.pod();
    // By its name and by its id.
    for asked in [name.as_str(), id.as_str()] {
        let container = pod.create("true", |config| config.image = spec(asked));
        let status = container.status();
        assert_eq!(status.image_id, id);
        assert!(!status.image_ref.is_empty());
        let filter = ContainerFilter { id: container.id.clone(), ..Default::default() };
        let request = ListContainersRequest { filter: Some(filter) };
        let item = world.client.list_containers(request).unwrap().containers.remove(0);
        assert_eq!((item.image_id, item.image_ref), (id.clone(), status.image_ref));
        assert_eq!(item.image.unwrap().image, asked);
    }
}

fn details_are_given_when_asked(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
    assert!(world.client.container_status(request).unwrap().info.is_empty());
    assert!(container.pid() > 0);
}
