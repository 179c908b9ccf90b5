//! Where the contestants run: a Debian tree as root file system, the same for all, with the state of containers on
//! a tmpfs, and a layout of cgroups that every one of them accepts.
//!
//! crun refuses a hybrid layout whose cgroup2 part holds a controller. So that part is unmounted in the private
//! mount namespace, which leaves plain cgroup v1; on a host with cgroup v2 alone nothing is changed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Plan;
use crate::steps;

/// Where the work folder is seen inside.
pub(crate) const WORK: &str = "/mnt";
/// The plan in the work folder, and the results.
pub(crate) const PLAN: &str = "plan.json";
pub(crate) const RESULTS: &str = "results.json";

const ENTER: &str = r#"
set -e
tree=$1 work=$2
if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" = tmpfs ] && mountpoint --quiet /sys/fs/cgroup/unified; then
    umount /sys/fs/cgroup/unified
fi
mount --bind "$tree" "$tree"
mount --rbind /proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount -t tmpfs tmpfs "$tree/tmp"
mount --bind "$work" "$tree/mnt"
cd "$tree"
exec chroot "$tree" /mnt/xtask bench inside
"#;

/// Runs this program's `bench inside` with `work` as its folder, in which the contestants and the plan lie.
pub(crate) fn run(tree: &Path, work: &Path, plan: &Plan) -> Result<()> {
    let path = work.join(PLAN);
    std::fs::write(&path, serde_json::to_vec(plan).context("write the plan")?)
        .with_context(|| format!("write {}", path.display()))?;
    let this = std::env::current_exe().context("find this program")?;
    std::fs::copy(&this, work.join("xtask")).context("copy this program into the work folder")?;
    steps::run(
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "enter"])
            .arg(tree)
            .arg(work)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root"),
    )
}
