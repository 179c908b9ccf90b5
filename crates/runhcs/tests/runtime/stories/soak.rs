//! Many cycles: nothing of the host grows.

use crate::host::Snapshot;
use crate::lines::{PATIENCE, eventually};
use crate::story::{Need, Story, story};
use crate::world::World;

pub(crate) const STORIES: &[Story] = &[
    story!(many_runs_leave_no_trace, Need::Alone),
    story!(many_lives_leave_no_trace, Need::Alone),
    story!(many_failures_leave_no_trace, Need::Alone, Need::NotCrun),
];

fn cycles() -> u32 {
    std::env::var("COFFERDAM_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// Looks at the host before and after.
fn nothing_grows(w: &World, mut cycle: impl FnMut(u32)) {
    // The first makes what stays: the state root, the parent cgroup.
    cycle(0);
    let before = Snapshot::take();
    for n in 1..=cycles() {
        cycle(n);
    }
    let grown = || Snapshot::take().growth_since(&before);
    let still = eventually(PATIENCE, || grown().is_empty());
    assert!(still, "after {} cycles: {:#?}", cycles(), grown());
    let state = std::fs::read_dir(&w.runtime().root)
        .map(|entries| entries.flatten().filter(|e| e.file_name() != ".cache").count());
    assert_eq!(state.unwrap_or(0), 0, "the state root is empty");
}

fn many_runs_leave_no_trace(w: &World) {
    let bundle = w.bundle().args(&["/bin/true"]);
    nothing_grows(w, |n| {
        w.run_call(&bundle, &format!("run-{n}"), &[]).run().ok();
    });
}

fn many_lives_leave_no_trace(w: &World) {
    let bundle = w.bundle();
    nothing_grows(w, |n| {
        if n % 4 != 0 {
            return;
        }
        let id = format!("life-{n}");
        let mut c = w.adopt(w.create_call(&bundle, &id, &[]), id, &bundle);
        c.created.clone().ok();
        c.start();
        c.out.expect("ready");
        c.sh("true").ok();
        c.kill_and_wait();
        c.delete();
    });
}

fn many_failures_leave_no_trace(w: &World) {
    let early = w.bundle().set("/process/cwd", serde_json::json!("relative"));
    let late = w.bundle().args(&["/no/such/program"]);
    let middle = w.bundle().mount("/x", "bind", "/no/such/source", &["bind"]);
    nothing_grows(w, |n| {
        let bundle = [&early, &late, &middle][n as usize % 3];
        w.run_call(bundle, &format!("failure-{n}"), &[]).run().fails("");
    });
}
