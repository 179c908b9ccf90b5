//! The system calls that a container may make unless it is told otherwise, and profiles that nodes bring along.

use std::collections::HashSet;
use std::path::Path;

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

use crate::config::Runtime;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::SecurityProfile;
use crate::wire::v1::security_profile::ProfileType;

/// The profile that a container gets; nothing for a privileged one and for `unconfined`.
pub(super) fn profile(
    asked: Option<&SecurityProfile>,
    old_path: &str,
    privileged: bool,
    capabilities: &HashSet<Capability>,
    config: &Runtime,
) -> Result<Option<LinuxSeccomp>> {
    if privileged {
        return Ok(None);
    }
    let default = || Ok(Some(default_profile(capabilities)?));
    let Some(asked) = asked else {
        return match old_path {
            "" if config.seccomp_unset == "unconfined" => Ok(None),
            "" | "runtime/default" | "docker/default" => default(),
            "unconfined" => Ok(None),
            path => match path.strip_prefix("localhost/") {
                Some(file) => read(file, config).map(Some),
                None => Err(Error::invalid(format!("seccomp_profile_path {path:?} is no profile"))),
            },
        };
    };
    match asked.profile_type() {
        ProfileType::RuntimeDefault => default(),
        ProfileType::Unconfined => Ok(None),
        ProfileType::Localhost => read(&asked.localhost_ref, config).map(Some),
    }
}

/// A profile in the OCI form, from a file of the node.
fn read(file: &str, config: &Runtime) -> Result<LinuxSeccomp> {
    let file = file.strip_prefix("localhost/").unwrap_or(file);
    if file.is_empty() {
        return Err(Error::invalid("a seccomp profile of type Localhost needs localhost_ref"));
    }
    // The kubelet gives an absolute path; a relative one is below the folder of profiles.
    let path = config.seccomp_profiles.join(file);
    read_file(&path)
}

fn read_file(path: &Path) -> Result<LinuxSeccomp> {
    let attempted = || format!("read the seccomp profile {}", path.display());
    let text = std::fs::read(path).attempt_as(Kind::Invalid, attempted)?;
    serde_json::from_slice(&text).attempt_as(Kind::Invalid, attempted)
}

/// Everything that ordinary programs need; what changes the host, the clock, other containers or the kernel is left
/// out unless a capability says that it is meant.
fn default_profile(capabilities: &HashSet<Capability>) -> Result<LinuxSeccomp> {
    let mut syscalls = vec![allow(words(ALWAYS), Vec::new())?];
    for (capability, names) in BY_CAPABILITY {
        if capabilities.contains(capability) {
            syscalls.push(allow(words(names), Vec::new())?);
        }
    }
    // personality(2): the values that select an ABI of Linux, or ask which one it is.
    for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        let argument = argument(0, value, None, LinuxSeccompOperator::ScmpCmpEq)?;
        syscalls.push(allow(vec!["personality".to_owned()], vec![argument])?);
    }
    // AF_VSOCK reaches the hypervisor.
    let not_vsock = argument(0, 40, None, LinuxSeccompOperator::ScmpCmpNe)?;
    syscalls.push(allow(vec!["socket".to_owned()], vec![not_vsock])?);
    if !capabilities.contains(&Capability::SysAdmin) {
        // No CLONE_NEW…; clone3 passes its flags in memory, where a filter cannot look: ENOSYS makes programs use clone.
        const NEW_NAMESPACES: u64 = 0x7e02_0000;
        let flags = argument(0, NEW_NAMESPACES, Some(0), LinuxSeccompOperator::ScmpCmpMaskedEq)?;
        syscalls.push(allow(vec!["clone".to_owned()], vec![flags])?);
        syscalls.push(
            LinuxSyscallBuilder::default()
                .names(vec!["clone3".to_owned()])
                .action(LinuxSeccompAction::ScmpActErrno)
                .errno_ret(38_u32)
                .build()
                .attempt(wrong)?,
        );
    }
    let mut profile = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(1_u32)
        .syscalls(syscalls);
    if let Some(architectures) = architectures() {
        profile = profile.architectures(architectures);
    }
    profile.build().attempt(wrong)
}

/// The ABIs that this processor's programs may use.
fn architectures() -> Option<Vec<Arch>> {
    match std::env::consts::ARCH {
        "x86_64" => Some(vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]),
        "aarch64" => Some(vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]),
        _ => None,
    }
}

fn allow(names: Vec<String>, arguments: Vec<LinuxSeccompArg>) -> Result<LinuxSyscall> {
    let mut rule = LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow);
    if !arguments.is_empty() {
        rule = rule.args(arguments);
    }
    rule.build().attempt(wrong)
}

fn argument(index: usize, value: u64, two: Option<u64>, op: LinuxSeccompOperator) -> Result<LinuxSeccompArg> {
    let mut argument = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    if let Some(two) = two {
        argument = argument.value_two(two);
    }
    argument.build().attempt(wrong)
}

fn wrong() -> String {
    "put the default seccomp profile together".to_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

const ALWAYS: &str = "
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
    clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
    getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
    getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt
    get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64
    ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr
    _llseek lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
    mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
    name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
    process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2
    read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
    removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction
    rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64
    send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
    setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address
    setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat
    sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime
    utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
    arch_prctl modify_ldt arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

const BY_CAPABILITY: &[(Capability, &str)] = &[
    (Capability::DacReadSearch, "open_by_handle_at"),
    (
        Capability::SysAdmin,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    (Capability::SysBoot, "reboot"),
    (Capability::SysChroot, "chroot"),
    (Capability::SysModule, "delete_module init_module finit_module"),
    (Capability::SysPacct, "acct"),
    (Capability::SysPtrace, "kcmp pidfd_getfd process_madvise"),
    (Capability::SysRawio, "iopl ioperm"),
    (Capability::SysTime, "settimeofday stime clock_settime clock_settime64"),
    (Capability::SysTtyConfig, "vhangup"),
    (Capability::SysNice, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (Capability::Syslog, "syslog"),
    (Capability::Bpf, "bpf"),
    (Capability::Perfmon, "perf_event_open"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_that_makes_namespaces_is_allowed_without_sys_admin() {
        let profile = default_profile(&HashSet::new()).unwrap();
        let allowed: Vec<&str> = profile
            .syscalls()
            .iter()
            .flatten()
            .filter(|rule| rule.action() == LinuxSeccompAction::ScmpActAllow && rule.args().is_none())
            .flat_map(|rule| rule.names().iter().map(String::as_str))
            .collect();
        for forbidden in
            ["mount", "unshare", "setns", "clone3", "clone", "bpf", "keyctl", "io_uring_setup", "socket"]
        {
            assert!(!allowed.contains(&forbidden), "{forbidden}");
        }
        assert!(allowed.contains(&"openat"));
    }

    #[test]
    fn a_profile_that_is_not_there_is_named() {
        let asked = SecurityProfile {
            profile_type: ProfileType::Localhost.into(),
            localhost_ref: "/nowhere/profile.json".to_owned(),
        };
        let error = profile(Some(&asked), "", false, &HashSet::new(), &Runtime::default()).unwrap_err();
        assert_eq!(error.to_string(), "read the seccomp profile /nowhere/profile.json");
    }
}
