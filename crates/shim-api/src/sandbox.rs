//! Words for pods.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Options;

/// A pod to be made. Its bundle holds a `config.json`, an ordinary OCI configuration of which is used:
///
/// * `linux.namespaces` without a path of kind ipc, uts, network, user and pid: made, and pinned in the bundle at
///   [`Pins`]. A new pid namespace gets a process that only reaps.
/// * `hostname`, `domainname`, `linux.sysctl`: set in them.
/// * `linux.uidMappings`, `linux.gidMappings`: of the new user namespace.
/// * `linux.cgroupsPath`, `linux.resources`: the pod's own control group. Without a path there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewSandbox {
    /// Its id.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The network namespace that its containers are in; takes the place of one in the configuration.
    pub netns: Option<PathBuf>,
    /// How its control group is made.
    pub options: Options,
    /// What the caller wants to keep with it.
    pub annotations: BTreeMap<String, String>,
}

/// Where the namespaces of a pod are pinned, for the paths in the configurations of its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// `ns` in the pod's bundle.
    pub folder: PathBuf,
}

impl Pins {
    /// Those of the pod with this bundle.
    pub fn of(bundle: &Path) -> Self {
        Self { folder: bundle.join("ns") }
    }

    /// System V IPC and POSIX message queues.
    pub fn ipc(&self) -> PathBuf {
        self.folder.join("ipc")
    }

    /// Host name.
    pub fn uts(&self) -> PathBuf {
        self.folder.join("uts")
    }

    /// Network, unless its path was given.
    pub fn net(&self) -> PathBuf {
        self.folder.join("net")
    }

    /// Users, when the pod has its own.
    pub fn user(&self) -> PathBuf {
        self.folder.join("user")
    }

    /// Processes, when its containers share one namespace of them.
    pub fn pid(&self) -> PathBuf {
        self.folder.join("pid")
    }
}

/// A pod that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxStarted {
    /// The process that reaps in its pid namespace if it has one of its own, otherwise the shim.
    pub pid: i32,
    /// When it was made.
    pub at: SystemTime,
}

/// What is true of a pod now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxStatus {
    /// Its id.
    pub id: String,
    /// As in [`SandboxStarted`]; 0 when it is not ready.
    pub pid: i32,
    /// Whether containers can be made in it.
    pub ready: bool,
    /// When it was made.
    pub created_at: Option<SystemTime>,
    /// When it was stopped.
    pub exited_at: Option<SystemTime>,
    /// Details, when asked for.
    pub info: BTreeMap<String, String>,
}

/// What containers of a pod run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The system, as OCI images have it.
    pub os: String,
    /// The processor, as OCI images have it.
    pub architecture: String,
}
