//! Everything that a runtime may leave behind, by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup;

/// Where runtimes keep what belongs to a pod.
const FOLDERS: [&str; 5] = ["/run/cofferdam", "/run/netns", "/run/cni", "/var/lib/cni", "/mnt/cofferdam"];

/// What is there at one moment.
pub(crate) struct Census(BTreeSet<String>);

impl Census {
    pub(crate) fn take() -> Self {
        let mut all = BTreeSet::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let folder = process.path();
            // Not a process, or one that has just ended.
            let Ok(name) = fs::read_to_string(folder.join("comm")) else { continue };
            if process.file_name().to_string_lossy().parse::<u32>().is_ok() {
                all.insert(format!("process {} {}", name.trim(), process.file_name().display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        all.extend(points.map(|point| format!("mount {point}")));
        for interface in names(Path::new("/sys/class/net")) {
            all.insert(format!("interface {}", interface.display()));
        }
        for hierarchy in cgroup::hierarchies() {
            walk(&hierarchy.join("cofferdam-bench"), usize::MAX, true, &mut |path| {
                all.insert(format!("cgroup {}", path.display()));
            });
        }
        for folder in FOLDERS {
            // Deep enough for a pod's and a snapshot's own folder, and no further: what is inside a layer is nobody's leak.
            walk(Path::new(folder), 4, false, &mut |path| {
                all.insert(format!("file {}", path.display()));
            });
        }
        Self(all)
    }

    /// What is here and was not there before. Spare folders that are made ahead come and go.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).filter(|thing| !thing.contains("/spare")).cloned().collect()
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn walk(folder: &Path, depth: usize, folders_only: bool, each: &mut impl FnMut(&Path)) {
    for path in names(folder) {
        let is_folder = path.symlink_metadata().is_ok_and(|file| file.is_dir());
        if is_folder || !folders_only {
            each(&path);
        }
        if is_folder && depth > 0 {
            walk(&path, depth - 1, folders_only, each);
        }
    }
}
