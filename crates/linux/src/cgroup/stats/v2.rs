//! cgroup2, told in the words of version 1.

use super::read::{flat_file, hugepage_sizes, number, pressure};
use super::{BlkioEntry, Hugetlb, MemoryEntry, Stats};
use crate::cgroup::dir::Dir;
use crate::cgroup::error::Result;

/// `alone` is false beside version 1, which then has the processor time.
pub(super) fn read(dir: &Dir, controllers: &[String], alone: bool, stats: &mut Stats) -> Result<()> {
    if alone {
        // Counted even without the controller.
        cpu(dir, stats)?;
        stats.cpu.psi = pressure(dir, "cpu.pressure")?;
        stats.memory.psi = pressure(dir, "memory.pressure")?;
        stats.blkio.psi = pressure(dir, "io.pressure")?;
    }
    for controller in controllers {
        match controller.as_str() {
            "memory" => memory(dir, stats)?,
            "pids" => {
                stats.pids.current = number(dir, "pids.current")?;
                stats.pids.limit = dir.number("pids.max")?.filter(|limit| *limit != u64::MAX).unwrap_or(0);
            }
            "io" => io(&dir.read_optional("io.stat")?.unwrap_or_default(), stats),
            "hugetlb" => {
                for size in hugepage_sizes() {
                    let prefix = format!("hugetlb.{size}.rsvd");
                    let prefix = if dir.has(&format!("{prefix}.current")) {
                        prefix
                    } else {
                        format!("hugetlb.{size}")
                    };
                    let usage = number(dir, &format!("{prefix}.current"))?;
                    let events = flat_file(dir, &format!("hugetlb.{size}.events"))?;
                    let failcnt = events.get("max").copied().unwrap_or_default();
                    stats.hugetlb.insert(size, Hugetlb { usage, max: 0, failcnt });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn cpu(dir: &Dir, stats: &mut Stats) -> Result<()> {
    let stat = flat_file(dir, "cpu.stat")?;
    let count = |key: &str| stat.get(key).copied().unwrap_or_default();
    let nanoseconds = |key: &str| count(key).saturating_mul(1000);
    stats.cpu.usage.total = nanoseconds("usage_usec");
    stats.cpu.usage.user = nanoseconds("user_usec");
    stats.cpu.usage.kernel = nanoseconds("system_usec");
    stats.cpu.throttling.periods = count("nr_periods");
    stats.cpu.throttling.throttled_periods = count("nr_throttled");
    stats.cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    Ok(())
}

fn memory(dir: &Dir, stats: &mut Stats) -> Result<()> {
    let entry = |prefix: &str| {
        let Some(usage) = dir.number(&format!("{prefix}.current"))? else {
            return Ok(MemoryEntry::default());
        };
        Ok(MemoryEntry {
            usage,
            limit: number(dir, &format!("{prefix}.max"))?,
            max: number(dir, &format!("{prefix}.peak"))?,
            failcnt: 0,
        })
    };
    stats.memory.raw = flat_file(dir, "memory.stat")?;
    stats.memory.cache = stats.memory.raw.get("file").copied().unwrap_or_default();
    stats.memory.usage = entry("memory")?;
    let swap = entry("memory.swap")?;
    // Together with memory, as version 1 counts it; of the two highest marks no sum can be made.
    stats.memory.swap = MemoryEntry {
        usage: swap.usage.saturating_add(stats.memory.usage.usage),
        limit: swap.limit.saturating_add(stats.memory.usage.limit),
        max: 0,
        failcnt: 0,
    };
    Ok(())
}

/// `8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0`.
fn io(text: &str, stats: &mut Stats) {
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let Ok(value) = value.parse() else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files are plain text, so any folder can stand for a cgroup that this host does not have.
    #[test]
    fn a_whole_cgroup2_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in [
            (
                "cpu.stat",
                "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n",
            ),
            ("cpu.pressure", "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n"),
            ("memory.stat", "anon 1\nfile 2\n"),
            ("memory.current", "100\n"),
            ("memory.max", "1000\n"),
            ("memory.peak", "150\n"),
            ("memory.swap.current", "7\n"),
            ("memory.swap.max", "max\n"),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
        ] {
            std::fs::write(folder.path().join(file), content).unwrap();
        }
        let controllers = ["memory", "pids", "io"].map(str::to_owned);
        let mut stats = Stats::default();
        read(&Dir::open(folder.path()).unwrap(), &controllers, true, &mut stats).unwrap();
        assert_eq!(stats.cpu.usage.total, 10_000);
        assert_eq!(stats.cpu.throttling.throttled_time, 1000);
        assert_eq!(stats.cpu.psi.unwrap().some.total, 5);
        assert_eq!(stats.memory.usage, MemoryEntry { limit: 1000, usage: 100, max: 150, failcnt: 0 });
        assert_eq!(stats.memory.swap, MemoryEntry { limit: u64::MAX, usage: 107, max: 0, failcnt: 0 });
        assert_eq!(stats.memory.cache, 2);
        assert_eq!((stats.pids.current, stats.pids.limit), (4, 0));
        let bytes: Vec<_> =
            stats.blkio.io_service_bytes_recursive.iter().map(|e| (e.op.as_str(), e.value)).collect();
        assert_eq!(bytes, [("Read", 1), ("Write", 2)]);
        assert_eq!(stats.memory.psi, None);
    }
}
