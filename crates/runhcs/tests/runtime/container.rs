//! A container of a story, which goes when the story lets it go.

use crate::cgroups;
use crate::lines::{Lines, PATIENCE, eventually, readable};
use crate::runtime::{Call, Output, Runtime};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use std::cell::Cell;
use std::path::PathBuf;

/// A container that was created, and may be anything since.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) runtime: Runtime,
    pub(crate) bundle: PathBuf,
    /// What its process writes.
    pub(crate) out: Lines,
    /// What creating it said; the process's standard error goes the same way.
    pub(crate) created: Output,
    pub(crate) deleted: Cell<bool>,
}

impl Container {
    /// A call whose last argument is the id.
    pub(crate) fn call(&self, words: &[&str]) -> Call {
        let mut words = words.to_vec();
        words.push(&self.id);
        self.runtime.call(&words)
    }

    /// Runs such a call.
    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        self.call(words).run()
    }

    /// Lets the process run.
    #[track_caller]
    pub(crate) fn start(&self) {
        self.verb(&["start"]).ok();
    }

    /// The state document.
    #[track_caller]
    pub(crate) fn state(&self) -> Value {
        self.verb(&["state"]).ok().json()
    }

    /// The status word.
    #[track_caller]
    pub(crate) fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").to_owned()
    }

    /// The process id of its init on the host.
    #[track_caller]
    pub(crate) fn pid(&self) -> i32 {
        let pid = self.state()["pid"].as_i64().expect("a pid");
        i32::try_from(pid).expect("a pid")
    }

    /// Starts another process, with options of exec before the id.
    pub(crate) fn exec_with(&self, options: &[&str], args: &[&str]) -> Call {
        let mut words = vec!["exec"];
        words.extend(options);
        words.push(&self.id);
        words.extend(args);
        self.runtime.call(&words)
    }

    /// Runs a script inside.
    pub(crate) fn sh(&self, script: &str) -> Output {
        self.exec_with(&[], &["/bin/sh", "-c", script]).run()
    }

    /// Sends a signal to its init.
    pub(crate) fn kill(&self, signal: &str) -> Output {
        self.runtime.call(&["kill", &self.id, signal]).run()
    }

    /// Waits until init has ended and the runtime says so.
    #[track_caller]
    pub(crate) fn wait_stopped(&self) {
        let pid = self.pid();
        if let Some(pid) = Pid::from_raw(pid)
            && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
        {
            assert!(readable(&pidfd, PATIENCE), "the init of {} did not end", self.id);
        }
        assert!(eventually(PATIENCE, || self.status() == "stopped"), "{} is not stopped", self.id);
    }

    /// Kills it and waits for that.
    #[track_caller]
    pub(crate) fn kill_and_wait(&self) {
        self.kill("KILL").ok();
        self.wait_stopped();
    }

    /// Deletes it, whatever it does.
    #[track_caller]
    pub(crate) fn delete(&self) {
        self.verb(&["delete", "--force"]).ok();
        self.deleted.set(true);
    }

    /// A setting of its cgroup.
    pub(crate) fn cgroup(&self, controller: &str, v1: &str, v2: &str) -> String {
        cgroups::read(self.pid(), controller, v1, v2)
    }

    /// Where it keeps its state.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.runtime.root.join(&self.id)
    }

    /// A path of its root file system.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.deleted.get() {
            let _ =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.verb(&["delete", "--force"])));
        }
    }
}
