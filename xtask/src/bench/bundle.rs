//! The bundle that container managers write: six namespaces, their default mounts, masked and read-only paths,
//! capabilities, device rules, limits, and a seccomp profile that lets some 360 system calls through.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::rootfs;

/// System calls that the profile allows whatever their arguments.
const SYSCALLS: &str = include_str!("syscalls.txt");

const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Writes a bundle whose container runs `arguments`, with a root file system of `busybox` alone.
pub(crate) fn write(bundle: &Path, busybox: &Path, arguments: &[&str]) -> Result<()> {
    rootfs::make(&bundle.join("rootfs"), busybox)?;
    for name in ["hostname", "hosts", "resolv.conf"] {
        let path = bundle.join(name);
        fs::write(&path, "bench\n").with_context(|| format!("write {}", path.display()))?;
    }
    let path = bundle.join("config.json");
    fs::write(&path, config(bundle, arguments).to_string())
        .with_context(|| format!("write {}", path.display()))
}

fn config(bundle: &Path, arguments: &[&str]) -> Value {
    let namespaces: Vec<Value> = ["pid", "mount", "ipc", "uts", "network", "cgroup"]
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": { "path": "rootfs" },
        "process": {
            "args": arguments,
            "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=bench", "HOME=/root"],
            "user": { "uid": 0, "gid": 0, "additionalGids": [0, 10] },
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
        },
        "mounts": mounts(bundle),
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "resources": resources(),
            "seccomp": seccomp(),
        },
    })
}

fn mounts(bundle: &Path) -> Vec<Value> {
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": source, "options": options });
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ];
    for name in ["hostname", "hosts", "resolv.conf"] {
        let source = bundle.join(name).display().to_string();
        mounts.push(mount(&format!("/etc/{name}"), "bind", &source, &["rbind", "rprivate"]));
    }
    mounts
}

fn resources() -> Value {
    let device = |kind: &str, major: i64, minor: Option<i64>, access: &str| json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": access });
    json!({
        "memory": { "limit": 256 << 20, "reservation": 128 << 20 },
        "cpu": { "shares": 1024, "quota": 100_000, "period": 100_000 },
        "pids": { "limit": 1024 },
        "devices": [
            { "allow": false, "access": "rwm" },
            device("c", 1, Some(3), "rwm"),
            device("c", 1, Some(5), "rwm"),
            device("c", 1, Some(7), "rwm"),
            device("c", 1, Some(8), "rwm"),
            device("c", 1, Some(9), "rwm"),
            device("c", 5, Some(0), "rwm"),
            device("c", 5, Some(1), "rwm"),
        ],
    })
}

/// The size and shape of a default profile: one long list, and some calls that depend on an argument.
fn seccomp() -> Value {
    let names: Vec<&str> = SYSCALLS.split_whitespace().collect();
    let personality = |value: u64| {
        json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }] })
    };
    let mut rules = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    rules.extend([0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff].map(personality));
    rules.extend([
        json!({ "names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] }),
        json!({ "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 2_114_060_288_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }),
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }),
    ]);
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": match std::env::consts::ARCH {
            "aarch64" => vec!["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
            _ => vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        },
        "syscalls": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_what_managers_write() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("busybox"), "").unwrap();
        let bundle = folder.path().join("b");
        write(&bundle, &folder.path().join("busybox"), &["/bin/true"]).unwrap();
        let config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["linux"]["namespaces"].as_array().unwrap().len(), 6);
        assert!(config["linux"]["seccomp"]["syscalls"][0]["names"].as_array().unwrap().len() > 300);
        assert_eq!(config["process"]["args"], json!(["/bin/true"]));
        assert!(bundle.join("rootfs/bin/true").is_symlink());
    }
}
