//! A program of a Debian tree, run in that tree: by chroot in a private mount namespace, with the host's devices,
//! processes and cgroups, and nothing to write to but tmpfs and one work folder.

use std::path::Path;
use std::process::Command;

/// Where the work folder is seen inside.
pub(crate) const WORK: &str = "/mnt";

const ENTER: &str = r#"
set -e
tree=$1 work=$2 cgroups=$3
shift 3
if [ "$cgroups" = plain ] && [ "$(stat --file-system --format=%T /sys/fs/cgroup)" = tmpfs ] &&
    mountpoint --quiet /sys/fs/cgroup/unified
then
    umount /sys/fs/cgroup/unified
fi
mount --bind "$tree" "$tree"
for kept in proc sys dev; do
    mount --rbind "/$kept" "$tree/$kept"
done
for scratch in run tmp var/lib/containers; do
    mkdir -p "$tree/$scratch"
    mount -t tmpfs -o mode=755 tmpfs "$tree/$scratch"
done
mount --bind "$work" "$tree/mnt"
cd "$tree"
exec chroot "$tree" "$@"
"#;

/// The cgroup file systems that a program sees.
#[derive(Clone, Copy)]
pub(crate) enum Cgroups {
    /// Those of the host.
    Host,
    /// Those of the host without the cgroup2 part of a hybrid layout: plain v1, or plain v2.
    Plain,
}

/// A command of `tree`, to which arguments can still be added; `work` is in [`WORK`].
pub(crate) fn command(tree: &Path, work: &Path, cgroups: Cgroups, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "enter"])
        .arg(tree)
        .arg(work)
        .arg(match cgroups {
            Cgroups::Host => "host",
            Cgroups::Plain => "plain",
        })
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root");
    command
}
