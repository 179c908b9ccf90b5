//! The host has no more of something: an error, and nothing left behind.

use crate::cgroups;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(a_full_disk_is_an_error),
    story!(a_container_is_deleted_on_a_full_disk),
    story!(a_root_that_cannot_be_written_is_an_error),
    story!(a_root_that_is_a_file_is_an_error),
    story!(a_process_limit_is_an_error_at_any_number, Need::Controller("pids")),
    story!(a_descriptor_limit_is_an_error_at_any_number, Need::Ours("the Go runtime aborts")),
    story!(a_pid_file_that_cannot_be_written_is_an_error),
    story!(a_bundle_that_vanishes_is_an_error),
    story!(a_state_that_is_damaged_is_named, Need::Ours("the others forget the cgroup")),
];

fn tiny_root(w: &World, fill: bool) -> (crate::world::PrivateMounts, crate::runtime::Runtime) {
    let at = w.path("tiny");
    fs::create_dir(&at).unwrap();
    let at = at.to_str().unwrap();
    let more = if fill { format!("cat /dev/zero >{at}/filler 2>/dev/null || true") } else { String::new() };
    let host = w.private_mounts(&format!("mount -t tmpfs -o size=64k tiny {at}; {more}"));
    let runtime = w.runtime().with_root(&w.path("tiny/state")).behind(&host.enter());
    (host, runtime)
}

fn a_full_disk_is_an_error(w: &World) {
    let (host, runtime) = tiny_root(w, true);
    let bundle = w.bundle();
    bundle.save();
    for verb in ["create", "run"] {
        let output = runtime.call(&[verb, "--bundle", bundle.dir.to_str().unwrap(), "c"]).run();
        output.fails(if w.kind() == Kind::Ours { "no space left on device" } else { "" });
    }
    let state = host.path(&w.path("tiny/state"));
    let left: Vec<_> = fs::read_dir(state).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let left: Vec<String> =
        left.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(left.is_empty() || w.kind() != Kind::Ours, "{left:?}");
}

fn a_container_is_deleted_on_a_full_disk(w: &World) {
    let (host, runtime) = tiny_root(w, false);
    let bundle = w.bundle();
    bundle.save();
    runtime.call(&["run", "--detach", "--bundle", bundle.dir.to_str().unwrap(), "c"]).run().ok();
    let filler = host.path(&w.path("tiny/filler"));
    let filled = fs::write(&filler, vec![1; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");
    runtime.call(&["state", "c"]).run().ok();
    runtime.call(&["delete", "--force", "c"]).run().ok();
    runtime.call(&["state", "c"]).run().knows_nobody();
}

fn a_root_that_cannot_be_written_is_an_error(w: &World) {
    let at = w.path("frozen");
    fs::create_dir(&at).unwrap();
    let host = w.private_mounts(&format!("mount -t tmpfs -o ro frozen {}", at.display()));
    let bundle = w.bundle();
    bundle.save();
    for root in [w.path("frozen"), w.path("frozen/below")] {
        let runtime = w.runtime().with_root(&root).behind(&host.enter());
        let output = runtime.call(&["create", "--bundle", bundle.dir.to_str().unwrap(), "c"]).run();
        output.fails("read-only file system");
    }
}

fn a_root_that_is_a_file_is_an_error(w: &World) {
    fs::write(w.path("file"), "").unwrap();
    let bundle = w.bundle();
    bundle.save();
    let runtime = w.runtime().with_root(&w.path("file"));
    runtime.call(&["create", "--bundle", bundle.dir.to_str().unwrap(), "c"]).run().fails("");
}

fn a_process_limit_is_an_error_at_any_number(w: &World) {
    let path = format!("{}-caller", w.cgroup());
    let found = cgroups::mount_points()
        .iter()
        .find(|(_, names)| cgroups::is_v2() || names.iter().any(|name| name == "pids"))
        .unwrap();
    let folder = found.0.join(path.trim_start_matches('/'));
    fs::create_dir_all(&folder).unwrap();
    let script = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", folder.display());
    let bundle = w.bundle().sh("echo ran");
    // Go needs threads of its own before it can say that it has none.
    let first = if w.kind() == Kind::Ours { 1 } else { 16 };
    for limit in first..first + 12 {
        if fs::write(folder.join("pids.max"), limit.to_string()).is_err() {
            cgroups::remove(&path);
            crate::story::skip("the pids controller is not delegated here");
        }
        let output = w.run_call(&bundle, "c", &[]).behind(&["sh", "-c", &script, "sh"]).run();
        assert!(output.code.is_some() && !output.stderr.contains("panicked"), "{limit}: {output}");
        if output.code == Some(0) {
            assert_eq!(output.text(), "ran");
        }
        let left = fs::read_dir(&w.runtime().root)
            .map(|entries| entries.flatten().filter(|e| e.file_name() != ".cache").count());
        assert!(left.unwrap_or(0) == 0 || w.kind() != Kind::Ours, "{limit}: {output}");
        let _ = w.call(&["delete", "--force", "c"]).run();
    }
    assert!(crate::lines::eventually(crate::lines::PATIENCE, || fs::remove_dir(&folder).is_ok()));
}

fn a_descriptor_limit_is_an_error_at_any_number(w: &World) {
    let bundle = w.bundle().remove("/process/rlimits").sh("echo ran");
    let mut ran = 0;
    for limit in 3..40 {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let output = w.run_call(&bundle, "c", &[]).behind(&["sh", "-c", &script, "sh"]).run();
        assert!(output.code.is_some() && !output.stderr.contains("panicked"), "{limit}: {output}");
        if output.code == Some(0) {
            ran += 1;
        }
        // Where not even undoing it finds a descriptor, a deletion does later.
        w.call(&["delete", "--force", "c"]).run().ok();
        let left = fs::read_dir(&w.runtime().root).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{limit}: {output}");
    }
    assert!(ran > 5, "with enough descriptors it runs");
}

fn a_pid_file_that_cannot_be_written_is_an_error(w: &World) {
    let output = w.create_call(&w.bundle(), "c", &["--pid-file", "/no/such/folder/pid"]).run();
    output.fails("no such file or directory");
    w.call(&["state", "c"]).run().knows_nobody();
}

fn a_bundle_that_vanishes_is_an_error(w: &World) {
    let bundle = w.bundle();
    bundle.save();
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    w.call(&["run", "--bundle", bundle.dir.to_str().unwrap(), "c"]).run().fails("");
    let c = w.created(&w.bundle());
    fs::remove_dir_all(c.rootfs().join("bin")).unwrap();
    let _ = c.verb(&["start"]);
    c.delete();
}

fn a_state_that_is_damaged_is_named(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    let files: Vec<_> = fs::read_dir(c.state_dir()).unwrap().flatten().map(|entry| entry.path()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "json")) {
        let text = fs::read(file).unwrap();
        fs::write(file, &text[..text.len() / 2]).unwrap();
    }
    let output = c.verb(&["state"]);
    assert!(output.code == Some(1) && !output.stderr.contains("panicked"), "{output}");
    // No crash damages a record; when something else did, its file is named, and other containers are not concerned.
    let other = w.idle();
    let deleted = c.verb(&["delete", "--force"]);
    if deleted.code != Some(0) {
        deleted.fails("state.json");
        fs::remove_dir_all(c.state_dir()).unwrap();
        cgroups::remove(&format!("{}/{}", w.cgroup(), c.bundle.file_name().unwrap().to_str().unwrap()));
    }
    c.deleted.set(true);
    assert_eq!(other.status(), "running");
}
