//! The functions of vmcompute.dll that are on no handle.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::answer;
use super::system::answer_document;
use crate::backend;
use crate::computecore::array;
use crate::reply::NOT_IMPLEMENTED;
use crate::text;
use hcs::HResult;
use hcs::abi::{HRESULT, PCWSTR, PWSTR};
use hcs::document::Document as _;

pub unsafe fn HcsEnumerateComputeSystems(
    query: PCWSTR,
    compute_systems: *mut PWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(query) }?;
        Ok(array(&backend::service()?.enumerate_systems(&query)?.wait()?))
    };
    // SAFETY: the caller's promise.
    unsafe { answer_document(compute_systems, result, call()) }
}

pub unsafe fn HcsGetServiceProperties(
    property_query: PCWSTR,
    properties: *mut PWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(property_query) }?;
        Ok(backend::service()?.service_properties(&query)?.to_json())
    };
    // SAFETY: the caller's promise.
    unsafe { answer_document(properties, result, call()) }
}

pub unsafe fn HcsModifyServiceSettings(settings: PCWSTR, result: *mut PWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        backend::service()?.modify_service(&unsafe { text::document(settings) }?)?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

/// The network service of hosts before HCN has no implementation to be over.
pub unsafe fn HNSCall(_method: PCWSTR, _path: PCWSTR, _object: PCWSTR, _response: *mut PWSTR) -> HRESULT {
    NOT_IMPLEMENTED
}
