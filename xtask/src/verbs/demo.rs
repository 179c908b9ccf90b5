//! `demo`: what the project does today, seen in a minute on this machine.
//!
//! It makes a root file system and a bundle, takes a container through its life, starts a pod of two containers, and
//! lets podman run the same bundle. Each line says what was seen and how long it took; anything else than what is
//! promised ends the demo with an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::trees;

use super::setup;
use crate::inside::{self, Cgroups};
use crate::{project, rootfs};

/// Show what the project does today
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Show another OCI runtime instead of ours
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(setup::is_root(), "the demo makes containers as root: run it as root");
    setup::need("busybox-static", "the programs inside the containers")?;
    setup::need("mmdebstrap", "makes the Debian tree that podman comes from")?;
    let runtime = match &arguments.runtime {
        Some(runtime) => runtime.canonicalize().with_context(|| format!("find {}", runtime.display()))?,
        None => project::release("runhcs", "runhcs")?,
    };
    // Made now, so that the time it takes is not podman's.
    trees::callers()?;
    let demo = Demo::new(runtime)?;

    heading("A container");
    demo.show("a root file system from Debian's busybox", Demo::image)?;
    demo.show("`spec` wrote a bundle", Demo::bundle)?;
    demo.show("`run`", Demo::hello)?;
    demo.show("exit code", Demo::exit_code)?;
    demo.show("`create`, `start`", Demo::start)?;
    demo.show("`exec ps`", Demo::exec)?;
    demo.show("`list`", Demo::list)?;
    demo.show("`state`", Demo::state)?;
    demo.show("`events --stats`", Demo::events)?;
    demo.show("`pause`, `resume`", Demo::pause)?;
    demo.show("`update --memory` held", Demo::memory)?;
    demo.show("`update --pids-limit` held", Demo::pids)?;
    demo.show("`kill`, `delete`", Demo::delete)?;

    heading("A pod: two containers that share network, IPC and host name");
    demo.show("both run", Demo::pod)?;
    demo.show("one hears the other", Demo::pod_network)?;
    demo.show("they are apart all the same", Demo::pod_apart)?;
    demo.show("gone again", Demo::pod_end)?;

    heading("The same root file system through podman");
    demo.show("`podman run`", Demo::podman)?;
    demo.show("podman reads its exit code", Demo::podman_exit_code)
}

fn heading(text: &str) {
    eprintln!("\n{text}");
}

/// The containers of the demo.
const WEB: &str = "demo-web";
const PEER: &str = "demo-peer";
const ALL: [&str; 5] = ["demo-hello", "demo-seven", "demo", WEB, PEER];

/// A server that one client after the other hears a word from.
const SERVER: &str = "while true; do echo a word from $(hostname) | nc -l -p 8080; done";
const CLIENT: &str = "until nc 127.0.0.1 8080 2>/dev/null; do :; done";

struct Demo {
    runtime: PathBuf,
    work: TempDir,
}

impl Drop for Demo {
    /// Whatever became of the demo, none of its containers stays.
    fn drop(&mut self) {
        for id in ALL {
            let _ = self.runtime(&["delete", "--force", id]).output();
        }
    }
}

impl Demo {
    fn new(runtime: PathBuf) -> Result<Demo> {
        fs::create_dir_all(trees::cache()).with_context(|| format!("make {}", trees::cache().display()))?;
        let work = tempfile::Builder::new().prefix("demo-").tempdir_in(trees::cache());
        Ok(Demo { runtime, work: work.context("make a work folder")? })
    }

    /// Runs one chapter and prints what it has seen.
    fn show(&self, title: &str, chapter: fn(&Demo) -> Result<String>) -> Result<()> {
        let begun = Instant::now();
        let seen = chapter(self).with_context(|| title.to_owned())?;
        eprintln!("{:>9}  {title}: {seen}", milliseconds(begun.elapsed()));
        Ok(())
    }

    fn image(&self) -> Result<String> {
        let root = self.path("bundle/rootfs");
        rootfs::make(&root, Path::new("/bin/busybox"))?;
        let program = fs::metadata(root.join("bin/busybox")).context("look at busybox")?;
        Ok(format!("one program of {} KiB under many names", program.len() / 1024))
    }

    fn bundle(&self) -> Result<String> {
        let bundle = self.path("bundle");
        said(self.runtime(&["spec", "--bundle"]).arg(&bundle))?;
        let config = self.config()?;
        let namespaces = config.pointer("/linux/namespaces").and_then(Value::as_array).map_or(0, Vec::len);
        Ok(format!("config.json with {namespaces} namespaces"))
    }

    fn hello(&self) -> Result<String> {
        self.arguments(&["/bin/echo", "hello from a container"])?;
        said(&mut self.bundled("run", "demo-hello"))
    }

    fn exit_code(&self) -> Result<String> {
        self.arguments(&["/bin/sh", "-c", "exit 7"])?;
        let output = finish(&mut self.bundled("run", "demo-seven"))?;
        ensure!(output.status.code() == Some(7), "7 was expected, not {}", output.status);
        Ok("7, as the process in the container chose".to_owned())
    }

    fn start(&self) -> Result<String> {
        self.arguments(&["/bin/sh", "-c", "while true; do echo tick; sleep 0.02; done > /tmp/ticks"])?;
        self.edit(|config| config["root"]["readonly"] = json!(false))?;
        let created = timed(|| self.begin("create", "demo"))?;
        let started = timed(|| said(&mut self.runtime(&["start", "demo"])).map(|_| ()))?;
        Ok(format!("{} and {}", milliseconds(created), milliseconds(started)))
    }

    fn exec(&self) -> Result<String> {
        let processes = said(&mut self.runtime(&["exec", "demo", "/bin/ps", "-o", "pid,args"]))?;
        let init = processes.lines().nth(1).context("ps listed nothing")?;
        Ok(format!("{} processes, the first is `{}`", processes.lines().count() - 1, init.trim()))
    }

    fn list(&self) -> Result<String> {
        let table = said(&mut self.runtime(&["list"]))?;
        let line = table.lines().find(|line| line.starts_with("demo ")).context("it is not in the list")?;
        Ok(line.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    }

    fn state(&self) -> Result<String> {
        let state: Value = serde_json::from_str(&said(&mut self.runtime(&["state", "demo"]))?)?;
        Ok(format!("status {}, pid {}", state["status"], state["pid"]))
    }

    fn events(&self) -> Result<String> {
        let event: Value = serde_json::from_str(&said(&mut self.runtime(&["events", "--stats", "demo"]))?)?;
        let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let memory = number("/data/memory/usage/usage");
        ensure!(memory > 0, "no memory is used");
        Ok(format!(
            "{} KiB of memory, {} processes, {} of processor time",
            memory / 1024,
            number("/data/pids/current"),
            milliseconds(Duration::from_nanos(number("/data/cpu/usage/total")))
        ))
    }

    fn pause(&self) -> Result<String> {
        let ticks =
            || fs::metadata(self.path("bundle/rootfs/tmp/ticks")).map(|file| file.len()).context("ticks");
        said(&mut self.runtime(&["pause", "demo"]))?;
        let before = ticks()?;
        std::thread::sleep(Duration::from_millis(100));
        ensure!(ticks()? == before, "it went on while it was paused");
        said(&mut self.runtime(&["resume", "demo"]))?;
        let begun = Instant::now();
        while ticks()? == before {
            ensure!(begun.elapsed() < Duration::from_secs(5), "it did not go on after `resume`");
        }
        Ok("stood still for 100 ms and went on".to_owned())
    }

    fn memory(&self) -> Result<String> {
        said(&mut self.runtime(&["update", "--memory", "32M", "demo"]))?;
        let output = finish(&mut self.runtime(&["exec", "demo", "/bin/tail", "/dev/zero"]))?;
        ensure!(output.status.code() == Some(137), "137 was expected, not {}", output.status);
        Ok("a process that wanted more than 32 MiB was killed (137)".to_owned())
    }

    fn pids(&self) -> Result<String> {
        said(&mut self.runtime(&["update", "--pids-limit", "8", "demo"]))?;
        let forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done";
        let output = finish(&mut self.runtime(&["exec", "demo", "/bin/sh", "-c", forks]))?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(complaint.contains("fork"), "nine processes could be made: {complaint}");
        Ok(format!("the container was told `{}`", complaint.lines().next().unwrap_or_default()))
    }

    fn delete(&self) -> Result<String> {
        said(&mut self.runtime(&["kill", "demo", "KILL"]))?;
        self.delete_when_stopped("demo")?;
        let output = finish(&mut self.runtime(&["state", "demo"]))?;
        ensure!(!output.status.success(), "it still has a state");
        Ok("nothing is left".to_owned())
    }

    fn pod(&self) -> Result<String> {
        self.arguments(&["/bin/sh", "-c", SERVER])?;
        self.edit(|config| config["hostname"] = json!("demo-pod"))?;
        self.begin("create", WEB)?;
        said(&mut self.runtime(&["start", WEB]))?;
        let state: Value = serde_json::from_str(&said(&mut self.runtime(&["state", WEB]))?)?;
        let pid = state["pid"].as_u64().context("the first container has no process")?;

        self.arguments(&["/bin/sleep", "1000"])?;
        self.edit(|config| {
            // It is the sandbox's, and set.
            config.as_object_mut().and_then(|config| config.remove("hostname"));
            for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
                let kind = namespace["type"].as_str().unwrap_or_default();
                let file = match kind {
                    "network" => "net",
                    "ipc" | "uts" => kind,
                    _ => continue,
                };
                namespace["path"] = json!(format!("/proc/{pid}/ns/{file}"));
            }
        })?;
        self.begin("create", PEER)?;
        said(&mut self.runtime(&["start", PEER]))?;
        Ok(format!("{WEB} is process {pid}, {PEER} has joined three of its namespaces"))
    }

    fn pod_network(&self) -> Result<String> {
        let heard = said(&mut self.runtime(&["exec", PEER, "/bin/sh", "-c", CLIENT]))?;
        ensure!(heard.contains("demo-pod"), "it heard {heard:?}");
        Ok(format!("\"{heard}\" over 127.0.0.1"))
    }

    fn pod_apart(&self) -> Result<String> {
        let processes = said(&mut self.runtime(&["exec", PEER, "/bin/ps", "-o", "args"]))?;
        ensure!(!processes.contains("8080"), "it sees the processes of the other:\n{processes}");
        Ok("neither sees the other's processes or mounts".to_owned())
    }

    fn pod_end(&self) -> Result<String> {
        for id in [PEER, WEB] {
            said(&mut self.runtime(&["delete", "--force", id]))?;
        }
        let left = said(&mut self.runtime(&["list", "--quiet"]))?;
        ensure!(left.is_empty(), "still listed: {left}");
        Ok("`list` is empty".to_owned())
    }

    fn podman(&self) -> Result<String> {
        let version = said(&mut self.podman_command(&["--version"])?)?;
        let heard = said(&mut self.podman_run("echo hello from podman; cat /proc/1/comm")?)?;
        ensure!(heard.starts_with("hello from podman"), "{heard:?}");
        Ok(format!("\"{}\" ({version})", heard.lines().next().unwrap_or_default()))
    }

    fn podman_exit_code(&self) -> Result<String> {
        let output = finish(&mut self.podman_run("exit 9")?)?;
        ensure!(output.status.code() == Some(9), "9 was expected, not {}", output.status);
        Ok("9".to_owned())
    }

    fn podman_run(&self, script: &str) -> Result<Command> {
        let root = Path::new(inside::WORK).join("bundle/rootfs");
        let mut podman =
            self.podman_command(&["--cgroup-manager", "cgroupfs", "--events-backend", "file"])?;
        podman
            .args(["--runtime", "/mnt/runtime", "run", "--rm", "--network", "none"])
            // The defaults are higher than what a container without CAP_SYS_RESOURCE may set.
            .args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--rootfs"])
            .arg(root)
            .args(["/bin/sh", "-c", script]);
        Ok(podman)
    }

    fn podman_command(&self, arguments: &[&str]) -> Result<Command> {
        let runtime = self.path("runtime");
        if !runtime.exists() {
            fs::copy(&self.runtime, &runtime).with_context(|| format!("copy {}", self.runtime.display()))?;
        }
        let mut command = inside::command(&trees::callers()?, self.work.path(), Cgroups::Host, "podman");
        command.args(arguments);
        Ok(command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn runtime(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.path("state")).args(arguments).current_dir(self.work.path());
        command
    }

    fn bundled(&self, verb: &str, id: &str) -> Command {
        let mut command = self.runtime(&[verb, "--bundle"]);
        command.arg(self.path("bundle")).arg(id);
        command
    }

    /// Starts a container that keeps running, away from the pipes of this program.
    fn begin(&self, verb: &str, id: &str) -> Result<()> {
        let complaints = self.path("complaints");
        let file =
            fs::File::create(&complaints).with_context(|| format!("create {}", complaints.display()))?;
        let mut command = self.bundled(verb, id);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status();
        let status = status.with_context(|| format!("run {}", self.runtime.display()))?;
        ensure!(status.success(), "{verb}: {}", fs::read_to_string(&complaints).unwrap_or_default().trim());
        Ok(())
    }

    /// The end of a killed process takes a moment in which `delete` may refuse.
    fn delete_when_stopped(&self, id: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let state: Value = serde_json::from_str(&said(&mut self.runtime(&["state", id]))?)?;
            if state["status"] == "stopped" {
                return said(&mut self.runtime(&["delete", id])).map(|_| ());
            }
            ensure!(begun.elapsed() < Duration::from_secs(5), "{id} does not stop");
        }
    }

    fn config(&self) -> Result<Value> {
        let path = self.path("bundle/config.json");
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut config = self.config()?;
        change(&mut config);
        let path = self.path("bundle/config.json");
        fs::write(&path, config.to_string()).with_context(|| format!("write {}", path.display()))
    }

    fn arguments(&self, arguments: &[&str]) -> Result<()> {
        self.edit(|config| {
            config["process"]["args"] = json!(arguments);
            config["process"]["terminal"] = json!(false);
        })
    }
}

fn timed(action: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    action()?;
    Ok(begun.elapsed())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn finish(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    output.with_context(|| format!("run {}", command.get_program().display()))
}

/// What a command prints; an error if it fails.
fn said(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
