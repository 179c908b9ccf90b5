//! The life of a compute system: one table, and one pure function that reads it.
//!
//! | state           | start   | shut down | terminate | pause  | resume  | save   | save as template | modify  | create process | crash   | query  | exit    |
//! |-----------------|---------|-----------|-----------|--------|---------|--------|------------------|---------|----------------|---------|--------|---------|
//! | Created         | Running | invalid   | Stopped   | invalid | invalid | invalid | invalid          | stays   | invalid        | invalid | stays  | Stopped |
//! | Running         | invalid | Stopped   | Stopped   | Paused | invalid | invalid | invalid          | stays   | stays          | stays   | stays  | Stopped |
//! | Paused          | invalid | invalid   | Stopped   | invalid | Running | stays  | SavedAsTemplate  | stays   | invalid        | invalid | stays  | Stopped |
//! | SavedAsTemplate | invalid | invalid   | Stopped   | invalid | invalid | invalid | invalid          | invalid | invalid        | invalid | stays  | Stopped |
//! | Stopped         | gone    | gone      | gone      | gone   | gone    | gone   | gone             | gone    | gone           | gone    | stays  | gone    |
//!
//! *invalid* is `HCS_E_INVALID_STATE`, *gone* is `HCS_E_SYSTEM_ALREADY_STOPPED`. *Create* is not in the table: it
//! needs an id that no system has, else `HCS_E_SYSTEM_ALREADY_EXISTS`. *Exit* is no call: the guest ends, a crash
//! ends it, or the last handle of a system is closed that was to end then. Compute systems are ephemeral: one that
//! stopped can no longer be opened, and those who hold a handle can ask for its exit only. What a save wrote lies in
//! a file; the system it was made of is as paused as before, to be resumed or terminated. The table in this text is
//! checked against [`admit`] by a test.

use crate::document::IntoField;
use crate::documents;
use crate::hresult::HResult;
use std::fmt;

/// Where a compute system is in its life. Its properties report it as [`documents::State`], which has room for what
/// other versions of the service may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Made, not started.
    Created,
    /// Started.
    Running,
    /// Halted, to be resumed.
    Paused,
    /// Ended.
    Stopped,
    /// Halted for good: others are made of it.
    SavedAsTemplate,
}

/// What is wanted of a compute system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Let it run.
    Start,
    /// End it in order.
    ShutDown,
    /// End it at once.
    Terminate,
    /// Halt it.
    Pause,
    /// Let it go on.
    Resume,
    /// Write its state to a file.
    Save,
    /// Make it what others are made of.
    SaveAsTemplate,
    /// Change its devices or limits.
    Modify,
    /// Run a process in it.
    CreateProcess,
    /// Crash its guest.
    Crash,
    /// Look at its properties.
    Query,
    /// It ends by itself.
    Exit,
}

/// All verbs, in the order of the table.
pub const VERBS: [Verb; 12] = [
    Verb::Start,
    Verb::ShutDown,
    Verb::Terminate,
    Verb::Pause,
    Verb::Resume,
    Verb::Save,
    Verb::SaveAsTemplate,
    Verb::Modify,
    Verb::CreateProcess,
    Verb::Crash,
    Verb::Query,
    Verb::Exit,
];

/// All states, in the order of the table.
pub const STATES: [State; 5] =
    [State::Created, State::Running, State::Paused, State::SavedAsTemplate, State::Stopped];

/// A verb that the state does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} a compute system that is {state}")]
pub struct Denied {
    /// What it is in.
    pub state: State,
    /// What was wanted.
    pub verb: Verb,
}

/// Decides, and does nothing: the state that the system is in when the verb is done.
///
/// # Errors
/// [`Denied`], which knows its HRESULT.
pub fn admit(state: State, verb: Verb) -> Result<State, Denied> {
    use State::{Created, Paused, Running, SavedAsTemplate, Stopped};
    let denied = Err(Denied { state, verb });
    match (state, verb) {
        (Created | Running | Paused | SavedAsTemplate | Stopped, Verb::Query) => Ok(state),
        (Stopped, _) => denied,
        (Created | Running | Paused | SavedAsTemplate, Verb::Terminate | Verb::Exit) => Ok(Stopped),

        (Created, Verb::Start) => Ok(Running),
        (Running | Paused | SavedAsTemplate, Verb::Start) => denied,

        (Running, Verb::ShutDown) => Ok(Stopped),
        (Created | Paused | SavedAsTemplate, Verb::ShutDown) => denied,

        (Running, Verb::Pause) => Ok(Paused),
        (Created | Paused | SavedAsTemplate, Verb::Pause) => denied,

        (Paused, Verb::Resume) => Ok(Running),
        (Created | Running | SavedAsTemplate, Verb::Resume) => denied,

        (Paused, Verb::Save) => Ok(Paused),
        (Paused, Verb::SaveAsTemplate) => Ok(SavedAsTemplate),
        (Created | Running | SavedAsTemplate, Verb::Save | Verb::SaveAsTemplate) => denied,

        (Created | Running | Paused, Verb::Modify) => Ok(state),
        (SavedAsTemplate, Verb::Modify) => denied,

        (Running, Verb::CreateProcess | Verb::Crash) => Ok(Running),
        (Created | Paused | SavedAsTemplate, Verb::CreateProcess | Verb::Crash) => denied,
    }
}

impl Denied {
    /// The code that the service answers.
    pub fn code(&self) -> HResult {
        match self.state {
            State::Stopped => HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
            State::Created | State::Running | State::Paused | State::SavedAsTemplate => {
                HResult::HCS_E_INVALID_STATE
            }
        }
    }

    /// The states in which the verb is legal.
    pub fn legal(&self) -> Vec<State> {
        STATES.into_iter().filter(|state| admit(*state, self.verb).is_ok()).collect()
    }
}

impl State {
    /// The word of the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Created => "Created",
            State::Running => "Running",
            State::Paused => "Paused",
            State::Stopped => "Stopped",
            State::SavedAsTemplate => "SavedAsTemplate",
        }
    }
}

impl From<State> for documents::State {
    fn from(state: State) -> Self {
        match state {
            State::Created => Self::Created,
            State::Running => Self::Running,
            State::Paused => Self::Paused,
            State::Stopped => Self::Stopped,
            State::SavedAsTemplate => Self::SavedAsTemplate,
        }
    }
}

impl IntoField<documents::State> for State {
    fn into_field(self) -> documents::State {
        self.into()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Start => "start",
            Verb::ShutDown => "shut down",
            Verb::Terminate => "terminate",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Save => "save",
            Verb::SaveAsTemplate => "save as template",
            Verb::Modify => "modify",
            Verb::CreateProcess => "create process",
            Verb::Crash => "crash",
            Verb::Query => "query",
            Verb::Exit => "exit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the module's documentation is what `admit` does.
    #[test]
    fn the_table_is_true() {
        let table: Vec<Vec<&str>> = include_str!("state.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "))
            .map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect())
            .collect();
        let (head, rows) = table.split_first().unwrap();
        assert_eq!(head.len(), VERBS.len() + 1);
        assert_eq!(rows.len(), STATES.len());
        for (row, state) in rows.iter().zip(STATES) {
            assert_eq!(row[0], state.as_str());
            assert_eq!(row.len(), head.len());
            for ((column, cell), verb) in head.iter().zip(row).skip(1).zip(VERBS) {
                assert_eq!(*column, verb.to_string());
                let expected = match *cell {
                    "stays" => Ok(state),
                    "invalid" => Err(HResult::HCS_E_INVALID_STATE),
                    "gone" => Err(HResult::HCS_E_SYSTEM_ALREADY_STOPPED),
                    name => Ok(STATES.into_iter().find(|state| state.as_str() == name).unwrap()),
                };
                assert_eq!(admit(state, verb).map_err(|denied| denied.code()), expected, "{state} {verb}");
            }
        }
    }

    #[test]
    fn a_denial_names_the_state_the_verb_and_what_is_legal() {
        let denied = admit(State::Running, Verb::Save).unwrap_err();
        assert_eq!(denied.to_string(), "cannot save a compute system that is Running");
        assert_eq!(denied.legal(), [State::Paused]);
    }

    #[test]
    fn the_words_are_those_of_the_documents() {
        for state in STATES {
            assert_eq!(documents::State::from(state).as_str(), state.as_str());
        }
    }

    #[test]
    fn nothing_leaves_the_stopped_state_and_everything_reaches_it() {
        for verb in VERBS {
            assert!(
                admit(State::Stopped, verb).is_ok_and(|state| state == State::Stopped)
                    == (verb == Verb::Query)
            );
        }
        for state in STATES {
            assert!(state == State::Stopped || admit(state, Verb::Terminate) == Ok(State::Stopped));
        }
    }
}
