//! What this host can do, looked at once.

use std::fs;
use std::path::Path;

use rustix::thread::CapabilitySet;

/// The facts of a host that a container's spec depends on.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Only cgroup version 2 is mounted.
    pub(crate) cgroup2: bool,
    /// The memory controller counts swap.
    pub(crate) swap_accounting: bool,
    /// The sizes of huge pages that can be limited, as the kernel names them: `2MB`, `1GB`.
    pub(crate) hugepage_sizes: Vec<String>,
    /// A container may be given a lower value than the daemon's own.
    pub(crate) may_lower_oom_score: bool,
    /// The daemon's own.
    pub(crate) oom_score_adj: i32,
    /// Capabilities that the daemon can pass on.
    pub(crate) capabilities: CapabilitySet,
    pub(crate) apparmor: bool,
    pub(crate) selinux: bool,
    /// The kernel mounts trees read-only to the last submount (Linux 5.12).
    pub(crate) recursive_read_only: bool,
    /// The kernel makes user namespaces.
    pub(crate) user_namespaces: bool,
}

impl Host {
    /// Looks.
    pub(crate) fn look() -> Self {
        let capabilities =
            rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
        let cgroup = Path::new("/sys/fs/cgroup");
        let cgroup2 = cgroup.join("cgroup.controllers").exists();
        let swap_accounting = if cgroup2 {
            own_cgroup_file("memory.swap.max")
        } else {
            cgroup.join("memory/memory.memsw.limit_in_bytes").exists()
        };
        Self {
            cgroup2,
            swap_accounting,
            hugepage_sizes: hugepage_sizes(),
            may_lower_oom_score: capabilities.contains(CapabilitySet::SYS_RESOURCE),
            oom_score_adj: read("/proc/self/oom_score_adj").and_then(|text| text.parse().ok()).unwrap_or(0),
            capabilities,
            apparmor: read("/sys/module/apparmor/parameters/enabled").as_deref() == Some("Y"),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            recursive_read_only: kernel_at_least(5, 12),
            user_namespaces: read("/proc/sys/user/max_user_namespaces").is_some_and(|text| text != "0"),
        }
    }

    /// The value that a container can be given.
    pub(crate) fn clamp_oom_score_adj(&self, asked: i64) -> i32 {
        let asked = i32::try_from(asked.clamp(-1000, 1000)).unwrap_or_default();
        if self.may_lower_oom_score { asked } else { asked.max(self.oom_score_adj) }
    }

    /// The host's name.
    pub(crate) fn name() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Some cgroup below the root has the file; the root itself has no limits.
fn own_cgroup_file(name: &str) -> bool {
    let Ok(entries) = fs::read_dir("/sys/fs/cgroup") else { return false };
    entries.flatten().any(|entry| entry.path().join(name).exists())
}

fn hugepage_sizes() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let kilobytes = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
    });
    let mut sizes: Vec<u64> = kilobytes.collect();
    sizes.sort_unstable();
    sizes.into_iter().map(size_name).collect()
}

/// As cgroup files have it.
fn size_name(kilobytes: u64) -> String {
    match kilobytes {
        size if size >= 1 << 20 => format!("{}GB", size >> 20),
        size if size >= 1 << 10 => format!("{}MB", size >> 10),
        size => format!("{size}KB"),
    }
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_pages_are_named_as_the_kernel_does() {
        assert_eq!([64, 2048, 1 << 20].map(size_name), ["64KB", "2MB", "1GB"]);
    }

    #[test]
    fn a_score_is_lowered_only_where_that_is_allowed() {
        let mut host = Host::look();
        (host.may_lower_oom_score, host.oom_score_adj) = (false, 100);
        assert_eq!([-997, 500].map(|asked| host.clamp_oom_score_adj(asked)), [100, 500]);
        host.may_lower_oom_score = true;
        assert_eq!(host.clamp_oom_score_adj(-997), -997);
    }
}
