//! kill(2) with any number: the safe wrappers know only the signals that have a name.
// UNSAFETY: real-time signals cannot be named in rustix.
#![expect(unsafe_code, reason = "kill(2) by number has no safe wrapper")]

use std::io;

/// Sends a signal to a single process. Zero and negative ids, which would mean groups of processes, are refused.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes two numbers and touches no memory of ours.
    let result = unsafe { libc::kill(pid, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
