//! The in-memory implementations pass the suite, one line for each case, and take what Microsoft's clients sent.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test program: what it did not expect is a failure"
)]

mod held;
mod recorded;

use hcs::suite::memory::MemoryFixture;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("no folder for the suite: {error}");
            return ExitCode::FAILURE;
        }
    };
    let fixture = Arc::new(MemoryFixture::new(folder.path().to_owned()));
    let trials = hcs::suite::cases()
        .map(|case| {
            let fixture = Arc::clone(&fixture);
            Trial::test(format!("{}: {}", case.group, case.name), move || {
                (case.run)(&*fixture);
                Ok(())
            })
        })
        .chain(held::CASES.iter().map(|(name, run)| {
            Trial::test(format!("held: {name}"), move || {
                run();
                Ok(())
            })
        }))
        .chain(recorded::scenarios().into_iter().map(|scenario| {
            Trial::test(format!("recorded: {scenario}"), move || {
                recorded::replay(&scenario);
                Ok(())
            })
        }))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
