//! Text on its way in and out of the libraries: UTF-16 that ends with a zero, and whose it is to free.
//!
//! | library                            | what it returns is freed with |
//! |------------------------------------|-------------------------------|
//! | computecore.dll, computestorage.dll | `LocalFree`                  |
//! | vmcompute.dll, computenetwork.dll   | `CoTaskMemFree`              |

// UNSAFETY: what the libraries return is a pointer, and to be given back to the allocator it came from.
#![expect(unsafe_code, reason = "the libraries return pointers")]

use crate::abi::{PCWSTR, PWSTR};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::hresult::HResult;
use std::ptr;
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::System::Com::CoTaskMemFree;

/// Text as the libraries take it. Text with a zero in it would be cut short there and is refused.
pub(super) fn wide(text: &str, attempted: &str) -> Result<Vec<u16>> {
    if text.contains('\0') {
        return Err(zero_inside(attempted));
    }
    Ok(text.encode_utf16().chain([0]).collect())
}

pub(super) fn zero_inside(attempted: &str) -> Error {
    Error::new(attempted, HResult::E_INVALIDARG).caused_by(ZeroInside)
}

#[derive(Debug, thiserror::Error)]
#[error("text for Windows cannot have a zero character in it")]
struct ZeroInside;

/// Text that may be absent, which the libraries take as a null pointer.
pub(super) struct Optional(Option<Vec<u16>>);

impl Optional {
    pub(super) fn new(text: Option<&str>, attempted: &str) -> Result<Self> {
        Ok(Self(text.map(|text| wide(text, attempted)).transpose()?))
    }

    pub(super) fn as_ptr(&self) -> PCWSTR {
        self.0.as_ref().map_or(ptr::null(), Vec::as_ptr)
    }
}

/// The JSON of a document, absent if nothing is set in it: the libraries want no pointer then.
pub(super) fn unless_empty<D: Document>(document: &D) -> Option<String> {
    (*document != D::default()).then(|| document.to_json())
}

/// Reads the document that a call has answered.
pub(super) fn read<D: Document>(text: Option<&str>, attempted: &str) -> Result<D> {
    let text = text.ok_or_else(|| missing(attempted))?;
    D::from_json(text).map_err(|cause| Error::new(attempted, HResult::HCS_E_INVALID_JSON).caused_by(cause))
}

pub(super) fn missing(attempted: &str) -> Error {
    Error::new(attempted, HResult::HCS_E_INVALID_JSON).caused_by(NoDocument)
}

#[derive(Debug, thiserror::Error)]
#[error("the service answered without the document that it promises")]
struct NoDocument;

#[derive(Debug, thiserror::Error)]
#[error("the service answered with text that is not UTF-16")]
struct NotUtf16;

/// Who frees what a library has returned.
pub(super) trait Allocator {
    /// # Safety
    /// The pointer came from this allocator and is not used again.
    unsafe fn free(text: PWSTR);
}

/// computecore.dll's and computestorage.dll's.
pub(super) struct Local;

impl Allocator for Local {
    unsafe fn free(text: PWSTR) {
        // SAFETY: the caller's promise.
        unsafe { LocalFree(text.cast()) };
    }
}

/// vmcompute.dll's and computenetwork.dll's.
pub(super) struct Task;

impl Allocator for Task {
    unsafe fn free(text: PWSTR) {
        // SAFETY: the caller's promise.
        unsafe { CoTaskMemFree(text.cast()) };
    }
}

/// How many texts of the libraries were given back: for tests, which compare it with how many were given.
#[cfg(feature = "suite")]
static FREED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// How many texts of the libraries were given back so far.
#[cfg(feature = "suite")]
pub fn texts_freed() -> u64 {
    FREED.load(std::sync::atomic::Ordering::Relaxed)
}

/// Text that a library returns through a pointer that it is given; freed with this.
pub(super) struct Returned<A: Allocator> {
    text: PWSTR,
    allocator: std::marker::PhantomData<A>,
}

impl<A: Allocator> Returned<A> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { text: ptr::null_mut(), allocator: std::marker::PhantomData }
    }

    /// Where the library puts it; once.
    pub(super) fn out(&mut self) -> *mut PWSTR {
        &raw mut self.text
    }

    /// What the library has put there.
    pub(super) fn text(&self, attempted: &str) -> Result<Option<String>> {
        // SAFETY: null, or what the library returned, which ends with a zero and lives until this is dropped.
        unsafe { text(self.text) }
            .map_err(|cause| Error::new(attempted, HResult::ERROR_INVALID_DATA).caused_by(cause))
    }

    /// The same, of an error that is being made: text that cannot be read is as good as none.
    pub(super) fn readable(&self) -> Option<String> {
        // SAFETY: as in `text`.
        unsafe { text(self.text) }.ok().flatten()
    }
}

impl<A: Allocator> Drop for Returned<A> {
    fn drop(&mut self) {
        if !self.text.is_null() {
            #[cfg(feature = "suite")]
            FREED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // SAFETY: the library allocated it for its caller, with this allocator; nothing else holds it.
            unsafe { A::free(self.text) };
        }
    }
}

/// Text that a library shows to a callback.
///
/// # Safety
/// Null, or units that end with a zero.
pub(super) unsafe fn shown(text_: PCWSTR) -> Option<String> {
    // SAFETY: the caller's promise.
    unsafe { text(text_) }.ok().flatten()
}

/// # Safety
/// Null, or units that end with a zero.
unsafe fn text(text: PCWSTR) -> std::result::Result<Option<String>, NotUtf16> {
    if text.is_null() {
        return Ok(None);
    }
    let mut length = 0;
    // SAFETY: every unit up to the zero may be read.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: that many units were just read.
    let units = unsafe { std::slice::from_raw_parts(text, length) };
    String::from_utf16(units).map(Some).map_err(|_| NotUtf16)
}
