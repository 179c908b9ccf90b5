//! Pods: what their containers share, and that nothing of them stays.

use crate::world::{self, World};
use serde_json::json;
use std::time::Duration;

#[test]
fn containers_of_a_pod_share_names_and_ipc_and_nothing_stays() {
    world::test("share", async |mut world: World| {
        let (shim, pins) = world.pod(|_| {}).await;
        let status = shim.sandbox_status(&world.id("pod"), true).await.unwrap();
        assert!(status.ready && status.pid > 0);
        for name in ["a", "b"] {
            let script = "hostname; readlink /proc/self/ns/ipc; readlink /proc/self/ns/net";
            let config = world.config_in(name, script, &pins);
            world.run(&shim, name, &config, world.logged(name)).await;
            assert_eq!(shim.wait(&world.id(name), None).await.unwrap().code, 0);
            shim.delete(&world.id(name), None).await.unwrap();
        }
        let (a, b) = (world.log("a"), world.log("b"));
        assert_eq!(a[0], "stdout F podname");
        assert_eq!(a, b);
        let host = std::fs::read_link("/proc/self/ns/ipc").unwrap();
        assert_ne!(a[1], format!("stdout F {}", host.display()));
        shim.stop_sandbox(&world.id("pod"), Duration::ZERO).await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
        assert!(!shim.sandbox_status(&world.id("pod"), false).await.unwrap().ready);
        shim.shutdown_sandbox(&world.id("pod")).await.unwrap();
    });
}

#[test]
fn a_pod_with_a_pid_namespace_has_a_first_process_that_reaps() {
    world::test("pid", async |mut world: World| {
        let (shim, pins) = world
            .pod(|config| {
                config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid"}));
            })
            .await;
        let mut config = world.config_in("a", "ps; sleep 0.01 & exec sleep 1000", &pins);
        config["linux"]["namespaces"][0] = json!({"type": "pid", "path": pins.pid()});
        world.run(&shim, "a", &config, world.logged("a")).await;
        world.exec(&shim, "a", "x", "ls /proc/1/root/ /proc/1/fd; echo end", world.logged("x")).await;
        shim.wait(&world.id("a"), Some("x")).await.unwrap();
        // Nothing of the host can be reached through it.
        let empty = ["stdout F /proc/1/fd:", "stdout F ", "stdout F /proc/1/root/:", "stdout F end"];
        assert_eq!(world.log("x"), empty);
        assert!(world.log("a")[1].contains("runhcs-reaper"), "{:?}", world.log("a"));
        world.end(&shim, "a").await;
        shim.shutdown_sandbox(&world.id("pod")).await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
    });
}
