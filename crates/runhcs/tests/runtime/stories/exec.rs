//! exec: another process in a container.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::process::Signal;
use serde_json::json;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(exec_runs_in_the_containers_namespaces, Need::Anyone),
    story!(exec_gives_the_exit_code, Need::Anyone),
    story!(exec_streams_are_the_callers, Need::Anyone),
    story!(exec_takes_environment_cwd_and_user),
    story!(exec_takes_a_whole_process_document),
    story!(exec_keeps_the_containers_environment, Need::Anyone),
    story!(exec_detached_returns_at_once_with_a_pid_file, Need::Anyone),
    story!(exec_of_a_missing_program_is_255, Need::NotCrun, Need::Anyone),
    story!(exec_needs_a_process, Need::Anyone),
    story!(exec_in_a_stopped_container_is_refused, Need::NotCrun, Need::Anyone),
    story!(exec_in_a_created_container_works, Need::Anyone),
    story!(exec_in_nobody_is_refused, Need::Anyone),
    story!(exec_gets_the_capabilities_of_the_container),
    story!(exec_adds_capabilities, Need::NotCrun),
    story!(exec_additional_groups_are_set, Need::NotCrun),
    story!(exec_no_new_privileges_is_set),
    story!(exec_joins_the_cgroup),
    story!(exec_bad_users_are_refused, Need::NotCrun),
    story!(exec_forwards_signals, Need::Anyone),
    story!(exec_ended_by_a_signal_is_128_and_more, Need::Anyone),
    story!(exec_survives_options_after_the_command, Need::Anyone),
    story!(exec_many_at_once, Need::Anyone),
    story!(exec_rlimits_are_those_of_the_container, Need::NotCrun),
    story!(exec_does_not_outlive_the_container, Need::Anyone),
    story!(exec_user_has_its_home),
    story!(exec_into_a_sub_cgroup, Need::NotCrun, Need::CgroupV1),
    story!(exec_resolves_programs_by_the_containers_path, Need::Anyone),
];

fn exec_runs_in_the_containers_namespaces(w: &World) {
    let c = w.idle();
    let of_exec = c.sh("for n in mnt pid uts ipc; do readlink /proc/self/ns/$n; done; hostname").ok();
    let names: Vec<&str> = of_exec.stdout.lines().collect();
    for (at, kind) in ["mnt", "pid", "uts", "ipc"].iter().enumerate() {
        assert_eq!(names[at], crate::host::namespace(c.pid(), kind));
    }
    assert_eq!(names[4], "story");
}

fn exec_gives_the_exit_code(w: &World) {
    let c = w.idle();
    for code in [0, 1, 42, 254] {
        c.sh(&format!("exit {code}")).code(code);
    }
}

fn exec_streams_are_the_callers(w: &World) {
    let c = w.idle();
    let output = c.exec_with(&[], &["/bin/sh", "-c", "cat; echo error >&2"]).stdin(b"in and out").run().ok();
    assert_eq!(output.stdout, "in and out");
    assert_eq!(output.stderr, "error\n");
}

fn exec_takes_environment_cwd_and_user(w: &World) {
    let c = w.idle();
    let options = ["-e", "A=1", "-e", "B=x,y", "--cwd", "/tmp", "--user", "1000:2000"];
    let output = c.exec_with(&options, &["/bin/sh", "-c", "echo $A $B; pwd; id -u; id -g"]).run().ok();
    assert_eq!(output.stdout, "1 x,y\n/tmp\n1000\n2000\n");
    let output = c.exec_with(&["-u", "1000"], &["id", "-u"]).run().ok();
    assert_eq!(output.text(), "1000");
}

fn exec_takes_a_whole_process_document(w: &World) {
    let c = w.idle();
    let file = w.path("process.json");
    let process = json!({
        "terminal": false,
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [5, 6]},
        "args": ["/bin/sh", "-c", "id -u; id -G; pwd; echo $K; exit 3"],
        "env": ["PATH=/bin", "K=v", w.mark()],
        "cwd": "/etc",
    });
    fs::write(&file, process.to_string()).unwrap();
    let output = c.exec_with(&["--process", file.to_str().unwrap()], &[]).run().code(3);
    assert_eq!(output.stdout, "1000\n1000 5 6\n/etc\nv\n");
    fs::write(&file, "{").unwrap();
    let output = c.exec_with(&["-p", file.to_str().unwrap()], &[]).run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    fs::write(&file, json!({"args": [], "cwd": "/"}).to_string()).unwrap();
    c.exec_with(&["-p", file.to_str().unwrap()], &[]).run().fails("");
    let output = c.exec_with(&["-p", "/no/such/process.json"], &[]).run();
    output.fails("no such file");
}

fn exec_keeps_the_containers_environment(w: &World) {
    let c = w.ready(&w.bundle().env("FROM=config"));
    assert_eq!(c.sh("echo $FROM").ok().text(), "config");
    let output = c.exec_with(&["-e", "FROM=exec"], &["/bin/sh", "-c", "echo $FROM"]).run().ok();
    assert_eq!(output.text(), "exec", "the later one counts");
}

fn exec_detached_returns_at_once_with_a_pid_file(w: &World) {
    let c = w.idle();
    let file = w.path("pid");
    let words = ["--detach", "--pid-file", file.to_str().unwrap()];
    c.exec_with(&words, &["sh", "-c", "touch /began; exec sleep 1000"]).run().ok();
    let pid: i32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!(crate::host::namespace(pid, "mnt"), crate::host::namespace(c.pid(), "mnt"));
    assert!(crate::lines::eventually(crate::lines::PATIENCE, || c.rootfs().join("began").exists()));
}

fn exec_of_a_missing_program_is_255(w: &World) {
    let c = w.idle();
    c.exec_with(&[], &["/no/such/program"]).run().code(255).fails("/no/such/program");
    c.exec_with(&[], &["no-such-program"]).run().code(255).fails("executable file not found in $PATH");
    c.exec_with(&[], &["/etc/passwd/x"]).run().code(255).fails("/etc/passwd/x");
    c.exec_with(&["--cwd", "relative"], &["true"]).run().code(255).fails("cwd");
    assert_eq!(c.status(), "running");
}

fn exec_needs_a_process(w: &World) {
    let c = w.idle();
    let output = c.exec_with(&[], &[]).run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
}

fn exec_in_a_stopped_container_is_refused(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    c.sh("true").code(255).fails("cannot exec in a stopped container");
}

fn exec_in_a_created_container_works(w: &World) {
    let c = w.created(&w.bundle());
    assert_eq!(c.sh("echo early").ok().text(), "early");
    assert_eq!(c.status(), "created");
}

fn exec_in_nobody_is_refused(w: &World) {
    let output = w.call(&["exec", "nobody", "true"]).run();
    output.knows_nobody();
}

fn exec_gets_the_capabilities_of_the_container(w: &World) {
    let c = w.idle();
    let of_init = crate::host::status_field(c.pid(), "CapEff");
    let output = c.sh("grep CapEff /proc/self/status").ok();
    assert!(output.stdout.contains(&of_init), "init has {of_init}, exec {}", output.stdout);
}

fn exec_adds_capabilities(w: &World) {
    let c = w.idle();
    let caps = |options: &[&str]| {
        let output = c.exec_with(options, &["grep", "CapEff", "/proc/self/status"]).run().ok();
        u64::from_str_radix(output.text().split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let without = caps(&[]);
    let with = caps(&["--cap", "CAP_SYS_PTRACE", "--cap", "CAP_SYS_ADMIN"]);
    assert_eq!(with, without | 1 << 19 | 1 << 21);
}

fn exec_additional_groups_are_set(w: &World) {
    let c = w.idle();
    let output = c.exec_with(&["-g", "100", "-g", "99"], &["id", "-G"]).run().ok();
    let mut groups: Vec<&str> = output.text().split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["0", "100", "99"]);
}

fn exec_no_new_privileges_is_set(w: &World) {
    let c = w.idle();
    let script = ["grep", "NoNewPrivs", "/proc/self/status"];
    assert!(c.exec_with(&["--no-new-privs"], &script).run().ok().text().ends_with('1'));
    assert!(c.exec_with(&[], &script).run().ok().text().ends_with('0'));
}

fn exec_joins_the_cgroup(w: &World) {
    let c = w.idle();
    let mut run = c.exec_with(&[], &["sh", "-c", "echo ready; exec sleep 1000"]).spawn();
    run.out.expect("ready");
    let pids = fs::read_to_string(crate::cgroups::of(c.pid(), "memory").join("cgroup.procs")).unwrap();
    assert_eq!(pids.lines().count(), 2, "init and the other: {pids}");
    c.kill_and_wait();
    run.wait();
}

fn exec_bad_users_are_refused(w: &World) {
    let c = w.idle();
    c.exec_with(&["--user", "abc"], &["true"]).run().code(255).fails("uid");
    c.exec_with(&["--user", "1:abc"], &["true"]).run().code(255).fails("gid");
}

fn exec_forwards_signals(w: &World) {
    let c = w.idle();
    let script = "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.02; done";
    let mut run = c.exec_with(&[], &["sh", "-c", script]).spawn();
    run.out.expect("ready");
    run.signal(Signal::USR1);
    run.out.expect("got");
    run.wait().code(9);
    assert_eq!(c.status(), "running");
}

fn exec_ended_by_a_signal_is_128_and_more(w: &World) {
    let c = w.idle();
    c.sh("kill -9 $$").code(137);
    c.sh("kill -15 $$").code(143);
}

fn exec_survives_options_after_the_command(w: &World) {
    let c = w.idle();
    let output = c.exec_with(&[], &["echo", "-n", "--tty", "-d", "--", "x"]).run().ok();
    assert_eq!(output.stdout, "--tty -d -- x");
}

fn exec_many_at_once(w: &World) {
    let c = w.idle();
    let runs: Vec<_> =
        (0..20).map(|n| (n, c.exec_with(&[], &["sh", "-c", &format!("exit {n}")]).spawn())).collect();
    for (code, mut run) in runs {
        run.wait().code(code);
    }
    assert_eq!(c.status(), "running");
}

fn exec_rlimits_are_those_of_the_container(w: &World) {
    let limits = json!([{"type": "RLIMIT_STACK", "hard": 4_194_304, "soft": 2_097_152}]);
    let c = w.ready(&w.bundle().set("/process/rlimits", limits));
    assert_eq!(c.sh("ulimit -Ss; ulimit -Hs").ok().stdout, "2048\n4096\n");
}

fn exec_does_not_outlive_the_container(w: &World) {
    let c = w.idle();
    let mut run = c.exec_with(&[], &["sh", "-c", "echo ready; exec sleep 1000"]).spawn();
    run.out.expect("ready");
    c.kill("KILL").ok();
    run.wait().code(137);
}

fn exec_user_has_its_home(w: &World) {
    let c = w.idle();
    let output = c.exec_with(&["-u", "1000"], &["sh", "-c", "echo $HOME"]).run().ok();
    if w.kind() == Kind::Ours {
        assert_eq!(output.text(), "/home");
    }
}

fn exec_into_a_sub_cgroup(w: &World) {
    let c = w.idle();
    let sub = crate::cgroups::of(c.pid(), "memory").join("sub");
    let all: Vec<_> = crate::cgroups::mount_points().iter().flat_map(|(_, names)| names).cloned().collect();
    for name in all.iter().filter(|name| !name.is_empty()) {
        let folder = crate::cgroups::of(c.pid(), name).join("sub");
        fs::create_dir(&folder).unwrap();
        if name == "cpuset" {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(folder.join(file), fs::read(folder.parent().unwrap().join(file)).unwrap()).unwrap();
            }
        }
    }
    let words = ["--cgroup", "memory:sub"];
    let mut run = c.exec_with(&words, &["sh", "-c", "echo ready; exec sleep 1000"]).spawn();
    run.out.expect("ready");
    assert_eq!(fs::read_to_string(sub.join("cgroup.procs")).unwrap().lines().count(), 1);
    c.exec_with(&["--cgroup", "memory:nosuch"], &["true"]).run().code(255);
    c.kill_and_wait();
    run.wait();
}

fn exec_resolves_programs_by_the_containers_path(w: &World) {
    let bundle = w.bundle().file("opt/here/tool", "#!/bin/sh\necho found\n");
    let c = w.ready(&bundle.set("/process/env", json!(["PATH=/bin:/opt/here", w.mark()])));
    assert_eq!(c.exec_with(&[], &["tool"]).run().ok().text(), "found");
}
