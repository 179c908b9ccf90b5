//! From which memory nodes it is served (NUMA).

use super::error::Error;
use super::list_format;
use crate::sys::sched::set_mempolicy;
use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};
use serde::{Deserialize, Serialize};

/// The arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    mode: u32,
    nodes: Vec<u64>,
}

pub(crate) fn plan(wanted: &LinuxMemoryPolicy) -> Result<MemoryPolicy, Error> {
    use MemoryPolicyModeType as M;
    let text = wanted.nodes().as_deref().unwrap_or_default();
    let nodes = list_format::parse(text)
        .map_err(|why| Error::invalid(format!("invalid memory policy nodes {text:?}: {why}")))?;
    let (mode, needs) = match wanted.mode() {
        M::MpolDefault => (0, Some(false)),
        M::MpolPreferred => (1, None),
        M::MpolBind => (2, Some(true)),
        M::MpolInterleave => (3, Some(true)),
        M::MpolLocal => (4, Some(false)),
        M::MpolPreferredMany => (5, Some(true)),
        M::MpolWeightedInterleave => (6, Some(true)),
    };
    match (needs, list_format::members(&nodes).count()) {
        (Some(false), count @ 1..) => {
            return Err(Error::invalid(format!("memory policy mode requires 0 nodes but got {count}")));
        }
        (Some(true), 0) => {
            return Err(Error::invalid("memory policy mode requires at least one node but got 0"));
        }
        _ => {}
    }
    let flags = wanted.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
            }
    });
    Ok(MemoryPolicy { mode: mode | flags, nodes })
}

/// Gives the calling process its NUMA policy.
pub fn set(policy: &MemoryPolicy) -> Result<(), Error> {
    set_mempolicy(policy.mode, &policy.nodes).map_err(Error::system("set_mempolicy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_policy_rules_are_runcs() {
        let of = |json| plan(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string());
        let planned = of(r#"{"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]}"#).unwrap();
        assert_eq!(planned, MemoryPolicy { mode: 0x8002, nodes: vec![3] });
        assert_eq!(
            of(r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#).unwrap_err(),
            "memory policy mode requires 0 nodes but got 1"
        );
        assert_eq!(
            of(r#"{"mode":"MPOL_INTERLEAVE"}"#).unwrap_err(),
            "memory policy mode requires at least one node but got 0"
        );
    }
}
