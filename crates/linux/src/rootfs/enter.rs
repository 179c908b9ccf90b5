//! From the host's root to the container's.

use super::error::{Attempted, Failure};
use super::mountinfo;
use super::options::ms;
use super::plan::{Entry, Plan};
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::path::Path;

const SLAVE_TREE: MountPropagationFlags = MountPropagationFlags::DOWNSTREAM.union(MountPropagationFlags::REC);

/// Makes `root` this process's `/` and working directory, and what was `/` unreachable.
pub(super) fn enter(plan: &Plan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let fchdir = |to| rustix::process::fchdir(to).attempted(|| "change to the container's root");
    match plan.entry {
        Entry::Pivot if plan.isolates_mounts() => {
            fchdir(root)?;
            pivot()?;
            // The old root now covers the new one (pivot_root(2), "pivot_root(".", ".")").
            leave_old_root()?;
        }
        Entry::Pivot => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let old = rustix::fs::open("/", flags, Mode::empty()).attempted(|| "open the old root")?;
            fchdir(root)?;
            pivot()?;
            rustix::process::fchdir(&old).attempted(|| "change to the old root")?;
            // The unmount below must not reach the host's mounts.
            rustix::mount::mount_change(".", SLAVE_TREE).attempted(|| "make the old root a slave")?;
            leave_old_root()?;
        }
        Entry::Move => {
            cover_full_mounts(&plan.root)?;
            fchdir(root)?;
            rustix::mount::mount_move(".", "/").attempted(|| "move the root to /")?;
            rustix::process::chroot(".").attempted(|| "chroot")?;
        }
        Entry::Chroot => {
            fchdir(root)?;
            rustix::process::chroot(".").attempted(|| "chroot")?;
        }
    }
    rustix::process::chdir("/").attempted(|| "chdir to /")
}

impl Plan {
    /// After the first step of preparation no mount of this namespace is shared with another, and each can be bound.
    pub(super) fn isolates_mounts(&self) -> bool {
        self.propagation.is_none_or(|flags| flags & ms::REC != 0 && flags & (ms::SLAVE | ms::PRIVATE) != 0)
    }
}

fn pivot() -> Result<(), Failure> {
    rustix::process::pivot_root(".", ".").attempted(|| "pivot_root")
}

fn leave_old_root() -> Result<(), Failure> {
    rustix::mount::unmount(".", UnmountFlags::DETACH).attempted(|| "unmount the old root")
}

/// A root that was moved leaves the host's mounts in the namespace, out of reach for paths but not for the kernel's
/// rule that a new procfs or sysfs may be mounted only where a complete one is visible. So those of the host go, or
/// are covered where they cannot go.
fn cover_full_mounts(root: &Path) -> Result<(), Failure> {
    let full = |mount: &mountinfo::Mounted| {
        mount.root == Path::new("/") && matches!(mount.fstype.as_str(), "proc" | "sysfs")
    };
    for mount in mountinfo::read()?.iter().filter(|mount| full(mount) && !mount.point.starts_with(root)) {
        let point = &mount.point;
        // Unmounting must not reach the host's mounts.
        match rustix::mount::mount_change(point, SLAVE_TREE) {
            // What it was mounted on went before.
            Err(Errno::NOENT) => continue,
            changed => changed.attempted(|| format!("make {} a slave", point.display()))?,
        }
        match rustix::mount::unmount(point, UnmountFlags::DETACH) {
            Err(Errno::INVAL | Errno::PERM) => {
                rustix::mount::mount("tmpfs", point, "tmpfs", MountFlags::empty(), None)
                    .attempted(|| format!("cover {}", point.display()))?;
            }
            unmounted => unmounted.attempted(|| format!("unmount {}", point.display()))?,
        }
    }
    Ok(())
}
