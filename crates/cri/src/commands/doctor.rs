//! `cofferdam doctor`: what this host lacks, and what to do about it.

use std::path::Path;
use std::process::Command;

use super::print;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::host::Host;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Something cannot be used; pods run.
    Weak,
    /// No pod runs.
    Broken,
}

struct Finding {
    verdict: Verdict,
    what: String,
    /// What to do; empty for what is good.
    advice: &'static str,
}

/// Looks at everything, prints it, and fails if no pod could run.
pub(crate) fn doctor(config: &Config) -> Result<()> {
    let host = Host::look();
    let findings = [
        kernel(),
        cgroups(&host),
        memory_swap(&host),
        overlay(),
        state(config),
        network_configuration(config),
        network_plugins(config),
        criu(),
        user_namespaces(&host),
    ];
    let mut text = String::new();
    for finding in &findings {
        let word = match finding.verdict {
            Verdict::Good => "ok    ",
            Verdict::Weak => "weak  ",
            Verdict::Broken => "broken",
        };
        text += &format!("{word}  {}\n", finding.what);
        if !finding.advice.is_empty() {
            text += &format!("        {}\n", finding.advice);
        }
    }
    print(&text)?;
    let broken = findings.iter().filter(|finding| finding.verdict == Verdict::Broken).count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Error::new(Kind::Precondition, format!("{broken} things keep pods from running")))
    }
}

fn finding(good: bool, bad: Verdict, what: String, advice: &'static str) -> Finding {
    if good {
        Finding { verdict: Verdict::Good, what, advice: "" }
    } else {
        Finding { verdict: bad, what, advice }
    }
}

fn kernel() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    finding(version >= (5, 10), Verdict::Broken, format!("kernel {release}"), "Linux 5.10 or newer is needed")
}

fn cgroups(host: &Host) -> Finding {
    let what = if host.cgroup2 { "cgroup version 2" } else { "cgroup version 1" };
    finding(
        host.cgroup2,
        Verdict::Weak,
        what.to_owned(),
        "version 1 has no pressure figures and no unified limits; boot with systemd.unified_cgroup_hierarchy=1",
    )
}

fn memory_swap(host: &Host) -> Finding {
    let what = if host.swap_accounting { "swap is counted" } else { "swap is not counted" };
    finding(
        host.swap_accounting,
        Verdict::Weak,
        what.to_owned(),
        "boot with swapaccount=1 if containers are to be kept from swapping",
    )
}

fn overlay() -> Finding {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    finding(
        known.contains("\toverlay\n"),
        Verdict::Broken,
        "overlay file systems".to_owned(),
        "load the module: modprobe overlay",
    )
}

fn state(config: &Config) -> Finding {
    let parent = config.state.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let tmpfs = rustix::fs::statfs(parent).is_ok_and(|system| system.f_type == 0x0102_1994);
    let what = format!("state in {}", config.state.display());
    finding(
        tmpfs,
        Verdict::Weak,
        what,
        "it lies on a disk: let it be on a tmpfs such as /run, it is faster and goes with a reboot",
    )
}

fn network_configuration(config: &Config) -> Finding {
    let has = |folder: &std::path::PathBuf| {
        let Ok(entries) = std::fs::read_dir(folder) else { return false };
        let kinds = ["conflist", "conf", "json"];
        entries
            .flatten()
            .any(|entry| entry.path().extension().is_some_and(|end| kinds.iter().any(|kind| end == *kind)))
    };
    let folders: Vec<String> =
        config.network.conf_folders.iter().map(|folder| folder.display().to_string()).collect();
    let what = format!("network configuration in {}", folders.join(", "));
    finding(
        config.network.conf_folders.iter().any(has),
        Verdict::Broken,
        what,
        "install a network for pods, or put a .conflist there; host-network pods run without one",
    )
}

fn network_plugins(config: &Config) -> Finding {
    let has = |folder: &std::path::PathBuf| {
        std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    };
    let folders: Vec<String> =
        config.network.bin_folders.iter().map(|folder| folder.display().to_string()).collect();
    let what = format!("network plugins in {}", folders.join(", "));
    finding(
        config.network.bin_folders.iter().any(has),
        Verdict::Broken,
        what,
        "install them: Debian's package is containernetworking-plugins",
    )
}

fn criu() -> Finding {
    let there = Command::new("criu").arg("--version").output().is_ok_and(|output| output.status.success());
    finding(
        there,
        Verdict::Weak,
        "criu, for checkpoints".to_owned(),
        "install criu if containers are to be checkpointed",
    )
}

fn user_namespaces(host: &Host) -> Finding {
    finding(
        host.user_namespaces,
        Verdict::Weak,
        "user namespaces".to_owned(),
        "sysctl user.max_user_namespaces is 0: pods with hostUsers: false will fail",
    )
}
