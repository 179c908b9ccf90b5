//! Images and bundles that want out.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const STORIES: &[Story] = &[
    story!(special_folders_that_are_symlinks_lead_nowhere, Need::NotRunc("1.1 makes devices outside")),
    story!(devices_that_are_symlinks_lead_nowhere),
    story!(folders_swapped_for_symlinks_during_create_lead_nowhere),
    story!(masked_paths_swapped_during_create_lead_nowhere),
    story!(a_cwd_of_an_open_descriptor_is_not_the_hosts),
    story!(a_cwd_of_an_open_descriptor_in_exec_is_not_the_hosts),
    story!(the_runtime_is_not_overwritten_by_a_container_it_visits, Need::NotCrun),
    story!(a_program_of_proc_self_exe_does_not_reach_the_runtime),
    story!(proc_cannot_be_replaced_by_another_file_system, Need::Ours("runc refuses it since 1.2")),
    story!(a_passwd_that_blocks_does_not_hang_the_runtime, Need::Ours("the others wait for ever")),
    story!(a_passwd_without_end_is_not_read_without_end, Need::Ours("the others read on")),
    story!(bundles_with_odd_names_work, Need::NotCrun),
    story!(a_rootfs_that_is_a_symlink_is_followed_once_or_refused),
    story!(a_container_that_forks_without_end_can_be_deleted, Need::Controller("pids")),
    story!(an_init_that_ignores_everything_can_be_deleted),
    story!(tty_names_of_the_container_are_not_believed),
];

/// A folder of the host that nobody may change.
fn outside(w: &World) -> std::path::PathBuf {
    let outside = w.path(&w.fresh("outside"));
    fs::create_dir_all(outside.join("sys")).unwrap();
    fs::write(outside.join("file"), "untouched").unwrap();
    outside
}

fn assert_untouched(outside: &Path) {
    let mut names: Vec<_> = fs::read_dir(outside).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["file", "sys"], "something was made outside");
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(outside.join("sys")).unwrap().count(), 0, "something was made outside");
}

fn special_folders_that_are_symlinks_lead_nowhere(w: &World) {
    for name in ["proc", "sys", "dev"] {
        let outside = outside(w);
        let bundle = w.bundle();
        fs::remove_dir(bundle.rootfs().join(name)).unwrap();
        symlink(&outside, bundle.rootfs().join(name)).unwrap();
        let output = w.run(&bundle.sh("echo ran"));
        assert_untouched(&outside);
        if name == "proc" && w.kind() == Kind::Ours {
            output.fails("proc");
        }
    }
}

fn devices_that_are_symlinks_lead_nowhere(w: &World) {
    // No mount on /dev: the image's own folder, where names already lead elsewhere.
    let outside = outside(w);
    let bundle = w
        .bundle()
        .without_mount("/dev")
        .without_mount("/dev/pts")
        .without_mount("/dev/shm")
        .without_mount("/dev/mqueue");
    for name in ["null", "zero", "ptmx", "fd", "stdin", "console"] {
        symlink(outside.join("file"), bundle.rootfs().join("dev").join(name)).unwrap();
    }
    let _ = w.run(&bundle.sh("echo ran"));
    assert_untouched(&outside);
}

/// Swaps two names of the root file system as fast as it can while the runtime makes containers.
fn while_swapping(w: &World, bundle: &crate::bundle::Bundle, name: &str, outside: &Path, rounds: u32) {
    let rootfs = bundle.rootfs();
    let real = rootfs.join(name);
    fs::create_dir_all(&real).unwrap();
    let trap = rootfs.join("trap");
    symlink(outside, &trap).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &trap, CWD, &real, RenameFlags::EXCHANGE);
            }
        });
        for round in 0..rounds {
            let id = format!("race-{round}");
            let output = w.run_call(bundle, &id, &[]).run();
            assert!(!output.stderr.contains("panicked"), "{output}");
            assert!(!output.stdout.contains("untouched"), "the container saw the host's file: {output}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_untouched(outside);
}

fn folders_swapped_for_symlinks_during_create_lead_nowhere(w: &World) {
    let outside = outside(w);
    let bundle = w.bundle().mount("/a/b/new/deep", "tmpfs", "tmpfs", &[]).mount(
        "/a/b/file",
        "bind",
        "/etc/hostname",
        &["bind"],
    );
    let bundle = bundle.sh("cat /a/b/file /a/file 2>/dev/null; touch /a/b/new/deep/x; true");
    while_swapping(w, &bundle, "a", &outside, 25);
    let outside = self::outside(w);
    let bundle = w
        .bundle()
        .mount("/a/b/sys", "tmpfs", "tmpfs", &["tmpcopyup"])
        .sh("touch /a/b/sys/x; cat /a/b/file 2>/dev/null; true");
    while_swapping(w, &bundle.folder("a"), "a/b", &outside, 25);
}

fn masked_paths_swapped_during_create_lead_nowhere(w: &World) {
    let outside = outside(w);
    let bundle = w.bundle().set("/linux/maskedPaths", json!(["/a/file", "/a/sys"]));
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/a/sys"])).sh("cat /a/file 2>/dev/null; true");
    while_swapping(w, &bundle, "a", &outside, 25);
}

fn a_cwd_of_an_open_descriptor_is_not_the_hosts(w: &World) {
    for fd in 3..20 {
        let bundle = w.bundle().set("/process/cwd", json!(format!("/proc/self/fd/{fd}")));
        let output = w.run(&bundle.sh("ls ../../../../../..; cat ../../../../../../etc/hostname"));
        assert!(
            !output.stdout.contains("boot") && !output.stdout.contains("lost+found"),
            "fd {fd}: {output}"
        );
    }
}

fn a_cwd_of_an_open_descriptor_in_exec_is_not_the_hosts(w: &World) {
    let c = w.idle();
    for fd in 3..20 {
        let cwd = format!("/proc/self/fd/{fd}");
        let output = c.exec_with(&["--cwd", &cwd], &["/bin/sh", "-c", "ls ../../../../../.."]).run();
        assert!(
            !output.stdout.contains("boot") && !output.stdout.contains("lost+found"),
            "fd {fd}: {output}"
        );
    }
    symlink("/proc/self/fd/7", c.rootfs().join("link")).unwrap();
    let output = c.exec_with(&["--cwd", "/link"], &["/bin/sh", "-c", "ls ../../../../../.."]).run();
    assert!(!output.stdout.contains("boot"), "{output}");
}

/// The runtime as a file of this story, which may be spoiled.
fn copy_of_the_runtime(w: &World) -> (crate::runtime::Runtime, Vec<u8>) {
    let copy = w.path("runtime");
    fs::copy(w.runtime().program(), &copy).unwrap();
    let bytes = fs::read(&copy).unwrap();
    (w.runtime().at(&copy), bytes)
}

fn the_runtime_is_not_overwritten_by_a_container_it_visits(w: &World) {
    let (runtime, bytes) = copy_of_the_runtime(w);
    let bundle = ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"]
        .iter()
        .fold(w.bundle(), |b, c| b.capability(c));
    let mut c = w.ready(&bundle.inside(&["hunt"]));
    for _ in 0..30 {
        // What it catches may be its own program, once that runs: then it spoils its own root, and this fails.
        let _ = runtime.call(&["exec", &c.id, "/bin/true"]).run();
        let _ = runtime.call(&["exec", &c.id, "/proc/self/exe"]).run();
    }
    fs::write(c.rootfs().join("stop"), "").unwrap();
    c.out.until("kept ");
    assert_eq!(fs::read(runtime.program()).unwrap(), bytes, "the runtime was overwritten: {}", c.out.text());
    runtime.call(&["state", &c.id]).run().ok();
}

fn a_program_of_proc_self_exe_does_not_reach_the_runtime(w: &World) {
    let (runtime, bytes) = copy_of_the_runtime(w);
    let bundle = w.bundle().file("evil", "#!/proc/self/exe\n");
    for args in [
        json!(["/proc/self/exe"]),
        json!(["/evil"]),
        json!(["/proc/1/exe", "init"]),
        json!(["/proc/self/exe", "init"]),
    ] {
        let bundle = crate::bundle::Bundle { dir: bundle.dir.clone(), config: bundle.config.clone() }
            .set("/process/args", args);
        bundle.save();
        let output = runtime
            .call(&["run", "--bundle", bundle.dir.to_str().unwrap(), "c"])
            .patience(Duration::from_secs(20))
            .run();
        assert!(!output.stderr.contains("panicked"), "{output}");
        let _ = runtime.call(&["delete", "--force", "c"]).run();
    }
    assert_eq!(fs::read(runtime.program()).unwrap(), bytes);
}

fn proc_cannot_be_replaced_by_another_file_system(w: &World) {
    let source = outside(w);
    let bundle = || w.bundle().without_mount("/proc");
    let output = w.run(&bundle().mount("/proc", "bind", source.to_str().unwrap(), &["bind"]));
    output.code(1).fails("/proc");
    w.run(&bundle().mount("/proc", "tmpfs", "tmpfs", &[])).code(1).fails("/proc");
}

fn a_passwd_that_blocks_does_not_hang_the_runtime(w: &World) {
    for file in ["etc/passwd", "etc/group"] {
        let bundle = w.bundle().sh("echo ran");
        fs::remove_file(bundle.rootfs().join(file)).unwrap();
        mkfifoat(CWD, bundle.rootfs().join(file), Mode::RWXU).unwrap();
        w.run_call(&bundle, "c", &[]).patience(Duration::from_secs(10)).run().ok();
    }
}

fn a_passwd_without_end_is_not_read_without_end(w: &World) {
    let bundle = w.bundle().sh("echo ran");
    fs::remove_file(bundle.rootfs().join("etc/passwd")).unwrap();
    symlink("/dev/zero", bundle.rootfs().join("etc/passwd")).unwrap();
    w.run_call(&bundle, "c", &[]).patience(Duration::from_secs(10)).run().ok();
    let line = "x".repeat(1 << 20);
    let bundle = w.bundle().sh("echo ran");
    fs::write(bundle.rootfs().join("etc/passwd"), line.repeat(64)).unwrap();
    w.run_call(&bundle, "c", &[]).patience(Duration::from_secs(10)).run().ok();
}

fn bundles_with_odd_names_work(w: &World) {
    for name in
        ["with space", "back\\slash", "new\nline", "quo\"te'", "ünïcode", "com,ma=x", "per%cent", "\\040"]
    {
        let bundle = w.bundle();
        let moved = w.path(name);
        fs::rename(&bundle.dir, &moved).unwrap();
        let bundle = crate::bundle::Bundle { dir: moved.clone(), config: bundle.config }.sh("echo ran");
        let bundle = bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
        let c = w.ready(&bundle.sh(crate::bundle::IDLE));
        assert_eq!(c.state()["bundle"], moved.to_str().unwrap());
    }
}

fn a_rootfs_that_is_a_symlink_is_followed_once_or_refused(w: &World) {
    let bundle = w.bundle();
    fs::rename(bundle.rootfs(), bundle.dir.join("real")).unwrap();
    symlink("real", bundle.dir.join("rootfs")).unwrap();
    let output = w.run(&bundle.sh("echo ran"));
    if output.code != Some(0) {
        output.fails("symlink");
    }
}

fn a_container_that_forks_without_end_can_be_deleted(w: &World) {
    let bundle = w.bundle().set("/linux/resources/pids", json!({"limit": 60}));
    let bundle =
        bundle.sh("echo ready; f() { while :; do (f) & sleep 0; done; }; while :; do f 2>/dev/null; done");
    let c = w.ready(&bundle);
    c.delete();
    let bundle = w.bundle().without_namespace("pid").set("/linux/resources/pids", json!({"limit": 60}));
    let bundle =
        bundle.sh("echo ready; f() { while :; do (f) & sleep 0; done; }; while :; do (f 2>/dev/null); done");
    let c = w.ready(&bundle);
    c.delete();
}

fn an_init_that_ignores_everything_can_be_deleted(w: &World) {
    let bundle =
        w.bundle().sh("trap '' HUP INT QUIT TERM USR1 USR2; echo ready; while :; do sleep 0.1; done");
    let c = w.ready(&bundle);
    c.kill("TERM").ok();
    assert_eq!(c.status(), "running");
    c.delete();
}

fn tty_names_of_the_container_are_not_believed(w: &World) {
    // An image whose /dev/pts leads elsewhere: the terminal is still one of the container's own.
    let outside = outside(w);
    let bundle = w
        .bundle()
        .without_mount("/dev")
        .without_mount("/dev/pts")
        .without_mount("/dev/shm")
        .without_mount("/dev/mqueue");
    symlink(&outside, bundle.rootfs().join("dev/pts")).unwrap();
    let socket = crate::console::FdSocket::bind(&w.path("tty.sock"));
    let bundle = bundle.set("/process/terminal", json!(true));
    let call = w.create_call(&bundle, "c", &["--console-socket", socket.path()]);
    let output = call.run();
    assert!(!output.stderr.contains("panicked"), "{output}");
    let _ = w.call(&["delete", "--force", "c"]).run();
    assert_untouched(&outside);
}
