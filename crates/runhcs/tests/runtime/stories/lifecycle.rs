//! create, start, state: the life of a container, step by step, and what it looks like at each.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) const STORIES: &[Story] = &[
    story!(a_container_is_created_then_running_then_stopped_then_gone, Need::Anyone),
    story!(a_created_container_has_not_run_its_program, Need::Anyone),
    story!(state_is_a_document_of_the_specification, Need::Anyone),
    story!(state_is_printed_as_runc_prints_it, Need::NotCrun),
    story!(state_carries_the_annotations, Need::Anyone),
    story!(a_stopped_container_has_no_pid, Need::Anyone),
    story!(create_is_quick_to_return_and_leaves_no_runtime_process),
    story!(the_bundle_is_the_current_folder_by_default, Need::Anyone),
    story!(a_relative_bundle_is_made_absolute, Need::Anyone),
    story!(create_writes_the_pid_file_before_it_returns, Need::Anyone),
    story!(a_pid_file_is_relative_to_where_the_caller_stands, Need::NotCrun, Need::Anyone),
    story!(an_existing_pid_file_is_replaced, Need::Anyone),
    story!(an_id_is_taken_once, Need::Anyone),
    story!(the_same_id_may_live_in_another_root, Need::Anyone),
    story!(an_id_can_be_used_again_after_delete, Need::Anyone),
    story!(odd_but_legal_ids_work, Need::Anyone),
    story!(ids_that_could_leave_the_root_are_refused, Need::Anyone, Need::NotCrun),
    story!(start_refuses_what_is_not_created, Need::Anyone, Need::NotCrun),
    story!(start_of_a_missing_program_fails_in_create, Need::Anyone, Need::NotCrun),
    story!(the_state_folder_is_closed_to_others, Need::NotCrun),
    story!(a_created_container_can_be_deleted_at_once, Need::Anyone),
    story!(create_fails_when_the_bundle_has_no_root, Need::Anyone),
    story!(two_created_containers_start_in_any_order, Need::Anyone),
    story!(a_missing_state_root_is_made, Need::Anyone),
];

fn a_container_is_created_then_running_then_stopped_then_gone(w: &World) {
    let mut c = w.created(&w.bundle());
    assert_eq!(c.status(), "created");
    c.start();
    c.out.expect("ready");
    assert_eq!(c.status(), "running");
    c.kill_and_wait();
    assert_eq!(c.status(), "stopped");
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
    c.verb(&["state"]).knows_nobody();
}

fn a_created_container_has_not_run_its_program(w: &World) {
    let bundle = w.bundle().sh("touch /ran; echo ready; exec sleep 1000");
    let mut c = w.created(&bundle);
    assert!(!c.rootfs().join("ran").exists());
    c.start();
    c.out.expect("ready");
    assert!(c.rootfs().join("ran").exists());
}

fn state_is_a_document_of_the_specification(w: &World) {
    let c = w.idle();
    let state = c.state();
    assert_eq!(state["id"], c.id.as_str());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], c.bundle.to_str().unwrap());
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    let pid = state["pid"].as_i64().unwrap();
    let marked = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&marked).contains(w.mark()), "pid {pid} is not the container's process");
}

fn state_is_printed_as_runc_prints_it(w: &World) {
    let c = w.idle();
    let output = c.verb(&["state"]).ok();
    let lines: Vec<&str> = output.stdout.split('\n').collect();
    assert_eq!(lines.first(), Some(&"{"), "{output}");
    assert_eq!(lines.last(), Some(&"}"), "no newline at the end: {output}");
    let keys: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    assert_eq!(keys, ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]);
    let state = output.json();
    assert_eq!(state["owner"], "");
    assert_eq!(state["rootfs"], c.rootfs().to_str().unwrap());
    let created = state["created"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.contains('T') && created.len() >= 20, "RFC 3339: {created}");
}

fn state_carries_the_annotations(w: &World) {
    let bundle = w.bundle().set("/annotations", serde_json::json!({"org.example.colour": "blue", "x": ""}));
    let c = w.created(&bundle);
    let state = c.state();
    assert_eq!(state["annotations"]["org.example.colour"], "blue");
    assert_eq!(state["annotations"]["x"], "");
}

fn a_stopped_container_has_no_pid(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    if w.kind() != Kind::Crun {
        assert_eq!(c.state()["pid"], 0);
    }
    assert_eq!(c.state()["status"], "stopped");
}

fn create_is_quick_to_return_and_leaves_no_runtime_process(w: &World) {
    let c = w.created(&w.bundle());
    let init = c.pid();
    let marked: Vec<i32> = w.processes().into_iter().filter(|pid| *pid != init).collect();
    assert!(marked.is_empty(), "beside init {init} there are {marked:?}");
    c.start();
    let marked: Vec<i32> = w.processes().into_iter().filter(|pid| *pid != init).collect();
    assert!(marked.is_empty(), "beside init {init} there are {marked:?}");
}

fn the_bundle_is_the_current_folder_by_default(w: &World) {
    let bundle = w.bundle();
    bundle.save();
    let id = w.fresh("c");
    let c = w.adopt(w.call(&["create", &id]).cwd(&bundle.dir), id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(c.state()["bundle"], bundle.dir.to_str().unwrap());
}

fn a_relative_bundle_is_made_absolute(w: &World) {
    let bundle = w.bundle();
    bundle.save();
    let name = bundle.dir.file_name().unwrap().to_str().unwrap();
    let id = w.fresh("c");
    let c = w.adopt(w.call(&["create", "-b", name, &id]).cwd(w.dir()), id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(c.state()["bundle"], bundle.dir.to_str().unwrap());
}

fn create_writes_the_pid_file_before_it_returns(w: &World) {
    let bundle = w.bundle();
    let file = w.path("pid");
    let id = w.fresh("c");
    let c =
        w.adopt(w.create_call(&bundle, &id, &["--pid-file", file.to_str().unwrap()]), id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), c.pid().to_string(), "decimal, no newline");
    let beside: Vec<_> = fs::read_dir(w.dir()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!beside.iter().any(|name| name == ".pid"), "no temporary file is left: {beside:?}");
}

fn a_pid_file_is_relative_to_where_the_caller_stands(w: &World) {
    let bundle = w.bundle();
    let id = w.fresh("c");
    let call = w.create_call(&bundle, &id, &["--pid-file", "here.pid"]).cwd(w.dir());
    let c = w.adopt(call, id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(fs::read_to_string(w.path("here.pid")).unwrap(), c.pid().to_string());
}

fn an_existing_pid_file_is_replaced(w: &World) {
    let bundle = w.bundle();
    let file = w.path("pid");
    fs::write(&file, "99999999999 and more").unwrap();
    let id = w.fresh("c");
    let c =
        w.adopt(w.create_call(&bundle, &id, &["--pid-file", file.to_str().unwrap()]), id.clone(), &bundle);
    c.created.clone().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), c.pid().to_string());
}

fn an_id_is_taken_once(w: &World) {
    let c = w.created(&w.bundle());
    let again = w.create_call(&w.bundle(), &c.id, &[]).run();
    again.fails(if w.kind() == Kind::Crun {
        "already exists"
    } else {
        "container with given ID already exists"
    });
    assert_eq!(c.status(), "created");
    c.start();
    w.create_call(&w.bundle(), &c.id, &[]).run().fails("exist");
    w.run_call(&w.bundle(), &c.id, &[]).run().fails("exist");
    assert_eq!(c.status(), "running");
}

fn the_same_id_may_live_in_another_root(w: &World) {
    let c = w.created(&w.bundle());
    let other = w.runtime().with_root(&w.path("other"));
    let bundle = w.bundle();
    bundle.save();
    other.call(&["run", "-b", bundle.dir.to_str().unwrap(), "-d", &c.id]).run().ok();
    let state = other.call(&["state", &c.id]).run().ok().json();
    assert_eq!(state["status"], "running");
    assert_eq!(c.status(), "created");
    other.call(&["delete", "-f", &c.id]).run().ok();
    assert_eq!(c.status(), "created");
}

fn an_id_can_be_used_again_after_delete(w: &World) {
    let bundle = w.bundle();
    let id = w.fresh("c");
    for _ in 0..3 {
        let c = w.adopt(w.create_call(&bundle, &id, &[]), id.clone(), &bundle);
        c.created.clone().ok();
        c.start();
        c.delete();
    }
}

fn odd_but_legal_ids_work(w: &World) {
    for id in [
        "a",
        "-dash-".trim_start_matches('-'),
        "under_score",
        "plus+plus",
        "dots.in.it",
        "...",
        &"x".repeat(200),
    ] {
        if id == "..." && w.kind() != Kind::Ours {
            continue;
        }
        let bundle = w.bundle();
        let c = w.adopt(w.create_call(&bundle, id, &[]), id.to_owned(), &bundle);
        c.created.clone().ok();
        assert_eq!(c.state()["id"], id);
        c.start();
    }
}

fn ids_that_could_leave_the_root_are_refused(w: &World) {
    for id in ["..", ".", "../x", "a/b", "a b", "ü", "a\nb", "/", "a:b", "a*", "$HOME", "a\\b"] {
        let bundle = w.bundle();
        w.create_call(&bundle, id, &[]).run().fails("invalid container ID format");
        for verb in ["state", "start", "delete", "kill", "pause", "ps"] {
            let output = w.call(&[verb, id]).run();
            assert_ne!(output.code, Some(0), "{output}");
            assert!(
                output.said().contains("invalid") || output.said().contains("does not exist"),
                "{output}"
            );
        }
    }
    let output = w.create_call(&w.bundle(), "", &[]).run();
    output.fails("empty");
}

fn start_refuses_what_is_not_created(w: &World) {
    let c = w.idle();
    c.verb(&["start"]).code(1).fails("cannot start an already running container");
    c.kill_and_wait();
    c.verb(&["start"]).code(1).fails("cannot start a container that has stopped");
    w.call(&["start", "nobody"]).run().code(1).knows_nobody();
}

fn start_of_a_missing_program_fails_in_create(w: &World) {
    let id = w.fresh("c");
    let output = w.create_call(&w.bundle().args(&["/no/such/program"]), &id, &[]).run();
    output.code(1).fails("/no/such/program");
    w.call(&["state", &id]).run().knows_nobody();
    let bundle = w.bundle().args(&["no-such-program"]);
    w.create_call(&bundle, &id, &[]).run().code(1).fails("executable file not found in $PATH");
    let bundle = w.bundle().args(&["/etc"]);
    w.run_call(&bundle, &id, &[]).run().code(1).fails("/etc");
}

fn the_state_folder_is_closed_to_others(w: &World) {
    let c = w.created(&w.bundle());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&w.runtime().root) & 0o077, 0, "the root is for its owner");
    assert_eq!(mode(&c.state_dir()) & 0o022, 0, "nobody else writes a container's state");
}

fn a_created_container_can_be_deleted_at_once(w: &World) {
    let c = w.created(&w.bundle());
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
    c.verb(&["state"]).knows_nobody();
    let c = w.created(&w.bundle());
    c.verb(&["delete", "-f"]).ok();
    c.deleted.set(true);
}

fn create_fails_when_the_bundle_has_no_root(w: &World) {
    let bundle = w.bundle();
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    let id = w.fresh("c");
    w.create_call(&bundle, &id, &[]).run().fails("rootfs");
    w.call(&["state", &id]).run().knows_nobody();
}

fn two_created_containers_start_in_any_order(w: &World) {
    let mut first = w.created(&w.bundle());
    let mut second = w.created(&w.bundle());
    second.start();
    second.out.expect("ready");
    assert_eq!(first.status(), "created");
    first.start();
    first.out.expect("ready");
    assert_eq!(second.status(), "running");
}

fn a_missing_state_root_is_made(w: &World) {
    let deep = w.runtime().with_root(&w.path("not/there/yet"));
    let bundle = w.bundle().sh("true");
    bundle.save();
    deep.call(&["run", "-b", bundle.dir.to_str().unwrap(), "one"]).run().ok();
    assert!(w.path("not/there/yet").is_dir());
}
