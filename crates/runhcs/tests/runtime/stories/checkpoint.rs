//! checkpoint and restore: a process goes to disk, and goes on from there as if nothing had happened.

use crate::bundle::Bundle;
use crate::cgroups;
use crate::console::{FdSocket, write_all};
use crate::container::Container;
use crate::host;
use crate::lines::{Lines, PATIENCE, eventually};
use crate::runtime::Output;
use crate::story::{Need, Story, skip, story};
use crate::world::World;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const STORIES: &[Story] = &[
    story!(a_process_goes_on_where_it_was, Need::Criu),
    story!(a_container_can_be_left_running, Need::Criu),
    story!(a_container_can_be_restored_again_and_again, Need::Criu),
    story!(what_was_bound_is_bound_from_the_new_bundle, Need::Criu),
    story!(masked_paths_stay_masked, Need::Criu),
    story!(a_terminal_is_handed_over_again, Need::Criu),
    story!(a_file_that_takes_the_output_takes_more, Need::Criu, Need::Ours("others know pipes only")),
    story!(a_restored_container_is_as_good_as_new, Need::Criu),
    story!(a_restored_container_is_in_the_new_bundles_cgroup, Need::Criu, Need::Controller("pids")),
    story!(
        a_user_namespace_is_restored,
        Need::Criu,
        Need::NotRunc("it makes a folder that CRIU cannot enter")
    ),
    story!(a_joined_network_namespace_is_joined_again, Need::Criu, Need::Program("ip")),
    story!(hooks_run_before_the_process_does, Need::Criu, Need::NotCrun),
    story!(the_foreground_ends_as_the_process_does, Need::Criu, Need::NotCrun),
    story!(memory_is_written_ahead, Need::Criu, Need::NotCrun),
    story!(a_paused_container_can_be_checkpointed, Need::Criu, Need::Controller("freezer"), Need::NotCrun),
    story!(a_damaged_image_fails_and_leaves_nothing, Need::Criu, Need::Ours("the text")),
    story!(a_missing_image_is_named, Need::Ours("the text")),
    story!(without_criu_it_is_said_what_is_missing, Need::Ours("the text")),
    story!(only_what_runs_can_be_checkpointed, Need::NotCrun),
    story!(wrong_options_are_refused, Need::NotCrun),
];

/// Counts, on its standard output and in a file. Standard error is not the suite's file: others know pipes only.
fn counting(w: &World) -> Bundle {
    w.bundle().sh("exec 2>&1; i=0; while :; do i=$((i + 1)); echo $i; echo $i > /tmp/count; sleep 0.02; done")
}

fn count(lines: &mut Lines) -> u64 {
    lines.line().trim().parse().expect("a count")
}

/// The count when at least this many have been made.
fn counted(c: &mut Container, at_least: u64) -> u64 {
    loop {
        let now = count(&mut c.out);
        if now >= at_least {
            return now;
        }
    }
}

fn image_of(w: &World) -> PathBuf {
    w.path("image")
}

/// With criu's log, which is gone with the story.
#[track_caller]
fn well(output: &Output, log: &Path) {
    let log = fs::read_to_string(log).unwrap_or_default();
    let errors: Vec<&str> =
        log.lines().filter(|line| line.contains("Error") || line.contains("Warn")).collect();
    assert_eq!(output.code, Some(0), "{}\n{}", output.stderr, errors.join("\n"));
}

#[track_caller]
fn checkpoint_to(c: &Container, image: &Path, options: &[&str]) {
    let mut words = vec!["checkpoint", "--image-path", image.to_str().expect("a plain path")];
    words.extend(options);
    well(&c.verb(&words), &image.join("dump.log"));
}

/// Takes the container to disk; it is gone then.
#[track_caller]
fn checkpointed(w: &World, c: &Container) -> PathBuf {
    let image = image_of(w);
    checkpoint_to(c, &image, &[]);
    c.verb(&["state"]).knows_nobody();
    c.deleted.set(true);
    image
}

fn restored(w: &World, bundle: &Bundle, image: &Path, options: &[&str]) -> Container {
    let id = w.fresh("c");
    let mut all = vec!["--detach", "--image-path", image.to_str().expect("a plain path")];
    all.extend(options);
    let c = w.adopt(w.restore_call(bundle, &id, &all), id.clone(), bundle);
    well(&c.created, &image.join("restore.log"));
    c
}

fn a_process_goes_on_where_it_was(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 5);
    let image = checkpointed(w, &c);
    let seen = c.out.rest().lines().last().map_or(0, |line| line.parse().expect("a count"));
    let mut c = restored(w, &bundle, &image, &[]);
    assert_eq!(c.status(), "running");
    let first = count(&mut c.out);
    assert!(first == seen + 1 || seen == 0, "{first} after {seen}");
    assert_eq!(count(&mut c.out), first + 1);
    c.delete();
}

fn a_container_can_be_left_running(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let pid = c.pid();
    checkpoint_to(&c, &image_of(w), &["--leave-running"]);
    assert_eq!((c.status().as_str(), c.pid()), ("running", pid));
    let now = count(&mut c.out);
    counted(&mut c, now + 5);
    c.delete();
    let mut c = restored(w, &bundle, &image_of(w), &[]);
    counted(&mut c, now);
    c.delete();
}

fn a_container_can_be_restored_again_and_again(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    let mut last = counted(&mut c, 3);
    for _ in 0..3 {
        let image = checkpointed(w, &c);
        c = restored(w, &bundle, &image, &[]);
        last = counted(&mut c, last + 3);
        fs::remove_dir_all(image).unwrap();
    }
    c.delete();
}

fn what_was_bound_is_bound_from_the_new_bundle(w: &World) {
    let (old, new) = (w.path("old"), w.path("new"));
    for (folder, text) in [(&old, "old"), (&new, "new")] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("text"), text).unwrap();
    }
    let bundle = |folder: &Path| {
        let file = folder.join("text");
        counting(w)
            .mount("/data", "bind", folder.to_str().unwrap(), &["bind"])
            .mount("/data/inner", "bind", folder.to_str().unwrap(), &["bind", "ro"])
            .mount("/dev/text", "bind", file.to_str().unwrap(), &["bind"])
    };
    fs::create_dir(old.join("inner")).unwrap();
    let mut c = w.started(&bundle(&old));
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let mut c = restored(w, &bundle(&new), &image, &[]);
    count(&mut c.out);
    let seen =
        c.sh("cat /data/text /data/inner/text /dev/text; touch /data/inner/x 2>&1 || echo refused").ok();
    assert!(seen.stdout.starts_with("newnewnew"), "{}", seen.stdout);
    assert!(seen.stdout.ends_with("refused\n"), "{}", seen.stdout);
    assert!(new.join("inner").is_dir(), "the mount point was made where a creation makes it");
    c.delete();
}

fn masked_paths_stay_masked(w: &World) {
    let bundle = counting(w)
        .set(
            "/linux/maskedPaths",
            json!(["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/none"]),
        )
        .set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let mut c = restored(w, &bundle, &image, &[]);
    count(&mut c.out);
    let seen = c.sh("cat /proc/keys; ls /sys/firmware; touch /proc/sys/kernel/hostname 2>&1").stdout;
    assert!(seen.contains("Read-only") && seen.lines().count() == 1, "{seen}");
    c.delete();
}

fn a_terminal_is_handed_over_again(w: &World) {
    let bundle =
        w.bundle().sh("while read line; do echo got $line; done").set("/process/terminal", json!(true));
    let socket = FdSocket::bind(&w.path("first.sock"));
    let id = w.fresh("t");
    let c = w.adopt(w.create_call(&bundle, &id, &["--console-socket", socket.path()]), id.clone(), &bundle);
    c.created.clone().ok();
    let mut terminal = Lines::new(socket.receive().fd);
    c.start();
    write_all(terminal.fd(), "one\n");
    terminal.until("got one");
    let image = checkpointed(w, &c);
    drop(terminal);
    let socket = FdSocket::bind(&w.path("second.sock"));
    let c = restored(w, &bundle, &image, &["--console-socket", socket.path()]);
    let mut terminal = Lines::new(socket.receive().fd);
    write_all(terminal.fd(), "two\n");
    terminal.until("got two");
    c.delete();
}

/// CRIU sees to it that the file is as long as it was, so that nothing is written over.
fn a_file_that_takes_the_output_takes_more(w: &World) {
    let bundle = w.bundle().sh("i=0; while :; do i=$((i + 1)); echo $i; sleep 0.02; done");
    let path = w.path("log");
    let log = || Stdio::from(fs::File::options().append(true).create(true).open(&path).unwrap());
    let lines = || fs::read_to_string(&path).unwrap().lines().count();
    let id = w.fresh("c");
    w.run_call(&bundle, &id, &["--detach"]).stdio([Stdio::null(), log(), log()]).run().ok();
    assert!(eventually(PATIENCE, || lines() > 3));
    let image = image_of(w);
    let folder = image.to_str().unwrap();
    well(&w.call(&["checkpoint", "--image-path", folder, &id]).run(), &image.join("dump.log"));
    let before = lines();
    let call = w.restore_call(&bundle, &id, &["--detach", "--image-path", folder]);
    well(&call.stdio([Stdio::null(), log(), log()]).run(), &image.join("restore.log"));
    assert!(eventually(PATIENCE, || lines() > before + 3));
    w.call(&["delete", "--force", &id]).run().ok();
    let text = fs::read_to_string(&path).unwrap();
    let counts: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(counts.iter().copied().eq(1..=counts.len()), "{text}");
}

fn a_restored_container_is_as_good_as_new(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let pid_file = w.path("pid");
    let mut c = restored(w, &bundle, &image, &["--pid-file", pid_file.to_str().unwrap()]);
    let pid = c.pid();
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    count(&mut c.out);
    assert_eq!(c.sh("hostname").ok().stdout, "story\n");
    for kind in ["pid", "mnt", "uts", "ipc"] {
        assert_ne!(host::namespace(pid, kind), host::namespace(1, kind), "{kind}");
    }
    assert_eq!(host::mounts_below(w.dir()), Vec::<String>::new());
    c.kill("KILL").ok();
    c.wait_stopped();
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
}

fn a_restored_container_is_in_the_new_bundles_cgroup(w: &World) {
    let bundle = counting(w).set("/linux/resources/pids", json!({"limit": 50}));
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let elsewhere = format!("{}/elsewhere", w.cgroup());
    let bundle =
        bundle.set("/linux/cgroupsPath", json!(elsewhere)).set("/linux/resources/pids", json!({"limit": 60}));
    let mut c = restored(w, &bundle, &image, &[]);
    count(&mut c.out);
    assert!(cgroups::of(c.pid(), "pids").ends_with("elsewhere"));
    assert_eq!(c.cgroup("pids", "pids.max", "pids.max"), "60");
    c.delete();
}

fn a_user_namespace_is_restored(w: &World) {
    let bundle = counting(w).mapped(100_000);
    fs::set_permissions(bundle.rootfs().join("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    crate::world::give(&bundle.rootfs(), 100_000);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let mut c = restored(w, &bundle, &image, &[]);
    count(&mut c.out);
    let owner = host::status_field(c.pid(), "Uid");
    assert_eq!(owner, "100000 100000 100000 100000");
    assert_eq!(c.sh("id -u").ok().stdout, "0\n");
    c.delete();
}

fn a_joined_network_namespace_is_joined_again(w: &World) {
    // It lives as long as this child.
    let mut holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
    let pid = i32::try_from(holder.id()).unwrap();
    assert!(eventually(PATIENCE, || host::namespace(pid, "net") != host::namespace(1, "net")));
    let bundle = counting(w).join("network", &format!("/proc/{pid}/ns/net"));
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let mut c = restored(w, &bundle, &image, &[]);
    count(&mut c.out);
    assert_eq!(host::namespace(c.pid(), "net"), host::namespace(pid, "net"));
    c.delete();
    holder.kill().unwrap();
    holder.wait().unwrap();
}

fn hooks_run_before_the_process_does(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    let told = w.path("told");
    let script = format!("cat > {}", told.display());
    let hooks = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    let mut c = restored(w, &bundle.set("/hooks", hooks), &image, &[]);
    count(&mut c.out);
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(told).unwrap()).unwrap();
    assert_eq!(told["pid"].as_i64(), Some(i64::from(c.pid())));
    c.delete();
}

fn the_foreground_ends_as_the_process_does(w: &World) {
    let bundle = w
        .bundle()
        .sh("exec 2>&1; echo ready; while ! test -e /tmp/end; do sleep 0.02; done; echo over; exit 7");
    let c = w.ready(&bundle);
    let image = checkpointed(w, &c);
    let id = w.fresh("f");
    let mut call = w.restore_call(&bundle, &id, &["--image-path", image.to_str().unwrap()]).spawn();
    assert!(eventually(PATIENCE, || {
        assert!(!call.ends_within(std::time::Duration::ZERO), "{}", call.stderr());
        w.call(&["state", &id]).run().stdout.contains("running")
    }));
    fs::write(bundle.rootfs().join("tmp/end"), "").unwrap();
    call.wait().code(7);
    assert_eq!(call.out.rest(), "over\n");
    w.call(&["state", &id]).run().knows_nobody();
}

fn memory_is_written_ahead(w: &World) {
    let check = Command::new("criu").args(["check", "--feature", "mem_dirty_track"]).output().unwrap();
    if !check.status.success() {
        skip("the kernel does not track written memory");
    }
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let parent = w.path("parent");
    checkpoint_to(&c, &parent, &["--pre-dump"]);
    let now = count(&mut c.out);
    counted(&mut c, now + 3);
    let image = image_of(w);
    checkpoint_to(&c, &image, &["--parent-path", "../parent"]);
    c.deleted.set(true);
    assert!(image.join("parent").exists());
    let mut c = restored(w, &bundle, &image, &[]);
    counted(&mut c, now + 3);
    c.delete();
}

fn a_paused_container_can_be_checkpointed(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    c.verb(&["pause"]).ok();
    let image = checkpointed(w, &c);
    let c = restored(w, &bundle, &image, &[]);
    let status = c.status();
    if status == "paused" {
        c.verb(&["resume"]).ok();
    }
    let before = fs::read_to_string(c.rootfs().join("tmp/count")).unwrap();
    assert!(eventually(PATIENCE, || fs::read_to_string(c.rootfs().join("tmp/count")).unwrap() != before));
    c.delete();
}

fn a_damaged_image_fails_and_leaves_nothing(w: &World) {
    let bundle = counting(w);
    let mut c = w.started(&bundle);
    counted(&mut c, 3);
    let image = checkpointed(w, &c);
    fs::write(image.join("pstree.img"), "nonsense").unwrap();
    let id = w.fresh("c");
    let call = w.restore_call(&bundle, &id, &["--detach", "--image-path", image.to_str().unwrap()]);
    let output = call.run().code(1).fails("criu failed: type RESTORE");
    let log = image.join("restore.log");
    assert!(output.stderr.contains("Error (criu/"), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("log file: {}", log.display())), "{}", output.stderr);
    w.call(&["state", &id]).run().knows_nobody();
}

fn a_missing_image_is_named(w: &World) {
    let bundle = counting(w);
    let id = w.fresh("c");
    let call = w.restore_call(&bundle, &id, &["--detach", "--image-path", "/nowhere/image"]);
    call.run().code(1).fails("/nowhere/image is no checkpoint: look for inventory.img: no such file");
    w.call(&["state", &id]).run().knows_nobody();
}

fn without_criu_it_is_said_what_is_missing(w: &World) {
    let c = w.idle();
    let image = image_of(w);
    let call = c.call(&["checkpoint", "--image-path", image.to_str().unwrap()]).env("PATH", "/nowhere");
    call.run().code(1).fails("CRIU is not installed");
    assert_eq!(c.status(), "running");
    fs::write(image.join("inventory.img"), "").unwrap();
    let id = w.fresh("c");
    let bundle = w.bundle();
    let call = w.restore_call(&bundle, &id, &["--detach", "--image-path", image.to_str().unwrap()]);
    call.env("PATH", "/nowhere").run().code(1).fails("CRIU is not installed");
    w.call(&["state", &id]).run().knows_nobody();
}

fn only_what_runs_can_be_checkpointed(w: &World) {
    let image = image_of(w);
    let words = ["checkpoint", "--image-path", image.to_str().unwrap()];
    let c = w.created(&w.bundle());
    c.verb(&words).code(1).fails("cannot be checkpointed in created state");
    c.start();
    c.kill_and_wait();
    c.verb(&words).code(1).fails("cannot be checkpointed in stopped state");
    w.call(&["checkpoint", "nobody"]).run().knows_nobody();
}

fn wrong_options_are_refused(w: &World) {
    let c = w.idle();
    let image = image_of(w);
    let refused = |options: &[&str], text: &str| {
        let mut words = vec!["checkpoint", "--image-path", image.to_str().unwrap()];
        words.extend(options);
        c.verb(&words).code(1).fails(text);
    };
    refused(&["--parent-path", "/absolute"], "--parent-path");
    refused(&["--parent-path", "../nowhere"], "no such file or directory");
    refused(&["--page-server", "nowhere"], "Use --page-server ADDRESS:PORT to specify page server");
    refused(&["--empty-ns", "pid"], "not supported");
    assert_eq!(c.status(), "running");
}
