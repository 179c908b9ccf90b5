//! What attaching costs beyond the plugins themselves. Told only when it is asked for:
//! `cargo test --release -p network --test stories -- figures`

use crate::recorder::{Recorder, pod};
use crate::{Place, Story, wait};
use network::{Attachment, netns};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn stories() -> Vec<Story> {
    vec![Story { name: "figures", place: Place::Asked, tell: figures }]
}

const ROUNDS: u32 = 200;

fn figures() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("netns");
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        netns::create(&path).unwrap();
        netns::remove(&path).unwrap();
    }
    println!("make and remove a namespace: {:?}", begun.elapsed() / ROUNDS);
    own_time();
    with_real_plugins();
}

/// Two plugins that are the smallest programs there are, run by us and run by hand.
fn own_time() {
    let recorder = Recorder::new(&[]);
    for plugin in ["a", "b"] {
        // It copies what it reads, which is no answer, but its question has all an answer may have.
        symlink("/bin/cat", recorder.path("bin").join(plugin)).unwrap();
    }
    recorder
        .configure(&json!({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "a"}, {"type": "b"}]}));
    let cni = recorder.cni();
    let (ours, by_hand) = wait(async {
        cni.add(&pod("p")).await.unwrap();
        let (mut ours, mut by_hand) = (Duration::ZERO, Duration::ZERO);
        for round in 0..ROUNDS {
            let pod = pod(&format!("p{round}"));
            let begun = Instant::now();
            cni.add(&pod).await.unwrap();
            ours += begun.elapsed();
            let begun = Instant::now();
            for plugin in ["a", "b"] {
                run(&recorder.path("bin").join(plugin));
            }
            by_hand += begun.elapsed();
        }
        (ours / ROUNDS, by_hand / ROUNDS)
    });
    println!(
        "chain of two trivial plugins: {ours:?}, the same programs run one after the other: {by_hand:?}"
    );
}

fn run(plugin: &Path) {
    let mut child = Command::new(plugin).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{}").unwrap();
    child.wait_with_output().unwrap();
}

fn with_real_plugins() {
    let Some(plugins) = crate::real::plugins() else { return };
    let node = crate::real::Node::new(plugins);
    let portmap = json!({"type": "portmap", "snat": true, "capabilities": {"portMappings": true}});
    node.configure("1.0.0", &[portmap]);
    let cni = node.cni();
    let (mut adding, mut deleting) = (Duration::ZERO, Duration::ZERO);
    let rounds = 20;
    wait(async {
        for round in 0..=rounds {
            let pod: Attachment = node.pod(&format!("p{round}"));
            let begun = Instant::now();
            cni.add(&pod).await.unwrap();
            let added = begun.elapsed();
            let begun = Instant::now();
            cni.del(&pod).await.unwrap();
            // The first asks for versions.
            if round > 0 {
                adding += added;
                deleting += begun.elapsed();
            }
            netns::remove(&pod.netns).unwrap();
        }
    });
    println!("bridge, host-local, portmap: add {:?}, del {:?}", adding / rounds, deleting / rounds);
}
