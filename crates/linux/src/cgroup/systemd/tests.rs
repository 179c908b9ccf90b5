//! A real systemd, as a user manager in a mount namespace in which the host looks as if it had booted with systemd
//! and cgroup2 alone. The story runs in this same test program, started anew inside.

use crate::cgroup::{Cgroup, Driver, Request, plan};
use oci_spec::runtime::LinuxResources;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "cgroup::systemd::tests::inside";

const SCRIPT: &str = r#"
mount --make-rprivate /
mount -t tmpfs run /run && mkdir -p /run/systemd/system
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo $$ > "/sys/fs/cgroup/$SCRATCH/cgroup.procs"
systemd --user --unit=basic.target >/dev/null 2>&1 &
manager=$!
"$@"
result=$?
kill $manager
wait $manager
exit $result
"#;

#[test]
fn a_real_systemd_makes_limits_and_removes_a_unit() {
    let Some(scratch) = crate::cgroup::tests::unified_scratch("systemd") else { return };
    if Command::new("systemd").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: systemd is not installed");
        return;
    }
    let runtime = tempfile::tempdir().unwrap();
    // Without a bus, which systemd would have to start for our first call: systemd itself is spoken to.
    let units = runtime.path().join(".config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    for unit in ["dbus.socket", "dbus.service"] {
        std::os::unix::fs::symlink("/dev/null", units.join(unit)).unwrap();
    }
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", INSIDE, "--nocapture"])
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("HOME", runtime.path())
        .env("SCRATCH", scratch.path.file_name().unwrap())
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .status()
        .unwrap();
    remove_below(&scratch.path);
    assert!(status.success());
}

/// systemd leaves its own cgroups.
fn remove_below(path: &Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_below(&entry.path());
            drop(std::fs::remove_dir(entry.path()));
        }
    }
}

#[test]
#[ignore = "runs inside of the test above"]
fn inside() {
    let runtime = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap());
    let begin = Instant::now();
    while !runtime.join("systemd/private").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "systemd does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    let annotations = [("org.systemd.property.TimeoutStopSec".to_owned(), "7".to_owned())].into();
    let request = Request {
        id: "c1",
        cgroups_path: Some(Path::new("a-b.slice:p:c1")),
        driver: Driver::Systemd,
        rootless: true,
        annotations: Some(&annotations),
        owner: None,
    };
    let placement = plan(&request).unwrap();
    let path = placement.hierarchies[0].path.clone();
    assert!(path.ends_with("a.slice/a-b.slice/p-c1.scope"), "{}", path.display());
    let resources: LinuxResources =
        serde_json::from_str(r#"{"memory":{"limit":67108864},"cpu":{"quota":5000},"pids":{"limit":20}}"#)
            .unwrap();

    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut cgroup = Cgroup::prepare(placement.clone()).unwrap();
    cgroup.place(i32::try_from(child.id()).unwrap(), &resources).unwrap();
    assert_eq!(cgroup.processes().unwrap(), [i32::try_from(child.id()).unwrap()]);
    // This host's cgroup2 has none of these controllers, so only systemd is asked.
    let unit = placement.unit.as_ref().unwrap();
    let show = |property: &str| {
        let arguments = ["--user", "show", "--value", "-p", property, &unit.name];
        let output = Command::new("systemctl").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let policy = crate::cgroup::devices::Policy::of_spec(&[]).unwrap();
    let now = super::Now::default();
    super::set(unit, placement.layout, &resources, Some(&policy), &now).unwrap();
    for (property, value) in [
        ("MemoryMax", "67108864"),
        ("CPUQuotaPerSecUSec", "50ms"),
        ("TasksMax", "20"),
        ("Delegate", "yes"),
        ("DevicePolicy", "strict"),
        ("TimeoutStopUSec", "7s"),
        ("Slice", "a-b.slice"),
        ("ControlGroup", path.strip_prefix("/sys/fs/cgroup").unwrap().to_str().unwrap()),
    ] {
        assert_eq!(show(property).trim_start_matches('/'), value, "{property}");
    }
    assert!(show("DeviceAllow").contains("/dev/char/1:3 rwm"), "{}", show("DeviceAllow"));

    let update: LinuxResources = serde_json::from_str(r#"{"pids":{"limit":-1}}"#).unwrap();
    super::set(unit, placement.layout, &update, None, &now).unwrap();
    assert_eq!(show("TasksMax"), "infinity");
    assert_eq!(show("MemoryMax"), "67108864");
    let wrong: LinuxResources = serde_json::from_str(r#"{"unified":{"memory.high":"x"}}"#).unwrap();
    assert!(super::set(unit, placement.layout, &wrong, None, &now).is_err());

    cgroup.kill_all(9).unwrap();
    child.wait().unwrap();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
    assert_eq!(show("LoadState"), "not-found");
    cgroup.destroy().unwrap();

    // The name is free again.
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut again = Cgroup::prepare(placement).unwrap();
    again.place(i32::try_from(child.id()).unwrap(), &resources).unwrap();
    again.kill_all(9).unwrap();
    child.wait().unwrap();
    again.destroy().unwrap();
}

#[test]
fn the_version_is_the_first_number() {
    for (text, version) in
        [("252.39-1~deb12u1", Some(252)), ("v245.4-1.fc32", Some(245)), ("\"257", Some(257)), ("x", None)]
    {
        assert_eq!(super::parse_version(text), version, "{text}");
    }
}
