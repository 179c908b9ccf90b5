//! A daemon under measurement: its configuration, its life, its control group.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::cgroup::Group;
use crate::client::Client;
use crate::image;
use crate::plugins;

/// Who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Cofferdam,
    Containerd,
}

/// A runtime handler of a contestant, which the report names.
#[derive(Clone, Copy)]
pub(crate) struct Handler {
    pub(crate) title: &'static str,
    pub(crate) name: &'static str,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cofferdam => "cofferdam",
            Self::Containerd => "containerd",
        }
    }

    /// The first is the one for figures that do not depend on the runtime below.
    pub(crate) fn handlers(self) -> &'static [Handler] {
        match self {
            Self::Cofferdam => &[Handler { title: "cofferdam", name: "" }],
            Self::Containerd => &[
                Handler { title: "containerd+runc", name: "runc" },
                Handler { title: "containerd+crun", name: "crun" },
            ],
        }
    }

    fn configuration(self, folder: &Path, work: &Path) -> String {
        let (folder, work) = (folder.display(), work.display());
        let (cni, bin) = (plugins::CONFIGURATION, plugins::FOLDER);
        match self {
            Self::Cofferdam => format!(
                "root = '{folder}'\nstate = '/run/cofferdam'\n[grpc]\nsocket = '/run/cofferdam/sock'\n\
                 [runtime]\nshim = '{work}/bin/containerd-shim-runhcs-v1'\ncgroup_driver = 'cgroupfs'\n\
                 [network]\nconf_folders = ['{cni}']\nbin_folders = ['{bin}']\n"
            ),
            Self::Containerd => format!(
                "version = 3\nroot = '{folder}'\nstate = '/run/containerd'\n\
                 [grpc]\naddress = '/run/containerd/sock'\n\
                 [plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'\n\
                 [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '{pause}'\n\
                 [plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n\
                 [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['{bin}']\nconf_dir = '{cni}'\n\
                 [plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'runc'\n\
                 [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
                 runtime_type = 'io.containerd.runc.v2'\n\
                 [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]\n\
                 runtime_type = 'io.containerd.runc.v2'\n\
                 [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]\n\
                 BinaryName = '/usr/bin/crun'\n",
                pause = image::PAUSE,
            ),
        }
    }

    fn command(self, configuration: &Path, work: &Path) -> Command {
        let mut command;
        match self {
            Self::Cofferdam => {
                command = Command::new(work.join("bin/cofferdam"));
                command.arg("serve").arg("--config").arg(configuration);
            }
            Self::Containerd => {
                command = Command::new("containerd");
                command.arg("--config").arg(configuration);
            }
        }
        command
    }
}

/// A daemon that runs.
pub(crate) struct Contestant {
    pub(crate) kind: Kind,
    pub(crate) group: Group,
    process: std::sync::Mutex<std::process::Child>,
    client: Client,
    /// Where its pods write their logs.
    pub(crate) logs: PathBuf,
}

impl Contestant {
    /// Starts it in its group and waits until it answers.
    pub(crate) async fn start(kind: Kind, work: &Path) -> Result<Self> {
        let name = kind.name();
        let folder = work.join(name);
        let logs = work.join("logs").join(name);
        for folder in [&folder, &logs] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let configuration = folder.with_extension("toml");
        fs::write(&configuration, kind.configuration(&folder, work)).context("write a configuration")?;
        let said = fs::File::create(folder.with_extension("log")).context("make a log")?;
        let group = Group::make(name)?;
        let doors = group.doors();
        let enter = doors.iter().map(|door| format!("echo $$ >{};", door.display())).collect::<String>();
        let command = kind.command(&configuration, work);
        let process = Command::new("sh")
            .arg("-c")
            .arg(format!("{enter} exec \"$@\""))
            .arg("sh")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(said.try_clone().context("share a log")?)
            .stderr(said)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let client = Client::connect(&Path::new("/run").join(name).join("sock")).await?;
        Ok(Self { kind, group, process: process.into(), client, logs })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The process id of the daemon itself.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.lock().ok().map(|process| process.id())
    }

    /// Ends the daemon. Its pods are gone by then.
    pub(crate) async fn stop(self) -> Result<()> {
        let mut process = self.process.into_inner().context("the daemon's process")?;
        process.kill().with_context(|| format!("end {}", self.kind.name()))?;
        process.wait().with_context(|| format!("wait for {}", self.kind.name()))?;
        self.group.dissolve();
        Ok(())
    }
}
