//! The stories, on this host's kernel. Each test has cgroups of its own directly below the mounts and removes them.

use super::layout::{Kind, Layout};
use super::*;
use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A container's cgroup with processes of the test's own.
struct Container {
    cgroup: Cgroup,
    children: Vec<Child>,
}

impl Container {
    /// `None` with the reason printed, where control groups cannot be made.
    fn new(name: &str) -> Option<Self> {
        let placement = usual(name)?;
        Some(Self { cgroup: Cgroup::prepare(placement).unwrap(), children: vec![] })
    }

    /// Runs a shell script that begins with waiting for a line, and puts it in before it goes on.
    fn run(&mut self, script: &str, resources: &LinuxResources) -> usize {
        let child = shell(script);
        self.cgroup.place(pid(&child), resources).unwrap();
        self.children.push(child);
        self.children.len() - 1
    }

    fn sleeper(&mut self) -> i32 {
        let index = self.run("exec sleep 1000", &LinuxResources::default());
        self.go(index);
        pid(&self.children[index])
    }

    fn go(&mut self, index: usize) {
        self.children[index].stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn says(&mut self, index: usize) -> String {
        let mut line = String::new();
        BufReader::new(self.children[index].stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn set(&self, json: &str) -> Result<()> {
        self.cgroup.set(&resources(json))
    }

    fn file(&self, controller: &str, file: &str) -> String {
        let (index, _) = self.cgroup.host(controller).unwrap();
        self.cgroup.dir(index).unwrap().read(file).unwrap().trim().to_owned()
    }

    fn has_v1(&self, controller: &str) -> bool {
        let has = matches!(self.cgroup.host(controller), Some((_, Version::V1)));
        if !has {
            println!("skipped: this host has no version 1 {controller}");
        }
        has
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.cgroup.thaw());
        for child in &mut self.children {
            drop(child.kill());
        }
        if let Err(error) = self.cgroup.kill_all(9).and_then(|()| {
            for child in &mut self.children {
                drop(child.wait());
            }
            self.cgroup.destroy()
        }) {
            eprintln!("{}", compute::Error::from(error));
        }
    }
}

fn shell(script: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("read line; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

fn unique(name: &str) -> PathBuf {
    PathBuf::from(format!("/cofferdam-test-{}-{name}", std::process::id()))
}

fn usual(name: &str) -> Option<Placement> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make control groups");
        return None;
    }
    let path = unique(name);
    let request = Request {
        id: name,
        cgroups_path: Some(&path),
        driver: Driver::Cgroupfs,
        rootless: false,
        annotations: None,
        owner: None,
    };
    Some(plan(&request).unwrap())
}

/// The same as if this host had nothing but cgroup2.
fn pure_v2(name: &str) -> Option<Placement> {
    let mut placement = usual(name)?;
    placement.hierarchies.retain(|hierarchy| hierarchy.version == Version::V2);
    placement.layout = Kind::V2;
    if placement.hierarchies.is_empty() {
        println!("skipped: this host has no cgroup2");
        return None;
    }
    Some(placement)
}

pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.path));
    }
}

/// An empty cgroup2.
pub(crate) fn unified_scratch(name: &str) -> Option<Scratch> {
    let placement = pure_v2(name)?;
    let path = placement.hierarchies[0].path.clone();
    std::fs::create_dir(&path).unwrap();
    Some(Scratch { path })
}

fn readable(fd: impl AsFd) -> bool {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience)).unwrap() > 0
}

#[test]
fn a_container_is_placed_limited_measured_and_removed() {
    let Some(mut container) = Container::new("life") else { return };
    let limits = resources(
        r#"{"devices":[{"allow":false,"access":"rwm"}],
            "memory":{"limit":67108864,"swap":67108864,"reservation":33554432},
            "cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":100}}"#,
    );
    let index = container.run("exec sleep 1000", &limits);
    container.cgroup.set(&limits).unwrap();
    container.go(index);
    let pid = pid(&container.children[index]);
    assert_eq!(container.cgroup.processes().unwrap(), [pid]);
    for path in container.cgroup.placement().paths().values() {
        let members = std::fs::read_to_string(path.join("cgroup.procs")).unwrap();
        assert_eq!(members.trim(), pid.to_string(), "{}", path.display());
    }
    assert_eq!(container.file("pids", "pids.max"), "100");
    if container.has_v1("memory") {
        assert_eq!(container.file("memory", "memory.limit_in_bytes"), "67108864");
        assert_eq!(container.file("memory", "memory.memsw.limit_in_bytes"), "67108864");
        assert_eq!(container.file("cpu", "cpu.shares"), "512");
        assert_eq!(container.file("cpu", "cpu.cfs_quota_us"), "50000");
        let list = container.file("devices", "devices.list");
        assert!(list.contains("c 1:3 rwm") && !list.contains("a *:*"), "{list}");
    }
    let stats = container.cgroup.stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 100));
    assert_eq!(stats.memory.usage.limit, 67_108_864);
    assert!(!stats.memory.raw.is_empty());

    // A record read by another process finds the same cgroups.
    let record = serde_json::to_string(container.cgroup.placement()).unwrap();
    let later = Cgroup::open(serde_json::from_str(&record).unwrap());
    later
        .update(&resources(r#"{"memory":{"limit":134217728,"swap":268435456},"pids":{"limit":-1}}"#))
        .unwrap();
    assert_eq!(container.file("pids", "pids.max"), "max");
    later.kill_all(9).unwrap();
    container.children[index].wait().unwrap();
    later.destroy().unwrap();
    assert!(!later.exists());
    later.destroy().unwrap();
    assert!(later.processes().unwrap().is_empty());
    assert!(!later.frozen().unwrap());
}

#[test]
fn somebody_elses_cgroup_is_refused_and_left_alone() {
    let Some(mut container) = Container::new("taken") else { return };
    let placement = container.cgroup.placement().clone();
    container.sleeper();
    let error = Cgroup::prepare(placement.clone()).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    assert!(container.cgroup.exists());

    container.cgroup.kill_all(9).unwrap();
    container.cgroup.freeze().unwrap();
    assert_eq!(
        Cgroup::prepare(placement.clone()).unwrap_err().to_string(),
        "container's cgroup unexpectedly frozen"
    );
    container.cgroup.thaw().unwrap();
    Cgroup::prepare(placement).unwrap();
}

#[test]
fn what_was_made_before_a_refusal_is_removed() {
    let Some(mut placement) = usual("undone") else { return };
    // The last to be made exists and has a process, the others do not exist.
    placement.hierarchies.reverse();
    let taken = placement.hierarchies.last().unwrap().path.clone();
    std::fs::create_dir(&taken).unwrap();
    let mut child = shell("sleep 1000");
    std::fs::write(taken.join("cgroup.procs"), child.id().to_string()).unwrap();
    let refused = Cgroup::prepare(placement.clone());
    let left = placement.hierarchies.iter().filter(|h| h.path.exists()).count();
    child.kill().unwrap();
    child.wait().unwrap();
    Cgroup::open(placement).destroy().unwrap();
    assert!(matches!(refused, Err(Error::NotEmpty { count: 1 })), "{refused:?}");
    assert_eq!(left, 1);
}

#[test]
fn a_controller_of_cgroup2_beside_version_1_is_used_there() {
    let layout = Layout::detect().unwrap();
    let hugetlb = layout.unified().is_some_and(|mount| mount.controllers.iter().any(|c| c == "hugetlb"));
    if layout.kind() != Kind::Hybrid || !hugetlb {
        println!("skipped: this host is not hybrid with hugetlb in cgroup2");
        return;
    }
    let Some(mut container) = Container::new("hybrid") else { return };
    container.sleeper();
    container.set(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#).unwrap();
    assert_eq!(container.file("hugetlb", "hugetlb.2MB.max"), "4194304");
    assert!(container.cgroup.stats().unwrap().hugetlb.contains_key("2MB"));
    container.cgroup.update(&resources(r#"{"unified":{"hugetlb.2MB.max":"2097152"}}"#)).unwrap();
    assert_eq!(container.file("hugetlb", "hugetlb.2MB.max"), "2097152");
    let error = container.cgroup.update(&resources(r#"{"unified":{"memory.high":"1"}}"#)).unwrap_err();
    assert_eq!(error.to_string(), "invalid configuration: cannot use unified on cgroup v1");
    assert!(container.cgroup.unified().unwrap().is_some());
}

#[test]
fn a_new_cpuset_has_cpus_and_memory_nodes_at_every_level() {
    let Some(mut placement) = usual("cpuset") else { return };
    for hierarchy in &mut placement.hierarchies {
        hierarchy.path.push("inner/most");
    }
    let cgroup = Cgroup::prepare(placement).unwrap();
    let mut container = Container { cgroup, children: vec![] };
    if container.has_v1("cpuset") {
        container.sleeper();
        assert!(!container.file("cpuset", "cpuset.cpus").is_empty());
        assert!(!container.file("cpuset", "cpuset.mems").is_empty());
        container.set(r#"{"cpu":{"cpus":"0","mems":"0"}}"#).unwrap();
        assert_eq!(container.file("cpuset", "cpuset.cpus"), "0");
    }
    let paths: Vec<PathBuf> = container.cgroup.placement().paths().into_values().collect();
    drop(container);
    for path in paths {
        for parent in path.ancestors().skip(1).take(2) {
            std::fs::remove_dir(parent).unwrap();
        }
    }
}

#[test]
fn a_real_time_budget_is_there_before_the_process() {
    let Some(mut container) = Container::new("rt") else { return };
    if !container.has_v1("cpu")
        || !container.cgroup.dir(container.cgroup.host("cpu").unwrap().0).unwrap().has("cpu.rt_runtime_us")
    {
        return;
    }
    assert_eq!(container.file("cpu", "cpu.rt_runtime_us"), "0");
    let limits = resources(r#"{"cpu":{"realtimeRuntime":1000,"realtimePeriod":1000000}}"#);
    container.run("exec sleep 1000", &limits);
    assert_eq!(container.file("cpu", "cpu.rt_runtime_us"), "1000");
    container.cgroup.set(&limits).unwrap();
}

#[test]
fn a_plain_folder_below_the_mounts_is_not_taken_for_a_cgroup() {
    let point = Path::new("/sys/fs/cgroup");
    let folder = point.join(format!("cofferdam-folder-{}", std::process::id()));
    if Layout::detect().unwrap().kind() == Kind::V2 || std::fs::create_dir(&folder).is_err() {
        println!("skipped: {} is no tmpfs that can be written to", point.display());
        return;
    }
    let layout = Layout::detect();
    std::fs::remove_dir(&folder).unwrap();
    assert!(layout.unwrap().mounts.iter().all(|mount| mount.point != folder));
}

#[test]
fn a_frozen_process_is_killed_all_the_same() {
    let Some(mut container) = Container::new("frozen") else { return };
    let pid = container.sleeper();
    container.cgroup.freeze().unwrap();
    assert!(container.cgroup.frozen().unwrap());
    crate::sys::signals::kill(pid, 9).unwrap();
    if container.has_v1("freezer") {
        assert_eq!(container.cgroup.processes().unwrap(), [pid], "version 1 does not let it end");
    }
    container.cgroup.kill_all(9).unwrap();
    assert!(container.cgroup.processes().unwrap().is_empty());
    assert!(!container.cgroup.frozen().unwrap());
}

#[test]
fn a_signal_reaches_all_and_leaves_a_paused_container_paused() {
    let Some(mut container) = Container::new("signal") else { return };
    let index = container.run(
        "trap 'echo got; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
        &LinuxResources::default(),
    );
    container.go(index);
    assert_eq!(container.says(index), "ready");
    container.cgroup.freeze().unwrap();
    container.cgroup.kill_all(15).unwrap();
    assert!(container.cgroup.frozen().unwrap());
    container.cgroup.thaw().unwrap();
    assert_eq!(container.says(index), "got");
}

#[test]
fn processes_that_multiply_are_all_killed() {
    let Some(mut container) = Container::new("multiply") else { return };
    let script = "echo ready; while :; do (sleep 5 & (sleep 5 & sleep 5) & sleep 0.001); done";
    let index = container.run(script, &LinuxResources::default());
    container.go(index);
    assert_eq!(container.says(index), "ready");
    container.set(r#"{"pids":{"limit":200}}"#).unwrap();
    container.cgroup.kill_all(9).unwrap();
    assert!(container.cgroup.processes().unwrap().is_empty());
}

#[test]
fn a_limit_below_what_is_used_is_refused_with_both_numbers() {
    let Some(mut container) = Container::new("below") else { return };
    if !container.has_v1("memory") {
        return;
    }
    let index = container.run(
        "a=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; sleep 1000",
        &LinuxResources::default(),
    );
    container.go(index);
    assert_eq!(container.says(index), "ready");
    let error = container.set(r#"{"memory":{"limit":1048576}}"#).unwrap_err().to_string();
    assert!(error.starts_with("unable to set memory limit to 1048576 (current usage: "), "{error}");
    assert!(error.contains(", peak usage: "), "{error}");
}

#[test]
fn an_out_of_memory_kill_is_reported_and_then_the_end() {
    let Some(mut container) = Container::new("oom") else { return };
    if container.cgroup.host("memory").is_none() {
        println!("skipped: this host has no memory controller");
        return;
    }
    let script = "a=$(head -c 200000000 /dev/zero | tr '\\0' x)";
    let index = container.run(script, &LinuxResources::default());
    container.set(r#"{"memory":{"limit":20971520,"swap":20971520}}"#).unwrap();
    let mut events = container.cgroup.oom_events().unwrap();
    assert_eq!(events.next_event().unwrap(), OomEvent::Nothing);
    container.go(index);
    assert!(readable(&events));
    assert_eq!(events.next_event().unwrap(), OomEvent::Killed);
    container.cgroup.kill_all(9).unwrap();
    container.children[index].wait().unwrap();
    container.cgroup.destroy().unwrap();
    while events.next_event().unwrap() != OomEvent::End {
        assert!(readable(&events));
    }
}

#[test]
fn exec_joins_all_hierarchies_or_a_part_of_one() {
    let Some(mut container) = Container::new("join") else { return };
    container.sleeper();
    let joined = shell("sleep 1000");
    let pid = pid(&joined);
    container.children.push(joined);
    let cgroup = &container.cgroup;
    cgroup.join(pid, &[], None).unwrap();
    assert!(cgroup.processes().unwrap().contains(&pid));

    let error = compute::Error::from(cgroup.join(pid, &[(vec![], "nowhere".into())], None).unwrap_err());
    assert_eq!(error.kind(), compute::Kind::NotFound);
    assert!(error.to_string().starts_with(&format!("error adding pid {pid} to cgroups: open /")), "{error}");
    assert!(cgroup.join(pid, &[(vec!["nothing".into()], "x".into())], None).is_err());
    assert!(cgroup.join(pid, &[(vec![], "../x".into())], None).is_err());

    if container.has_v1("pids") {
        let below = cgroup.placement().paths()["pids"].join("below");
        std::fs::create_dir(&below).unwrap();
        cgroup.join(pid, &[(vec!["pids".into()], "below".into())], None).unwrap();
        assert_eq!(std::fs::read_to_string(below.join("cgroup.procs")).unwrap().trim(), pid.to_string());
    }
    // What was made below goes with the container.
    let cgroup = Cgroup::open(container.cgroup.placement().clone());
    drop(container);
    assert!(!cgroup.exists());
}

#[test]
fn a_thread_enters_by_itself_without_waiting() {
    let Some(mut container) = Container::new("entrance") else { return };
    if !container.has_v1("pids") {
        return;
    }
    let entrance = container.cgroup.entrance(&LinuxResources::default()).unwrap().unwrap();
    assert_eq!(entrance.unified().is_some(), Layout::detect().unwrap().unified().is_some());
    let again = container.cgroup.join_entrance(&[]).unwrap();
    assert_eq!(again.tasks().count(), entrance.tasks().count());
    let name = unique("entrance");
    let thread = std::thread::spawn(move || {
        let begin = Instant::now();
        entrance.enter().unwrap();
        println!("entered {} hierarchies in {:?}", entrance.tasks().count(), begin.elapsed());
        std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    });
    let membership = thread.join().unwrap();
    let inside = membership.lines().filter(|line| line.ends_with(name.to_str().unwrap())).count();
    assert_eq!(inside, again.tasks().count(), "{membership}");
    let error =
        compute::Error::from(container.cgroup.join_entrance(&[(vec![], "nowhere".into())]).unwrap_err());
    assert_eq!(error.kind(), compute::Kind::NotFound);
}

#[test]
fn without_permission_a_container_goes_without_limits_but_not_silently() {
    let Some(mut placement) = usual("rootless") else { return };
    placement.may_go_without = true;
    placement.rootless = true;
    let explicit = Placement { may_go_without: false, ..placement.clone() };
    // Only this thread becomes somebody else.
    let outcome = std::thread::spawn(move || {
        let nobody = rustix::fs::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let cgroup = Cgroup::prepare(placement).unwrap();
        let left = cgroup.placement().hierarchies.len();
        let unlimited = cgroup.set(&LinuxResources::default());
        let limited = cgroup.set(&resources(r#"{"pids":{"limit":5}}"#)).unwrap_err().to_string();
        (left, unlimited.is_ok(), limited, Cgroup::prepare(explicit).unwrap_err())
    });
    let (left, unlimited, limited, explicit) = outcome.join().unwrap();
    assert_eq!(left, 0);
    assert!(unlimited);
    assert!(
        limited.starts_with("cannot set pids limit: container could not join or create cgroup"),
        "{limited}"
    );
    assert_eq!(compute::Classify::kind(&explicit), compute::Kind::PermissionDenied);
}

#[test]
fn cgroup2_alone_does_everything_too() {
    let Some(placement) = pure_v2("v2") else { return };
    let mut container = Container { cgroup: Cgroup::prepare(placement.clone()).unwrap(), children: vec![] };
    let pid = container.sleeper();
    container.cgroup.freeze().unwrap();
    assert!(container.cgroup.frozen().unwrap());
    assert!(matches!(Cgroup::prepare(placement), Err(Error::NotEmpty { count: 1 })));
    container.cgroup.thaw().unwrap();
    assert!(!container.cgroup.frozen().unwrap());
    container.cgroup.freeze().unwrap();
    assert_eq!(container.cgroup.processes().unwrap(), [pid]);
    assert!(container.cgroup.stats().unwrap().cpu.usage.total > 0);
    let error = container.set(r#"{"unified":{"nothing.max":"1"}}"#).unwrap_err().to_string();
    assert_eq!(error, r#"unified resource "nothing.max" can't be set: controller "nothing" not available"#);
    std::fs::create_dir_all(container.cgroup.placement().hierarchies[0].path.join("a/b")).unwrap();
    container.cgroup.kill_all(9).unwrap();
    container.cgroup.destroy().unwrap();
    assert!(!container.cgroup.exists());
}

#[test]
fn a_device_program_decides_and_is_replaced_by_an_update() {
    let Some(placement) = pure_v2("bpf") else { return };
    let mut container = Container { cgroup: Cgroup::prepare(placement).unwrap(), children: vec![] };
    let script = "try() { head -c1 /dev/full >/dev/null 2>&1 && echo yes || echo no; }; try; read line; try; read line; try";
    let index = container.run(script, &LinuxResources::default());
    let all_but_full =
        r#"{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":7,"access":"r"}"#;
    let policy = |json: &str| {
        let mut policy = devices::Policy::default();
        let rules: Vec<oci_spec::runtime::LinuxDeviceCgroup> =
            serde_json::from_str(&format!("[{json}]")).unwrap();
        // The defaults of a container would allow it again.
        rules.iter().enumerate().for_each(|(index, rule)| policy.apply_spec(index, rule).unwrap());
        policy
    };
    let dir = container.cgroup.dir(0).unwrap();
    devices::set_v2(dir, &policy(all_but_full)).unwrap();
    let first = devices::attached(dir);
    assert_eq!(first.len(), 1);
    container.go(index);
    // The lines are read by one reader each time: the script writes the next only when it is told.
    assert_eq!(container.says(index), "no");

    let dir = container.cgroup.dir(0).unwrap();
    devices::set_v2(dir, &policy(r#"{"allow":true,"access":"rwm"}"#)).unwrap();
    let second = devices::attached(dir);
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    container.go(index);
    assert_eq!(container.says(index), "yes");

    // The rules that every container gets allow it, too.
    container.set(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#).unwrap();
    container.go(index);
    assert_eq!(container.says(index), "yes");
}

#[test]
fn a_container_is_made_and_removed_in_a_millisecond_or_two() {
    let Some(placement) = usual("speed") else { return };
    let limits = resources(
        r#"{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":67108864},
            "cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":100}}"#,
    );
    let mut times = [Duration::ZERO; 5];
    let rounds = 20;
    for _ in 0..rounds {
        let mut child = shell("true");
        let mut begin = Instant::now();
        let mut step = |index: usize| {
            times[index] += begin.elapsed();
            begin = Instant::now();
        };
        let mut cgroup = Cgroup::prepare(placement.clone()).unwrap();
        step(0);
        cgroup.place(pid(&child), &limits).unwrap();
        step(1);
        cgroup.set(&limits).unwrap();
        step(2);
        child.stdin.take();
        child.wait().unwrap();
        step(3);
        cgroup.destroy().unwrap();
        step(4);
    }
    let [prepare, place, set, _, destroy] = times.map(|time| time / rounds);
    println!("prepare {prepare:?}, place {place:?}, set {set:?}, destroy {destroy:?}");
}
