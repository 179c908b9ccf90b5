//! A computecore.dll that has a few functions and answers with what no library should: for the tests of `hcs::windows`,
//! which say in the query how it is to fail. What it lacks is missing on purpose.

#![cfg(windows)]
// UNSAFETY: it is a library with a C interface.
#![expect(unsafe_code, missing_docs, reason = "the interface is C's, and so are its names")]
#![expect(clippy::missing_safety_doc, reason = "its only caller is a test")]

use hcs::HResult;
use hcs::abi::{HCS_OPERATION, HCS_OPERATION_COMPLETION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR};
use std::ffi::c_void;
use std::ptr;
use windows_sys::Win32::System::Memory::{LMEM_FIXED, LocalAlloc};

struct Operation {
    context: usize,
    callback: HCS_OPERATION_COMPLETION,
    query: String,
}

unsafe fn text(text: PCWSTR) -> String {
    let mut units = Vec::new();
    let mut at = text;
    // SAFETY: the test's texts end with a zero.
    unsafe {
        while !at.is_null() && *at != 0 {
            units.push(*at);
            at = at.add(1);
        }
    }
    String::from_utf16_lossy(&units)
}

unsafe fn give(place: *mut PWSTR, units: &[u16]) {
    // SAFETY: the place is one for a pointer; there is room for the units.
    unsafe {
        let allocated: *mut u16 = LocalAlloc(LMEM_FIXED, size_of_val(units)).cast();
        ptr::copy_nonoverlapping(units.as_ptr(), allocated, units.len());
        *place = allocated;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsCreateOperation(
    context: *const c_void,
    callback: HCS_OPERATION_COMPLETION,
) -> HCS_OPERATION {
    Box::into_raw(Box::new(Operation { context: context.addr(), callback, query: String::new() })).cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsCloseOperation(operation: HCS_OPERATION) {
    // SAFETY: what `HcsCreateOperation` gave.
    drop(unsafe { Box::from_raw(operation.cast::<Operation>()) });
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsEnumerateComputeSystems(query: PCWSTR, operation: HCS_OPERATION) -> HRESULT {
    // SAFETY: what `HcsCreateOperation` gave.
    let about = unsafe { &mut *operation.cast::<Operation>() };
    // SAFETY: the test's texts end with a zero.
    about.query = unsafe { text(query) };
    let (operation, context, callback) = (operation.addr(), about.context, about.callback);
    std::thread::spawn(move || {
        if let Some(callback) = callback {
            // SAFETY: the test gave the function and the context for this.
            unsafe {
                callback(ptr::with_exposed_provenance_mut(operation), ptr::with_exposed_provenance(context));
            }
        }
    });
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsGetOperationResult(
    operation: HCS_OPERATION,
    document: *mut PWSTR,
) -> HRESULT {
    // SAFETY: what `HcsCreateOperation` gave.
    let query = unsafe { (*operation.cast::<Operation>()).query.clone() };
    let (answer, code) = match query {
        query if query.contains("not json") => ("{nonsense", 0),
        query if query.contains("other type") => (r#"[{"Id":5}]"#, 0),
        query if query.contains("fails") => ("not a document", HResult::HCS_E_ACCESS_DENIED.to_i32()),
        _ => ("", 0),
    };
    let mut units: Vec<u16> = answer.encode_utf16().collect();
    if answer.is_empty() {
        // Half of a pair.
        units.push(0xD800);
    }
    units.push(0);
    // SAFETY: the place is one for a pointer.
    unsafe { give(document, &units) };
    code
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsOpenComputeSystem(_: PCWSTR, _: u32, _: *mut HCS_SYSTEM) -> HRESULT {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn HcsGetServiceProperties(_: PCWSTR, _: *mut PWSTR) -> HRESULT {
    0
}
