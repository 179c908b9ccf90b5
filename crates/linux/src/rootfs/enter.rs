//! From the host's root to the container's.

use super::error::{Attempted, Failure};
use super::options::ms;
use super::plan::{Entry, Plan};
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::path::{Path, PathBuf};

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
    /// Nothing that happens to mounts in this namespace reaches another after the first step of preparation.
    pub(super) fn isolates_mounts(&self) -> bool {
        self.propagation.is_none_or(|flags| flags & ms::REC != 0 && flags & ms::SHARED == 0)
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
    let path = "/proc/self/mountinfo";
    let mounts = std::fs::read_to_string(path).map_err(|cause| {
        Failure::new(format!("read {path}"), Errno::from_io_error(&cause).unwrap_or(Errno::IO))
    })?;
    for point in mounts.lines().filter_map(full_mount).filter(|point| !point.starts_with(root)) {
        // Unmounting must not reach the host's mounts.
        match rustix::mount::mount_change(&point, SLAVE_TREE) {
            // What it was mounted on went before.
            Err(Errno::NOENT) => continue,
            changed => changed.attempted(|| format!("make {} a slave", point.display()))?,
        }
        match rustix::mount::unmount(&point, UnmountFlags::DETACH) {
            Err(Errno::INVAL | Errno::PERM) => {
                rustix::mount::mount("tmpfs", &point, "tmpfs", MountFlags::empty(), None)
                    .attempted(|| format!("cover {}", point.display()))?;
            }
            unmounted => unmounted.attempted(|| format!("unmount {}", point.display()))?,
        }
    }
    Ok(())
}

/// The mount point of a line of mountinfo (proc_pid_mountinfo(5)) that shows a whole procfs or sysfs.
fn full_mount(line: &str) -> Option<PathBuf> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let fstype = filesystem.split(' ').next()?;
    (root == "/" && matches!(fstype, "proc" | "sysfs")).then(|| unescape(point))
}

/// Spaces, tabs, newlines and backslashes are written as octal numbers.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_proc_and_sys_mounts_are_found() {
        let point = |line| full_mount(line);
        assert_eq!(point("22 1 0:21 / /proc rw - proc proc rw"), Some("/proc".into()));
        assert_eq!(point(r"22 1 0:21 / /a\040b\134 rw shared:1 - sysfs s rw"), Some(r"/a b\".into()));
        assert_eq!(point("22 1 0:21 /sys /x rw - proc proc rw"), None);
        assert_eq!(point("22 1 0:21 / / rw - ext4 /dev/x rw"), None);
        assert_eq!(point("garbage"), None);
    }
}
