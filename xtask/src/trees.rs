//! Debian root trees for tests and benchmarks: programs that are newer than the host's, used without
//! installing anything on the host.
//!
//! A tree is made once by mmdebstrap, below the cache folder, and named after what is in it. It is unpacked
//! under another name and renamed when complete, so a folder with the final name is always whole. Programs of
//! a tree are run by `chroot` in a private mount namespace; nothing writes to the tree itself.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// The Debian release that every tree is made of, unless it says otherwise.
pub const SUITE: &str = "trixie";

/// Where Debian's newest versions are, for measuring against them.
pub const NEWEST: &str = "sid";

/// The programs that call an OCI runtime, the runtimes they would otherwise call, and what both call.
const CALLERS: [&str; 14] = [
    "busybox-static",
    "ca-certificates",
    "catatonit",
    "conmon",
    "containerd",
    "crun",
    "docker-cli",
    "docker.io",
    "iproute2",
    "iptables",
    "podman",
    "procps",
    "runc",
    "uidmap",
];

/// Folders that no test reads and that would be half of a tree.
const LEFT_OUT: [&str; 5] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Where everything that outlives a run is kept: `$COFFERDAM_CACHE`, otherwise `~/.cache/cofferdam`.
pub fn cache() -> PathBuf {
    match std::env::var_os("COFFERDAM_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir().unwrap_or_else(|| PathBuf::from("/var/tmp")).join(".cache/cofferdam"),
    }
}

/// The tree with podman, containerd and the Docker engine.
pub fn callers() -> Result<PathBuf> {
    debian("callers", &CALLERS)
}

/// The root of a minimal Debian system that has `packages` (and what they need) installed.
///
/// `name` tells trees apart for people; the packages decide whether a cached tree can be used again. The first
/// call takes 20 to 90 seconds and the network, the others nothing.
pub fn debian(name: &str, packages: &[&str]) -> Result<PathBuf> {
    tree(SUITE, name, packages)
}

/// As [`debian`], of any release. A tree of [`NEWEST`] stays as it was when it was made, until its folder is removed.
pub fn tree(suite: &str, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let tree = cache().join(folder_name(suite, name, packages));
    if tree.is_dir() {
        return Ok(tree);
    }
    fs::create_dir_all(cache()).with_context(|| format!("make the cache folder {}", cache().display()))?;
    let lock = tree.with_extension("lock");
    let lock = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
    lock.lock().context("wait for another process that makes the same tree")?;
    if !tree.is_dir() {
        make(suite, &tree, packages)?;
    }
    Ok(tree)
}

fn make(suite: &str, tree: &Path, packages: &[&str]) -> Result<()> {
    let unfinished = tree.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("remove what an interrupted run left in {}", unfinished.display()))?;
    }
    eprintln!("making a Debian {suite} tree in {} (once, about a minute)", tree.display());
    let log = tree.with_extension("log");
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let status = Command::new("mmdebstrap")
        // Outside a user namespace the owners in the tree are the real ones, as a VM's image needs them.
        .args(["--variant=apt", "--format=directory"])
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""])
        .arg("--aptopt=Acquire::Retries \"3\"")
        // A mirror of the newest that lags behind is still newer than any release.
        .args((suite == NEWEST).then_some("--aptopt=Acquire::Check-Valid-Until \"false\""))
        .args(LEFT_OUT.map(|pattern| format!("--dpkgopt=path-exclude={pattern}")))
        .arg(format!("--include={}", packages.join(",")))
        .arg(suite)
        .arg(&unfinished)
        .stdout(output.try_clone().context("share the log between stdout and stderr")?)
        .stderr(output)
        .status()
        .context("run mmdebstrap (`cargo xtask setup` installs it)")?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(15).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("mmdebstrap: {status}; the end of {}:\n{}", log.display(), tail.join("\n"));
    }
    fs::rename(&unfinished, tree)
        .with_context(|| format!("rename {} to {}", unfinished.display(), tree.display()))?;
    ensure!(tree.join("etc/debian_version").is_file(), "{} holds no Debian system", tree.display());
    Ok(())
}

fn folder_name(suite: &str, name: &str, packages: &[&str]) -> String {
    let mut sorted = packages.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut hasher = DefaultHasher::new();
    (sorted, LEFT_OUT).hash(&mut hasher);
    format!("{suite}-{name}-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_packages_in_another_order_are_the_same_tree() {
        let name = |packages: &[&str]| folder_name(SUITE, "x", packages);
        assert_eq!(name(&["crun", "runc"]), name(&["runc", "crun", "runc"]));
        assert_ne!(name(&["crun"]), name(&["runc"]));
        assert!(folder_name(NEWEST, "callers", &[]).starts_with("sid-callers-"));
    }
}
