//! The files that a pod's containers share: host name, hosts, resolver, shared memory.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{Attempt as _, Result};
use crate::host::Host;
use crate::spec::{Namespaces, hostname, pod_mappings};
use crate::wire::v1::{DnsConfig, NamespaceMode, PodSandboxConfig};

/// How much a pod's shared memory may hold.
const SHM: &str = "mode=1777,size=65536k";

/// Writes them into the pod's bundle. They belong to root as the pod's containers know it.
pub(super) fn write(bundle: &Path, config: &PodSandboxConfig, namespaces: Namespaces) -> Result<()> {
    let shm = bundle.join("shm");
    for folder in [bundle, &bundle.join("ns"), &shm] {
        fs::create_dir_all(folder).attempt(|| format!("make {}", folder.display()))?;
    }
    let name = if namespaces.host_network() { Host::name() } else { hostname(config) };
    put(&bundle.join("hostname"), &format!("{name}\n"))?;
    put(&bundle.join("hosts"), &read_host("/etc/hosts")?)?;
    let resolver = match &config.dns_config {
        Some(dns) if *dns != DnsConfig::default() => resolver(dns),
        _ => read_host("/etc/resolv.conf")?,
    };
    put(&bundle.join("resolv.conf"), &resolver)?;
    let root = root(config)?;
    if let Some((uid, gid)) = root {
        for name in ["hostname", "hosts", "resolv.conf"] {
            let file = bundle.join(name);
            std::os::unix::fs::chown(&file, Some(uid), Some(gid))
                .attempt(|| format!("give {} to the pod's root", file.display()))?;
        }
    }
    if namespaces.ipc == NamespaceMode::Pod {
        let (uid, gid) = root.unwrap_or_default();
        let options = std::ffi::CString::new(format!("{SHM},uid={uid},gid={gid}"))
            .attempt(|| "name the options of shared memory".to_owned())?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("shm", &shm, "tmpfs", flags, options.as_c_str())
            .attempt(|| format!("mount shared memory on {}", shm.display()))?;
    }
    Ok(())
}

/// Who is root in a pod that has users of its own.
fn root(config: &PodSandboxConfig) -> Result<Option<(u32, u32)>> {
    let mappings = pod_mappings(config)?;
    Ok(mappings.and_then(|(uids, gids)| Some((uids.first()?.host_id, gids.first()?.host_id))))
}

/// Where they are, by the path in the containers.
pub(crate) fn shared(bundle: &Path, namespaces: Namespaces) -> Vec<(&'static str, PathBuf)> {
    let shm = match namespaces.ipc {
        NamespaceMode::Pod => bundle.join("shm"),
        _ => PathBuf::from("/dev/shm"),
    };
    vec![
        ("/etc/hostname", bundle.join("hostname")),
        ("/etc/hosts", bundle.join("hosts")),
        ("/etc/resolv.conf", bundle.join("resolv.conf")),
        ("/dev/shm", shm),
    ]
}

/// Removes the bundle with all that is mounted in it.
pub(super) fn remove(bundle: &Path) -> Result<()> {
    for mounted in ["shm", "ns/ipc", "ns/uts", "ns/net", "ns/user", "ns/pid"] {
        let path = bundle.join(mounted);
        match rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Nothing is mounted there, or nothing is there.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error).attempt(|| format!("unmount {}", path.display())),
        }
    }
    match fs::remove_dir_all(bundle) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).attempt(|| format!("remove {}", bundle.display()))
        }
        _ => Ok(()),
    }
}

fn resolver(dns: &DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

/// A file of the host; one that is missing is empty.
fn read_host(path: &str) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.attempt(|| format!("read {path}")),
    }
}

fn put(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).attempt(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_has_what_the_pod_asks_for() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let dns =
            DnsConfig { servers: words("10.0.0.1 ::1"), searches: words("a b"), options: words("ndots:5") };
        assert_eq!(resolver(&dns), "search a b\nnameserver 10.0.0.1\nnameserver ::1\noptions ndots:5\n");
    }
}
