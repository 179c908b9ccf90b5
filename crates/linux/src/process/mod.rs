//! What a process is given before it is executed: everything of `config.json` that is neither a mount nor a limit of
//! a control group.
//!
//! [`plan()`] decides on the host, purely; the result has numbers and names only, and travels to init. Init applies it
//! in three steps, each a function here that reads as the list of what it does. Every attribute has a file of its own
//! with both halves.
//!
//! | when                        | what, in this order                                       | because                        |
//! |-----------------------------|-----------------------------------------------------------|--------------------------------|
//! | before the user namespace   | [`oom`] score                                             | later the file is not ours     |
//! | unshare of the time namespace | [`clock`] offsets                                       | fixed by its first process     |
//! | **[`before_root`]**         | session, label of keys, [`keyring`]                       | new keys get the label         |
//! |                             | loopback                                                  |                                |
//! | *mounts, change of root*    |                                                           |                                |
//! | **[`after_root`]**          | working directory made, if missing                        | a read-only root comes after   |
//! |                             | [`terminal`]: pty, `/dev/console`, standard streams       | needs the container's devpts   |
//! |                             | [`hostname`], domainname                                  | needs CAP_SYS_ADMIN            |
//! |                             | [`apparmor`] label (from execve on)                       | needs an unmasked `/proc`      |
//! |                             | [`sysctl`]                                                | read-only paths come after     |
//! |                             | umask, no_new_privs                                       | the mounts made files          |
//! |                             | scheduler, I/O priority, personality, memory policy       | need capabilities              |
//! | *read-only and masked paths*|                                                           |                                |
//! | *the runtime, from outside* | [`rlimits`], affinity, network devices                    | need the host's capabilities   |
//! | **[`settle`]**              | [`selinux`] label (from execve on)                        |                                |
//! |                             | every descriptor that is not passed on or kept: closed    | CVE-2024-21626                 |
//! |                             | SIGPIPE and the signal mask: default                      |                                |
//! |                             | seccomp, if no_new_privs is not set                       | it needs CAP_SYS_ADMIN then    |
//! |                             | [`cwd`], first as root                                    | the user may not see the way   |
//! |                             | HOME from `/etc/passwd`                                   |                                |
//! |                             | bounding set                                              | needs CAP_SETPCAP              |
//! |                             | streams' owner, groups, gid, uid, capabilities kept       |                                |
//! |                             | [`cwd`], as the user; it must be inside the root          | CVE-2024-21626                 |
//! |                             | the other [`capabilities`]                                | setuid clears them             |
//! |                             | the program is looked for                                 | an error belongs to *create*   |
//! | *waits for start, hooks*    |                                                           |                                |
//! | **[`become_program`]**      | what was kept: closed                                     |                                |
//! |                             | seccomp, if no_new_privs is set                           | only execve comes after it     |
//! |                             | execve                                                    |                                |
//!
//! A process that joins a container goes the same way without what belongs to the container: no loopback, names,
//! sysctls, clocks, devices.

pub mod affinity;
pub mod apparmor;
pub mod capabilities;
pub mod clock;
pub mod cwd;
pub mod descriptors;
pub mod env;
mod error;
pub mod executable;
pub mod features;
pub mod hooks;
pub mod hostname;
pub mod io_priority;
pub mod keyring;
mod list_format;
pub mod memory_policy;
mod netlink;
pub mod network;
pub mod oom;
pub mod personality;
mod plan;
mod procfs;
pub mod rlimits;
pub mod scheduler;
pub mod seccomp;
pub mod selinux;
mod sequence;
pub mod sysctl;
pub mod terminal;
pub mod user;
mod validate;

pub use error::Error;
pub use plan::{Plan, Request, plan};
pub use procfs::Procfs;
pub use sequence::{after_root, become_program, before_root, settle};
pub use validate::{joined_mappings_agree, validate};
