//! Words for containers and their processes.

use compute::{Mount, Status};
use oci_spec::runtime::Process;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::Streams;

/// How a container is made, beyond what its configuration says; containerd's options of its runc shim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Control groups are made by systemd, and `cgroupsPath` is `slice:prefix:name`.
    pub systemd_cgroup: bool,
    /// Enter the root by moving its mount.
    pub no_pivot_root: bool,
    /// Stay in the shim's session keyring.
    pub no_new_keyring: bool,
    /// The owner of the pipes that are the process's standard streams.
    pub io_owner: (u32, u32),
    /// Where CRIU keeps its images when a container is made from a checkpoint without another path.
    pub criu_image_path: String,
    /// Where CRIU works.
    pub criu_work_path: String,
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTask {
    /// Its id.
    pub id: String,
    /// Its bundle: `config.json` lies there.
    pub bundle: PathBuf,
    /// What is mounted, in order, on the bundle's `rootfs`.
    pub rootfs: Vec<Mount>,
    /// Its streams.
    pub streams: Streams,
    /// A checkpoint that it continues from.
    pub checkpoint: Option<PathBuf>,
    /// How it is made.
    pub options: Options,
}

/// One more process of a container. It is started by [`crate::Shim::start_process`].
#[derive(Debug, Clone, PartialEq)]
pub struct NewProcess {
    /// The container.
    pub id: String,
    /// The process's id in it.
    pub exec_id: String,
    /// What is run.
    pub process: Process,
    /// Its streams.
    pub streams: Streams,
}

/// How and when a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    /// Its id on the host; 0 if it never ran.
    pub pid: i32,
    /// Its exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// When.
    pub at: SystemTime,
}

/// What is true of a process now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// The container.
    pub id: String,
    /// The process in it; `None` for the first.
    pub exec: Option<String>,
    /// The bundle.
    pub bundle: PathBuf,
    /// Its id on the host, 0 while there is none.
    pub pid: i32,
    /// Its status.
    pub status: Status,
    /// Its streams.
    pub streams: Streams,
    /// Its end, when it has ended: the code and the moment.
    pub exited: Option<(i32, SystemTime)>,
}

/// A process that runs in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Its id on the host.
    pub pid: i32,
    /// The id under which it was asked for, when it was.
    pub exec: Option<String>,
}

/// A signal to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// To every process of the container.
    pub all: bool,
}

/// A container to be written to disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// The folder for the images.
    pub path: PathBuf,
    /// Where CRIU works; beside the images if empty.
    pub work_path: PathBuf,
    /// The container ends when it is written.
    pub exit: bool,
    /// With open TCP connections.
    pub open_tcp: bool,
    /// With unix sockets whose other end is outside.
    pub external_unix_sockets: bool,
    /// With a terminal of the shell that started it.
    pub terminal: bool,
    /// With file locks.
    pub file_locks: bool,
    /// Kinds of namespaces that are written empty.
    pub empty_namespaces: Vec<String>,
    /// CRIU's mode for control groups.
    pub cgroups_mode: String,
}

/// Who is on the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The shim's process.
    pub shim_pid: i32,
    /// The container's first process, 0 when there is none.
    pub task_pid: i32,
    /// The protocol's version.
    pub version: String,
}
