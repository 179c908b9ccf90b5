//! containerd and `ctr`: the runc shim with the runtime under test as its binary, or the shim under test.
//!
//! `ctr` speaks of containers and tasks where Docker has one word, so most verbs are worded here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, ensure};

use crate::caller::{Caller, Container, IMAGE};
use crate::command::{done, eventually, outcome};
use crate::daemon::Daemon;

pub(crate) struct Containerd {
    directory: PathBuf,
    under_test: UnderTest,
    engine: Mutex<Engine>,
    execs: AtomicU32,
}

/// What containerd runs containers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnderTest {
    /// Its own shim, and with that this runtime.
    Runtime(PathBuf),
    /// The shim of this name along `PATH`.
    Shim(&'static str),
}

/// `ctr events` goes first: it would end with an error without the daemon.
struct Engine {
    events: Daemon,
    daemon: Daemon,
}

impl Engine {
    fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new("containerd");
        command.arg("--config").arg(directory.join("config.toml"));
        let daemon = Daemon::start(command, &directory.join("log"))?;
        eventually("an answer of containerd", || {
            let mut version = ctr(directory);
            version.arg("version");
            Ok(outcome(version)?.code == 0)
        })?;
        let mut events = ctr(directory);
        events.arg("events");
        let events = Daemon::start(events, &directory.join("events"))?;
        let earlier = events_of(directory, PROBE)?.len();
        // It does not say when it listens: something to hear is offered until it is heard.
        eventually("the first event", || {
            let mut label = ctr(directory);
            label.args(["namespaces", "label", "default", &format!("probe={earlier}")]);
            done(label)?;
            Ok(events_of(directory, PROBE)?.len() > earlier)
        })?;
        Ok(Self { events, daemon })
    }
}

const PROBE: &str = "/namespaces/update";

/// What `ctr events` told of this topic so far. A line: date, time, zone, namespace, topic, JSON.
fn events_of(directory: &Path, topic: &str) -> Result<Vec<serde_json::Value>> {
    let lines = fs::read_to_string(directory.join("events"))?;
    let told = lines.lines().filter_map(|line| line.split_once(topic)).map(|(_, event)| event.trim());
    Ok(told.filter_map(|event| serde_json::from_str(event).ok()).collect())
}

impl Containerd {
    pub(crate) fn start(directory: &Path, under_test: UnderTest, image: &Path) -> Result<Self> {
        let config = format!(
            "version = 2\nroot = '{0}/root'\nstate = '{0}/state'\n\
             disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{0}/sock'\n",
            directory.display()
        );
        fs::write(directory.join("config.toml"), config)?;
        let engine = Mutex::new(Engine::start(directory)?);
        let mut import = ctr(directory);
        import.args(["images", "import"]).arg(image);
        done(import)?;
        let execs = AtomicU32::new(0);
        Ok(Self { directory: directory.to_owned(), under_test, engine, execs })
    }

    fn task(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("tasks").args(words);
        command
    }

    fn options(&self, command: &mut Command, container: &Container<'_>) {
        match &self.under_test {
            UnderTest::Runtime(runtime) => command.arg("--runc-binary").arg(runtime),
            UnderTest::Shim(name) => command.args(["--runtime", name]),
        };
        command.args(container.terminal.then_some("--tty"));
        if let Some(bytes) = container.memory {
            command.args(["--memory-limit", &bytes.to_string()]);
        }
        if let Some(percent) = container.cpu_percent {
            command.args(["--cpus", &format!("{}.{:02}", percent / 100, percent % 100)]);
        }
        // Unlike the others it shows a container no cgroup of its own accord.
        command.args(["--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:noexec:nodev"]);
        for volume in container.volumes {
            let mode = if volume.read_only { "ro" } else { "rw" };
            let (source, target) = (volume.source.display(), volume.target);
            command.arg("--mount").arg(format!("type=bind,src={source},dst={target},options=rbind:{mode}"));
        }
        command.args(self.extra(container)).args([IMAGE, container.name]).args(container.command);
    }

    fn events(&self, topic: &str) -> Result<Vec<serde_json::Value>> {
        events_of(&self.directory, topic)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// The row of `tasks list`: process id and status, where there is a task.
    fn row(&self, name: &str) -> Result<Option<(String, String)>> {
        let table = done(self.task(&["list"]))?;
        Ok(table.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == name).then_some(())?;
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        }))
    }
}

fn ctr(directory: &Path) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(directory.join("sock"));
    // Cgroups are named by namespace and container: two daemons at once must not share them.
    command.env("CONTAINERD_NAMESPACE", directory.file_name().unwrap_or_default());
    command
}

impl Caller for Containerd {
    fn command(&self) -> Command {
        ctr(&self.directory)
    }

    fn extra(&self, container: &Container<'_>) -> Vec<String> {
        let map = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"].map(str::to_owned);
        container.user_namespace.then_some(map).into_iter().flatten().collect()
    }

    fn run(&self, container: &Container<'_>) -> Command {
        let mut command = self.command();
        command.args(["run", "--rm"]);
        self.options(&mut command, container);
        command
    }

    fn start(&self, container: &Container<'_>) -> Command {
        let mut command = self.command();
        command
            .args(["run", "--detach", "--log-uri"])
            .arg(format!("file://{}", self.log(container.name).display()));
        self.options(&mut command, container);
        command
    }

    fn exec(&self, name: &str, terminal: bool, argv: &[&str]) -> Command {
        let id = format!("exec-{}", self.execs.fetch_add(1, Ordering::Relaxed));
        let mut command = self.task(&["exec", "--exec-id", &id]);
        command.args(terminal.then_some("--tty")).arg(name).args(argv);
        command
    }

    fn logs(&self, name: &str) -> Command {
        let mut command = Command::new("cat");
        command.arg(self.log(name));
        command
    }

    fn pause(&self, name: &str) -> Command {
        self.task(&["pause", name])
    }

    fn unpause(&self, name: &str) -> Command {
        self.task(&["resume", name])
    }

    fn kill(&self, name: &str, signal: &str) -> Command {
        self.task(&["kill", "--signal", signal, name])
    }

    fn stop(&self, name: &str, seconds: u32) -> Result<()> {
        done(self.kill(name, "SIGTERM"))?;
        for _ in 0..seconds * 10 {
            if self.status(name)? == "exited" {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        done(self.kill(name, "SIGKILL")).map(drop)
    }

    fn wait(&self, name: &str) -> Result<i32> {
        let mut code = None;
        eventually("the exit of the task", || {
            let exit = self.events("/tasks/exit")?.into_iter().find(|exit| exit["id"] == *name);
            code = exit.map(|exit| exit["exit_status"].as_i64().unwrap_or(0));
            Ok(code.is_some())
        })?;
        Ok(i32::try_from(code.unwrap_or(-1))?)
    }

    fn status(&self, name: &str) -> Result<String> {
        let (_, status) = self.row(name)?.with_context(|| format!("{name} has no task"))?;
        Ok(if status == "STOPPED" { "exited".to_owned() } else { status.to_lowercase() })
    }

    fn pid(&self, name: &str) -> Result<String> {
        Ok(self.row(name)?.with_context(|| format!("{name} has no task"))?.0)
    }

    fn oom_killed(&self, name: &str) -> Result<bool> {
        Ok(self.events("/tasks/oom")?.iter().any(|event| event["container_id"] == *name))
    }

    /// It keeps no health: whoever uses it asks by exec.
    fn healthy(&self, name: &str) -> Result<bool> {
        Ok(outcome(self.exec(name, false, &["sh", "-c", crate::stories::HEALTH]))?.code == 0)
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.row(name)?.is_some() {
            let removed = outcome(self.task(&["delete", "--force", name]))?;
            ensure!(self.row(name)?.is_none(), "ctr tasks delete {name}: {}", removed.stderr);
        }
        let mut command = self.command();
        command.args(["containers", "delete", name]);
        done(command).map(drop)
    }

    fn kill_shim(&self, name: &str) -> Result<()> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid(name)?))?;
        let behind = stat.rsplit_once(')').map(|(_, behind)| behind).unwrap_or_default();
        let parent = behind.split_whitespace().nth(1).and_then(|parent| parent.parse().ok());
        let shim = parent.and_then(rustix::process::Pid::from_raw).context("the task has a parent")?;
        rustix::process::kill_process(shim, rustix::process::Signal::KILL).context("kill the shim")
    }

    fn restart(&self) -> Result<()> {
        let mut engine = self.engine.lock().map_err(|_| anyhow!("a restart failed before"))?;
        engine.events.end()?;
        engine.daemon.end()?;
        *engine = Engine::start(&self.directory)?;
        Ok(())
    }
}
