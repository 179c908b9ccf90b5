//! What a container uses: two messages, one for each interface of the kernel.

use super::{Parsed, any_message, is_type, moment, parse, timestamp};
use crate::metrics::{Blkio, BlkioEntry, CgroupVersion, Cpu, Hugetlb, Memory, MemoryEntry, Metrics, Pids};
use containerd_shim_protos::api::StatsResponse;
use containerd_shim_protos::cgroups::metrics as v1;
use containerd_shim_protos::cgroups_v2::metrics as v2;
use containerd_shim_protos::sandbox_api::SandboxMetricsResponse;
use protobuf::MessageField;
use protobuf::well_known_types::any::Any;
use std::collections::BTreeMap;

const V1: &str = "io.containerd.cgroups.v1.Metrics";
const V2: &str = "io.containerd.cgroups.v2.Metrics";
const MICROSECOND: u64 = 1_000;

pub(crate) fn stats_response(metrics: &Metrics) -> Parsed<StatsResponse> {
    Ok(StatsResponse { stats: message(metrics)?, ..StatsResponse::default() })
}

pub(crate) fn metrics_of_stats(response: &StatsResponse) -> Parsed<Metrics> {
    metrics(response.stats.as_ref())
}

pub(crate) fn sandbox_metrics_response(id: &str, metrics: &Metrics) -> Parsed<SandboxMetricsResponse> {
    let mut response = SandboxMetricsResponse::default();
    let metric = response.metrics.mut_or_insert_default();
    metric.id = id.to_owned();
    metric.timestamp = metrics.at.map_or_else(MessageField::none, timestamp);
    metric.data = message(metrics)?;
    Ok(response)
}

pub(crate) fn metrics_of_sandbox(response: &SandboxMetricsResponse) -> Parsed<Metrics> {
    let metric = response.metrics.as_ref().ok_or("the metrics are missing")?;
    Ok(Metrics { at: moment(&metric.timestamp), ..metrics(metric.data.as_ref())? })
}

fn message(metrics: &Metrics) -> Parsed<MessageField<Any>> {
    match metrics.version {
        CgroupVersion::V1 => any_message(V1, &to_v1(metrics)),
        CgroupVersion::V2 => any_message(V2, &to_v2(metrics)),
    }
}

fn metrics(any: Option<&Any>) -> Parsed<Metrics> {
    let any = any.ok_or("the metrics are missing")?;
    if is_type(any, V1) {
        Ok(from_v1(parse(any)?))
    } else if is_type(any, V2) {
        Ok(from_v2(parse(any)?))
    } else {
        Err(format!("metrics of type {} mean nothing here", any.type_url))
    }
}

/// One list of names for both directions: a line of the kernel's file, and the field it becomes.
macro_rules! lines {
    ($to:ident, $from:ident, $message:ty, { $($line:literal => $field:ident),* $(,)? }) => {
        fn $to(lines: &BTreeMap<String, u64>, message: &mut $message) {
            $(message.$field = lines.get($line).copied().unwrap_or_default();)*
        }

        /// What is zero may as well not have been there.
        fn $from(message: &$message) -> BTreeMap<String, u64> {
            let lines = [$(($line, message.$field)),*];
            lines.into_iter().filter(|(_, value)| *value != 0).map(|(line, value)| (line.to_owned(), value)).collect()
        }
    };
}

lines!(stat_to_v1, stat_from_v1, v1::MemoryStat, {
    "cache" => cache,
    "rss" => rss,
    "rss_huge" => rss_huge,
    "mapped_file" => mapped_file,
    "dirty" => dirty,
    "writeback" => writeback,
    "pgpgin" => pg_pg_in,
    "pgpgout" => pg_pg_out,
    "pgfault" => pg_fault,
    "pgmajfault" => pg_maj_fault,
    "inactive_anon" => inactive_anon,
    "active_anon" => active_anon,
    "inactive_file" => inactive_file,
    "active_file" => active_file,
    "unevictable" => unevictable,
    "hierarchical_memory_limit" => hierarchical_memory_limit,
    "hierarchical_memsw_limit" => hierarchical_swap_limit,
    "total_cache" => total_cache,
    "total_rss" => total_rss,
    "total_rss_huge" => total_rss_huge,
    "total_mapped_file" => total_mapped_file,
    "total_dirty" => total_dirty,
    "total_writeback" => total_writeback,
    "total_pgpgin" => total_pg_pg_in,
    "total_pgpgout" => total_pg_pg_out,
    "total_pgfault" => total_pg_fault,
    "total_pgmajfault" => total_pg_maj_fault,
    "total_inactive_anon" => total_inactive_anon,
    "total_active_anon" => total_active_anon,
    "total_inactive_file" => total_inactive_file,
    "total_active_file" => total_active_file,
    "total_unevictable" => total_unevictable,
});

lines!(stat_to_v2, stat_from_v2, v2::MemoryStat, {
    "anon" => anon,
    "file" => file,
    "kernel_stack" => kernel_stack,
    "slab" => slab,
    "sock" => sock,
    "shmem" => shmem,
    "file_mapped" => file_mapped,
    "file_dirty" => file_dirty,
    "file_writeback" => file_writeback,
    "anon_thp" => anon_thp,
    "inactive_anon" => inactive_anon,
    "active_anon" => active_anon,
    "inactive_file" => inactive_file,
    "active_file" => active_file,
    "unevictable" => unevictable,
    "slab_reclaimable" => slab_reclaimable,
    "slab_unreclaimable" => slab_unreclaimable,
    "pgfault" => pgfault,
    "pgmajfault" => pgmajfault,
    "workingset_refault" => workingset_refault,
    "workingset_activate" => workingset_activate,
    "workingset_nodereclaim" => workingset_nodereclaim,
    "pgrefill" => pgrefill,
    "pgscan" => pgscan,
    "pgsteal" => pgsteal,
    "pgactivate" => pgactivate,
    "pgdeactivate" => pgdeactivate,
    "pglazyfree" => pglazyfree,
    "pglazyfreed" => pglazyfreed,
    "thp_fault_alloc" => thp_fault_alloc,
    "thp_collapse_alloc" => thp_collapse_alloc,
});

lines!(events_to_v1, events_from_v1, v1::MemoryOomControl, {
    "oom_kill_disable" => oom_kill_disable,
    "under_oom" => under_oom,
    "oom_kill" => oom_kill,
});

lines!(events_to_v2, events_from_v2, v2::MemoryEvents, {
    "low" => low,
    "high" => high,
    "max" => max,
    "oom" => oom,
    "oom_kill" => oom_kill,
    "oom_group_kill" => oom_group_kill,
});

fn to_v1(metrics: &Metrics) -> v1::Metrics {
    let mut message = v1::Metrics::default();
    let Metrics { cpu, memory, pids, blkio, hugetlb, .. } = metrics;
    let processor = message.cpu.mut_or_insert_default();
    let usage = processor.usage.mut_or_insert_default();
    (usage.total, usage.kernel, usage.user) = (cpu.total, cpu.kernel, cpu.user);
    usage.per_cpu.clone_from(&cpu.percpu);
    let throttling = processor.throttling.mut_or_insert_default();
    throttling.periods = cpu.periods;
    throttling.throttled_periods = cpu.throttled_periods;
    throttling.throttled_time = cpu.throttled;
    let stat = message.memory.mut_or_insert_default();
    stat_to_v1(&memory.stat, stat);
    stat.usage = entry_to_v1(memory.usage);
    stat.swap = entry_to_v1(memory.swap);
    stat.kernel = entry_to_v1(memory.kernel);
    stat.kernel_tcp = entry_to_v1(memory.kernel_tcp);
    events_to_v1(&memory.events, message.memory_oom_control.mut_or_insert_default());
    let processes = message.pids.mut_or_insert_default();
    (processes.current, processes.limit) = (pids.current, pids.limit);
    message.blkio = MessageField::some(v1::BlkIOStat {
        io_service_bytes_recursive: entries_to_v1(&blkio.service_bytes),
        io_serviced_recursive: entries_to_v1(&blkio.serviced),
        io_queued_recursive: entries_to_v1(&blkio.queued),
        io_service_time_recursive: entries_to_v1(&blkio.service_time),
        io_wait_time_recursive: entries_to_v1(&blkio.wait_time),
        io_merged_recursive: entries_to_v1(&blkio.merged),
        io_time_recursive: entries_to_v1(&blkio.time),
        sectors_recursive: entries_to_v1(&blkio.sectors),
        ..v1::BlkIOStat::default()
    });
    message.hugetlb = hugetlb
        .iter()
        .map(|(size, pages)| v1::HugetlbStat {
            usage: pages.usage,
            max: pages.max,
            failcnt: pages.failcnt,
            pagesize: size.clone(),
            ..v1::HugetlbStat::default()
        })
        .collect();
    message
}

fn from_v1(message: v1::Metrics) -> Metrics {
    let cpu = message.cpu.unwrap_or_default();
    let (usage, throttling) = (cpu.usage.unwrap_or_default(), cpu.throttling.unwrap_or_default());
    let stat = message.memory.unwrap_or_default();
    let pids = message.pids.unwrap_or_default();
    let blkio = message.blkio.unwrap_or_default();
    Metrics {
        version: CgroupVersion::V1,
        at: None,
        cpu: Cpu {
            total: usage.total,
            user: usage.user,
            kernel: usage.kernel,
            percpu: usage.per_cpu,
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            throttled: throttling.throttled_time,
        },
        memory: Memory {
            stat: stat_from_v1(&stat),
            usage: entry_from_v1(stat.usage),
            swap: entry_from_v1(stat.swap),
            kernel: entry_from_v1(stat.kernel),
            kernel_tcp: entry_from_v1(stat.kernel_tcp),
            events: events_from_v1(&message.memory_oom_control.unwrap_or_default()),
        },
        pids: Pids { current: pids.current, limit: pids.limit },
        blkio: Blkio {
            service_bytes: entries_from_v1(blkio.io_service_bytes_recursive),
            serviced: entries_from_v1(blkio.io_serviced_recursive),
            queued: entries_from_v1(blkio.io_queued_recursive),
            service_time: entries_from_v1(blkio.io_service_time_recursive),
            wait_time: entries_from_v1(blkio.io_wait_time_recursive),
            merged: entries_from_v1(blkio.io_merged_recursive),
            time: entries_from_v1(blkio.io_time_recursive),
            sectors: entries_from_v1(blkio.sectors_recursive),
        },
        hugetlb: message
            .hugetlb
            .into_iter()
            .map(|pages| {
                let one = Hugetlb { usage: pages.usage, max: pages.max, failcnt: pages.failcnt };
                (pages.pagesize, one)
            })
            .collect(),
    }
}

fn entry_to_v1(entry: MemoryEntry) -> MessageField<v1::MemoryEntry> {
    MessageField::some(v1::MemoryEntry {
        limit: entry.limit,
        usage: entry.usage,
        max: entry.max,
        failcnt: entry.failcnt,
        ..v1::MemoryEntry::default()
    })
}

fn entry_from_v1(entry: MessageField<v1::MemoryEntry>) -> MemoryEntry {
    let entry = entry.unwrap_or_default();
    MemoryEntry { limit: entry.limit, usage: entry.usage, max: entry.max, failcnt: entry.failcnt }
}

fn entries_to_v1(entries: &[BlkioEntry]) -> Vec<v1::BlkIOEntry> {
    let entry = |entry: &BlkioEntry| v1::BlkIOEntry {
        op: entry.op.clone(),
        major: entry.major,
        minor: entry.minor,
        value: entry.value,
        ..v1::BlkIOEntry::default()
    };
    entries.iter().map(entry).collect()
}

fn entries_from_v1(entries: Vec<v1::BlkIOEntry>) -> Vec<BlkioEntry> {
    let entry = |entry: v1::BlkIOEntry| BlkioEntry {
        major: entry.major,
        minor: entry.minor,
        op: entry.op,
        value: entry.value,
    };
    entries.into_iter().map(entry).collect()
}

fn to_v2(metrics: &Metrics) -> v2::Metrics {
    let mut message = v2::Metrics::default();
    let Metrics { cpu, memory, pids, blkio, hugetlb, .. } = metrics;
    let processor = message.cpu.mut_or_insert_default();
    processor.usage_usec = cpu.total / MICROSECOND;
    processor.user_usec = cpu.user / MICROSECOND;
    processor.system_usec = cpu.kernel / MICROSECOND;
    processor.nr_periods = cpu.periods;
    processor.nr_throttled = cpu.throttled_periods;
    processor.throttled_usec = cpu.throttled / MICROSECOND;
    let stat = message.memory.mut_or_insert_default();
    stat_to_v2(&memory.stat, stat);
    (stat.usage, stat.usage_limit, stat.max_usage) =
        (memory.usage.usage, memory.usage.limit, memory.usage.max);
    (stat.swap_usage, stat.swap_limit, stat.swap_max_usage) =
        (memory.swap.usage, memory.swap.limit, memory.swap.max);
    events_to_v2(&memory.events, message.memory_events.mut_or_insert_default());
    let processes = message.pids.mut_or_insert_default();
    (processes.current, processes.limit) = (pids.current, pids.limit);
    message.io.mut_or_insert_default().usage = io_to_v2(blkio);
    message.hugetlb = hugetlb
        .iter()
        .map(|(size, pages)| v2::HugeTlbStat {
            current: pages.usage,
            max: pages.max,
            failcnt: pages.failcnt,
            pagesize: size.clone(),
            ..v2::HugeTlbStat::default()
        })
        .collect();
    message
}

fn from_v2(message: v2::Metrics) -> Metrics {
    let cpu = message.cpu.unwrap_or_default();
    let stat = message.memory.unwrap_or_default();
    let pids = message.pids.unwrap_or_default();
    let nanoseconds = |microseconds: u64| microseconds.saturating_mul(MICROSECOND);
    Metrics {
        version: CgroupVersion::V2,
        at: None,
        cpu: Cpu {
            total: nanoseconds(cpu.usage_usec),
            user: nanoseconds(cpu.user_usec),
            kernel: nanoseconds(cpu.system_usec),
            percpu: Vec::new(),
            periods: cpu.nr_periods,
            throttled_periods: cpu.nr_throttled,
            throttled: nanoseconds(cpu.throttled_usec),
        },
        memory: Memory {
            usage: MemoryEntry {
                limit: stat.usage_limit,
                usage: stat.usage,
                max: stat.max_usage,
                failcnt: 0,
            },
            swap: MemoryEntry {
                limit: stat.swap_limit,
                usage: stat.swap_usage,
                max: stat.swap_max_usage,
                failcnt: 0,
            },
            kernel: MemoryEntry::default(),
            kernel_tcp: MemoryEntry::default(),
            stat: stat_from_v2(&stat),
            events: events_from_v2(&message.memory_events.unwrap_or_default()),
        },
        pids: Pids { current: pids.current, limit: pids.limit },
        blkio: io_from_v2(message.io.unwrap_or_default().usage),
        hugetlb: message
            .hugetlb
            .into_iter()
            .map(|pages| {
                let one = Hugetlb { usage: pages.current, max: pages.max, failcnt: pages.failcnt };
                (pages.pagesize, one)
            })
            .collect(),
    }
}

fn io_to_v2(blkio: &Blkio) -> Vec<v2::IOEntry> {
    let mut devices: BTreeMap<(u64, u64), v2::IOEntry> = BTreeMap::new();
    let mut add = |entries: &[BlkioEntry], bytes: bool| {
        for entry in entries {
            let device = devices.entry((entry.major, entry.minor)).or_insert_with(|| v2::IOEntry {
                major: entry.major,
                minor: entry.minor,
                ..v2::IOEntry::default()
            });
            match (entry.op.as_str(), bytes) {
                ("Read", true) => device.rbytes = entry.value,
                ("Write", true) => device.wbytes = entry.value,
                ("Read", false) => device.rios = entry.value,
                ("Write", false) => device.wios = entry.value,
                // The message has no field for discards and such.
                _ => {}
            }
        }
    };
    add(&blkio.service_bytes, true);
    add(&blkio.serviced, false);
    devices.into_values().collect()
}

fn io_from_v2(devices: Vec<v2::IOEntry>) -> Blkio {
    let mut blkio = Blkio::default();
    for device in devices {
        let entry = |op: &str, value| BlkioEntry {
            major: device.major,
            minor: device.minor,
            op: op.to_owned(),
            value,
        };
        blkio.service_bytes.extend([entry("Read", device.rbytes), entry("Write", device.wbytes)]);
        blkio.serviced.extend([entry("Read", device.rios), entry("Write", device.wios)]);
    }
    blkio
}
