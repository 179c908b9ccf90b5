//! What a call has answered: an HRESULT, and a document that says more if it failed.

// UNSAFETY: the standard handles of a process are numbers until somebody owns them.
#![expect(unsafe_code, reason = "handles come as numbers")]

use super::library::Unavailable;
use super::text::{Allocator, Returned};
use crate::abi::{HANDLE, HCS_PROCESS_INFORMATION, HRESULT};
use crate::document::Document as _;
use crate::documents::ResultError;
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::service::{ProcessInformation, Stdio};
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;

/// Whether the call succeeded, or why it could not even be made.
pub(super) fn check(answer: std::result::Result<HRESULT, Unavailable>, attempted: &str) -> Result<()> {
    succeeded(answer, attempted, || None)
}

/// The same for a call that returns a document on what failed.
pub(super) fn check_with<A: Allocator>(
    answer: std::result::Result<HRESULT, Unavailable>,
    record: &Returned<A>,
    attempted: &str,
) -> Result<()> {
    succeeded(answer, attempted, || record.readable())
}

fn succeeded(
    answer: std::result::Result<HRESULT, Unavailable>,
    attempted: &str,
    record: impl FnOnce() -> Option<String>,
) -> Result<()> {
    match answer {
        Ok(code) if code >= 0 => Ok(()),
        Ok(code) => Err(failed(code_of(code), record(), attempted)),
        Err(unavailable) => Err(unavailable.during(attempted)),
    }
}

pub(super) const fn code_of(code: HRESULT) -> HResult {
    HResult::new(code.cast_unsigned())
}

/// The error of a call, with the document that came with it if it is one.
pub(super) fn failed(code: HResult, record: Option<String>, attempted: &str) -> Error {
    let error = Error::new(attempted, code);
    match record.and_then(|record| ResultError::from_json(&record).ok()) {
        Some(document) => error.with_document(document),
        None => error,
    }
}

/// The error of a call that succeeded and still did not give the handle that it promises.
pub(super) fn no_handle(attempted: &str) -> Error {
    Error::new(attempted, HResult::E_HANDLE).caused_by(NoHandle)
}

#[derive(Debug, thiserror::Error)]
#[error("the library answered success and no handle")]
struct NoHandle;

/// Takes the handles in a process's information into possession.
///
/// # Safety
/// A library has just handed them out to this caller, and to nobody else.
pub(super) unsafe fn process_information(information: HCS_PROCESS_INFORMATION) -> ProcessInformation {
    // SAFETY: the caller's promise, for each of them.
    let owned = |handle| unsafe { owned(handle) };
    ProcessInformation {
        process_id: information.ProcessId,
        stdio: Stdio {
            input: owned(information.StdInput).map(Into::into),
            output: owned(information.StdOutput).map(Into::into),
            error: owned(information.StdError).map(Into::into),
        },
    }
}

/// # Safety
/// Nobody else owns the handle.
unsafe fn owned(handle: HANDLE) -> Option<OwnedHandle> {
    // SAFETY: the caller's promise.
    (!handle.is_null() && handle != INVALID_HANDLE_VALUE)
        .then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}
