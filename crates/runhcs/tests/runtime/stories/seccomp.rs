//! Seccomp: every action, arguments, architectures, and the notification of a supervisor.

use crate::bundle::Bundle;
use crate::console::receive_message;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;

pub(crate) const STORIES: &[Story] = &[
    story!(a_call_can_be_refused_with_an_errno),
    story!(the_errno_can_be_chosen),
    story!(a_call_can_end_the_process),
    story!(a_call_can_end_a_thread_or_trap),
    story!(log_and_allow_let_it_pass),
    story!(the_default_action_can_refuse),
    story!(arguments_decide),
    story!(names_that_the_kernel_does_not_know_are_skipped),
    story!(an_unknown_action_is_refused),
    story!(an_unknown_architecture_is_refused),
    story!(the_filter_holds_for_exec),
    story!(the_filter_holds_for_users_and_without_new_privileges),
    story!(flags_are_accepted),
    story!(an_unknown_flag_is_refused, Need::NotCrun),
    story!(the_mode_is_filter),
    story!(a_supervisor_gets_the_descriptor_and_the_state, Need::NotCrun),
    story!(a_supervisor_needs_a_socket, Need::NotCrun),
    story!(a_supervisor_that_is_not_there_is_an_error),
    story!(the_usual_profile_of_container_managers_runs, Need::Anyone),
    story!(the_same_filter_twice_gives_the_same),
    story!(a_changed_filter_is_not_taken_from_memory),
];

fn filter(bundle: Bundle, rules: Value) -> Bundle {
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
}

fn mkdir(action: &str) -> Value {
    json!([{"names": ["mkdir", "mkdirat"], "action": action}])
}

fn a_call_can_be_refused_with_an_errno(w: &World) {
    let output = w.run(
        &filter(w.bundle(), mkdir("SCMP_ACT_ERRNO")).sh("mkdir /x 2>&1; echo $?; test -e /x || echo none"),
    );
    assert!(
        output.stdout.contains("Operation not permitted") && output.stdout.ends_with("none\n"),
        "{output}"
    );
}

fn the_errno_can_be_chosen(w: &World) {
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]);
    assert!(w.run(&filter(w.bundle(), rules).sh("mkdir /x")).stderr.contains("No space left"));
    let seccomp = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": []});
    let output = w.run(&w.bundle().set("/linux/seccomp", seccomp));
    assert_ne!(output.code, Some(0), "{output}");
}

fn a_call_can_end_the_process(w: &World) {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS"] {
        let output = w.run(&filter(w.bundle(), mkdir(action)).sh("mkdir /x; echo $?"));
        assert_eq!(output.text(), "159", "128 and SIGSYS: {output}");
    }
    w.run(&filter(w.bundle(), mkdir("SCMP_ACT_KILL_PROCESS")).args(&["/bin/mkdir", "/x"])).code(159);
}

fn a_call_can_end_a_thread_or_trap(w: &World) {
    for action in ["SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"] {
        let output = w.run(&filter(w.bundle(), mkdir(action)).sh("mkdir /x; echo $?"));
        assert_eq!(output.text(), "159", "{action}: {output}");
    }
}

fn log_and_allow_let_it_pass(w: &World) {
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"] {
        let output = w.run(&filter(w.bundle(), mkdir(action)).sh("mkdir /x && echo made"));
        if action == "SCMP_ACT_ALLOW" && output.code != Some(0) {
            // libseccomp takes a rule that equals the default for a mistake; runtimes may leave it out or report it.
            continue;
        }
        assert_eq!(output.text(), "made", "{action}: {output}");
    }
}

fn the_default_action_can_refuse(w: &World) {
    let allowed = "execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom \
                   mprotect exit_group exit write writev read close fstat newfstatat mmap munmap getuid geteuid getgid \
                   getegid getpid getppid setuid setgid setgroups prctl capset futex fcntl rt_sigaction rt_sigprocmask \
                   rt_sigreturn sigaltstack openat open getcwd chdir fchdir stat lstat setresuid setresgid close_range \
                   getdents64 lseek ioctl access faccessat statx capget gettid epoll_ctl epoll_pwait nanosleep tgkill \
                   clock_nanosleep sched_yield madvise pread64 pipe2 eventfd2 dup3 fstatfs getpgid setsid uname umask \
                   sched_getaffinity timer_create timer_settime timer_delete";
    let names: Vec<&str> = allowed.split_whitespace().collect();
    let seccomp = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]});
    let output = w.run(&w.bundle().set("/linux/seccomp", seccomp).sh("echo fine; mkdir /x")).code(1);
    assert_eq!(output.text(), "fine");
    assert!(output.stderr.contains("ermitted"), "{output}");
}

fn arguments_decide(w: &World) {
    // mkdir with mode 0777, which is what busybox asks for.
    let rule = |op: &str, value: u64, two: u64| {
        json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": value, "valueTwo": two, "op": op}]}])
    };
    let refused = |rules: Value| w.run(&filter(w.bundle(), rules).sh("mkdir /x")).code != Some(0);
    assert!(refused(rule("SCMP_CMP_EQ", 0o777, 0)));
    assert!(!refused(rule("SCMP_CMP_EQ", 0o700, 0)));
    assert!(refused(rule("SCMP_CMP_NE", 0o700, 0)));
    assert!(refused(rule("SCMP_CMP_LT", 0o1000, 0)));
    assert!(!refused(rule("SCMP_CMP_LT", 0o777, 0)));
    assert!(refused(rule("SCMP_CMP_LE", 0o777, 0)));
    assert!(refused(rule("SCMP_CMP_GE", 0o777, 0)));
    assert!(!refused(rule("SCMP_CMP_GT", 0o777, 0)));
    assert!(refused(rule("SCMP_CMP_MASKED_EQ", 0o700, 0o700)));
    assert!(!refused(rule("SCMP_CMP_MASKED_EQ", 0o7000, 0o1000)));
    let twice = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [
        {"index": 1, "value": 0o700, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 0o777, "op": "SCMP_CMP_EQ"}]}]);
    assert!(refused(twice), "two conditions on one argument are alternatives");
}

fn names_that_the_kernel_does_not_know_are_skipped(w: &World) {
    let rules = json!([{"names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
    let output = w.run(&filter(w.bundle(), rules).sh("mkdir /x || echo refused")).ok();
    assert_eq!(output.text(), "refused");
}

fn an_unknown_action_is_refused(w: &World) {
    w.run(&filter(w.bundle(), mkdir("SCMP_ACT_MAGIC"))).fails("");
    w.run(&w.bundle().set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_MAGIC"}))).fails("");
}

fn an_unknown_architecture_is_refused(w: &World) {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"], "syscalls": mkdir("SCMP_ACT_ERRNO")});
    w.run(&w.bundle().set("/linux/seccomp", seccomp)).fails("");
}

fn the_filter_holds_for_exec(w: &World) {
    let c = w.ready(&filter(w.bundle(), mkdir("SCMP_ACT_ERRNO")));
    c.sh("mkdir /x || exit 9").code(9);
    assert!(c.sh("grep Seccomp: /proc/self/status").ok().text().ends_with('2'));
}

fn the_filter_holds_for_users_and_without_new_privileges(w: &World) {
    for nnp in [true, false] {
        let bundle = filter(w.bundle().folder("open"), mkdir("SCMP_ACT_ERRNO"));
        let bundle = bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        let bundle =
            bundle.set("/process/noNewPrivileges", json!(nnp)).set("/process/capabilities", json!({}));
        assert_eq!(
            w.output_of(bundle.sh("mkdir /tmp/x 2>/dev/null || echo refused; id -u")),
            "refused\n1000"
        );
    }
}

fn flags_are_accepted(w: &World) {
    for flag in ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"] {
        let seccomp =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": mkdir("SCMP_ACT_ERRNO")});
        let output = w.run(&w.bundle().set("/linux/seccomp", seccomp).sh("mkdir /x || echo refused"));
        if w.kind() == Kind::Ours {
            assert_eq!(output.ok().text(), "refused");
        }
    }
}

fn an_unknown_flag_is_refused(w: &World) {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_MAGIC"], "syscalls": mkdir("SCMP_ACT_ERRNO")});
    let text = if w.kind() == Kind::Ours { "MAGIC" } else { "seccomp" };
    w.run(&w.bundle().set("/linux/seccomp", seccomp)).fails(text);
}

fn the_mode_is_filter(w: &World) {
    assert!(
        w.output_of(filter(w.bundle(), mkdir("SCMP_ACT_ERRNO")).sh("grep Seccomp: /proc/self/status"))
            .ends_with('2')
    );
    assert!(w.output_of(w.bundle().sh("grep Seccomp: /proc/self/status")).ends_with('0'));
}

fn notifying(w: &World, socket: &std::path::Path) -> Bundle {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "mine",
                         "syscalls": mkdir("SCMP_ACT_NOTIFY")});
    w.bundle().set("/linux/seccomp", seccomp)
}

fn a_supervisor_gets_the_descriptor_and_the_state(w: &World) {
    let path = w.path("notify.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let bundle = notifying(w, &path);
    let supervisor = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (mut bytes, fds) = receive_message(&stream);
        loop {
            let (more, _) = receive_message(&stream);
            if more.is_empty() {
                return (bytes, fds);
            }
            bytes.extend(more);
        }
    });
    let c = w.ready(&bundle);
    let (bytes, fds) = supervisor.join().unwrap();
    assert_eq!(fds.len(), 1);
    let link =
        std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fds[0]))).unwrap();
    assert!(link.to_string_lossy().contains("seccomp"), "{}", link.display());
    let state: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["pid"], c.pid());
    assert_eq!(state["metadata"], "mine");
    assert_eq!(state["state"]["id"], c.id.as_str());
    assert_eq!(state["state"]["bundle"], c.bundle.to_str().unwrap());
    assert_eq!(state["state"]["status"], "creating");
    assert!(state["ociVersion"].is_string() && state["state"]["ociVersion"].is_string());
}

fn a_supervisor_needs_a_socket(w: &World) {
    w.run(&filter(w.bundle(), mkdir("SCMP_ACT_NOTIFY"))).fails("");
    let rules = json!([{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]);
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": rules});
    if w.kind() != Kind::Crun {
        w.run(&w.bundle().set("/linux/seccomp", seccomp)).fails("write");
    }
}

fn a_supervisor_that_is_not_there_is_an_error(w: &World) {
    w.run(&notifying(w, &w.path("missing.sock"))).fails("");
}

fn the_usual_profile_of_container_managers_runs(w: &World) {
    let all = "accept4 access bind brk capget capset chdir chmod chown clock_gettime clone clone3 close connect dup dup2 \
               execve exit exit_group faccessat faccessat2 fcntl fork fstat futex getcwd getdents64 getegid geteuid getgid \
               getpgrp getpid getppid getuid ioctl kill lseek lstat mkdir mkdirat mmap mprotect munmap nanosleep newfstatat \
               open openat openat2 pipe pipe2 poll prctl pread64 prlimit64 read readlink readlinkat rseq rt_sigaction \
               rt_sigprocmask rt_sigreturn set_robust_list set_tid_address setgid setgroups setpgid setsid setuid stat \
               statx sysinfo umask uname unlink vfork wait4 write writev arch_prctl getrandom close_range sched_yield \
               epoll_create1 epoll_ctl epoll_pwait eventfd2 dup3 tgkill gettid sigaltstack madvise setresuid setresgid \
               clock_nanosleep fchdir fstatfs statfs getpgid sched_getaffinity fchown fchmod no_such_call_yet";
    let names: Vec<&str> = all.split_whitespace().collect();
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 2_114_060_288_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        ],
    });
    let bundle = w.bundle().set("/linux/seccomp", seccomp).set("/process/noNewPrivileges", json!(true));
    assert_eq!(w.output_of(bundle.sh("ls / | grep -c bin; sleep 0; echo done")), "1\ndone");
}

fn the_same_filter_twice_gives_the_same(w: &World) {
    for _ in 0..3 {
        let output = w.run(&filter(w.bundle(), mkdir("SCMP_ACT_ERRNO")).sh("mkdir /x || echo refused")).ok();
        assert_eq!(output.text(), "refused");
    }
}

fn a_changed_filter_is_not_taken_from_memory(w: &World) {
    for errno in [28, 1, 28, 13] {
        let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]);
        let output = w.run(&filter(w.bundle(), rules).sh("mkdir /x"));
        let text = std::io::Error::from_raw_os_error(errno).to_string();
        assert!(output.stderr.contains(text.split(" (os").next().unwrap()), "{output}");
    }
}
