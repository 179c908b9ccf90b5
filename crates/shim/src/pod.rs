//! The pod: namespaces and a control group that its containers share, without a container that holds them.
//!
//! | state   | start   | stop    | shutdown |
//! |---------|---------|---------|----------|
//! | Planned | Ready   | Stopped | gone     |
//! | Ready   | as it is | Stopped | gone    |
//! | Stopped | –       | as it is | gone    |
//!
//! What was made is on record in the bundle before it is made, so that `delete` finds it whenever this process ends.

use crate::backends::pod::{self, Request, Saved};
use compute::{Error, Kind as ErrorKind, bundle};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use shim_api::{Kind, NewSandbox, Pins, Refusal, SandboxStarted, SandboxStatus};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::sync::watch;

/// The record's name in the bundle.
const RECORD: &str = "sandbox.json";
/// Its format; raised whenever a change would make an older program misread it.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    pod: Saved,
}

/// See the module's text.
pub(crate) struct Pod {
    new: NewSandbox,
    spec: Spec,
    saved: Saved,
    created_at: SystemTime,
    state: State,
    stopped: watch::Sender<Option<SystemTime>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Planned,
    Ready,
    Stopped,
}

impl Pod {
    /// Checks what is asked for.
    pub(crate) fn plan(new: NewSandbox) -> Result<Self, Refusal> {
        let spec = match bundle::load_without_process(&new.bundle) {
            Ok(spec) => spec,
            Err(bundle::BundleError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Spec::default()
            }
            Err(error) => return Err(Error::from(error).into()),
        };
        let pins = Pins::of(&new.bundle).folder;
        let saved = pod::plan(&request(&new, &spec, &pins))?;
        let stopped = watch::Sender::new(None);
        Ok(Self { new, spec, saved, created_at: SystemTime::now(), state: State::Planned, stopped })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.new.id
    }

    /// Whether containers can be made in it.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// Makes it.
    pub(crate) fn start(&mut self) -> Result<SandboxStarted, Refusal> {
        match self.state {
            State::Ready => return Ok(self.started()),
            State::Stopped => {
                let text = format!("sandbox {} is stopped, and cannot be started again", self.id());
                return Err(Refusal::new(Kind::FailedPrecondition, text));
            }
            State::Planned => {}
        }
        write(&self.new.bundle, &self.saved)?;
        let pins = Pins::of(&self.new.bundle).folder;
        let made = pod::make(&request(&self.new, &self.spec, &pins), &mut self.saved);
        // Its reaper is waited for with all other children.
        let made = made.map(drop).and_then(|()| write(&self.new.bundle, &self.saved));
        if let Err(error) = made {
            if let Err(undo) = self.remove() {
                log::error!("undo the creation of sandbox {}: {undo}", self.id());
            }
            return Err(error.into());
        }
        self.state = State::Ready;
        Ok(self.started())
    }

    fn started(&self) -> SandboxStarted {
        SandboxStarted { pid: self.pid(), at: self.created_at }
    }

    /// The process that stands for it.
    fn pid(&self) -> i32 {
        match (self.state, self.saved.reaper()) {
            (State::Stopped, _) => 0,
            (_, 0) => i32::try_from(std::process::id()).unwrap_or(0),
            (_, reaper) => reaper,
        }
    }

    /// Removes everything. Its containers are gone by then.
    pub(crate) fn stop(&mut self) -> Result<(), Refusal> {
        if self.state != State::Stopped {
            self.remove()?;
            self.state = State::Stopped;
            self.stopped.send_replace(Some(SystemTime::now()));
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), Error> {
        pod::remove(&self.saved)?;
        remove_record(&self.new.bundle)
    }

    /// To wait for its end.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<SystemTime>> {
        self.stopped.subscribe()
    }

    /// What is true of it now.
    pub(crate) fn status(&self, verbose: bool) -> SandboxStatus {
        let mut info = BTreeMap::new();
        if verbose {
            info.extend(self.new.annotations.clone());
            info.insert("pins".to_owned(), Pins::of(&self.new.bundle).folder.to_string_lossy().into_owned());
        }
        SandboxStatus {
            id: self.id().to_owned(),
            pid: if self.is_ready() { self.pid() } else { 0 },
            ready: self.is_ready(),
            created_at: Some(self.created_at),
            exited_at: *self.stopped.borrow(),
            info,
        }
    }

    /// For what it uses.
    pub(crate) fn saved(&self) -> &Saved {
        &self.saved
    }
}

fn request<'a>(new: &'a NewSandbox, spec: &'a Spec, pins: &'a Path) -> Request<'a> {
    Request {
        id: &new.id,
        spec,
        pins,
        netns: new.netns.as_deref(),
        systemd_cgroup: new.options.systemd_cgroup,
    }
}

/// Removes what is left of a pod whose shim is gone.
pub(crate) fn remove_leftovers(bundle: &Path) -> Result<(), Error> {
    let path = path(bundle);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|cause| Error::io(format!("read {}", path.display()), cause))?,
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("understand {}: {error}", path.display()))
    })?;
    if record.version > VERSION {
        let text =
            format!("{} has version {}, this program reads up to {VERSION}", path.display(), record.version);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    pod::remove(&record.pod)?;
    remove_record(bundle)
}

fn path(bundle: &Path) -> PathBuf {
    bundle.join(RECORD)
}

/// Whole or not at all. It need not survive the host: nothing that it names does.
fn write(bundle: &Path, saved: &Saved) -> Result<(), Error> {
    let path = path(bundle);
    let temporary = bundle.join(".sandbox.json.new");
    let record = Record { version: VERSION, pod: saved.clone() };
    serde_json::to_vec(&record)
        .map_err(io::Error::from)
        .and_then(|bytes| std::fs::write(&temporary, bytes))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|cause| Error::io(format!("write {}", path.display()), cause))
}

fn remove_record(bundle: &Path) -> Result<(), Error> {
    let path = path(bundle);
    match std::fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_record_is_fixed() {
        let fixture = include_str!("../tests/data/sandbox-v1.json").trim_end();
        let record: Record = serde_json::from_str(fixture).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), fixture);
        assert_eq!(record.pod.reaper(), 7);
    }

    #[test]
    fn a_record_of_a_newer_program_is_left_alone() {
        let bundle = tempfile::tempdir().unwrap();
        remove_leftovers(bundle.path()).unwrap();
        std::fs::write(path(bundle.path()), r#"{"version":2,"pod":{"pins":"/nowhere"}}"#).unwrap();
        assert_eq!(remove_leftovers(bundle.path()).unwrap_err().kind(), ErrorKind::Unsupported);
        std::fs::write(path(bundle.path()), r#"{"version":1,"pod":{"pins":"/nowhere"}}"#).unwrap();
        remove_leftovers(bundle.path()).unwrap();
        assert!(!path(bundle.path()).exists());
    }
}
