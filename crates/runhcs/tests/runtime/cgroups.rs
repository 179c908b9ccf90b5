//! Where cgroups are on this host: pure version 2, version 1, or both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The controller under which the version 2 hierarchy is listed.
pub(crate) const UNIFIED: &str = "";

/// Each hierarchy's mount point with its controllers.
pub(crate) fn mount_points() -> &'static [(PathBuf, Vec<String>)] {
    static FOUND: OnceLock<Vec<(PathBuf, Vec<String>)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        table.lines().filter_map(hierarchy).collect()
    })
}

fn hierarchy(line: &str) -> Option<(PathBuf, Vec<String>)> {
    let (left, right) = line.split_once(" - ")?;
    let point = PathBuf::from(left.split(' ').nth(4)?);
    let mut right = right.split(' ');
    match right.next()? {
        "cgroup2" => Some((point, vec![UNIFIED.to_owned()])),
        "cgroup" => {
            let words = right.nth(1)?.split(',').filter(|word| !["rw", "ro"].contains(word));
            Some((point, words.map(str::to_owned).collect()))
        }
        _ => None,
    }
}

/// Whether version 2 is all there is.
pub(crate) fn is_v2() -> bool {
    mount_points().iter().all(|(_, controllers)| controllers.iter().any(|name| name == UNIFIED))
}

/// Whether a controller can be used, by version 1 if there is any.
pub(crate) fn has(controller: &str) -> bool {
    if is_v2() {
        let listed = mount_points().first().map(|(at, _)| at.join("cgroup.controllers"));
        let listed = listed.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        // The device and freezer controllers of version 2 are always there.
        return ["devices", "freezer", "cpuacct"].contains(&controller)
            || listed
                .split_whitespace()
                .any(|name| name == controller || (controller == "blkio" && name == "io"));
    }
    mount_points().iter().any(|(_, controllers)| controllers.iter().any(|name| name == controller))
}

/// The folders of a cgroup in all hierarchies, whether they exist or not.
pub(crate) fn folders(path: &str) -> Vec<PathBuf> {
    mount_points().iter().map(|(at, _)| at.join(path.trim_start_matches('/'))).collect()
}

/// The folder of a process's cgroup in the hierarchy that has the controller.
pub(crate) fn of(pid: i32, controller: &str) -> PathBuf {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let paths: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .flat_map(|(controllers, path)| controllers.split(',').map(move |name| (name, path)))
        .collect();
    let wanted = if is_v2() { UNIFIED } else { controller };
    let path =
        paths.get(wanted).unwrap_or_else(|| panic!("process {pid} has no cgroup of {controller}: {table}"));
    let (at, _) = mount_points()
        .iter()
        .find(|(_, controllers)| controllers.iter().any(|name| name == wanted))
        .unwrap_or_else(|| panic!("{controller} is not mounted"));
    at.join(path.trim_start_matches('/'))
}

/// Reads a setting of a process's cgroup, by its name in version 1 or 2.
pub(crate) fn read(pid: i32, controller: &str, v1: &str, v2: &str) -> String {
    let file = of(pid, controller).join(if is_v2() { v2 } else { v1 });
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().to_owned()
}

/// The cgroups below a cgroup, in all hierarchies.
pub(crate) fn below(path: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders(path) {
        collect_below(&folder, &mut found);
    }
    found
}

fn collect_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_below(&entry.path(), found);
            found.push(entry.path());
        }
    }
}

/// Removes a cgroup and all below it; what has processes stays.
pub(crate) fn remove(path: &str) {
    for folder in below(path).into_iter().chain(folders(path)) {
        let _ = fs::remove_dir(folder);
    }
}
