//! clone3(2) as fork: how init is started, and how it splits.

// UNSAFETY: rustix has no clone3, and fork is unsound in general: the child of a multi-threaded process may only call
// async-signal-safe functions. `split` refuses to run in one.
#![expect(unsafe_code, reason = "clone3 has no safe wrapper")]

use crate::cgroup::Entrance;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::ffi::CStr;
use std::io;

/// libc's constant is too narrow for its value.
const CLONE_INTO_CGROUP: u64 = 1 << 33;
/// What a started process exits with when it could not enter its control groups.
pub(crate) const NOT_ENTERED: i32 = 126;
/// What a started process exits with when it could not be executed.
pub(crate) const NOT_EXECUTED: i32 = 127;

/// Starts `program` under the name `argv0`, without an environment, with `stdin`, inside the control groups of
/// `entrance`. Descriptors that are not close-on-exec are inherited. Returns the child's id.
pub(crate) fn spawn(
    program: BorrowedFd<'_>,
    argv0: &CStr,
    stdin: BorrowedFd<'_>,
    entrance: Option<&Entrance>,
) -> io::Result<i32> {
    let argv = [argv0.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: an all-zero clone_args is valid: no stack, no TLS, no set_tid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = entrance.and_then(Entrance::unified) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child runs on a copy of this memory and stack, as after fork. Until it executes or
    // exits it makes system calls only, on memory that was laid out before.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        pid => return Ok(pid as i32),
    }
    if entrance.is_some_and(|entrance| entrance.enter().is_err()) {
        // SAFETY: ends this process at once, without running anything of its parent's.
        unsafe { libc::_exit(NOT_ENTERED) };
    }
    // SAFETY: the arrays end in null and point to data that lives until the execution; on failure the child ends here.
    unsafe {
        if libc::dup2(stdin.as_raw_fd(), 0) == 0 {
            libc::syscall(
                libc::SYS_execveat,
                program.as_raw_fd(),
                c"".as_ptr(),
                argv.as_ptr(),
                envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        libc::_exit(NOT_EXECUTED)
    }
}

/// Which of the two processes this is.
pub(crate) enum Split {
    /// The one that was there, and the child's id in its PID namespace.
    Parent(i32),
    /// The new one.
    Child,
}

/// Splits this single-threaded process in two. `flags` are `CLONE_*`; with `CLONE_PARENT` the child is a sibling.
pub(crate) fn split(flags: u64) -> io::Result<Split> {
    if !is_single_threaded() {
        return Err(io::Error::other("a process with several threads cannot be split"));
    }
    // SAFETY: an all-zero clone_args is valid: no stack, no TLS, no set_tid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    // A sibling gets the exit signal of its elder.
    args.exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 };
    // SAFETY: without CLONE_VM the child runs on a copy of this memory and stack, as after fork; the process has one
    // thread (checked above), so no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Split::Child),
        pid => Ok(Split::Parent(pid as i32)),
    }
}

/// Unsharing the thread group does nothing but fail when there are other threads; unlike `/proc` it can be asked in any
/// mount namespace.
fn is_single_threaded() -> bool {
    // SAFETY: CLONE_THREAD alone changes nothing (unshare(2)).
    unsafe { libc::unshare(libc::CLONE_THREAD) == 0 }
}
