//! Text of the C interface: UTF-16 that ends with a zero, from the caller and to it.

// UNSAFETY: text comes as a pointer, and goes out as one that the caller frees.
#![expect(unsafe_code, reason = "the interface is C's")]

use crate::counters;
use crate::sys::Allocator;
use hcs::abi::{PCWSTR, PWSTR};
use hcs::document::Document;
use hcs::{Error, HResult, Result};
use std::path::PathBuf;

/// Text that must be there.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn text(text: PCWSTR) -> Result<String> {
    // SAFETY: the caller's promise.
    unsafe { optional(text) }?
        .ok_or_else(|| Error::new("read a text that must be given", HResult::E_INVALIDARG))
}

/// Text that may be absent.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn optional(text: PCWSTR) -> Result<Option<String>> {
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
    let text = String::from_utf16(units);
    text.map(Some).map_err(|cause| Error::new("read a text", HResult::E_INVALIDARG).caused_by(cause))
}

/// A path that must be there.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn path(path: PCWSTR) -> Result<PathBuf> {
    // SAFETY: the caller's promise.
    unsafe { text(path) }.map(PathBuf::from)
}

/// A document that must be there.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn document<D: Document>(json: PCWSTR) -> Result<D> {
    // SAFETY: the caller's promise.
    read(&unsafe { text(json) }?)
}

/// A document that may be absent; no text, and the text `null`, say so.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn optional_document<D: Document>(json: PCWSTR) -> Result<Option<D>> {
    // SAFETY: the caller's promise.
    match unsafe { optional(json) }? {
        Some(json) if !json.trim().is_empty() && json.trim() != "null" => read(&json).map(Some),
        _ => Ok(None),
    }
}

/// The same, with nothing set if it is absent.
///
/// # Safety
/// Null, or units that end with a zero.
pub(crate) unsafe fn document_or_default<D: Document>(json: PCWSTR) -> Result<D> {
    // SAFETY: the caller's promise.
    unsafe { optional_document(json) }.map(Option::unwrap_or_default)
}

fn read<D: Document>(json: &str) -> Result<D> {
    D::from_json(json).map_err(|cause| Error::unreadable("read a document", cause))
}

/// Gives the caller a text, to be freed with this allocator's function; null if there is none.
///
/// # Safety
/// Null, or a place for a pointer.
pub(crate) unsafe fn give<A: Allocator>(place: *mut PWSTR, text: Option<&str>) -> Result<()> {
    if place.is_null() {
        return Ok(());
    }
    let Some(text) = text else {
        // SAFETY: the place is one for a pointer.
        unsafe { place.write(std::ptr::null_mut()) };
        return Ok(());
    };
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let allocated = A::allocate(size_of_val(units.as_slice())).cast::<u16>();
    if allocated.is_null() {
        return Err(Error::new("answer with a text", HResult::E_OUTOFMEMORY));
    }
    // SAFETY: there is room for that many units, which are not in the new allocation; the place is one for a pointer.
    unsafe {
        std::ptr::copy_nonoverlapping(units.as_ptr(), allocated, units.len());
        place.write(allocated);
    }
    counters::count_text();
    Ok(())
}
