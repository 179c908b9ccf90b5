//! From what plugins want to a container's configuration, again as JSON. What this daemon or the specification has no
//! word for is refused with its name.

use ::nri::api::{self, IoPrioClass, LinuxSchedulerFlag, LinuxSchedulerPolicy, MpolFlag, MpolMode};
use oci_spec::runtime::{LinuxResources, Spec};
use serde_json::{Map, Value, json};

use crate::error::{Attempt as _, Error, Kind, Result};
use crate::host::Host;
use crate::wire::v1;

/// The configuration with everything in it that plugins want, but for what has only a name there: devices of the Container
/// Device Interface and classes of quality of service.
pub(super) fn adjust(spec: &Spec, wanted: &api::ContainerAdjustment, host: &Host) -> Result<Spec> {
    let wrong = || "apply what NRI plugins want of a container".to_owned();
    let mut json = serde_json::to_value(spec).attempt(wrong)?;
    let spec = &mut json;
    for (name, value) in &wanted.annotations {
        set_word(object(&mut spec["annotations"]), name, value);
    }
    mounts(spec, &wanted.mounts);
    variables(list(&mut spec["process"]["env"]), &wanted.env);
    if !wanted.args.is_empty() {
        spec["process"]["args"] = json!(wanted.args);
    }
    if let Some(hooks) = &wanted.hooks {
        add_hooks(&mut spec["hooks"], hooks);
    }
    for limit in &wanted.rlimits {
        let limits = list(&mut spec["process"]["rlimits"]);
        limits.retain(|known| known["type"] != limit.r#type.as_str());
        limits.push(json!({"type": limit.r#type, "hard": limit.hard, "soft": limit.soft}));
    }
    if let Some(linux) = &wanted.linux {
        adjust_linux(spec, linux, host)?;
    }
    serde_json::from_value(json).attempt_as(Kind::Invalid, wrong)
}

/// Sets those limits that plugins have set.
pub(super) fn set_limits(
    resources: &LinuxResources,
    wanted: &api::LinuxResources,
    host: &Host,
) -> Result<LinuxResources> {
    let wrong = || "apply limits of NRI plugins".to_owned();
    for (class, field) in [(&wanted.blockio_class, "blockio_class"), (&wanted.rdt_class, "rdt_class")] {
        if let Some(class) = class {
            let says =
                format!("an NRI plugin wants {field} {:?} of a container that is made already", class.value);
            return Err(Error::new(Kind::Unsupported, says));
        }
    }
    let mut json = serde_json::to_value(resources).attempt(wrong)?;
    limits(&mut json, wanted, host)?;
    serde_json::from_value(json).attempt_as(Kind::Invalid, wrong)
}

/// The limits that clients are told of, as far as they have words for them.
pub(super) fn reported(wanted: &api::LinuxResources) -> v1::LinuxContainerResources {
    let int64 = |value: Option<api::OptionalInt64>| value.map_or(0, |value| value.value);
    let uint64 = |value: Option<api::OptionalUInt64>| {
        value.map_or(0, |value| i64::try_from(value.value).unwrap_or(i64::MAX))
    };
    let (cpu, memory) = (wanted.cpu.clone().unwrap_or_default(), wanted.memory.unwrap_or_default());
    let hugepages = wanted.hugepage_limits.iter();
    v1::LinuxContainerResources {
        cpu_period: uint64(cpu.period),
        cpu_quota: int64(cpu.quota),
        cpu_shares: uint64(cpu.shares),
        cpuset_cpus: cpu.cpus,
        cpuset_mems: cpu.mems,
        memory_limit_in_bytes: int64(memory.limit),
        memory_swap_limit_in_bytes: int64(memory.swap),
        hugepage_limits: hugepages
            .map(|limit| v1::HugepageLimit { page_size: limit.page_size.clone(), limit: limit.limit })
            .collect(),
        unified: wanted.unified.clone().into_iter().collect(),
        oom_score_adj: 0,
    }
}

fn adjust_linux(spec: &mut Value, wanted: &api::LinuxContainerAdjustment, host: &Host) -> Result<()> {
    if let Some(score) = wanted.oom_score_adj {
        spec["process"]["oomScoreAdj"] = json!(host.clamp_oom_score_adj(score.value));
    }
    if let Some(priority) = wanted.io_priority {
        let class = IoPrioClass::try_from(priority.class).unwrap_or(IoPrioClass::IoprioClassNone);
        spec["process"]["ioPriority"] = match class {
            IoPrioClass::IoprioClassNone => Value::Null,
            class => json!({"class": class.as_str_name(), "priority": priority.priority}),
        };
    }
    if let Some(asked) = &wanted.scheduler {
        spec["process"]["scheduler"] = scheduler(asked);
    }
    let linux = &mut spec["linux"];
    devices(linux, &wanted.devices);
    limits(&mut linux["resources"], wanted.resources.as_ref().unwrap_or(&Default::default()), host)?;
    if !wanted.cgroups_path.is_empty() {
        linux["cgroupsPath"] = json!(wanted.cgroups_path);
    }
    if let Some(policy) = &wanted.seccomp_policy {
        linux["seccomp"] = seccomp(policy);
    }
    for namespace in &wanted.namespaces {
        let (kind, removed) = named(&namespace.r#type);
        let namespaces = list(&mut linux["namespaces"]);
        namespaces.retain(|known| known["type"] != kind);
        if !removed {
            let path = (!namespace.path.is_empty()).then_some(&namespace.path);
            namespaces.push(without_nulls(json!({"type": kind, "path": path})));
        }
    }
    for (name, value) in &wanted.sysctl {
        set_word(object(&mut linux["sysctl"]), name, value);
    }
    for (name, device) in &wanted.net_devices {
        let (name, removed) = named(name);
        let devices = object(&mut linux["netDevices"]);
        devices.remove(name);
        if !removed {
            let inside = (!device.name.is_empty()).then_some(&device.name);
            devices.insert(name.to_owned(), without_nulls(json!({"name": inside})));
        }
    }
    if let Some(rdt) = &wanted.rdt {
        set_rdt(&mut linux["intelRdt"], rdt);
    }
    if let Some(policy) = &wanted.memory_policy {
        let flag = |flag: &i32| MpolFlag::try_from(*flag).map(|flag| flag.as_str_name()).unwrap_or_default();
        linux["memoryPolicy"] = json!({
            "mode": MpolMode::try_from(policy.mode).map(|mode| mode.as_str_name()).unwrap_or_default(),
            "nodes": policy.nodes,
            "flags": policy.flags.iter().map(flag).collect::<Vec<_>>(),
        });
    }
    // What was taken away was set to nothing above.
    for part in ["linux", "process"] {
        object(&mut spec[part]).retain(|_, value| !value.is_null());
    }
    Ok(())
}

fn limits(resources: &mut Value, wanted: &api::LinuxResources, host: &Host) -> Result<()> {
    if !wanted.unified.is_empty() && !host.cgroup2 {
        return Err(Error::invalid("an NRI plugin wants unified limits, which need cgroup version 2 alone"));
    }
    if let Some(memory) = wanted.memory {
        let mut swap = memory.swap;
        if swap.is_none() && host.swap_accounting {
            // A limit of memory alone would let as much again be swapped.
            swap = memory.limit;
        }
        let limits = object(&mut resources["memory"]);
        set(limits, "limit", memory.limit.map(|limit| limit.value));
        set(limits, "reservation", memory.reservation.map(|limit| limit.value));
        set(limits, "swap", swap.map(|limit| limit.value));
        set(limits, "kernel", memory.kernel.map(|limit| limit.value));
        set(limits, "kernelTCP", memory.kernel_tcp.map(|limit| limit.value));
        set(limits, "swappiness", memory.swappiness.map(|limit| limit.value));
        set(limits, "disableOOMKiller", memory.disable_oom_killer.map(|limit| limit.value));
        set(limits, "useHierarchy", memory.use_hierarchy.map(|limit| limit.value));
    }
    if let Some(cpu) = &wanted.cpu {
        let limits = object(&mut resources["cpu"]);
        set(limits, "shares", cpu.shares.map(|limit| limit.value));
        set(limits, "quota", cpu.quota.map(|limit| limit.value));
        set(limits, "period", cpu.period.map(|limit| limit.value));
        set(limits, "realtimeRuntime", cpu.realtime_runtime.map(|limit| limit.value));
        set(limits, "realtimePeriod", cpu.realtime_period.map(|limit| limit.value));
        set(limits, "cpus", (!cpu.cpus.is_empty()).then_some(&cpu.cpus));
        set(limits, "mems", (!cpu.mems.is_empty()).then_some(&cpu.mems));
    }
    for limit in &wanted.hugepage_limits {
        let limits = list(&mut resources["hugepageLimits"]);
        limits.retain(|known| known["pageSize"] != limit.page_size.as_str());
        limits.push(json!({"pageSize": limit.page_size, "limit": limit.limit}));
    }
    for (name, value) in &wanted.unified {
        set_word(object(&mut resources["unified"]), name, value);
    }
    if let Some(pids) = wanted.pids {
        resources["pids"] = json!({"limit": pids.limit});
    }
    for rule in &wanted.devices {
        list(&mut resources["devices"]).push(without_nulls(json!({
            "allow": rule.allow,
            "type": if rule.r#type.is_empty() { "a" } else { &rule.r#type },
            "major": rule.major.map(|number| number.value),
            "minor": rule.minor.map(|number| number.value),
            "access": rule.access,
        })));
    }
    object(resources).retain(|_, value| !value.is_null());
    Ok(())
}

fn mounts(spec: &mut Value, wanted: &[api::Mount]) {
    if wanted.is_empty() {
        return;
    }
    let mut propagation = None;
    let mounts = list(&mut spec["mounts"]);
    for mount in wanted {
        let (destination, removed) = named(&mount.destination);
        mounts.retain(|known| known["destination"] != destination);
        if removed {
            continue;
        }
        for option in &mount.options {
            match option.as_str() {
                "rshared" | "shared" => propagation = Some("rshared"),
                "rslave" | "slave" => propagation = propagation.or(Some("rslave")),
                _ => {}
            }
        }
        mounts.push(json!({
            "destination": destination,
            "type": mount.r#type,
            "source": mount.source,
            "options": mount.options,
        }));
    }
    // What lies deeper is mounted later.
    mounts.sort_by_key(|mount| {
        mount["destination"]
            .as_str()
            .map_or(0, |path| path.split('/').filter(|part| !part.is_empty()).count())
    });
    let root = &mut spec["linux"]["rootfsPropagation"];
    match propagation {
        // It reaches no further than the root's own.
        Some(word) if *root != "rshared" => *root = json!(word),
        _ => {}
    }
    if root.is_null() {
        object(&mut spec["linux"]).remove("rootfsPropagation");
    }
}

fn variables(env: &mut Vec<Value>, wanted: &[api::KeyValue]) {
    for variable in wanted {
        let (name, removed) = named(&variable.key);
        let prefix = format!("{name}=");
        let known = |text: &Value| text.as_str().is_some_and(|text| text.starts_with(&prefix));
        let text = json!(format!("{prefix}{}", variable.value));
        match env.iter().position(known) {
            Some(place) if !removed => env[place] = text,
            Some(_) => env.retain(|text| !known(text)),
            None if !removed => env.push(text),
            None => {}
        }
    }
}

fn add_hooks(hooks: &mut Value, wanted: &api::Hooks) {
    for (kind, wanted) in [
        ("prestart", &wanted.prestart),
        ("createRuntime", &wanted.create_runtime),
        ("createContainer", &wanted.create_container),
        ("startContainer", &wanted.start_container),
        ("poststart", &wanted.poststart),
        ("poststop", &wanted.poststop),
    ] {
        if wanted.is_empty() {
            continue;
        }
        let timeout = |hook: &api::Hook| hook.timeout.map(|time| time.value);
        object(hooks);
        list(&mut hooks[kind]).extend(wanted.iter().map(|hook| {
            without_nulls(json!({
                "path": hook.path, "args": hook.args, "env": hook.env, "timeout": timeout(hook),
            }))
        }));
    }
}

/// A device, and the rule that lets the container use it.
fn devices(linux: &mut Value, wanted: &[api::LinuxDevice]) {
    for device in wanted {
        let (path, removed) = named(&device.path);
        list(&mut linux["devices"]).retain(|known| known["path"] != path);
        if removed {
            continue;
        }
        list(&mut linux["devices"]).push(without_nulls(json!({
            "path": path,
            "type": device.r#type,
            "major": device.major,
            "minor": device.minor,
            "fileMode": device.file_mode.map(|mode| mode.value),
            "uid": device.uid.map(|uid| uid.value),
            "gid": device.gid.map(|gid| gid.value),
        })));
        // A fifo has no rule.
        if device.r#type != "p" {
            list(&mut linux["resources"]["devices"]).push(json!({
                "allow": true,
                "type": device.r#type,
                "major": device.major,
                "minor": device.minor,
                "access": "rwm",
            }));
        }
    }
}

fn seccomp(policy: &api::LinuxSeccomp) -> Value {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let argument = |argument: &api::LinuxSeccompArg| {
        json!({
            "index": argument.index, "value": argument.value, "valueTwo": argument.value_two, "op": argument.op,
        })
    };
    let rule = |rule: &api::LinuxSyscall| {
        without_nulls(json!({
            "names": rule.names,
            "action": rule.action,
            "errnoRet": rule.errno_ret.map(|errno| errno.value),
            "args": rule.args.iter().map(argument).collect::<Vec<_>>(),
        }))
    };
    without_nulls(json!({
        "defaultAction": policy.default_action,
        "defaultErrnoRet": policy.default_errno.map(|errno| errno.value),
        "architectures": policy.architectures,
        "flags": policy.flags,
        "listenerPath": some(&policy.listener_path),
        "listenerMetadata": some(&policy.listener_metadata),
        "syscalls": policy.syscalls.iter().map(rule).collect::<Vec<_>>(),
    }))
}

fn scheduler(asked: &api::LinuxScheduler) -> Value {
    let flag = |flag: &i32| LinuxSchedulerFlag::try_from(*flag).map(|flag| flag.as_str_name()).ok();
    match LinuxSchedulerPolicy::try_from(asked.policy) {
        Ok(LinuxSchedulerPolicy::SchedNone) | Err(_) => Value::Null,
        Ok(policy) => json!({
            "policy": policy.as_str_name(),
            "nice": asked.nice,
            "priority": asked.priority,
            "flags": asked.flags.iter().filter_map(flag).collect::<Vec<_>>(),
            "runtime": asked.runtime,
            "deadline": asked.deadline,
            "period": asked.period,
        }),
    }
}

fn set_rdt(known: &mut Value, wanted: &api::LinuxRdt) {
    if wanted.remove {
        *known = Value::Null;
        return;
    }
    let rdt = object(known);
    set(rdt, "closID", wanted.clos_id.as_ref().map(|id| &id.value));
    set(rdt, "schemata", wanted.schemata.as_ref().map(|lines| &lines.value));
    set(rdt, "enableMonitoring", wanted.enable_monitoring.map(|on| on.value));
}

/// A name, and whether what has it is to be removed.
fn named(name: &str) -> (&str, bool) {
    match name.strip_prefix('-') {
        Some(name) => (name, true),
        None => (name, false),
    }
}

/// Of removals and settings of one name the removal comes first, as `-` does among characters.
fn set_word(map: &mut Map<String, Value>, name: &str, value: &str) {
    match named(name) {
        (name, true) => map.remove(name),
        (name, false) => map.insert(name.to_owned(), json!(value)),
    };
}

fn set(map: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), json!(value));
    }
}

/// An object that can be added to; what was something else is one now.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made one"),
    }
}

/// A list that can be added to.
fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("it was made one"),
    }
}

fn without_nulls(mut value: Value) -> Value {
    object(&mut value).retain(|_, value| !value.is_null());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host { cgroup2: false, swap_accounting: true, may_lower_oom_score: true, ..Host::look() }
    }

    fn spec() -> Spec {
        let text = r#"{
            "ociVersion": "1.3.0",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["old"], "env": ["PATH=/bin", "A=1", "B=2"]},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/a/b", "type": "bind", "source": "/x"}
            ],
            "annotations": {"kept": "1", "gone": "1"},
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "network", "path": "/n"}],
                "sysctl": {"net.a": "1"},
                "resources": {"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 1}}
            }
        }"#;
        serde_json::from_str(text).unwrap()
    }

    fn adjusted(wanted: &api::ContainerAdjustment) -> Value {
        serde_json::to_value(adjust(&spec(), wanted, &host()).unwrap()).unwrap()
    }

    fn linux(wanted: api::LinuxContainerAdjustment) -> api::ContainerAdjustment {
        api::ContainerAdjustment { linux: Some(wanted), ..Default::default() }
    }

    fn words(entries: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_wanted_changes_nothing() {
        assert_eq!(adjusted(&Default::default()), serde_json::to_value(spec()).unwrap());
        assert_eq!(adjusted(&linux(Default::default())), serde_json::to_value(spec()).unwrap());
    }

    #[test]
    fn names_are_set_replaced_and_removed() {
        let variable =
            |key: &str, value: &str| api::KeyValue { key: key.to_owned(), value: value.to_owned() };
        let mount = |destination: &str| api::Mount {
            destination: destination.to_owned(),
            r#type: "bind".to_owned(),
            source: "/s".to_owned(),
            options: vec!["rshared".to_owned()],
        };
        let json = adjusted(&api::ContainerAdjustment {
            annotations: words(&[("-gone", ""), ("new", "2")]),
            env: vec![variable("-A", ""), variable("B", "3"), variable("C", "4")],
            mounts: vec![mount("-/proc"), mount("/a")],
            args: vec!["new".to_owned(), "-x".to_owned()],
            linux: Some(api::LinuxContainerAdjustment {
                sysctl: words(&[("-net.a", ""), ("net.b", "2")]),
                namespaces: vec![
                    api::LinuxNamespace { r#type: "-pid".to_owned(), path: String::new() },
                    api::LinuxNamespace { r#type: "network".to_owned(), path: "/m".to_owned() },
                ],
                ..Default::default()
            }),
            ..Default::default()
        });
        assert_eq!(json["annotations"], json!({"kept": "1", "new": "2"}));
        assert_eq!(json["process"]["env"], json!(["PATH=/bin", "B=3", "C=4"]));
        assert_eq!(json["process"]["args"], json!(["new", "-x"]));
        let destinations: Vec<&Value> =
            json["mounts"].as_array().unwrap().iter().map(|mount| &mount["destination"]).collect();
        assert_eq!(destinations, ["/a", "/a/b"], "what lies deeper comes later");
        assert_eq!(json["linux"]["rootfsPropagation"], "rshared");
        assert_eq!(json["linux"]["sysctl"], json!({"net.b": "2"}));
        assert_eq!(json["linux"]["namespaces"], json!([{"type": "network", "path": "/m"}]));
    }

    #[test]
    fn a_device_comes_with_its_rule() {
        let device = api::LinuxDevice {
            path: "/dev/x".to_owned(),
            r#type: "c".to_owned(),
            major: 1,
            minor: 3,
            ..Default::default()
        };
        let json =
            adjusted(&linux(api::LinuxContainerAdjustment { devices: vec![device], ..Default::default() }));
        assert_eq!(
            json["linux"]["devices"],
            json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}])
        );
        let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"});
        assert_eq!(json["linux"]["resources"]["devices"][1], rule);
    }

    #[test]
    fn a_limit_of_memory_leaves_no_room_for_swap() {
        let memory = api::LinuxMemory { limit: Some(api::OptionalInt64 { value: 7 }), ..Default::default() };
        let limits = api::LinuxResources {
            memory: Some(memory),
            pids: Some(api::LinuxPids { limit: 9 }),
            ..Default::default()
        };
        assert_eq!(reported(&limits).memory_limit_in_bytes, 7);
        let wanted = api::LinuxContainerAdjustment { resources: Some(limits), ..Default::default() };
        let resources = &adjusted(&linux(wanted))["linux"]["resources"];
        assert_eq!(resources["memory"], json!({"limit": 7, "swap": 7}));
        assert_eq!(resources["pids"], json!({"limit": 9}));
    }

    #[test]
    fn every_part_of_a_process_can_be_set() {
        let hook = api::Hook { path: "/hook".to_owned(), ..Default::default() };
        let json = adjusted(&api::ContainerAdjustment {
            hooks: Some(api::Hooks { poststop: vec![hook], ..Default::default() }),
            rlimits: vec![api::PosixRlimit { r#type: "RLIMIT_NOFILE".to_owned(), hard: 2, soft: 1 }],
            linux: Some(api::LinuxContainerAdjustment {
                oom_score_adj: Some(api::OptionalInt { value: -5 }),
                io_priority: Some(api::LinuxIoPriority {
                    class: IoPrioClass::IoprioClassIdle.into(),
                    priority: 7,
                }),
                scheduler: Some(api::LinuxScheduler {
                    policy: LinuxSchedulerPolicy::SchedBatch.into(),
                    nice: 3,
                    ..Default::default()
                }),
                seccomp_policy: Some(api::LinuxSeccomp {
                    default_action: "SCMP_ACT_ERRNO".to_owned(),
                    ..Default::default()
                }),
                memory_policy: Some(api::LinuxMemoryPolicy {
                    mode: MpolMode::MpolBind.into(),
                    nodes: "0".to_owned(),
                    flags: vec![MpolFlag::MpolFStaticNodes.into()],
                }),
                cgroups_path: "/own".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        });
        let process = &json["process"];
        assert_eq!(json["hooks"]["poststop"][0]["path"], "/hook");
        assert_eq!(process["rlimits"], json!([{"type": "RLIMIT_NOFILE", "hard": 2, "soft": 1}]));
        assert_eq!(process["oomScoreAdj"], -5);
        assert_eq!(process["ioPriority"], json!({"class": "IOPRIO_CLASS_IDLE", "priority": 7}));
        assert_eq!(
            (&process["scheduler"]["policy"], &process["scheduler"]["nice"]),
            (&json!("SCHED_BATCH"), &json!(3))
        );
        assert_eq!(json["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(json["linux"]["memoryPolicy"]["mode"], "MPOL_BIND");
        assert_eq!(json["linux"]["cgroupsPath"], "/own");
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let class = |name: &str| Some(api::OptionalString { value: name.to_owned() });
        let limits =
            |wanted| set_limits(&LinuxResources::default(), &wanted, &host()).unwrap_err().to_string();
        let error = limits(api::LinuxResources { blockio_class: class("slow"), ..Default::default() });
        assert!(error.contains("blockio_class \"slow\""), "{error}");
        let error = limits(api::LinuxResources { rdt_class: class("gold"), ..Default::default() });
        assert!(error.contains("rdt_class \"gold\""), "{error}");
        let error = limits(api::LinuxResources { unified: words(&[("a", "b")]), ..Default::default() });
        assert!(error.contains("unified"), "{error}");
        let seccomp = api::LinuxSeccomp { default_action: "SCMP_ACT_MAYBE".to_owned(), ..Default::default() };
        let wanted =
            linux(api::LinuxContainerAdjustment { seccomp_policy: Some(seccomp), ..Default::default() });
        let error = crate::error::chain(&adjust(&spec(), &wanted, &host()).unwrap_err());
        assert!(error.contains("SCMP_ACT_MAYBE"), "{error}");
    }
}
