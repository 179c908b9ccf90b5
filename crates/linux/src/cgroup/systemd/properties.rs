//! Resources → properties of a unit. systemd knows less than the kernel, so all of it is written to the control files
//! as well; but what systemd does not know it may one day undo.

use super::unit::{Unit, parse_property};
use super::value::Value;
use crate::cgroup::devices::{Device, Policy, Type};
use crate::cgroup::error::{Error, Result};
use crate::cgroup::layout::Kind;
use crate::cgroup::v2;
use crate::cgroup::write::{set, set_text};
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

type Properties = Vec<(String, Value)>;

const INFINITY: u64 = u64::MAX;
const DEFAULT_PERIOD: u64 = 100_000;
const DEFAULT_WEIGHT: u64 = 100;

/// The versions of systemd that learnt something.
const WILDCARD_MINOR: u32 = 240;
const QUOTA_PERIOD: u32 = 242;
const ALLOWED_CPUS: u32 = 244;
const CPU_IDLE: u32 = 252;

/// What is in force where the request is silent but the conversion needs it.
#[derive(Debug, Default)]
pub(crate) struct Now {
    /// -1 is none.
    pub(crate) memory_limit: Option<i64>,
    /// In the form of cgroup2: `quota period`.
    pub(crate) cpu_max: Option<String>,
}

/// The unit itself, without limits.
pub(super) fn of_unit(unit: &Unit, layout: Kind, pid: i32, resources: &LinuxResources) -> Result<Properties> {
    let pid = u32::try_from(pid).map_err(|_| Error::Invalid(format!("{pid} is no process")))?;
    let mut properties = Properties::new();
    let mut add = |name: &str, value| properties.push((name.to_owned(), value));
    add("Description", Value::String(format!("libcontainer container {}", unit.container)));
    if unit.is_slice() {
        // A slice is where its name says; it only pulls in its parent.
        add("Wants", Value::strings([unit.slice.as_str()]));
    } else {
        add("Slice", unit.slice.as_str().into());
        add("Delegate", Value::Bool(true));
        add("PIDs", Value::Array("u".into(), vec![Value::U32(pid)]));
    }
    let io_accounting = if layout == Kind::V2 { "IOAccounting" } else { "BlockIOAccounting" };
    for accounting in ["MemoryAccounting", "CPUAccounting", io_accounting, "TasksAccounting"] {
        add(accounting, Value::Bool(true));
    }
    add("DefaultDependencies", Value::Bool(false));
    for (name, text) in &unit.properties {
        properties.push(parse_property(name, text)?);
    }
    match unified(resources, "memory.oom.group") {
        Some("0") => properties.push(("OOMPolicy".into(), "continue".into())),
        Some("1") => properties.push(("OOMPolicy".into(), "kill".into())),
        _ => {}
    }
    Ok(properties)
}

fn unified<'a>(resources: &'a LinuxResources, key: &str) -> Option<&'a str> {
    resources.unified().as_ref()?.get(key).map(|value| value.trim())
}

/// The limits. `policy` is that of a new container's devices.
pub(super) fn of_resources(
    layout: Kind,
    resources: &LinuxResources,
    policy: Option<&Policy>,
    now: &Now,
    version: u32,
) -> Result<Properties> {
    let mut properties = Properties::new();
    if let Some(policy) = policy {
        properties.extend(devices(policy, version));
    }
    if let Some(limits) = resources.memory() {
        properties.extend(memory(layout, limits, now)?);
    }
    if let Some(limits) = resources.cpu() {
        properties.extend(cpu(layout, limits, now, version));
        properties.extend(cpuset(set_text(limits.cpus()), set_text(limits.mems()), version)?);
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|block| set(block.weight())) {
        properties.push(match layout {
            Kind::V2 => ("IOWeight".into(), Value::U64(v2::io_weight(weight))),
            Kind::V1 | Kind::Hybrid => ("BlockIOWeight".into(), Value::U64(weight.into())),
        });
    }
    if let Some(pids) = resources.pids() {
        let limit = u64::try_from(pids.limit()).map_or(INFINITY, |limit| limit.max(1));
        properties.push(("TasksMax".into(), Value::U64(limit)));
    }
    if layout == Kind::V2 {
        properties.extend(of_unified(resources, version)?);
    }
    Ok(properties)
}

/// -1 is without limit.
fn bytes(limit: i64) -> Value {
    Value::U64(u64::try_from(limit).unwrap_or(INFINITY))
}

fn memory(layout: Kind, memory: &LinuxMemory, now: &Now) -> Result<Properties> {
    let mut properties = Properties::new();
    let limit = set(memory.limit());
    if layout != Kind::V2 {
        properties.extend(limit.map(|limit| ("MemoryLimit".to_owned(), bytes(limit))));
        return Ok(properties);
    }
    properties.extend(limit.map(|limit| ("MemoryMax".to_owned(), bytes(limit))));
    properties.extend(set(memory.reservation()).map(|low| ("MemoryLow".to_owned(), bytes(low))));
    let swap = v2::swap_alone(memory.swap(), limit, now.memory_limit)?;
    properties.extend(swap.map(|swap| ("MemorySwapMax".to_owned(), bytes(swap))));
    Ok(properties)
}

fn cpu(layout: Kind, cpu: &LinuxCpu, now: &Now, version: u32) -> Properties {
    let mut properties = Properties::new();
    let shares = set(cpu.shares());
    if layout == Kind::V2 {
        let weight = match (cpu.idle(), shares) {
            // A weight of 0 is systemd's way to say idle.
            (Some(1), _) if version >= CPU_IDLE => Some(0),
            (Some(0), None) if version >= CPU_IDLE => Some(DEFAULT_WEIGHT),
            (_, shares) => shares.map(v2::weight_of_shares),
        };
        properties.extend(weight.map(|weight| ("CPUWeight".to_owned(), Value::U64(weight))));
    } else {
        properties.extend(shares.map(|shares| ("CPUShares".to_owned(), Value::U64(shares))));
    }
    let (quota, period) = (set(cpu.quota()), set(cpu.period()));
    if quota.is_some() || period.is_some() {
        let (quota_now, period_now) = parse_max(now.cpu_max.as_deref().unwrap_or_default());
        let quota = quota.map_or(quota_now, |quota| u64::try_from(quota).ok());
        properties.extend(quota_properties(quota, period, period.unwrap_or(period_now), version));
    }
    properties
}

/// `max 100000`.
fn parse_max(text: &str) -> (Option<u64>, u64) {
    let mut fields = text.split_whitespace();
    let quota = fields.next().and_then(|quota| quota.parse().ok());
    (quota, fields.next().and_then(|period| period.parse().ok()).unwrap_or(DEFAULT_PERIOD))
}

fn quota_properties(quota: Option<u64>, given: Option<u64>, period: u64, version: u32) -> Properties {
    // systemd keeps whole per cents of a processor: rounded up, or the container could not set what it was given.
    const GRANULARITY: u64 = 10_000;
    let per_second = quota.map_or(INFINITY, |quota| {
        let exact = quota.saturating_mul(1_000_000).checked_div(period).unwrap_or(INFINITY);
        exact.checked_next_multiple_of(GRANULARITY).unwrap_or(INFINITY)
    });
    let period = given.filter(|_| version >= QUOTA_PERIOD);
    let period = period.map(|period| ("CPUQuotaPeriodUSec".to_owned(), Value::U64(period)));
    period.into_iter().chain([("CPUQuotaPerSecUSec".to_owned(), Value::U64(per_second))]).collect()
}

fn cpuset(cpus: Option<&str>, mems: Option<&str>, version: u32) -> Result<Properties> {
    let mut properties = Properties::new();
    if version < ALLOWED_CPUS {
        return Ok(properties);
    }
    for (field, list, name) in [("Cpus", cpus, "AllowedCPUs"), ("Mems", mems, "AllowedMemoryNodes")] {
        let Some(list) = list else { continue };
        let bits = bits(list).ok_or_else(|| {
            Error::Invalid(format!("resources.CPU.{field}={list:?} conversion error: not a list of numbers"))
        })?;
        properties.push((name.to_owned(), Value::bytes(bits)));
    }
    Ok(properties)
}

/// `0-2,9` → one bit for each, the lowest first.
fn bits(list: &str) -> Option<Vec<u8>> {
    const HIGHEST: usize = 1 << 16;
    let mut bits = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= HIGHEST {
            return None;
        }
        bits.resize(bits.len().max(last / 8 + 1), 0);
        for number in first..=last {
            *bits.get_mut(number / 8)? |= 1u8 << (number % 8);
        }
    }
    (!bits.is_empty()).then_some(bits)
}

/// systemd only knows lists of what is allowed. What it cannot say is put right by our own rules afterwards.
fn devices(policy: &Policy, version: u32) -> Properties {
    let list = |entries| ("DeviceAllow".to_owned(), Value::Array("(ss)".into(), entries));
    if policy.allows_all() {
        return vec![("DevicePolicy".into(), "auto".into()), list(vec![])];
    }
    let strict = ("DevicePolicy".to_owned(), Value::from("strict"));
    if policy.allows_by_default {
        log::warn!("systemd doesn't support blacklist device rules -- applying temporary deny-all rule");
        return vec![strict, list(vec![])];
    }
    let entry = |device: &Device| {
        let typ = match device.typ {
            Type::Block => "block",
            Type::Char => "char",
        };
        match (device.major, device.minor) {
            (None, None) => Some(format!("{typ}-*")),
            (Some(major), None) if version >= WILDCARD_MINOR => Some(format!("{typ}-{major}")),
            (Some(major), Some(minor)) => Some(format!("/dev/{typ}/{major}:{minor}")),
            (Some(_), None) | (None, Some(_)) => None,
        }
    };
    let entries = policy.exceptions.iter().filter_map(|(device, access)| {
        let Some(path) = entry(device) else {
            log::warn!("systemd cannot express the device rule {device} {access}");
            return None;
        };
        Some(Value::Struct(vec![Value::String(path), Value::String(access.to_string())]))
    });
    // The empty list first removes what is there.
    vec![strict, list(vec![]), list(entries.collect())]
}

fn of_unified(resources: &LinuxResources, version: u32) -> Result<Properties> {
    let Some(map) = resources.unified() else { return Ok(Properties::new()) };
    let mut properties = Properties::new();
    let idle = version >= CPU_IDLE && unified(resources, "cpu.idle") == Some("1");
    for (key, value) in v2::unified(map)? {
        let value = value.trim();
        let bad = || Error::Invalid(format!("unified resource {key:?} value invalid: {value:?}"));
        let number = || match value {
            "max" => Ok(Value::U64(INFINITY)),
            number => number.parse().map(Value::U64).map_err(|_| bad()),
        };
        let property = match key {
            "cpu.weight" if idle => continue,
            "cpu.weight" => ("CPUWeight", Value::U64(value.parse().map_err(|_| bad())?)),
            "cpu.idle" if idle => ("CPUWeight", Value::U64(0)),
            "cpu.max" => {
                let mut fields = value.split_whitespace();
                let quota = match fields.next().ok_or_else(bad)? {
                    "max" => None,
                    quota => Some(quota.parse().map_err(|_| bad())?),
                };
                let period = fields.next().map_or(Ok(DEFAULT_PERIOD), str::parse).map_err(|_| bad())?;
                if fields.next().is_some() {
                    return Err(bad());
                }
                properties.extend(quota_properties(quota, Some(period), period, version));
                continue;
            }
            "cpuset.cpus" | "cpuset.mems" if version < ALLOWED_CPUS => continue,
            "cpuset.cpus" => ("AllowedCPUs", Value::bytes(bits(value).ok_or_else(bad)?)),
            "cpuset.mems" => ("AllowedMemoryNodes", Value::bytes(bits(value).ok_or_else(bad)?)),
            "memory.high" => ("MemoryHigh", number()?),
            "memory.low" => ("MemoryLow", number()?),
            "memory.min" => ("MemoryMin", number()?),
            "memory.max" => ("MemoryMax", number()?),
            "memory.swap.max" => ("MemorySwapMax", number()?),
            "pids.max" => ("TasksMax", number()?),
            // Anything else is between us and the kernel.
            _ => continue,
        };
        properties.push((property.0.to_owned(), property.1));
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(properties: &Properties) -> Vec<String> {
        let value = |value: &Value| match value {
            Value::U64(INFINITY) => "∞".into(),
            Value::U64(n) => n.to_string(),
            Value::String(text) => text.clone(),
            Value::Bool(b) => b.to_string(),
            other => format!("{other:?}"),
        };
        properties.iter().map(|(name, v)| format!("{name}={}", value(v))).collect()
    }

    fn of(layout: Kind, json: &str, now: &Now, version: u32) -> Vec<String> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        shown(&of_resources(layout, &resources, None, now, version).unwrap())
    }

    #[test]
    fn limits_become_properties_of_cgroup2() {
        let new = Now::default();
        for (json, now, version, expected) in [
            (
                r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
                &new,
                257,
                vec!["MemoryMax=100", "MemoryLow=50", "MemorySwapMax=200"],
            ),
            (r#"{"memory":{"limit":-1}}"#, &new, 257, vec!["MemoryMax=∞", "MemorySwapMax=∞"]),
            (
                r#"{"cpu":{"shares":1024,"quota":5000,"period":30000}}"#,
                &new,
                257,
                vec!["CPUWeight=100", "CPUQuotaPeriodUSec=30000", "CPUQuotaPerSecUSec=170000"],
            ),
            (r#"{"cpu":{"quota":5000,"period":10000}}"#, &new, 241, vec!["CPUQuotaPerSecUSec=500000"]),
            (
                r#"{"cpu":{"period":50000}}"#,
                &Now { cpu_max: Some("25000 100000".into()), ..Now::default() },
                257,
                vec!["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=500000"],
            ),
            (r#"{"cpu":{"quota":-1}}"#, &new, 257, vec!["CPUQuotaPerSecUSec=∞"]),
            (r#"{"cpu":{"idle":1,"shares":7}}"#, &new, 257, vec!["CPUWeight=0"]),
            (r#"{"cpu":{"idle":0}}"#, &new, 257, vec!["CPUWeight=100"]),
            (r#"{"cpu":{"idle":1}}"#, &new, 251, vec![]),
            (
                r#"{"pids":{"limit":20},"blockIO":{"weight":1000}}"#,
                &new,
                257,
                vec!["IOWeight=10000", "TasksMax=20"],
            ),
            (r#"{"pids":{"limit":-1}}"#, &new, 257, vec!["TasksMax=∞"]),
            (
                r#"{"unified":{"memory.high":"max","memory.min":"5","cpu.max":"20000","pids.max":"9","io.max":"x"}}"#,
                &new,
                257,
                vec![
                    "CPUQuotaPeriodUSec=100000",
                    "CPUQuotaPerSecUSec=200000",
                    "MemoryHigh=∞",
                    "MemoryMin=5",
                    "TasksMax=9",
                ],
            ),
        ] {
            assert_eq!(of(Kind::V2, json, now, version), expected, "{json}");
        }
    }

    #[test]
    fn limits_become_properties_of_version_1() {
        let json = r#"{"memory":{"limit":100,"swap":300},"cpu":{"shares":512},"blockIO":{"weight":10}}"#;
        for layout in [Kind::V1, Kind::Hybrid] {
            assert_eq!(
                of(layout, json, &Now::default(), 247),
                ["MemoryLimit=100", "CPUShares=512", "BlockIOWeight=10"]
            );
        }
    }

    #[test]
    fn a_list_of_cpus_is_bits() {
        assert_eq!(bits("0-2,9"), Some(vec![0b111, 0b10]));
        assert_eq!(bits("8"), Some(vec![0, 1]));
        for bad in ["", "x", "3-1", "99999999999", "65536", "-1"] {
            assert_eq!(bits(bad), None, "{bad}");
        }
        let properties = cpuset(Some("0"), Some("0-1"), 244).unwrap();
        assert_eq!(properties[0], ("AllowedCPUs".into(), Value::bytes(vec![1])));
        assert_eq!(properties[1], ("AllowedMemoryNodes".into(), Value::bytes(vec![3])));
        assert!(cpuset(Some("0"), None, 243).unwrap().is_empty());
    }

    #[test]
    fn device_rules_are_said_as_far_as_systemd_understands() {
        let rules = r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","minor":7,"access":"r"}]"#;
        let policy = Policy::of_spec(&serde_json::from_str::<Vec<_>>(rules).unwrap()).unwrap();
        let properties = devices(&policy, 257);
        assert_eq!(shown(&properties)[0], "DevicePolicy=strict");
        let Value::Array(_, entries) = &properties[2].1 else { panic!() };
        let entry = |path: &str, access: &str| Value::Struct(vec![path.into(), access.into()]);
        for expected in [
            entry("char-*", "m"),
            entry("block-*", "m"),
            entry("char-136", "rwm"),
            entry("/dev/char/1:3", "rwm"),
        ] {
            assert!(entries.contains(&expected), "{expected:?}");
        }
        assert_eq!(entries.len(), policy.exceptions.len() - 1);
        let all = Policy { allows_by_default: true, ..Policy::default() };
        assert_eq!(shown(&devices(&all, 257))[0], "DevicePolicy=auto");
    }

    #[test]
    fn a_unit_says_who_is_in_it_and_that_it_is_delegated() {
        let resources: LinuxResources =
            serde_json::from_str(r#"{"unified":{"memory.oom.group":"1"}}"#).unwrap();
        let annotations = [("org.systemd.property.TimeoutStopSec".to_owned(), "5".to_owned())].into();
        let unit = Unit::plan("c", Some(":p:c"), false, Some(&annotations)).unwrap();
        assert_eq!(
            shown(&of_unit(&unit, Kind::V2, 42, &resources).unwrap()),
            [
                "Description=libcontainer container c",
                "Slice=system.slice",
                "Delegate=true",
                "PIDs=Array(\"u\", [U32(42)])",
                "MemoryAccounting=true",
                "CPUAccounting=true",
                "IOAccounting=true",
                "TasksAccounting=true",
                "DefaultDependencies=false",
                "TimeoutStopUSec=5000000",
                "OOMPolicy=kill",
            ]
        );
        let slice = Unit::plan("c", Some("a.slice:p:a-b.slice"), false, None).unwrap();
        let properties = shown(&of_unit(&slice, Kind::V1, 42, &LinuxResources::default()).unwrap());
        assert!(properties[1].starts_with("Wants="), "{properties:?}");
        assert!(!properties.iter().any(|p| p.starts_with("PIDs") || p.starts_with("Delegate")));
    }
}
