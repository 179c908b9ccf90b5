//! Version 1.

use super::read::{blkio, flat_file, hugepage_sizes, number, ranges, row};
use super::{Hugetlb, MemoryEntry, Stats};
use crate::cgroup::dir::{Dir, parse_number};
use crate::cgroup::error::Result;

/// The kernel shows ticks of 1/100 s to programs, whatever it counts in.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

pub(super) fn read(dir: &Dir, controllers: &[String], stats: &mut Stats) -> Result<()> {
    for controller in controllers {
        match controller.as_str() {
            "cpu" => {
                let stat = flat_file(dir, "cpu.stat")?;
                let of = |key: &str| stat.get(key).copied().unwrap_or_default();
                stats.cpu.throttling.periods = of("nr_periods");
                stats.cpu.throttling.throttled_periods = of("nr_throttled");
                stats.cpu.throttling.throttled_time = of("throttled_time");
            }
            "cpuacct" => cpuacct(dir, stats)?,
            "cpuset" => cpuset(dir, stats)?,
            "memory" => {
                stats.memory.raw = flat_file(dir, "memory.stat")?;
                stats.memory.cache = stats.memory.raw.get("cache").copied().unwrap_or_default();
                stats.memory.usage = memory(dir, "memory")?;
                stats.memory.swap = memory(dir, "memory.memsw")?;
                stats.memory.kernel = memory(dir, "memory.kmem")?;
                stats.memory.kernel_tcp = memory(dir, "memory.kmem.tcp")?;
            }
            "pids" => {
                stats.pids.current = number(dir, "pids.current")?;
                let limit = dir.read_optional("pids.max")?.unwrap_or_default();
                stats.pids.limit = parse_number(limit.trim()).filter(|limit| *limit != u64::MAX).unwrap_or(0);
            }
            "blkio" => block_io(dir, stats)?,
            "hugetlb" => {
                for size in hugepage_sizes() {
                    let prefix = format!("hugetlb.{size}.rsvd");
                    let prefix = if dir.has(&format!("{prefix}.usage_in_bytes")) {
                        prefix
                    } else {
                        format!("hugetlb.{size}")
                    };
                    let entry = Hugetlb {
                        usage: number(dir, &format!("{prefix}.usage_in_bytes"))?,
                        max: number(dir, &format!("{prefix}.max_usage_in_bytes"))?,
                        failcnt: number(dir, &format!("{prefix}.failcnt"))?,
                    };
                    stats.hugetlb.insert(size, entry);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn cpuacct(dir: &Dir, stats: &mut Stats) -> Result<()> {
    let usage = &mut stats.cpu.usage;
    usage.total = number(dir, "cpuacct.usage")?;
    usage.percpu = row(dir, "cpuacct.usage_percpu")?;
    let stat = flat_file(dir, "cpuacct.stat")?;
    let of = |key: &str| stat.get(key).copied().unwrap_or_default().saturating_mul(NANOSECONDS_PER_TICK);
    usage.user = of("user");
    usage.kernel = of("system");
    // cpu user system, under a heading.
    let all = dir.read_optional("cpuacct.usage_all")?.unwrap_or_default();
    for line in all.lines().skip(1) {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        if let [_, user, kernel] = numbers.as_slice() {
            usage.percpu_user.push(*user);
            usage.percpu_kernel.push(*kernel);
        }
    }
    Ok(())
}

fn cpuset(dir: &Dir, stats: &mut Stats) -> Result<()> {
    let set = &mut stats.cpuset;
    set.cpus = ranges(&dir.read_optional("cpuset.cpus")?.unwrap_or_default());
    set.mems = ranges(&dir.read_optional("cpuset.mems")?.unwrap_or_default());
    for (field, file) in [
        (&mut set.cpu_exclusive, "cpuset.cpu_exclusive"),
        (&mut set.mem_hardwall, "cpuset.mem_hardwall"),
        (&mut set.mem_exclusive, "cpuset.mem_exclusive"),
        (&mut set.memory_migrate, "cpuset.memory_migrate"),
        (&mut set.memory_spread_page, "cpuset.memory_spread_page"),
        (&mut set.memory_spread_slab, "cpuset.memory_spread_slab"),
        (&mut set.memory_pressure, "cpuset.memory_pressure"),
        (&mut set.sched_load_balance, "cpuset.sched_load_balance"),
    ] {
        *field = number(dir, file)?;
    }
    let level = dir.read_optional("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    set.sched_relax_domain_level = level.trim().parse().unwrap_or_default();
    Ok(())
}

fn memory(dir: &Dir, prefix: &str) -> Result<MemoryEntry> {
    let Some(usage) = dir.number(&format!("{prefix}.usage_in_bytes"))? else {
        return Ok(MemoryEntry::default());
    };
    Ok(MemoryEntry {
        usage,
        max: number(dir, &format!("{prefix}.max_usage_in_bytes"))?,
        failcnt: number(dir, &format!("{prefix}.failcnt"))?,
        limit: number(dir, &format!("{prefix}.limit_in_bytes"))?,
    })
}

/// Whichever scheduler counted: BFQ, CFQ on old kernels, or else the throttling above any scheduler.
fn block_io(dir: &Dir, stats: &mut Stats) -> Result<()> {
    let entries = |file: String| Ok(blkio(&dir.read_optional(&file)?.unwrap_or_default()));
    for prefix in ["blkio.bfq", "blkio"] {
        let serviced = entries(format!("{prefix}.io_serviced_recursive"))?;
        if serviced.is_empty() {
            continue;
        }
        stats.blkio.io_serviced_recursive = serviced;
        for (field, name) in [
            (&mut stats.blkio.io_service_bytes_recursive, "io_service_bytes_recursive"),
            (&mut stats.blkio.io_queue_recursive, "io_queued_recursive"),
            (&mut stats.blkio.io_service_time_recursive, "io_service_time_recursive"),
            (&mut stats.blkio.io_wait_time_recursive, "io_wait_time_recursive"),
            (&mut stats.blkio.io_merged_recursive, "io_merged_recursive"),
            (&mut stats.blkio.io_time_recursive, "time_recursive"),
            (&mut stats.blkio.sectors_recursive, "sectors_recursive"),
        ] {
            *field = entries(format!("{prefix}.{name}"))?;
        }
        return Ok(());
    }
    stats.blkio.io_service_bytes_recursive = entries("blkio.throttle.io_service_bytes_recursive".into())?;
    stats.blkio.io_serviced_recursive = entries("blkio.throttle.io_serviced_recursive".into())?;
    Ok(())
}
