//! list and ps: what there is, for people and for programs.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(list_shows_every_container_with_its_status, Need::Anyone),
    story!(the_table_is_that_of_runc, Need::NotCrun, Need::Anyone),
    story!(quiet_lists_ids_only, Need::Anyone),
    story!(json_has_the_state_of_each, Need::Anyone),
    story!(an_empty_list_is_null_in_json, Need::NotCrun, Need::Anyone),
    story!(a_named_root_that_does_not_exist_is_an_error, Need::NotCrun, Need::Anyone),
    story!(an_unknown_format_is_refused, Need::Anyone),
    story!(a_broken_entry_is_reported_and_skipped, Need::NotCrun, Need::Anyone),
    story!(ps_lists_host_pids_as_json, Need::NotCrun),
    story!(ps_shows_a_table_by_default, Need::NotCrun, Need::Program("ps")),
    story!(ps_passes_its_options_on, Need::Program("ps"), Need::NotCrun),
    story!(ps_of_a_stopped_container_fails_or_is_empty, Need::NotCrun),
    story!(ps_sees_processes_of_exec),
    story!(the_owner_is_who_made_it, Need::NotCrun),
];

fn list_shows_every_container_with_its_status(w: &World) {
    let created = w.created(&w.bundle());
    let running = w.idle();
    let stopped = w.idle();
    stopped.kill_and_wait();
    let output = w.call(&["list"]).run().ok();
    for (container, status) in [(&created, "created"), (&running, "running"), (&stopped, "stopped")] {
        let line = output.stdout.lines().find(|line| line.contains(&container.id)).unwrap();
        assert!(line.contains(status), "{line}");
    }
}

fn the_table_is_that_of_runc(w: &World) {
    let c = w.idle();
    let output = w.call(&["list"]).run().ok();
    let head: Vec<&str> = output.stdout.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let line = output.stdout.lines().nth(1).unwrap();
    let columns: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(columns[0], c.id);
    assert_eq!(columns[1], c.pid().to_string());
    assert_eq!(columns[2], "running");
    assert_eq!(columns[3], c.bundle.to_str().unwrap());
    assert!(columns[4].contains('T'), "{line}");
    let head = output.stdout.lines().next().unwrap();
    assert_eq!(head.find("PID"), line.find(columns[1]), "columns are aligned");
    assert_eq!(head.find("STATUS"), line.find("running"), "columns are aligned");
}

fn quiet_lists_ids_only(w: &World) {
    let first = w.created(&w.bundle());
    let second = w.idle();
    let output = w.call(&["list", "--quiet"]).run().ok();
    let mut ids: Vec<&str> = output.stdout.lines().collect();
    ids.sort_unstable();
    let mut expected = [first.id.as_str(), second.id.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(w.call(&["list", "-q"]).run().ok().stdout, output.stdout);
}

fn json_has_the_state_of_each(w: &World) {
    let c = w.idle();
    let list = w.call(&["list", "--format", "json"]).run().ok().json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["id"], c.id.as_str());
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["pid"], c.pid());
    assert_eq!(list[0]["bundle"], c.bundle.to_str().unwrap());
    let keys = ["created", "owner"];
    for key in keys {
        assert!(list[0][key].is_string(), "{key}");
    }
    if w.kind() != Kind::Crun {
        assert!(list[0]["ociVersion"].is_string() && list[0]["rootfs"].is_string());
    }
}

fn an_empty_list_is_null_in_json(w: &World) {
    fs::create_dir(&w.runtime().root).unwrap();
    assert_eq!(w.call(&["list", "-f", "json"]).run().ok().text(), "null");
    assert_eq!(w.call(&["list", "-q"]).run().ok().stdout, "");
}

fn a_named_root_that_does_not_exist_is_an_error(w: &World) {
    let output = w.call(&["list"]).run();
    if output.code == Some(0) {
        crate::story::skip("this version makes the root first");
    }
    output.code(1).fails("no such file or directory");
}

fn an_unknown_format_is_refused(w: &World) {
    let _c = w.created(&w.bundle());
    w.call(&["list", "--format", "yaml"]).run().fails("format");
}

fn a_broken_entry_is_reported_and_skipped(w: &World) {
    let c = w.idle();
    fs::create_dir(w.runtime().root.join("broken")).unwrap();
    let output = w.call(&["list", "-q"]).run();
    assert_eq!(output.text(), c.id, "{output}");
    fs::write(w.runtime().root.join("broken/state.json"), "{").unwrap();
    let output = w.call(&["list"]).run();
    assert!(output.stdout.contains(&c.id) && output.stderr.contains("broken"), "{output}");
    w.call(&["delete", "--force", "broken"]).run();
    let _ = fs::remove_dir_all(w.runtime().root.join("broken"));
}

fn ps_lists_host_pids_as_json(w: &World) {
    let c = w.ready(&w.bundle().sh("sleep 1000 & sleep 1000 & echo ready; wait"));
    let output = c.verb(&["ps", "--format", "json"]).ok();
    assert!(output.stdout.ends_with("]\n"), "{output}");
    let pids: Vec<i64> = output.json().as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.contains(&i64::from(c.pid())));
}

fn ps_shows_a_table_by_default(w: &World) {
    let c = w.idle();
    let output = c.verb(&["ps"]).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert!(lines[0].contains("PID"));
    assert!(lines[1].contains(&c.pid().to_string()) && lines[1].contains("sleep 1000"), "{output}");
}

fn ps_passes_its_options_on(w: &World) {
    let c = w.idle();
    let output = w.call(&["ps", &c.id, "-e", "-x"]).run().ok();
    assert!(output.stdout.lines().next().unwrap().contains("PID"), "{output}");
    assert!(output.stdout.contains("sleep"), "{output}");
    let output = w.call(&["ps", &c.id, "-o", "pid,comm", "-e"]).run().ok();
    assert_eq!(
        output.stdout.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["PID", "COMMAND"]
    );
    w.call(&["ps", &c.id, "-o", "comm", "-e"]).run().fails("PID");
}

fn ps_of_a_stopped_container_fails_or_is_empty(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    let output = c.verb(&["ps", "--format", "json"]);
    if output.code == Some(0) {
        assert!(["null", "[]"].contains(&output.text()), "{output}");
    } else {
        output.fails("");
    }
    w.call(&["ps", "nobody"]).run().knows_nobody();
}

fn ps_sees_processes_of_exec(w: &World) {
    let c = w.idle();
    let pid_file = w.path("pid");
    let words = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
    c.exec_with(&words, &["sleep", "1000"]).run().ok();
    let pid: i64 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    let output = c.verb(&["ps", "--format", "json"]).ok();
    if w.kind() != Kind::Crun {
        assert!(output.json().as_array().unwrap().iter().any(|listed| *listed == pid), "{output}");
    }
}

fn the_owner_is_who_made_it(w: &World) {
    let c = w.created(&w.bundle());
    std::os::unix::fs::chown(c.state_dir(), Some(65123), None).unwrap();
    let list = w.call(&["list", "-f", "json"]).run().ok().json();
    assert_eq!(list[0]["owner"], "#65123");
    std::os::unix::fs::chown(c.state_dir(), Some(0), None).unwrap();
    let list = w.call(&["list", "-f", "json"]).run().ok().json();
    assert_eq!(list[0]["owner"], "root");
}
