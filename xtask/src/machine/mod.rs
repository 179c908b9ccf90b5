//! The machine that users have: Debian with systemd and nothing but cgroup v2, booted by QEMU.
//!
//! It is made of one Debian tree and needs no privileges beyond those that made the tree: its disk is a file
//! system written from that folder, its kernel the distribution's, its initial RAM disk a few files of ours that
//! turn the plain system into a test machine while it boots. It runs by emulation, and with KVM where `COFFERDAM_KVM=1` says that there is one that works.
//!
//! ```text
//!  host                                          guest
//!  cache/…/vmlinux, root.ext4 (made once)        PID 1 of the initial RAM disk: /init (guest/init.sh)
//!  payload.ext4 (made per run, read-only)   ──▶    mounts the disks, adds guest/*, becomes systemd
//!  stdout                                   ◀──  hvc0: what the payload's script prints
//!  exit code                                ◀──  vport: the number it ends with
//!  console.log                              ◀──  ttyS0: kernel and systemd
//! ```
//!
//! A run never changes the disk: what is written goes to a temporary file of QEMU's.

mod disk;
mod initrd;
mod kernel;
mod qemu;

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::trees;
use qemu::Stdio;

/// What is in the machine beside Debian's essential packages.
const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "uidmap",
    "iproute2",
    "procps",
    "podman",
    "catatonit",
    "crun",
    "runc",
    "criu",
    "busybox-static",
];

/// More than any script of the project's tests takes, by emulation on a busy host.
pub const PATIENCE: Duration = Duration::from_secs(2400);

/// How a script in the machine ended.
#[derive(Debug)]
pub struct Outcome {
    /// The script's exit code.
    pub code: i32,
    /// What it printed.
    pub output: String,
    /// From the start of QEMU to its end.
    pub took: Duration,
}

/// Boots a machine, runs `script` in it as root, and powers it off.
///
/// The files of `payload` lie in `/payload` under the given names, executable, read-only; the script starts there,
/// in a system that has reached multi-user.target, with an unprivileged user `user` whose own systemd runs.
/// What it prints is copied to stdout as it comes.
pub fn run(payload: &[(&Path, &str)], script: &str, timeout: Duration) -> Result<Outcome> {
    let begun = Instant::now();
    let machine = Machine::prepare(payload, script)?;
    let output = machine.boot(Stdio::Collect, timeout)?;
    Ok(Outcome { code: machine.code()?, output, took: begun.elapsed() })
}

/// The same for a person: the script's terminal is this one.
pub fn attend(payload: &[(&Path, &str)], script: &str) -> Result<i32> {
    ensure!(std::io::stdin().is_terminal(), "a shell in the machine needs a terminal here");
    let size = Command::new("stty")
        .arg("size")
        .stdin(std::process::Stdio::inherit())
        .output()
        .context("run stty")?;
    let size = String::from_utf8_lossy(&size.stdout);
    let (rows, columns) = size.trim().split_once(' ').unwrap_or(("24", "80"));
    let script = format!("stty sane rows {rows} cols {columns}\n{script}");
    let machine = Machine::prepare(payload, &script)?;
    machine.boot(Stdio::Inherit, Duration::MAX)?;
    machine.code()
}

/// The files of one run, gone with it.
struct Machine {
    made: Made,
    folder: tempfile::TempDir,
}

/// What is made once per tree and kept in the cache.
struct Made {
    kernel: PathBuf,
    root: PathBuf,
    modules: PathBuf,
    busybox: PathBuf,
}

impl Machine {
    fn prepare(payload: &[(&Path, &str)], script: &str) -> Result<Self> {
        let made = make()?;
        let folder = tempfile::Builder::new().prefix("cofferdam-machine-").tempdir_in("/var/tmp")?;
        let disk = folder.path().join("payload");
        fs::create_dir(&disk)?;
        for (source, name) in payload {
            let target = disk.join(name);
            fs::create_dir_all(target.parent().context("a name in the payload is a relative path")?)?;
            fs::copy(source, &target).with_context(|| format!("copy {}", source.display()))?;
        }
        fs::write(disk.join("script"), script)?;
        disk::write(&disk, &folder.path().join("payload.ext4"), 16 << 20)?;
        fs::remove_dir_all(&disk)?;
        let initrd = initrd::build(&made.busybox, &made.modules)?;
        fs::write(folder.path().join("initrd"), initrd)?;
        Ok(Self { made, folder })
    }

    fn boot(&self, stdio: Stdio, timeout: Duration) -> Result<String> {
        let files = qemu::Files {
            kernel: &self.made.kernel,
            initrd: &self.folder.path().join("initrd"),
            root: &self.made.root,
            payload: &self.folder.path().join("payload.ext4"),
            console: &self.folder.path().join("console.log"),
            code: &self.folder.path().join("code"),
        };
        let booted = qemu::boot(&files, stdio, timeout);
        booted.map_err(|error| {
            error.context(format!("the machine's console ended with:\n{}\n", self.end_of_console()))
        })
    }

    fn end_of_console(&self) -> String {
        let console = fs::read(self.folder.path().join("console.log")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let last: Vec<&str> = console.lines().rev().take(30).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        last.join("\n")
    }

    fn code(&self) -> Result<i32> {
        let code = fs::read_to_string(self.folder.path().join("code")).context("read the exit code")?;
        code.trim().parse().with_context(|| {
            let console = self.end_of_console();
            format!("the machine went down before the script's end ({code:?}); its console ended with:\n{console}\n")
        })
    }
}

fn make() -> Result<Made> {
    let tree = trees::debian("machine", PACKAGES)?;
    let kept = tree.with_extension("machine");
    let versions = tree.join("usr/lib/modules");
    let version =
        fs::read_dir(&versions)?.next().with_context(|| format!("no kernel in {}", versions.display()))??;
    let made = Made {
        kernel: kept.join("vmlinux"),
        root: kept.join("root.ext4"),
        modules: version.path(),
        busybox: tree.join("usr/bin/busybox"),
    };
    if kept.is_dir() {
        return Ok(made);
    }
    let lock = kept.with_extension("machine-lock");
    fs::File::create(&lock)?.lock().with_context(|| format!("lock {}", lock.display()))?;
    if !kept.is_dir() {
        let unfinished = tempfile::tempdir_in(trees::cache())?;
        let image = tree.join("boot").join(format!("vmlinuz-{}", version.file_name().to_string_lossy()));
        let kernel = kernel::unpack(&fs::read(&image).with_context(|| format!("read {}", image.display()))?)?;
        fs::File::create(unfinished.path().join("vmlinux"))?.write_all(&kernel)?;
        // Containers' layers and the tests' own files go into what is free.
        disk::write(&tree, &unfinished.path().join("root.ext4"), 2 << 30)?;
        fs::rename(unfinished.keep(), &kept).context("put the machine's files in place")?;
    }
    Ok(made)
}
