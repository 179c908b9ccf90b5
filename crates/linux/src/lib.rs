//! Process isolation on Linux, as a [`compute::Backend`]. The same engine runs on the host and inside a utility VM: it
//! sees a spec and a cgroup parent, and does not know where it is.
//!
//! | module    | what it does                                                            | runs in |
//! |-----------|-------------------------------------------------------------------------|---------|
//! | [`cgroup`]  | places, limits, freezes, measures and removes control groups          | host    |
//! | [`rootfs`]  | the root file system and its mounts                                   | init    |
//! | [`process`] | everything a process is given before it is executed                   | both    |
//! | [`sys`]     | system calls that no library has; the only unsafe code                | both    |

pub mod cgroup;
pub mod process;
pub mod rootfs;
pub mod sys;
