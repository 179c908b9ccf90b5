//! kill: signals by every name, and to whom they go.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;

pub(crate) const STORIES: &[Story] = &[
    story!(signals_have_names_and_numbers, Need::Anyone),
    story!(the_default_is_term, Need::Anyone),
    story!(unknown_signals_are_refused, Need::NotCrun, Need::Anyone),
    story!(a_stopped_container_cannot_be_killed, Need::NotCrun, Need::Anyone),
    story!(a_stopped_container_killed_with_all_is_no_error, Need::NotCrun),
    story!(nobody_cannot_be_killed, Need::Anyone),
    story!(a_created_container_can_be_killed, Need::Anyone),
    story!(kill_reaches_all_processes_without_a_pid_namespace),
    story!(all_reaches_every_process),
    story!(kill_zero_only_asks, Need::Anyone),
    story!(a_frozen_container_can_be_killed, Need::Controller("freezer")),
];

const REPORTING: &str = "for s in HUP INT USR1 USR2 TERM WINCH; do trap \"echo got $s\" $s; done; echo ready; \
                         while :; do sleep 0.02; done";

fn signals_have_names_and_numbers(w: &World) {
    let mut c = w.ready(&w.bundle().sh(REPORTING));
    let mut names = vec![("HUP", "HUP"), ("SIGINT", "INT"), ("10", "USR1"), ("28", "WINCH")];
    if w.kind() != Kind::Crun {
        names.extend([("sigusr2", "USR2"), ("winch", "WINCH")]);
    }
    for (given, got) in names {
        c.kill(given).ok();
        c.out.expect(&format!("got {got}"));
    }
}

fn the_default_is_term(w: &World) {
    let mut c = w.ready(&w.bundle().sh(REPORTING));
    c.verb(&["kill"]).ok();
    c.out.expect("got TERM");
}

fn unknown_signals_are_refused(w: &World) {
    let c = w.idle();
    for signal in ["NOSUCH", "SIG", "-", "KILLL"] {
        let output = w.call(&["kill", "--", &c.id, signal]).run();
        output.fails("signal");
    }
    let output = c.kill("SIGNOSUCH");
    assert_ne!(output.code, Some(0), "{output}");
    if w.kind() != Kind::Crun {
        output.fails("unknown signal \"SIGNOSUCH\"");
    }
    assert_eq!(c.status(), "running");
}

fn a_stopped_container_cannot_be_killed(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    c.kill("TERM").code(1).fails("container not running");
    c.kill("KILL").code(1).fails("container not running");
}

fn a_stopped_container_killed_with_all_is_no_error(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    w.call(&["kill", "--all", &c.id, "KILL"]).run().ok();
}

fn nobody_cannot_be_killed(w: &World) {
    w.call(&["kill", "nobody", "KILL"]).run().knows_nobody();
}

fn a_created_container_can_be_killed(w: &World) {
    let c = w.created(&w.bundle());
    c.kill_and_wait();
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
}

fn kill_reaches_all_processes_without_a_pid_namespace(w: &World) {
    let bundle = w.bundle().without_namespace("pid").sh("sleep 1000 & sleep 1000 & echo ready; wait");
    let c = w.ready(&bundle);
    if w.kind() == Kind::Ours {
        c.kill("KILL").ok();
    } else {
        w.call(&["kill", "--all", &c.id, "KILL"]).run().ok();
    }
    c.wait_stopped();
    let gone = crate::lines::eventually(crate::lines::PATIENCE, || w.processes().is_empty());
    assert!(gone, "still there: {:?}", w.processes());
}

fn all_reaches_every_process(w: &World) {
    let script = "sh -c \"trap 'echo child; exit' USR1; echo up; while :; do sleep 0.02; done\" & \
                  trap 'echo parent' USR1; while :; do sleep 0.02; done";
    let mut c = w.started(&w.bundle().sh(script));
    c.out.expect("up");
    w.call(&["kill", "--all", &c.id, "USR1"]).run().ok();
    let mut said = [c.out.line(), c.out.line()];
    said.sort();
    assert_eq!(said, ["child", "parent"]);
}

fn kill_zero_only_asks(w: &World) {
    let c = w.idle();
    let output = c.kill("0");
    if output.code == Some(0) {
        assert_eq!(c.status(), "running");
    }
}

fn a_frozen_container_can_be_killed(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    c.kill("KILL").ok();
    if w.kind() == Kind::Ours {
        c.wait_stopped();
    }
}
