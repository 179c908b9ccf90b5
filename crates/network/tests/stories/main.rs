//! What happens to real namespaces, with real plugins and with plugins that record what they are told.
//!
//! A story about namespaces is this executable again, in network and mount namespaces of its own; nothing of this
//! machine is changed. `COFFERDAM_CNI` names the folder with the plugins, `COFFERDAM_TREE` a Debian tree that has them.
//! A story that needs what is missing here says so and is skipped.
//!
//! `cargo test -p network --test stories -- <part of a name>`
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod bench;
mod protocol;
mod real;
mod recorder;
mod survival;

use std::process::{Command, ExitCode, Output};

const STORY: &str = "COFFERDAM_STORY";

/// A story: its name, where it runs, what happens.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) tell: fn(),
}

/// Where a story runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process.
    Here,
    /// In a process with network and mount namespaces of its own.
    Namespaces,
    /// The same, and only when it is asked for by name.
    Asked,
}

fn main() -> ExitCode {
    let stories: Vec<Story> = [protocol::stories(), survival::stories(), real::stories(), bench::stories()]
        .into_iter()
        .flatten()
        .collect();
    if let Ok(name) = std::env::var(STORY) {
        let story = stories.iter().find(|story| story.name == name).expect("a story of that name");
        (story.tell)();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        stories.iter().for_each(|story| println!("{}: test", story.name));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    for story in &stories {
        let asked = wanted.iter().any(|part| story.name.contains(part.as_str()));
        if !asked && (!wanted.is_empty() || story.place == Place::Asked) {
            continue;
        }
        match run(story) {
            Ok(text) => match text.lines().find_map(|line| line.strip_prefix("skipped: ")) {
                Some(reason) => println!("test {} ... skipped: {reason}", story.name),
                None => println!("{}test {} ... ok", if asked { &text } else { "" }, story.name),
            },
            Err(text) => {
                failed += 1;
                println!("{text}test {} ... FAILED", story.name);
            }
        }
    }
    println!("\ntest result: {}. {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    ExitCode::from(u8::from(failed > 0))
}

/// What the story printed.
fn run(story: &Story) -> Result<String, String> {
    if story.place == Place::Here {
        return match std::panic::catch_unwind(story.tell) {
            Ok(()) => Ok(String::new()),
            Err(_) => Err(String::new()),
        };
    }
    if !rustix::process::geteuid().is_root() {
        return Ok("skipped: it needs root, to make namespaces".to_owned());
    }
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private", "--"]).arg(exe).env(STORY, story.name);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(text) } else { Err(text) }
}

/// Runs `work` to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}
