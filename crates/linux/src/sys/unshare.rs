//! unshare(2), which rustix marks unsafe because of CLONE_FILES and CLONE_FS.

// UNSAFETY: the wrapper takes no flag that unshares the descriptor table, which is what could make it unsound.
#![expect(unsafe_code, reason = "rustix::thread::unshare_unsafe")]

use rustix::thread::UnshareFlags;
use std::io;

/// Moves this process into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    let flags = flags.difference(UnshareFlags::FILES);
    // SAFETY: without CLONE_FILES no descriptor changes its meaning for code that borrowed it.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}
