//! What has crossed the interface and what is open: for tests, which find leaks by it.

// UNSAFETY: the numbers go to a C structure.
#![expect(unsafe_code, reason = "the interface is C's")]

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);
static CALLBACKS: AtomicU64 = AtomicU64::new(0);
static TEXTS: AtomicU64 = AtomicU64::new(0);

/// The numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of exports.
    pub calls: u64,
    /// Calls of callbacks.
    pub callbacks: u64,
    /// Texts that were given to the caller.
    pub texts: u64,
    /// Open handles of compute systems.
    pub systems: u64,
    /// Open handles of processes.
    pub processes: u64,
    /// Open operations.
    pub operations: u64,
    /// Registered callbacks of vmcompute.dll and computenetwork.dll.
    pub registrations: u64,
    /// Open handles of networks, endpoints and the like.
    pub objects: u64,
    /// Blocks of memory that Rust has allocated in the library and not freed.
    pub blocks: u64,
}

/// The system's allocator, counted.
#[cfg(feature = "memory")]
mod counted {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Counted;

    pub(super) static BLOCKS: AtomicU64 = AtomicU64::new(0);

    #[global_allocator]
    static ALLOCATOR: Counted = Counted;

    // SAFETY: the system's allocator does what is asked.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            BLOCKS.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            BLOCKS.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

#[cfg(feature = "memory")]
fn blocks() -> u64 {
    counted::BLOCKS.load(Ordering::Relaxed)
}

#[cfg(not(feature = "memory"))]
fn blocks() -> u64 {
    0
}

pub(crate) fn count_call() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn count_callback() {
    CALLBACKS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn count_text() {
    TEXTS.fetch_add(1, Ordering::Relaxed);
}

/// The numbers at present.
pub fn read() -> Counters {
    let open = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Counters {
        calls: CALLS.load(Ordering::Relaxed),
        callbacks: CALLBACKS.load(Ordering::Relaxed),
        texts: TEXTS.load(Ordering::Relaxed),
        systems: open(crate::computecore::open_systems() + crate::vmcompute::open_systems()),
        processes: open(crate::computecore::open_processes() + crate::vmcompute::open_processes()),
        operations: open(crate::computecore::open_operations()),
        registrations: open(crate::vmcompute::registrations() + crate::computenetwork::registrations()),
        objects: open(crate::computenetwork::open_objects()),
        blocks: blocks(),
    }
}

/// Writes them where the caller says.
pub unsafe fn write(place: *mut Counters) {
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(read()) };
    }
}

/// Exports `CofferdamCounters`, and `CofferdamHold` of a library that has something to hold: with 1, accepted calls
/// are not carried out until it is called with 0.
#[macro_export]
macro_rules! export_for_tests {
    () => {
        /// # Safety
        /// Null, or a place for the structure.
        #[cfg(feature = "memory")]
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn CofferdamCounters(place: *mut $crate::counters::Counters) {
            // SAFETY: the caller's promise.
            unsafe { $crate::counters::write(place) };
        }

        /// See `hcs_exports::counters`.
        #[cfg(feature = "memory")]
        #[unsafe(no_mangle)]
        pub extern "system" fn CofferdamHold(hold: i32) {
            $crate::counters::hold(hold != 0);
        }
    };
}

/// Holds back, or carries out, what was accepted.
#[cfg(feature = "memory")]
pub fn hold(hold: bool) {
    use std::sync::{Mutex, PoisonError};
    static HELD: Mutex<Option<hcs::suite::memory::Held>> = Mutex::new(None);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    *held = hold.then(crate::backend::hold);
}
