//! What of all this a build knows, for the verb that tells callers.

pub use super::apparmor::enabled as apparmor_enabled;
pub use super::capabilities::names as capabilities;
pub use super::seccomp::{
    actions as seccomp_actions, architectures as seccomp_architectures, flags as seccomp_flags,
    libseccomp_version, operators as seccomp_operators, supported_flags as seccomp_supported_flags,
};
pub use super::selinux::enabled as selinux_enabled;

use super::hooks::Point;

/// The points of a container's life that have hooks.
pub fn hooks() -> Vec<&'static str> {
    Point::ALL.iter().map(|point| point.name()).collect()
}

/// The kinds of namespaces.
pub fn namespaces() -> Vec<&'static str> {
    vec!["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
}

/// NUMA policies.
pub fn memory_policy_modes() -> Vec<&'static str> {
    vec![
        "MPOL_BIND",
        "MPOL_DEFAULT",
        "MPOL_INTERLEAVE",
        "MPOL_LOCAL",
        "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY",
        "MPOL_WEIGHTED_INTERLEAVE",
    ]
}

/// Flags of NUMA policies.
pub fn memory_policy_flags() -> Vec<&'static str> {
    vec!["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]
}
