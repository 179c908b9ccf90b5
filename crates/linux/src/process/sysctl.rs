//! Kernel parameters of the container's namespaces.
//!
//! Most of `/proc/sys` is the host's. Only what a namespace of the container's own holds may be set; the rules and
//! their texts are runc's. Which procfs the file is in does not matter, which namespaces the writer is in does.

use super::error::Error;
use super::procfs::Procfs;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// As the specification has it.
    key: String,
    /// Below `/proc/sys`.
    path: String,
    value: String,
}

/// The namespaces that decide what may be set.
pub(crate) struct Namespaces<'a> {
    pub ipc: bool,
    pub uts: bool,
    pub user: bool,
    /// Whether the network is the host's after all; it may be, by a path to it.
    pub host_network: &'a dyn Fn() -> io::Result<bool>,
}

/// Held by the IPC namespace, besides all of `fs.mqueue`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks every parameter; the result is in order of their keys.
pub(crate) fn plan(
    wanted: &HashMap<String, String>,
    namespaces: &Namespaces<'_>,
) -> Result<Vec<Sysctl>, Error> {
    let mut planned = Vec::with_capacity(wanted.len());
    for (key, value) in wanted {
        let dotted = with_dots(key);
        admit(&dotted, namespaces)?;
        let path = swap_separators(&dotted);
        if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::invalid(format!("sysctl {key:?} is no name of a kernel parameter")));
        }
        planned.push(Sysctl { key: key.clone(), path, value: value.clone() });
    }
    planned.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(planned)
}

/// Sets them, through files that are reached without following any link or mount.
pub fn write(proc: &Procfs, sysctls: &[Sysctl]) -> Result<(), Error> {
    for Sysctl { key, path, value } in sysctls {
        proc.try_write(
            &format!("sys/{path}"),
            OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW,
            value.as_bytes(),
        )
        .map_err(Error::system(format!("failed to write sysctl {key} = {value:?}")))?;
    }
    Ok(())
}

fn admit(key: &str, namespaces: &Namespaces<'_>) -> Result<(), Error> {
    if IPC.contains(&key) || key.starts_with("fs.mqueue.") {
        return match namespaces.ipc {
            true => Ok(()),
            false => Err(Error::invalid(format!("sysctl {key:?} is not allowed in the hosts ipc namespace"))),
        };
    }
    if key.starts_with("net.") {
        return match (namespaces.host_network)().map_err(Error::system("invalid netns path"))? {
            false => Ok(()),
            true => Err(Error::invalid(format!("sysctl {key:?} not allowed in host network namespace"))),
        };
    }
    match key {
        "kernel.domainname" if namespaces.uts => return Ok(()),
        "kernel.hostname" if namespaces.uts => {
            return Err(Error::invalid(format!(
                "sysctl {key:?} is not allowed as it conflicts with the OCI \"hostname\" field"
            )));
        }
        _ => {}
    }
    if key.starts_with("user.") {
        // Otherwise it would lift or lower a limit of everybody on the host.
        return match namespaces.user {
            true => Ok(()),
            false => {
                Err(Error::invalid(format!("setting ucounts without a user namespace not allowed: {key}")))
            }
        };
    }
    Err(Error::invalid(format!("sysctl {key:?} is not in a separate kernel namespace")))
}

/// sysctl(8) takes both `net.ipv4.conf.eno2/100.rp_filter` and `net/ipv4/conf/eno2.100/rp_filter`; the first separator
/// says which it is.
fn with_dots(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(first) if key.as_bytes().get(first) == Some(&b'/') => swap_separators(key),
        _ => key.to_owned(),
    }
}

fn swap_separators(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_one(key: &str, own: bool) -> Result<String, String> {
        let host_network = || Ok(!own);
        let namespaces = Namespaces { ipc: own, uts: own, user: own, host_network: &host_network };
        plan(&HashMap::from([(key.to_owned(), "1".to_owned())]), &namespaces)
            .map(|planned| planned[0].path.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_spellings_are_the_same_file() {
        for key in ["net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"] {
            assert_eq!(plan_one(key, true).unwrap(), "net/ipv4/conf/eno2.100/rp_filter");
        }
    }

    #[test]
    fn only_what_a_namespace_holds_may_be_set() {
        for key in [
            "kernel.shmmax",
            "fs.mqueue.msg_max",
            "net.core.somaxconn",
            "kernel.domainname",
            "user.max_net_namespaces",
        ] {
            assert!(plan_one(key, true).is_ok(), "{key}");
            assert!(plan_one(key, false).is_err(), "{key}");
        }
        assert_eq!(
            plan_one("kernel.shmmax", false).unwrap_err(),
            r#"sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace"#
        );
        assert_eq!(
            plan_one("vm.swappiness", true).unwrap_err(),
            r#"sysctl "vm.swappiness" is not in a separate kernel namespace"#
        );
        assert_eq!(
            plan_one("kernel.hostname", true).unwrap_err(),
            r#"sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field"#
        );
    }

    #[test]
    fn a_key_cannot_climb() {
        for key in ["net.//.//.kernel.hostname", "net/../kernel/hostname", "net..a", "net.", "net.a\0b"] {
            assert!(plan_one(key, true).is_err(), "{key}");
        }
    }
}
