//! kill -9 of the runtime at any point: afterwards a forced delete leaves nothing, and no other container noticed.

use crate::bundle::Bundle;
use crate::cgroups;
use crate::container::Container;
use crate::host;
use crate::lines::{PATIENCE, eventually};
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const STORIES: &[Story] = &[
    story!(create_killed_at_random_points, Need::Ours("runc leaves cgroups")),
    story!(start_killed_at_random_points, Need::NotCrun),
    story!(exec_killed_at_random_points, Need::NotCrun),
    story!(delete_killed_at_random_points, Need::Ours("runc leaves cgroups")),
    story!(run_killed_at_random_points, Need::Ours("runc leaves cgroups")),
    story!(create_killed_at_each_step, Need::Ours("runc leaves cgroups"), Need::Program("strace")),
    story!(
        create_or_its_init_killed_at_each_step,
        Need::Ours("runc leaves cgroups"),
        Need::Program("strace")
    ),
    story!(start_killed_at_each_step, Need::NotCrun, Need::Program("strace")),
    story!(exec_killed_at_each_step, Need::NotCrun, Need::Program("strace")),
    story!(delete_killed_at_each_step, Need::Ours("runc leaves cgroups"), Need::Program("strace")),
];

/// How many points are tried.
fn points() -> u32 {
    std::env::var("COFFERDAM_KILL_POINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// What is killed: a verb on a container of this bundle.
struct Victim<'a> {
    w: &'a World,
    verb: &'static str,
    bundle: Bundle,
    bystander: Container,
    round: u32,
}

impl<'a> Victim<'a> {
    fn new(w: &'a World, verb: &'static str) -> Self {
        Self { w, verb, bundle: w.bundle(), bystander: w.idle(), round: 0 }
    }

    /// A container as the verb needs it, and the words of the verb.
    fn prepare(&mut self) -> (String, Vec<String>) {
        self.round += 1;
        let id = format!("victim-{}", self.round);
        self.bundle.save();
        let bundle = self.bundle.dir.to_str().expect("a plain path").to_owned();
        let call = |words: &[&str]| self.w.call(words).run().ok();
        if !["create", "run"].contains(&self.verb) {
            call(&["create", "--bundle", &bundle, &id]);
        }
        if self.verb == "exec" {
            call(&["start", &id]);
        }
        let words: Vec<&str> = match self.verb {
            "create" => vec!["create", "--bundle", &bundle, &id],
            "run" => vec!["run", "--detach", "--bundle", &bundle, &id],
            "exec" => vec!["exec", &id, "/bin/true"],
            "delete" => vec!["delete", "--force", &id],
            verb => vec![verb, &id],
        };
        (id.clone(), words.into_iter().map(str::to_owned).collect())
    }

    /// After the kill: a forced delete succeeds and nothing of the container is left.
    fn check(&self, id: &str, when: &str) {
        let deleted = self.w.call(&["delete", "--force", id]).run();
        assert_eq!(deleted.code, Some(0), "killed {when}: {deleted}");
        assert!(!self.w.runtime().root.join(id).exists(), "killed {when}: the state folder is left");
        let bystander = self.bystander.pid();
        let others =
            || host::marked(self.w.mark()).into_iter().filter(|pid| *pid != bystander).collect::<Vec<_>>();
        let gone = eventually(PATIENCE, || others().is_empty());
        assert!(gone, "killed {when}: processes {:?} are left", others());
        let path = self.bundle.config["linux"]["cgroupsPath"].as_str().expect("a path");
        let left: Vec<_> = cgroups::folders(path).into_iter().filter(|folder| folder.exists()).collect();
        assert!(left.is_empty(), "killed {when}: {left:?} are left");
        let mounts = host::mounts_below(self.w.dir());
        assert!(mounts.is_empty(), "killed {when}: {mounts:?} are left");
    }

    fn bystander_is_well(&self) {
        assert_eq!(self.bystander.status(), "running");
        assert_eq!(self.bystander.sh("echo well").ok().text(), "well");
    }
}

/// Numbers that look random and are the same in every run.
fn spread(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761).rotate_left(11) >> 8
}

fn at_random_points(w: &World, verb: &'static str) {
    let mut victim = Victim::new(w, verb);
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let (id, words) = victim.prepare();
        let begin = Instant::now();
        w.runtime().call(&words).run().ok();
        longest = longest.max(begin.elapsed());
        victim.check(&id, "never");
    }
    for point in 0..points() {
        let (id, words) = victim.prepare();
        let delay = longest * (spread(point) % 1000) / 900;
        let mut call = w.runtime().call(&words).spawn();
        std::thread::sleep(delay);
        call.signal(Signal::KILL);
        call.wait();
        victim.check(&id, &format!("after {delay:?}"));
    }
    victim.bystander_is_well();
}

fn at_each_step(w: &World, verb: &'static str, follow: bool) {
    let mut victim = Victim::new(w, verb);
    let trace = w.path("trace");
    let trace_words = |more: &[&str]| -> Vec<String> {
        let mut words = vec!["strace", "-qq", "-o", trace.to_str().expect("a plain path")];
        if follow {
            // Beside what it traces, because it stays as long as the container's process does.
            words.extend(["-f", "-D"]);
        }
        words.extend(more);
        words.push("--");
        words.into_iter().map(str::to_owned).collect()
    };
    let (id, words) = victim.prepare();
    w.runtime().call(&words).behind(&trace_words(&[])).run().ok();
    victim.check(&id, "never");
    let steps = most_calls_of_one_process(&fs::read_to_string(&trace).expect("a trace"), follow);
    assert!(steps > 10, "{steps} system calls");
    let wanted = points().min(steps);
    for point in 0..wanted {
        let step = 1 + point * steps / wanted;
        let (id, words) = victim.prepare();
        let inject = format!("--inject=all:signal=KILL:when={step}");
        let _ = w.runtime().call(&words).behind(&trace_words(&[&inject])).run();
        let last = fs::read_to_string(&trace).unwrap_or_default();
        let calls: Vec<&str> = last.lines().filter(|line| line.contains('(')).collect();
        let last = calls.last().copied().unwrap_or_default();
        victim.check(&id, &format!("at system call {step} of {steps}, {last:.80}"));
    }
    victim.bystander_is_well();
}

fn most_calls_of_one_process(trace: &str, follow: bool) -> u32 {
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    for line in trace.lines().filter(|line| line.contains('(')) {
        let process = if follow { line.split(' ').next().unwrap_or_default() } else { "" };
        *counts.entry(process).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

fn create_killed_at_random_points(w: &World) {
    at_random_points(w, "create");
}

fn start_killed_at_random_points(w: &World) {
    at_random_points(w, "start");
}

fn exec_killed_at_random_points(w: &World) {
    at_random_points(w, "exec");
}

fn delete_killed_at_random_points(w: &World) {
    at_random_points(w, "delete");
}

fn run_killed_at_random_points(w: &World) {
    at_random_points(w, "run");
}

fn create_killed_at_each_step(w: &World) {
    at_each_step(w, "create", false);
}

fn create_or_its_init_killed_at_each_step(w: &World) {
    at_each_step(w, "create", true);
}

fn start_killed_at_each_step(w: &World) {
    at_each_step(w, "start", false);
}

fn exec_killed_at_each_step(w: &World) {
    at_each_step(w, "exec", false);
}

fn delete_killed_at_each_step(w: &World) {
    at_each_step(w, "delete", false);
}
