//! The effects, for real: every test runs in namespaces of its own, on a bundle of its own.

mod binds;
mod entering;
mod hostile;
mod isolate;
mod user;
mod usual;

use super::{CgroupView, Error, Mounter, Plan, Request, Rootfs, plan};
use isolate::isolated;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder with a root in it that busybox can run from.
struct Bundle {
    dir: PathBuf,
    cgroup: CgroupView,
    no_pivot: bool,
    rootless: bool,
    classic: bool,
}

impl Bundle {
    fn new(dir: &Path) -> Self {
        let root = dir.join("rootfs");
        for folder in ["bin", "proc", "sys", "etc", "dev", "tmp", "root"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        // Absent busybox is noticed by the tests that run it.
        let _ = std::fs::copy("/bin/busybox", root.join("bin/busybox"));
        Self {
            dir: dir.to_owned(),
            cgroup: CgroupView::V2 { fallback: "/sys/fs/cgroup".into() },
            no_pivot: false,
            rootless: false,
            classic: false,
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    fn plan(&self, config: Value) -> Result<Plan, Error> {
        plan(&Request {
            spec: &serde_json::from_value(config).unwrap(),
            bundle: &self.dir,
            no_pivot: self.no_pivot,
            rootless: self.rootless,
            cgroup: self.cgroup.clone(),
            selinux: false,
        })
    }

    fn prepare<'a>(&self, plan: &'a Plan) -> Result<Rootfs<'a>, Error> {
        plan.check()?;
        let sources = super::open_sources(plan, None)?;
        let mounter = if self.classic { Mounter::classic() } else { Mounter::default() };
        Rootfs::prepare_with(plan, sources, mounter)
    }

    /// All steps; afterwards this process is inside.
    fn run(&self, config: Value) -> Result<(), Error> {
        let plan = self.plan(config)?;
        let rootfs = self.prepare(&plan)?;
        rootfs.enter()?;
        rootfs.finish()
    }

    /// The text of the error that `config` ends in.
    fn refusal(&self, config: Value) -> String {
        compute::Error::from(self.run(config).expect_err("this bundle is to be refused")).to_string()
    }
}

/// The smallest configuration, with these mounts.
fn config(mounts: Value) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs" },
        "mounts": mounts,
        "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }] },
    })
}

fn proc() -> Value {
    json!({ "destination": "/proc", "type": "proc", "source": "proc" })
}

/// Shows this test's own PID namespace, as a host's /proc does the host's.
fn own_proc() {
    rustix::mount::mount("proc", "/proc", "proc", rustix::mount::MountFlags::empty(), None).unwrap();
}

/// A line of mountinfo.
#[derive(Debug)]
struct Mounted {
    root: String,
    options: Vec<String>,
    propagation: String,
    fstype: String,
    source: String,
    super_options: Vec<String>,
}

impl Mounted {
    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }
}

/// The topmost mount at `point`, as this process sees it.
fn mounted(point: &str) -> Option<Mounted> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().rev().map(fields).find(|(at, _)| at == point).map(|(_, mount)| mount)
}

fn fields(line: &str) -> (String, Mounted) {
    let (mount, fs) = line.split_once(" - ").unwrap();
    let mount: Vec<&str> = mount.split(' ').collect();
    let fs: Vec<&str> = fs.split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    let mounted = Mounted {
        root: mount[3].to_owned(),
        options: list(mount[5]),
        propagation: mount[6..].join(" "),
        fstype: fs[0].to_owned(),
        source: fs[1].to_owned(),
        super_options: list(fs[2]),
    };
    (mount[4].to_owned(), mounted)
}

/// Runs a command of the container's busybox.
fn busybox(args: &[&str]) -> String {
    let output = std::process::Command::new("/bin/busybox").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned() + String::from_utf8_lossy(&output.stderr).trim()
}
