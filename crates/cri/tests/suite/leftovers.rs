//! What is left of a node: mounts, processes, cgroups, namespaces, addresses, files. Counted before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroups;
use crate::node::{Kind, Node};

/// How long something may take that is on its way.
const SOON: Duration = Duration::from_secs(30);

/// Waits for what nobody announces.
#[track_caller]
pub(crate) fn eventually(what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !there() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What there is of a node beside its daemon and its images, by kind.
pub(crate) fn of(node: &Node) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::from([
        ("mounts", mounts_below(node.folder())),
        ("processes", processes(node).iter().map(|pid| describe(*pid)).collect()),
        ("cgroups", shown(&cgroups_of_pods(node))),
        ("links", links(node)),
        ("addresses", node.leases()),
    ]);
    if node.kind == Kind::Ours {
        for (kind, folder) in [
            ("pods", "state/pods"),
            ("containers", "state/containers"),
            ("fifos", "state/io"),
            ("sockets", "state/s"),
            ("volumes", "root/volumes"),
            ("roots", "root/layers/s"),
            ("attachments", "root/cni"),
        ] {
            all.insert(kind, names_in(&node.path(folder)));
        }
    }
    all.retain(|_, found| !found.is_empty());
    all
}

/// Everything goes, sooner or later.
#[track_caller]
pub(crate) fn nothing_of(node: &Node) {
    let deadline = Instant::now() + SOON;
    loop {
        let left = of(node);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}\nthe daemon's log:\n{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is below the cgroups that stories have named as their pods' parents: those are a kubelet's.
fn cgroups_of_pods(node: &Node) -> Vec<PathBuf> {
    let depth = |path: &PathBuf| {
        path.to_string_lossy().split(&node.cgroup).nth(1).map(|rest| rest.matches('/').count())
    };
    cgroups::below(&node.cgroup).into_iter().filter(|path| depth(path) > Some(1)).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

/// Where something is mounted below a folder, in this mount namespace.
pub(crate) fn mounts_below(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let targets = table.lines().filter_map(|line| line.split(' ').nth(4));
    // The folder itself may be a file system that its story has made.
    targets
        .filter(|target| Path::new(target).starts_with(folder) && !is_disk(target))
        .map(str::to_owned)
        .collect()
}

fn is_disk(target: &str) -> bool {
    ["/root", "/state"].iter().any(|name| target.ends_with(name)) && target.matches('/').count() == 4
}

/// The processes in the cgroups of a node's pods, and its shims, which may have died: zombies are init's.
pub(crate) fn processes(node: &Node) -> Vec<i32> {
    let own = node.folder().display().to_string();
    let alive = fs::read_dir("/proc").unwrap().flatten();
    let pids = alive.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let text = |file: &str| String::from_utf8_lossy(&read(file)).into_owned();
        let stat = text("stat");
        let zombie = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'));
        let is_pods = text("cgroup").lines().any(|line| in_cgroup(line, &node.cgroup));
        let line = text("cmdline");
        !zombie && (is_pods || (line.contains("containerd-shim") && is_of(*pid, &line, &own)))
    })
    .collect()
}

fn in_cgroup(line: &str, cgroup: &str) -> bool {
    line.splitn(3, ':').nth(2).is_some_and(|path| path.starts_with(&format!("{cgroup}/")))
}

/// A shim stands in its bundle, or was told of it.
fn is_of(pid: i32, line: &str, folder: &str) -> bool {
    let stands = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    stands || line.contains(folder)
}

fn describe(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
}

/// What hangs on the node's bridge.
fn links(node: &Node) -> Vec<String> {
    let listed =
        std::process::Command::new("ip").args(["-o", "link", "show", "master", &node.bridge()]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect()
}
