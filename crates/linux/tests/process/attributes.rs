//! What a process is, may, and is limited to.

use crate::{Story, Told, become_container, field, inside, spec, told};
use linux::process::{Procfs, affinity, clock, oom};
use serde_json::json;
use std::process::Command;

pub(crate) fn stories() -> Vec<Story> {
    vec![
        Story("a_process_has_everything_of_its_specification", everything, everything_inside),
        Story("a_user_keeps_ambient_capabilities_only", ambient, ambient_inside),
        Story("a_capability_that_the_runtime_lacks_is_named", lacking, lacking_inside),
        Story("a_limit_above_the_hosts_is_named", raised, raised_inside),
        Story("a_lowered_oom_score_is_an_error_unless_rootless", oom_score, oom_score_inside),
        Story("groups_denied_in_a_user_namespace_are_no_error", denied_groups, denied_groups_inside),
        Story("an_id_that_is_not_mapped_is_named", unmapped, unmapped_inside),
        Story("clocks_of_a_time_namespace_are_offset", clocks, clocks_inside),
        Story("a_joining_process_is_confined_to_processors", processors, processors_inside),
        Story("a_program_that_cannot_be_executed_is_named", no_program, no_program_inside),
        Story("a_pool_of_keys_is_the_containers_own", keys, keys_inside),
    ]
}

const ALL: [&str; 7] = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--mount-proc"];

fn everything() -> Told {
    let text = told(inside("a_process_has_everything_of_its_specification", &ALL));
    assert_eq!(field(&text, "Uid"), "54321\t54321\t54321\t54321");
    assert_eq!(field(&text, "Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(field(&text, "Groups"), "7 8");
    assert_eq!(field(&text, "Umask"), "0027");
    assert_eq!(field(&text, "CapBnd"), "0000000000000421");
    assert_eq!(field(&text, "CapPrm"), "0000000000000400");
    assert_eq!(field(&text, "CapInh"), "0000000000000400");
    assert_eq!(field(&text, "NoNewPrivs"), "1");
    assert_eq!(field(&text, "Seccomp"), "2");
    let ignored = u64::from_str_radix(field(&text, "SigIgn"), 16).unwrap();
    assert_eq!(ignored & (1 << (libc::SIGPIPE - 1)), 0, "our own ignored SIGPIPE is not handed down");
    assert_eq!(field(&text, "SigBlk"), "0000000000000000");
    assert_eq!(field(&text, "hostname"), "story.host");
    assert_eq!(field(&text, "domainname"), "story.domain");
    assert_eq!(field(&text, "shmmni"), "17");
    assert_eq!(field(&text, "somaxconn"), "77");
    assert_eq!(field(&text, "machine"), "i686");
    assert_eq!(field(&text, "nofile"), "99 199");
    assert_eq!(field(&text, "cwd"), "/tmp");
    assert_eq!(field(&text, "HOME"), "/");
    assert_eq!(field(&text, "A"), "2");
    assert_eq!(field(&text, "fds"), "0 1 2 3", "the fourth is that of the directory that is listed");
    // nice is the 19th and policy the 41st; the first two can hold spaces.
    let stat: Vec<&str> = field(&text, "stat").rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_eq!((stat[16], stat[38]), ("5", "3"), "nice 5, SCHED_BATCH");
    assert!(text.contains("127.0.0.1"), "loopback is up: {text}");
    Told::True
}

fn everything_inside() {
    // A descriptor that the runtime's caller leaked.
    std::mem::forget(rustix::io::dup(rustix::stdio::stderr()).unwrap());
    let script = r#"cat /proc/self/status
        echo hostname=$(hostname); echo domainname=$(cat /proc/sys/kernel/domainname)
        echo shmmni=$(cat /proc/sys/kernel/shmmni); echo somaxconn=$(cat /proc/sys/net/core/somaxconn)
        echo machine=$(uname -m); echo nofile=$(ulimit -Sn) $(ulimit -Hn); echo cwd=$(pwd)
        echo HOME=$HOME; echo A=$A; echo "fds=$(ls /proc/self/fd | tr '\n' ' ')"
        echo stat=$(cat /proc/self/stat); cat /proc/net/fib_trie"#;
    become_container(&spec(
        script,
        json!({
            "process": {
                "user": {"uid": 54321, "gid": 1001, "additionalGids": [7, 8], "umask": 0o27},
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "A=1", "A=2"], "cwd": "/tmp", "noNewPrivileges": true,
                "capabilities": {
                    "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                    "permitted": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
                    "effective": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
                    "inheritable": ["CAP_NET_BIND_SERVICE"], "ambient": ["CAP_NET_BIND_SERVICE"]
                },
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 199}],
                "scheduler": {"policy": "SCHED_BATCH", "nice": 5},
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
            },
            "hostname": "story.host", "domainname": "story.domain",
            "linux": {
                "namespaces": [
                    {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}, {"type": "pid"}
                ],
                "sysctl": {"kernel.shmmni": "17", "net/core/somaxconn": "77"},
                "personality": {"domain": "LINUX32"},
                "memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": "0"},
                "seccomp": serde_json::from_str::<serde_json::Value>(include_str!("../data/seccomp.json")).unwrap()
            }
        }),
    ));
}

fn ambient() -> Told {
    let text = told(inside("a_user_keeps_ambient_capabilities_only", &["--mount"]));
    assert_eq!(field(&text, "CapEff"), "0000000000000400");
    assert_eq!(field(&text, "CapAmb"), "0000000000000400");
    Told::True
}

fn ambient_inside() {
    let both = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"];
    become_container(&spec(
        "cat /proc/self/status",
        json!({"process": {"user": {"uid": 5, "gid": 5}, "capabilities": {
            "bounding": both, "permitted": both, "effective": both,
            "inheritable": ["CAP_NET_BIND_SERVICE"], "ambient": ["CAP_NET_BIND_SERVICE"]
        }}}),
    ));
}

/// CAP_SYS_TIME is not in the bounding set that `setpriv` leaves.
fn without_sys_time(story: &str) -> Option<Command> {
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-sys_time,-sys_resource").arg(exe).env(crate::STORY, story);
    Command::new("setpriv").arg("--version").output().is_ok().then_some(command)
}

fn lacking() -> Told {
    let Some(command) = without_sys_time("a_capability_that_the_runtime_lacks_is_named") else {
        return Told::Skipped("setpriv is not installed");
    };
    let text = told(command);
    assert!(text.contains("unable to apply caps: can't apply capabilities"), "{text}");
    assert!(text.contains("the runtime itself does not have CAP_SYS_TIME;"), "{text}");
    assert!(text.trim_end().ends_with("operation not permitted"), "{text}");
    Told::True
}

fn lacking_inside() {
    let caps =
        json!({"capabilities": {"permitted": ["CAP_SYS_TIME", "CAP_CHOWN"], "bounding": ["CAP_CHOWN"]}});
    become_container(&spec("true", json!({ "process": caps })));
}

fn raised() -> Told {
    let Some(command) = without_sys_time("a_limit_above_the_hosts_is_named") else {
        return Told::Skipped("setpriv is not installed");
    };
    let text = told(command);
    assert!(
        text.starts_with("set rlimit RLIMIT_NOFILE to soft 1, hard unlimited (the hard limit here is "),
        "{text}"
    );
    assert!(
        text.trim_end().ends_with("raising it needs CAP_SYS_RESOURCE): operation not permitted"),
        "{text}"
    );
    Told::True
}

fn raised_inside() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": u64::MAX}]);
    become_container(&spec("true", json!({"process": {"rlimits": limits}})));
}

fn oom_score() -> Told {
    let Some(command) = without_sys_time("a_lowered_oom_score_is_an_error_unless_rootless") else {
        return Told::Skipped("setpriv is not installed");
    };
    let text = told(command);
    assert_eq!(
        text,
        "300\nset oom_score_adj to -999 (lowering it needs CAP_SYS_RESOURCE): permission denied\nOk(())\n"
    );
    Told::True
}

fn oom_score_inside() {
    let proc = Procfs::open().unwrap();
    oom::set_score(&proc, 300, false).unwrap();
    print!("{}", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap());
    println!("{}", compute::Error::from(oom::set_score(&proc, -999, false).unwrap_err()));
    println!("{:?}", oom::set_score(&proc, -999, true));
}

fn denied_groups() -> Told {
    let text = told(inside("groups_denied_in_a_user_namespace_are_no_error", &["--user", "--map-root-user"]));
    assert_eq!(field(&text, "Uid"), "0\t0\t0\t0");
    Told::True
}

fn denied_groups_inside() {
    become_container(&spec("cat /proc/self/status", json!({"process": {"user": {"additionalGids": [5]}}})));
}

fn unmapped() -> Told {
    let text = told(inside("an_id_that_is_not_mapped_is_named", &["--user", "--map-root-user"]));
    assert_eq!(text, "cannot setgid to unmapped gid 6 in user namespace\n");
    Told::True
}

fn unmapped_inside() {
    become_container(&spec("true", json!({"process": {"user": {"uid": 5, "gid": 6}}})));
}

fn clocks() -> Told {
    if !std::path::Path::new("/proc/self/timens_offsets").exists() {
        return Told::Skipped("the kernel has no time namespaces");
    }
    let text = told(inside("clocks_of_a_time_namespace_are_offset", &[]));
    let uptime: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 1e6, "{uptime}");
    Told::True
}

#[expect(
    deprecated,
    reason = "it is only unsafe to leave the file system of threads, and this process has one"
)]
fn clocks_inside() {
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWTIME).unwrap();
    clock::set_offsets(&Procfs::open().unwrap(), "self", "boottime 1000000 0\nmonotonic 1000000 0\n")
        .unwrap();
    let uptime = Command::new("cat").arg("/proc/uptime").output().unwrap();
    print!("{}", String::from_utf8_lossy(&uptime.stdout));
}

fn processors() -> Told {
    let text = told(inside("a_joining_process_is_confined_to_processors", &[]));
    let lists: Vec<&str> = text.lines().collect();
    assert_eq!(lists[0], "Cpus_allowed_list:\t0");
    assert_eq!(lists[1], lists[2], "all that were there before are back");
    Told::True
}

fn processors_inside() {
    let list = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
    };
    affinity::reset(None);
    let before = list();
    affinity::set(None, &[1]).unwrap();
    println!("{}", list());
    affinity::reset(None);
    println!("{}\n{before}", list());
}

fn no_program() -> Told {
    let text = told(inside("a_program_that_cannot_be_executed_is_named", &[]));
    assert_eq!(
        text,
        "exec /etc/passwd: permission denied\n".replace("exec /etc/passwd", r#"exec: "/etc/passwd""#)
    );
    Told::True
}

fn no_program_inside() {
    become_container(&spec("", json!({"process": {"args": ["/etc/passwd"]}})));
}

fn keys() -> Told {
    let text = told(inside("a_pool_of_keys_is_the_containers_own", &[]));
    if text.contains("function not implemented") {
        return Told::Skipped("the kernel has no keyrings");
    }
    let line = text.lines().find(|line| line.contains("_ses.story")).unwrap_or_else(|| panic!("{text}"));
    // The user may search it: 0x08 in the second byte.
    let permissions = u32::from_str_radix(line.split_whitespace().nth(4).unwrap(), 16).unwrap();
    assert_ne!(permissions & 0x0008_0000, 0, "{line}");
    Told::True
}

fn keys_inside() {
    become_container(&spec("cat /proc/keys", json!({})));
}
