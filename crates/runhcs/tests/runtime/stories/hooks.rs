//! Hooks: programs of the host that run at each step of a container's life.

use crate::bundle::Bundle;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(every_hook_runs_in_its_order, Need::Ours("runc 1.1 runs poststart hooks at create")),
    story!(hooks_get_the_state_on_standard_input),
    story!(the_state_names_the_step, Need::Ours("runc 1.1 runs poststart hooks at create")),
    story!(hooks_have_their_arguments_and_environment, Need::NotCrun),
    story!(hooks_of_one_kind_run_in_order),
    story!(a_failing_hook_before_the_start_ends_it),
    story!(a_failing_hook_after_the_end_is_only_reported, Need::NotCrun),
    story!(a_missing_hook_is_named),
    story!(a_hook_that_takes_too_long_is_ended),
    story!(a_create_container_hook_sees_the_containers_mounts, Need::NotCrun),
    story!(a_start_container_hook_runs_inside, Need::NotCrun),
    story!(a_create_runtime_hook_runs_outside),
    story!(hooks_need_an_absolute_path, Need::Ours("runc's message comes from the system")),
    story!(a_failed_create_runs_poststop_hooks, Need::NotCrun),
    story!(much_output_of_a_hook_does_no_harm),
];

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

fn hook(bundle: Bundle, kind: &str, script: &str) -> Bundle {
    // Those that run inside find the container's own shell at the same place.
    bundle.push(&format!("/hooks/{kind}"), json!({"path": "/bin/sh", "args": ["sh", "-c", script]}))
}

/// A bundle whose hooks append a line to a file that the container has at /log.
fn logged(w: &World) -> (Bundle, std::path::PathBuf) {
    let log = w.path(&w.fresh("log"));
    fs::write(&log, "").unwrap();
    let bundle = w.bundle().file("log", "").mount("/log", "bind", log.to_str().unwrap(), &["bind"]);
    (bundle, log)
}

fn every_hook_runs_in_its_order(w: &World) {
    let (mut bundle, log) = logged(w);
    for kind in KINDS {
        let at = if kind == "startContainer" { "/log".to_owned() } else { log.display().to_string() };
        bundle = hook(bundle, kind, &format!("echo {kind} >>{at}"));
    }
    let bundle = bundle.sh("echo process >>/log; echo ready; exec sleep 1000");
    let log = || fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let mut c = w.created(&bundle);
    assert_eq!(log(), ["prestart", "createRuntime", "createContainer"]);
    c.start();
    c.out.expect("ready");
    let mut after = log()[3..].to_vec();
    assert_eq!(after.remove(0), "startContainer");
    after.sort();
    assert_eq!(after, ["poststart", "process"]);
    c.kill_and_wait();
    assert!(!log().contains(&"poststop".to_owned()));
    c.delete();
    assert_eq!(log().last().map(String::as_str), Some("poststop"));
}

fn hooks_get_the_state_on_standard_input(w: &World) {
    let file = w.path("state.json");
    let bundle = hook(w.bundle(), "createRuntime", &format!("cat >{}", file.display()));
    let c = w.created(&bundle.set("/annotations", json!({"a": "b"})));
    let state: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(state["id"], c.id.as_str());
    assert_eq!(state["pid"], c.pid());
    assert_eq!(state["bundle"], c.bundle.to_str().unwrap());
    assert_eq!(state["annotations"]["a"], "b");
    assert!(state["ociVersion"].is_string());
}

fn the_state_names_the_step(w: &World) {
    let (mut bundle, _) = logged(w);
    for kind in KINDS.into_iter().filter(|kind| *kind != "startContainer") {
        bundle = hook(bundle, kind, &format!("cat >{}/{kind}.json", w.dir().display()));
    }
    let c = w.ready(&bundle);
    c.delete();
    let status = |kind: &str| -> String {
        let state: Value =
            serde_json::from_slice(&fs::read(w.path(&format!("{kind}.json"))).unwrap()).unwrap();
        state["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("prestart"), "creating");
    assert_eq!(status("createRuntime"), "creating");
    assert_eq!(status("createContainer"), "creating");
    assert_eq!(status("poststart"), "running");
    assert_eq!(status("poststop"), "stopped");
}

fn hooks_have_their_arguments_and_environment(w: &World) {
    let file = w.path("out");
    let script = format!("echo \"$0 $1 [$COLOUR] [$HOME]\" >{}", file.display());
    let entry =
        json!({"path": "/bin/sh", "args": ["sh", "-c", script, "name", "argument"], "env": ["COLOUR=blue"]});
    let _c = w.created(&w.bundle().push("/hooks/createRuntime", entry));
    assert_eq!(fs::read_to_string(file).unwrap(), "name argument [blue] []\n");
}

fn hooks_of_one_kind_run_in_order(w: &World) {
    let (bundle, log) = logged(w);
    let bundle =
        (0..5).fold(bundle, |bundle, n| hook(bundle, "prestart", &format!("echo {n} >>{}", log.display())));
    let _c = w.created(&bundle);
    assert_eq!(fs::read_to_string(log).unwrap(), "0\n1\n2\n3\n4\n");
}

fn a_failing_hook_before_the_start_ends_it(w: &World) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let output =
            w.create_call(&hook(w.bundle(), kind, "echo because of this >&2; exit 3"), "c", &[]).run();
        assert!(output.code.is_some_and(|code| code != 0), "{kind}: {output}");
        if w.kind() != Kind::Crun {
            assert!(output.said().contains("exit status 3"), "{kind}: {output}");
            assert!(output.said().contains("hook"), "{kind}: {output}");
        }
        w.call(&["state", "c"]).run().knows_nobody();
    }
    let output = w.run(&hook(w.bundle(), "startContainer", "exit 3"));
    assert_ne!(output.code, Some(0), "{output}");
}

fn a_failing_hook_after_the_end_is_only_reported(w: &World) {
    let c = w.ready(&hook(w.bundle(), "poststop", "exit 3"));
    c.kill_and_wait();
    let output = c.verb(&["delete"]);
    c.deleted.set(true);
    if w.kind() == Kind::Ours {
        assert!(output.code == Some(0) && output.said().contains("poststop"), "{output}");
    }
    w.call(&["state", &c.id]).run().knows_nobody();
}

fn a_missing_hook_is_named(w: &World) {
    let bundle = w.bundle().push("/hooks/prestart", json!({"path": "/no/such/hook"}));
    w.run(&bundle).fails(if w.kind() == Kind::Crun { "" } else { "/no/such/hook" });
}

fn a_hook_that_takes_too_long_is_ended(w: &World) {
    let entry = json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1});
    let output = w.run(&w.bundle().push("/hooks/prestart", entry));
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    if w.kind() == Kind::Ours {
        assert!(["1s", "1 s", "1.0s"].iter().any(|text| output.said().contains(text)), "{output}");
    }
}

fn a_create_container_hook_sees_the_containers_mounts(w: &World) {
    let file = w.path("ns");
    let script = format!("readlink /proc/self/ns/mnt >{}", file.display());
    let c = w.created(&hook(w.bundle(), "createContainer", &script));
    assert_eq!(fs::read_to_string(file).unwrap().trim(), crate::host::namespace(c.pid(), "mnt"));
}

fn a_start_container_hook_runs_inside(w: &World) {
    let bundle = hook(w.bundle(), "startContainer", "echo $$ >/hook-ran; hostname >>/hook-ran");
    let mut c = w.created(&bundle);
    assert!(!c.rootfs().join("hook-ran").exists());
    c.start();
    c.out.expect("ready");
    assert!(fs::read_to_string(c.rootfs().join("hook-ran")).unwrap().ends_with("story\n"));
}

fn a_create_runtime_hook_runs_outside(w: &World) {
    let file = w.path("ns");
    let _c = w.created(&hook(
        w.bundle(),
        "createRuntime",
        &format!("readlink /proc/self/ns/pid >{}", file.display()),
    ));
    let own = crate::host::namespace(std::process::id().cast_signed(), "pid");
    assert_eq!(fs::read_to_string(file).unwrap().trim(), own);
}

fn hooks_need_an_absolute_path(w: &World) {
    w.run(&w.bundle().push("/hooks/prestart", json!({"path": "bin/true"}))).code(1).fails("absolute");
}

fn a_failed_create_runs_poststop_hooks(w: &World) {
    let (bundle, log) = logged(w);
    let bundle = hook(
        hook(bundle, "createRuntime", "exit 1"),
        "poststop",
        &format!("echo poststop >>{}", log.display()),
    );
    w.run(&bundle).fails("");
    if w.kind() == Kind::Ours {
        assert_eq!(fs::read_to_string(log).unwrap(), "poststop\n");
    }
}

fn much_output_of_a_hook_does_no_harm(w: &World) {
    let bundle = hook(w.bundle(), "createRuntime", "seq 1 100000; seq 1 100000 >&2; exit 1");
    let output = w.create_call(&bundle, "c", &[]).run();
    assert_ne!(output.code, Some(0), "{output}");
    let bundle = hook(w.bundle(), "createRuntime", "exec 0<&-; seq 1 100000");
    let _c = w.created(&bundle);
}
