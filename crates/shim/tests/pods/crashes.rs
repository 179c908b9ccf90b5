//! Ends that nobody asked for: of the shim, of the daemon, of both; and what is known afterwards.

use crate::world::{self, World};
use shim_api::outcome::Outcome;
use shim_api::{Event, Shim, Streams};

fn kill(pid: i32) {
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nothing_stays_of_a_pod_whose_shim_was_killed() {
    world::test("kill", async |mut world: World| {
        let (shim, pins) = world
            .pod(|config| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
                namespaces.push(serde_json::json!({"type": "pid"}));
            })
            .await;
        let reaper = shim.sandbox_status(&world.id("pod"), false).await.unwrap().pid;
        let mut config = world.config_in("a", "sleep 1000", &pins);
        config["linux"]["namespaces"][0] = serde_json::json!({"type": "pid", "path": pins.pid()});
        let pid = world.run(&shim, "a", &config, world.logged("a")).await;
        kill(shim.hello(&world.id("a")).await.unwrap().shim_pid);
        assert!(shim.ping_sandbox(&world.id("pod")).await.is_err());
        assert!(is_alive(pid) && is_alive(reaper));
        let reaped = world.launch("a").delete().await.unwrap();
        assert_eq!((reaped.exited.pid, reaped.exited.code), (pid, 137));
        assert!(!is_alive(pid));
        world.launch("pod").delete().await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
        while is_alive(reaper) {
            tokio::task::yield_now().await;
        }
        // Once more does no harm.
        world.launch("a").delete().await.unwrap();
        world.launch("pod").delete().await.unwrap();
    });
}

/// The daemon was away when the container ended, and so was the shim when the daemon came back.
#[test]
fn how_a_container_ended_outlives_the_shim() {
    world::test("outcome", async |mut world: World| {
        let config = world.config("a", "exit 42");
        let bundle = world.bundle("a", &config);
        let shim = world.shim("a").await;
        world.run(&shim, "a", &config, Streams::default()).await;
        let exited = shim.wait(&world.id("a"), None).await.unwrap();
        kill(shim.hello(&world.id("a")).await.unwrap().shim_pid);
        assert_eq!(Outcome::read(&bundle).unwrap().unwrap().code, 42);
        let reaped = world.launch("a").delete().await.unwrap();
        assert_eq!((reaped.exited.code, reaped.exited.at), (42, exited.at));
        assert_eq!(world.mounts(), Vec::<String>::new());
    });
}

/// The pod does not notice that its daemon is gone; the next one learns everything.
#[test]
fn a_new_daemon_finds_the_shim_and_its_events() {
    world::test("again", async |mut world: World| {
        let config = world.config("a", "read word; exit 5");
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let address = shim.address().to_owned();
        let stdin = world.fifo("in");
        let streams = Streams { stdin: stdin.display().to_string(), ..Streams::default() };
        world.run(&shim, "a", &config, streams).await;
        let id = world.id("a");
        assert!(matches!(world.event("a").await, Event::Created { .. }));
        assert!(matches!(world.event("a").await, Event::Started { .. }));
        drop(shim);
        world.lose_events().await;
        std::fs::write(&stdin, "go\n").unwrap();
        let shim = Shim::connect(&address).await.unwrap();
        let exited = shim.wait(&id, None).await.unwrap();
        assert_eq!(exited.code, 5);
        world.find_events().await;
        let told = world.event("a").await;
        assert!(matches!(told, Event::Exited { code: 5, at, .. } if at == exited.at), "{told:?}");
        // A second start for the same container finds the shim that is there.
        let same = Shim::start(&world.launch("a")).await.unwrap();
        assert_eq!(same.address(), address);
        same.delete(&id, None).await.unwrap();
        same.shutdown(&id, false).await.unwrap();
    });
}

#[test]
fn a_failed_creation_leaves_nothing() {
    world::test("failed", async |mut world: World| {
        let good = world.config("a", "true");
        world.bundle("a", &good);
        let shim = world.shim("a").await;
        let mut missing = good.clone();
        missing["process"]["args"] = serde_json::json!(["/bin/missing"]);
        let mut broken = good.clone();
        broken["mounts"][0]["source"] = "/nowhere/at/all".into();
        broken["mounts"][0]["type"] = "bind".into();
        broken["mounts"][0]["options"] = serde_json::json!(["bind"]);
        for (what, config) in [("missing", missing), ("broken", broken)] {
            let created = shim.create(&world.new_task("a", &config, Streams::default())).await;
            if created.is_ok() {
                shim.start_task(&world.id("a")).await.unwrap_err();
                world.end(&shim, "a").await;
            }
            assert_eq!(world.mounts(), Vec::<String>::new(), "{what}");
            assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new(), "{what}");
        }
        world.run(&shim, "a", &good, Streams::default()).await;
        assert_eq!(shim.wait(&world.id("a"), None).await.unwrap().code, 0);
        world.end(&shim, "a").await;
        // A process that cannot be run can be waited for and removed like another.
        let config = world.config("b", "sleep 1000");
        world.run(&shim, "b", &config, Streams::default()).await;
        let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/missing"]});
        let new = shim_api::NewProcess {
            id: world.id("b"),
            exec_id: "x".into(),
            process: serde_json::from_value(process).unwrap(),
            streams: Streams::default(),
        };
        shim.exec(&new).await.unwrap();
        let refused = shim.start_process(&world.id("b"), "x").await.unwrap_err();
        assert!(format!("{:?}", refused).contains("/bin/missing"), "{refused:?}");
        assert_eq!(shim.wait(&world.id("b"), Some("x")).await.unwrap().code, 255);
        shim.delete(&world.id("b"), Some("x")).await.unwrap();
        world.end(&shim, "b").await;
    });
}

/// A daemon that is killed while it starts a shim has said nothing yet, and reads nothing any more.
#[test]
fn a_shim_that_nobody_waits_for_does_not_stay() {
    world::test("nobody", async |world: World| {
        world.bundle("a", &world.config("a", "true"));
        let launch = world.launch("a");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(&launch.program);
        command.args(["-namespace", "test", "-id", &launch.id, "-address"]).arg(&launch.events);
        command.arg("-bundle").arg(&launch.bundle).arg("start");
        let status = command.stdin(std::process::Stdio::null()).stdout(writer).status().unwrap();
        assert!(!status.success());
        let is_there = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            all.map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
                .any(|line| String::from_utf8_lossy(&line).contains(&launch.id))
        };
        while is_there() {
            tokio::task::yield_now().await;
        }
    });
}

/// Where the daemon has said that sockets are to be, one is removed too.
#[test]
fn the_socket_of_a_dead_shim_is_removed() {
    world::test("socket", async |mut world: World| {
        world.bundle("a", &world.config("a", "true"));
        let shim = world.shim("a").await;
        let sockets = || std::fs::read_dir(world.path("s")).unwrap().count();
        assert_eq!(sockets(), 1);
        kill(shim.hello(&world.id("a")).await.unwrap().shim_pid);
        world.launch("a").delete().await.unwrap();
        assert_eq!(sockets(), 0);
    });
}
