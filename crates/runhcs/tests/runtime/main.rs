//! The acceptance suite of an OCI runtime, as stories of its users.
//!
//! The runtime under test is the one that cargo just built, or the program that `COFFERDAM_RUNTIME` names: every story
//! is proven on a second implementation (`COFFERDAM_RUNTIME=runc`), or says that it is a promise of ours alone. What a
//! story needs of the host is a tag; where the host has it not, the story is reported as ignored with the reason.
//! After each story the world it ran in must be empty: no process, cgroup, mount or file may be left.
//!
//! The suite is one file that needs no cargo at run time: `COFFERDAM_BUSYBOX` names a static busybox for the
//! containers, `COFFERDAM_SOAK` the cycles of the soak stories, `COFFERDAM_KILL_POINTS` how many points of each verb
//! are tried with kill -9.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test program: what it did not expect is a failure"
)]

mod bundle;
mod cgroups;
mod console;
mod container;
mod host;
mod inside;
mod lines;
mod runtime;
mod stories;
mod story;
mod world;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = inside::program() {
        return code;
    }
    let arguments = Arguments::from_args();
    story::keep_panics_for_the_report();
    let trials = stories::all()
        .map(|story| Trial::ignorable_test(format!("{}::{}", story.area(), story.name), move || story.tell()))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    world::remove_the_cgroup_of_all();
    conclusion.exit_code()
}
