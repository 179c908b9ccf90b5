//! The functions of computecore.dll that are on no handle.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::operation::{On, document, track};
use crate::backend;
use crate::reply::{NOT_IMPLEMENTED, code, with_document};
use crate::sys::Local;
use crate::text;
use hcs::abi::{HCS_OPERATION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR};
use hcs::document::Document as _;
use hcs::documents::Properties;
use hcs::operation::OperationKind;
use std::ffi::c_void;

pub unsafe fn HcsEnumerateComputeSystems(query: PCWSTR, operation: HCS_OPERATION) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(query) }?;
        let call = || backend::service()?.enumerate_systems(&query);
        track(operation, OperationKind::Enumerate, On::NONE, call, |systems| document(array(&systems)))
    };
    code(call())
}

/// The array of an enumeration.
pub(crate) fn array(systems: &[Properties]) -> String {
    let systems: Vec<serde_json::Value> = systems.iter().map(hcs::document::Document::to_value).collect();
    serde_json::Value::from(systems).to_string()
}

pub unsafe fn HcsGetServiceProperties(property_query: PCWSTR, result: *mut PWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(property_query) }?;
        Ok(Some(backend::service()?.service_properties(&query)?.to_json()))
    };
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result, call()) }
}

pub unsafe fn HcsModifyServiceSettings(settings: PCWSTR, result: *mut PWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let request = unsafe { text::document(settings) }?;
        backend::service()?.modify_service(&request).map(|()| None)
    };
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result, call()) }
}

pub unsafe fn HcsSubmitWerReport(settings: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    code(
        unsafe { text::document(settings) }
            .and_then(|report| backend::service()?.submit_crash_report(&report)),
    )
}

pub unsafe fn HcsCreateEmptyGuestStateFile(guest_state_file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    let file = unsafe { text::path(guest_state_file_path) };
    code(file.and_then(|file| backend::service()?.create_empty_guest_state_file(&file)))
}

pub unsafe fn HcsCreateEmptyRuntimeStateFile(runtime_state_file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    let file = unsafe { text::path(runtime_state_file_path) };
    code(file.and_then(|file| backend::service()?.create_empty_runtime_state_file(&file)))
}

pub unsafe fn HcsGetProcessorCompatibilityFromSavedState(
    runtime_file_name: PCWSTR,
    processor_features: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let file = unsafe { text::path(runtime_file_name) }?;
        Ok(Some(backend::service()?.processor_compatibility(&file)?.to_json()))
    };
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(processor_features, call()) }
}

pub unsafe fn HcsGrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let (id, file) = unsafe { (text::text(vm_id)?, text::path(file_path)?) };
        backend::service()?.grant_vm_access(&id, &file)
    };
    code(call())
}

pub unsafe fn HcsGrantVmGroupAccess(file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    let file = unsafe { text::path(file_path) };
    code(file.and_then(|file| backend::service()?.grant_vm_group_access(&file)))
}

pub unsafe fn HcsRevokeVmAccess(_vm_id: PCWSTR, _file_path: PCWSTR) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcsRevokeVmGroupAccess(_file_path: PCWSTR) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcsEnumerateComputeSystemsInNamespace(
    _id_namespace: PCWSTR,
    _query: PCWSTR,
    _operation: HCS_OPERATION,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcsCreateComputeSystemInNamespace(
    _id_namespace: PCWSTR,
    _id: PCWSTR,
    _configuration: PCWSTR,
    _operation: HCS_OPERATION,
    _options: *const c_void,
    _compute_system: *mut HCS_SYSTEM,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcsOpenComputeSystemInNamespace(
    _id_namespace: PCWSTR,
    _id: PCWSTR,
    _requested_access: u32,
    _compute_system: *mut HCS_SYSTEM,
) -> HRESULT {
    NOT_IMPLEMENTED
}
