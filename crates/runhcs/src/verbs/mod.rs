//! One verb, one file: its options, and what it does.

mod checkpoint;
mod compat;
mod completion;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod new_container;
mod pause;
mod ps;
mod resize_tty;
mod restore;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::context::Context;
use clap::Subcommand;

/// What a person can ask for.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Checkpoint(checkpoint::Checkpoint),
    Compat(compat::Compat),
    Completion(completion::Completion),
    Create(create::Create),
    Delete(delete::Delete),
    Events(events::Events),
    Exec(exec::Exec),
    Features(features::Features),
    Kill(kill::Kill),
    List(list::List),
    Pause(pause::Pause),
    Ps(ps::Ps),
    ResizeTty(resize_tty::ResizeTty),
    Restore(restore::Restore),
    Resume(resume::Resume),
    Run(run::Run),
    Spec(spec::Spec),
    Start(start::Start),
    State(state::State),
    Update(update::Update),
}

/// Why a verb failed, and the program's exit code for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(1, told(&error))
    }
}

impl Verb {
    /// Does it. The result is the program's exit code.
    pub(crate) fn run(self, context: &Context) -> Result<u8, Failure> {
        let program = context.program;
        let done = match self {
            // `run` and `exec` exit as their process did; 255 tells a failed exec from a process that failed.
            Verb::Run(verb) => {
                return verb.run(context).map_err(|e| e.context(format!("{program} run failed")).into());
            }
            Verb::Restore(verb) => return Ok(verb.run(context)?),
            Verb::Compat(verb) => return Ok(verb.run()?),
            Verb::Exec(verb) => {
                return verb.run(context).map_err(|e| Failure::new(255, told(&e.context("exec failed"))));
            }
            Verb::Create(verb) => {
                verb.run(context).map_err(|e| e.context(format!("{program} create failed")))
            }
            Verb::Checkpoint(verb) => verb.run(context),
            Verb::Completion(verb) => verb.run(),
            Verb::Delete(verb) => verb.run(context),
            Verb::Events(verb) => verb.run(context),
            Verb::Features(verb) => verb.run(context),
            Verb::Kill(verb) => verb.run(context),
            Verb::List(verb) => verb.run(context),
            Verb::Pause(verb) => verb.run(context),
            Verb::Ps(verb) => verb.run(context),
            Verb::ResizeTty(verb) => verb.run(context),
            Verb::Resume(verb) => verb.run(context),
            Verb::Spec(verb) => verb.run(),
            Verb::Start(verb) => verb.run(context),
            Verb::State(verb) => verb.run(context),
            Verb::Update(verb) => verb.run(context),
        };
        Ok(done.map(|()| 0)?)
    }
}

/// The chain of an error in one line. The system's words are written as callers of runc know them.
fn told(error: &anyhow::Error) -> String {
    let chain = error.chain().map(|cause| {
        let errno = cause.downcast_ref::<rustix::io::Errno>().map(|errno| std::io::Error::from(*errno));
        match errno.as_ref().or_else(|| cause.downcast_ref()) {
            Some(cause) if cause.raw_os_error().is_some() => system_words(cause),
            _ => cause.to_string(),
        }
    });
    chain.collect::<Vec<_>>().join(": ")
}

/// Lower case, without the number: "no such file or directory".
fn system_words(cause: &std::io::Error) -> String {
    let words = cause.to_string();
    let words = words.split(" (os error ").next().unwrap_or(&words);
    let mut chars = words.chars();
    match chars.next() {
        Some(first) if chars.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_is_one_line_in_runcs_manner() {
        let error = Err::<(), _>(std::io::Error::from_raw_os_error(2)).context("open /x").unwrap_err();
        assert_eq!(Failure::from(error), Failure::new(1, "open /x: no such file or directory"));
    }
}
