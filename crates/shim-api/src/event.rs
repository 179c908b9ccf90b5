//! What a shim tells about its containers.

use compute::Mount;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::Streams;

/// An event, and when and where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// When.
    pub at: SystemTime,
    /// The namespace of containerd, or the daemon's own.
    pub namespace: String,
    /// What.
    pub event: Event,
}

/// What happened. `exec` is the process's id, `None` for the container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are those of crate::task")]
pub enum Event {
    /// A container was made.
    Created {
        id: String,
        bundle: PathBuf,
        rootfs: Vec<Mount>,
        streams: Streams,
        checkpoint: String,
        pid: i32,
    },
    /// Its program runs.
    Started { id: String, pid: i32 },
    /// A process ended.
    Exited { id: String, exec: Option<String>, pid: i32, code: i32, at: SystemTime },
    /// The kernel ended a process because memory ran out.
    Oom { id: String },
    /// A container was removed.
    Deleted { id: String, pid: i32, code: i32, at: SystemTime },
    /// A process was asked for.
    ExecAdded { id: String, exec: String },
    /// It runs.
    ExecStarted { id: String, exec: String, pid: i32 },
    /// A container was frozen.
    Paused { id: String },
    /// It was thawed.
    Resumed { id: String },
    /// It was written to disk.
    Checkpointed { id: String, path: PathBuf },
}

impl Event {
    /// The container.
    pub fn id(&self) -> &str {
        match self {
            Event::Created { id, .. }
            | Event::Started { id, .. }
            | Event::Exited { id, .. }
            | Event::Oom { id }
            | Event::Deleted { id, .. }
            | Event::ExecAdded { id, .. }
            | Event::ExecStarted { id, .. }
            | Event::Paused { id }
            | Event::Resumed { id }
            | Event::Checkpointed { id, .. } => id,
        }
    }
}
