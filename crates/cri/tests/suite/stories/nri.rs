//! Plugins of the Node Resource Interface: what they see of a client's calls, and what a client sees of what they want.
//!
//! The plugin is a program made of the interface's own library; what it says is compared line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cri::wire::v1::{
    ListContainersRequest, ListPodSandboxRequest, PodSandboxState, UpdateContainerResourcesRequest,
    UpdatePodSandboxResourcesRequest,
};

use crate::node::Node;
use crate::pod::{Pod, World, namespaces};
use crate::story::{Story, alone, skip};

pub(crate) const STORIES: &[Story] = &[
    alone!(a_plugin_is_told_of_everything_once_and_in_order),
    alone!(a_container_has_what_a_plugin_wants),
    alone!(a_plugins_no_leaves_nothing_behind),
    alone!(a_pod_that_a_plugin_is_asked_about_is_not_there_yet),
    alone!(no_container_is_lost_while_a_plugin_comes),
    alone!(a_plugin_that_dies_or_hangs_stops_nobody),
];

/// How long a line of a plugin may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nri/tests/go-plugin");
        let program = std::env::current_exe().unwrap().with_file_name("cofferdam-nri-plugin-of-suite");
        let mut go = Command::new("go");
        go.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(source);
        let built = go.env("GOWORK", "off").env("GOFLAGS", "-mod=readonly").output();
        let output = built.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        // Whatever is wrong with our own program is no reason to skip.
        assert!(!text.contains("main.go:"), "{text}");
        if output.status.success() { Ok(program) } else { Err(text) }
    });
    // The suite has no network: its modules have to be there.
    built.as_deref().unwrap_or_else(|text| skip(format!("the plugin cannot be built: {text}")))
}

struct Plugin {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Plugin {
    fn start(node: &Node, name: &str, flags: &[&str]) -> Self {
        let (index, name) = name.split_once('-').unwrap();
        let mut child = Command::new(program())
            .args(["-index", index, "-name", name, "-socket"])
            .arg(node.path("nri.sock"))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Nobody may be left to hear it.
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let plugin = Self { child, input, lines };
        assert!(plugin.line().starts_with("Configure cofferdam "));
        plugin
    }

    /// One that has looked at what there is, and is told what changes.
    fn join(node: &Node, name: &str, flags: &[&str]) -> Self {
        let plugin = Self::start(node, name, flags);
        assert!(plugin.line().starts_with("Synchronize"));
        plugin
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the plugin is told")
    }

    #[track_caller]
    fn says(&self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.line(), *expected);
        }
    }
}

/// A pod of the host's network: no other plugins are needed.
fn pod<'a>(world: &'a World<'_>) -> Pod<'a> {
    world.pod_with(|config| namespaces(config).set_network(cri::wire::v1::NamespaceMode::Node))
}

fn a_plugin_is_told_of_everything_once_and_in_order(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    let plugin = Plugin::join(node, "10-log", &[]);
    let pod = pod(&world);
    let container = pod.idle();
    let (p, c) = (&pod.id, format!("{}/{}", pod.id, container.id));
    let limits = cri::wire::v1::LinuxContainerResources { cpu_shares: 200, ..Default::default() };
    let request = UpdateContainerResourcesRequest {
        container_id: container.id.clone(),
        linux: Some(limits.clone()),
        ..Default::default()
    };
    world.client.update_container_resources(request).unwrap();
    let request = UpdatePodSandboxResourcesRequest {
        pod_sandbox_id: pod.id.clone(),
        resources: Some(limits),
        ..Default::default()
    };
    world.client.update_pod_sandbox_resources(request).unwrap();
    for _ in 0..2 {
        container.stop(1).unwrap();
    }
    for _ in 0..2 {
        container.remove().unwrap();
    }
    // One that ends by itself, and one that never runs.
    let short = pod.start("exit 3");
    short.exited();
    let never = pod.create("true", |_| {});
    for _ in 0..2 {
        world.stop_pod(&pod.id).unwrap();
    }
    short.remove().unwrap();
    never.remove().unwrap();
    for _ in 0..2 {
        world.remove_pod(&pod.id).unwrap();
    }
    let lives = |container: &str, calls: &[&str]| -> Vec<String> {
        calls.iter().map(|call| format!("{call} {container}")).collect()
    };
    let begins = ["CreateContainer", "PostCreateContainer", "StartContainer", "PostStartContainer"];
    let mut expected = vec![format!("RunPodSandbox {p}")];
    expected.extend(lives(&c, &begins));
    expected.extend(lives(&c, &["UpdateContainer", "PostUpdateContainer"]));
    expected.extend(lives(p, &["UpdatePodSandbox", "PostUpdatePodSandbox"]));
    expected.extend(lives(&c, &["StopContainer", "RemoveContainer"]));
    expected.extend(lives(&format!("{p}/{}", short.id), &begins));
    expected.extend(lives(&format!("{p}/{}", short.id), &["StopContainer"]));
    expected.extend(lives(&format!("{p}/{}", never.id), &begins[..2]));
    expected.push(format!("StopPodSandbox {p}"));
    expected.extend(lives(&format!("{p}/{}", short.id), &["RemoveContainer"]));
    expected.extend(lives(&format!("{p}/{}", never.id), &["StopContainer", "RemoveContainer"]));
    expected.push(format!("RemovePodSandbox {p}"));
    plugin.says(&expected.iter().map(String::as_str).collect::<Vec<_>>());
}

fn a_container_has_what_a_plugin_wants(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    std::fs::create_dir_all(node.path("wanted")).unwrap();
    std::fs::write(node.path("wanted/file"), "from a plugin").unwrap();
    let mount = format!("{}:/mnt/wanted", node.path("wanted").display());
    let flags = ["-env", "WANTED=1", "-mount", &mount, "-device", "/dev/wanted:1:5", "-memory", "33554432"];
    let _plugin = Plugin::join(node, "10-wants", &flags);
    let _other = Plugin::join(node, "20-other", &["-env", "OTHER=2", "-annotation", "wanted=1"]);
    let pod = pod(&world);
    let container = pod.idle();
    assert_eq!(
        container.sh("echo $WANTED $OTHER; cat /mnt/wanted/file; head -c 3 /dev/wanted | wc -c").trim(),
        "1 2\nfrom a plugin3"
    );
    let limits = container.status().resources.and_then(|resources| resources.linux).unwrap();
    assert_eq!(limits.memory_limit_in_bytes, 33_554_432);
}

fn a_plugins_no_leaves_nothing_behind(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    let pod = pod(&world);
    let plugin = Plugin::join(node, "10-no", &["-refuse", "CreateContainer"]);
    let error = pod.try_create("true", |_| {}).err().unwrap();
    assert!(error.message().contains("10-no refused CreateContainer: not on my watch"), "{error}");
    let listed = world.client.list_containers(ListContainersRequest::default()).unwrap().containers;
    assert!(listed.is_empty(), "{listed:?}");
    for call in ["CreateContainer", "StopContainer", "RemoveContainer"] {
        assert!(plugin.line().starts_with(&format!("{call} {}/", pod.id)));
    }
    drop(plugin);
    pod.idle();
}

fn a_pod_that_a_plugin_is_asked_about_is_not_there_yet(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    // It answers never, and is waited for as long as a plugin is.
    let plugin = Plugin::join(node, "10-slow", &["-hang", "RunPodSandbox"]);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| pod(&world).status().state());
        let line = plugin.line();
        let id = line.strip_prefix("RunPodSandbox ").unwrap();
        let listed = world.client.list_pod_sandbox(ListPodSandboxRequest::default()).unwrap().items;
        assert!(listed.iter().all(|pod| pod.id != id), "{listed:?}");
        assert_eq!(making.join().unwrap(), PodSandboxState::SandboxReady);
    });
    plugin.says(&["Closed"]);
}

fn no_container_is_lost_while_a_plugin_comes(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    let pod = pod(&world);
    let first = pod.idle();
    let mut plugin = Plugin::start(node, "10-slow", &["-hold"]);
    let mut known = [pod.id.clone(), format!("{}/{}", pod.id, first.id)];
    known.sort();
    plugin.says(&[&format!("Synchronize {}", known.join(" "))]);
    let created = std::thread::scope(|scope| {
        let creating = scope.spawn(|| pod.idle().id);
        // It is made now, or waits; the plugin takes its time.
        std::thread::sleep(Duration::from_secs(1));
        plugin.input.write_all(b"go on\n").unwrap();
        creating.join().unwrap()
    });
    plugin.says(&[&format!("CreateContainer {}/{created}", pod.id)]);
}

fn a_plugin_that_dies_or_hangs_stops_nobody(node: &Node) {
    node.run();
    let world = World::new(node, "nri");
    let hangs = Plugin::join(node, "10-hangs", &["-hang", "CreateContainer"]);
    let mut dies = Plugin::join(node, "20-dies", &["-die", "CreateContainer"]);
    let lives = Plugin::join(node, "30-lives", &[]);
    let pod = pod(&world);
    let container = pod.idle();
    let created = format!("CreateContainer {}/{}", pod.id, container.id);
    for plugin in [&hangs, &dies, &lives] {
        plugin.says(&[&format!("RunPodSandbox {}", pod.id), &created]);
    }
    hangs.says(&["Closed"]);
    assert_eq!(dies.child.wait().unwrap().code(), Some(7));
    let log = node.log();
    assert!(log.contains("an NRI plugin is disconnected") && log.contains("10-hangs"), "{log}");
    lives.says(&[&format!("PostCreateContainer {}/{}", pod.id, container.id)]);
}
