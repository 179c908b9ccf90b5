//! Where the contestants run: a Debian tree as root file system, the same for all, with the state of containers on
//! a tmpfs, and a layout of cgroups that every one of them accepts: crun refuses a hybrid layout whose cgroup2 part
//! holds a controller.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Plan;
use crate::inside::{self, Cgroups};
use crate::steps;

/// The plan in the work folder, and the results.
pub(crate) const PLAN: &str = "plan.json";
pub(crate) const RESULTS: &str = "results.json";

/// Runs this program's `bench inside` with `work` as its folder, in which the contestants and the plan lie.
pub(crate) fn run(tree: &Path, work: &Path, plan: &Plan) -> Result<()> {
    let path = work.join(PLAN);
    std::fs::write(&path, serde_json::to_vec(plan).context("write the plan")?)
        .with_context(|| format!("write {}", path.display()))?;
    let this = std::env::current_exe().context("find this program")?;
    std::fs::copy(&this, work.join("xtask")).context("copy this program into the work folder")?;
    steps::run(inside::command(tree, work, Cgroups::Plain, "/mnt/xtask").args(["bench", "inside"]))
}
