//! What a process really has, seen by itself and by the kernel's files about it.
//!
//! Each story has two halves in one place: `outside` starts this executable again in namespaces made for it, `inside`
//! is what that process does, mostly applying a plan and becoming a program that looks around. Nothing is applied to
//! the process that runs the stories. A story whose kernel feature is missing says so and is skipped.
//!
//! `cargo test -p linux --test process -- <part of a name>`
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod attributes;
mod escape;
mod network;
mod seccomp;
mod terminal;

use linux::process::{self, Plan, Request};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode, Output};

const STORY: &str = "COFFERDAM_STORY";

/// A story: its name, what the runner does, what the process in the namespaces does.
pub(crate) struct Story(&'static str, fn() -> Told, fn());

/// How it went.
pub(crate) enum Told {
    /// It is true.
    True,
    /// It could not be seen here, because of this.
    Skipped(&'static str),
}

fn main() -> ExitCode {
    let stories: Vec<Story> = [
        attributes::stories(),
        seccomp::stories(),
        terminal::stories(),
        escape::stories(),
        network::stories(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Ok(name) = std::env::var(STORY) {
        let Story(_, _, inside) = stories.iter().find(|story| story.0 == name).expect("a story of that name");
        inside();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        stories.iter().for_each(|story| println!("{}: test", story.0));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    for Story(name, outside, _) in &stories {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        match std::panic::catch_unwind(outside) {
            Ok(Told::True) => println!("test {name} ... ok"),
            Ok(Told::Skipped(reason)) => println!("test {name} ... skipped: {reason}"),
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED");
            }
        }
    }
    println!("\ntest result: {}. {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    ExitCode::from(u8::from(failed > 0))
}

/// This executable again, as `story`, in the namespaces that `unshare` makes for these options.
pub(crate) fn inside(story: &str, namespaces: &[&str]) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(namespaces)
        .arg("--")
        .arg(exe)
        .env_clear()
        .env(STORY, story)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Runs it to its end; what it printed.
pub(crate) fn told(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}: {stdout}{stderr}");
    stdout.into_owned()
}

/// The smallest specification, with `more` put over it.
pub(crate) fn spec(script: &str, more: Value) -> Spec {
    let mut spec = json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", script], "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        }
    });
    merge(&mut spec, more);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

/// The plan of a container's first process, after the way that a plan takes to init.
pub(crate) fn plan(spec: &Spec) -> Plan {
    process::validate(spec, false).unwrap();
    let process = spec.process().as_ref().unwrap();
    let request = Request { container: "story", spec, process, first: true, rootless: false, keyring: true };
    let mut plan = process::plan(&request).unwrap();
    plan.compile(spec, None).unwrap();
    let program = plan.seccomp.as_ref().map(|filter| filter.program.clone());
    let mut plan: Plan = serde_json::from_slice(&serde_json::to_vec(&plan).unwrap()).unwrap();
    if let (Some(filter), Some(program)) = (&mut plan.seccomp, program) {
        filter.program = program;
    }
    plan
}

/// Everything that init does with a plan. Does not return: what went wrong is printed.
pub(crate) fn become_container(spec: &Spec) -> ! {
    become_container_keeping(spec, Vec::new())
}

/// As init does that needs some descriptors until the end.
pub(crate) fn become_container_keeping(spec: &Spec, kept: Vec<OwnedFd>) -> ! {
    let keep: Vec<_> = kept.iter().map(AsFd::as_fd).collect();
    let plan = plan(spec);
    let no_listener = |_: OwnedFd| panic!("no filter here notifies");
    let settled = process::before_root(&plan)
        .and_then(|()| process::after_root(&plan, None, None))
        .and_then(|()| process::rlimits::apply(None, &plan.rlimits))
        .and_then(|()| process::settle(&plan, None, 3, &keep, &mut { no_listener }));
    let error = settled.map_or_else(
        |error| error,
        |image| process::become_program(&plan, &image, kept, &mut { no_listener }),
    );
    println!("{}", compute::Error::from(error));
    std::process::exit(0);
}

/// The value of a line `name: value` or `name=value`.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix([':', '=']))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
}
