//! Containers and their processes, from creation to deletion.

use crate::world::{self, World};
use compute::Status;
use shim_api::{Event, Kind, Signal, Streams};

#[test]
fn a_container_lives_and_its_daemon_hears_of_it_in_order() {
    world::test("life", async |mut world: World| {
        world.bundle("a", &world.config("a", "echo out; echo err >&2; exit 7"));
        let shim = world.shim("a").await;
        let new =
            world.new_task("a", &world.config("a", "echo out; echo err >&2; exit 7"), world.logged("a"));
        let pid = shim.create(&new).await.unwrap();
        let id = world.id("a");
        assert_eq!(shim.state(&id, None).await.unwrap().status, Status::Created);
        assert_eq!(shim.create(&new).await.unwrap_err().kind(), Kind::AlreadyExists);
        assert_eq!(shim.start_task(&id).await.unwrap(), pid);
        let exited = shim.wait(&id, None).await.unwrap();
        assert_eq!(exited.code, 7);
        assert_eq!(world.log("a"), ["stdout F out", "stderr F err"]);
        let outcome = shim_api::outcome::Outcome::read(&new.bundle).unwrap().unwrap();
        assert_eq!((outcome.code, outcome.oom_killed), (7, false));
        let signal = Signal { number: 15, all: false };
        assert_eq!(shim.kill(&id, None, signal).await.unwrap_err().kind(), Kind::NotFound);
        let deleted = shim.delete(&id, None).await.unwrap();
        assert_eq!((deleted.pid, deleted.code, deleted.at), (pid, 7, exited.at));
        assert!(matches!(world.event("a").await, Event::Created { pid: told, .. } if told == pid));
        assert_eq!(world.event("a").await, Event::Started { id: id.clone(), pid });
        assert_eq!(
            world.event("a").await,
            Event::Exited { id: id.clone(), exec: None, pid, code: 7, at: exited.at }
        );
        assert_eq!(world.event("a").await, Event::Deleted { id: id.clone(), pid, code: 7, at: exited.at });
        assert_eq!(shim.state(&id, None).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(world.mounts(), Vec::<String>::new());
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
        shim.shutdown(&id, false).await.unwrap();
    });
}

#[test]
fn processes_are_added_signalled_and_removed() {
    world::test("exec", async |mut world: World| {
        let config = world.config("a", "sleep 1000");
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        world.run(&shim, "a", &config, Streams::default()).await;
        let id = world.id("a");
        world.exec(&shim, "a", "one", "echo hello; exit 3", world.logged("one")).await;
        assert_eq!(shim.wait(&id, Some("one")).await.unwrap().code, 3);
        assert_eq!(world.log("one"), ["stdout F hello"]);
        world.exec(&shim, "a", "two", "sleep 1000", Streams::default()).await;
        let refused = shim.delete(&id, Some("two")).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::FailedPrecondition);
        shim.kill(&id, Some("two"), Signal { number: 9, all: false }).await.unwrap();
        assert_eq!(shim.wait(&id, Some("two")).await.unwrap().code, 137);
        for exec in ["one", "two"] {
            shim.delete(&id, Some(exec)).await.unwrap();
            assert_eq!(shim.state(&id, Some(exec)).await.unwrap_err().kind(), Kind::NotFound);
        }
        assert_eq!(shim.delete(&id, None).await.unwrap_err().kind(), Kind::FailedPrecondition);
        assert_eq!(world.end(&shim, "a").await.code, 137);
        shim.shutdown(&id, false).await.unwrap();
    });
}

#[test]
fn a_container_is_frozen_measured_limited_and_listed() {
    world::test("verbs", async |mut world: World| {
        let config = world.config("a", "sleep 1000");
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let pid = world.run(&shim, "a", &config, Streams::default()).await;
        let id = world.id("a");
        shim.pause(&id).await.unwrap();
        assert_eq!(shim.state(&id, None).await.unwrap().status, Status::Paused);
        assert_eq!(shim.pause(&id).await.unwrap_err().kind(), Kind::FailedPrecondition);
        shim.resume(&id).await.unwrap();
        assert_eq!(shim.state(&id, None).await.unwrap().status, Status::Running);
        let metrics = shim.stats(&id).await.unwrap();
        assert!(metrics.pids.current >= 1 && metrics.memory.usage.usage > 0 && metrics.cpu.total > 0);
        let resources = serde_json::from_value(serde_json::json!({"pids": {"limit": 17}})).unwrap();
        shim.update(&id, &resources).await.unwrap();
        assert_eq!(shim.stats(&id).await.unwrap().pids.limit, 17);
        let exec = world.exec(&shim, "a", "x", "sleep 1000", Streams::default()).await;
        let mut pids = shim.pids(&id).await.unwrap();
        pids.sort_unstable_by_key(|entry| entry.pid);
        assert_eq!(pids.iter().map(|entry| entry.pid).collect::<Vec<_>>(), [pid, exec]);
        assert_eq!((pids[0].exec.as_deref(), pids[1].exec.as_deref()), (None, Some("x")));
        world.end(&shim, "a").await;
    });
}

#[test]
fn an_out_of_memory_kill_is_told_and_remembered() {
    world::test("oom", async |mut world: World| {
        let mut config =
            world.config("a", "head -c 200000000 /dev/zero | cat | { read -r line; }; sleep 1000");
        config["process"]["args"] = serde_json::json!(["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=300M"]);
        config["linux"]["resources"] = serde_json::json!({"memory": {"limit": 20 << 20}});
        let bundle = world.bundle("a", &config);
        let shim = world.shim("a").await;
        world.run(&shim, "a", &config, Streams::default()).await;
        let exited = shim.wait(&world.id("a"), None).await.unwrap();
        assert_eq!(exited.code, 137);
        assert!(shim_api::outcome::Outcome::read(&bundle).unwrap().unwrap().oom_killed);
        let mut events = Vec::new();
        while !matches!(events.last(), Some(Event::Exited { .. })) {
            events.push(world.event("a").await);
        }
        assert!(events.contains(&Event::Oom { id: world.id("a") }), "{events:?}");
        world.end(&shim, "a").await;
    });
}

/// Without a PID namespace of its own nothing else would end them.
#[test]
fn what_a_container_leaves_behind_ends_with_it() {
    world::test("left", async |mut world: World| {
        let mut config = world.config("a", "sleep 1000 & exec sleep 0.2");
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        world.run(&shim, "a", &config, Streams::default()).await;
        world.exec(&shim, "a", "x", "sleep 1000", Streams::default()).await;
        let id = world.id("a");
        assert_eq!(shim.wait(&id, None).await.unwrap().code, 0);
        // The first process is the last to be told of.
        assert_eq!(shim.state(&id, Some("x")).await.unwrap().exited.unwrap().0, 137);
        shim.delete(&id, None).await.unwrap();
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
    });
}

/// More layers than a page of options has room for, and names that options would misread.
#[test]
fn a_root_file_system_has_any_number_of_layers_and_mounts_below() {
    world::test("layers", async |mut world: World| {
        let config = world.config("a", "cat /which /below/file; touch /below/no || echo refused");
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let mut new = world.new_task("a", &config, world.logged("a"));
        let mut lower = Vec::new();
        for number in 0..80 {
            let layer = world.path(&format!("a layer: with a long name that has a comma or none {number}"));
            std::fs::create_dir_all(layer.join("below")).unwrap();
            std::fs::write(layer.join("which"), format!("{number}\n")).unwrap();
            lower.push(layer.display().to_string().replace(':', "\\:"));
        }
        lower.push(world.path("image").display().to_string());
        new.rootfs[0].options[0] = format!("lowerdir={}", lower.join(":"));
        let below = world.path("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("file"), "bound\n").unwrap();
        new.rootfs.push(compute::Mount {
            kind: "bind".into(),
            source: below.display().to_string(),
            target: "/below".into(),
            options: vec!["rbind".into(), "ro".into()],
        });
        shim.create(&new).await.unwrap();
        shim.start_task(&new.id).await.unwrap();
        shim.wait(&new.id, None).await.unwrap();
        let log = world.log("a");
        assert_eq!(log[..2], ["stdout F 0", "stdout F bound"], "{log:?}");
        assert_eq!(log.last().unwrap(), "stdout F refused");
        world.end(&shim, "a").await;
        assert_eq!(world.mounts(), Vec::<String>::new());
        // A mount that fails takes those before it away again.
        new.rootfs[1].source = "/nowhere/at/all".into();
        assert_eq!(shim.create(&new).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(world.mounts(), Vec::<String>::new());
    });
}

#[test]
fn a_container_is_written_to_disk_and_brought_back() {
    if !std::process::Command::new("criu").arg("check").output().is_ok_and(|done| done.status.success()) {
        println!("skipped: needs criu, and a kernel that it can work with");
        return;
    }
    world::test("criu", async |mut world: World| {
        let script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";
        let config = world.config("a", script);
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let new = world.new_task("a", &config, world.logged("a"));
        shim.create(&new).await.unwrap();
        shim.start_task(&new.id).await.unwrap();
        while world.log("a").len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let image = world.path("checkpoint");
        std::fs::create_dir(&image).unwrap();
        let request = shim_api::Checkpoint { path: image.clone(), exit: true, ..Default::default() };
        shim.checkpoint(&new.id, &request).await.unwrap();
        shim.wait(&new.id, None).await.unwrap();
        shim.delete(&new.id, None).await.unwrap();
        let before = world.log("a").len();
        let again = shim_api::NewTask { checkpoint: Some(image), ..new.clone() };
        assert_eq!(shim.create(&again).await.unwrap(), 0);
        assert_eq!(shim.state(&new.id, None).await.unwrap().status, Status::Created);
        let pid = shim.start_task(&new.id).await.unwrap();
        assert!(pid > 0);
        while world.log("a").len() < before + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        // It goes on counting where it was.
        let counted: Vec<u32> =
            world.log("a").iter().map(|line| line.trim_start_matches("stdout F ").parse().unwrap()).collect();
        assert!(counted.windows(2).all(|pair| pair[1] > pair[0]), "{counted:?}");
        world.end(&shim, "a").await;
    });
}
