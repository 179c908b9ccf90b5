//! podman: no engine, each command calls the runtime through conmon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::caller::{Caller, Container};
use crate::command::{done, outcome};

pub(crate) struct Podman {
    directory: PathBuf,
    runtime: PathBuf,
    /// `systemd` where it runs, otherwise `cgroupfs`.
    cgroup_manager: &'static str,
}

impl Podman {
    pub(crate) fn start(directory: &Path, runtime: &Path, image: &Path) -> Result<Self> {
        let cgroup_manager = if Path::new("/run/systemd/system").exists() { "systemd" } else { "cgroupfs" };
        let podman = Self { directory: directory.to_owned(), runtime: runtime.to_owned(), cgroup_manager };
        fs::write(directory.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
        // Its default limits exceed what a process without CAP_SYS_RESOURCE may set.
        let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(directory.join("containers.conf"), limits)?;
        let mut load = podman.command();
        load.args(["load", "--quiet", "--input"]).arg(image);
        done(load)?;
        Ok(podman)
    }
}

impl Caller for Podman {
    /// On cgroup v2 conmon looks into the cgroup only when the container has ended. systemd may have taken it away by
    /// then: of six containers with each of runhcs, crun and runc, conmon told of none before the end.
    fn tells_of_oom_kills(&self) -> bool {
        !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
        command.env("CONTAINERS_CONF_OVERRIDE", self.directory.join("containers.conf"));
        command.arg("--root").arg(self.directory.join("storage"));
        command.arg("--runroot").arg(self.directory.join("run"));
        command.arg("--runtime").arg(&self.runtime);
        command.args(["--cgroup-manager", self.cgroup_manager, "--events-backend", "file"]);
        command
    }

    fn extra(&self, container: &Container<'_>) -> Vec<String> {
        let mut words = vec!["--pull=never".to_owned(), "--log-driver=k8s-file".to_owned()];
        if container.user_namespace {
            // A user's podman counts in the ids that the user has: the own one, then the subordinate ones.
            let first = if rustix::process::geteuid().is_root() { 100_000 } else { 1 };
            words.extend(["uidmap", "gidmap"].map(|map| format!("--{map}=0:{first}:65536")));
        }
        if container.health.is_some() {
            // Its timer is a unit of systemd; `healthy` asks instead.
            words.push("--health-interval=disable".to_owned());
        }
        words
    }

    fn healthy(&self, name: &str) -> Result<bool> {
        let mut command = self.command();
        command.args(["healthcheck", "run", name]);
        Ok(outcome(command)?.code == 0)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["rm", "--force", "--time", "0", name]);
        done(command).map(drop)
    }

    fn restart(&self) -> Result<()> {
        bail!("podman has no engine")
    }
}
