//! pidfd_send_signal(2) for any number: rustix's takes named signals only, and real-time signals have no names.

// UNSAFETY: a raw system call.
#![expect(unsafe_code, reason = "no safe wrapper takes a real-time signal")]

use rustix::fd::{AsRawFd, BorrowedFd};
use std::io;

/// Sends signal `number` to the process that `pidfd` stands for.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    // SAFETY: the call reads no memory: the siginfo pointer is null and the flags are zero.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0 as libc::c_uint,
        )
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
