//! What SPECIFICATION.md promises of the shim's size and speed, measured on the program as it is shipped.

use crate::world::{self, World};
use shim_api::{NewSandbox, Pins, Streams};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

/// Private and proportional memory of a process in KiB.
fn memory(pid: i32) -> (u64, u64) {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let sum = |wanted: &[&str]| {
        let lines = rollup.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    (sum(&["Private_Clean:", "Private_Dirty:"]), sum(&["Pss:"]))
}

/// Least and median, in milliseconds: other work on the machine makes rounds slower, never faster.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.1} ({:.1}) ms", milliseconds(times[0]), milliseconds(times[times.len() / 2]))
}

#[test]
fn the_shim_is_small_and_quick() {
    if !world::is_release() {
        println!("skipped: {} names no program that was built for release", world::SHIM);
        return;
    }
    world::test("figures", async |mut world: World| {
        let (mut ready, mut started, mut executed) = (Vec::new(), Vec::new(), Vec::new());
        let config = serde_json::json!({
            "ociVersion": "1.3.0", "hostname": "p",
            "linux": {"namespaces": [{"type": "ipc"}, {"type": "uts"}, {"type": "network"}]},
        });
        let mut sizes = Vec::new();
        for round in 0..ROUNDS {
            let name = format!("pod{round}");
            let bundle = world.bundle(&name, &config);
            let begun = Instant::now();
            let shim = world.shim(&name).await;
            let id = world.id(&name);
            shim.create_sandbox(&NewSandbox { id: id.clone(), bundle: bundle.clone(), ..Default::default() })
                .await
                .unwrap();
            shim.start_sandbox(&id).await.unwrap();
            ready.push(begun.elapsed());
            let container = format!("c{round}");
            let config = world.config_in(&container, "exec sleep 1000", &Pins::of(&bundle));
            let new = world.new_task(&container, &config, world.logged(&container));
            let begun = Instant::now();
            shim.create(&new).await.unwrap();
            shim.start_task(&new.id).await.unwrap();
            started.push(begun.elapsed());
            let begun = Instant::now();
            world.exec(&shim, &container, "x", "exit 0", Streams::default()).await;
            shim.wait(&new.id, Some("x")).await.unwrap();
            shim.delete(&new.id, Some("x")).await.unwrap();
            executed.push(begun.elapsed());
            sizes.push(shim.hello(&id).await.unwrap().shim_pid);
        }
        for pid in &sizes {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains("\nThreads:\t1\n"), "{status}");
        }
        let sizes: Vec<(u64, u64)> = sizes.into_iter().map(memory).collect();
        let private = sizes.iter().map(|(private, _)| *private).max().unwrap();
        let pss = sizes.iter().map(|(_, pss)| *pss).sum::<u64>() / sizes.len() as u64;
        let [ready, started, executed] = [ready, started, executed].map(figures);
        println!(
            "least (median): start to sandbox ready {ready}, create and start {started}, exec {executed}"
        );
        println!("private memory {private} KiB, proportional {pss} KiB");
        assert!(private <= 1536, "{private} KiB of private memory");
    });
}
