//! clone3(2) as fork: the one way a process of ours splits.

// UNSAFETY: rustix has no clone3, and fork is unsound in general: the child of a multi-threaded process may only call
// async-signal-safe functions. `split` refuses to run in one.
#![expect(unsafe_code, reason = "clone3 has no safe wrapper")]

use std::io;

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
