//! The acceptance suite of a CRI runtime, as stories of its client.
//!
//! Every story plays on the `cofferdam` that cargo has just built. That the stories are right is proven on a second
//! implementation, containerd: what it is known to do otherwise is data ([`known`]), and a story that is expected to
//! fail there has to fail.
//!
//! | variable                | what it names                                                | when not set                |
//! |-------------------------|--------------------------------------------------------------|-----------------------------|
//! | `COFFERDAM_SHIM`        | the shim that `cofferdam` starts                             | the one beside `cofferdam`  |
//! | `COFFERDAM_CONTAINERD`  | a folder with containerd 2, its shim and runc                | it is played on ours alone  |
//! | `COFFERDAM_CRI_SOCKET`  | the socket of a runtime that runs already, to play on alone  | the suite starts runtimes   |
//! | `COFFERDAM_CRI_IMAGES`  | where that runtime finds the suite's images                  | the suite's own registry    |
//! | `COFFERDAM_CNI`         | the folder with the network plugins                          | where Debian has them       |
//! | `COFFERDAM_BUSYBOX`     | a static busybox, for the images                             | the one on `PATH`           |
//! | `COFFERDAM_CRI_LOG`     | what `cofferdam` logs                                        | `info`                      |
//! | `COFFERDAM_KILL_POINTS` | at how many moments of each call the daemon is killed        | 6                           |
//!
//! The suite runs in mount, network and PID namespaces of its own ([`jail`]): nothing of this machine is changed, and
//! whatever is left running ends with it. The stories of one runtime share it and play at the same time; those that
//! kill it, fill its disk or break its files ([`recovery`]) each have one of their own.
//!
//! `cargo test -p cri --test suite -- <part of a name>`

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test program: what it did not expect is a failure"
)]

mod cgroups;
mod client;
mod image;
mod jail;
mod known;
mod leftovers;
mod node;
mod pod;
mod recovery;
mod registry;
mod stories;
mod story;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of a story's time is somebody else's: they wait for timeouts and for programs to start.
    arguments.test_threads.get_or_insert(6);
    match jail::step() {
        jail::Step::Outside if !arguments.list && story::can_play() && node::given_socket().is_none() => {
            jail::enter()
        }
        jail::Step::Underway => jail::proceed(),
        jail::Step::Outside | jail::Step::Inside => {
            story::keep_panics_for_the_report();
            let conclusion = libtest_mimic::run(&arguments, story::trials());
            let left = story::end();
            for what in &left {
                eprintln!("left behind: {what}");
            }
            if left.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
        }
    }
}
