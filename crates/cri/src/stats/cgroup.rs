//! One look at a cgroup, of either version.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// What a cgroup uses. What the kernel does not tell is 0, or nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) cpu_nanoseconds: u64,
    pub(crate) cpu_user_nanoseconds: u64,
    pub(crate) cpu_system_nanoseconds: u64,
    pub(crate) periods: u64,
    pub(crate) throttled_periods: u64,
    pub(crate) throttled_nanoseconds: u64,
    pub(crate) memory: u64,
    pub(crate) memory_peak: u64,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) memory_failures: u64,
    pub(crate) oom_kills: u64,
    pub(crate) rss: u64,
    pub(crate) cache: u64,
    pub(crate) mapped: u64,
    pub(crate) kernel: u64,
    pub(crate) active_file: u64,
    pub(crate) inactive_file: u64,
    pub(crate) page_faults: u64,
    pub(crate) major_page_faults: u64,
    pub(crate) swap: u64,
    pub(crate) swap_limit: Option<u64>,
    pub(crate) processes: u64,
    pub(crate) processes_limit: Option<u64>,
    pub(crate) cpu_pressure: Option<Pressure>,
    pub(crate) memory_pressure: Option<Pressure>,
    pub(crate) io_pressure: Option<Pressure>,
    pub(crate) reads: Io,
    pub(crate) writes: Io,
}

/// What went to or came from block devices.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Io {
    pub(crate) operations: u64,
    pub(crate) bytes: u64,
}

/// How long tasks waited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pressure {
    pub(crate) some: PressureLine,
    pub(crate) full: PressureLine,
}

/// A share of time over 10, 60 and 300 seconds, in percent, and the sum, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PressureLine {
    pub(crate) averages: [f64; 3],
    pub(crate) total: u64,
}

impl Reading {
    /// Memory that cannot be given back without harm: the kubelet evicts by it.
    pub(crate) fn working_set(&self) -> u64 {
        self.memory.saturating_sub(self.inactive_file)
    }
}

/// The cgroup of a container, by one of its processes.
pub(crate) fn of_container(id: &str, pid: i32) -> Option<Reading> {
    look(&Places::of_container(id, pid)?)
}

/// The cgroup above a container's: its pod's.
pub(crate) fn above_container(id: &str, pid: i32) -> Option<Reading> {
    let mut places = Places::of_container(id, pid)?;
    places.go_up();
    look(&places)
}

/// A cgroup by its path below the root.
pub(crate) fn at(path: &str) -> Option<Reading> {
    let places = Places::at(path);
    places.exists().then(|| look(&places)).flatten()
}

/// The processes in a container's cgroup.
pub(crate) fn processes(id: &str, pid: i32) -> Option<Vec<i32>> {
    let folder = match Places::of_container(id, pid)? {
        Places::Unified(folder) => folder,
        Places::PerController { cpuacct, .. } => cpuacct,
    };
    let text = fs::read_to_string(folder.join("cgroup.procs")).ok()?;
    Some(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// The folders of one cgroup.
enum Places {
    Unified(PathBuf),
    PerController { cpu: PathBuf, cpuacct: PathBuf, memory: PathBuf, pids: PathBuf, blkio: PathBuf },
}

impl Places {
    fn of_container(id: &str, pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        if is_unified() {
            let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
            return Some(Places::Unified(below(own(id, path))));
        }
        let of = |controller: &str| {
            let line = text.lines().find(|line| {
                line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == controller))
            })?;
            let path = line.splitn(3, ':').nth(2)?;
            Some(Path::new(ROOT).join(controller).join(own(id, path).trim_start_matches('/')))
        };
        Some(Places::PerController {
            cpu: of("cpu").unwrap_or_default(),
            cpuacct: of("cpuacct")?,
            memory: of("memory").unwrap_or_default(),
            pids: of("pids").unwrap_or_default(),
            blkio: of("blkio").unwrap_or_default(),
        })
    }

    fn at(path: &str) -> Self {
        if is_unified() {
            return Places::Unified(below(path));
        }
        let of = |controller: &str| Path::new(ROOT).join(controller).join(path.trim_start_matches('/'));
        Places::PerController {
            cpu: of("cpu"),
            cpuacct: of("cpuacct"),
            memory: of("memory"),
            pids: of("pids"),
            blkio: of("blkio"),
        }
    }

    fn exists(&self) -> bool {
        match self {
            Places::Unified(folder) => folder.is_dir(),
            Places::PerController { memory, .. } => memory.is_dir(),
        }
    }

    fn go_up(&mut self) {
        match self {
            Places::Unified(folder) => {
                folder.pop();
            }
            Places::PerController { cpu, cpuacct, memory, pids, blkio } => {
                for folder in [cpu, cpuacct, memory, pids, blkio] {
                    folder.pop();
                }
            }
        }
    }
}

/// Up to the cgroup that was made for the container: one that runs systemd, say, has moved its processes further down.
fn own<'a>(id: &str, path: &'a str) -> &'a str {
    let Some(at) = path.find(id) else { return path };
    let end = path[at..].find('/').map_or(path.len(), |length| at + length);
    &path[..end]
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn below(path: &str) -> PathBuf {
    Path::new(ROOT).join(path.trim_start_matches('/'))
}

fn look(places: &Places) -> Option<Reading> {
    match places {
        Places::Unified(folder) => folder.is_dir().then(|| unified(folder)),
        Places::PerController { cpu, cpuacct, memory, pids, blkio } => {
            Some(per_controller(cpu, cpuacct, memory, pids, blkio))
        }
    }
}

fn unified(folder: &Path) -> Reading {
    let file = |name: &str| folder.join(name);
    let cpu = Table::read(&file("cpu.stat"));
    let memory = Table::read(&file("memory.stat"));
    let events = Table::read(&file("memory.events"));
    let (reads, writes) = io_stat(&fs::read_to_string(file("io.stat")).unwrap_or_default());
    Reading {
        cpu_nanoseconds: cpu.get("usage_usec") * 1000,
        cpu_user_nanoseconds: cpu.get("user_usec") * 1000,
        cpu_system_nanoseconds: cpu.get("system_usec") * 1000,
        periods: cpu.get("nr_periods"),
        throttled_periods: cpu.get("nr_throttled"),
        throttled_nanoseconds: cpu.get("throttled_usec") * 1000,
        memory: number(&file("memory.current")),
        memory_peak: number(&file("memory.peak")),
        memory_limit: limit(&file("memory.max")),
        memory_failures: events.get("max"),
        oom_kills: events.get("oom_kill"),
        rss: memory.get("anon"),
        cache: memory.get("file"),
        mapped: memory.get("file_mapped"),
        kernel: memory.get("kernel"),
        active_file: memory.get("active_file"),
        inactive_file: memory.get("inactive_file"),
        page_faults: memory.get("pgfault"),
        major_page_faults: memory.get("pgmajfault"),
        swap: number(&file("memory.swap.current")),
        swap_limit: limit(&file("memory.swap.max")),
        processes: number(&file("pids.current")),
        processes_limit: limit(&file("pids.max")),
        cpu_pressure: pressure(&file("cpu.pressure")),
        memory_pressure: pressure(&file("memory.pressure")),
        io_pressure: pressure(&file("io.pressure")),
        reads,
        writes,
    }
}

fn per_controller(cpu: &Path, cpuacct: &Path, memory: &Path, pids: &Path, blkio: &Path) -> Reading {
    let throttled = Table::read(&cpu.join("cpu.stat"));
    let stat = Table::read(&memory.join("memory.stat"));
    let oom = Table::read(&memory.join("memory.oom_control"));
    let used = number(&memory.join("memory.usage_in_bytes"));
    let used_with_swap = number(&memory.join("memory.memsw.usage_in_bytes"));
    let memory_limit = limit(&memory.join("memory.limit_in_bytes"));
    let both_limit = limit(&memory.join("memory.memsw.limit_in_bytes"));
    let (read_bytes, written_bytes) = blkio_sum(&blkio.join("blkio.throttle.io_service_bytes"));
    let (reads, writes) = blkio_sum(&blkio.join("blkio.throttle.io_serviced"));
    Reading {
        cpu_nanoseconds: number(&cpuacct.join("cpuacct.usage")),
        cpu_user_nanoseconds: number(&cpuacct.join("cpuacct.usage_user")),
        cpu_system_nanoseconds: number(&cpuacct.join("cpuacct.usage_sys")),
        periods: throttled.get("nr_periods"),
        throttled_periods: throttled.get("nr_throttled"),
        throttled_nanoseconds: throttled.get("throttled_time"),
        memory: used,
        memory_peak: number(&memory.join("memory.max_usage_in_bytes")),
        memory_limit,
        memory_failures: number(&memory.join("memory.failcnt")),
        oom_kills: oom.get("oom_kill"),
        rss: stat.get("total_rss"),
        cache: stat.get("total_cache"),
        mapped: stat.get("total_mapped_file"),
        kernel: number(&memory.join("memory.kmem.usage_in_bytes")),
        active_file: stat.get("total_active_file"),
        inactive_file: stat.get("total_inactive_file"),
        page_faults: stat.get("total_pgfault"),
        major_page_faults: stat.get("total_pgmajfault"),
        swap: used_with_swap.saturating_sub(used),
        swap_limit: both_limit.zip(memory_limit).map(|(both, memory)| both.saturating_sub(memory)),
        processes: number(&pids.join("pids.current")),
        processes_limit: limit(&pids.join("pids.max")),
        cpu_pressure: None,
        memory_pressure: None,
        io_pressure: None,
        reads: Io { operations: reads, bytes: read_bytes },
        writes: Io { operations: writes, bytes: written_bytes },
    }
}

/// A file of lines `name number`.
struct Table(String);

impl Table {
    fn read(file: &Path) -> Self {
        Self(fs::read_to_string(file).unwrap_or_default())
    }

    fn get(&self, name: &str) -> u64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

fn number(file: &Path) -> u64 {
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Nothing for `max`, and for the huge number that version 1 has instead.
fn limit(file: &Path) -> Option<u64> {
    let value: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (value < 1 << 60).then_some(value)
}

fn pressure(file: &Path) -> Option<Pressure> {
    let text = fs::read_to_string(file).ok()?;
    let line = |name: &str| {
        let fields = text.lines().find_map(|line| line.strip_prefix(name))?;
        let value =
            |key: &str| fields.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        let average = |key| value(key).and_then(|value| value.parse().ok()).unwrap_or(0.0);
        Some(PressureLine {
            averages: ["avg10", "avg60", "avg300"].map(average),
            total: value("total").and_then(|value| value.parse().ok()).unwrap_or(0),
        })
    };
    Some(Pressure { some: line("some")?, full: line("full").unwrap_or_default() })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` for each device.
fn io_stat(text: &str) -> (Io, Io) {
    let (mut reads, mut writes) = (Io::default(), Io::default());
    for (name, value) in text.split_whitespace().filter_map(|field| field.split_once('=')) {
        let Ok(value) = value.parse::<u64>() else { continue };
        match name {
            "rbytes" => reads.bytes += value,
            "rios" => reads.operations += value,
            "wbytes" => writes.bytes += value,
            "wios" => writes.operations += value,
            _ => {}
        }
    }
    (reads, writes)
}

/// `8:0 Read 1` and `8:0 Write 2` for each device.
fn blkio_sum(file: &Path) -> (u64, u64) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let sum = |word: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix(word));
        lines.filter_map(|value| value.trim().parse::<u64>().ok()).sum()
    };
    (sum("Read "), sum("Write "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1024\nfile 2048\ninactive_file 512\npgfault 7\n"),
            ("memory.swap.max", "100\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n8:16 rbytes=10 wbytes=20 rios=30 wios=40\n"),
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
            ),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let reading = unified(folder.path());
        assert_eq!((reading.cpu_nanoseconds, reading.working_set(), reading.rss), (1_500_000, 3584, 1024));
        assert_eq!((reading.memory_limit, reading.swap_limit), (None, Some(100)));
        assert_eq!((reading.reads.bytes, reading.writes.operations), (11, 44));
        assert_eq!(reading.cpu_pressure.unwrap().some, PressureLine { averages: [1.5, 0.0, 0.0], total: 42 });
        assert_eq!(reading.memory_pressure, None);
    }

    #[test]
    fn a_container_that_has_cgroups_of_its_own_is_measured_as_a_whole() {
        for (path, whole) in [
            ("/pod1/c0ffee", "/pod1/c0ffee"),
            ("/pod1/c0ffee/init.scope", "/pod1/c0ffee"),
            ("/k.slice/cri-containerd-c0ffee.scope/a/b", "/k.slice/cri-containerd-c0ffee.scope"),
            ("/elsewhere", "/elsewhere"),
        ] {
            assert_eq!(own("c0ffee", path), whole);
        }
    }

    #[test]
    fn version_1_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpuacct.usage", "1500\n"),
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.memsw.usage_in_bytes", "5000\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "rss 1\ntotal_rss 1024\ntotal_inactive_file 96\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ("blkio.throttle.io_service_bytes", "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let at = folder.path();
        let reading = per_controller(at, at, at, at, at);
        assert_eq!((reading.cpu_nanoseconds, reading.working_set(), reading.swap), (1500, 4000, 904));
        assert_eq!((reading.memory_limit, reading.oom_kills, reading.rss), (None, 2, 1024));
        assert_eq!((reading.reads.bytes, reading.writes.bytes), (5, 6));
    }
}
