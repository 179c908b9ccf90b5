//! The root file system: what is there, what is hidden, what cannot be written.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const STORIES: &[Story] = &[
    story!(a_read_only_root_cannot_be_written, Need::Anyone),
    story!(a_writable_root_keeps_what_is_written, Need::Anyone),
    story!(masked_files_and_folders_are_empty, Need::Anyone),
    story!(paths_to_mask_need_not_exist, Need::Anyone),
    story!(read_only_paths_cannot_be_written, Need::Anyone),
    story!(default_devices_are_there, Need::Anyone),
    story!(device_links_are_there, Need::Anyone),
    story!(a_device_of_the_config_is_made),
    story!(a_device_of_an_unknown_type_is_refused, Need::NotCrun),
    story!(devices_that_are_not_allowed_cannot_be_opened, Need::Controller("devices")),
    story!(nothing_of_the_host_is_mounted),
    story!(the_way_back_is_closed),
    story!(without_pivot_root_it_works_too, Need::Capability(21)),
    story!(an_absolute_root_path_works, Need::Anyone),
    story!(a_root_of_another_place_is_found),
    story!(propagation_of_the_root_is_as_asked),
    story!(an_unknown_propagation_is_refused, Need::NotCrun),
    story!(mounts_of_a_container_do_not_reach_the_host),
    story!(a_root_that_is_a_file_is_an_error, Need::Anyone),
    story!(the_old_root_is_gone),
    story!(proc_self_exe_tells_nothing_of_the_runtime),
];

fn a_read_only_root_cannot_be_written(w: &World) {
    let bundle = w.bundle().set("/root/readonly", json!(true));
    let output = w.run(&bundle.sh("touch /x 2>&1; touch /dev/shm/x && echo shm can"));
    assert!(output.stdout.contains("Read-only file system") && output.stdout.contains("shm can"), "{output}");
}

fn a_writable_root_keeps_what_is_written(w: &World) {
    let bundle = w.bundle().sh("echo kept >/kept");
    w.run(&bundle).ok();
    assert_eq!(fs::read_to_string(bundle.rootfs().join("kept")).unwrap(), "kept\n");
}

fn masked_files_and_folders_are_empty(w: &World) {
    let bundle = w.bundle().file("secret/file", "secret").file("folder/inner", "secret");
    let bundle = bundle.set("/linux/maskedPaths", json!(["/secret/file", "/folder"]));
    assert_eq!(
        w.output_of(bundle.sh("cat /secret/file; ls -A /folder; touch /folder/x 2>/dev/null || echo closed")),
        "closed"
    );
}

fn paths_to_mask_need_not_exist(w: &World) {
    let bundle = w.bundle().set("/linux/maskedPaths", json!(["/no/such", "/etc/passwd/below"]));
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/no/such"]));
    let output = w.run(&bundle.sh("echo fine"));
    assert!(output.code == Some(0) || w.kind() != Kind::Ours, "{output}");
}

fn read_only_paths_cannot_be_written(w: &World) {
    let bundle = w.bundle().file("etc/conf", "x").folder("data");
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/etc/conf", "/data", "/proc/sys"]));
    let script = "for f in /etc/conf /data/x /proc/sys/kernel/hostname; do (echo y >$f) 2>&1; done; echo z >/other && echo ok";
    let output = w.output_of(bundle.sh(script));
    assert_eq!(output.matches("Read-only file system").count(), 3, "{output}");
    assert!(output.ends_with("ok"));
}

fn default_devices_are_there(w: &World) {
    let script = "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; \
                  stat -L -c \"$d %t:%T %a\" /dev/$d; done; test -e /dev/ptmx && echo x >/dev/null && head -c 1 /dev/zero | wc -c";
    let output = w.output_of(w.bundle().sh(script));
    for line in
        ["null 1:3 666", "zero 1:5 666", "full 1:7 666", "random 1:8 666", "urandom 1:9 666", "tty 5:0 666"]
    {
        assert!(output.lines().any(|have| have == line), "{line} is not in {output}");
    }
}

fn device_links_are_there(w: &World) {
    let output = w.output_of(w.bundle().sh(
        "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done; test ! -e core || readlink core",
    ));
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[..4], ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]);
    assert!(words[4].ends_with("pts/ptmx"), "{output}");
}

fn a_device_of_the_config_is_made(w: &World) {
    let device = json!({"path": "/dev/deep/kmsg2", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 5, "gid": 6});
    let pipe = json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o600});
    let bundle = w.bundle().push("/linux/devices", device).push("/linux/devices", pipe);
    let output =
        w.output_of(bundle.sh("stat -c '%F %t:%T %a %u %g' /dev/deep/kmsg2; stat -c '%F %a' /dev/pipe"));
    assert_eq!(output, "character special file 1:b 640 5 6\nfifo 600");
}

fn a_device_of_an_unknown_type_is_refused(w: &World) {
    let device = json!({"path": "/dev/x", "type": "z", "major": 1, "minor": 11});
    w.run(&w.bundle().push("/linux/devices", device)).fails("");
}

fn devices_that_are_not_allowed_cannot_be_opened(w: &World) {
    let bundle = || {
        let device = json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
        w.bundle().push("/linux/devices", device).capability("CAP_SYSLOG")
    };
    let output = w.run(&bundle().sh("exec 3</dev/kmsg"));
    assert!(output.code != Some(0) && output.stderr.contains("Operation not permitted"), "{output}");
    let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm"});
    w.run(&bundle().push("/linux/resources/devices", rule.clone()).sh("exec 3</dev/kmsg")).ok();
    let output = w.run(&bundle().push("/linux/resources/devices", rule).sh("exec 3>/dev/kmsg"));
    assert!(output.code != Some(0), "it may be read, not written: {output}");
    let output = w.run(&w.bundle().capability("CAP_MKNOD").sh("mknod /tmp/m c 1 11 && cat /tmp/m"));
    // By the device rules, or already by a file system that is mounted without devices.
    let refusals = ["Operation not permitted", "Permission denied"];
    assert!(output.code != Some(0) && refusals.iter().any(|text| output.stderr.contains(text)), "{output}");
}

fn nothing_of_the_host_is_mounted(w: &World) {
    let output = w.output_of(w.bundle().sh("cut -d' ' -f5 /proc/self/mountinfo"));
    let usual = ["/", "/proc", "/dev", "/sys"];
    let foreign: Vec<&str> = output
        .lines()
        .filter(|point| {
            !usual.iter().any(|at| point == at || (*at != "/" && point.starts_with(&format!("{at}/"))))
        })
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

fn the_way_back_is_closed(w: &World) {
    let script = "ls -d /proc/1/root/; ls /../../.. | tr '\\n' ' '; ls -A /.old_root /.pivot_root* /oldroot 2>/dev/null; echo end";
    let output = w.output_of(w.bundle().sh(script));
    assert!(!output.contains("boot") && output.contains("bin dev etc"), "{output}");
}

fn without_pivot_root_it_works_too(w: &World) {
    let bundle = w.bundle().file("mark", "of the bundle").sh("cat /mark; ls /..");
    let output = w.run_call(&bundle, "c", &["--no-pivot"]).run().ok();
    assert!(output.stdout.starts_with("of the bundle") && !output.stdout.contains("boot"), "{output}");
    let bundle = w.bundle().sh("test -e /proc/1/status && echo fine");
    w.run_call(&bundle, "d", &["--no-pivot"]).run().ok();
}

fn an_absolute_root_path_works(w: &World) {
    let bundle = w.bundle();
    let rootfs = bundle.rootfs();
    let bundle = bundle.set("/root/path", json!(rootfs.to_str().unwrap()));
    assert_eq!(w.output_of(bundle.sh("echo fine")), "fine");
}

fn a_root_of_another_place_is_found(w: &World) {
    let bundle = w.bundle();
    fs::create_dir(bundle.dir.join("deep")).unwrap();
    fs::rename(bundle.rootfs(), bundle.dir.join("deep/root")).unwrap();
    let bundle = bundle.set("/root/path", json!("./deep/../deep/root"));
    assert_eq!(w.output_of(bundle.sh("echo fine")), "fine");
    symlink("deep/root", bundle_dir(w).join("link")).unwrap();
}

fn bundle_dir(w: &World) -> std::path::PathBuf {
    let entries = w.dir().read_dir().unwrap().flatten();
    entries.map(|entry| entry.path()).find(|path| path.join("config.json").exists()).unwrap()
}

fn propagation_of_the_root_is_as_asked(w: &World) {
    let of = |propagation: &str| {
        let bundle = w.bundle().set("/linux/rootfsPropagation", json!(propagation));
        let output = w.output_of(bundle.sh("awk '$5 == \"/\"' /proc/self/mountinfo"));
        output.split(" - ").next().unwrap_or_default().to_owned()
    };
    // runc does so since 1.1.8.
    assert!(w.kind() == Kind::Runc || of("shared").contains("shared:"));
    assert!(!of("private").contains("shared:"));
    assert!(!of("rprivate").contains("master:"));
    assert!(!of("slave").contains("shared:"));
    // runc cannot, because the root itself is bound on the way.
    assert!(w.kind() == Kind::Runc || of("unbindable").contains("unbindable"));
}

fn an_unknown_propagation_is_refused(w: &World) {
    let bundle = w.bundle().set("/linux/rootfsPropagation", json!("sideways"));
    let output = w.run(&bundle);
    output.fails(if w.kind() == Kind::Crun { "" } else { "rootfsPropagation=sideways is not supported" });
}

fn mounts_of_a_container_do_not_reach_the_host(w: &World) {
    let bundle =
        w.bundle().capability("CAP_SYS_ADMIN").sh("mount -t tmpfs x /mnt && echo ready; exec sleep 1000");
    let c = w.ready(&bundle);
    assert!(crate::host::mounts_below(w.dir()).is_empty());
    assert!(c.sh("grep ' /mnt ' /proc/self/mountinfo").ok().stdout.contains("tmpfs"));
}

fn a_root_that_is_a_file_is_an_error(w: &World) {
    let bundle = w.bundle();
    fs::write(bundle.dir.join("file"), "").unwrap();
    w.run(&bundle.set("/root/path", json!("file"))).fails("");
    w.run(&w.bundle().set("/root/path", json!("missing"))).fails("missing");
    w.run(&w.bundle().set("/root/path", json!(""))).fails("");
}

fn the_old_root_is_gone(w: &World) {
    let bundle = w.bundle().capability("CAP_SYS_ADMIN").capability("CAP_SYS_PTRACE");
    let script =
        "umount -l / 2>/dev/null; ls / | tr '\\n' ' '; cut -d' ' -f5 /proc/1/mountinfo 2>/dev/null | head -3";
    let output = w.run(&bundle.sh(script));
    assert!(!output.stdout.contains("boot") && !output.stdout.contains("lost+found"), "{output}");
}

fn proc_self_exe_tells_nothing_of_the_runtime(w: &World) {
    let c = w.idle();
    let exe = fs::read_link(format!("/proc/{}/exe", c.pid())).unwrap();
    assert!(exe.to_string_lossy().contains("busybox"), "{}", exe.display());
}
