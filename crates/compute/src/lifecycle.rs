//! The lifecycle of a container: one table, and one pure function that reads it.
//!
//! | status  | start | exec       | signal | pause | resume | update | inspect | checkpoint | delete    | force delete |
//! |---------|-------|------------|--------|-------|--------|--------|---------|------------|-----------|--------------|
//! | created | go    | go         | go     | go    | no     | go     | go      | no         | kill first | kill first  |
//! | running | no    | go         | go     | go    | no     | go     | go      | go         | no        | kill first   |
//! | paused  | no    | if ignored | go     | no    | go     | go     | go      | go         | no        | kill first   |
//! | stopped | no    | no         | no     | no    | no     | no     | no      | no         | go        | kill first   |
//!
//! *Create* is not in the table: it needs an id that has no container. *Exit* is no verb of ours: it happens to a
//! container in any of the first three states and leaves it stopped. *Inspect* stands for `ps`, `events` and
//! `resize-tty`. A force delete of a stopped container kills first too, because a container without a PID namespace
//! of its own can leave processes behind. The table in this text is checked against [`admit`] by a test.

use crate::error::{Classify, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a container is in its life, as every verb reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything is made, its process waits to be started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its process is gone, what was made for it may not be.
    Stopped,
}

/// What somebody wants of an existing container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Let the created process run.
    Start,
    /// Run another process inside.
    Exec {
        /// Also in a paused container, where the process will not make progress until resume.
        ignore_paused: bool,
    },
    /// Send a signal.
    Kill,
    /// Freeze all processes.
    Pause,
    /// Thaw them.
    Resume,
    /// Change limits.
    Update,
    /// Look at what runs: `ps`, `events`, `resize-tty`.
    Inspect,
    /// Write its processes to disk.
    Checkpoint,
    /// Remove what was made for it.
    Delete {
        /// Whatever its state.
        force: bool,
    },
}

/// What to do, when the table admits the verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Do it.
    Go,
    /// End all its processes and wait for that, then do it.
    KillFirst,
}

/// A verb that the state does not admit. The texts are those of runc, which its callers parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The container.
    pub id: String,
    /// What it was in.
    pub status: Status,
    /// What was wanted.
    pub verb: Verb,
}

/// Decides; does nothing.
pub fn admit(id: &str, status: Status, verb: Verb) -> Result<Step, Denied> {
    use Status::{Created, Paused, Running, Stopped};
    let denied = || Err(Denied { id: id.to_owned(), status, verb });
    match (status, verb) {
        (Created, Verb::Start) => Ok(Step::Go),
        (Running | Paused | Stopped, Verb::Start) => denied(),

        (Created | Running, Verb::Exec { .. }) | (Paused, Verb::Exec { ignore_paused: true }) => Ok(Step::Go),
        (Paused, Verb::Exec { ignore_paused: false }) | (Stopped, Verb::Exec { .. }) => denied(),

        (Created | Running | Paused, Verb::Kill | Verb::Update | Verb::Inspect) => Ok(Step::Go),
        (Stopped, Verb::Kill | Verb::Update | Verb::Inspect) => denied(),

        (Created | Running, Verb::Pause) => Ok(Step::Go),
        (Paused | Stopped, Verb::Pause) => denied(),

        (Paused, Verb::Resume) => Ok(Step::Go),
        (Created | Running | Stopped, Verb::Resume) => denied(),

        (Running | Paused, Verb::Checkpoint) => Ok(Step::Go),
        (Created | Stopped, Verb::Checkpoint) => denied(),

        (Stopped, Verb::Delete { force: false }) => Ok(Step::Go),
        (Created, Verb::Delete { force: false })
        | (Created | Running | Paused | Stopped, Verb::Delete { force: true }) => Ok(Step::KillFirst),
        (Running | Paused, Verb::Delete { force: false }) => denied(),
    }
}

impl Denied {
    /// The states in which the verb is legal.
    pub fn legal(&self) -> Vec<Status> {
        [Status::Created, Status::Running, Status::Paused, Status::Stopped]
            .into_iter()
            .filter(|status| admit(&self.id, *status, self.verb).is_ok())
            .collect()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denied { id, status, verb } = self;
        match (verb, status) {
            (Verb::Start, Status::Stopped) => write!(f, "cannot start a container that has stopped")?,
            (Verb::Start, Status::Running) => write!(f, "cannot start an already running container")?,
            (Verb::Start, _) => write!(f, "cannot start a container in the {status} state")?,
            (Verb::Exec { .. }, Status::Paused) => {
                write!(f, "cannot exec in a paused container (use --ignore-paused to override)")?;
            }
            (Verb::Exec { .. }, _) => write!(f, "cannot exec in a {status} container")?,
            (Verb::Resume, _) => write!(f, "container not paused")?,
            (Verb::Kill | Verb::Update | Verb::Pause, _) => write!(f, "container not running")?,
            (Verb::Inspect, _) => write!(f, "container with id {id} is not running")?,
            (Verb::Checkpoint, _) => write!(f, "Container cannot be checkpointed in {status} state")?,
            (Verb::Delete { .. }, _) => {
                write!(f, "cannot delete container {id} that is not stopped: {status}")?;
            }
        }
        let legal: Vec<String> = self.legal().iter().map(ToString::to_string).collect();
        write!(f, " (container {id} is {status}; {verb} needs {})", legal.join(" or "))
    }
}

impl std::error::Error for Denied {}

impl Classify for Denied {
    fn kind(&self) -> Kind {
        Kind::WrongState
    }
}

impl Status {
    /// The word of the OCI runtime specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Start => "start",
            Verb::Exec { .. } => "exec",
            Verb::Kill => "kill",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Update => "update",
            Verb::Inspect => "looking inside",
            Verb::Checkpoint => "checkpoint",
            Verb::Delete { .. } => "delete",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [Status; 4] = [Status::Created, Status::Running, Status::Paused, Status::Stopped];

    /// The table of the module's documentation is what `admit` does.
    #[test]
    fn the_table_is_true() {
        let table: Vec<Vec<&str>> = include_str!("lifecycle.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "))
            .map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect())
            .collect();
        let (head, rows) = table.split_first().unwrap();
        assert_eq!(rows.len(), STATUSES.len());
        for (row, status) in rows.iter().zip(STATUSES) {
            assert_eq!(row[0], status.as_str());
            for (column, cell) in head.iter().zip(row).skip(1) {
                let verbs: Vec<Verb> = match *column {
                    "start" => vec![Verb::Start],
                    "exec" => vec![Verb::Exec { ignore_paused: false }, Verb::Exec { ignore_paused: true }],
                    "signal" => vec![Verb::Kill],
                    "pause" => vec![Verb::Pause],
                    "resume" => vec![Verb::Resume],
                    "update" => vec![Verb::Update],
                    "inspect" => vec![Verb::Inspect],
                    "checkpoint" => vec![Verb::Checkpoint],
                    "delete" => vec![Verb::Delete { force: false }],
                    "force delete" => vec![Verb::Delete { force: true }],
                    other => panic!("no verb stands for column {other}"),
                };
                for verb in verbs {
                    let expected = match *cell {
                        "go" => Some(Step::Go),
                        "kill first" => Some(Step::KillFirst),
                        "no" => None,
                        "if ignored" => (verb == Verb::Exec { ignore_paused: true }).then_some(Step::Go),
                        other => panic!("{other} means nothing"),
                    };
                    assert_eq!(admit("c", status, verb).ok(), expected, "{status} {verb:?}");
                }
            }
        }
    }

    #[test]
    fn a_denial_names_the_verb_the_object_its_state_and_what_is_legal() {
        let denied = admit("web", Status::Stopped, Verb::Start).unwrap_err().to_string();
        assert_eq!(
            denied,
            "cannot start a container that has stopped (container web is stopped; start needs created)"
        );
        let denied = admit("web", Status::Running, Verb::Delete { force: false }).unwrap_err().to_string();
        assert!(denied.starts_with("cannot delete container web that is not stopped: running"), "{denied}");
        assert!(denied.ends_with("delete needs created or stopped)"), "{denied}");
    }
}
