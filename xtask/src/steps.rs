//! A row of checks that are all run, whatever the first ones say, and summed up at the end: who reads a failed
//! CI run wants every fault at once.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// The checks that have run, in order.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    /// Runs one check under a headline.
    pub(crate) fn step(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        eprintln!("\n══ {name}");
        let begun = Instant::now();
        let failure = check().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("{name}: {failure}");
        }
        self.done.push(Step { name: name.to_owned(), took: begun.elapsed(), failure });
    }

    /// Prints what passed and what did not; fails if anything did.
    pub(crate) fn finish(self) -> Result<()> {
        eprintln!();
        for step in &self.done {
            let verdict = if step.failure.is_none() { "ok    " } else { "FAILED" };
            eprintln!("{verdict} {:>6.1} s  {}", step.took.as_secs_f64(), step.name);
        }
        // Once more: who sees only the end of the output sees what it was.
        for step in &self.done {
            if let Some(failure) = &step.failure {
                eprintln!("\n{}: {failure}", step.name);
            }
        }
        let failed: Vec<&str> =
            self.done.iter().filter(|step| step.failure.is_some()).map(|step| step.name.as_str()).collect();
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }
}

/// Runs a program that prints for itself; fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let _ = std::io::stderr().flush();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("run {program}"))?;
    if status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    bail!("{program} {}: {status}", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_one_failure_fails_the_whole() {
        let mut steps = Steps::default();
        let mut ran = Vec::new();
        steps.step("first", || bail!("broken"));
        steps.step("second", || {
            ran.push("second");
            Ok(())
        });
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: first");
        assert_eq!(ran, ["second"]);
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_arguments() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh -c exit 3: exit status: 3");
    }
}
