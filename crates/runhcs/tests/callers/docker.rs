//! The Docker engine: dockerd, its own containerd and its runc shim, all private to one directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Result, anyhow};

use crate::caller::{Caller, Container};
use crate::command::{done, eventually, outcome};
use crate::daemon::Daemon;

pub(crate) struct Docker {
    directory: PathBuf,
    runtime: PathBuf,
    /// Every container runs in the user namespace of `dockremap`.
    remap: bool,
    daemon: Mutex<Daemon>,
}

impl Docker {
    pub(crate) fn start(directory: &Path, runtime: &Path, image: &Path, remap: bool) -> Result<Self> {
        fs::write(directory.join("daemon.json"), "{}")?;
        let daemon = Mutex::new(daemon(directory, runtime, remap)?);
        let docker = Self { directory: directory.to_owned(), runtime: runtime.to_owned(), remap, daemon };
        docker.await_answer()?;
        let mut load = docker.command();
        load.args(["load", "--quiet", "--input"]).arg(image);
        done(load)?;
        Ok(docker)
    }

    fn await_answer(&self) -> Result<()> {
        eventually("an answer of dockerd", || {
            let mut version = self.command();
            version.arg("version");
            Ok(outcome(version)?.code == 0)
        })
    }
}

fn daemon(directory: &Path, runtime: &Path, remap: bool) -> Result<Daemon> {
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(directory.join("daemon.json"));
    command.arg("--data-root").arg(directory.join("data"));
    command.arg("--exec-root").arg(directory.join("exec"));
    command.arg("--pidfile").arg(directory.join("pid"));
    command.arg("--host").arg(format!("unix://{}", socket(directory).display()));
    command.arg(format!("--add-runtime=tested={}", runtime.display())).arg("--default-runtime=tested");
    command.args([
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--live-restore",
    ]);
    command.args(remap.then_some("--userns-remap=default"));
    Daemon::start(command, &directory.join("log"))
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("sock")
}

impl Caller for Docker {
    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", socket(&self.directory).display()));
        command
    }

    fn extra(&self, container: &Container<'_>) -> Vec<String> {
        let mut words = vec!["--pull=never".to_owned()];
        if container.health.is_some() {
            words.extend(["--health-interval=500ms", "--health-retries=1"].map(str::to_owned));
        }
        words
    }

    fn restart(&self) -> Result<()> {
        let mut running = self.daemon.lock().map_err(|_| anyhow!("a restart failed before"))?;
        running.end()?;
        *running = daemon(&self.directory, &self.runtime, self.remap)?;
        self.await_answer()
    }
}
