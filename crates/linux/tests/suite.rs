//! The Linux backend passes the suite of all backends, with real containers.
//!
//! Without a harness: init is this same program, executed again under init's name.

use compute::ContainerId;
use compute::suite::{Fixture, Program};
use linux::{Config, Linux, Options};
use oci_spec::runtime::{Process, Spec};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs};

const BUSYBOX: &str = "/bin/busybox";

fn main() {
    if linux::init::is_init() {
        linux::init::main()
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root || !Path::new(BUSYBOX).exists() {
        println!("skipped: needs root and {BUSYBOX} (package busybox-static)");
        println!("test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        return;
    }
    let dir = env::temp_dir().join(format!("linux-suite-{}", std::process::id()));
    let fixture = Host::new(dir.clone());
    let cases = compute::suite::cases::<Host>();
    println!("running {} tests", cases.len());
    for (name, case) in &cases {
        println!("test {name}");
        case(&fixture);
    }
    fs::remove_dir_all(dir).expect("the suite's folder goes");
    println!("test result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", cases.len());
}

/// Bundles below a folder of the test's own.
struct Host {
    dir: PathBuf,
}

impl Host {
    fn new(dir: PathBuf) -> Self {
        let bin = dir.join("bundle/rootfs/bin");
        fs::create_dir_all(&bin).expect("make a bundle");
        fs::copy(BUSYBOX, bin.join("busybox")).expect("copy busybox");
        symlink("busybox", bin.join("sh")).expect("link sh");
        Self { dir }
    }
}

impl Fixture for Host {
    type Backend = Linux;

    fn backend(&self) -> Linux {
        Linux::new(Config::default())
    }

    fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    fn bundle(&self, id: &ContainerId, program: Program) -> (PathBuf, Spec) {
        let kinds = ["pid", "mount", "ipc", "uts", "network", "cgroup"];
        let spec = json!({
            "ociVersion": "1.3.0",
            "root": {"path": "rootfs"},
            "process": self.process(program),
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            ],
            "linux": {
                "cgroupsPath": format!("/{id}"),
                "namespaces": kinds.map(|kind| json!({"type": kind})),
            },
        });
        (self.dir.join("bundle"), serde_json::from_value(spec).expect("a spec"))
    }

    fn process(&self, program: Program) -> Process {
        let script = match program {
            Program::Sleeps => "exec /bin/busybox sleep 1000".to_owned(),
            Program::Exits(code) => format!("exit {code}"),
            Program::Missing => String::new(),
        };
        let args = match program {
            Program::Missing => json!(["/bin/missing"]),
            _ => json!(["/bin/sh", "-c", script]),
        };
        serde_json::from_value(
            json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": args, "env": ["PATH=/bin"]}),
        )
        .expect("a process")
    }

    fn options(&self) -> Options {
        Options::default()
    }
}
