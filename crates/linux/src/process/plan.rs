//! From the specification to what init applies: [`plan`].

use super::error::Error;
use super::validate::Namespaces;
use super::{
    affinity, apparmor, capabilities, clock, env, io_priority, keyring, memory_policy, network, oom,
    personality, rlimits, scheduler, seccomp, selinux, sysctl, terminal, user,
};
use oci_spec::runtime::{Linux, LinuxNamespaceType as Ns, Process, Spec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container's id.
    pub container: &'a str,
    /// The container's `config.json`, which [`validate`](super::validate()) has passed.
    pub spec: &'a Spec,
    /// The process: the specification's own, or one that joins. What the latter leaves open (labels, capabilities,
    /// limits, priorities) it has from the former.
    pub process: &'a Process,
    /// Whether it is the container's first process.
    pub first: bool,
    /// Whether the runtime is not root (in its user namespace): what it cannot have is not asked for.
    pub rootless: bool,
    /// Whether the process gets a session keyring of the container's.
    pub keyring: bool,
}

/// Everything one process is given, by number. Fields that the runtime applies from outside are marked; all others are
/// init's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether it is the container's first process.
    pub first: bool,
    /// The program's name and its arguments.
    pub args: Vec<String>,
    /// The environment; HOME may still be missing.
    pub env: Vec<String>,
    /// Whether HOME is to be looked up when it is missing. Not for a specification without any `env`, as in runc.
    pub add_home: bool,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// The terminal, if the process has one.
    pub terminal: Option<terminal::Terminal>,
    /// Who it is.
    pub user: user::User,
    /// What its files are created without.
    pub umask: Option<u32>,
    /// What it may do as root; `None` leaves what the runtime has.
    pub capabilities: Option<capabilities::Sets>,
    /// Whether execve(2) can give it more.
    pub no_new_privileges: bool,
    /// How ready the kernel is to end it.
    pub oom_score_adj: Option<i32>,
    /// Whether a refusal of that is no error.
    pub rootless: bool,
    /// Resource limits. *Applied by the runtime.*
    pub rlimits: Vec<rlimits::Limit>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// SELinux label.
    pub selinux: Option<String>,
    /// Scheduling policy.
    pub scheduler: Option<scheduler::Scheduler>,
    /// I/O priority.
    pub io_priority: Option<i32>,
    /// NUMA policy.
    pub memory_policy: Option<memory_policy::MemoryPolicy>,
    /// Execution domain.
    pub personality: Option<u32>,
    /// Processors, for a process that joins. *Applied by the runtime.*
    pub affinity: affinity::Affinity,
    /// Session keyring.
    pub keyring: Option<keyring::Keyring>,
    /// Name of the UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain of the UTS namespace.
    pub domainname: Option<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<sysctl::Sysctl>,
    /// Whether loopback is to be brought up: the network namespace is new.
    pub loopback: bool,
    /// Devices to move in. *Applied by the runtime.*
    pub net_devices: Vec<network::NetDevice>,
    /// For `timens_offsets` of a new time namespace.
    pub time_offsets: Option<String>,
    /// The seccomp filter. [`plan`] leaves its program empty and [`Plan::compile`] fills it in; it is not part of the
    /// serialized form, whoever sends a plan sends the program beside it.
    pub seccomp: Option<seccomp::Filter>,
}

/// Decides what the process is given; refuses what cannot be meant, or not be had on this host.
pub fn plan(request: &Request<'_>) -> Result<Plan, Error> {
    let Request { spec, process, first, rootless, .. } = *request;
    let own = spec.process().as_ref();
    let linux = spec.linux().as_ref();
    let namespaces = Namespaces::of(spec)?;
    check_command(process)?;
    if let Some(score) = process.oom_score_adj().filter(|score| !oom::RANGE.contains(score)) {
        return Err(Error::invalid(format!("process.oomScoreAdj: {score} is not within -1000 and 1000")));
    }

    // What a joining process does not say, the container's own process says for it.
    let capabilities = process.capabilities().as_ref().or_else(|| own?.capabilities().as_ref());
    let limits = process.rlimits().as_deref().or_else(|| own?.rlimits().as_deref());
    let profile = nonempty(process.apparmor_profile()).or_else(|| nonempty(own?.apparmor_profile()));
    let label = nonempty(process.selinux_label()).or_else(|| nonempty(own?.selinux_label()));
    let scheduler = process.scheduler().as_ref().or_else(|| own?.scheduler().as_ref());
    let io_priority = process.io_priority().as_ref().or_else(|| own?.io_priority().as_ref());
    let affinity = process.exec_cpu_affinity().as_ref().or_else(|| own?.exec_cpu_affinity().as_ref());
    let umask = process.user().umask().or_else(|| own?.user().umask());
    let confined = linux.is_some_and(confined_to_processors);

    let mut plan = Plan {
        first,
        args: process.args().clone().unwrap_or_default(),
        env: env::plan(process.env().as_deref().unwrap_or_default())?,
        add_home: process.env().is_some(),
        cwd: process.cwd().clone(),
        terminal: process.terminal().unwrap_or(false).then(|| terminal::plan(process.console_size())),
        user: user::plan(process.user(), rootless)?,
        umask: if first { umask.or(Some(0o022)) } else { umask },
        capabilities: capabilities.map(|sets| capabilities::plan(sets).known_here()),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        oom_score_adj: process.oom_score_adj().or_else(|| own?.oom_score_adj()),
        rootless,
        rlimits: rlimits::plan(limits.unwrap_or_default())?,
        apparmor: apparmor::plan(profile, apparmor::enabled)?,
        selinux: selinux::plan(label, selinux::enabled)?,
        scheduler: scheduler.map(|wanted| scheduler::plan(wanted, confined)).transpose()?,
        io_priority: io_priority.map(io_priority::plan).transpose()?,
        memory_policy: linux
            .and_then(|linux| linux.memory_policy().as_ref())
            .map(memory_policy::plan)
            .transpose()?,
        personality: linux.and_then(|linux| linux.personality().as_ref()).map(personality::plan),
        affinity: match affinity {
            Some(wanted) if !first => affinity::plan(wanted)?,
            _ => affinity::Affinity::default(),
        },
        keyring: match request.keyring {
            true => Some(keyring::plan(request.container, first, namespaces.has(Ns::User))?),
            false => None,
        },
        hostname: None,
        domainname: None,
        sysctls: Vec::new(),
        loopback: false,
        net_devices: Vec::new(),
        time_offsets: None,
        seccomp: linux.and_then(|linux| linux.seccomp().as_ref()).map(seccomp::describe).transpose()?,
    };
    if first {
        plan_namespaces(&mut plan, spec, &namespaces)?;
    }
    Ok(plan)
}

/// What belongs to the container's namespaces and is done by its first process for all that follow.
fn plan_namespaces(plan: &mut Plan, spec: &Spec, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    plan.hostname = nonempty(spec.hostname()).map(ToOwned::to_owned);
    plan.domainname = nonempty(spec.domainname()).map(ToOwned::to_owned);
    plan.loopback = namespaces.is_new(Ns::Network);
    let Some(linux) = spec.linux() else { return Ok(()) };
    if let Some(wanted) = linux.sysctl() {
        let sysctl_namespaces = sysctl::Namespaces {
            ipc: namespaces.has(Ns::Ipc),
            uts: namespaces.has(Ns::Uts),
            user: namespaces.has(Ns::User),
            host_network: &|| namespaces.shares_network(),
        };
        plan.sysctls = sysctl::plan(wanted, &sysctl_namespaces)?;
    }
    if let Some(wanted) = linux.net_devices() {
        plan.net_devices = network::plan(wanted)?;
    }
    if let Some(wanted) = linux.time_offsets() {
        plan.time_offsets = clock::plan(wanted)?;
    }
    Ok(())
}

impl Plan {
    /// Takes the compiled filter away: it travels to init beside the plan. Empty when there is none.
    pub(crate) fn take_program(&mut self) -> Vec<u8> {
        self.seccomp.as_mut().map(|filter| std::mem::take(&mut filter.program)).unwrap_or_default()
    }

    /// Compiles the seccomp filter, or finds it in the folder of compiled ones.
    pub fn compile(&mut self, spec: &Spec, cache: Option<&std::path::Path>) -> Result<(), Error> {
        if let (Some(filter), Some(profile)) =
            (&mut self.seccomp, spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()))
        {
            *filter = seccomp::filter(profile, cache)?;
        }
        Ok(())
    }
}

/// The texts are runc's.
fn check_command(process: &Process) -> Result<(), Error> {
    if process.cwd().as_os_str().is_empty() {
        return Err(Error::invalid("Cwd property must not be empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::invalid("Cwd must be an absolute path"));
    }
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(Error::invalid("args must not be empty"));
    }
    Ok(())
}

fn confined_to_processors(linux: &Linux) -> bool {
    linux
        .resources()
        .as_ref()
        .and_then(|resources| resources.cpu().as_ref())
        .and_then(|cpu| cpu.cpus().as_ref())
        .is_some_and(|cpus| !cpus.is_empty())
}

fn nonempty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> Spec {
        serde_json::from_value(json).unwrap()
    }

    fn request<'a>(spec: &'a Spec, process: &'a Process, first: bool) -> Request<'a> {
        Request { container: "c", spec, process, first, rootless: false, keyring: true }
    }

    fn plan_of(json: serde_json::Value) -> Result<Plan, String> {
        let spec = spec(json);
        let process = spec.process().clone().unwrap();
        plan(&request(&spec, &process, true)).map_err(|error| error.to_string())
    }

    fn full() -> serde_json::Value {
        serde_json::json!({
            "ociVersion": "1.3.0",
            "process": {
                "terminal": true, "consoleSize": {"height": 40, "width": 100},
                "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 7},
                "args": ["sh"], "env": ["A=1", "A=2"], "cwd": "/w", "noNewPrivileges": true, "oomScoreAdj": 10,
                "capabilities": {"bounding": ["CAP_CHOWN"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
                "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
                "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
                "execCPUAffinity": {"initial": "0", "final": "0-1"}
            },
            "hostname": "h", "domainname": "d",
            "linux": {
                "namespaces": [{"type": "uts"}, {"type": "network"}, {"type": "ipc"}, {"type": "time"}],
                "sysctl": {"kernel.shmmax": "1", "net.core.somaxconn": "2"},
                "personality": {"domain": "LINUX32"},
                "timeOffsets": {"monotonic": {"secs": 1}},
                "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}
            }
        })
    }

    #[test]
    fn everything_is_planned_and_survives_the_way_to_init() {
        let plan = plan_of(full()).unwrap();
        assert_eq!(plan.env, ["A=2"]);
        assert_eq!(plan.terminal.unwrap().size, Some((40, 100)));
        assert_eq!(plan.umask, Some(7));
        assert_eq!(plan.personality, Some(8));
        assert_eq!(plan.hostname.as_deref(), Some("h"));
        assert_eq!(plan.time_offsets.as_deref(), Some("monotonic 1 0\n"));
        assert!(plan.loopback);
        assert_eq!(plan.sysctls.len(), 2);
        assert_eq!(plan.affinity, affinity::Affinity::default(), "it is for processes that join");
        let wire = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<Plan>(&wire).unwrap(), plan);
    }

    #[test]
    fn a_joining_process_has_the_containers_attributes_and_touches_no_namespace() {
        let spec = spec(full());
        let process: Process = serde_json::from_value(serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "args": ["ls"], "cwd": "/"
        }))
        .unwrap();
        let plan = plan(&request(&spec, &process, false)).unwrap();
        assert_eq!(plan.capabilities.unwrap().bounding, 1);
        assert_eq!(plan.rlimits.len(), 1);
        assert_eq!(plan.umask, Some(7));
        assert_eq!(plan.affinity.last, Some(vec![3]));
        assert!(!plan.no_new_privileges && !plan.add_home && !plan.loopback);
        assert!(plan.hostname.is_none() && plan.sysctls.is_empty() && plan.time_offsets.is_none());
        assert!(plan.seccomp.is_some() && plan.personality.is_some());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let with = |pointer: &str, value: serde_json::Value| {
            let mut json = full();
            *json.pointer_mut(pointer).unwrap() = value;
            plan_of(json).unwrap_err()
        };
        assert_eq!(with("/process/cwd", "w".into()), "Cwd must be an absolute path");
        assert_eq!(with("/process/cwd", "".into()), "Cwd property must not be empty");
        assert_eq!(with("/process/args", serde_json::json!([])), "args must not be empty");
        assert_eq!(
            with("/process/oomScoreAdj", 1001.into()),
            "process.oomScoreAdj: 1001 is not within -1000 and 1000"
        );
        assert_eq!(
            with("/linux/namespaces", serde_json::json!([{"type": "uts"}, {"type": "uts"}])),
            r#"malformed spec file: duplicated ns "uts""#
        );
        assert_eq!(
            with("/linux/namespaces", serde_json::json!([{"type": "uts"}, {"type": "ipc"}])),
            r#"sysctl "net.core.somaxconn" not allowed in host network namespace"#
        );
    }
}
