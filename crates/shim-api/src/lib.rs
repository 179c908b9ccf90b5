//! The containerd shim protocol (task v3 and v2, sandbox v1) and what Cofferdam adds to it, in plain words.
//!
//! ```text
//!   daemon                                                    shim
//!   launch ── start: flags, environment, bootstrap ──▶ [`bootstrap`] ── address ──▶ launch
//!   [`Shim`] ── ttrpc: [`wire`] ────────────────────────────▶ [`wire`] ── [`Service`], served by [`serve`]
//!   [`events::listen`] ◀──────────────────── ttrpc: [`wire`] ── [`events::Publisher`]
//!   [`outcome`] ◀──────────── `exit.json` in the bundle ─────── [`outcome`]
//! ```
//! No protobuf type is public: `wire` is the one place where messages and words meet, and both ends use it.
#![forbid(unsafe_code)]

pub mod bootstrap;
mod client;
mod error;
mod event;
pub mod events;
mod extension;
mod launch;
mod metrics;
pub mod outcome;
mod sandbox;
mod service;
mod streams;
mod task;
mod wire;

pub use client::Shim;
pub use error::{Error, Kind, Refusal, Result};
pub use event::{Envelope, Event};
pub use launch::{Launch, Reaped};
pub use metrics::{Blkio, BlkioEntry, CgroupVersion, Cpu, Hugetlb, Memory, MemoryEntry, Metrics, Pids};
pub use sandbox::{NewSandbox, Pins, Platform, SandboxStarted, SandboxStatus};
pub use service::{Service, serve};
pub use streams::{CRI_LINE_LIMIT, Streams, Target, cri_log, cri_stdin};
pub use task::{
    Checkpoint, Connected, Exited, NewProcess, NewTask, Options, ProcessEntry, Signal, TaskState,
};
