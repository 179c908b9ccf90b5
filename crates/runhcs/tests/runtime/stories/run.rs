//! run: a container in the foreground, its streams, its exit code, the signals it is sent.

use crate::bundle::IDLE;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

pub(crate) const STORIES: &[Story] = &[
    story!(hello, Need::Anyone),
    story!(the_exit_code_of_the_process_is_that_of_run, Need::Anyone),
    story!(a_process_ended_by_a_signal_is_128_and_more, Need::Anyone),
    story!(standard_streams_are_the_callers, Need::Anyone),
    story!(much_output_arrives_complete, Need::Anyone),
    story!(nothing_is_left_after_a_foreground_run, Need::Anyone),
    story!(keep_leaves_the_stopped_container, Need::NotCrun),
    story!(detached_returns_while_the_container_runs, Need::Anyone),
    story!(detached_writes_the_pid_file, Need::Anyone),
    story!(signals_reach_the_process, Need::Anyone),
    story!(a_foreground_run_that_is_interrupted_cleans_up, Need::Anyone),
    story!(orphans_of_the_container_do_not_confuse_the_exit_code, Need::Anyone),
    story!(background_children_do_not_keep_run_waiting, Need::Anyone),
    story!(children_of_init_die_with_it, Need::NotCrun),
    story!(a_run_that_ends_at_once_never_hangs, Need::Anyone),
    story!(ten_workers_run_at_once, Need::Anyone),
    story!(the_process_is_pid_1_with_the_config_environment, Need::Anyone),
    story!(path_is_searched_in_the_containers_environment, Need::Anyone),
    story!(home_is_set_from_passwd_when_missing, Need::NotCrun, Need::Anyone),
    story!(the_cwd_is_as_configured, Need::Anyone),
    story!(a_missing_cwd_is_made),
    story!(a_relative_script_is_found_from_the_cwd, Need::Anyone),
    story!(a_failed_run_says_run_failed, Need::NotCrun, Need::Anyone),
    story!(a_script_without_interpreter_line_fails_clearly, Need::Anyone),
];

fn hello(w: &World) {
    let output = w.run(&w.bundle().args(&["/bin/echo", "hello"])).ok();
    assert_eq!(output.stdout, "hello\n");
    assert_eq!(output.stderr, "", "nothing else is said");
}

fn the_exit_code_of_the_process_is_that_of_run(w: &World) {
    for code in [0, 1, 7, 126, 127, 255] {
        w.run(&w.bundle().sh(&format!("exit {code}"))).code(code);
    }
}

fn a_process_ended_by_a_signal_is_128_and_more(w: &World) {
    // As PID 1 a process is not ended by its own signals, so the signal comes from outside.
    let mut run = w.run_call(&w.bundle(), "victim", &[]).spawn();
    run.out.expect("ready");
    w.call(&["kill", "victim", "KILL"]).run().ok();
    run.wait().code(128 + 9);
    let mut run = w
        .run_call(&w.bundle().sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"), "v2", &[])
        .spawn();
    run.out.expect("ready");
    w.call(&["kill", "v2", "TERM"]).run().ok();
    run.wait().code(3);
}

fn standard_streams_are_the_callers(w: &World) {
    let bundle = w.bundle().sh("cat; echo error >&2");
    let output = w.run_call(&bundle, "c", &[]).stdin(b"through and through").run().ok();
    assert_eq!(output.stdout, "through and through");
    assert_eq!(output.stderr, "error\n");
}

fn much_output_arrives_complete(w: &World) {
    let output = w.run(&w.bundle().sh("seq 1 200000")).ok();
    assert_eq!(output.stdout.lines().count(), 200_000);
    assert!(output.stdout.ends_with("199999\n200000\n"));
}

fn nothing_is_left_after_a_foreground_run(w: &World) {
    w.run_call(&w.bundle().sh("true"), "gone", &[]).run().ok();
    w.call(&["state", "gone"]).run().knows_nobody();
    w.run_call(&w.bundle().sh("false"), "gone", &[]).run().code(1);
    w.call(&["state", "gone"]).run().knows_nobody();
}

fn keep_leaves_the_stopped_container(w: &World) {
    let help = w.call(&["run", "--help"]).run();
    if !help.said().contains("--keep") {
        crate::story::skip("this runtime has no --keep");
    }
    w.run_call(&w.bundle().sh("exit 4"), "kept", &["--keep"]).run().code(4);
    assert_eq!(w.call(&["state", "kept"]).run().ok().json()["status"], "stopped");
    w.call(&["delete", "kept"]).run().ok();
}

fn detached_returns_while_the_container_runs(w: &World) {
    let bundle = w.bundle();
    let id = w.fresh("d");
    let mut c = w.adopt(w.run_call(&bundle, &id, &["--detach"]), id.clone(), &bundle);
    c.created.clone().ok();
    c.out.expect("ready");
    assert_eq!(c.status(), "running");
}

fn detached_writes_the_pid_file(w: &World) {
    let bundle = w.bundle();
    let id = w.fresh("d");
    let file = w.path("pid");
    let call = w.run_call(&bundle, &id, &["-d", "--pid-file", file.to_str().unwrap()]);
    let c = w.adopt(call, id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(fs::read_to_string(file).unwrap(), c.pid().to_string());
}

fn signals_reach_the_process(w: &World) {
    let script = "for s in HUP INT QUIT USR1 USR2 CONT TERM 34 37 64; do trap \"echo got $s\" $s; done; echo ready; \
                  while :; do sleep 0.02; done";
    let mut run = w.run_call(&w.bundle().sh(script), "c", &[]).spawn();
    run.out.expect("ready");
    let signals = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::CONT, "CONT"),
        (Signal::TERM, "TERM"),
    ];
    for (signal, name) in signals {
        run.signal(signal);
        run.out.expect(&format!("got {name}"));
    }
    // Real-time signals, also those that a C library takes for its own.
    for number in [34, 37, 64] {
        run.signal_number(number);
        run.out.expect(&format!("got {number}"));
    }
    w.call(&["kill", "c", "KILL"]).run().ok();
    run.wait().code(137);
}

fn a_foreground_run_that_is_interrupted_cleans_up(w: &World) {
    let script = "trap 'exit 130' INT; echo ready; while :; do sleep 0.02; done";
    let mut run = w.run_call(&w.bundle().sh(script), "c", &[]).spawn();
    run.out.expect("ready");
    run.signal(Signal::INT);
    run.wait().code(130);
    w.call(&["state", "c"]).run().knows_nobody();
}

fn orphans_of_the_container_do_not_confuse_the_exit_code(w: &World) {
    // Grandchildren that end while and after init ends must not be taken for init.
    let script =
        "for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 9' &); done; sleep 0.05; (sleep 0.01; exit 8) & exit 5";
    for _ in 0..5 {
        w.run(&w.bundle().sh(script)).code(5);
    }
}

fn background_children_do_not_keep_run_waiting(w: &World) {
    w.run_call(&w.bundle().sh("sleep 1000 & exit 6"), "c", &[])
        .patience(Duration::from_secs(20))
        .run()
        .code(6);
}

fn children_of_init_die_with_it(w: &World) {
    // Without a PID namespace of its own nothing but the runtime ends them.
    let bundle = w.bundle().without_namespace("pid").sh("sleep 1000 & sleep 1000 & exit 6");
    w.run_call(&bundle, "c", &[]).patience(Duration::from_secs(20)).run().code(6);
}

fn a_run_that_ends_at_once_never_hangs(w: &World) {
    let bundle = w.bundle().args(&["/bin/true"]);
    let count = if w.kind() == Kind::Ours { 500 } else { 100 };
    for number in 0..count {
        w.run_call(&bundle, &format!("quick-{number}"), &[]).patience(Duration::from_secs(20)).run().ok();
    }
}

fn ten_workers_run_at_once(w: &World) {
    let rounds = if w.kind() == Kind::Ours { 50 } else { 10 };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..10)
            .map(|worker| {
                scope.spawn(move || {
                    let bundle = w.bundle().sh(&format!("exit {worker}"));
                    for round in 0..rounds {
                        w.run_call(&bundle, &format!("w{worker}-{round}"), &[]).run().code(worker);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().expect("a worker whose every run gave its own code");
        }
    });
}

fn the_process_is_pid_1_with_the_config_environment(w: &World) {
    let bundle = w.bundle().env("COLOUR=blue").env("EMPTY=").env("EQUALS=a=b").sh("echo $$; env");
    let output = w.run(&bundle).ok();
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("1"));
    let env: Vec<&str> = lines.collect();
    for expected in ["COLOUR=blue", "EMPTY=", "EQUALS=a=b", "TERM=xterm"] {
        assert!(env.contains(&expected), "{expected} is not in {env:?}");
    }
    let foreign: Vec<&&str> = env
        .iter()
        .filter(|entry| {
            entry.starts_with("_LIBCONTAINER")
                || entry.starts_with("COFFERDAM_INIT")
                || entry.starts_with("CARGO")
        })
        .collect();
    assert!(foreign.is_empty(), "the runtime's own environment is visible: {foreign:?}");
}

fn path_is_searched_in_the_containers_environment(w: &World) {
    let bundle = w.bundle().file("opt/here/tool", "#!/bin/sh\necho found $0\n").args(&["tool"]);
    let bundle = bundle.set("/process/env", serde_json::json!(["PATH=/opt/here:/bin", w.mark()]));
    assert_eq!(w.output_of(bundle), "found /opt/here/tool");
}

fn home_is_set_from_passwd_when_missing(w: &World) {
    assert_eq!(w.output_of(w.bundle().sh("echo $HOME")), "/root");
    assert_eq!(w.output_of(w.bundle().env("HOME=/elsewhere").sh("echo $HOME")), "/elsewhere");
    if rustix::process::geteuid().is_root() {
        let user = w.bundle().set("/process/user", serde_json::json!({"uid": 1000, "gid": 1000}));
        assert_eq!(w.output_of(user.sh("echo $HOME")), "/home");
        let nobody = w.bundle().set("/process/user", serde_json::json!({"uid": 4321, "gid": 1}));
        assert_eq!(w.output_of(nobody.sh("echo $HOME")), "/");
    }
}

fn the_cwd_is_as_configured(w: &World) {
    let bundle = w.bundle().folder("a/b").set("/process/cwd", serde_json::json!("/a/b")).sh("pwd");
    assert_eq!(w.output_of(bundle), "/a/b");
}

fn a_missing_cwd_is_made(w: &World) {
    let bundle = w.bundle().set("/process/cwd", serde_json::json!("/made/for/you")).sh("pwd");
    assert_eq!(w.output_of(bundle), "/made/for/you");
}

fn a_relative_script_is_found_from_the_cwd(w: &World) {
    let bundle =
        w.bundle().file("work/go", "#!/bin/sh\necho went\n").set("/process/cwd", serde_json::json!("/work"));
    assert_eq!(w.output_of(bundle.args(&["./go"])), "went");
}

fn a_failed_run_says_run_failed(w: &World) {
    let output = w.run(&w.bundle().args(&["/no/such/program"])).code(1).fails("/no/such/program");
    if w.kind() == Kind::Ours {
        assert!(
            output.stderr.contains("run failed") || output.stderr.contains("/no/such/program"),
            "{output}"
        );
    } else {
        assert!(output.stderr.contains("run failed"), "{output}");
    }
}

fn a_script_without_interpreter_line_fails_clearly(w: &World) {
    let bundle = w.bundle().file("plain", "echo plain\n").args(&["/plain"]);
    w.run(&bundle).fails("exec format error");
    let bundle = w.bundle().file("plain", "#!/no/such/interpreter\n").args(&["/plain"]);
    let output = w.run(&bundle);
    assert!(output.code != Some(0) && output.said().to_lowercase().contains("no such file"), "{output}");
    let _ = IDLE;
}
