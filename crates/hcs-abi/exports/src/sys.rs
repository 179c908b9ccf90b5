//! What differs between Windows and the others: who frees text, and what a handle of the system is.

// UNSAFETY: allocators and handles of the system are C's.
#![expect(unsafe_code, reason = "the interface is C's")]

use hcs::abi::HANDLE;
use std::ffi::c_void;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;

/// Where text for the caller comes from.
pub(crate) trait Allocator {
    /// So many bytes, or null.
    fn allocate(size: usize) -> *mut c_void;
}

/// Of computecore.dll and computestorage.dll: freed with `LocalFree`; `free` elsewhere.
pub(crate) struct Local;

/// Of vmcompute.dll and computenetwork.dll: freed with `CoTaskMemFree`; `free` elsewhere.
pub(crate) struct Task;

#[cfg(windows)]
mod of_system {
    use super::{Allocator, Local, Task, c_void};
    use std::os::windows::io::{FromRawHandle as _, IntoRawHandle as _, OwnedHandle};
    use windows_sys::Win32::System::Com::CoTaskMemAlloc;
    use windows_sys::Win32::System::Memory::{LMEM_FIXED, LocalAlloc};

    impl Allocator for Local {
        fn allocate(size: usize) -> *mut c_void {
            // SAFETY: any size may be asked for.
            unsafe { LocalAlloc(LMEM_FIXED, size) }
        }
    }

    impl Allocator for Task {
        fn allocate(size: usize) -> *mut c_void {
            // SAFETY: any size may be asked for.
            unsafe { CoTaskMemAlloc(size) }
        }
    }

    pub(super) fn raw(pipe: impl Into<OwnedHandle>) -> super::HANDLE {
        pipe.into().into_raw_handle()
    }

    pub(super) unsafe fn file(handle: super::HANDLE) -> super::File {
        // SAFETY: the caller's promise.
        unsafe { super::File::from_raw_handle(handle) }
    }
}

#[cfg(unix)]
mod of_system {
    use super::{Allocator, Local, Task, c_void};
    use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};

    impl Allocator for Local {
        fn allocate(size: usize) -> *mut c_void {
            // SAFETY: any size may be asked for.
            unsafe { libc::malloc(size) }
        }
    }

    impl Allocator for Task {
        fn allocate(size: usize) -> *mut c_void {
            Local::allocate(size)
        }
    }

    /// A file descriptor is what .NET takes a handle for here.
    pub(super) fn raw(pipe: impl Into<OwnedFd>) -> super::HANDLE {
        super::ptr::without_provenance_mut(pipe.into().into_raw_fd().unsigned_abs() as usize)
    }

    pub(super) unsafe fn file(handle: super::HANDLE) -> super::File {
        // SAFETY: the caller's promise; a number that is no descriptor is refused by the system.
        unsafe { super::File::from_raw_fd(i32::try_from(handle.addr()).unwrap_or(i32::MAX)) }
    }
}

/// The caller's end of a pipe, as the caller's own.
#[cfg(windows)]
pub(crate) fn give_handle(pipe: Option<impl Into<std::os::windows::io::OwnedHandle>>) -> HANDLE {
    pipe.map_or(ptr::null_mut(), of_system::raw)
}

/// The caller's end of a pipe, as the caller's own.
#[cfg(unix)]
pub(crate) fn give_handle(pipe: Option<impl Into<std::os::fd::OwnedFd>>) -> HANDLE {
    pipe.map_or(ptr::null_mut(), of_system::raw)
}

/// The caller's open file, which stays the caller's.
pub(crate) struct Borrowed(ManuallyDrop<File>);

impl Borrowed {
    /// # Safety
    /// The handle is one of an open file, for as long as this lives.
    pub(crate) unsafe fn new(handle: HANDLE) -> Self {
        // SAFETY: the caller's promise; it is not closed here.
        Self(ManuallyDrop::new(unsafe { of_system::file(handle) }))
    }
}

impl Deref for Borrowed {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}
