//! pause and resume: a frozen container makes no progress and loses nothing.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::time::Duration;

pub(crate) const STORIES: &[Story] = &[
    story!(a_paused_process_makes_no_progress, Need::Controller("freezer")),
    story!(status_and_list_show_it, Need::Controller("freezer")),
    story!(exec_in_a_paused_container_is_refused, Need::Controller("freezer"), Need::NotCrun),
    story!(exec_that_ignores_the_pause_goes_on_after_resume, Need::Controller("freezer"), Need::NotCrun),
    story!(what_is_not_running_cannot_be_paused, Need::Controller("freezer"), Need::NotCrun),
    story!(what_is_not_paused_cannot_be_resumed, Need::Controller("freezer"), Need::NotCrun),
    story!(a_created_container_can_be_paused, Need::Controller("freezer"), Need::NotCrun),
    story!(signals_wait_until_resume, Need::Controller("freezer")),
    story!(delete_refuses_a_paused_container, Need::Controller("freezer"), Need::NotCrun),
];

fn a_paused_process_makes_no_progress(w: &World) {
    let mut c = w.ready(&w.bundle().sh("echo ready; while :; do echo tick; sleep 0.01; done"));
    c.out.expect("tick");
    c.verb(&["pause"]).ok();
    // What was written before the pause may still be in the pipe.
    while !c.out.quiet_for(Duration::from_millis(100)) {}
    assert!(c.out.quiet_for(Duration::from_millis(200)), "it ticks while paused");
    c.verb(&["resume"]).ok();
    assert!(!c.out.quiet_for(crate::lines::PATIENCE), "it ticks again");
}

fn status_and_list_show_it(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    assert!(w.call(&["list"]).run().ok().stdout.contains("paused"));
    c.verb(&["resume"]).ok();
    assert_eq!(c.status(), "running");
}

fn exec_in_a_paused_container_is_refused(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    c.sh("true").code(255).fails("cannot exec in a paused container");
    c.verb(&["resume"]).ok();
    c.sh("true").ok();
}

fn exec_that_ignores_the_pause_goes_on_after_resume(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    let mut exec = c.exec_with(&["--ignore-paused"], &["/bin/echo", "later"]).spawn();
    assert!(!exec.ends_within(Duration::from_millis(200)));
    c.verb(&["resume"]).ok();
    exec.wait().ok();
    assert_eq!(exec.out.rest(), "later\n");
}

fn what_is_not_running_cannot_be_paused(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    c.verb(&["pause"]).code(1).fails("not running");
    c.verb(&["resume"]).ok();
    c.kill_and_wait();
    c.verb(&["pause"]).code(1).fails("not running");
    w.call(&["pause", "nobody"]).run().knows_nobody();
}

fn what_is_not_paused_cannot_be_resumed(w: &World) {
    let c = w.idle();
    c.verb(&["resume"]).code(1).fails("container not paused");
    c.kill_and_wait();
    c.verb(&["resume"]).code(1).fails("not paused");
    w.call(&["resume", "nobody"]).run().knows_nobody();
}

fn a_created_container_can_be_paused(w: &World) {
    let mut c = w.created(&w.bundle());
    c.verb(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    c.verb(&["resume"]).ok();
    assert_eq!(c.status(), "created");
    c.start();
    c.out.expect("ready");
}

fn signals_wait_until_resume(w: &World) {
    let mut c =
        w.ready(&w.bundle().sh("trap 'echo got; exit' TERM; echo ready; while :; do sleep 0.02; done"));
    c.verb(&["pause"]).ok();
    c.kill("TERM").ok();
    if w.kind() != Kind::Crun {
        assert!(c.out.quiet_for(Duration::from_millis(100)));
    }
    c.verb(&["resume"]).ok();
    c.out.expect("got");
}

fn delete_refuses_a_paused_container(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    c.verb(&["delete"]).code(1).fails("that is not stopped: paused");
    c.verb(&["resume"]).ok();
}
