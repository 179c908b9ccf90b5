//! From our records to what plugins are shown.
//!
//! A container's configuration is taken as the JSON that it is on disk: its words and the interface's are the same nearly
//! everywhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ::nri::api::{self, ContainerState as State};
use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::record::{ContainerRecord, PodRecord};
use crate::wire::v1::{self, ContainerState};

/// A pod, with the annotations of its configuration. `pins` are its namespaces that lie on disk, by their kinds.
pub(super) fn pod(
    record: &PodRecord,
    annotations: HashMap<String, String>,
    cgroup: String,
    pins: &[(&str, &Path)],
) -> api::PodSandbox {
    let config = &record.config;
    let metadata = config.metadata.clone().unwrap_or_default();
    let linux = config.linux.clone().unwrap_or_default();
    let namespace = |(kind, path): &(&str, &Path)| api::LinuxNamespace {
        r#type: (*kind).to_owned(),
        path: path.to_string_lossy().into_owned(),
    };
    api::PodSandbox {
        id: record.id.clone(),
        name: metadata.name,
        uid: metadata.uid,
        namespace: metadata.namespace,
        labels: ordered(&config.labels),
        annotations: annotations.into_iter().chain(config.annotations.clone()).collect(),
        runtime_handler: record.handler.clone(),
        linux: Some(api::LinuxPodSandbox {
            pod_overhead: linux.overhead.as_ref().map(limits),
            pod_resources: linux.resources.as_ref().map(limits),
            cgroup_parent: linux.cgroup_parent,
            cgroups_path: cgroup,
            namespaces: pins.iter().map(namespace).collect(),
            resources: None,
        }),
        // It has no process of its own.
        pid: 0,
        ips: record.ips.clone(),
    }
}

/// A container. Without its configuration, what its record has.
pub(super) fn container(
    record: &ContainerRecord,
    state: ContainerState,
    pid: i32,
    spec: Option<&Spec>,
) -> api::Container {
    let config = &record.config;
    let end = record.end.as_ref();
    let image = config.image.clone().unwrap_or_default();
    let named = if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image };
    let mut shown = api::Container {
        id: record.id.clone(),
        pod_sandbox_id: record.pod.clone(),
        name: config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default(),
        state: of_state(state).into(),
        labels: ordered(&config.labels),
        annotations: ordered(&config.annotations),
        pid: u32::try_from(pid).unwrap_or_default(),
        created_at: record.created_at,
        started_at: record.started_at,
        finished_at: end.map_or(0, |end| end.at),
        exit_code: end.map_or(0, |end| end.code),
        status_reason: end.map(|end| end.reason().to_owned()).unwrap_or_default(),
        status_message: end.map(|end| end.message.clone()).unwrap_or_default(),
        cdi_devices: config
            .cdi_devices
            .iter()
            .map(|device| api::CdiDevice { name: device.name.clone() })
            .collect(),
        image: Some(api::Image {
            name: named,
            digest: record.image_ref.split_once('@').map(|(_, digest)| digest.to_owned()).unwrap_or_default(),
            config_digest: record.image_id.clone(),
        }),
        ..Default::default()
    };
    if let Some(spec) = spec.and_then(|spec| serde_json::to_value(spec).ok()) {
        configuration(&spec, &mut shown);
    }
    if let Some(now) = &record.resources {
        // Those of a container that runs may have been changed since.
        let linux = shown.linux.get_or_insert_default();
        put_over(linux.resources.get_or_insert_default(), limits(now));
    }
    shown
}

fn put_over(shown: &mut api::LinuxResources, now: api::LinuxResources) {
    let (memory, cpu) = (shown.memory.get_or_insert_default(), shown.cpu.get_or_insert_default());
    if let Some(now) = now.memory {
        memory.limit = now.limit.or(memory.limit);
        memory.swap = now.swap.or(memory.swap);
    }
    if let Some(now) = now.cpu {
        cpu.shares = now.shares.or(cpu.shares);
        cpu.quota = now.quota.or(cpu.quota);
        cpu.period = now.period.or(cpu.period);
        for (now, shown) in [(now.cpus, &mut cpu.cpus), (now.mems, &mut cpu.mems)] {
            if !now.is_empty() {
                *shown = now;
            }
        }
    }
}

fn of_state(state: ContainerState) -> State {
    match state {
        ContainerState::ContainerCreated => State::ContainerCreated,
        ContainerState::ContainerRunning => State::ContainerRunning,
        ContainerState::ContainerExited => State::ContainerStopped,
        ContainerState::ContainerUnknown => State::ContainerUnknown,
    }
}

/// Limits as a client asks for them: what is 0 or empty is not set.
pub(super) fn limits(asked: &v1::LinuxContainerResources) -> api::LinuxResources {
    let int64 = |value: i64| (value != 0).then_some(api::OptionalInt64 { value });
    let uint64 = |value: i64| u64::try_from(value).ok().filter(|value| *value != 0);
    let uint64 = |value: i64| uint64(value).map(|value| api::OptionalUInt64 { value });
    api::LinuxResources {
        memory: Some(api::LinuxMemory {
            limit: int64(asked.memory_limit_in_bytes),
            swap: int64(asked.memory_swap_limit_in_bytes),
            ..Default::default()
        }),
        cpu: Some(api::LinuxCpu {
            shares: uint64(asked.cpu_shares),
            quota: int64(asked.cpu_quota),
            period: uint64(asked.cpu_period),
            cpus: asked.cpuset_cpus.clone(),
            mems: asked.cpuset_mems.clone(),
            ..Default::default()
        }),
        hugepage_limits: asked
            .hugepage_limits
            .iter()
            .map(|limit| api::HugepageLimit { page_size: limit.page_size.clone(), limit: limit.limit })
            .collect(),
        unified: ordered(&asked.unified),
        ..Default::default()
    }
}

fn configuration(spec: &Value, shown: &mut api::Container) {
    let (process, linux) = (&spec["process"], &spec["linux"]);
    shown.annotations.extend(words(&spec["annotations"]));
    shown.args = texts(&process["args"]);
    shown.env = texts(&process["env"]);
    shown.mounts = each(&spec["mounts"], |mount| api::Mount {
        destination: text(&mount["destination"]),
        r#type: text(&mount["type"]),
        source: text(&mount["source"]),
        options: texts(&mount["options"]),
    });
    let hooks = &spec["hooks"];
    shown.hooks = hooks.is_object().then(|| api::Hooks {
        prestart: each(&hooks["prestart"], hook),
        create_runtime: each(&hooks["createRuntime"], hook),
        create_container: each(&hooks["createContainer"], hook),
        start_container: each(&hooks["startContainer"], hook),
        poststart: each(&hooks["poststart"], hook),
        poststop: each(&hooks["poststop"], hook),
    });
    shown.rlimits = each(&process["rlimits"], |limit| api::PosixRlimit {
        r#type: text(&limit["type"]),
        hard: limit["hard"].as_u64().unwrap_or_default(),
        soft: limit["soft"].as_u64().unwrap_or_default(),
    });
    let user = &process["user"];
    shown.user = Some(api::User {
        uid: number(&user["uid"]).unwrap_or_default(),
        gid: number(&user["gid"]).unwrap_or_default(),
        additional_gids: each(&user["additionalGids"], |gid| number(gid).unwrap_or_default()),
    });
    let score = process["oomScoreAdj"].as_i64();
    shown.linux = Some(api::LinuxContainer {
        namespaces: each(&linux["namespaces"], |namespace| api::LinuxNamespace {
            r#type: text(&namespace["type"]),
            path: text(&namespace["path"]),
        }),
        devices: each(&linux["devices"], device),
        resources: Some(resources(&linux["resources"])),
        oom_score_adj: score.map(|value| api::OptionalInt { value }),
        cgroups_path: text(&linux["cgroupsPath"]),
        seccomp_policy: linux["seccomp"].is_object().then(|| seccomp(&linux["seccomp"])),
        sysctl: words(&linux["sysctl"]),
        ..Default::default()
    });
}

fn hook(hook: &Value) -> api::Hook {
    api::Hook {
        path: text(&hook["path"]),
        args: texts(&hook["args"]),
        env: texts(&hook["env"]),
        timeout: hook["timeout"].as_i64().map(|value| api::OptionalInt { value }),
    }
}

fn device(device: &Value) -> api::LinuxDevice {
    api::LinuxDevice {
        path: text(&device["path"]),
        r#type: text(&device["type"]),
        major: device["major"].as_i64().unwrap_or_default(),
        minor: device["minor"].as_i64().unwrap_or_default(),
        file_mode: number(&device["fileMode"]).map(|value| api::OptionalFileMode { value }),
        uid: number(&device["uid"]).map(|value| api::OptionalUInt32 { value }),
        gid: number(&device["gid"]).map(|value| api::OptionalUInt32 { value }),
    }
}

fn resources(limits: &Value) -> api::LinuxResources {
    let (memory, cpu) = (&limits["memory"], &limits["cpu"]);
    let int64 = |value: &Value| value.as_i64().map(|value| api::OptionalInt64 { value });
    let uint64 = |value: &Value| value.as_u64().map(|value| api::OptionalUInt64 { value });
    let bool = |value: &Value| value.as_bool().map(|value| api::OptionalBool { value });
    api::LinuxResources {
        memory: Some(api::LinuxMemory {
            limit: int64(&memory["limit"]),
            reservation: int64(&memory["reservation"]),
            swap: int64(&memory["swap"]),
            kernel: int64(&memory["kernel"]),
            kernel_tcp: int64(&memory["kernelTCP"]),
            swappiness: uint64(&memory["swappiness"]),
            disable_oom_killer: bool(&memory["disableOOMKiller"]),
            use_hierarchy: bool(&memory["useHierarchy"]),
        }),
        cpu: Some(api::LinuxCpu {
            shares: uint64(&cpu["shares"]),
            quota: int64(&cpu["quota"]),
            period: uint64(&cpu["period"]),
            realtime_runtime: int64(&cpu["realtimeRuntime"]),
            realtime_period: uint64(&cpu["realtimePeriod"]),
            cpus: text(&cpu["cpus"]),
            mems: text(&cpu["mems"]),
        }),
        hugepage_limits: each(&limits["hugepageLimits"], |limit| api::HugepageLimit {
            page_size: text(&limit["pageSize"]),
            limit: limit["limit"].as_u64().unwrap_or_default(),
        }),
        unified: words(&limits["unified"]),
        devices: each(&limits["devices"], |rule| api::LinuxDeviceCgroup {
            allow: rule["allow"].as_bool().unwrap_or_default(),
            r#type: text(&rule["type"]),
            major: int64(&rule["major"]),
            minor: int64(&rule["minor"]),
            access: text(&rule["access"]),
        }),
        pids: limits["pids"]["limit"].as_i64().map(|limit| api::LinuxPids { limit }),
        ..Default::default()
    }
}

fn seccomp(policy: &Value) -> api::LinuxSeccomp {
    let uint32 = |value: &Value| number(value).map(|value| api::OptionalUInt32 { value });
    api::LinuxSeccomp {
        default_action: text(&policy["defaultAction"]),
        default_errno: uint32(&policy["defaultErrnoRet"]),
        architectures: texts(&policy["architectures"]),
        flags: texts(&policy["flags"]),
        listener_path: text(&policy["listenerPath"]),
        listener_metadata: text(&policy["listenerMetadata"]),
        syscalls: each(&policy["syscalls"], |rule| api::LinuxSyscall {
            names: texts(&rule["names"]),
            action: text(&rule["action"]),
            errno_ret: uint32(&rule["errnoRet"]),
            args: each(&rule["args"], |argument| api::LinuxSeccompArg {
                index: number(&argument["index"]).unwrap_or_default(),
                value: argument["value"].as_u64().unwrap_or_default(),
                value_two: argument["valueTwo"].as_u64().unwrap_or_default(),
                op: text(&argument["op"]),
            }),
        }),
    }
}

fn ordered<V: Clone>(map: &HashMap<String, V>) -> BTreeMap<String, V> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|value| u32::try_from(value).ok())
}

fn texts(value: &Value) -> Vec<String> {
    each(value, text)
}

fn words(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn each<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().map(|items| items.iter().map(of).collect()).unwrap_or_default()
}
