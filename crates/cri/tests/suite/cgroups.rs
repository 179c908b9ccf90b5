//! The cgroup that holds those of all pods of a run, in every hierarchy of the machine, of either version.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
/// Names the run's cgroup inside.
pub(crate) const PARENT: &str = "COFFERDAM_CRI_CGROUP";
/// The process that made it follows.
const PREFIX: &str = "cofferdam-cri-";

/// The run's cgroup, as pods name it.
pub(crate) fn parent() -> String {
    let name = std::env::var(PARENT).unwrap_or_else(|_| name(std::process::id()));
    format!("/{name}")
}

pub(crate) fn name(maker: u32) -> String {
    format!("{PREFIX}{maker}")
}

/// Only version 2 is mounted.
pub(crate) fn is_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Whether containers can be limited by a controller.
pub(crate) fn has(controller: &str) -> bool {
    if is_v2() {
        let all = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers")).unwrap_or_default();
        return all.split_whitespace().any(|known| known == controller);
    }
    Path::new(ROOT).join(controller).join("cgroup.procs").exists()
}

/// Every mounted hierarchy.
fn hierarchies() -> Vec<PathBuf> {
    if is_v2() {
        return vec![ROOT.into()];
    }
    let folders = fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(|folder| !folder.is_symlink() && folder.join("cgroup.procs").exists()).collect()
}

/// The file of a process's cgroup: a controller's of version 1, or of version 2.
pub(crate) fn file_of(pid: i64, v1: (&str, &str), v2: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = |controller: &str| {
        let line = text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|known| known == controller).then(|| path.to_owned())
        });
        line.unwrap_or_else(|| panic!("no cgroup of {controller:?} in {text}"))
            .trim_start_matches('/')
            .to_owned()
    };
    if is_v2() {
        Path::new(ROOT).join(path("")).join(v2)
    } else {
        Path::new(ROOT).join(v1.0).join(path(v1.0)).join(v1.1)
    }
}

/// What stands in that file.
pub(crate) fn value_of(pid: i64, v1: (&str, &str), v2: &str) -> String {
    let file = file_of(pid, v1, v2);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().to_owned()
}

/// The cgroups below one, in all hierarchies.
pub(crate) fn below(cgroup: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        collect(&hierarchy.join(cgroup.trim_start_matches('/')), &mut found);
    }
    found
}

fn collect(cgroup: &Path, found: &mut Vec<PathBuf>) {
    for child in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&child.path(), found);
            found.push(child.path());
        }
    }
}

/// Removes a cgroup of the machine's root with all below it; the kernel ends its processes in its own time.
pub(crate) fn remove_tree(name: &str) {
    for _ in 0..100 {
        let mut all = below(name);
        all.extend(hierarchies().into_iter().map(|hierarchy| hierarchy.join(name)));
        all.iter().for_each(|cgroup| drop(fs::remove_dir(cgroup)));
        if hierarchies().iter().all(|hierarchy| !hierarchy.join(name).exists()) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What runs that were killed have left.
pub(crate) fn remove_orphans() {
    for hierarchy in hierarchies() {
        for cgroup in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = cgroup.file_name().to_string_lossy().into_owned();
            let maker = name.strip_prefix(PREFIX);
            if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
                remove_tree(&name);
            }
        }
    }
}
