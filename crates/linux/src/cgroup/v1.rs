//! Resources → control files, version 1. Nothing here touches the system.

use super::error::{Error, Result};
use super::write::{Write, set, set_text};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxPids, LinuxRdma,
    LinuxThrottleDevice,
};
use std::collections::HashMap;

pub(crate) const MEMORY_LIMIT: &str = "memory.limit_in_bytes";
pub(crate) const MEMORY_AND_SWAP_LIMIT: &str = "memory.memsw.limit_in_bytes";
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// What the memory controller has at the moment, as far as the order of writes depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryNow {
    pub(crate) limit: u64,
    pub(crate) accounts_swap: bool,
}

/// The kernel insists on memory ≤ memory+swap after every single write, so the one that makes room goes first.
pub(crate) fn memory(memory: &LinuxMemory, now: MemoryNow) -> Result<Vec<Write>> {
    let limit = set(memory.limit());
    let mut swap = set(memory.swap());
    if limit == Some(-1) && swap.is_none() && now.accounts_swap {
        swap = Some(-1);
    }
    let limit_write = limit.map(|limit| Write::new(MEMORY_LIMIT, limit));
    let swap_write = swap.map(|swap| Write::new(MEMORY_AND_SWAP_LIMIT, swap));
    let grows = swap.is_some_and(|swap| u64::try_from(swap).map_or(true, |swap| now.limit < swap));
    let mut writes: Vec<Write> = if limit.is_some() && grows {
        swap_write.into_iter().chain(limit_write).collect()
    } else {
        limit_write.into_iter().chain(swap_write).collect()
    };
    writes.extend(set(memory.reservation()).map(|low| Write::new("memory.soft_limit_in_bytes", low)));
    if memory.disable_oom_killer() == Some(true) {
        writes.push(Write::new("memory.oom_control", 1));
    }
    match memory.swappiness() {
        // Some callers write "unset" as -1.
        None | Some(u64::MAX) => {}
        Some(swappiness) if swappiness <= 100 => writes.push(Write::new("memory.swappiness", swappiness)),
        Some(swappiness) => {
            return Err(Error::Invalid(format!(
                "invalid memory swappiness value: {swappiness} (valid range is 0-100)"
            )));
        }
    }
    Ok(writes)
}

pub(crate) fn cpu(cpu: &LinuxCpu) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    if let Some(shares) = set(cpu.shares()) {
        // The kernel clamps silently.
        if shares > *SHARES.end() {
            return Err(Error::Invalid(format!("the maximum allowed cpu-shares is {}", SHARES.end())));
        }
        if shares < *SHARES.start() {
            return Err(Error::Invalid(format!("the minimum allowed cpu-shares is {}", SHARES.start())));
        }
        writes.push(Write::new("cpu.shares", shares));
    }
    let quota = set(cpu.quota());
    let period = set(cpu.period());
    writes.extend(period.map(|period| Write::new("cpu.cfs_period_us", period).or_later(quota.is_some())));
    writes.extend(
        cpu.burst().map(|burst| Write::new("cpu.cfs_burst_us", burst).if_present().or_later(quota.is_some())),
    );
    writes.extend(quota.map(|quota| Write::new("cpu.cfs_quota_us", quota)));
    writes.extend(cpu.idle().map(|idle| Write::new("cpu.idle", idle)));
    Ok(writes)
}

/// A new cpu cgroup has no real-time budget, and a real-time process cannot enter it: this comes before placing.
pub(crate) fn realtime(cpu: &LinuxCpu) -> Vec<Write> {
    let runtime = set(cpu.realtime_runtime());
    let period = set(cpu.realtime_period());
    let period = period.map(|period| Write::new("cpu.rt_period_us", period).or_later(runtime.is_some()));
    let runtime = runtime.map(|runtime| Write::new("cpu.rt_runtime_us", runtime));
    period.into_iter().chain(runtime).collect()
}

/// The same files in both versions.
pub(crate) fn cpuset(cpu: &LinuxCpu) -> Vec<Write> {
    let cpus = set_text(cpu.cpus()).map(|cpus| Write::new("cpuset.cpus", cpus));
    let mems = set_text(cpu.mems()).map(|mems| Write::new("cpuset.mems", mems));
    cpus.into_iter().chain(mems).collect()
}

/// The same file in both versions. systemd cannot set 0, so 0 is 1 with either driver: no further process, too.
pub(crate) fn pids(pids: &LinuxPids) -> Vec<Write> {
    let value = match pids.limit() {
        limit if limit < 0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    };
    vec![Write::new("pids.max", value)]
}

/// `bfq` says which scheduler's files exist: those of CFQ left the kernel in 5.0.
pub(crate) fn blkio(block: &LinuxBlockIo, bfq: bool) -> Vec<Write> {
    let (weight_file, device_file) = if bfq {
        ("blkio.bfq.weight", "blkio.bfq.weight_device")
    } else {
        ("blkio.weight", "blkio.weight_device")
    };
    let mut writes = Vec::new();
    writes.extend(set(block.weight()).map(|weight| Write::new(weight_file, weight)));
    writes.extend(set(block.leaf_weight()).map(|weight| Write::new("blkio.leaf_weight", weight)));
    for device in block.weight_device().iter().flatten() {
        let line = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        writes.extend(set(device.weight()).map(|weight| Write::new(device_file, line(weight))));
        writes.extend(set(device.leaf_weight()).map(|w| Write::new("blkio.leaf_weight_device", line(w))));
    }
    let mut throttle = |devices: &Option<Vec<LinuxThrottleDevice>>, file: &'static str| {
        for device in devices.iter().flatten() {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            writes.push(Write::new(file, line));
        }
    };
    throttle(block.throttle_read_bps_device(), "blkio.throttle.read_bps_device");
    throttle(block.throttle_write_bps_device(), "blkio.throttle.write_bps_device");
    throttle(block.throttle_read_iops_device(), "blkio.throttle.read_iops_device");
    throttle(block.throttle_write_iops_device(), "blkio.throttle.write_iops_device");
    writes
}

/// Both the limit of what is used and, where the kernel has it, of what is reserved.
pub(crate) fn hugetlb(limits: &[LinuxHugepageLimit], limit_suffix: &str) -> Vec<Write> {
    limits
        .iter()
        .flat_map(|limit| {
            let size = limit.page_size();
            [
                Write::new(format!("hugetlb.{size}.{limit_suffix}"), limit.limit()),
                Write::new(format!("hugetlb.{size}.rsvd.{limit_suffix}"), limit.limit()).if_present(),
            ]
        })
        .collect()
}

/// The same file in both versions.
pub(crate) fn rdma(limits: &HashMap<String, LinuxRdma>) -> Vec<Write> {
    let line = |(device, limit): (&String, &LinuxRdma)| {
        let handles = limit.hca_handles().map(|n| format!(" hca_handle={n}")).unwrap_or_default();
        let objects = limit.hca_objects().map(|n| format!(" hca_object={n}")).unwrap_or_default();
        Write::new("rdma.max", format!("{device}{handles}{objects}"))
    };
    limits.iter().map(line).collect()
}

pub(crate) fn net_cls(network: &LinuxNetwork) -> Vec<Write> {
    set(network.class_id()).map(|class| Write::new("net_cls.classid", class)).into_iter().collect()
}

pub(crate) fn net_prio(network: &LinuxNetwork) -> Vec<Write> {
    let priorities = network.priorities().iter().flatten();
    priorities
        .map(|interface| {
            Write::new("net_prio.ifpriomap", format!("{} {}", interface.name(), interface.priority()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::write::shown;

    fn parse<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn memory_and_swap_are_written_in_the_order_the_kernel_accepts() {
        for (json, now, expected) in [
            (r#"{"limit":100,"swap":200}"#, u64::MAX, vec!["limit=100", "memsw=200"]),
            (r#"{"limit":100,"swap":200}"#, 50, vec!["memsw=200", "limit=100"]),
            (r#"{"limit":100,"swap":-1}"#, u64::MAX, vec!["memsw=-1", "limit=100"]),
            (r#"{"limit":-1}"#, 50, vec!["memsw=-1", "limit=-1"]),
            (r#"{"swap":200}"#, 50, vec!["memsw=200"]),
            (r#"{"limit":0,"swap":0,"kernel":5,"kernelTCP":5}"#, 50, vec![]),
            (
                r#"{"limit":7,"reservation":5,"swappiness":0,"disableOOMKiller":true}"#,
                50,
                vec!["limit=7", "soft=5", "oom_control=1", "swappiness=0"],
            ),
        ] {
            let writes = memory(&parse(json), MemoryNow { limit: now, accounts_swap: true }).unwrap();
            let shown: Vec<String> = shown(&writes)
                .iter()
                .map(|w| {
                    w.replace("memory.memsw.limit_in_bytes", "memsw")
                        .replace("memory.soft_limit_in_bytes", "soft")
                        .replace("memory.limit_in_bytes", "limit")
                        .replace("memory.", "")
                })
                .collect();
            assert_eq!(shown, expected, "{json} at {now}");
        }
        let too_much = memory(&parse(r#"{"swappiness":101}"#), MemoryNow { limit: 1, accounts_swap: false });
        assert_eq!(
            too_much.unwrap_err().to_string(),
            "invalid memory swappiness value: 101 (valid range is 0-100)"
        );
    }

    #[test]
    fn cpu_limits_become_writes() {
        for (json, expected) in [
            (
                r#"{"shares":512,"quota":20000,"period":100000,"burst":0,"idle":1}"#,
                vec![
                    "cpu.shares=512",
                    "cpu.cfs_period_us=100000",
                    "cpu.cfs_burst_us=0",
                    "cpu.cfs_quota_us=20000",
                    "cpu.idle=1",
                ],
            ),
            (r#"{"quota":-1}"#, vec!["cpu.cfs_quota_us=-1"]),
            (r#"{"shares":0,"quota":0,"period":0}"#, vec![]),
        ] {
            assert_eq!(shown(&cpu(&parse(json)).unwrap()), expected, "{json}");
        }
        for (shares, text) in [
            (1, "the minimum allowed cpu-shares is 2"),
            (262_145, "the maximum allowed cpu-shares is 262144"),
        ] {
            let error = cpu(&parse(&format!(r#"{{"shares":{shares}}}"#))).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let rt = realtime(&parse(r#"{"realtimeRuntime":950000,"realtimePeriod":1000000}"#));
        assert_eq!(shown(&rt), ["cpu.rt_period_us=1000000", "cpu.rt_runtime_us=950000"]);
    }

    #[test]
    fn every_other_limit_becomes_writes() {
        assert_eq!(shown(&cpuset(&parse(r#"{"cpus":"0-1","mems":""}"#))), ["cpuset.cpus=0-1"]);
        for (limit, expected) in [(20, "20"), (-1, "max"), (0, "1")] {
            let pids = pids(&parse(&format!(r#"{{"limit":{limit}}}"#)));
            assert_eq!(shown(&pids), [format!("pids.max={expected}")]);
        }
        let block = parse(
            r#"{"weight":10,"leafWeight":11,"weightDevice":[{"major":8,"minor":0,"weight":500,"leafWeight":300}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":300}]}"#,
        );
        assert_eq!(
            shown(&blkio(&block, true)),
            [
                "blkio.bfq.weight=10",
                "blkio.leaf_weight=11",
                "blkio.bfq.weight_device=8:0 500",
                "blkio.leaf_weight_device=8:0 300",
                "blkio.throttle.read_bps_device=8:0 600",
                "blkio.throttle.write_iops_device=8:16 300",
            ]
        );
        assert_eq!(shown(&blkio(&block, false))[0], "blkio.weight=10");
        let huge: Vec<LinuxHugepageLimit> = parse(r#"[{"pageSize":"2MB","limit":9}]"#);
        assert_eq!(
            shown(&hugetlb(&huge, "limit_in_bytes")),
            ["hugetlb.2MB.limit_in_bytes=9", "hugetlb.2MB.rsvd.limit_in_bytes=9"]
        );
        let rdma_limits: HashMap<String, LinuxRdma> =
            parse(r#"{"mlx5_1":{"hcaHandles":3,"hcaObjects":100}}"#);
        assert_eq!(shown(&rdma(&rdma_limits)), ["rdma.max=mlx5_1 hca_handle=3 hca_object=100"]);
        let network = parse(r#"{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]}"#);
        assert_eq!(shown(&net_cls(&network)), ["net_cls.classid=1048577"]);
        assert_eq!(shown(&net_prio(&network)), ["net_prio.ifpriomap=eth0 500"]);
    }
}
