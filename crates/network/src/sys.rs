//! unshare(2), which rustix marks unsafe because of CLONE_FILES.

// UNSAFETY: the wrapper unshares the network namespace alone, never the descriptor table.
#![expect(unsafe_code, reason = "rustix::thread::unshare_unsafe")]

use rustix::io::Errno;
use rustix::thread::UnshareFlags;

/// Moves the calling thread into a new network namespace.
pub(crate) fn unshare_network() -> Result<(), Errno> {
    // SAFETY: without CLONE_FILES no descriptor changes its meaning for code that borrowed it.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}
