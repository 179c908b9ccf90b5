//! Descriptors that the event loop waits for.

// UNSAFETY: the event loop trusts that a descriptor stays the same one for as long as it watches it.
#![expect(unsafe_code, reason = "tokio::io::unix::AsyncFd::register_with_interest")]

use rustix::fd::OwnedFd;
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Begins to watch a descriptor that does not block.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the owner of a descriptor keeps it open, and the same, until it is dropped; it is moved into the result, which
    // lends it out as `&OwnedFd` only.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
