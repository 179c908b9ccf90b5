//! The in-memory implementations pass the suite, one line for each case.

#![expect(clippy::print_stderr, reason = "a test program: what it cannot begin with is said")]

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
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
