//! The bundle that container managers write.

use super::isolate::{CGROUP, ROOT};
use super::{Bundle, busybox, config, isolated, mounted, proc};
use crate::rootfs::{CgroupView, Hierarchy};
use serde_json::{Value, json};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Docker's, with its masked and read-only paths.
fn usual(bundle: &Bundle) -> Value {
    for name in ["resolv.conf", "hostname", "hosts"] {
        std::fs::write(bundle.dir.join(name), name).unwrap();
    }
    let bind = |name: &str| {
        json!({
            "destination": format!("/etc/{name}"), "type": "bind", "source": bundle.dir.join(name),
            "options": ["rbind", "rprivate"],
        })
    };
    let mut config = config(json!([
        proc(),
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs",
          "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
          "options": ["ro", "nosuid", "noexec", "nodev"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
          "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"] },
        bind("resolv.conf"),
        bind("hostname"),
        bind("hosts"),
    ]));
    config["linux"]["maskedPaths"] = json!([
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]);
    config["linux"]["readonlyPaths"] =
        json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]);
    config
}

/// The hierarchies of this host, if it has any of version 1.
pub(super) fn hierarchies() -> Vec<Hierarchy> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().map(super::fields).filter(|(_, mount)| mount.fstype == "cgroup");
    mounts
        .map(|(at, mount)| Hierarchy {
            name: Path::new(&at).file_name().unwrap().to_str().unwrap().to_owned(),
            // Generic flags come first in mountinfo.
            options: mount.super_options.iter().rfind(|option| *option != "xattr").unwrap().clone(),
            path: at.into(),
        })
        .collect()
}

fn check_usual() {
    assert_eq!(mounted("/proc").unwrap().fstype, "proc");
    let dev = mounted("/dev").unwrap();
    assert!(dev.has("nosuid") && dev.has("rw") && !dev.has("relatime"), "{dev:?}");
    assert!(dev.super_options.iter().any(|option| option == "size=65536k"), "{dev:?}");
    assert!(mounted("/dev/pts").unwrap().super_options.iter().any(|option| option == "gid=5"));
    assert_eq!(mounted("/dev/mqueue").unwrap().fstype, "mqueue");
    let sys = mounted("/sys").unwrap();
    assert!(sys.has("ro") && sys.has("nosuid") && sys.has("nodev") && sys.has("noexec"), "{sys:?}");
    assert_eq!(mounted("/dev/shm").unwrap().source, "shm");
    assert_eq!(std::fs::metadata("/dev/shm").unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(std::fs::read_to_string("/etc/hostname").unwrap(), "hostname");
    assert!(mounted("/etc/hosts").unwrap().root.ends_with("/hosts"));
    check_devices();
    check_restrictions();
}

fn check_devices() {
    for (path, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let node = std::fs::metadata(format!("/dev/{path}")).unwrap();
        assert!(node.file_type().is_char_device(), "{path}");
        assert_eq!(node.rdev(), rustix::fs::makedev(major, minor), "{path}");
        assert_eq!(node.permissions().mode() & 0o7777, 0o666, "{path}");
    }
    for (link, text) in [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("ptmx", "pts/ptmx")] {
        assert_eq!(std::fs::read_link(format!("/dev/{link}")).unwrap(), Path::new(text));
    }
}

fn check_restrictions() {
    assert!(mounted("/proc/sys").unwrap().has("ro"));
    assert!(std::fs::write("/proc/sys/kernel/domainname", "x").is_err());
    assert_eq!(std::fs::read("/proc/timer_list").unwrap_or_default(), b"");
    let interrupts = mounted("/proc/interrupts").unwrap();
    assert_eq!((interrupts.root.as_str(), interrupts.fstype.as_str()), ("/null", "tmpfs"));
    if Path::new("/sys/firmware").exists() {
        assert_eq!(std::fs::read_dir("/sys/firmware").unwrap().count(), 0);
        assert!(std::fs::write("/sys/firmware/x", "").is_err());
    }
}

#[test]
fn a_usual_bundle_has_all_a_container_expects() {
    isolated(a_usual_bundle_has_all_a_container_expects, ROOT, |dir| {
        let mut bundle = Bundle::new(dir);
        let hierarchies = hierarchies();
        bundle.cgroup = CgroupView::V1(hierarchies.clone());
        bundle.run(usual(&bundle)).unwrap();
        check_usual();
        assert_eq!(mounted("/sys/fs/cgroup").unwrap().fstype, "tmpfs");
        assert!(mounted("/sys/fs/cgroup").unwrap().has("ro"));
        for hierarchy in hierarchies {
            let shown = mounted(&format!("/sys/fs/cgroup/{}", hierarchy.name)).unwrap();
            assert!(shown.fstype == "cgroup" && shown.has("ro") && shown.has("nosuid"), "{shown:?}");
            for part in hierarchy.name.split(',') {
                assert!(Path::new("/sys/fs/cgroup").join(part).is_dir(), "{part}");
            }
        }
        if Path::new("/bin/busybox").exists() {
            assert_eq!(busybox(&["cat", "/etc/hosts"]), "hosts");
            assert!(busybox(&["ls", "/"]).contains("proc"));
        }
    });
}

#[test]
fn the_usual_bundle_is_the_same_by_classic_mounts() {
    isolated(the_usual_bundle_is_the_same_by_classic_mounts, ROOT, |dir| {
        let mut bundle = Bundle::new(dir);
        bundle.cgroup = CgroupView::V1(hierarchies());
        bundle.classic = true;
        bundle.run(usual(&bundle)).unwrap();
        check_usual();
    });
}

#[test]
fn hierarchies_are_mounted_anew_in_a_cgroup_namespace() {
    isolated(hierarchies_are_mounted_anew_in_a_cgroup_namespace, CGROUP, |dir| {
        let mut bundle = Bundle::new(dir);
        let hierarchies = hierarchies();
        bundle.cgroup = CgroupView::V1(hierarchies.clone());
        let mut config = usual(&bundle);
        config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }]);
        bundle.run(config).unwrap();
        for hierarchy in hierarchies {
            let shown = mounted(&format!("/sys/fs/cgroup/{}", hierarchy.name)).unwrap();
            assert_eq!((shown.root.as_str(), shown.fstype.as_str()), ("/", "cgroup"), "{hierarchy:?}");
            assert!(shown.has("ro") && shown.super_options.contains(&hierarchy.options), "{shown:?}");
        }
    });
}

#[test]
fn what_is_mounted_can_be_remounted() {
    isolated(what_is_mounted_can_be_remounted, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let at = |options: &[&str]| json!({ "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options });
        let remount =
            json!({ "destination": "/etc", "source": "x", "options": ["bind", "remount", "ro", "noexec"] });
        let etc = json!({ "destination": "/etc", "source": "rootfs/etc", "options": ["bind"] });
        bundle
            .run(config(json!([
                proc(),
                at(&["size=64k"]),
                at(&["remount", "noexec", "size=128k"]),
                etc,
                remount
            ])))
            .unwrap();
        let data = mounted("/data").unwrap();
        assert!(
            data.has("noexec") && data.super_options.iter().any(|option| option == "size=128k"),
            "{data:?}"
        );
        let etc = mounted("/etc").unwrap();
        assert!(etc.has("ro") && etc.has("noexec"), "{etc:?}");
    });
}

/// Where this host has its cgroup2.
fn unified() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().map(super::fields).find(|(_, mount)| mount.fstype == "cgroup2").map(|(at, _)| at)
}

#[test]
fn the_hosts_cgroup2_is_bound_without_a_namespace() {
    isolated(the_hosts_cgroup2_is_bound_without_a_namespace, ROOT, |dir| {
        let Some(host) = unified() else {
            println!("skipped: no cgroup2 on this host");
            return;
        };
        let bundle = Bundle { cgroup: CgroupView::V2 { fallback: host.into() }, ..Bundle::new(dir) };
        bundle.run(usual(&bundle)).unwrap();
        let shown = mounted("/sys/fs/cgroup").unwrap();
        assert!(shown.fstype == "cgroup2" && shown.has("ro") && shown.has("noexec"), "{shown:?}");
    });
}

#[test]
fn a_cgroup2_is_mounted_in_a_cgroup_namespace() {
    isolated(a_cgroup2_is_mounted_in_a_cgroup_namespace, CGROUP, |dir| {
        let bundle = Bundle { cgroup: CgroupView::V2 { fallback: "/no/such".into() }, ..Bundle::new(dir) };
        let mut config = usual(&bundle);
        config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }]);
        bundle.run(config).unwrap();
        let shown = mounted("/sys/fs/cgroup").unwrap();
        assert!(shown.fstype == "cgroup2" && shown.has("ro") && shown.root == "/", "{shown:?}");
    });
}

#[test]
fn a_readonly_root_stays_so_with_writable_mounts_in_it() {
    isolated(a_readonly_root_stays_so_with_writable_mounts_in_it, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let mut config = config(json!([
            proc(),
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "mode=755"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] },
            { "destination": "/run/new/deep", "type": "tmpfs", "source": "tmpfs", "options": ["ro"] },
        ]));
        config["root"]["readonly"] = json!(true);
        std::fs::set_permissions(bundle.root().join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
        bundle.run(config).unwrap();
        assert!(mounted("/").unwrap().has("ro"));
        assert!(std::fs::write("/etc/x", "").is_err());
        std::fs::write("/tmp/x", "").unwrap();
        assert_eq!(std::fs::metadata("/tmp").unwrap().mode() & 0o7777, 0o1777, "the mode of what was there");
        assert!(mounted("/dev").unwrap().has("ro") && mounted("/run/new/deep").unwrap().has("ro"));
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert_eq!(std::fs::metadata("/run/new").unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn a_tmpfs_can_begin_with_what_the_image_has_there() {
    isolated(a_tmpfs_can_begin_with_what_the_image_has_there, ROOT, |dir| {
        for classic in [false, true] {
            let bundle = Bundle { classic, ..Bundle::new(dir) };
            let var = bundle.root().join(if classic { "var2" } else { "var" });
            std::fs::create_dir_all(var.join("lib/deep")).unwrap();
            std::fs::write(var.join("lib/deep/file"), "kept").unwrap();
            std::os::unix::fs::chown(var.join("lib/deep/file"), Some(7), Some(8)).unwrap();
            std::fs::set_permissions(var.join("lib/deep/file"), PermissionsExt::from_mode(0o4755)).unwrap();
            std::os::unix::fs::chown(var.join("lib"), Some(9), Some(9)).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", var.join("link")).unwrap();
        }
        let at = |path: &str| json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "noexec"] });
        let bundle = Bundle::new(dir);
        let plan = bundle.plan(config(json!([proc(), at("/var"), at("/empty")]))).unwrap();
        let rootfs = bundle.prepare(&plan).unwrap();
        rootfs.enter().unwrap();
        rootfs.finish().unwrap();
        assert_eq!(mounted("/var").unwrap().fstype, "tmpfs");
        assert!(mounted("/var").unwrap().has("noexec"));
        let file = std::fs::metadata("/var/lib/deep/file").unwrap();
        assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o4755, 7, 8));
        assert_eq!(std::fs::read_to_string("/var/lib/deep/file").unwrap(), "kept");
        assert_eq!(std::fs::metadata("/var/lib").unwrap().uid(), 9);
        assert_eq!(std::fs::read_link("/var/link").unwrap(), Path::new("/etc/passwd"));
        assert_eq!(std::fs::read_dir("/empty").unwrap().count(), 0);
    });
}

#[test]
fn listed_devices_have_their_owners_and_modes() {
    isolated(listed_devices_have_their_owners_and_modes, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let mut config = config(json!([proc()]));
        config["linux"]["devices"] = json!([
            { "path": "/dev/kvm", "type": "c", "major": 10, "minor": 232, "fileMode": 0o620, "uid": 5, "gid": 6 },
            { "path": "/dev/sub/pipe", "type": "p", "fileMode": 0o600 },
            { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600 },
            { "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2 },
            { "path": "/dev/blk", "type": "b", "major": 7, "minor": 1 },
        ]);
        bundle.run(config).unwrap();
        let kvm = std::fs::metadata("/dev/kvm").unwrap();
        assert_eq!((kvm.mode() & 0o7777, kvm.uid(), kvm.gid()), (0o620, 5, 6));
        assert_eq!(kvm.rdev(), rustix::fs::makedev(10, 232));
        assert!(std::fs::metadata("/dev/sub/pipe").unwrap().file_type().is_fifo());
        assert!(std::fs::metadata("/dev/blk").unwrap().file_type().is_block_device());
        assert_eq!(std::fs::metadata("/dev/null").unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_link("/dev/ptmx").unwrap(), Path::new("pts/ptmx"));
    });
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    fn cpu() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
    isolated(measure, ROOT, |dir| {
        for classic in [false, true] {
            let mut bundle = Bundle { classic, ..Bundle::new(dir) };
            bundle.cgroup = CgroupView::V1(hierarchies());
            let plan = bundle.plan(usual(&bundle)).unwrap();
            let mut times = Vec::new();
            for _ in 0..300 {
                let start = cpu();
                let rootfs = bundle.prepare(&plan).unwrap();
                let prepared = cpu();
                rootfs.finish().unwrap();
                times.push([prepared - start, cpu() - prepared].map(|time| time / 1000));
                rustix::mount::unmount(bundle.root(), rustix::mount::UnmountFlags::DETACH).unwrap();
            }
            times.sort_unstable();
            println!("by mount(2): {classic}; µs of CPU to prepare and to finish: {:?}", times[150]);
        }
    });
}
