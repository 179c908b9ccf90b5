//! Namespaces of the suite's own, in which daemons can be started, killed and forgotten.
//!
//! The program enters them in steps, each a run of the same program (the variable [`STEP`] says which):
//!
//! | step  | process             | does                                                       |
//! |-------|---------------------|------------------------------------------------------------|
//! | –     | what cargo started  | waits, then removes the cgroups                            |
//! | enter | the first in them   | settles, collects whatever loses its parent, as init does  |
//! | tell  | its child           | plays the stories                                          |

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_move};
use rustix::process::{WaitOptions, wait};

use crate::cgroups;

const STEP: &str = "COFFERDAM_CRI_STEP";

/// Where the process stands on its way in.
pub(crate) enum Step {
    /// Outside: [`enter`] leads in.
    Outside,
    /// On the way: [`proceed`] goes on.
    Underway,
    /// Inside.
    Inside,
}

pub(crate) fn step() -> Step {
    match std::env::var(STEP).as_deref() {
        Err(_) => Step::Outside,
        Ok("tell") => Step::Inside,
        Ok(_) => Step::Underway,
    }
}

/// Runs this program again inside.
pub(crate) fn enter() -> ExitCode {
    cgroups::remove_orphans();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--ipc", "--uts", "--pid"]);
    command.args(["--fork", "--kill-child", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    command.args(std::env::args_os().skip(1)).env(STEP, "enter");
    command.env(cgroups::PARENT, cgroups::name(std::process::id()));
    let status = command.status().expect("unshare of util-linux");
    cgroups::remove_tree(&cgroups::name(std::process::id()));
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Settles, has the stories told, and ends with them.
#[expect(clippy::zombie_processes, reason = "it is waited for with all others")]
pub(crate) fn proceed() -> ExitCode {
    settle();
    let stories = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(STEP, "tell")
        .spawn()
        .expect("start the stories");
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty()).expect("a child") else { continue };
        if pid.as_raw_nonzero().get().unsigned_abs() == stories.id() {
            let status = std::process::ExitStatus::from_raw(status.as_raw());
            return ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
    }
}

/// A `/run` of its own, and a network with one interface that leads nowhere.
fn settle() {
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), c"mode=755").expect("a tmpfs on /run");
    fs::create_dir_all("/run/lock").unwrap();
    // Its view of devices is that of this network; mounted by a container first, it would be read-only for all.
    fs::create_dir("/run/cgroups").unwrap();
    mount_bind_recursive("/sys/fs/cgroup", "/run/cgroups").expect("keep the cgroups");
    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).expect("a sysfs on /sys");
    mount_move("/run/cgroups", "/sys/fs/cgroup").expect("bring the cgroups back");
    rustix::system::sethostname(b"cri-suite").expect("a host name");
    for words in [
        "link set lo up",
        "link add node0 type veth peer name node1",
        "address add 198.18.0.1/24 dev node0",
        "address add fd00:18::1/64 dev node0 nodad",
        "link set node0 up",
        "link set node1 up",
        "route add default via 198.18.0.2",
    ] {
        let status = Command::new("ip").args(words.split(' ')).status();
        assert!(status.is_ok_and(|status| status.success()), "ip {words}");
    }
    for file in ["ipv4/ip_forward", "ipv4/conf/all/route_localnet", "ipv6/conf/all/forwarding"] {
        let file = Path::new("/proc/sys/net").join(file);
        if file.exists() {
            fs::write(&file, "1").unwrap();
        }
    }
}
