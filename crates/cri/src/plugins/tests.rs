//! The daemon's half, with a plugin made of the interface's own library: pods and containers that exist in records and
//! bundles only, as nothing here has to run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{ContainerEvent, PodEvent};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::record::{ContainerRecord, End, PodRecord, VERSION};
use crate::spec::{read_spec, write_spec};
use crate::state::{Container, Pod};
use crate::wire::v1;

/// The plugin's program; `None` without go, or when its modules cannot be had.
fn program() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nri/tests/go-plugin");
    let program = std::env::current_exe().unwrap().with_file_name("cofferdam-nri-plugin-of-cri");
    let mut go = std::process::Command::new("go");
    go.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(source);
    let built = go.env("GOWORK", "off").env("GOFLAGS", "-mod=readonly").output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!text.contains("main.go:"), "{text}");
            println!("skipped: the plugin cannot be built: {text}");
            None
        }
        Err(error) => {
            println!("skipped: the plugin cannot be built: {error}");
            None
        }
    }
}

struct Plugin {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Plugin {
    /// One that is told of what happens from now on.
    async fn join(daemon: &Daemon, program: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["-index", "10", "-name", "test", "-socket"])
            .arg(&daemon.config.nri.socket)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut plugin = Self { _child: child, input, lines: BufReader::new(output).lines() };
        assert!(plugin.line().await.starts_with("Configure cofferdam "));
        assert_eq!(plugin.line().await, "Synchronize p p/made");
        // No verb begins before it is one of them.
        drop(daemon.plugins.verb().await);
        plugin
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(std::time::Duration::from_secs(60), self.lines.next_line());
        line.await.expect("it takes no time").unwrap().expect("it lives")
    }
}

const SPEC: &str = r#"{
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["sleep"], "env": ["A=1"]},
    "mounts": [],
    "annotations": {"old": "1"},
    "linux": {"namespaces": [], "resources": {"devices": [{"allow": false, "access": "rwm"}]}}
}"#;

/// A daemon with a pod and a container that was made before, none of which runs.
async fn daemon(folder: &Path) -> (Arc<Daemon>, Arc<Pod>) {
    let mut config = Config { root: folder.join("root"), state: folder.join("state"), ..Config::default() };
    config.runtime.shim = "/bin/true".into();
    config.nri.socket = folder.join("nri.sock");
    config.nri.plugin_folder = folder.join("none");
    let (daemon, _) = Daemon::open(config).await.unwrap();
    let record = PodRecord {
        version: VERSION,
        id: "p".to_owned(),
        config: v1::PodSandboxConfig::default(),
        handler: String::new(),
        created_at: 1,
        ips: Vec::new(),
        shim: String::new(),
        stopped: false,
        ready: true,
    };
    let pod = Arc::new(Pod::new(record, daemon.pod_bundle("p")));
    daemon.registry.add_pod(pod.clone());
    daemon.registry.add_container(container(&daemon, &pod, "made"));
    let mut gone = container(&daemon, &pod, "gone").record();
    gone.end = Some(end());
    daemon.registry.add_container(Arc::new(Container::new(
        gone,
        pod.clone(),
        daemon.container_bundle("gone"),
    )));
    super::start(&daemon).await;
    (daemon, pod)
}

fn end() -> End {
    End { at: 2, code: 0, oom_killed: false, message: String::new(), reason: String::new() }
}

fn container(daemon: &Daemon, pod: &Arc<Pod>, id: &str) -> Arc<Container> {
    let record = ContainerRecord {
        version: VERSION,
        id: id.to_owned(),
        pod: pod.id.clone(),
        config: v1::ContainerConfig::default(),
        image_id: String::new(),
        image_ref: String::new(),
        log_path: String::new(),
        stop_signal: 15,
        created_at: 1,
        started_at: 0,
        end: None,
        resources: None,
        image_volumes: Vec::new(),
        user: v1::LinuxContainerUser::default(),
    };
    let bundle = daemon.container_bundle(id);
    std::fs::create_dir_all(&bundle).unwrap();
    write_spec(&bundle, &serde_json::from_str(SPEC).unwrap()).unwrap();
    Arc::new(Container::new(record, pod.clone(), bundle))
}

#[tokio::test]
async fn what_a_plugin_wants_is_in_the_configuration_and_the_record() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (daemon, pod) = daemon(folder.path()).await;
    let flags = [
        "-env",
        "B=2",
        "-annotation",
        "-old",
        "-mount",
        "/s:/d",
        "-device",
        "/dev/x:1:3",
        "-memory",
        "8388608",
    ];
    let mut plugin = Plugin::join(&daemon, &program, &flags).await;
    let new = container(&daemon, &pod, "new");
    super::create(&daemon, &new, read_spec(&new.bundle).unwrap()).await.unwrap();
    assert_eq!(plugin.line().await, "CreateContainer p/new");
    let spec = serde_json::to_value(read_spec(&new.bundle).unwrap()).unwrap();
    assert_eq!(spec["process"]["env"], serde_json::json!(["A=1", "B=2"]));
    assert_eq!(spec["annotations"], serde_json::json!({}));
    assert_eq!(spec["mounts"][0]["destination"], "/d");
    assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/x");
    assert_eq!(spec["linux"]["resources"]["memory"]["limit"], 8_388_608);
    assert_eq!(new.record().resources.unwrap().memory_limit_in_bytes, 8_388_608);
}

#[tokio::test]
async fn a_plugin_changes_limits_of_a_container_that_waits_to_be_started() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _) = daemon(folder.path()).await;
    let mut plugin = Plugin::join(&daemon, &program, &["-update", "made", "-memory", "8388608"]).await;
    plugin.input.write_all(b"\n").await.unwrap();
    assert_eq!(plugin.line().await, "Updated 0 failed <nil>");
    let made = daemon.registry.container("made").unwrap();
    let spec = serde_json::to_value(read_spec(&made.bundle).unwrap()).unwrap();
    assert_eq!(spec["linux"]["resources"]["memory"]["limit"], 8_388_608);
    assert_eq!(spec["linux"]["resources"]["devices"][0]["allow"], false, "what it may use stays");
    assert_eq!(made.record().resources.unwrap().memory_limit_in_bytes, 8_388_608);
}

#[tokio::test]
async fn the_end_of_a_container_is_told_once_and_before_its_removal() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (daemon, pod) = daemon(folder.path()).await;
    let mut plugin = Plugin::join(&daemon, &program, &[]).await;
    let made = daemon.registry.container("made").unwrap();
    let _block = daemon.plugins.verb().await;
    let ended = || super::ended(&daemon, &made);
    tokio::join!(ended(), ended(), ended());
    assert!(!made.told_removal.load(Ordering::Acquire));
    super::tell_container(&daemon, ContainerEvent::Remove, &made).await.unwrap();
    // Of what had ended before the plugin came it is told no end.
    super::ended(&daemon, &daemon.registry.container("gone").unwrap()).await;
    super::tell_pod(&daemon, PodEvent::Stop, &pod).await.unwrap();
    for expected in ["StopContainer p/made", "RemoveContainer p/made", "StopPodSandbox p"] {
        assert_eq!(plugin.line().await, expected);
    }
}

#[tokio::test]
async fn a_plugins_no_undoes_what_others_were_told() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (daemon, pod) = daemon(folder.path()).await;
    let mut plugin = Plugin::join(&daemon, &program, &["-refuse", "CreateContainer"]).await;
    let new = container(&daemon, &pod, "new");
    let error = super::create(&daemon, &new, read_spec(&new.bundle).unwrap()).await.unwrap_err();
    let line = crate::error::chain(&error);
    assert!(line.ends_with("plugin 10-test refused CreateContainer: not on my watch"), "{line}");
    super::undo_container(&daemon, &new).await;
    for expected in ["CreateContainer p/new", "StopContainer p/new", "RemoveContainer p/new"] {
        assert_eq!(plugin.line().await, expected);
    }
}
