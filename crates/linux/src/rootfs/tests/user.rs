//! Containers in user namespaces: what is locked stays locked, and what init cannot reach is opened for it.

use super::isolate::{ROOT, ROOTLESS, USER, nested};
use super::{Bundle, config, isolated, mounted, own_proc, proc};
use crate::rootfs::{CgroupView, open_sources};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

fn user_config(mounts: Value) -> Value {
    let mut config = config(mounts);
    config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "user" }]);
    config
}

fn with_dev() -> Vec<Value> {
    vec![
        proc(),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"] }),
    ]
}

fn check_devices() {
    for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"] {
        assert!(std::fs::metadata(path).unwrap().file_type().is_char_device(), "{path}");
        assert!(mounted(path).is_some(), "{path} is bound");
    }
    std::fs::write("/dev/null", "x").unwrap();
}

#[test]
fn devices_and_cgroups_are_bound_in_a_user_namespace() {
    isolated(devices_and_cgroups_are_bound_in_a_user_namespace, USER, |dir| {
        let mut bundle = Bundle::new(dir);
        let tree = Path::new("/sys/fs/cgroup/unified");
        let tree = if tree.is_dir() { tree } else { Path::new("/sys/fs/cgroup") };
        bundle.cgroup = CgroupView::V2 { fallback: tree.into() };
        let mut mounts = with_dev();
        mounts.push(
            json!({ "destination": "/sys", "source": "/sys", "options": ["rbind", "ro", "nosuid", "nodev"] }),
        );
        mounts.push(
            json!({ "destination": "/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] }),
        );
        let mut config = user_config(json!(mounts));
        config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/sys/firmware", "/proc/scsi"]);
        config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        config["root"]["readonly"] = json!(true);
        bundle.run(config).unwrap();
        check_devices();
        assert!(mounted("/cgroup").unwrap().has("ro"));
        assert!(mounted("/").unwrap().has("ro") && mounted("/proc/sys").unwrap().has("ro"));
    });
}

#[test]
fn cgroup_hierarchies_are_bound_in_a_user_namespace() {
    isolated(cgroup_hierarchies_are_bound_in_a_user_namespace, USER, |dir| {
        let mut bundle = Bundle::new(dir);
        let hierarchies = super::usual::hierarchies();
        bundle.cgroup = CgroupView::V1(hierarchies.clone());
        let mut mounts = with_dev();
        mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["ro", "nosuid", "relatime"] }));
        bundle.run(user_config(json!(mounts))).unwrap();
        for hierarchy in hierarchies {
            let shown = mounted(&format!("/sys/fs/cgroup/{}", hierarchy.name)).unwrap();
            assert!(shown.has("ro") && shown.has("nosuid"), "{shown:?}");
        }
    });
}

#[test]
fn locked_attributes_stay() {
    isolated(locked_attributes_stay, ROOT, |_| {
        let inside = |dir: &Path| {
            let bind = |options: &[&str]| json!({ "destination": "/data", "source": dir.join("data"), "options": options });
            let bundle = Bundle::new(dir);
            for (options, expected) in [
                (&["bind", "exec"][..], "cannot clear locked flags MS_NOEXEC: operation not permitted"),
                (&["bind", "dev", "suid"], "cannot clear locked flags MS_NOSUID|MS_NODEV"),
                (&["bind", "strictatime"], "cannot change locked atime flags MS_NOATIME"),
            ] {
                let error = bundle.refusal(user_config(json!([bind(options)])));
                assert!(error.contains(expected), "{options:?}: {error}");
                rustix::mount::unmount(bundle.root(), rustix::mount::UnmountFlags::DETACH).unwrap();
            }
            let mut mounts = with_dev();
            mounts.push(bind(&["bind", "ro"]));
            bundle.run(user_config(json!(mounts))).unwrap();
            let data = mounted("/data").unwrap();
            for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
                assert!(data.has(option), "{option}: {data:?}");
            }
        };
        nested(locked_attributes_stay, USER, inside, |dir, start| {
            std::fs::create_dir(dir.join("data")).unwrap();
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
            rustix::mount::mount("data", dir.join("data"), "tmpfs", flags, None).unwrap();
            start();
        });
    });
}

#[test]
fn sources_are_opened_in_the_containers_mount_namespace() {
    isolated(sources_are_opened_in_the_containers_mount_namespace, ROOT, |dir| {
        own_proc();
        let bundle = Bundle::new(dir);
        std::fs::create_dir_all(dir.join("closed/data")).unwrap();
        std::fs::write(dir.join("closed/data/file"), "reached").unwrap();
        std::fs::set_permissions(dir.join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        // Another process, whose namespaces are ready when it says so.
        let mut child = Command::new("unshare")
            .args(["--user", "--mount", "sh", "-c", "echo ready; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let namespace = std::fs::File::open(format!("/proc/{}/ns/mnt", child.id())).unwrap();

        let source = dir.join("closed/data");
        let mut config = user_config(json!([
            { "destination": "/plain", "source": source, "options": ["rbind"] },
            { "destination": "/mapped", "source": source, "options": ["rbind", "idmap"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" },
        ]));
        config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }]);
        config["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }]);
        let plan = bundle.plan(config).unwrap();
        assert_eq!(plan.sources(), 2);
        let before = std::fs::read_link("/proc/self/ns/mnt").unwrap();
        let sources = open_sources(&plan, Some(namespace.as_fd())).unwrap();
        assert_eq!(std::fs::read_link("/proc/thread-self/ns/mnt").unwrap(), before);
        let owners: Vec<u32> = sources
            .iter()
            .map(|source| {
                let file = rustix::fs::openat(source, "file", OFlags::RDONLY, Mode::empty()).unwrap();
                std::fs::File::from(file).metadata().unwrap().uid()
            })
            .collect();
        assert_eq!(owners, [0, 100_000]);
        drop(child.stdin.take());
        child.wait().unwrap();

        let missing =
            user_config(json!([{ "destination": "/m", "source": "/no/such", "options": ["bind"] }]));
        let error = open_sources(&bundle.plan(missing).unwrap(), None).unwrap_err();
        assert_eq!(
            compute::Error::from(error).to_string(),
            r#"error mounting "/no/such" to rootfs at "/m": open /no/such: no such file or directory"#
        );
    });
}

#[test]
fn a_user_without_privileges_gets_a_container() {
    isolated(a_user_without_privileges_gets_a_container, ROOTLESS, |dir| {
        let bundle = Bundle {
            rootless: true,
            cgroup: CgroupView::V2 { fallback: "/no/such".into() },
            ..Bundle::new(dir)
        };
        std::fs::write(dir.join("file"), "mine").unwrap();
        let mut mounts = with_dev();
        mounts.push(json!({ "destination": "/sys", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] }));
        mounts.push(
            json!({ "destination": "/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] }),
        );
        mounts.push(
            json!({ "destination": "/etc/file", "source": dir.join("file"), "options": ["bind", "ro"] }),
        );
        let config = user_config(json!(mounts));
        let plan = bundle.plan(config.clone()).unwrap();
        assert_eq!(plan.sources(), 0);
        bundle.run(config).unwrap();
        check_devices();
        assert_eq!(std::fs::read_to_string("/etc/file").unwrap(), "mine");
        let covered = mounted("/cgroup").unwrap();
        assert!(covered.fstype == "tmpfs" && covered.has("ro"), "{covered:?}");
    });
}
