//! The three ways into a root, and what they leave of the host.

use super::isolate::{ROOT, assert_not_mounted, nested};
use super::{Bundle, config, isolated, mounted, proc};
use rustix::mount::MountPropagationFlags;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

fn with_dev() -> Value {
    json!([
        proc(),
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"] },
    ])
}

#[test]
fn nothing_of_the_host_is_left() {
    isolated(nothing_of_the_host_is_left, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        bundle.run(config(with_dev())).unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points: Vec<String> = mounts.lines().map(|line| super::fields(line).0).collect();
        assert_eq!(points, ["/", "/proc", "/dev", "/dev/pts"], "{mounts}");
        assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        assert_eq!(mounted("/").unwrap().propagation, "");
    });
}

#[test]
fn the_terminal_is_the_console_and_null_is_the_containers() {
    isolated(the_terminal_is_the_console_and_null_is_the_containers, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let plan = bundle.plan(config(with_dev())).unwrap();
        let rootfs = bundle.prepare(&plan).unwrap();
        rootfs.enter().unwrap();
        // Started with /dev/null for its input.
        let own = std::fs::metadata("/dev/null").unwrap();
        let input = rustix::fs::fstat(rustix::stdio::stdin()).unwrap();
        assert_eq!((input.st_dev, input.st_ino), (own.dev(), own.ino()));

        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let manager = std::fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        rustix::pty::unlockpt(&manager).unwrap();
        let terminal = rustix::pty::ioctl_tiocgptpeer(&manager, flags).unwrap();
        crate::process::terminal::mount_console(terminal.as_fd()).unwrap();
        rootfs.finish().unwrap();
        let console = std::fs::metadata("/dev/console").unwrap();
        assert!(console.file_type().is_char_device());
        assert_eq!(console.rdev(), rustix::fs::fstat(&terminal).unwrap().st_rdev);
        assert_eq!(mounted("/dev/console").unwrap().fstype, "devpts");
    });
}

#[test]
fn a_moved_root_hides_the_hosts_proc_and_sys() {
    isolated(a_moved_root_hides_the_hosts_proc_and_sys, ROOT, |dir| {
        let bundle = Bundle { no_pivot: true, ..Bundle::new(dir) };
        bundle.run(config(with_dev())).unwrap();
        assert!(Path::new("/etc/passwd").exists() && !Path::new("/work").exists());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let whole = mounts.lines().map(super::fields).filter(|(_, mount)| mount.fstype == "proc");
        assert_eq!(whole.count(), 1, "{mounts}");
    });
}

#[test]
fn without_a_mount_namespace_the_mounts_can_be_undone() {
    isolated(without_a_mount_namespace_the_mounts_can_be_undone, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let mut config = config(with_dev());
        config["linux"]["namespaces"] = json!([]);
        let plan = bundle.plan(config.clone()).unwrap();
        let before = mounted("/").unwrap().propagation;
        let rootfs = bundle.prepare(&plan).unwrap();
        assert!(mounted(bundle.root().join("dev/pts").to_str().unwrap()).is_some());
        assert_eq!(mounted("/").unwrap().propagation, before);
        drop(rootfs);
        plan.unmount_from_host().unwrap();
        plan.unmount_from_host().unwrap();
        assert_not_mounted(dir);
        // A root that the caller mounted stays the caller's.
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("theirs", bundle.root(), "tmpfs", flags, None).unwrap();
        plan.unmount_from_host().unwrap();
        assert_eq!(mounted(bundle.root().to_str().unwrap()).unwrap().source, "theirs");
        rustix::mount::unmount(bundle.root(), rustix::mount::UnmountFlags::empty()).unwrap();
        bundle.run(config).unwrap();
        assert!(Path::new("/etc/passwd").exists() && !Path::new("/usr/bin").exists());
    });
}

#[test]
fn a_host_with_shared_mounts_sees_nothing() {
    isolated(a_host_with_shared_mounts_sees_nothing, ROOT, |_| {
        let inside = |dir: &Path| {
            let bundle = Bundle::new(dir);
            let mut config = config(with_dev());
            config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
            let word = std::fs::read_to_string(dir.join("word")).unwrap();
            if !word.is_empty() {
                config["linux"]["rootfsPropagation"] = json!(word);
            }
            bundle.run(config).unwrap();
            assert_eq!(
                mounted("/").unwrap().propagation.contains("shared"),
                word.contains("shared"),
                "{word}"
            );
        };
        nested(a_host_with_shared_mounts_sees_nothing, ROOT, inside, |dir, start| {
            let tree = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", tree).unwrap();
            let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            for word in ["", "rslave", "slave", "rprivate", "private", "rshared", "shared", "runbindable"] {
                std::fs::write(dir.join("word"), word).unwrap();
                start();
                assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before, "{word}");
            }
        });
    });
}
