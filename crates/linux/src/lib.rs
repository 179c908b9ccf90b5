//! Process isolation on Linux, as a [`compute::Backend`]. The same engine runs on the host and inside a utility VM: it
//! sees a spec and a cgroup parent, and does not know where it is.
//!
//! | module        | what it does                                                                   | runs in |
//! |---------------|--------------------------------------------------------------------------------|---------|
//! | `backend`     | the verbs, as the [`compute::Backend`] trait has them                          | runtime |
//! | `create`, `exec`, `start`, `delete`, … | one verb each                                         | runtime |
//! | `launch`      | starts an init and answers its questions                                       | runtime |
//! | [`init`]      | the small program that becomes the container's process; the handshake's table  | init    |
//! | [`pod`]        | what containers of a pod share: pinned namespaces, a control group             | runtime |
//! | [`checkpoint`]| writes a container to disk and brings it back, through CRIU                     | runtime |
//! | [`cgroup`]    | places, limits, freezes, measures and removes control groups                   | runtime |
//! | [`rootfs`]    | the root file system and its mounts                                            | both    |
//! | [`process`]   | everything a process is given before it is executed                            | both    |
//! | [`sys`]       | system calls that no library has; the only unsafe code                         | both    |

mod backend;
pub mod cgroup;
pub mod checkpoint;
mod child;
mod create;
mod delete;
mod exec;
pub mod features;
mod hook_state;
mod idmap;
pub mod init;
mod launch;
mod namespaces;
mod observe;
pub mod pod;
pub mod process;
mod procfs;
pub mod rootfs;
mod saved;
mod sealed;
mod signal;
mod start;
mod start_fifo;
pub mod sys;
mod watch;

pub use backend::{Config, Linux, NOTIFY_DIR, Options, Rootless};
pub use child::Child;
pub use saved::Saved;
pub use sys::signals;
