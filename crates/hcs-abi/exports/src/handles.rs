//! Handles: numbers that are given to C programs for what lies in a table here.

use hcs::{Error, HResult, Result};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// The open handles of one kind.
pub(crate) struct Table<T> {
    entries: LazyLock<Mutex<HashMap<usize, Arc<T>>>>,
}

/// Of all kinds, so that a handle of one kind is never taken for one of another. None is used twice.
static NEXT: AtomicUsize = AtomicUsize::new(0x1_0004);

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: LazyLock::new(Mutex::default) }
    }

    /// Opens a handle; its number is known to what it is opened for.
    pub(crate) fn open(&self, make: impl FnOnce(*mut c_void) -> T) -> *mut c_void {
        let number = NEXT.fetch_add(4, Ordering::Relaxed);
        let handle = ptr::without_provenance_mut(number);
        let entry = Arc::new(make(handle));
        self.entries().insert(number, entry);
        handle
    }

    /// What lies behind an open handle.
    pub(crate) fn get(&self, handle: *mut c_void) -> Result<Arc<T>> {
        self.entries().get(&handle.addr()).cloned().ok_or_else(|| not_open(handle))
    }

    /// Closes a handle.
    pub(crate) fn close(&self, handle: *mut c_void) -> Result<Arc<T>> {
        self.entries().remove(&handle.addr()).ok_or_else(|| not_open(handle))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.entries().len()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<usize, Arc<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_open(handle: *mut c_void) -> Error {
    Error::new(format!("use handle {:#x}", handle.addr()), HResult::E_HANDLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_open_until_it_is_closed_and_of_one_kind() {
        static WORDS: Table<&str> = Table::new();
        static NUMBERS: Table<u8> = Table::new();
        let handle = WORDS.open(|_| "word");
        assert_eq!(*WORDS.get(handle).unwrap(), "word");
        assert_eq!(NUMBERS.get(handle).unwrap_err().code(), HResult::E_HANDLE);
        assert_eq!(WORDS.count(), 1);
        WORDS.close(handle).unwrap();
        assert_eq!(WORDS.get(handle).unwrap_err().code(), HResult::E_HANDLE);
        assert_eq!(WORDS.close(handle).unwrap_err().code(), HResult::E_HANDLE);
        assert_ne!(WORDS.open(|_| "other"), handle);
    }
}
