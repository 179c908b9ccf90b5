//! One look at a cgroup, of either version.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// No limit is as large; version 1 has a huge number where there is none.
const UNLIMITED: u64 = 1 << 60;

/// How much of it is looked at: every file costs as much as all arithmetic on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Processor time, memory, swap, pressure.
    Usage,
    /// Processes too.
    Processes,
    /// Everything.
    All,
}

/// What a cgroup uses. What the kernel does not tell, or was not asked, is 0, or nothing.
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
pub(crate) fn of_container(id: &str, pid: i32, depth: Depth) -> Option<Reading> {
    look(&Places::of_container(id, pid)?, depth)
}

/// The cgroup above a container's: its pod's.
pub(crate) fn above_container(id: &str, pid: i32, depth: Depth) -> Option<Reading> {
    let mut places = Places::of_container(id, pid)?;
    places.go_up();
    look(&places, depth)
}

/// A cgroup by its path below the root.
pub(crate) fn at(path: &str, depth: Depth) -> Option<Reading> {
    let places = Places::at(path);
    places.exists().then(|| look(&places, depth)).flatten()
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

fn look(places: &Places, depth: Depth) -> Option<Reading> {
    match places {
        Places::Unified(folder) => folder.is_dir().then(|| unified(folder, depth)),
        Places::PerController { cpu, cpuacct, memory, pids, blkio } => {
            Some(per_controller(cpu, cpuacct, memory, pids, blkio, depth))
        }
    }
}

fn unified(folder: &Path, depth: Depth) -> Reading {
    let file = |name: &str| folder.join(name);
    let mut reading = Reading {
        memory: number(&file("memory.current")),
        memory_limit: limit(&file("memory.max")),
        swap: number(&file("memory.swap.current")),
        swap_limit: limit(&file("memory.swap.max")),
        cpu_pressure: pressure(&file("cpu.pressure")),
        memory_pressure: pressure(&file("memory.pressure")),
        io_pressure: pressure(&file("io.pressure")),
        ..Reading::default()
    };
    read(&file("cpu.stat"), |text| {
        let cpu = Table(text);
        reading.cpu_nanoseconds = cpu.get("usage_usec") * 1000;
        reading.cpu_user_nanoseconds = cpu.get("user_usec") * 1000;
        reading.cpu_system_nanoseconds = cpu.get("system_usec") * 1000;
        reading.periods = cpu.get("nr_periods");
        reading.throttled_periods = cpu.get("nr_throttled");
        reading.throttled_nanoseconds = cpu.get("throttled_usec") * 1000;
    });
    read(&file("memory.stat"), |text| {
        let memory = Table(text);
        reading.rss = memory.get("anon");
        reading.cache = memory.get("file");
        reading.mapped = memory.get("file_mapped");
        reading.kernel = memory.get("kernel");
        reading.active_file = memory.get("active_file");
        reading.inactive_file = memory.get("inactive_file");
        reading.page_faults = memory.get("pgfault");
        reading.major_page_faults = memory.get("pgmajfault");
    });
    if depth >= Depth::Processes {
        reading.processes = number(&file("pids.current"));
    }
    if depth == Depth::All {
        reading.memory_peak = number(&file("memory.peak"));
        reading.processes_limit = limit(&file("pids.max"));
        read(&file("memory.events"), |text| {
            reading.memory_failures = Table(text).get("max");
            reading.oom_kills = Table(text).get("oom_kill");
        });
        if let Some((reads, writes)) = read(&file("io.stat"), io_stat) {
            (reading.reads, reading.writes) = (reads, writes);
        }
    }
    reading
}

fn per_controller(
    cpu: &Path,
    cpuacct: &Path,
    memory: &Path,
    pids: &Path,
    blkio: &Path,
    depth: Depth,
) -> Reading {
    let mut reading = Reading {
        cpu_nanoseconds: number(&cpuacct.join("cpuacct.usage")),
        memory: number(&memory.join("memory.usage_in_bytes")),
        ..Reading::default()
    };
    read(&memory.join("memory.stat"), |text| {
        let stat = Table(text);
        reading.rss = stat.get("total_rss");
        reading.cache = stat.get("total_cache");
        reading.mapped = stat.get("total_mapped_file");
        reading.active_file = stat.get("total_active_file");
        reading.inactive_file = stat.get("total_inactive_file");
        reading.page_faults = stat.get("total_pgfault");
        reading.major_page_faults = stat.get("total_pgmajfault");
        reading.swap = stat.get("total_swap");
        let limit = |name| Some(stat.get(name)).filter(|limit| (1..UNLIMITED).contains(limit));
        reading.memory_limit = limit("hierarchical_memory_limit");
        let both = limit("hierarchical_memsw_limit");
        reading.swap_limit = both.zip(reading.memory_limit).map(|(both, memory)| both.saturating_sub(memory));
    });
    if depth >= Depth::Processes {
        reading.processes = number(&pids.join("pids.current"));
    }
    if depth == Depth::All {
        reading.cpu_user_nanoseconds = number(&cpuacct.join("cpuacct.usage_user"));
        reading.cpu_system_nanoseconds = number(&cpuacct.join("cpuacct.usage_sys"));
        read(&cpu.join("cpu.stat"), |text| {
            reading.periods = Table(text).get("nr_periods");
            reading.throttled_periods = Table(text).get("nr_throttled");
            reading.throttled_nanoseconds = Table(text).get("throttled_time");
        });
        reading.memory_peak = number(&memory.join("memory.max_usage_in_bytes"));
        reading.memory_failures = number(&memory.join("memory.failcnt"));
        reading.kernel = number(&memory.join("memory.kmem.usage_in_bytes"));
        reading.oom_kills =
            read(&memory.join("memory.oom_control"), |text| Table(text).get("oom_kill")).unwrap_or_default();
        reading.processes_limit = limit(&pids.join("pids.max"));
        let (read_bytes, written_bytes) = blkio_sum(&blkio.join("blkio.throttle.io_service_bytes"));
        let (reads, writes) = blkio_sum(&blkio.join("blkio.throttle.io_serviced"));
        reading.reads = Io { operations: reads, bytes: read_bytes };
        reading.writes = Io { operations: writes, bytes: written_bytes };
    }
    reading
}

/// Reads a file of a cgroup in one go. The kernel writes such a file at once, so what leaves room is whole.
fn read<T>(file: &Path, parse: impl FnOnce(&str) -> T) -> Option<T> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 << 10]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let opened = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut length = 0;
        loop {
            let more = rustix::io::read(&opened, &mut buffer[length..]).ok()?;
            length += more;
            if length < buffer.len() {
                break;
            }
            buffer.resize(2 * length, 0);
        }
        Some(parse(std::str::from_utf8(buffer.get(..length)?).ok()?))
    })
}

/// A file of lines `name number`.
struct Table<'a>(&'a str);

impl Table<'_> {
    fn get(&self, name: &str) -> u64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

fn number(file: &Path) -> u64 {
    read(file, |text| text.trim().parse().ok()).flatten().unwrap_or(0)
}

/// Nothing for `max`.
fn limit(file: &Path) -> Option<u64> {
    read(file, |text| text.trim().parse().ok()).flatten().filter(|limit| *limit < UNLIMITED)
}

fn pressure(file: &Path) -> Option<Pressure> {
    read(file, pressure_of)?
}

fn pressure_of(text: &str) -> Option<Pressure> {
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
    let sums = |text: &str| {
        let sum = |word: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix(word));
            lines.filter_map(|value| value.trim().parse::<u64>().ok()).sum()
        };
        (sum("Read "), sum("Write "))
    };
    read(file, sums).unwrap_or_default()
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
        let reading = unified(folder.path(), Depth::All);
        assert_eq!((reading.cpu_nanoseconds, reading.working_set(), reading.rss), (1_500_000, 3584, 1024));
        assert_eq!((reading.memory_limit, reading.swap_limit), (None, Some(100)));
        assert_eq!((reading.reads.bytes, reading.writes.operations), (11, 44));
        assert_eq!(reading.cpu_pressure.unwrap().some, PressureLine { averages: [1.5, 0.0, 0.0], total: 42 });
        assert_eq!(reading.memory_pressure, None);
    }

    #[test]
    fn a_file_is_read_whole_however_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stat");
        let long = "x".repeat(50_000);
        fs::write(&file, &long).unwrap();
        assert_eq!(read(&file, str::to_owned), Some(long));
        assert_eq!(read(&folder.path().join("none"), str::to_owned), None);
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
            (
                "memory.stat",
                "rss 1\nhierarchical_memory_limit 8192\nhierarchical_memsw_limit 9223372036854771712\n\
                 total_rss 1024\ntotal_inactive_file 96\ntotal_swap 904\n",
            ),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ("blkio.throttle.io_service_bytes", "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let at = folder.path();
        let reading = per_controller(at, at, at, at, at, Depth::All);
        assert_eq!((reading.cpu_nanoseconds, reading.working_set(), reading.swap), (1500, 4000, 904));
        assert_eq!((reading.memory_limit, reading.swap_limit), (Some(8192), None));
        assert_eq!((reading.oom_kills, reading.rss), (2, 1024));
        assert_eq!((reading.reads.bytes, reading.writes.bytes), (5, 6));
    }
}
