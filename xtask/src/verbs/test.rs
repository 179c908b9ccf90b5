//! `test`: every test there is, on the program as it is shipped.
//!
//! A test that cannot run on this machine says so in a line that starts with `skipped:` and passes. libtest hides
//! that line, so its output is read here: skips are listed at the end with their reasons, and in CI a skip that
//! is not in [`ALLOWED`] is a failure, so that a missing package never turns the suite green.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use xtask::trees;

use super::setup;
use crate::project;

/// What may be skipped in CI: part of the reason that the test gives, and why that is not CI's to change.
const ALLOWED: [(&str, &str); 4] = [
    ("CAP_SYS_RESOURCE", "containers that CI runs in seldom have it"),
    ("cgroup v2", "on a v1 host these tests run in the test machine"),
    ("systemd", "without systemd as PID 1 these tests run in the test machine"),
    ("resctrl", "needs a processor with Intel RDT"),
];

/// Names the Debian tree with podman, containerd and Docker to the tests of callers.
const CALLERS: &str = "COFFERDAM_TREE";

/// Run every test: units, the engine in namespaces, the command line, its callers, the test machine
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Run only the tests of this crate
    #[arg(long, short)]
    package: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut tally = Tally::default();
    let passed = cargo_test(arguments, &mut tally)?;
    tally.report();
    ensure!(passed, "tests failed");
    if std::env::var_os("COFFERDAM_CI").is_some_and(|value| value == "1") {
        tally.refuse_new_skips()?;
    }
    ensure!(tally.passed > 0, "no test ran");
    Ok(())
}

fn cargo_test(arguments: &Arguments, tally: &mut Tally) -> Result<bool> {
    let mut cargo = project::cargo("test");
    cargo.args(["--release", "--no-fail-fast"]);
    match &arguments.package {
        Some(package) => cargo.args(["--package", package]),
        None => cargo.arg("--workspace"),
    };
    cargo.args(&arguments.filter).args(["--", "--show-output"]);
    if std::env::var_os(CALLERS).is_none() && setup::is_root() {
        cargo.env(CALLERS, trees::callers()?);
    }
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no stdout")?;
    let mut reader = Reader::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read the output of cargo test")?;
        if reader.read(&line, tally) {
            eprintln!("{line}");
        }
    }
    Ok(child.wait().context("wait for cargo test")?.success())
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skips: Vec<Skip>,
}

struct Skip {
    test: String,
    reason: String,
}

impl Tally {
    fn report(&self) {
        for Skip { test, reason } in &self.skips {
            eprintln!("skipped {test}: {reason}");
        }
        // A skipped test passed for libtest.
        let ran = self.passed.saturating_sub(self.skips.len() as u64);
        eprintln!("\n{ran} passed, {} failed, {} skipped", self.failed, self.skips.len());
    }

    fn refuse_new_skips(&self) -> Result<()> {
        let allowed = |skip: &&Skip| !ALLOWED.iter().any(|(part, _)| skip.reason.contains(part));
        let new: Vec<&str> = self.skips.iter().filter(allowed).map(|skip| skip.test.as_str()).collect();
        if new.is_empty() {
            return Ok(());
        }
        bail!(
            "skipped, which CI does not allow: {}; make `cargo xtask setup` install what they miss, or add the \
             reason to ALLOWED in xtask/src/verbs/test.rs",
            new.join(", ")
        )
    }
}

/// Follows the output of libtest.
#[derive(Default)]
struct Reader {
    /// Inside the section that repeats what passing tests have printed, and whose output it is.
    successes: bool,
    test: String,
}

impl Reader {
    /// Takes in one line; whether a person wants to see it.
    fn read(&mut self, line: &str, tally: &mut Tally) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.successes = false;
            tally.passed += count(result, "passed");
            tally.failed += count(result, "failed");
            return true;
        }
        match line {
            "successes:" => self.successes = true,
            "failures:" => self.successes = false,
            _ => {}
        }
        if !self.successes {
            if let Some((test, reason)) = line.split_once(" ... ignored") {
                // libtest writes ", reason", the harness of the stories " (reason)".
                let reason = reason.trim_start_matches([',', ' ', '(']).trim_end_matches(')').to_owned();
                let test = test.trim_start_matches("test ").trim().to_owned();
                tally.skips.push(Skip { test, reason });
                // Unlike the others it is not among those that passed.
                tally.passed += 1;
            }
            return true;
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            test.clone_into(&mut self.test);
        } else if let Some(reason) = line.strip_prefix("skipped:") {
            tally.skips.push(Skip { test: self.test.clone(), reason: reason.trim().to_owned() });
        }
        false
    }
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
running 3 tests
test a ... ok
test b ... ok
test c ... ignored, takes an hour
test d ... FAILED

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

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";

    fn read(output: &str) -> (Tally, Vec<&str>) {
        let (mut reader, mut tally) = (Reader::default(), Tally::default());
        let shown = output.lines().filter(|line| reader.read(line, &mut tally)).collect();
        (tally, shown)
    }

    #[test]
    fn skips_are_found_with_their_reasons() {
        let (tally, shown) = read(OUTPUT);
        let skips: Vec<_> =
            tally.skips.iter().map(|skip| (skip.test.as_str(), skip.reason.as_str())).collect();
        assert_eq!(skips, [("c", "takes an hour"), ("b", "no CAP_SYS_RESOURCE")]);
        assert_eq!((tally.passed, tally.failed), (3, 1));
        assert!(!shown.contains(&"some chatter") && shown.contains(&"---- d stdout ----"));
    }

    #[test]
    fn ci_allows_only_the_skips_on_the_list() {
        let (tally, _) = read(OUTPUT);
        let refusal = tally.refuse_new_skips().unwrap_err().to_string();
        assert!(refusal.starts_with("skipped, which CI does not allow: c; "), "{refusal}");
    }
}
