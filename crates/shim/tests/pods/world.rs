//! A daemon's surroundings for one test: bundles, an image of busybox, a socket for events, and the shims it started.

use oci_spec::runtime::Process;
use serde_json::{Value, json};
use shim_api::events::Listener;
use shim_api::{Event, Exited, Launch, NewProcess, NewSandbox, NewTask, Pins, Shim, Signal, Streams};
use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

/// Names the program to test, if not the one that was built with the tests.
pub(crate) const SHIM: &str = "COFFERDAM_SHIM";
/// Names a busybox that needs no libraries, if not this one.
const BUSYBOX: (&str, &str) = ("COFFERDAM_BUSYBOX", "/bin/busybox");
const APPLETS: [&str; 16] = [
    "sh", "cat", "echo", "sleep", "true", "false", "hostname", "ps", "kill", "stty", "head", "yes", "dd",
    "ls", "readlink", "sysctl",
];
/// Nothing here takes a tenth of that; a test that waits longer, on an emulated machine too, has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// See the module's text.
pub(crate) struct World {
    folder: tempfile::TempDir,
    name: String,
    events: Option<Listener>,
    /// The processes of the shims.
    shims: Vec<i32>,
}

/// Runs a test in surroundings of its own, if this host has what it needs.
pub(crate) fn test<F: Future<Output = ()>>(name: &str, story: impl FnOnce(World) -> F) {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || !busybox().exists() {
        println!("skipped: needs root and {} (package busybox-static)", busybox().display());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::Builder::new().prefix("shim-").tempdir_in("/dev/shm").unwrap();
        let events = shim_api::events::listen(&folder.path().join("events")).await.unwrap();
        let name = format!("shim-{name}-{}", std::process::id());
        let world = World { folder, name, events: Some(events), shims: Vec::new() };
        world.make_image();
        tokio::time::timeout(PATIENCE, story(world)).await.expect("the test ends in time");
    });
}

fn busybox() -> PathBuf {
    std::env::var_os(BUSYBOX.0).map_or_else(|| BUSYBOX.1.into(), PathBuf::from)
}

/// The shim.
pub(crate) fn program() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_containerd-shim-runhcs-v1").into();
    std::env::var_os(SHIM).map_or_else(built, PathBuf::from)
}

/// Whether the program is the one that is shipped.
pub(crate) fn is_release() -> bool {
    std::env::var_os(SHIM).is_some()
}

impl World {
    fn make_image(&self) {
        let bin = self.path("image/bin");
        fs::create_dir_all(&bin).unwrap();
        for folder in ["proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(self.path("image").join(folder)).unwrap();
        }
        fs::copy(busybox(), bin.join("busybox")).unwrap();
        APPLETS.iter().for_each(|name| symlink("busybox", bin.join(name)).unwrap());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The name of a container in no other test.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Makes a bundle with this configuration.
    pub(crate) fn bundle(&self, name: &str, config: &Value) -> PathBuf {
        let bundle = self.path(name);
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        bundle
    }

    /// Starts a shim for the bundle.
    pub(crate) async fn shim(&mut self, name: &str) -> Shim {
        let shim = Shim::start(&self.launch(name)).await.unwrap();
        self.shims.push(shim.hello(&self.id(name)).await.unwrap().shim_pid);
        shim
    }

    pub(crate) fn launch(&self, name: &str) -> Launch {
        Launch {
            program: program(),
            id: self.id(name),
            bundle: self.path(name),
            namespace: "test".into(),
            events: self.path("events"),
            socket_dir: Some(self.path("s")),
            debug: true,
        }
    }

    /// A pod without anything of its own but names and IPC.
    pub(crate) async fn pod(&mut self, change: impl FnOnce(&mut Value)) -> (Shim, Pins) {
        let mut config = json!({
            "ociVersion": "1.3.0",
            "hostname": "podname",
            "linux": {
                "namespaces": [{"type": "ipc"}, {"type": "uts"}, {"type": "network"}],
                "cgroupsPath": format!("/{}", self.id("pod")),
            },
        });
        change(&mut config);
        let bundle = self.bundle("pod", &config);
        let shim = self.shim("pod").await;
        let id = self.id("pod");
        shim.create_sandbox(&NewSandbox { id: id.clone(), bundle: bundle.clone(), ..Default::default() })
            .await
            .unwrap();
        shim.start_sandbox(&id).await.unwrap();
        (shim, Pins::of(&bundle))
    }

    /// A container that runs a script, with namespaces of its own.
    pub(crate) fn config(&self, name: &str, script: &str) -> Value {
        let kinds = ["pid", "mount", "ipc", "uts", "network"];
        json!({
            "ociVersion": "1.3.0",
            "root": {"path": "rootfs"},
            "process": {
                "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                "args": ["/bin/sh", "-c", script],
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            ],
            "linux": {
                "cgroupsPath": format!("/{}", self.id(name)),
                "namespaces": kinds.map(|kind| json!({"type": kind})),
            },
        })
    }

    /// The same in a pod.
    pub(crate) fn config_in(&self, name: &str, script: &str, pins: &Pins) -> Value {
        let mut config = self.config(name, script);
        config["linux"]["namespaces"] = json!([
            {"type": "pid"}, {"type": "mount"},
            {"type": "ipc", "path": pins.ipc()},
            {"type": "uts", "path": pins.uts()},
            {"type": "network", "path": pins.net()},
        ]);
        config
    }

    /// What is asked for to make it: the image below a writable layer of its own.
    pub(crate) fn new_task(&self, name: &str, config: &Value, streams: Streams) -> NewTask {
        let bundle = self.bundle(name, config);
        let folder = |layer: &str| {
            let path = self.path(&format!("{name}-{layer}"));
            fs::create_dir_all(&path).unwrap();
            path.display().to_string()
        };
        let options = vec![
            format!("lowerdir={}", self.path("image").display()),
            format!("upperdir={}", folder("upper")),
            format!("workdir={}", folder("work")),
        ];
        let mount = compute::Mount {
            kind: "overlay".into(),
            source: "overlay".into(),
            target: String::new(),
            options,
        };
        NewTask { id: self.id(name), bundle, rootfs: vec![mount], streams, ..NewTask::default() }
    }

    /// Makes and starts it.
    pub(crate) async fn run(&self, shim: &Shim, name: &str, config: &Value, streams: Streams) -> i32 {
        shim.create(&self.new_task(name, config, streams)).await.unwrap();
        shim.start_task(&self.id(name)).await.unwrap()
    }

    /// Output to a log of CRI.
    pub(crate) fn logged(&self, name: &str) -> Streams {
        let log = shim_api::cri_log(&self.path(&format!("{name}.log")), shim_api::CRI_LINE_LIMIT);
        Streams { stdout: log.clone(), stderr: log, ..Streams::default() }
    }

    /// Its lines without their times.
    pub(crate) fn log(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("{name}.log"))).unwrap();
        text.split_terminator('\n').map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// One more process.
    pub(crate) async fn exec(
        &self,
        shim: &Shim,
        name: &str,
        exec: &str,
        script: &str,
        streams: Streams,
    ) -> i32 {
        let process = json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": ["/bin/sh", "-c", script],
            "terminal": streams.terminal,
        });
        let process: Process = serde_json::from_value(process).unwrap();
        let new = NewProcess { id: self.id(name), exec_id: exec.to_owned(), process, streams };
        shim.exec(&new).await.unwrap();
        shim.start_process(&self.id(name), exec).await.unwrap()
    }

    /// Kills a container, waits for that and removes it.
    pub(crate) async fn end(&self, shim: &Shim, name: &str) -> Exited {
        let id = self.id(name);
        // It may have ended by itself.
        let _ = shim.kill(&id, None, Signal { number: 9, all: true }).await;
        shim.wait(&id, None).await.unwrap();
        shim.delete(&id, None).await.unwrap()
    }

    /// The next event of a container.
    pub(crate) async fn event(&mut self, name: &str) -> Event {
        loop {
            let event = self.events.as_mut().unwrap().next().await.unwrap().event;
            if event.id() == self.id(name) {
                return event;
            }
        }
    }

    /// The daemon goes.
    pub(crate) async fn lose_events(&mut self) {
        self.events.take().unwrap().close().await;
        fs::remove_file(self.path("events")).unwrap();
    }

    /// It comes back.
    pub(crate) async fn find_events(&mut self) {
        self.events = Some(shim_api::events::listen(&self.path("events")).await.unwrap());
    }

    /// Makes a fifo.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        path
    }

    /// What is mounted below the test's folder.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = self.folder.path().to_string_lossy().into_owned();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(ToOwned::to_owned);
        points.filter(|point| point.starts_with(&folder)).collect()
    }

    /// The control groups of the test's containers.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let folders = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        let entries = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.name))
        };
        entries.map(|entry| entry.path()).filter(named).collect()
    }
}

impl Drop for World {
    /// Also when the test failed: nothing of it stays.
    fn drop(&mut self) {
        for shim in &self.shims {
            let command = fs::read_to_string(format!("/proc/{shim}/cmdline")).unwrap_or_default();
            if let Some(pid) = rustix::process::Pid::from_raw(*shim).filter(|_| command.contains(&self.name))
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for name in fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            if name.path().join("config.json").exists() {
                let _ = std::process::Command::new(program())
                    .args(["-namespace", "test", "-id", "cleanup", "-bundle"])
                    .arg(name.path())
                    .arg("delete")
                    .current_dir(name.path())
                    .output();
            }
        }
    }
}
