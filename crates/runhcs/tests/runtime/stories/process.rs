//! The process: who it is, what it may, what limits it has.

use crate::host::status_field;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};

pub(crate) const STORIES: &[Story] = &[
    story!(each_set_of_capabilities_is_as_configured),
    story!(a_user_without_capabilities_has_none),
    story!(ambient_capabilities_reach_a_user),
    story!(no_capabilities_at_all),
    story!(an_unknown_capability_does_not_stop_it, Need::NotCrun),
    story!(no_new_privileges_is_set, Need::Anyone),
    story!(user_and_groups_are_set),
    story!(the_umask_is_set, Need::Anyone),
    story!(limits_are_set),
    story!(a_limit_that_cannot_be_raised_is_an_error, Need::NotCrun),
    story!(an_unknown_limit_is_named),
    story!(the_oom_score_is_raised),
    story!(the_oom_score_is_the_callers_otherwise),
    story!(a_personality_is_set, Need::NotRunc("runc has it since 1.2")),
    story!(a_scheduler_is_set, Need::Ours("runc has it since 1.2")),
    story!(an_io_priority_is_set, Need::Ours("runc has it since 1.2")),
    story!(a_memory_policy_is_set, Need::Ours("runc has it since 1.4")),
    story!(exec_has_its_own_cpu_affinity, Need::Ours("runc has it since 1.3")),
    story!(the_session_keyring_is_its_own, Need::Path("/proc/keys")),
    story!(a_keyring_is_not_made_when_not_wanted, Need::Path("/proc/keys")),
    story!(an_apparmor_profile_that_cannot_be_is_an_error, Need::NotCrun),
    story!(a_selinux_label_that_cannot_be_is_an_error, Need::NotCrun),
    story!(a_large_environment_and_long_arguments),
    story!(signals_are_as_a_new_process_has_them, Need::NotCrun, Need::Anyone),
    story!(the_process_leads_its_own_session, Need::Anyone),
    story!(cwd_may_be_closed_to_root_but_open_to_the_user),
    story!(a_user_by_a_number_that_passwd_does_not_know),
    story!(the_parent_death_signal_is_not_inherited),
    story!(an_environment_without_equals_sign_does_no_harm, Need::NotCrun),
];

const STATUS: &str = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";

fn sets(output: &str) -> std::collections::BTreeMap<String, u64> {
    let lines = output.lines().filter_map(|line| line.split_once(":\t"));
    lines.filter_map(|(name, value)| Some((name.to_owned(), u64::from_str_radix(value, 16).ok()?))).collect()
}

fn each_set_of_capabilities_is_as_configured(w: &World) {
    let capabilities = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "inheritable": ["CAP_KILL", "CAP_NET_RAW"],
        "ambient": ["CAP_KILL"],
    });
    // As a user, because root's sets are filled again when a program is executed.
    let bundle = w.bundle().set("/process/capabilities", capabilities);
    let bundle = bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).sh(STATUS);
    let sets = sets(&w.output_of(bundle));
    assert_eq!(sets["CapBnd"], 1 << 5 | 1 | 1 << 7 | 1 << 13);
    assert_eq!(sets["CapInh"], 1 << 5 | 1 << 13);
    assert_eq!(sets["CapAmb"], 1 << 5);
    assert_eq!(sets["CapPrm"], 1 << 5, "of a user only the ambient ones survive the execution");
    assert_eq!(sets["CapEff"], 1 << 5);
}

fn a_user_without_capabilities_has_none(w: &World) {
    let bundle = w.bundle().set("/process/user", json!({"uid": 1000, "gid": 1000})).sh(STATUS);
    let sets = sets(&w.output_of(bundle));
    assert_eq!((sets["CapEff"], sets["CapPrm"]), (0, 0));
    assert_ne!(sets["CapBnd"], 0);
}

fn ambient_capabilities_reach_a_user(w: &World) {
    let list = json!(["CAP_NET_BIND_SERVICE"]);
    let all =
        json!({"bounding": list, "effective": list, "permitted": list, "inheritable": list, "ambient": list});
    let bundle =
        w.bundle().set("/process/capabilities", all).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let sets = sets(&w.output_of(bundle.sh(STATUS)));
    assert_eq!((sets["CapEff"], sets["CapAmb"]), (1 << 10, 1 << 10));
}

fn no_capabilities_at_all(w: &World) {
    let sets = sets(&w.output_of(w.bundle().set("/process/capabilities", json!({})).sh(STATUS)));
    assert_eq!(sets.values().sum::<u64>(), 0, "{sets:?}");
    let bundle = w.bundle().remove("/process/capabilities").sh("echo fine");
    assert_eq!(w.output_of(bundle), "fine");
}

fn an_unknown_capability_does_not_stop_it(w: &World) {
    let output = w.run(&w.bundle().capability("CAP_FLY").sh("echo fine"));
    assert_eq!(output.clone().ok().text(), "fine");
    assert!(output.stderr.contains("CAP_FLY"), "a warning names it: {output}");
}

fn no_new_privileges_is_set(w: &World) {
    for wanted in [true, false] {
        let bundle = w.bundle().set("/process/noNewPrivileges", json!(wanted)).sh(STATUS);
        assert!(w.output_of(bundle).contains(&format!("NoNewPrivs:\t{}", u8::from(wanted))));
    }
}

fn user_and_groups_are_set(w: &World) {
    let user = json!({"uid": 1234, "gid": 4321, "additionalGids": [7, 8, 9]});
    assert_eq!(
        w.output_of(w.bundle().set("/process/user", user).sh("id -u; id -g; id -G")),
        "1234\n4321\n4321 7 8 9"
    );
    let user = json!({"uid": 0, "gid": 0});
    assert_eq!(
        w.output_of(w.bundle().set("/process/user", user).sh("id -G")),
        "0",
        "no group of the caller's"
    );
}

fn the_umask_is_set(w: &World) {
    assert_eq!(w.output_of(w.bundle().sh("umask")), "0022");
    assert_eq!(
        w.output_of(w.bundle().set("/process/user/umask", json!(0o077)).sh("umask; touch /x; stat -c %a /x")),
        "0077\n600"
    );
    let c = w.ready(&w.bundle().set("/process/user/umask", json!(0o027)));
    if w.kind() == Kind::Ours {
        assert_eq!(c.sh("umask").ok().text(), "0027");
    }
}

fn limits_are_set(w: &World) {
    let limit = |name: &str, soft: u64, hard: u64| json!({"type": name, "soft": soft, "hard": hard});
    let limits = json!([
        limit("RLIMIT_FSIZE", 1 << 20, 1 << 21),
        limit("RLIMIT_CORE", 0, 0),
        limit("RLIMIT_STACK", 1 << 22, 1 << 23),
        limit("RLIMIT_CPU", 100, 200),
        limit("RLIMIT_NPROC", 4000, 5000),
        limit("RLIMIT_MEMLOCK", 4096, 8192),
    ]);
    let output = w.output_of(w.bundle().set("/process/rlimits", limits).sh("cat /proc/self/limits"));
    let has = |name: &str, soft: &str, hard: &str| {
        let line = output.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line.trim_start_matches(name).split_whitespace().collect();
        assert_eq!(words[..2], [soft, hard], "{line}");
    };
    has("Max file size", "1048576", "2097152");
    has("Max core file size", "0", "0");
    has("Max stack size", "4194304", "8388608");
    has("Max cpu time", "100", "200");
    has("Max processes", "4000", "5000");
    has("Max locked memory", "4096", "8192");
}

fn a_limit_that_cannot_be_raised_is_an_error(w: &World) {
    if Need::Capability(24).missing_here() {
        let hard = u64::MAX >> 1;
        let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": hard}]);
        w.run(&w.bundle().set("/process/rlimits", limits)).fails("limit");
    }
    let limits = json!([{"type": "RLIMIT_CORE", "soft": 20, "hard": 10}]);
    w.run(&w.bundle().set("/process/rlimits", limits)).fails("");
}

fn an_unknown_limit_is_named(w: &World) {
    let limits = json!([{"type": "RLIMIT_DREAMS", "soft": 1, "hard": 1}]);
    w.run(&w.bundle().set("/process/rlimits", limits)).fails("DREAMS");
}

fn the_oom_score_is_raised(w: &World) {
    let bundle = w.bundle().set("/process/oomScoreAdj", json!(789));
    let c = w.ready(&bundle);
    assert_eq!(c.sh("cat /proc/1/oom_score_adj").ok().text(), "789");
    if w.kind() != Kind::Crun {
        assert_eq!(c.sh("cat /proc/self/oom_score_adj").ok().text(), "789");
    }
}

fn the_oom_score_is_the_callers_otherwise(w: &World) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(w.output_of(w.bundle().sh("cat /proc/self/oom_score_adj")), own.trim());
}

fn a_personality_is_set(w: &World) {
    let bundle = w.bundle().set("/linux/personality", json!({"domain": "LINUX32"}));
    assert_eq!(w.output_of(bundle.sh("cat /proc/self/personality; uname -m")), "00000008\ni686");
    let bundle = w.bundle().set("/linux/personality", json!({"domain": "LINUX"}));
    assert_eq!(w.output_of(bundle.sh("cat /proc/self/personality")), "00000000");
    w.run(&w.bundle().set("/linux/personality", json!({"domain": "MINIX"}))).fails("");
}

fn a_scheduler_is_set(w: &World) {
    let bundle = w.bundle().set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 7}));
    let c = w.ready(&bundle);
    assert_eq!(crate::host::stat_field(c.pid(), 41).as_deref(), Some("3"), "SCHED_BATCH");
    assert_eq!(crate::host::stat_field(c.pid(), 19).as_deref(), Some("7"), "nice");
    if w.kind() == Kind::Ours {
        let file = w.path("process.json");
        let process = json!({"args": ["/bin/sh", "-c", "cat /proc/self/stat"], "cwd": "/", "env": ["PATH=/bin"],
                             "scheduler": {"policy": "SCHED_IDLE"}});
        std::fs::write(&file, process.to_string()).unwrap();
        let stat = c.exec_with(&["-p", file.to_str().unwrap()], &[]).run().ok().stdout;
        let policy = stat.rsplit_once(") ").unwrap().1.split(' ').nth(38).map(str::to_owned);
        assert_eq!(policy.as_deref(), Some("5"), "SCHED_IDLE");
        w.run(&w.bundle().set("/process/scheduler", json!({"policy": "SCHED_MAGIC"}))).fails("SCHED_MAGIC");
        let wrong = json!({"policy": "SCHED_OTHER", "priority": 5});
        w.run(&w.bundle().set("/process/scheduler", wrong)).fails("priority");
    }
}

fn an_io_priority_is_set(w: &World) {
    let bundle = w.bundle().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    assert!(w.output_of(bundle.sh("ionice -p $$")).contains("prio 6"));
    let bundle = w.bundle().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE"}));
    assert!(w.output_of(bundle.sh("ionice -p $$")).contains("idle"));
    for wrong in [json!({"class": "IOPRIO_CLASS_MAGIC"}), json!({"class": "IOPRIO_CLASS_BE", "priority": 9})]
    {
        w.run(&w.bundle().set("/process/ioPriority", wrong)).fails("");
    }
}

fn a_memory_policy_is_set(w: &World) {
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        crate::story::skip("the kernel has no NUMA");
    }
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0"});
    let output =
        w.output_of(w.bundle().set("/linux/memoryPolicy", policy).sh("head -3 /proc/self/numa_maps"));
    assert!(output.contains("bind:0") || output.contains("bind="), "{output}");
    let wrong = json!({"mode": "MPOL_MAGIC", "nodes": "0"});
    w.run(&w.bundle().set("/linux/memoryPolicy", wrong)).fails("MPOL_MAGIC");
}

fn exec_has_its_own_cpu_affinity(w: &World) {
    let affinity = json!({"initial": "0", "final": "0"});
    let c = w.ready(&w.bundle().set("/process/execCPUAffinity", affinity));
    assert_eq!(
        c.sh("grep Cpus_allowed_list /proc/self/status").ok().text().split_whitespace().last(),
        Some("0")
    );
    assert_eq!(
        status_field(c.pid(), "Cpus_allowed_list"),
        status_field(std::process::id().cast_signed(), "Cpus_allowed_list")
    );
    w.run(&w.bundle().set("/process/execCPUAffinity", json!({"initial": "x"}))).fails("");
}

fn unmasked(w: &World) -> crate::bundle::Bundle {
    w.bundle().set("/linux/maskedPaths", json!([]))
}

fn the_session_keyring_is_its_own(w: &World) {
    let c = w.ready(&unmasked(w));
    let keys = c.sh("cat /proc/keys").ok().stdout;
    assert!(keys.contains(&format!("_ses.{}", c.id)) || keys.contains(&c.id), "{keys}");
}

fn a_keyring_is_not_made_when_not_wanted(w: &World) {
    let bundle = unmasked(w).sh("cat /proc/keys");
    let output = w.run_call(&bundle, "keyless", &["--no-new-keyring"]).run().ok();
    assert!(!output.stdout.contains("keyless"), "{output}");
}

fn an_apparmor_profile_that_cannot_be_is_an_error(w: &World) {
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        let output = w.run(&w.bundle().set("/process/apparmorProfile", json!("no-such-profile")));
        output.fails("no-such-profile");
    } else {
        w.run(&w.bundle().set("/process/apparmorProfile", json!("unconfined"))).fails("apparmor");
    }
}

fn a_selinux_label_that_cannot_be_is_an_error(w: &World) {
    if std::path::Path::new("/sys/fs/selinux").exists() {
        crate::story::skip("this host has selinux");
    }
    let text = "selinux";
    w.run(&w.bundle().set("/process/selinuxLabel", json!("system_u:system_r:container_t:s0")))
        .code(1)
        .fails(text);
    if w.kind() == Kind::Runc {
        return;
    }
    w.run(&w.bundle().set("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0")))
        .code(1)
        .fails(text);
}

fn a_large_environment_and_long_arguments(w: &World) {
    let mut bundle = w.bundle();
    for n in 0..500 {
        bundle = bundle.env(&format!("V{n}={}", "x".repeat(500)));
    }
    let long = "y".repeat(100_000);
    let bundle = bundle.args(&["/bin/sh", "-c", "env | grep -c ^V; echo ${#1}", "sh", &long]);
    assert_eq!(w.output_of(bundle), "500\n100000");
}

fn signals_are_as_a_new_process_has_them(w: &World) {
    // What the caller ignores stays ignored, but for SIGPIPE, which this suite ignores as every Rust program does. The
    // two signals that the C library keeps for itself are ignored in whatever posix_spawn starts.
    let own = status_field(std::process::id().cast_signed(), "SigIgn");
    let callers = u64::from_str_radix(&own, 16).unwrap() & !(1 << 12) | 0b11 << 31;
    let check = |status: &str| {
        for line in status.lines().filter(|line| !line.starts_with("SigQ")) {
            let (name, set) = line.split_once(":\t").unwrap();
            let allowed = if name == "SigIgn" { callers } else { 0 };
            assert_eq!(u64::from_str_radix(set, 16).unwrap() & !allowed, 0, "{status}");
        }
    };
    let words = ["/bin/grep", "Sig", "/proc/self/status"];
    check(&w.output_of(w.bundle().args(&words)));
    check(&w.idle().exec_with(&[], &words).run().ok().stdout);
}

fn the_process_leads_its_own_session(w: &World) {
    let c = w.idle();
    let pid = c.pid().to_string();
    assert_eq!(crate::host::stat_field(c.pid(), 6).as_ref(), Some(&pid), "session");
    assert_eq!(crate::host::stat_field(c.pid(), 5).as_ref(), Some(&pid), "process group");
}

fn cwd_may_be_closed_to_root_but_open_to_the_user(w: &World) {
    use std::os::unix::fs::PermissionsExt;
    let bundle = w.bundle().folder("own");
    let own = bundle.rootfs().join("own");
    std::os::unix::fs::chown(&own, Some(1000), Some(1000)).unwrap();
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o700)).unwrap();
    let bundle =
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/cwd", json!("/own"));
    let bundle = bundle.set("/process/capabilities", json!({}));
    assert_eq!(w.output_of(bundle.sh("pwd; ls -d .")), "/own\n.");
}

fn a_user_by_a_number_that_passwd_does_not_know(w: &World) {
    let user: Value = json!({"uid": 65_000, "gid": 65_001});
    assert_eq!(w.output_of(w.bundle().set("/process/user", user).sh("id -u; id -g")), "65000\n65001");
}

fn the_parent_death_signal_is_not_inherited(w: &World) {
    // A container outlives the runtime that started it, and the thread that started the runtime.
    let bundle = w.bundle();
    let c = std::thread::scope(|scope| scope.spawn(|| w.ready(&bundle)).join().unwrap());
    assert_eq!(c.status(), "running");
}

fn an_environment_without_equals_sign_does_no_harm(w: &World) {
    let output = w.run(&w.bundle().env("NOVALUE").sh("echo fine"));
    if output.code == Some(0) {
        assert_eq!(output.text(), "fine");
    } else {
        output.fails("environment variable");
    }
}
