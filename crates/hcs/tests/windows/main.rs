//! `hcs::windows` against libraries that export the C interface: each call crosses it.
//!
//! The libraries are this project's own (`crates/hcs-abi`), over the in-memory service: in the folder that
//! `COFFERDAM_LIBRARIES` names, else in `system32`. `cargo xtask test windows` builds them and runs this under Wine.
//! Every library has a service of its own, so systems that were made through computecore.dll are not seen through
//! vmcompute.dll; what would need both to agree needs a service in another process.

#![cfg_attr(
    windows,
    expect(clippy::print_stderr, clippy::unwrap_used, reason = "a test program: a panic is its verdict")
)]

#[cfg(windows)]
mod callbacks;
#[cfg(windows)]
mod counters;
#[cfg(windows)]
mod fixture;
#[cfg(windows)]
mod leaks;
#[cfg(windows)]
mod libraries;
#[cfg(windows)]
mod overhead;
#[cfg(windows)]
mod pressure;
#[cfg(windows)]
mod signatures;
#[cfg(windows)]
mod tools;

#[cfg(not(windows))]
fn main() {}

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial};
    use std::sync::Arc;

    if std::env::var_os(leaks::ALONE).is_some() {
        leaks::count();
        return std::process::ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("no folder for the suite: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let fixtures = [fixture::over_computecore(folder.path()), fixture::over_vmcompute(folder.path())];
    let mut trials: Vec<Trial> = Vec::new();
    for fixture in fixtures {
        let fixture = match fixture {
            Ok(fixture) => Arc::new(fixture),
            Err(error) => {
                eprintln!("{error}");
                return std::process::ExitCode::FAILURE;
            }
        };
        trials.extend(hcs::suite::cases().filter(|case| fixture.runs(case)).map(|case| {
            let fixture = Arc::clone(&fixture);
            Trial::test(format!("suite by {}: {}: {}", fixture.library(), case.group, case.name), move || {
                (case.run)(&*fixture);
                Ok(())
            })
        }));
    }
    for (name, run) in own() {
        trials.push(Trial::test(name, move || {
            run();
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    counters::print();
    if arguments.filter.is_none() {
        overhead::print();
    }
    conclusion.exit_code()
}

#[cfg(windows)]
fn own() -> Vec<(&'static str, fn())> {
    [libraries::TESTS, callbacks::TESTS, pressure::TESTS, leaks::TESTS, signatures::TESTS].concat()
}
