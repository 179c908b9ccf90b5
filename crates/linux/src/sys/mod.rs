//! System calls that no library we use has, each behind a safe function. Every module here says why it opts in.

pub mod bpf;
pub mod signal;
