//! A node: a runtime of its own with its folders, its network and its cgroup.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::cgroups;
use crate::client::Client;
use crate::leftovers::eventually;
use crate::registry::registry;

/// Whose runtime it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Containerd,
    /// One that runs already, behind the socket that was given.
    Given,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "cofferdam",
            Self::Containerd => "containerd",
            Self::Given => "given",
        }
    }
}

/// The socket of a runtime that somebody else runs.
pub(crate) fn given_socket() -> Option<PathBuf> {
    std::env::var_os("COFFERDAM_CRI_SOCKET").map(PathBuf::from)
}

/// The folder with containerd's programs.
pub(crate) fn containerd() -> Option<PathBuf> {
    std::env::var_os("COFFERDAM_CONTAINERD").map(PathBuf::from)
}

/// The shim under test.
pub(crate) fn shim() -> Option<PathBuf> {
    let given = std::env::var_os("COFFERDAM_SHIM").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_BIN_EXE_cofferdam")).with_file_name("containerd-shim-runhcs-v1");
    given.or(Some(beside)).filter(|path| path.exists())
}

/// The folder with the network plugins.
pub(crate) fn plugins() -> Option<PathBuf> {
    let given = std::env::var_os("COFFERDAM_CNI").map(PathBuf::from);
    let usual = ["/usr/lib/cni", "/opt/cni/bin"].map(PathBuf::from);
    given.into_iter().chain(usual).find(|folder| folder.join("bridge").exists())
}

/// A runtime that runs, until it is told not to.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    number: u32,
    folder: TempDir,
    socket: PathBuf,
    /// The cgroup above those of its pods.
    pub(crate) cgroup: String,
    child: Mutex<Option<Child>>,
}

static NODES: AtomicU32 = AtomicU32::new(1);

impl Node {
    /// A node of that kind that answers.
    pub(crate) fn start(kind: Kind) -> Self {
        let node = Self::prepare(kind);
        node.run();
        node
    }

    /// The folders of a node that does not run yet.
    pub(crate) fn prepare(kind: Kind) -> Self {
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        // Overlays need a real file system below.
        let folder = tempfile::Builder::new().prefix("cri-").tempdir_in("/var/tmp").unwrap();
        let socket = given_socket().filter(|_| kind == Kind::Given);
        let node = Self {
            kind,
            number,
            socket: socket.unwrap_or_else(|| folder.path().join("sock")),
            cgroup: format!("{}/{number}", cgroups::parent()),
            folder,
            child: Mutex::default(),
        };
        for name in ["root", "state", "net.d", "certs.d", "logs", "cdi"] {
            fs::create_dir_all(node.path(name)).unwrap();
        }
        node.configure_network();
        fs::write(node.path("config.toml"), node.configuration()).unwrap();
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The bridge that its pods are on.
    pub(crate) fn bridge(&self) -> String {
        format!("cri{}", self.number)
    }

    /// The addresses that its pods have reserved.
    pub(crate) fn leases(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("ipam/pods")).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(['1', 'f'])).collect()
    }

    fn configure_network(&self) {
        let number = self.number;
        let list = json!({
            "cniVersion": "1.0.0", "name": "pods",
            "plugins": [
                {
                    "type": "bridge", "bridge": self.bridge(), "isGateway": true, "ipMasq": false,
                    "hairpinMode": true,
                    "ipam": {
                        "type": "host-local", "dataDir": self.path("ipam"),
                        "ranges": [
                            [{ "subnet": format!("10.{number}.0.0/16") }],
                            [{ "subnet": format!("fd00:{number}::/64") }],
                        ],
                        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
                    },
                },
                { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
            ],
        });
        fs::write(self.path("net.d/10-pods.conflist"), list.to_string()).unwrap();
    }

    fn configuration(&self) -> String {
        let [root, state, socket, conf, certs] =
            ["root", "state", "sock", "net.d", "certs.d"].map(|name| self.path(name).display().to_string());
        let [cdi, figures, nri] =
            ["cdi", "figures.sock", "nri.sock"].map(|name| self.path(name).display().to_string());
        let bin = plugins().unwrap_or_default().display().to_string();
        match self.kind {
            Kind::Ours => format!(
                "root = '{root}'\nstate = '{state}'\n[grpc]\nsocket = '{socket}'\n\
                 [runtime]\nshim = '{}'\ncgroup_driver = 'cgroupfs'\nseccomp_profiles = '{}'\n\
                 [images]\nregistry_folders = ['{certs}']\nprogress_timeout_secs = 20\n\
                 [network]\nconf_folders = ['{conf}']\nbin_folders = ['{bin}']\n[log]\nlevel = '{}'\n\
                 [cdi]\nfolders = ['{cdi}']\n[metrics]\naddress = '{figures}'\npods = true\n\
                 [nri]\nsocket = '{nri}'\nrequest_timeout_ms = 5000\nplugin_folder = '{nri}.d'\nconfig_folder = '{nri}.d'\n",
                shim().unwrap_or_default().display(),
                self.path("seccomp").display(),
                std::env::var("COFFERDAM_CRI_LOG").unwrap_or_else(|_| "info".to_owned()),
            ),
            Kind::Containerd => format!(
                "version = 3\nroot = '{root}'\nstate = '{state}'\n[grpc]\naddress = '{socket}'\n\
                 [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '{pause}'\n\
                 [plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{certs}'\n\
                 [plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n\
                 enable_cdi = true\ncdi_spec_dirs = ['{cdi}']\n\
                 [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['{bin}']\nconf_dir = '{conf}'\n\
                 [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
                 runtime_type = 'io.containerd.runc.v2'\n\
                 [plugins.'io.containerd.nri.v1.nri']\ndisable = true\n",
                pause = registry().name("pause:1"),
            ),
            Kind::Given => String::new(),
        }
    }

    fn command(&self) -> Command {
        let config = self.path("config.toml");
        match self.kind {
            Kind::Containerd => {
                let programs = containerd().unwrap();
                let mut command = Command::new(programs.join("containerd"));
                let path = std::env::var("PATH").unwrap_or_default();
                command.arg("--config").arg(config).env("PATH", format!("{}:{path}", programs.display()));
                command
            }
            _ => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
                command.arg("--config").arg(config).arg("serve");
                command
            }
        }
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn run(&self) {
        if self.kind == Kind::Given {
            return;
        }
        self.spawn();
        eventually("an answer of the daemon", || {
            assert!(self.is_running(), "the daemon has ended:\n{}", self.log());
            self.try_client().is_some_and(|client| client.version(Default::default()).is_ok())
        });
    }

    /// Starts the daemon.
    pub(crate) fn spawn(&self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(OwnedFd::from(log.try_clone().unwrap())).stderr(log);
        // What a terminal's Ctrl-C ends is the suite, which then ends the daemon.
        command.process_group(0);
        *self.child() = Some(command.spawn().unwrap());
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What the daemon has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn try_client(&self) -> Option<Client> {
        Client::connect(&self.socket).ok()
    }

    /// A client of its own connection.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        self.try_client().expect("the daemon listens")
    }

    /// kill -9.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, to its end.
    pub(crate) fn terminate(&self) {
        if let Some(mut child) = self.child().take() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }

    /// kill -9, and up again.
    pub(crate) fn kill_and_run(&self) {
        self.kill();
        self.run();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
