//! Resources → control files, cgroup2. Nothing here touches the system. The specification speaks the language of
//! version 1; what has another unit or range here is converted as runc does.

use super::error::{Error, Result};
use super::write::{Write, set};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxThrottleDevice};
use std::collections::HashMap;

const DEFAULT_PERIOD: u64 = 100_000;

/// `max` is how cgroup2 spells the -1 of version 1.
fn or_max(value: i64) -> String {
    if value == -1 { "max".into() } else { value.to_string() }
}

/// `limit_now` is the limit in force, which counts where the request has none.
pub(crate) fn memory(memory: &LinuxMemory, limit_now: Option<i64>) -> Result<Vec<Write>> {
    if memory.disable_oom_killer() == Some(true) {
        return Err(Error::Unsupported("the OOM killer cannot be disabled on cgroup v2".into()));
    }
    if memory.swappiness().is_some_and(|swappiness| swappiness != u64::MAX) {
        return Err(Error::Unsupported("memory swappiness cannot be set on cgroup v2".into()));
    }
    let mut writes = Vec::new();
    if let Some(swap) = swap_alone(memory.swap(), set(memory.limit()), limit_now)? {
        let write = Write::new("memory.swap.max", or_max(swap));
        // Without swap accounting nothing is what these two ask for.
        writes.push(if swap <= 0 { write.if_present() } else { write });
    }
    writes.extend(set(memory.limit()).map(|limit| Write::new("memory.max", or_max(limit))));
    writes.extend(set(memory.reservation()).map(|low| Write::new("memory.low", or_max(low))));
    Ok(writes)
}

/// The specification limits memory and swap together, cgroup2 limits swap.
pub(crate) fn swap_alone(
    both: Option<i64>,
    limit: Option<i64>,
    limit_now: Option<i64>,
) -> Result<Option<i64>> {
    match (set(both), limit) {
        (None, Some(-1)) => Ok(Some(-1)),
        (None, _) => Ok(None),
        (Some(both), Some(-1)) => Ok(Some(both)),
        (Some(-1), _) => Ok(Some(-1)),
        (Some(both), limit) => match limit.or(limit_now.filter(|now| *now >= 0)) {
            None => Err(Error::Invalid("unable to set swap limit without memory limit".into())),
            Some(limit) if limit < 0 => Err(Error::Invalid(format!("invalid memory value: {limit}"))),
            Some(limit) if both < limit => {
                Err(Error::Invalid("memory+swap limit should be >= memory limit".into()))
            }
            Some(limit) => Ok(Some(both.saturating_sub(limit))),
        },
    }
}

/// Whether the request asks for the check of usage, and what it may not go below.
pub(crate) fn check_usage(memory: &LinuxMemory, usage: u64) -> Result<()> {
    let at_or_below = |limit: Option<i64>| {
        limit.filter(|limit| *limit > 0 && u64::try_from(*limit).is_ok_and(|limit| limit <= usage))
    };
    if let Some(swap) = at_or_below(memory.swap()) {
        return Err(Error::Invalid(format!("rejecting memory+swap limit {swap} <= usage {usage}")));
    }
    if let Some(limit) = at_or_below(memory.limit()) {
        return Err(Error::Invalid(format!("rejecting memory limit {limit} <= usage {usage}")));
    }
    Ok(())
}

/// `max_now` is the content of `cpu.max`: the one of quota and period that is not given stays.
pub(crate) fn cpu(cpu: &LinuxCpu, max_now: Option<&str>) -> Result<Vec<Write>> {
    if set(cpu.realtime_runtime()).is_some() || set(cpu.realtime_period()).is_some() {
        return Err(Error::Unsupported("real-time limits cannot be set on cgroup v2".into()));
    }
    let mut writes = Vec::new();
    writes.extend(cpu.idle().map(|idle| Write::new("cpu.idle", idle)));
    writes.extend(set(cpu.shares()).map(|shares| Write::new("cpu.weight", weight_of_shares(shares))));
    let (quota, period) = (set(cpu.quota()), set(cpu.period()));
    let changes_max = quota.is_some() || period.is_some();
    writes.extend(
        cpu.burst().map(|burst| Write::new("cpu.max.burst", burst).if_present().or_later(changes_max)),
    );
    if changes_max {
        let mut now = max_now.unwrap_or_default().split_whitespace();
        let quota_now = now.next().unwrap_or("max").to_owned();
        let period_now = now.next().and_then(|period| period.parse().ok()).unwrap_or(DEFAULT_PERIOD);
        let quota = match quota {
            None => quota_now,
            Some(quota) if quota > 0 => quota.to_string(),
            Some(_) => "max".into(),
        };
        writes.push(Write::new("cpu.max", format!("{quota} {}", period.unwrap_or(period_now))));
    }
    Ok(writes)
}

/// 2…262144 → 1…10000, through the point that both call normal: 1024 → 100.
pub(crate) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            #[expect(clippy::cast_precision_loss, reason = "at most 262144")]
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = 10f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

/// 10…1000 → 1…10000.
pub(crate) fn io_weight(blkio: u16) -> u64 {
    u64::from(blkio).saturating_sub(10).saturating_mul(9999) / 990 + 1
}

/// Which weight files the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IoWeights {
    /// Only `io.weight`.
    Io,
    /// `io.bfq.weight`, without weights for single devices.
    Bfq,
    /// `io.bfq.weight`, with them (Linux 5.4).
    BfqDevices,
}

pub(crate) fn io(block: &LinuxBlockIo, weights: IoWeights) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(set(block.weight()).map(|weight| match weights {
        IoWeights::Io => Write::new("io.weight", io_weight(weight)),
        IoWeights::Bfq | IoWeights::BfqDevices => Write::new("io.bfq.weight", weight),
    }));
    for device in block.weight_device().iter().flatten() {
        let Some(weight) = set(device.weight()) else { continue };
        let line = |weight: u64| format!("{}:{} {weight}", device.major(), device.minor());
        writes.extend(match weights {
            IoWeights::BfqDevices => Some(Write::new("io.bfq.weight", line(weight.into()))),
            IoWeights::Io => Some(Write::new("io.weight", line(io_weight(weight)))),
            IoWeights::Bfq => None,
        });
    }
    let mut throttle = |devices: &Option<Vec<LinuxThrottleDevice>>, key: &str| {
        for device in devices.iter().flatten() {
            // Zero lifts the limit in version 1; here it is out of range.
            let rate = set(Some(device.rate())).map_or("max".into(), |rate| rate.to_string());
            writes.push(Write::new("io.max", format!("{}:{} {key}={rate}", device.major(), device.minor())));
        }
    };
    throttle(block.throttle_read_bps_device(), "rbps");
    throttle(block.throttle_write_bps_device(), "wbps");
    throttle(block.throttle_read_iops_device(), "riops");
    throttle(block.throttle_write_iops_device(), "wiops");
    writes
}

/// One key of `unified`, in the order of the file names so that two runs do the same.
pub(crate) fn unified(map: &HashMap<String, String>) -> Result<Vec<(&str, &str)>> {
    let mut pairs: Vec<(&str, &str)> =
        map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    for (key, _) in &pairs {
        if key.contains('/') {
            return Err(Error::Invalid(format!("unified resource {key:?} must be a file name (no slashes)")));
        }
        if key.find('.').is_none_or(|dot| dot == 0) {
            return Err(Error::Invalid(format!(
                "unified resource {key:?} must be in the form CONTROLLER.PARAMETER"
            )));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::write::shown;

    fn parse<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn memory_and_swap_become_what_cgroup2_calls_them() {
        for (json, now, expected) in [
            (
                r#"{"limit":100,"swap":300,"reservation":50}"#,
                None,
                Ok("memory.swap.max=200 memory.max=100 memory.low=50"),
            ),
            (r#"{"limit":100,"swap":100}"#, None, Ok("memory.swap.max=0 memory.max=100")),
            (r#"{"limit":100,"swap":-1}"#, None, Ok("memory.swap.max=max memory.max=100")),
            (r#"{"limit":-1}"#, None, Ok("memory.swap.max=max memory.max=max")),
            (r#"{"limit":-1,"swap":7}"#, None, Ok("memory.swap.max=7 memory.max=max")),
            (r#"{"swap":300}"#, Some(100), Ok("memory.swap.max=200")),
            (r#"{"swap":300}"#, None, Err("unable to set swap limit without memory limit")),
            (r#"{"swap":300}"#, Some(-1), Err("unable to set swap limit without memory limit")),
            (r#"{"limit":100,"swap":50}"#, None, Err("memory+swap limit should be >= memory limit")),
            (r#"{"kernel":3,"disableOOMKiller":false}"#, None, Ok("")),
            (r#"{"disableOOMKiller":true}"#, None, Err("the OOM killer cannot be disabled on cgroup v2")),
        ] {
            let got = memory(&parse(json), now).map(|w| shown(&w).join(" ")).map_err(|e| e.to_string());
            assert_eq!(got, expected.map(str::to_owned).map_err(str::to_owned), "{json}");
        }
    }

    #[test]
    fn limits_at_or_below_usage_are_refused() {
        let text = |json: &str| check_usage(&parse(json), 100).map_err(|e| e.to_string());
        assert_eq!(text(r#"{"limit":100}"#), Err("rejecting memory limit 100 <= usage 100".into()));
        assert_eq!(
            text(r#"{"limit":10,"swap":50}"#),
            Err("rejecting memory+swap limit 50 <= usage 100".into())
        );
        assert_eq!(text(r#"{"limit":101,"swap":-1}"#), Ok(()));
    }

    #[test]
    fn cpu_limits_become_writes() {
        for (json, now, expected) in [
            (r#"{"quota":20000,"period":50000}"#, None, Ok("cpu.max=20000 50000")),
            (r#"{"quota":20000}"#, None, Ok("cpu.max=20000 100000")),
            (r#"{"quota":20000}"#, Some("max 50000\n"), Ok("cpu.max=20000 50000")),
            (r#"{"period":50000}"#, Some("7000 100000\n"), Ok("cpu.max=7000 50000")),
            (r#"{"quota":-1}"#, Some("7000 100000\n"), Ok("cpu.max=max 100000")),
            (r#"{"idle":1,"shares":1024,"burst":9}"#, None, Ok("cpu.idle=1 cpu.weight=100 cpu.max.burst=9")),
            (r#"{"realtimeRuntime":0}"#, None, Ok("")),
            (r#"{"realtimeRuntime":9}"#, None, Err("real-time limits cannot be set on cgroup v2")),
        ] {
            let got = cpu(&parse(json), now).map(|w| shown(&w).join(" ")).map_err(|e| e.to_string());
            assert_eq!(got, expected.map(str::to_owned).map_err(str::to_owned), "{json}");
        }
    }

    #[test]
    fn shares_and_weights_meet_at_both_ends_and_in_the_middle() {
        for (shares, weight) in [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let all: Vec<u64> = (2..=262_144).step_by(101).map(weight_of_shares).collect();
        assert!(all.is_sorted());
        for (blkio, io) in [(10, 1), (1000, 10_000), (0, 1), (500, 4950)] {
            assert_eq!(io_weight(blkio), io, "{blkio}");
        }
    }

    #[test]
    fn block_io_becomes_writes() {
        let block = parse(
            r#"{"weight":100,"weightDevice":[{"major":8,"minor":0,"weight":500}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}"#,
        );
        let io_max = ["io.max=8:0 rbps=600", "io.max=8:16 wiops=max"];
        assert_eq!(
            shown(&io(&block, IoWeights::Io)),
            [&["io.weight=910", "io.weight=8:0 4950"], &io_max[..]].concat()
        );
        assert_eq!(shown(&io(&block, IoWeights::Bfq)), [&["io.bfq.weight=100"], &io_max[..]].concat());
        assert_eq!(
            shown(&io(&block, IoWeights::BfqDevices)),
            [&["io.bfq.weight=100", "io.bfq.weight=8:0 500"], &io_max[..]].concat()
        );
    }

    #[test]
    fn unified_keys_are_file_names() {
        let error = |key: &str| unified(&HashMap::from([(key.into(), "1".into())])).unwrap_err().to_string();
        assert_eq!(error("a/b.c"), r#"unified resource "a/b.c" must be a file name (no slashes)"#);
        assert_eq!(error("a"), r#"unified resource "a" must be in the form CONTROLLER.PARAMETER"#);
        let good = HashMap::from([("memory.high".into(), "1".into()), ("cpu.max".into(), "2".into())]);
        assert_eq!(unified(&good).unwrap(), [("cpu.max", "2"), ("memory.high", "1")]);
    }
}
