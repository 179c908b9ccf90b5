//! Events of containers, as a kubelet follows them that does not poll.

use std::time::{Duration, Instant};

use cri::wire::v1::{
    ContainerEventResponse, ContainerEventType, ContainerState, GetEventsRequest, PodSandboxState,
};
use tonic::Streaming;

use crate::client::{meanwhile, wait};
use crate::leftovers::eventually;
use crate::pod::World;
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(what_happens_is_told_in_its_order),
    story!(every_listener_is_told),
    story!(events_tell_the_state_of_the_pod),
    story!(a_listener_that_does_not_listen_holds_nobody_up),
];

struct Listener(Streaming<ContainerEventResponse>);

impl Listener {
    fn new(world: &World<'_>) -> Self {
        let mut client = world.client.runtime.clone();
        let call = meanwhile(async move { client.get_container_events(GetEventsRequest {}).await });
        // Some runtimes answer only with the first event: they are given one.
        eventually("a stream of events", || {
            let begun = wait(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                call.is_finished()
            });
            if !begun {
                drop(world.pod());
            }
            begun
        });
        Self(wait(call).unwrap().unwrap().into_inner())
    }

    /// The next event of one of these.
    #[track_caller]
    fn next(&mut self, ids: &[&str]) -> ContainerEventResponse {
        loop {
            let message =
                wait(async { tokio::time::timeout(Duration::from_secs(20), self.0.message()).await });
            let event = message.expect("an event in time").unwrap().expect("a stream that goes on");
            if ids.contains(&event.container_id.as_str()) {
                return event;
            }
        }
    }
}

fn what_happens_is_told_in_its_order(world: &World<'_>) {
    let mut listener = Listener::new(world);
    let pod = world.pod();
    let container = pod.idle();
    container.stop(0).unwrap();
    container.remove().unwrap();
    for expected in [
        ContainerEventType::ContainerCreatedEvent,
        ContainerEventType::ContainerStartedEvent,
        ContainerEventType::ContainerStoppedEvent,
        ContainerEventType::ContainerDeletedEvent,
    ] {
        let event = listener.next(&[&container.id]);
        assert_eq!(event.container_event_type(), expected);
        assert!(event.created_at > 0);
    }
    world.stop_pod(&pod.id).unwrap();
    world.remove_pod(&pod.id).unwrap();
    let mut kinds = Vec::new();
    while kinds.last() != Some(&ContainerEventType::ContainerDeletedEvent) {
        kinds.push(listener.next(&[&pod.id]).container_event_type());
    }
    assert!(kinds.contains(&ContainerEventType::ContainerStoppedEvent), "{kinds:?}");
}

fn every_listener_is_told(world: &World<'_>) {
    let mut listeners = [Listener::new(world), Listener::new(world)];
    let pod = world.pod();
    let container = pod.start("exit 3");
    for listener in &mut listeners {
        while listener.next(&[&container.id]).container_event_type()
            != ContainerEventType::ContainerStoppedEvent
        {}
    }
}

fn events_tell_the_state_of_the_pod(world: &World<'_>) {
    let mut listener = Listener::new(world);
    let pod = world.pod();
    let container = pod.start("exit 3");
    let event = loop {
        let event = listener.next(&[&container.id]);
        if event.container_event_type() == ContainerEventType::ContainerStoppedEvent {
            break event;
        }
    };
    let told = event.pod_sandbox_status.unwrap();
    assert_eq!((told.id.as_str(), told.state()), (pod.id.as_str(), PodSandboxState::SandboxReady));
    let [status] = event.containers_statuses.as_slice() else { panic!("{:?}", event.containers_statuses) };
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 3));
    assert_eq!(status.id, container.id);
}

fn a_listener_that_does_not_listen_holds_nobody_up(world: &World<'_>) {
    // Neither reads, and the connection is its own, so that its windows fill.
    let deaf = World::new(world.node, "deaf");
    let _deaf = [Listener::new(&deaf), Listener::new(&deaf)];
    let mut listener = Listener::new(world);
    let begin = Instant::now();
    let pod = world.pod_with(|config| {
        // Each event carries this along.
        config.annotations.insert("large".to_owned(), "x".repeat(200_000));
    });
    for _ in 0..10 {
        let container = pod.create("true", |_| {});
        container.remove().unwrap();
        let kind = listener.next(&[&container.id]).container_event_type();
        assert_eq!(kind, ContainerEventType::ContainerCreatedEvent);
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}
