//! Configurations that are wrong: an error that names the field, never a crash, nothing left behind.

use crate::runtime::{Kind, Output};
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

pub(crate) const STORIES: &[Story] = &[
    story!(what_runc_refuses_is_refused_in_its_words, Need::NotCrun),
    story!(every_wrong_value_is_refused_by_name, Need::Ours("runc lets many of them pass")),
    story!(every_wrong_type_is_refused_by_name, Need::Ours("runc names the Go type")),
    story!(a_cut_off_config_is_an_error),
    story!(garbage_is_an_error),
    story!(a_huge_config_is_read_or_refused),
    story!(a_deep_config_is_refused_without_a_crash),
    story!(unknown_fields_are_ignored, Need::Anyone),
    story!(numbers_at_their_limits_do_no_harm),
    story!(strings_with_nul_are_refused, Need::NotCrun),
    story!(an_unreadable_config_is_an_error),
];

/// What runc refuses, in words that its callers know.
fn what_runc_refuses_is_refused_in_its_words(w: &World) {
    let rows: &[(&str, Value, &str)] = &[
        ("/process", Value::Null, "process property must not be empty"),
        ("/process/args", json!([]), "args must not be empty"),
        ("/process/cwd", json!(""), "Cwd property must not be empty"),
        ("/process/cwd", json!("relative"), "Cwd must be an absolute path"),
        ("/linux/rootfsPropagation", json!("sideways"), "rootfsPropagation=sideways is not supported"),
        ("/linux/namespaces/0", json!({"type": "network"}), "malformed spec file: duplicated ns"),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), "is not in a separate kernel namespace"),
        ("/process/rlimits", json!([{"type": "RLIMIT_DREAMS", "soft": 1, "hard": 1}]), "RLIMIT_DREAMS"),
        ("/process/selinuxLabel", json!("a:b:c:d"), "selinux"),
    ];
    for (pointer, value, text) in rows {
        let bundle = w.bundle().set(pointer, value.clone());
        w.create_call(&bundle, "c", &[]).run().code(1).fails(text);
    }
}

/// Values of the right type that mean nothing.
fn every_wrong_value_is_refused_by_name(w: &World) {
    let device = |more: Value| {
        let mut device = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3});
        device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([device])
    };
    let rows: Vec<(&str, Value, &str)> = vec![
        ("/ociVersion", json!(""), "ociVersion"),
        ("/ociVersion", json!("9.0.0"), "ociVersion"),
        ("/ociVersion", json!("one"), "ociVersion"),
        ("/root/path", json!("no-such-root"), "no-such-root"),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), "RLIMIT_CORE"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]),
            "RLIMIT_CORE",
        ),
        ("/process/oomScoreAdj", json!(1001), "oom"),
        ("/process/oomScoreAdj", json!(-1001), "oom"),
        ("/process/scheduler", json!({"policy": "SCHED_MAGIC"}), "SCHED_MAGIC"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 40}), "nice"),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), "priority"),
        ("/process/execCPUAffinity", json!({"initial": "a-b"}), "affinity"),
        ("/hostname", json!("x".repeat(65)), "hostname"),
        ("/domainname", json!("x".repeat(65)), "domain"),
        ("/mounts/0/destination", json!(""), "destination"),
        ("/mounts/2/type", json!("nosuchfs"), "/dev/pts"),
        ("/mounts/1/options", json!(["size=much"]), "/dev"),
        ("/linux/devices", device(json!({"type": "x"})), "type"),
        ("/linux/devices", device(json!({"major": -5})), "-5"),
        ("/linux/resources/devices", json!([{"allow": true, "access": "xyz"}]), "access"),
        ("/linux/resources/devices", json!([{"allow": true, "type": "z", "access": "r"}]), "type"),
        ("/linux/resources/cpu", json!({"cpus": "a-b"}), "cpus"),
        ("/linux/resources/cpu", json!({"cpus": "99999"}), "cpus"),
        ("/linux/resources/cpu", json!({"mems": "77"}), "mems"),
        ("/linux/resources/memory", json!({"limit": -7}), "memory"),
        ("/linux/resources/memory", json!({"limit": 33_554_432, "swap": 1_048_576}), "mem"),
        ("/linux/resources/hugepageLimits", json!([{"pageSize": "3MB", "limit": 1}]), "3MB"),
        ("/linux/sysctl", json!({"kernel.hostname": "x"}), "kernel.hostname"),
        ("/linux/sysctl", json!({"net.no.such": "1"}), "net.no.such"),
        ("/linux/sysctl", json!({"net/../../etc/x": "1"}), "net"),
        ("/linux/personality", json!({"domain": "MINIX"}), "MINIX"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_MAGIC"}), "SCMP_ACT_MAGIC"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "NOTIFY"),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
            "index",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_MAGIC"}]}]}),
            "SCMP_CMP_MAGIC",
        ),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "time"),
        ("/linux/intelRdt", json!({"closID": "../x"}), "rdt"),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1, "size": 1}]), "user"),
        ("/linux/namespaces/0", json!({"type": "pid", "path": "relative"}), "relative"),
        ("/linux/netDevices", json!({"nosuch0": {}}), "nosuch0"),
        ("/linux/netDevices", json!({"lo": {"name": "a name that is much too long"}}), "name"),
        ("/hooks/prestart", json!([{"path": "relative"}]), "relative"),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": -1}]), "timeout"),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": 0}]), "timeout"),
    ];
    all_refused(w, rows);
}

fn every_wrong_type_is_refused_by_name(w: &World) {
    let fields = [
        ("/ociVersion", json!(1)),
        ("/process/terminal", json!("yes")),
        ("/process/args", json!("sh")),
        ("/process/env", json!({"A": "b"})),
        ("/process/cwd", json!(["/"])),
        ("/process/user/uid", json!("root")),
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(4_294_967_296_u64)),
        ("/process/user/gid", json!(1.5)),
        ("/process/user/umask", json!("022")),
        ("/process/user/additionalGids", json!([-1])),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}])),
        ("/process/oomScoreAdj", json!("high")),
        ("/process/noNewPrivileges", json!(1)),
        ("/root/readonly", json!("true")),
        ("/hostname", json!(5)),
        ("/mounts", json!({})),
        ("/mounts/0/options", json!("ro")),
        ("/mounts/0/destination", json!(7)),
        ("/hooks/prestart", json!([{"path": 5}])),
        ("/annotations", json!({"a": 1})),
        ("/linux/namespaces", json!("all")),
        ("/linux/namespaces/0/type", json!(3)),
        ("/linux/uidMappings", json!([{"containerID": "0", "hostID": 0, "size": 1}])),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": "1", "minor": 1}])),
        ("/linux/cgroupsPath", json!(["/x"])),
        ("/linux/resources/memory", json!({"limit": "64M"})),
        ("/linux/resources/cpu", json!({"shares": -1})),
        ("/linux/resources/pids", json!({"limit": "many"})),
        ("/linux/resources/unified", json!({"memory.max": 5})),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": 1})),
        ("/linux/maskedPaths", json!("/proc")),
        ("/linux/seccomp", json!({"defaultAction": 1})),
        ("/linux/rootfsPropagation", json!(true)),
        ("/linux/personality", json!("LINUX32")),
    ];
    let rows = fields.into_iter().map(|(pointer, value)| {
        // A field is named by the last part of its path, or of the object that holds the wrong one.
        let name = pointer.rsplit('/').find(|step| step.parse::<u32>().is_err()).unwrap_or_default();
        (pointer, value, name)
    });
    all_refused(w, rows.collect());
}

/// Tries every row and reports all that went wrong at once.
fn all_refused(w: &World, rows: Vec<(&str, Value, &str)>) {
    let mut wrong = Vec::new();
    for (pointer, value, text) in rows {
        let bundle = w.bundle().set(pointer, value.clone());
        let output = w.create_call(&bundle, "c", &[]).run();
        if let Some(complaint) = complaint(&output, text) {
            wrong.push(format!("{pointer} = {value}: {complaint}"));
        }
        let _ = w.call(&["delete", "--force", "c"]).run();
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

fn complaint(output: &Output, text: &str) -> Option<String> {
    let said = output.said();
    if output.code == Some(0) {
        return Some("was accepted".to_owned());
    }
    if output.code != Some(1) || said.contains("panicked") {
        return Some(format!("crashed: {output}"));
    }
    (!said.to_lowercase().contains(&text.to_lowercase()))
        .then(|| format!("does not name {text:?}: {}", said.trim()))
}

/// Creates from these bytes; it must end in time, without a crash.
fn from_bytes(w: &World, bytes: &[u8]) -> Output {
    let bundle = w.bundle();
    fs::write(bundle.dir.join("config.json"), bytes).unwrap();
    let call = w.call(&["create", "--bundle", bundle.dir.to_str().unwrap(), "c"]);
    let output = call.patience(Duration::from_secs(20)).run();
    assert!(output.signal.is_none() && !output.stderr.contains("panicked"), "{output}");
    let _ = w.call(&["delete", "--force", "c"]).run();
    output
}

fn a_cut_off_config_is_an_error(w: &World) {
    let text = serde_json::to_vec(&w.bundle().config).unwrap();
    for part in 0..24 {
        let end = text.len() * part / 24;
        from_bytes(w, &text[..end]).fails("");
    }
}

fn garbage_is_an_error(w: &World) {
    let rows: [&[u8]; 12] = [
        b"",
        b"{",
        b"}",
        b"[]",
        b"{}",
        b"5",
        b"\"x\"",
        b"\0\0\0\0",
        b"\xff\xfe{}",
        b"{\"ociVersion\": }",
        b"nul",
        b"{} {}",
    ];
    for row in rows {
        from_bytes(w, row).fails("");
    }
    let output = from_bytes(w, b"null").fails("");
    if w.kind() == Kind::Ours {
        output.fails("config cannot be null");
    }
}

fn a_huge_config_is_read_or_refused(w: &World) {
    let bundle = w.bundle().set("/annotations", json!({"big": "x".repeat(32 << 20)}));
    let output = from_bytes(w, &serde_json::to_vec(&bundle.config).unwrap());
    assert!(output.code.is_some(), "{output}");
    let many: Value =
        (0..50_000).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let output = from_bytes(w, &serde_json::to_vec(&w.bundle().set("/annotations", many).config).unwrap());
    assert!(output.code.is_some(), "{output}");
}

fn a_deep_config_is_refused_without_a_crash(w: &World) {
    let deep = format!("{{\"annotations\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    from_bytes(w, deep.as_bytes()).fails("");
    let unknown = format!(
        "{{\"ociVersion\": \"1.0.2\", \"x\": {}{}}}",
        "{\"a\":".repeat(100_000),
        "1".to_owned() + &"}".repeat(100_000)
    );
    from_bytes(w, unknown.as_bytes()).fails("");
}

fn unknown_fields_are_ignored(w: &World) {
    let bundle = w
        .bundle()
        .set("/x-vendor", json!({"a": [1]}))
        .set("/linux/x-new", json!(5))
        .set("/process/x", json!(""));
    assert_eq!(w.output_of(bundle.sh("echo fine")), "fine");
}

fn numbers_at_their_limits_do_no_harm(w: &World) {
    let rows = [
        ("/linux/resources/memory", json!({"limit": i64::MAX})),
        ("/linux/resources/memory", json!({"limit": i64::MIN})),
        ("/linux/resources/cpu", json!({"shares": u64::MAX})),
        ("/linux/resources/cpu", json!({"quota": i64::MIN, "period": u64::MAX})),
        ("/linux/resources/pids", json!({"limit": i64::MIN})),
        ("/linux/resources/pids", json!({"limit": 0})),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": u64::MAX}])),
        ("/process/user", json!({"uid": u32::MAX, "gid": u32::MAX})),
        ("/process/user", json!({"uid": u32::MAX - 1, "gid": u32::MAX - 1})),
        ("/process/user/umask", json!(u32::MAX)),
        ("/process/oomScoreAdj", json!(i32::MAX)),
        ("/process/consoleSize", json!({"height": u64::MAX, "width": u64::MAX})),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": i64::MAX, "minor": i64::MAX}])),
        ("/linux/uidMappings", json!([{"containerID": u32::MAX, "hostID": u32::MAX, "size": u32::MAX}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": i64::MAX}])),
    ];
    for (pointer, value) in rows {
        let output = w.create_call(&w.bundle().set(pointer, value.clone()), "c", &[]).run();
        let crashed = output.signal.is_some()
            || output.stderr.contains("panicked")
            || output.stderr.contains("goroutine");
        assert!(!crashed, "{pointer} = {value}: {output}");
        let _ = w.call(&["delete", "--force", "c"]).run();
    }
}

fn strings_with_nul_are_refused(w: &World) {
    let rows = [
        ("/process/args", json!(["/bin/sh", "-c", "a\0b"])),
        ("/process/env", json!(["A=b\0c"])),
        ("/process/cwd", json!("/a\0b")),
        ("/root/path", json!("root\0fs")),
        ("/hostname", json!("a\0b")),
        ("/mounts/0/destination", json!("/a\0b")),
        ("/linux/cgroupsPath", json!("/a\0b")),
    ];
    for (pointer, value) in rows {
        let output = w.create_call(&w.bundle().set(pointer, value.clone()), "c", &[]).run();
        if w.kind() == Kind::Ours || output.code != Some(0) {
            assert!(output.code == Some(1), "{pointer}: {output}");
        }
        let _ = w.call(&["delete", "--force", "c"]).run();
    }
}

fn an_unreadable_config_is_an_error(w: &World) {
    let bundle = w.bundle();
    fs::create_dir(bundle.dir.join("config.json")).unwrap();
    w.call(&["create", "--bundle", bundle.dir.to_str().unwrap(), "c"]).run().fails("");
    let file = w.path("a-file");
    fs::write(&file, "").unwrap();
    w.call(&["create", "--bundle", file.to_str().unwrap(), "c"]).run().fails("");
}
