//! What the tests of several programs have said, counted: libtest's output, and that of libtest-mimic, which the
//! stories use.
//!
//! A unit test that cannot run on this machine prints a line that starts with `skipped:` and passes; a story is
//! reported as ignored, with the reason. A test that is skipped in one place and runs in another (the test machine)
//! is not skipped.

use std::collections::{BTreeMap, BTreeSet};

/// The results of all programs so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    ran: BTreeSet<String>,
    skipped: BTreeMap<String, String>,
    /// The tests that failed, with the first lines of what they said.
    failures: BTreeMap<String, Vec<String>>,
    /// Whether what is read now is the second try of tests that failed.
    again: bool,
    /// The tests that failed and passed when they ran again by themselves.
    unsteady: BTreeSet<String>,
    section: Section,
    /// The test whose output is repeated.
    test: String,
    /// How many tests the program has said it would run. Tests that run themselves again in namespaces bring the
    /// whole output of that along when they fail; it is told apart by this number.
    announced: Option<u64>,
    /// Of those that this program will call passed, how many skipped.
    passed_by_skipping: u64,
}

/// The parts of libtest's output.
#[derive(Default, PartialEq, Eq)]
enum Section {
    #[default]
    Verdicts,
    /// What passing tests have printed.
    Successes,
    Failures,
}

impl Tally {
    /// Takes in one line; whether a person wants to see it.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ")
            && self.announced.is_none_or(|announced| announced == total(result))
        {
            self.section = Section::Verdicts;
            self.announced = None;
            self.passed +=
                count(result, "passed").saturating_sub(std::mem::take(&mut self.passed_by_skipping));
            return true;
        }
        if self.announced.is_none()
            && let Some(number) = line.strip_prefix("running ").and_then(|rest| rest.split(' ').next())
        {
            self.announced = number.parse().ok();
        }
        match line {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            AGAIN => self.again = true,
            _ if line.starts_with("== ") => self.again = false,
            _ => {}
        }
        match self.section {
            Section::Verdicts => self.read_verdict(line),
            Section::Successes => self.read_success(line),
            Section::Failures => self.read_failure(line),
        }
    }

    /// The tests that ran nowhere, with the reason that they gave.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        let nowhere = self.skipped.iter().filter(|(test, _)| !self.ran.contains(*test));
        nowhere.map(|(test, reason)| (test.as_str(), reason.as_str()))
    }

    /// How many tests failed.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Whether every program that said how many tests it would run has also said how they ended.
    pub(crate) fn is_between_programs(&self) -> bool {
        self.announced.is_none()
    }

    /// The names of the tests that failed.
    pub(crate) fn failed_tests(&self) -> Vec<String> {
        self.failures.keys().cloned().collect()
    }

    /// From here on tests that failed run again, until a line that starts with `== `.
    pub(crate) fn again(&mut self) {
        self.again = true;
    }

    /// The tests that passed only by themselves.
    pub(crate) fn unsteady(&self) -> impl Iterator<Item = &str> {
        self.unsteady.iter().map(String::as_str)
    }

    /// The tests that failed and what they said, in brief: whoever sees only the end of a long run sees this.
    pub(crate) fn failures(&self) -> String {
        let mut text = String::new();
        for (test, lines) in &self.failures {
            text = text + "\n  " + test;
            for line in lines {
                text = text + "\n    " + line;
            }
        }
        text
    }

    /// `test NAME ... ok`, and the like.
    fn read_verdict(&mut self, line: &str) -> bool {
        if let Some(reason) = line.strip_prefix("skipped:") {
            // Of a program without harness, which skips as a whole.
            self.skipped.insert(format!("a program of its own:{reason}"), reason.trim().to_owned());
        }
        let Some((test, verdict)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... "))
        else {
            return true;
        };
        let test = test.trim().to_owned();
        if let Some(reason) = verdict.strip_prefix("ignored") {
            // libtest writes ", reason", the stories' harness " (reason)".
            let reason = reason.trim_start_matches([',', ' ', '(']).trim_end_matches(')').to_owned();
            self.skipped.insert(test, reason);
            return false;
        }
        if verdict == "FAILED" {
            self.failures.entry(test.clone()).or_default();
        } else if verdict == "ok" && self.again && self.failures.remove(&test).is_some() {
            self.unsteady.insert(test.clone());
        }
        self.ran.insert(test);
        verdict != "ok"
    }

    fn read_failure(&mut self, line: &str) -> bool {
        if let Some(test) = headline(line) {
            test.clone_into(&mut self.test);
        } else if let Some(lines) = self.failures.get_mut(&self.test)
            && lines.len() < LINES_OF_A_FAILURE
            && !line.trim().is_empty()
        {
            lines.push(line.to_owned());
        }
        true
    }

    fn read_success(&mut self, line: &str) -> bool {
        if let Some(test) = headline(line) {
            test.clone_into(&mut self.test);
        } else if let Some(reason) = line.strip_prefix("skipped:") {
            self.passed_by_skipping += 1;
            self.ran.remove(&self.test);
            self.skipped.insert(self.test.clone(), reason.trim().to_owned());
        }
        false
    }
}

/// The line before the output of tests that failed and run again.
pub(crate) const AGAIN: &str = "== again";

/// Of a failure only this much is repeated at the end.
const LINES_OF_A_FAILURE: usize = 12;

/// The test whose output follows: `---- NAME stdout ----` of libtest, `---- NAME ----` of libtest-mimic.
fn headline(line: &str) -> Option<&str> {
    let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    Some(name.strip_suffix(" stdout").unwrap_or(name))
}

fn total(result: &str) -> u64 {
    ["passed", "failed", "ignored", "measured"].map(|word| count(result, word)).iter().sum()
}

/// The number before `word` in "ok. 12 passed; 0 failed; …".
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).collect();
    let number = words.iter().position(|found| *found == word).and_then(|at| at.checked_sub(1));
    number.and_then(|at| words.get(at)).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 5 tests
test a ... ok
test b ... ok
test c ... ignored, takes an hour
test d      ... FAILED
test exec::e  ... ignored (needs systemd)

successes:

---- b stdout ----
some chatter
skipped: no CAP_SYS_RESOURCE

successes:
    a
    b

failures:

---- d stdout ----
skipped: this is a failure's output
running 1 test
test d ... FAILED

successes:

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s

test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";

    fn read<'a>(tally: &mut Tally, output: &'a str) -> Vec<&'a str> {
        output.lines().filter(|line| tally.read(line)).collect()
    }

    #[test]
    fn skips_are_found_with_their_reasons_and_failures_are_shown() {
        let mut tally = Tally::default();
        let shown = read(&mut tally, OUTPUT);
        let skipped: Vec<_> = tally.skipped().collect();
        assert_eq!(
            skipped,
            [("b", "no CAP_SYS_RESOURCE"), ("c", "takes an hour"), ("exec::e", "needs systemd")]
        );
        // One of the two that libtest calls passed was skipped.
        assert_eq!((tally.passed, tally.failed()), (1, 1));
        assert!(!shown.contains(&"some chatter") && !shown.contains(&"test a ... ok"));
        assert!(shown.contains(&"test d      ... FAILED") && shown.contains(&"---- d stdout ----"));
        assert!(tally.failures().starts_with("\n  d\n    skipped: this is a failure's output\n"));
    }

    #[test]
    fn a_test_that_passes_by_itself_is_unsteady_and_has_not_failed() {
        let mut tally = Tally::default();
        read(&mut tally, OUTPUT);
        // In another program a test of that name passes: that changes nothing.
        read(
            &mut tally,
            "== another program\nrunning 1 test\ntest d ... ok\n\ntest result: ok. 1 passed; 0 failed",
        );
        assert_eq!(tally.failed_tests(), ["d"]);
        read(&mut tally, "== again\nrunning 1 test\ntest d ... ok\n\ntest result: ok. 1 passed; 0 failed");
        assert_eq!((tally.failed(), tally.unsteady().collect::<Vec<_>>()), (0, vec!["d"]));
    }

    #[test]
    fn a_program_that_dies_leaves_its_tests_open() {
        let mut tally = Tally::default();
        read(&mut tally, "running 1 test\ntest c ... ok\n\ntest result: ok. 1 passed; 0 failed");
        assert!(tally.is_between_programs());
        read(&mut tally, "running 9 tests\ntest a ... FAILED\n");
        read(&mut tally, "running 1 test\ntest b ... ok\n\ntest result: ok. 1 passed; 0 failed");
        assert!(!tally.is_between_programs());
    }

    #[test]
    fn what_runs_in_one_place_is_not_skipped() {
        let mut tally = Tally::default();
        read(&mut tally, OUTPUT);
        read(&mut tally, "test exec::e ... ok\ntest c ... ignored, takes an hour\n");
        assert_eq!(tally.skipped().map(|(test, _)| test).collect::<Vec<_>>(), ["b", "c"]);
    }
}
