//! Plugins made of the interface's own library, against this crate: what they see, what becomes of what they want, and
//! what becomes of those that fail.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod world;

use nri::api::{ContainerAdjustment, KeyValue, LinuxResources, Mount};
use nri::{ContainerEvent, PodEvent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use world::{World, container, pod, program, soon};

fn text(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", text(cause)),
        None => error.to_string(),
    }
}

fn variable(name: &str, value: &str) -> KeyValue {
    KeyValue { key: name.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn a_plugin_is_told_the_whole_story() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let mut plugin = world.join("10-log", &[]).await;
    let plugins = &world.plugins;
    plugins.tell_pod(PodEvent::Run, pod("p3")).await.unwrap();
    let wanted = plugins.create_container(pod("p3"), container("c3")).await.unwrap();
    assert_eq!(wanted.adjustment, ContainerAdjustment::default());
    for event in [
        ContainerEvent::PostCreate,
        ContainerEvent::Start,
        ContainerEvent::PostStart,
        ContainerEvent::PostUpdate,
    ] {
        plugins.tell_container(event, pod("p3"), container("c3")).await.unwrap();
    }
    let limits = LinuxResources { unified: [("a".to_owned(), "b".to_owned())].into(), ..Default::default() };
    let updated = plugins.update_container(pod("p3"), container("c3"), limits.clone()).await.unwrap();
    assert_eq!(updated.limits, limits);
    plugins.update_pod(pod("p3"), None, Some(limits)).await.unwrap();
    plugins.tell_pod(PodEvent::PostUpdate, pod("p3")).await.unwrap();
    assert_eq!(plugins.stop_container(pod("p3"), container("c3")).await.unwrap(), []);
    plugins.tell_container(ContainerEvent::Remove, pod("p3"), container("c3")).await.unwrap();
    plugins.tell_pod(PodEvent::Stop, pod("p3")).await.unwrap();
    plugins.tell_pod(PodEvent::Remove, pod("p3")).await.unwrap();
    plugins.shut_down().await;
    for expected in [
        "RunPodSandbox p3",
        "CreateContainer p3/c3",
        "PostCreateContainer p3/c3",
        "StartContainer p3/c3",
        "PostStartContainer p3/c3",
        "PostUpdateContainer p3/c3",
        "UpdateContainer p3/c3",
        "UpdatePodSandbox p3",
        "PostUpdatePodSandbox p3",
        "StopContainer p3/c3",
        "RemoveContainer p3/c3",
        "StopPodSandbox p3",
        "RemovePodSandbox p3",
        "Shutdown",
        "Closed",
    ] {
        assert_eq!(plugin.line().await, expected);
    }
}

#[tokio::test]
async fn what_plugins_want_is_put_together_in_their_order() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    // The one that is asked last comes first.
    let late = ["-env", "B=2", "-annotation", "-old", "-mount", "/b:/mnt/b", "-memory", "4096"];
    let _late = world.join("20-late", &late).await;
    let _early =
        world.join("10-early", &["-env", "A=1", "-annotation", "new=1", "-mount", "/a:/mnt/a"]).await;
    let wanted = world.plugins.create_container(pod("p1"), container("c2")).await.unwrap();
    let adjustment = wanted.adjustment;
    assert_eq!(adjustment.env, [variable("A", "1"), variable("B", "2")]);
    let annotations: Vec<_> =
        adjustment.annotations.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(annotations, ["-old=", "new=1"]);
    let mounts: Vec<&str> =
        adjustment.mounts.iter().map(|mount: &Mount| mount.destination.as_str()).collect();
    assert_eq!(mounts, ["/mnt/a", "/mnt/b"]);
    let memory = adjustment.linux.unwrap().resources.unwrap().memory.unwrap();
    assert_eq!(memory.limit.unwrap().value, 4096);
}

#[tokio::test]
async fn two_plugins_that_set_the_same_thing_are_named() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let _one = world.join("10-one", &["-env", "A=1"]).await;
    let _other = world.join("20-other", &["-env", "A=2"]).await;
    let error = world.plugins.create_container(pod("p1"), container("c2")).await.unwrap_err();
    assert_eq!(text(&error), "plugins 20-other and 10-one both set Env \"A\" of container c2");
}

#[tokio::test]
async fn a_plugins_no_is_the_answer_and_later_ones_are_not_asked() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let _no = world.join("10-no", &["-refuse", "RunPodSandbox"]).await;
    let mut later = world.join("20-later", &[]).await;
    let error = world.plugins.tell_pod(PodEvent::Run, pod("p3")).await.unwrap_err();
    assert_eq!(text(&error), "plugin 10-no refused RunPodSandbox: not on my watch");
    // It stays, and both are asked the next thing.
    world.plugins.tell_pod(PodEvent::Stop, pod("p3")).await.unwrap();
    assert_eq!(later.line().await, "StopPodSandbox p3");
}

#[tokio::test]
async fn a_plugin_that_hangs_or_dies_is_left_behind() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let mut hangs = world.join("10-hangs", &["-hang", "StartContainer"]).await;
    let mut dies = world.join("20-dies", &["-die", "StartContainer"]).await;
    let mut lives = world.join("30-lives", &[]).await;
    let start = || world.plugins.tell_container(ContainerEvent::Start, pod("p1"), container("c1"));
    start().await.unwrap();
    assert_eq!(lives.line().await, "StartContainer p1/c1");
    assert_eq!(hangs.line().await, "StartContainer p1/c1");
    // Its connection ends, which it sees.
    assert_eq!(hangs.line().await, "Closed");
    assert_eq!(dies.line().await, "StartContainer p1/c1");
    assert_eq!(soon(dies.child.wait()).await.unwrap().code(), Some(7));
    // Nobody waits for them again.
    let began = std::time::Instant::now();
    start().await.unwrap();
    assert_eq!(lives.line().await, "StartContainer p1/c1");
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_happens_while_a_plugin_looks_at_what_there_is() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let mut plugin = world.start("10-slow", &["-hold"]);
    plugin.line().await;
    assert_eq!(plugin.line().await, "Synchronize p1 p1/c1 p2");
    let verb = async {
        let _block = world.plugins.verb().await;
        world.plugins.tell_pod(PodEvent::Run, pod("p3")).await
    };
    tokio::pin!(verb);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut verb).await;
    assert!(early.is_err(), "the verb did not wait");
    plugin.nudge().await;
    soon(verb).await.unwrap();
    assert_eq!(plugin.line().await, "RunPodSandbox p3");
}

#[tokio::test]
async fn what_is_too_much_for_one_message_is_shown_in_parts() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let long = "x".repeat(3000);
    let many = (0..3000).map(|n| nri::api::Container { name: long.clone(), ..container(&format!("c{n}")) });
    *world.contents.containers.lock().unwrap() = many.collect();
    let mut plugin = world.start("10-log", &[]);
    plugin.line().await;
    assert_eq!(plugin.line().await, "Synchronize 2 pods 3000 containers");
    // And one event that is longer than its reader's buffer.
    drop(world.plugins.verb().await);
    let large = nri::api::Container { name: "y".repeat(3_000_000), ..container("large") };
    world.plugins.tell_container(ContainerEvent::Start, pod("p1"), large).await.unwrap();
    assert_eq!(plugin.line().await, "StartContainer p1/large");
}

#[tokio::test]
async fn plugins_change_limits_of_containers_whenever_they_want() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let mut plugin = world.join("10-limits", &["-update", "c1", "-memory", "8192"]).await;
    plugin.nudge().await;
    assert_eq!(world.update().await, ("c1".to_owned(), 8192));
    assert_eq!(plugin.line().await, "Updated 0 failed <nil>");
    let wanted = world.plugins.stop_container(pod("p2"), container("c9")).await.unwrap();
    assert_eq!(wanted[0].container_id, "c1");
    let updated =
        world.plugins.update_container(pod("p1"), container("c1"), LinuxResources::default()).await.unwrap();
    assert_eq!(updated.limits.memory.unwrap().limit.unwrap().value, 8192);
    assert_eq!(updated.updates, []);
}

#[tokio::test]
async fn installed_plugins_are_started_with_their_configuration() {
    let Some(_) = program() else { return };
    let logs = tempfile::tempdir().unwrap();
    let log = |name: &str| logs.path().join(name);
    let world = World::with(
        &[
            ("05-one", format!("-log {} -env ONE=1", log("one").display())),
            ("06-hangs", format!("-log {} -hang Synchronize", log("hangs").display())),
            ("07-two", format!("-log {} -env TWO=2", log("two").display())),
        ],
        &[],
    )
    .await;
    let wanted = world.plugins.create_container(pod("p1"), container("c2")).await.unwrap();
    assert_eq!(wanted.adjustment.env, [variable("ONE", "1"), variable("TWO", "2")]);
    let said = std::fs::read_to_string(log("one")).unwrap();
    assert_eq!(said, "Configure test 1.2.3\nSynchronize p1 p1/c1 p2\nCreateContainer p1/c2\n");
    world.plugins.shut_down().await;
    assert!(!world.plugins.wants_pod(PodEvent::Run));
    assert!(world.file("nri.sock").exists());
}

#[tokio::test]
async fn a_plugin_may_judge_what_others_want() {
    let Some(_) = program() else { return };
    let world = World::new().await;
    let _judge = world.join("00-judge", &["-judge", "SECRET"]).await;
    let _sets = world.join("10-sets", &["-env", "SECRET=1"]).await;
    let error = world.plugins.create_container(pod("p1"), container("c2")).await.unwrap_err();
    assert!(
        text(&error).starts_with("plugin 00-judge refused ValidateContainerAdjustment: "),
        "{}",
        text(&error)
    );
    assert!(text(&error).contains("10-sets has set SECRET"), "{}", text(&error));
}

#[tokio::test]
async fn whoever_sends_rubbish_is_disconnected_and_the_next_one_is_taken() {
    let Some(_) = program() else { return };
    let world = World::with(&[], &["log"]).await;
    let missing = world.plugins.check_required().unwrap_err();
    assert_eq!(text(&missing), "plugin log is required and not connected");
    let mut rubbish = tokio::net::UnixStream::connect(world.socket()).await.unwrap();
    rubbish.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(rubbish.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    // Neither does one that says nothing keep others out.
    let _silent = tokio::net::UnixStream::connect(world.socket()).await.unwrap();
    let _plugin = world.join("10-log", &[]).await;
    world.plugins.check_required().unwrap();
}
