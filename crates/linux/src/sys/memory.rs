//! Gives back memory that a waiting process does not need.

// UNSAFETY: madvise(2) takes an address range, and the linker's symbols say where the program begins and ends.
#![expect(unsafe_code, reason = "rustix's madvise is unsafe, and a symbol of the linker is a foreign item")]

use rustix::mm::{Advice, madvise};
use std::ptr::addr_of;

/// The largest page of any architecture that Linux has static programs on; a multiple of all others.
const PAGE: usize = 64 << 10;

unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Drops the program's own code and constants from this process's page tables. They are a file's, come back from the
/// page cache when they are needed, and until then are counted to nobody.
pub(crate) fn drop_program_pages() {
    let (start, end) = (addr_of!(__executable_start), addr_of!(etext));
    let page = PAGE;
    let length = (end as usize).saturating_sub(start as usize) / page * page;
    // SAFETY: the range is mapped from the program's file, private and never written to, so that the same bytes come back.
    if let Err(cause) = unsafe { madvise(start.cast_mut().cast(), length, Advice::LinuxDontNeed) } {
        log::debug!("give back the program's pages: {cause}");
    }
}
