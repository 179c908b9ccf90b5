//! What runtime and init say to each other; the order is the table in [`super`].

use crate::{process, rootfs};
use compute::Error;
use oci_spec::runtime::{Hook, State};
use serde::{Deserialize, Serialize};

/// A place in the list of descriptors that came with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot(pub u32);

/// The first message: everything init will do. Numbers and resolved values only; what is looked up on the host was
/// looked up by the runtime.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The namespaces to enter.
    pub namespaces: Namespaces,
    /// What the process is given before it is executed.
    pub process: process::Plan,
    /// The standard input that init's own gave way to.
    pub stdin: Slot,
    /// The socket that gets the terminal, when there is to be one.
    pub console: Option<Slot>,
    /// How many descriptors from 3 on the program keeps.
    pub preserve_fds: u32,
    /// How many of them are announced by `LISTEN_FDS`.
    pub listen_fds: u32,
    /// Whose init this is.
    pub role: Role,
}

/// A container's first process, or one that joins it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The first: makes the container from inside, then waits to be started.
    Container(Box<Container>),
    /// One more process of a container that runs.
    Exec,
}

/// What only a container's first process does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Container {
    /// The root file system.
    pub rootfs: rootfs::Plan,
    /// What its hooks are told.
    pub state: State,
    /// Whether the runtime must run hooks once the namespaces are there.
    pub runtime_hooks: bool,
    /// Hooks that init runs in the container's namespaces, before it enters the root.
    pub create_hooks: Vec<Hook>,
    /// Hooks that init runs in the container, right before the program.
    pub start_hooks: Vec<Hook>,
    /// The pipe on which it waits for `start`.
    pub start: Slot,
    /// The pipe on which it then answers.
    pub answer: Slot,
}

/// Where a process belongs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Namespaces {
    /// Namespaces by path: `CLONE_NEW*` and the open file.
    pub join: Vec<(u32, Slot)>,
    /// All of the given kinds (`CLONE_NEW*`) of the process behind a pidfd.
    pub join_process: Option<(u32, Slot)>,
    /// A new user namespace, which the runtime maps.
    pub new_user: bool,
    /// Kinds to make anew (`CLONE_NEW*`), the user namespace aside.
    pub new: u32,
    /// Whether a child is needed to be in the PID or time namespace.
    pub split: bool,
}

/// Init to runtime.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A user namespace was made and waits for its id mappings.
    MapUser,
    /// This process goes on; all later reports are its own.
    Init {
        /// Its id in the runtime's PID namespace.
        pid: i32,
    },
    /// The namespaces are there, the root is not entered: time for the runtime's hooks.
    Hooks,
    /// This process is still root: time to set its resource limits, for which it may lack the privilege itself.
    Limits,
    /// The filter is loaded and this descriptor of mine is its listener.
    SeccompListener(i32),
    /// Everything is done but `start`, or for an exec but the execution.
    Ready,
    /// It ends here.
    Failed(Error),
}

/// Runtime to init: the answer to a report that waits for one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Go on.
    Continue,
    /// Go on; the descriptors are the mount sources.
    Sources,
}
