//! System calls that no library we use has, each behind a safe function. Every module here says why it opts in.

pub mod bpf;
pub(crate) mod clone;
pub mod exec;
pub mod keys;
pub(crate) mod memory;
pub(crate) mod mount;
pub mod sched;
pub mod seccomp;
pub mod signals;
pub(crate) mod unshare;
