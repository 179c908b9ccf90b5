//! The stories: one function each, by what they show.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bundle::map_subordinate_ids;
use crate::command::{done, eventually, outcome};
use crate::container::{Caller, Container};

/// Answers with a reason where the machine or the runtime cannot play it.
type Tell = fn(&Path) -> Result<Option<String>>;

pub(crate) fn all() -> impl Iterator<Item = (&'static str, Tell)> {
    let stories: [(&'static str, Tell); 13] = [
        ("systemd_makes_a_scope_of_the_system", |runtime| system_scope(runtime).map(|()| None)),
        ("systemd_sets_properties_from_annotations", |runtime| annotations(runtime).map(|()| None)),
        ("systemd_makes_a_scope_of_the_user", |runtime| user_scope(runtime).map(|()| None)),
        ("limits_are_written", |runtime| limits(runtime).map(|()| None)),
        ("limits_change", |runtime| update(runtime).map(|()| None)),
        ("devices_are_denied", |runtime| devices(runtime).map(|()| None)),
        ("pause_freezes", |runtime| freezer(runtime).map(|()| None)),
        ("memory_runs_out", |runtime| oom(runtime).map(|()| None)),
        ("sigkill_ends_everything", |runtime| kill_all(runtime).map(|()| None)),
        ("a_user_runs_containers", |runtime| rootless(runtime).map(|()| None)),
        ("a_user_has_subordinate_ids", |runtime| subordinate_ids(runtime).map(|()| None)),
        ("a_cgroup_is_delegated", |runtime| delegation(runtime).map(|()| None)),
        ("a_checkpoint_is_restored", checkpoint),
    ];
    stories.into_iter()
}

const SLEEPING: &[&str] = &["sleep", "600"];

/// Values of a unit, as `systemctl show` words them.
fn show(caller: &Caller, unit: &str, property: &str) -> Result<String> {
    let manager: &[&str] = if caller.is_user() { &["systemctl", "--user"] } else { &["systemctl"] };
    Ok(done(caller.any(&[manager, &["show", unit, "--property", property, "--value"]].concat()))?
        .trim()
        .to_owned())
}

fn expect(what: &str, seen: &str, expected: &str) -> Result<()> {
    ensure!(seen == expected, "{what} is {seen:?}, not {expected:?}");
    Ok(())
}

fn resources() -> Value {
    json!({
        "memory": { "limit": 64 << 20 },
        "cpu": { "quota": 50_000, "period": 100_000, "shares": 512 },
        "pids": { "limit": 40 },
    })
}

fn system_scope(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime).with_systemd();
    let container = Container::new(&caller, "scope", SLEEPING, |config| {
        config["linux"]["cgroupsPath"] = json!("machine.slice:tested:scope");
        config["linux"]["resources"] = resources();
    })?;
    container.start()?;
    expect("the cgroup", &container.cgroup()?, "/machine.slice/tested-scope.scope")?;
    let unit = "tested-scope.scope";
    for (property, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("MemoryMax", "67108864"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("TasksMax", "40"),
        ("Slice", "machine.slice"),
    ] {
        expect(property, &show(&caller, unit, property)?, value)?;
    }
    expect("memory.max", &container.limit("memory.max")?, "67108864")?;
    done(caller.command(&["update", "--memory", "32M", "scope"]))?;
    expect("MemoryMax after update", &show(&caller, unit, "MemoryMax")?, "33554432")?;
    // A reload writes the unit's properties into its cgroup again: what systemd does not know of is lost here.
    done(caller.any(&["systemctl", "daemon-reload"]))?;
    expect("memory.max after a reload", &container.limit("memory.max")?, "33554432")?;
    container.delete()?;
    eventually("the unit to go", || Ok(show(&caller, unit, "ActiveState")? == "inactive"))
}

fn annotations(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime).with_systemd();
    let container = Container::new(&caller, "annotated", SLEEPING, |config| {
        config["linux"]["cgroupsPath"] = json!(":tested:annotated");
        config["annotations"] = json!({
            "org.systemd.property.Description": "'as the bundle says'",
            "org.systemd.property.TimeoutStopUSec": "uint64 7000000",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
        });
    })?;
    container.start()?;
    let unit = "tested-annotated.scope";
    expect("the cgroup", &container.cgroup()?, "/system.slice/tested-annotated.scope")?;
    expect("Description", &show(&caller, unit, "Description")?, "as the bundle says")?;
    expect("TimeoutStopUSec", &show(&caller, unit, "TimeoutStopUSec")?, "7s")?;
    expect("CollectMode", &show(&caller, unit, "CollectMode")?, "inactive-or-failed")?;
    container.delete()
}

fn user_scope(runtime: &Path) -> Result<()> {
    let caller = Caller::user(runtime).with_systemd();
    let container = Container::new(&caller, "mine", SLEEPING, |config| {
        config["linux"]["cgroupsPath"] = json!("user.slice:tested:mine");
        config["linux"]["resources"] = json!({ "memory": { "limit": 64 << 20 }, "pids": { "limit": 40 } });
    })?;
    container.start()?;
    let cgroup = container.cgroup()?;
    let parent = "/user.slice/user-1000.slice/user@1000.service/user.slice/";
    expect("the cgroup", &cgroup, &format!("{parent}tested-mine.scope"))?;
    expect("MemoryMax", &show(&caller, "tested-mine.scope", "MemoryMax")?, "67108864")?;
    expect("memory.max", &container.limit("memory.max")?, "67108864")?;
    expect("pids.max", &container.limit("pids.max")?, "40")?;
    let said = container.exec(&["cat", "/proc/self/cgroup"])?;
    ensure!(said.code == 0, "exec: {}", said.stderr);
    container.delete()?;
    eventually("the unit to go", || Ok(show(&caller, "tested-mine.scope", "ActiveState")? == "inactive"))
}

fn limits(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime);
    let container = Container::new(&caller, "limits", SLEEPING, |config| {
        config["linux"]["cgroupsPath"] = json!("/tested/limits");
        config["linux"]["resources"] = json!({
            "memory": { "limit": 64 << 20, "swap": 96 << 20, "reservation": 16 << 20 },
            "cpu": { "quota": 20_000, "period": 50_000, "shares": 1024, "cpus": "0", "mems": "0" },
            "pids": { "limit": 40 },
            "unified": { "memory.high": "50331648", "cpu.weight.nice": "0" },
        });
    })?;
    container.start()?;
    expect("the cgroup", &container.cgroup()?, "/tested/limits")?;
    for (file, value) in [
        ("memory.max", "67108864"),
        // What OCI calls swap is memory and swap together.
        ("memory.swap.max", "33554432"),
        ("memory.low", "16777216"),
        ("memory.high", "50331648"),
        ("cpu.max", "20000 50000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "40"),
    ] {
        expect(file, &container.limit(file)?, value)?;
    }
    container.delete()?;
    // The parent was made on the way and is nobody's afterwards.
    let _ = fs::remove_dir("/sys/fs/cgroup/tested");
    Ok(())
}

fn update(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime);
    let container = Container::new(&caller, "update", SLEEPING, |config| {
        config["linux"]["cgroupsPath"] = json!("/tested-update");
        config["linux"]["resources"] = resources();
    })?;
    container.start()?;
    done(caller.command(&[
        "update",
        "--memory",
        "128M",
        "--pids-limit",
        "70",
        "--cpu-quota",
        "70000",
        "update",
    ]))?;
    expect("memory.max", &container.limit("memory.max")?, "134217728")?;
    expect("pids.max", &container.limit("pids.max")?, "70")?;
    expect("cpu.max", &container.limit("cpu.max")?, "70000 100000")?;
    container.delete()
}

/// By an eBPF program: cgroup v2 has no file for devices.
fn devices(runtime: &Path) -> Result<()> {
    let [(major, allowed), (_, barred)] = [disk("vda")?, disk("vdb")?];
    for caller in [Caller::root(runtime), Caller::root(runtime).with_systemd()] {
        let cgroup = if caller.is_systemd() { ":tested:devices" } else { "/tested-devices" };
        let container = Container::new(&caller, "devices", SLEEPING, |config| {
            config["linux"]["cgroupsPath"] = json!(cgroup);
            config["linux"]["resources"]["devices"] = json!([
                { "allow": false, "access": "rwm" },
                { "allow": true, "type": "b", "major": major, "minor": allowed, "access": "r" },
            ]);
            for set in ["bounding", "effective", "permitted"] {
                if let Some(set) = config["process"]["capabilities"][set].as_array_mut() {
                    set.push(json!("CAP_MKNOD"));
                }
            }
        })?;
        container.start()?;
        // Nodes may be made as one likes, as runc has it; what counts is who may open them.
        let nodes = format!("mknod /tmp/allowed b {major} {allowed} && mknod /tmp/barred b {major} {barred}");
        let said = container.exec(&["sh", "-c", &nodes])?;
        ensure!(said.code == 0, "make the nodes: {}", said.stderr);
        let tries = "echo x > /dev/null && echo null; (: < /tmp/allowed) && echo read; (: > /tmp/allowed) || echo unwritten
                     (: < /tmp/barred) || echo unread";
        let said = container.exec(&["sh", "-c", tries])?;
        ensure!(said.stdout == "null\nread\nunwritten\nunread\n", "{:?} {}", said.stdout, said.stderr);
        // Another limit must not let go of the program.
        done(caller.command(&["update", "--pids-limit", "30", "devices"]))?;
        let said = container.exec(&["sh", "-c", "(: < /tmp/barred) || echo unread"])?;
        ensure!(said.stdout == "unread\n", "after an update: {:?} {}", said.stdout, said.stderr);
        container.delete()?;
    }
    Ok(())
}

/// The numbers of a disk of this machine.
fn disk(name: &str) -> Result<(u32, u32)> {
    let numbers = fs::read_to_string(format!("/sys/class/block/{name}/dev"))?;
    let (major, minor) = numbers.trim().split_once(':').context("major:minor")?;
    Ok((major.parse()?, minor.parse()?))
}

fn freezer(runtime: &Path) -> Result<()> {
    for caller in
        [Caller::root(runtime), Caller::root(runtime).with_systemd(), Caller::user(runtime).with_systemd()]
    {
        let container = Container::new(&caller, "frozen", SLEEPING, |_| ())?;
        container.start()?;
        container.verb(&["pause"])?;
        expect("the status", &container.status()?, "paused")?;
        expect("cgroup.freeze", &container.limit("cgroup.freeze")?, "1")?;
        ensure!(container.limit("cgroup.events")?.contains("frozen 1"), "the kernel does not call it frozen");
        let refused = container.exec(&["true"])?;
        ensure!(refused.code == 255 && refused.stderr.contains("paused"), "exec in it: {}", refused.stderr);
        container.verb(&["resume"])?;
        expect("the status", &container.status()?, "running")?;
        expect("cgroup.freeze", &container.limit("cgroup.freeze")?, "0")?;
        container.verb(&["pause"])?;
        container.kill("KILL")?;
        container.await_status("stopped")?;
        container.verb(&["delete"])?;
    }
    Ok(())
}

fn oom(runtime: &Path) -> Result<()> {
    for caller in
        [Caller::root(runtime), Caller::root(runtime).with_systemd(), Caller::user(runtime).with_systemd()]
    {
        let greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"];
        let container = Container::new(&caller, "greedy", &greedy, |config| {
            config["linux"]["resources"]["memory"] = json!({ "limit": 48 << 20, "swap": 48 << 20 });
        })?;
        let ended = container.run()?;
        ensure!(ended.code == 137, "exit code {}: {}", ended.code, ended.stderr);
    }
    Ok(())
}

/// In the host's PID namespace only the cgroup tells which processes are the container's.
fn kill_all(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime);
    let crowd = ["sh", "-c", "for i in 1 2 3; do sleep 600 & done; exec sleep 600"];
    let container = Container::new(&caller, "crowd", &crowd, |config| {
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|namespace| namespace["type"] != "pid");
        }
    })?;
    container.start()?;
    eventually("four processes", || Ok(container.limit("cgroup.procs")?.lines().count() == 4))?;
    let procs = format!("/sys/fs/cgroup{}/cgroup.procs", container.cgroup()?);
    // Newer runtimes need no telling; containerd's shim says it all the same.
    done(caller.command(&["kill", "--all", container.id(), "KILL"]))?;
    eventually("no process", || Ok(fs::read_to_string(&procs).map_or(true, |procs| procs.is_empty())))?;
    container.await_status("stopped")?;
    container.verb(&["delete"]).map(drop)
}

fn rootless(runtime: &Path) -> Result<()> {
    let caller = Caller::user(runtime);
    let container = Container::new(&caller, "rootless", SLEEPING, |_| ())?;
    done(caller.command(&["create", "--bundle", &container.bundle(), container.id()]))?;
    expect("the status", &container.status()?, "created")?;
    container.verb(&["start"])?;
    expect("the status", &container.status()?, "running")?;
    let said = container.exec(&["sh", "-c", "id -u; cat /proc/self/uid_map; exit 6"])?;
    ensure!(said.code == 6, "exit code {}: {}", said.code, said.stderr);
    let words: Vec<&str> = said.stdout.split_whitespace().collect();
    ensure!(words == ["0", "0", "1000", "1"], "said {words:?}");
    let listed = done(caller.command(&["list", "--quiet"]))?;
    ensure!(listed.contains(container.id()), "the list: {listed:?}");
    container.kill("KILL")?;
    container.await_status("stopped")?;
    container.verb(&["delete"])?;
    let left = outcome(caller.any(&["sh", "-c", "ls -d \"$XDG_RUNTIME_DIR\"/*/rootless"]))?;
    ensure!(left.code != 0, "left behind: {}", left.stdout);
    Ok(())
}

/// Through newuidmap and newgidmap.
fn subordinate_ids(runtime: &Path) -> Result<()> {
    let caller = Caller::user(runtime);
    let command = ["sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map"];
    let container = Container::new(&caller, "mapped", &command, map_subordinate_ids)?;
    let said = container.run()?;
    ensure!(said.code == 0, "exit code {}: {}", said.code, said.stderr);
    let words: Vec<&str> = said.stdout.split_whitespace().collect();
    let map = ["0", "1000", "1", "1", "100000", "65536"];
    ensure!(words == [map, map].concat(), "said {words:?}");
    Ok(())
}

/// The root of a container with a user namespace owns its cgroup and may divide it further.
fn delegation(runtime: &Path) -> Result<()> {
    let caller = Caller::root(runtime).with_systemd();
    let container = Container::new(&caller, "delegated", SLEEPING, |config| {
        for kind in ["uidMappings", "gidMappings"] {
            config["linux"][kind] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        }
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.push(json!({ "type": "user" }));
            namespaces.retain(|namespace| namespace["type"] != "cgroup");
            namespaces.push(json!({ "type": "cgroup" }));
        }
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.retain(|mount| mount["type"] != "cgroup");
            mounts.push(json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "rw"],
            }));
        }
    })?;
    done({
        let mut chown = std::process::Command::new("chown");
        chown.args(["-R", "100000:100000"]).arg(Path::new(&container.bundle()).join("rootfs"));
        chown
    })?;
    fs::set_permissions(container.bundle(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    container.start()?;
    let divide = "cd /sys/fs/cgroup && mkdir inner && echo $$ > inner/cgroup.procs && cat /proc/self/cgroup
                  echo 1 > /sys/fs/cgroup/cgroup.freeze || echo kept; echo 0 > cgroup.procs; rmdir inner";
    let said = container.exec(&["sh", "-c", divide])?;
    ensure!(said.stdout == "0::/inner\nkept\n", "said {:?} {}", said.stdout, said.stderr);
    container.delete()
}

fn checkpoint(runtime: &Path) -> Result<Option<String>> {
    let check = outcome(std::process::Command::new("criu"));
    if check.is_err() {
        return Ok(Some("criu is not installed".to_owned()));
    }
    let caller = Caller::root(runtime);
    let counting = ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >> /tmp/count; sleep 0.1; done"];
    let container = Container::new(&caller, "counting", &counting, |_| ())?;
    container.start_detached_from_files()?;
    eventually("the fifth count", || {
        Ok(container.file("tmp/count").is_ok_and(|count| count.contains("\n5\n")))
    })?;
    let image = format!("{}/checkpoint", container.bundle());
    if let Err(error) = container.verb(&["checkpoint", "--image-path", &image, "--work-path", &image]) {
        let log = fs::read_to_string(format!("{image}/dump.log")).unwrap_or_default();
        let errors: Vec<&str> =
            log.lines().filter(|line| line.contains("Error") || line.contains("Warn")).collect();
        return Err(error.context(format!("criu's log has:\n{}\n", errors.join("\n"))));
    }
    let known = outcome(caller.command(&["state", container.id()]))?;
    ensure!(known.code != 0 || known.stdout.contains("stopped"), "it runs on: {}", known.stdout);
    let counted = container.file("tmp/count")?.lines().count();
    done(caller.command(&[
        "restore",
        "--detach",
        "--image-path",
        &image,
        "--bundle",
        &container.bundle(),
        container.id(),
    ]))?;
    expect("the status", &container.status()?, "running")?;
    eventually("further counts", || Ok(container.file("tmp/count")?.lines().count() > counted + 3))?;
    let numbers = container.file("tmp/count")?;
    let numbers: Vec<usize> = numbers.lines().filter_map(|line| line.parse().ok()).collect();
    ensure!(numbers.iter().copied().eq(1..=numbers.len()), "it did not count on: {numbers:?}");
    container.delete().context("delete the restored container")?;
    Ok(None)
}
