//! Images and volumes whose owner wants out, or in the way.

use super::isolate::ROOT;
use super::{Bundle, config, isolated, mounted, proc};
use rustix::fs::{CWD, FileType, Mode, RenameFlags};
use rustix::mount::UnmountFlags;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn tmpfs(destination: &str) -> Value {
    json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" })
}

/// Undoes what a refused preparation mounted, as the end of init's namespace would.
fn clear(bundle: &Bundle) {
    while rustix::mount::unmount(bundle.root(), UnmountFlags::DETACH).is_ok() {}
}

/// What is planted in the root, the mounts, and what the error says.
type Case<'a> = (&'a dyn Fn(&Path), Value, &'a str);

fn refusals(dir: &Path, cases: &[Case<'_>]) {
    for (number, (set_up, mounts, expected)) in cases.iter().enumerate() {
        let bundle = Bundle::new(&dir.join(number.to_string()));
        set_up(&bundle.root());
        let error = bundle.refusal(config(mounts.clone()));
        assert!(error.contains(expected), "{mounts}: {error}");
        clear(&bundle);
    }
}

fn replace_by_link(root: &Path, name: &str, text: &str) {
    std::fs::remove_dir_all(root.join(name)).unwrap();
    symlink(text, root.join(name)).unwrap();
}

#[test]
fn proc_and_sys_are_ordinary_folders() {
    isolated(proc_and_sys_are_ordinary_folders, ROOT, |dir| {
        let sysfs = json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs" });
        let ordinary = r#"filesystem "proc" must be mounted on ordinary directory"#;
        refusals(
            dir,
            &[
                (&|root| replace_by_link(root, "proc", "/etc"), json!([proc()]), ordinary),
                (&|root| replace_by_link(root, "proc", "missing"), json!([proc()]), ordinary),
                (
                    &|root| {
                        std::fs::remove_dir(root.join("proc")).unwrap();
                        std::fs::write(root.join("proc"), "").unwrap();
                    },
                    json!([proc()]),
                    ordinary,
                ),
                (
                    &|root| replace_by_link(root, "sys", "/proc"),
                    json!([sysfs]),
                    r#"filesystem "sysfs" must be mounted on ordinary directory"#,
                ),
            ],
        );
    });
}

#[test]
fn procfs_is_not_mounted_over() {
    isolated(procfs_is_not_mounted_over, ROOT, |dir| {
        std::fs::write(dir.join("file"), "ours").unwrap();
        let bind = |destination: &str| json!({ "destination": destination, "source": dir.join("file"), "options": ["bind"] });
        let folder =
            |destination: &str| json!({ "destination": destination, "source": dir, "options": ["bind"] });
        let inside = "cannot be mounted because it is inside /proc";
        let not_proc = "cannot be mounted because it is not of type proc";
        refusals(
            dir,
            &[
                (&|_| {}, json!([proc(), bind("/proc/version")]), inside),
                (&|_| {}, json!([proc(), tmpfs("/proc/sys")]), inside),
                (&|_| {}, json!([proc(), tmpfs("/proc/self/../sys/kernel")]), inside),
                (
                    &|root| symlink("proc/sys", root.join("link")).unwrap(),
                    json!([proc(), tmpfs("/link")]),
                    inside,
                ),
                (
                    &|root| symlink("/proc", root.join("link")).unwrap(),
                    json!([proc(), bind("/link/version")]),
                    inside,
                ),
                (&|_| {}, json!([tmpfs("/proc")]), not_proc),
                (&|_| {}, json!([folder("/proc")]), not_proc),
                (&|root| symlink("/proc", root.join("link")).unwrap(), json!([folder("/link")]), not_proc),
            ],
        );
        let bundle = Bundle::new(&dir.join("allowed"));
        let host = json!({ "destination": "/proc", "source": "/proc", "options": ["rbind"] });
        bundle.run(config(json!([host, bind("/proc/cpuinfo"), bind("/proc/uptime")]))).unwrap();
        assert_eq!(std::fs::read_to_string("/proc/cpuinfo").unwrap(), "ours");
    });
}

#[test]
fn destinations_out_of_place_are_refused() {
    isolated(destinations_out_of_place_are_refused, ROOT, |dir| {
        std::fs::write(dir.join("file"), "").unwrap();
        let bind = json!({ "destination": "/etc", "source": dir.join("file"), "options": ["bind"] });
        let missing = json!({ "destination": "/m", "source": dir.join("missing"), "options": ["bind"] });
        let long = format!("/{}", "x/".repeat(3000));
        let top = "is on the top of rootfs";
        refusals(
            dir,
            &[
                (&|root| replace_by_link(root, "dev", "../../.."), json!([tmpfs("/dev")]), top),
                (&|_| {}, json!([tmpfs("/")]), top),
                (&|_| {}, json!([tmpfs("/a/../..")]), top),
                (&|_| {}, json!([tmpfs("/etc/passwd")]), "not a directory"),
                (&|_| {}, json!([tmpfs("/etc/passwd/below")]), "not a directory"),
                (&|_| {}, json!([bind]), "error mounting"),
                (&|_| {}, json!([missing]), "missing: no such file or directory"),
                (&|_| {}, json!([tmpfs(&long)]), "file name too long"),
                (&|_| {}, json!([tmpfs(&format!("/{}", "x".repeat(256)))]), "file name too long"),
                (
                    &|root| symlink("loop", root.join("loop")).unwrap(),
                    json!([tmpfs("/loop/x")]),
                    "symbolic links",
                ),
                (
                    &|_| {},
                    json!([{ "destination": "/x", "type": "tmpfs", "source": "t", "options": ["bogus=1"] }]),
                    "set bogus=1 of tmpfs (tmpfs: Unknown parameter 'bogus'): invalid argument",
                ),
                (&|_| {}, json!([{ "destination": "/x", "type": "nofs" }]), "no such device"),
            ],
        );
        // Deep, but no longer than a path may be.
        let bundle = Bundle::new(&dir.join("deep"));
        let deep = format!("/{}end", "d/".repeat(400));
        bundle.run(config(json!([proc(), tmpfs(&deep)]))).unwrap();
        assert!(mounted(&deep).is_some());
    });
}

#[test]
fn a_root_behind_a_link_is_refused() {
    isolated(a_root_behind_a_link_is_refused, ROOT, |dir| {
        let bundle = Bundle::new(&dir.join("real"));
        symlink("real", dir.join("link")).unwrap();
        let linked = Bundle { dir: dir.join("link"), ..bundle };
        assert_eq!(linked.refusal(config(json!([]))), "invalid rootfs: not an absolute path, or a symlink");
        let missing = Bundle { dir: dir.join("missing"), ..linked };
        assert!(missing.refusal(config(json!([]))).ends_with("no such file or directory"));
    });
}

#[test]
fn a_link_above_the_root_ends_at_the_root() {
    isolated(a_link_above_the_root_ends_at_the_root, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let outside = dir.join("outside");
        std::fs::create_dir(&outside).unwrap();
        symlink("../../../../outside", bundle.root().join("up")).unwrap();
        symlink(&outside, bundle.root().join("absolute")).unwrap();
        replace_by_link(&bundle.root(), "dev", "../outside");
        bundle.run(config(json!([proc(), tmpfs("/up/a"), tmpfs("/absolute/b"), tmpfs("/dev/shm")]))).unwrap();
        assert!(mounted("/outside/a").is_some());
        assert!(mounted(outside.join("b").to_str().unwrap()).is_some());
        assert!(mounted("/outside/shm").is_some());
        assert!(Path::new("/outside/null").exists(), "devices follow the link too, inside");
    });
}

#[test]
fn only_a_null_device_masks() {
    isolated(only_a_null_device_masks, ROOT, |dir| {
        type Plant = fn(&Path);
        let plants: [Plant; 4] = [
            |null| std::fs::write(null, "not null").unwrap(),
            |null| rustix::fs::mknodat(CWD, null, FileType::Fifo, Mode::from(0o666), 0).unwrap(),
            |null| {
                let zero = rustix::fs::makedev(1, 5);
                rustix::fs::mknodat(CWD, null, FileType::CharacterDevice, Mode::from(0o666), zero).unwrap();
            },
            |null| symlink("/etc/passwd", null).unwrap(),
        ];
        // Each case pivots, so each needs a process of its own; the check is the same before it.
        for (number, plant) in plants.into_iter().enumerate() {
            let bundle = Bundle::new(&dir.join(number.to_string()));
            plant(&bundle.root().join("dev/null"));
            let mut config = config(json!([proc()]));
            config["linux"]["maskedPaths"] = json!(["/etc/passwd"]);
            let plan = bundle.plan(config).unwrap();
            let rootfs = bundle.prepare(&plan).unwrap();
            let error = compute::Error::from(rootfs.finish().unwrap_err()).to_string();
            assert!(error.contains("container's /dev/null is invalid"), "{error}");
            clear(&bundle);
        }
    });
}

#[test]
fn a_fifo_where_a_device_is_bound_does_not_block() {
    isolated(a_fifo_where_a_device_is_bound_does_not_block, ROOT, |dir| {
        let bundle = Bundle::new(dir);
        let null = bundle.root().join("dev/null");
        rustix::fs::mknodat(CWD, &null, FileType::Fifo, Mode::from(0o666), 0).unwrap();
        symlink("/etc/passwd", bundle.root().join("dev/zero")).unwrap();
        let mut plan = bundle.plan(config(json!([proc()]))).unwrap();
        plan.bind_devices = true;
        let refused = compute::Error::from(bundle.prepare(&plan).err().unwrap()).to_string();
        assert!(refused.starts_with("make a place for the device /dev/zero"), "{refused}");
        clear(&bundle);
        std::fs::remove_file(bundle.root().join("dev/zero")).unwrap();
        let rootfs = bundle.prepare(&plan).unwrap();
        rootfs.enter().unwrap();
        assert_eq!(std::fs::read("/dev/null").unwrap(), b"");
    });
}

/// Exchanges two names as fast as it can until told to stop.
fn exchange(folder: &Path, a: &str, b: &str, stop: &AtomicBool) {
    let folder = std::fs::File::open(folder).unwrap();
    while !stop.load(Ordering::Relaxed) {
        // Busy while something is mounted there.
        let _ = rustix::fs::renameat_with(&folder, a, &folder, b, RenameFlags::EXCHANGE);
    }
}

#[test]
fn exchanged_folders_never_lead_outside() {
    isolated(exchanged_folders_never_lead_outside, ROOT, |dir| {
        let outside = dir.join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        let bundle = Bundle::new(dir);
        let root = bundle.root();
        for name in ["data", "dev"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
            // To the host's folder, by its path there and by a way up.
            let way = if name == "dev" { outside.clone() } else { "../outside".into() };
            symlink(way, root.join(format!("{name}-link"))).unwrap();
        }
        let bind = |destination: &str| json!({ "destination": destination, "source": dir.join("file"), "options": ["bind"] });
        let plan = bundle
            .plan(config(json!([
                tmpfs("/data/a/b"),
                bind("/data/c/file"),
                bind("/dev/d"),
                tmpfs("/dev/shm")
            ])))
            .unwrap();
        let stop = AtomicBool::new(false);
        let (mut made, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| exchange(&root, "data", "data-link", &stop));
            scope.spawn(|| exchange(&root, "dev", "dev-link", &stop));
            for round in 0..300 {
                let classic = round % 4 == 3;
                match (Bundle { classic, dir: dir.to_owned(), cgroup: bundle.cgroup.clone(), ..bundle })
                    .prepare(&plan)
                {
                    Ok(_) => made += 1,
                    Err(_) => refused += 1,
                }
                let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
                let leaked =
                    mounts.lines().find(|line| super::fields(line).0.starts_with(outside.to_str().unwrap()));
                let found = std::fs::read_dir(&outside).unwrap().count();
                stop.fetch_or(leaked.is_some() || found > 0, Ordering::Relaxed);
                assert_eq!((leaked, found), (None, 0), "round {round}");
                clear(&bundle);
                for name in ["data", "dev"] {
                    for name in [name.to_owned(), format!("{name}-link")] {
                        for below in ["a", "c", "d", "shm"] {
                            let _ = std::fs::remove_dir_all(root.join(&name).join(below));
                        }
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        println!("{made} made, {refused} refused");
        assert!(made > 0);
    });
}
