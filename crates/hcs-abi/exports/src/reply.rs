//! Answers of the C interface.

// UNSAFETY: answers go where pointers say.
#![expect(unsafe_code, reason = "the interface is C's")]

use crate::sys::{Allocator, give_handle};
use crate::text::give;
use hcs::abi::{HCS_PROCESS_INFORMATION, HRESULT, PWSTR};
use hcs::document::Document as _;
use hcs::documents::ResultError;
use hcs::service::ProcessInformation;
use hcs::{Error, HResult, Result};
use std::ffi::c_void;

/// The code of a call.
pub(crate) fn code(result: Result<()>) -> HRESULT {
    result.map_or_else(|error| error.code().to_i32(), |()| HResult::S_OK.to_i32())
}

/// The code of what is not there.
pub(crate) const NOT_IMPLEMENTED: HRESULT = HResult::E_NOTIMPL.to_i32();

/// Puts a handle where the caller wants it.
///
/// # Safety
/// Null, or a place for a handle.
pub(crate) unsafe fn give_to(
    place: *mut *mut c_void,
    handle: impl FnOnce() -> Result<*mut c_void>,
) -> Result<()> {
    if place.is_null() {
        return Err(Error::new("answer with a handle", HResult::E_INVALIDARG));
    }
    // SAFETY: the place is one for a handle.
    unsafe { place.write(std::ptr::null_mut()) };
    let handle = handle()?;
    // SAFETY: as above.
    unsafe { place.write(handle) };
    Ok(())
}

/// The code of a call that also answers a document: the one it was for, or the one on its failure.
///
/// # Safety
/// Null, or a place for a pointer.
pub(crate) unsafe fn with_document<A: Allocator>(
    place: *mut PWSTR,
    result: Result<Option<String>>,
) -> HRESULT {
    // SAFETY: the caller's promise.
    let give = |text: Option<&str>| unsafe { give::<A>(place, text) };
    match result {
        Ok(document) => code(give(document.as_deref())),
        Err(error) => {
            let _ = give(Some(&document_of(&error)));
            error.code().to_i32()
        }
    }
}

/// The error document of a failure: the service's own, or one that says the same.
pub(crate) fn document_of(error: &Error) -> String {
    match error.document() {
        Some(document) => document.to_json(),
        None => ResultError::new().error(error.code().to_i32()).error_message(error.to_string()).to_json(),
    }
}

/// Hands a process's id and handles out.
///
/// # Safety
/// Null, or a place for the structure.
pub(crate) unsafe fn give_process(place: *mut HCS_PROCESS_INFORMATION, information: ProcessInformation) {
    if place.is_null() {
        return;
    }
    let information = HCS_PROCESS_INFORMATION {
        ProcessId: information.process_id,
        Reserved: 0,
        StdInput: give_handle(information.stdio.input),
        StdOutput: give_handle(information.stdio.output),
        StdError: give_handle(information.stdio.error),
    };
    // SAFETY: the caller's promise.
    unsafe { place.write(information) };
}
