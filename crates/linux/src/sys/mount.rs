//! mount_setattr(2), a file-system view of a thread's own, and user namespaces made for their id mapping.
//!
//! rustix has the rest of the mount API; these three it lacks or marks unsafe.

// UNSAFETY: mount_setattr, clone and unshare(CLONE_FS) have no safe wrapper in rustix.
#![expect(unsafe_code, reason = "raw system calls")]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};
use std::ptr;

/// What mount_setattr(2) changes of a mount. Bits of `set` and `clear` are `MOUNT_ATTR_*`, `propagation` is one of
/// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    /// Also all mounts below.
    pub(crate) recursive: bool,
}

/// Changes the mount whose root `mount` is.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, change: &Change) -> Result<()> {
    let attributes = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    setattr(mount, change.recursive, &attributes)
}

/// Shows the files of a detached mount as owned by the ids that `user_namespace` maps theirs to.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace.as_raw_fd() as u64,
    };
    setattr(mount, recursive, &attributes)
}

fn setattr(mount: BorrowedFd<'_>, recursive: bool, attributes: &libc::mount_attr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the attributes live through the call and their size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Gives the calling thread a root, working directory and umask of its own, so that it can enter a mount namespace
/// while the other threads stay where they are.
pub(crate) fn unshare_fs() -> Result<()> {
    // SAFETY: CLONE_FS alone touches neither memory nor descriptors that other threads share.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }
}

/// A child that does nothing but keep a new user namespace alive until it is dropped. It ends with its parent.
pub(crate) struct NamespaceKeeper {
    pid: libc::pid_t,
}

impl NamespaceKeeper {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        // No exit signal: the caller's SIGCHLD handling does not see this child.
        // SAFETY: like fork. The child makes only async-signal-safe calls and never returns.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: both are async-signal-safe and take no pointers.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                loop {
                    libc::pause();
                }
            }
        }
        check(pid)?;
        Ok(Self { pid: pid as libc::pid_t })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for NamespaceKeeper {
    fn drop(&mut self) {
        // SAFETY: the id is that of our own child, which is not reaped before the second call.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, ptr::null_mut(), libc::__WALL);
        }
    }
}

fn check(result: libc::c_long) -> Result<()> {
    if result < 0 {
        let errno = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&errno).unwrap_or(Errno::INVAL));
    }
    Ok(())
}
