//! A runtime that has two pods and a container in memory, and programs in `../go-plugin` as its plugins.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nri::api::{Container, ContainerEviction, ContainerUpdate, PodSandbox};
use nri::{Config, Plugins, Runtime, Timeouts, serve};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The plugin's program, built once; `None` without go, or when its modules cannot be had.
pub(crate) fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/go-plugin");
    // Beside the test program, where the next run finds it; go knows whether it is still good.
    let program = std::env::current_exe().unwrap().with_file_name("cofferdam-nri-plugin");
    let built = std::process::Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        .output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            // Whatever is wrong with our own program is no reason to skip.
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

/// The runtime.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) contents: Arc<Contents>,
}

/// What it has, and what was asked of it.
pub(crate) struct Contents {
    pub(crate) pods: Mutex<Vec<PodSandbox>>,
    pub(crate) containers: Mutex<Vec<Container>>,
    updates: tokio::sync::mpsc::UnboundedSender<ContainerUpdate>,
    pub(crate) updated: tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<ContainerUpdate>>,
}

#[async_trait::async_trait]
impl Runtime for Contents {
    async fn everything(&self) -> (Vec<PodSandbox>, Vec<Container>) {
        (self.pods.lock().unwrap().clone(), self.containers.lock().unwrap().clone())
    }

    async fn update(&self, updates: Vec<ContainerUpdate>) -> Vec<ContainerUpdate> {
        let known = |update: &ContainerUpdate| {
            self.containers.lock().unwrap().iter().any(|one| one.id == update.container_id)
        };
        let (good, bad): (Vec<_>, Vec<_>) = updates.into_iter().partition(known);
        for update in good {
            self.updates.send(update).unwrap();
        }
        bad
    }

    async fn evict(&self, _: Vec<ContainerEviction>) {}
}

pub(crate) fn pod(id: &str) -> PodSandbox {
    PodSandbox { id: id.to_owned(), name: "web".to_owned(), ..PodSandbox::default() }
}

pub(crate) fn container(id: &str) -> Container {
    Container { id: id.to_owned(), pod_sandbox_id: "p1".to_owned(), ..Container::default() }
}

impl World {
    /// With files in the folder of plugins, and their configuration.
    pub(crate) async fn with(installed: &[(&str, String)], required: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, settings) in installed {
            std::os::unix::fs::symlink(program().unwrap(), folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(format!("{name}.conf")), settings).unwrap();
        }
        let config = Config {
            runtime_name: "test".to_owned(),
            runtime_version: "1.2.3".to_owned(),
            socket: Some(folder.path().join("nri.sock")),
            plugin_folder: folder.path().to_owned(),
            config_folder: folder.path().to_owned(),
            timeouts: Timeouts { request: Duration::from_secs(3), ..Timeouts::default() },
            required: required.iter().map(|name| (*name).to_owned()).collect(),
        };
        let (updates, updated) = tokio::sync::mpsc::unbounded_channel();
        let contents = Arc::new(Contents {
            pods: Mutex::new(vec![pod("p1"), pod("p2")]),
            containers: Mutex::new(vec![container("c1")]),
            updates,
            updated: updated.into(),
        });
        let plugins = Arc::new(Plugins::new(&config));
        serve(config, plugins.clone(), contents.clone()).await.unwrap();
        Self { folder, plugins, contents }
    }

    pub(crate) async fn new() -> Self {
        Self::with(&[], &[]).await
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("nri.sock")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a plugin; its name has the index before it.
    pub(crate) fn start(&self, name: &str, flags: &[&str]) -> Program {
        let (index, name) = name.split_once('-').unwrap();
        let mut child = Command::new(program().unwrap())
            .args(["-index", index, "-name", name, "-socket"])
            .arg(self.socket())
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { input: child.stdin.take(), lines, child }
    }

    /// The same, and waits until it is told of what happens.
    pub(crate) async fn join(&self, name: &str, flags: &[&str]) -> Program {
        let mut program = self.start(name, flags);
        assert_eq!(program.line().await, "Configure test 1.2.3");
        assert_eq!(program.line().await, "Synchronize p1 p1/c1 p2");
        // No verb begins before it is one of them.
        drop(self.plugins.verb().await);
        program
    }

    /// The next update that a plugin wants.
    pub(crate) async fn update(&self) -> (String, i64) {
        let mut updated = self.contents.updated.lock().await;
        let update = soon(updated.recv()).await.unwrap();
        let memory = update.linux.and_then(|linux| linux.resources?.memory?.limit);
        (update.container_id, memory.map_or(0, |limit| limit.value))
    }
}

/// A plugin that runs.
pub(crate) struct Program {
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) child: Child,
}

impl Program {
    /// What it says next.
    pub(crate) async fn line(&mut self) -> String {
        soon(self.lines.next_line()).await.unwrap().unwrap_or_else(|| "nothing more".to_owned())
    }

    pub(crate) async fn nudge(&mut self) {
        self.input.as_mut().unwrap().write_all(b"go on\n").await.unwrap();
    }
}

/// What should take no time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes no time")
}
