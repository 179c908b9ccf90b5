//! A machine within the machine, in which daemons can be started, killed and forgotten.
//!
//! The test program enters it in three steps, each a run of the same program (the variable [`STEP`] says which):
//!
//! | step   | process             | does                                                                    |
//! |--------|---------------------|-------------------------------------------------------------------------|
//! | –      | what cargo started  | makes the cgroups, waits, removes the cgroups                           |
//! | enter  | in new namespaces   | joins the cgroups, then starts over in a cgroup namespace               |
//! | settle | process 1           | mounts, changes root, starts the tests, reaps whatever is orphaned      |
//! | tell   | child of process 1  | runs the tests                                                          |
//!
//! Its root is an overlay over the given tree whose upper side is memory: the tree is never written to and nothing
//! stays behind. When the first process goes, for whatever reason, the kernel ends all others.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};
use rustix::process::{WaitOptions, pivot_root, wait};

const STEP: &str = "COFFERDAM_JAIL_STEP";
const ROOT: &str = "COFFERDAM_JAIL_ROOT";
const CGROUP: &str = "COFFERDAM_JAIL_CGROUP";
const CGROUPS: &str = "/sys/fs/cgroup";
/// Of the jail's cgroup; the process that made it follows.
const CGROUP_PREFIX: &str = "cofferdam-callers-";

/// Where the process stands on its way in.
pub(crate) enum Step {
    /// Outside: [`enter`] leads in.
    Outside,
    /// On the way: [`proceed`] goes on.
    Underway,
    /// Inside: tests may run.
    Inside,
}

pub(crate) fn step() -> Step {
    match std::env::var(STEP).as_deref() {
        Err(_) => Step::Outside,
        Ok("tell") => Step::Inside,
        Ok(_) => Step::Underway,
    }
}

/// Runs this program again inside `tree`, with `files` of the machine at the given absolute paths there, and
/// answers with its exit code.
pub(crate) fn enter(tree: &Path, files: &[(PathBuf, PathBuf)]) -> Result<i32> {
    let root = tempfile::tempdir().context("make the mount point of the jail's root")?;
    let name = format!("{CGROUP_PREFIX}{}", std::process::id());
    let cgroups = Cgroups::create(&name)?;
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--net",
            "--ipc",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(STEP, "enter")
        .env(ROOT, root.path())
        .env(CGROUP, &name)
        .env("COFFERDAM_TREE", tree)
        .env("COFFERDAM_JAIL_FILES", join_pairs(files));
    let status = command.status().context("start unshare")?;
    drop(cgroups);
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// One step further in; returns only with the exit code of the tests.
pub(crate) fn proceed() -> Result<i32> {
    let variable = |name| std::env::var_os(name).with_context(|| format!("{name} is not set"));
    if variable(STEP)? == "enter" {
        for hierarchy in hierarchies()? {
            let procs = hierarchy.join(variable(CGROUP)?).join("cgroup.procs");
            fs::write(&procs, "0").with_context(|| format!("join {}", procs.display()))?;
        }
        let error = Command::new("unshare")
            .arg("--cgroup")
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(STEP, "settle")
            .exec();
        return Err(error).context("start over in a cgroup namespace");
    }
    let files = split_pairs(&variable("COFFERDAM_JAIL_FILES")?)?;
    settle(Path::new(&variable(ROOT)?), Path::new(&variable("COFFERDAM_TREE")?), &files)?;
    let tests = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"COFFERDAM_")))
        .env(STEP, "tell")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .spawn()
        .context("start the tests")?;
    reap_until(tests.id())
}

/// Everything but the kernel is the tree's from here on.
fn settle(root: &Path, tree: &Path, files: &[(PathBuf, PathBuf)]) -> Result<()> {
    let memory = |target: &Path, options: &str| {
        fs::create_dir_all(target)?;
        let options = std::ffi::CString::new(options)?;
        mount("tmpfs", target, "tmpfs", MountFlags::empty(), options.as_c_str())
            .with_context(|| format!("mount a tmpfs on {}", target.display()))
    };
    memory(root, "mode=755")?;
    let [upper, work, new] = ["upper", "work", "root"].map(|name| root.join(name));
    for directory in [&upper, &work, &new] {
        fs::create_dir(directory)?;
    }
    let layers =
        format!("lowerdir={},upperdir={},workdir={}", tree.display(), upper.display(), work.display());
    let layers = std::ffi::CString::new(layers)?;
    mount("overlay", &new, "overlay", MountFlags::empty(), layers.as_c_str())
        .with_context(|| format!("mount an overlay over {}", tree.display()))?;

    let kernel = |kind: &str, target: &str, options: &str| {
        let options = std::ffi::CString::new(options)?;
        mount(kind, new.join(target), kind, MountFlags::empty(), options.as_c_str())
            .with_context(|| format!("mount {kind} on /{target}"))
    };
    kernel("proc", "proc", "")?;
    kernel("sysfs", "sys", "")?;
    mount_cgroups(&new.join("sys/fs/cgroup"))?;
    mount_bind_recursive("/dev", new.join("dev")).context("bind /dev")?;
    kernel("devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    for (target, mode) in [("dev/shm", "1777"), ("tmp", "1777"), ("run", "755"), ("var/tmp", "1777")] {
        memory(&new.join(target), &format!("mode={mode}"))?;
    }
    for (source, target) in files {
        let target = new.join(target.strip_prefix("/").context("a path in the jail is absolute")?);
        fs::create_dir_all(target.parent().context("a file has a directory")?)?;
        fs::write(&target, "")?;
        mount_bind(source, &target).with_context(|| format!("bind {}", source.display()))?;
    }

    std::env::set_current_dir(&new)?;
    pivot_root(".", ".").context("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).context("let go of the machine's root")?;
    std::env::set_current_dir("/")?;
    rustix::system::sethostname(b"jail").context("set the host name")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("start ip")?;
    if !up.success() {
        bail!("ip link set lo up: {up}");
    }
    Ok(())
}

/// Process 1 inherits what daemons and shims leave behind and must collect it: podman takes a zombie for alive.
fn reap_until(child: u32) -> Result<i32> {
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty()).context("wait for a child")? else { continue };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child) {
            return Ok(status
                .exit_status()
                .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
        }
    }
}

/// The same hierarchies as outside, seen from the jail's own cgroup.
fn mount_cgroups(target: &Path) -> Result<()> {
    if is_unified(Path::new("/sys/fs/cgroup"))? {
        mount("cgroup2", target, "cgroup2", MountFlags::empty(), None).context("mount cgroup2")?;
        // No process may stand in a cgroup that hands out controllers.
        let init = target.join("init");
        fs::create_dir(&init)?;
        fs::write(init.join("cgroup.procs"), "0").context("join the jail's own leaf")?;
        return hand_out_controllers(target);
    }
    mount("tmpfs", target, "tmpfs", MountFlags::empty(), c"mode=755")
        .context("mount a tmpfs for the cgroups")?;
    for hierarchy in hierarchies()? {
        let target = target.join(hierarchy.file_name().context("a hierarchy has a name")?);
        fs::create_dir(&target)?;
        let (kind, options) = if is_unified(&hierarchy)? {
            ("cgroup2", String::new())
        } else {
            ("cgroup", v1_options(&hierarchy)?)
        };
        let options = std::ffi::CString::new(options)?;
        mount(kind, &target, kind, MountFlags::empty(), options.as_c_str())
            .with_context(|| format!("mount {} again", hierarchy.display()))?;
    }
    Ok(())
}

fn hand_out_controllers(cgroup: &Path) -> Result<()> {
    for controller in fs::read_to_string(cgroup.join("cgroup.controllers"))?.split_whitespace() {
        let file = cgroup.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}")).with_context(|| format!("hand out {controller}"))?;
    }
    Ok(())
}

/// `cpu,cpuacct` or `name=systemd`: as the hierarchy was mounted outside.
fn v1_options(hierarchy: &Path) -> Result<String> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let line = table
        .lines()
        .find(|line| line.split(' ').nth(4).is_some_and(|target| Path::new(target) == hierarchy))
        .with_context(|| format!("{} is not mounted", hierarchy.display()))?;
    let options = line.rsplit(' ').next().unwrap_or_default();
    Ok(options
        .split(',')
        .filter(|option| !matches!(*option, "rw" | "ro" | "xattr"))
        .collect::<Vec<_>>()
        .join(","))
}

/// Every mounted hierarchy: one on a unified machine, one per controller (set) elsewhere.
fn hierarchies() -> Result<Vec<PathBuf>> {
    if is_unified(Path::new(CGROUPS))? {
        return Ok(vec![CGROUPS.into()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(CGROUPS)? {
        let path = entry?.path();
        // `cpu -> cpu,cpuacct` on other machines: a link would join the same cgroup twice.
        let real = fs::symlink_metadata(&path)?.is_dir();
        if real
            && path.join("cgroup.procs").exists()
            && fs::metadata(&path)?.dev() != fs::metadata(CGROUPS)?.dev()
        {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_unified(path: &Path) -> Result<bool> {
    const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
    let kind = rustix::fs::statfs(path).with_context(|| format!("look at {}", path.display()))?;
    Ok(kind.f_type == CGROUP2_SUPER_MAGIC)
}

/// The jail's cgroup in every hierarchy of the machine; removed with all below it when dropped.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn create(name: &str) -> Result<Self> {
        let mut made = Self(Vec::new());
        for hierarchy in hierarchies()? {
            remove_orphans(&hierarchy);
            let cgroup = hierarchy.join(name);
            fs::create_dir(&cgroup).with_context(|| format!("make {}", cgroup.display()))?;
            made.0.push(cgroup.clone());
            if !is_unified(&cgroup)? && cgroup.join("cpuset.cpus").exists() {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(cgroup.join(file), fs::read(hierarchy.join(file))?)?;
                }
                fs::write(cgroup.join("cgroup.clone_children"), "1")?;
            }
        }
        Ok(made)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            // The kernel ends the processes of a PID namespace in its own time.
            for _ in 0..100 {
                remove_cgroup(cgroup);
                if !cgroup.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}

/// What a first process that was killed has left.
fn remove_orphans(hierarchy: &Path) {
    for cgroup in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
        let name = cgroup.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(CGROUP_PREFIX));
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            remove_cgroup(&cgroup.path());
        }
    }
}

fn remove_cgroup(cgroup: &Path) {
    for child in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&child.path());
        }
    }
    // Busy is normal here: the caller tries again.
    let _ = fs::remove_dir(cgroup);
}

fn join_pairs(pairs: &[(PathBuf, PathBuf)]) -> String {
    pairs
        .iter()
        .map(|(from, to)| format!("{}={}", from.display(), to.display()))
        .collect::<Vec<_>>()
        .join(":")
}

fn split_pairs(text: &OsStr) -> Result<Vec<(PathBuf, PathBuf)>> {
    let text = text.to_str().context("paths given to the jail are UTF-8")?;
    text.split(':')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=').map(|(from, to)| (from.into(), to.into())).context("a pair has a '='")
        })
        .collect()
}
