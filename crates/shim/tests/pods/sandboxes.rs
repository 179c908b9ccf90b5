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
        assert!(world.log("a")[1].contains("pause"), "{:?}", world.log("a"));
        world.end(&shim, "a").await;
        shim.shutdown_sandbox(&world.id("pod")).await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
    });
}

/// Everything of the pod belongs to its users, as the containers see it and as the host does.
#[test]
fn a_pod_with_users_of_its_own() {
    world::test("users", async |mut world: World| {
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let (shim, pins) = world
            .pod(|config| {
                config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
                config["linux"]["uidMappings"] = maps.clone();
                config["linux"]["gidMappings"] = maps.clone();
                config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "77"});
            })
            .await;
        let script = "cat /proc/self/uid_map; sysctl -n net.ipv4.ip_forward kernel.shmmni; echo x >/file";
        let mut config = world.config_in("a", script, &pins);
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user", "path": pins.user()}));
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps.clone();
        let mut new = world.new_task("a", &config, world.logged("a"));
        let mapped = ["uidmap=0:100000:65536", "gidmap=0:100000:65536"].map(ToOwned::to_owned);
        new.rootfs[0].options.extend(mapped);
        for layer in ["upper", "work"] {
            std::os::unix::fs::chown(world.path(&format!("a-{layer}")), Some(100_000), Some(100_000))
                .unwrap();
        }
        for folder in ["", "a", "image"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(world.path(folder), mode).unwrap();
        }
        shim.create(&new).await.unwrap();
        shim.start_task(&world.id("a")).await.unwrap();
        assert_eq!(shim.wait(&world.id("a"), None).await.unwrap().code, 0, "{:?}", world.log("a"));
        let log = world.log("a");
        assert!(log[0].split_whitespace().eq(["stdout", "F", "0", "100000", "65536"]), "{log:?}");
        assert_eq!(log[1..], ["stdout F 1", "stdout F 77"]);
        let written = std::fs::metadata(world.path("a-upper/file")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&written), 100_000);
        world.end(&shim, "a").await;
        shim.shutdown_sandbox(&world.id("pod")).await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
    });
}

#[test]
fn what_a_pod_cannot_be_is_refused_and_leaves_nothing() {
    world::test("refused", async |mut world: World| {
        world.bundle("pod", &json!({"ociVersion": "1.3.0"}));
        let shim = world.shim("pod").await;
        let bundle = world.path("pod");
        let id = world.id("pod");
        let wrong = [
            (json!({"hostname": "x"}), "no UTS namespace"),
            (json!({"linux": {"namespaces": [{"type": "time"}]}}), "Time namespace"),
            (json!({"linux": {"namespaces": [{"type": "ipc", "path": "/x"}]}}), "another's"),
            (json!({"linux": {"namespaces": [{"type": "user"}]}}), "no id mappings"),
            (json!({"linux": {"sysctl": {"kernel.shmmni": "1"}}}), "kernel.shmmni"),
        ];
        for (mut config, says) in wrong {
            config["ociVersion"] = "1.3.0".into();
            world.bundle("pod", &config);
            let new = shim_api::NewSandbox { id: id.clone(), bundle: bundle.clone(), ..Default::default() };
            let refused = shim.create_sandbox(&new).await.unwrap_err();
            assert_eq!(refused.kind(), shim_api::Kind::InvalidArgument, "{refused:?}");
            assert!(format!("{refused:?}").contains(says), "{refused:?}");
        }
        let impossible = json!({"ociVersion": "1.3.0", "linux": {
            "namespaces": [{"type": "network"}, {"type": "ipc"}],
            "sysctl": {"net.there.is.no.such": "1"},
            "cgroupsPath": format!("/{}", world.id("pod")),
        }});
        world.bundle("pod", &impossible);
        let new = shim_api::NewSandbox { id: id.clone(), bundle: bundle.clone(), ..Default::default() };
        shim.create_sandbox(&new).await.unwrap();
        shim.start_sandbox(&id).await.unwrap_err();
        assert_eq!(world.mounts(), Vec::<String>::new());
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
        shim.shutdown_sandbox(&id).await.unwrap();
    });
}

/// Everything that runs is ended, also what is frozen, and what was added to a container that was never started.
#[test]
fn a_pod_is_stopped_whatever_its_containers_are_at() {
    world::test("stop", async |mut world: World| {
        let (shim, pins) = world.pod(|_| {}).await;
        for name in ["run", "frozen", "made"] {
            let config = world.config_in(name, "sleep 1000", &pins);
            shim.create(&world.new_task(name, &config, world.logged(name))).await.unwrap();
            if name != "made" {
                shim.start_task(&world.id(name)).await.unwrap();
            }
            world.exec(&shim, name, "x", "sleep 1000", shim_api::Streams::default()).await;
        }
        shim.pause(&world.id("frozen")).await.unwrap();
        // This one is removed by itself.
        shim.delete(&world.id("made"), None).await.unwrap();
        let waiting = shim.clone();
        let pod = world.id("pod");
        let waiter = tokio::spawn(async move { waiting.wait_sandbox(&pod).await });
        let begun = std::time::Instant::now();
        shim.stop_sandbox(&world.id("pod"), Duration::ZERO).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(waiter.await.unwrap().unwrap().0, 0);
        for name in ["run", "frozen"] {
            assert_eq!(shim.wait(&world.id(name), None).await.unwrap().code, 137);
        }
        shim.stop_sandbox(&world.id("pod"), Duration::ZERO).await.unwrap();
        shim.shutdown_sandbox(&world.id("pod")).await.unwrap();
        assert_eq!(world.mounts(), Vec::<String>::new());
        assert_eq!(world.cgroups(), Vec::<std::path::PathBuf>::new());
    });
}
