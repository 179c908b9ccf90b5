//! `HCS_OPERATION`: a [`Tracker`] with the caller's callback and context.

// UNSAFETY: parameters are pointers, and the callback is a C function.
#![expect(unsafe_code, reason = "the interface is C's")]

use crate::handles::Table;
use crate::outlet::call_out;
use crate::reply::{NOT_IMPLEMENTED, code, give_process, with_document};
use crate::sys::Local;
use hcs::abi::{
    HANDLE, HCS_EVENT_CALLBACK, HCS_OPERATION, HCS_OPERATION_COMPLETION, HCS_OPERATION_OPTIONS,
    HCS_OPERATION_TYPE, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_RESOURCE_TYPE, HCS_SYSTEM, HRESULT,
    INFINITE, PCWSTR, PWSTR,
};
use hcs::operation::{Operation, OperationKind};
use hcs::service::ProcessInformation;
use hcs::tracker::{Reply, Tracker};
use hcs::{HResult, Result};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static OPERATIONS: Table<Entry> = Table::new();

/// An open operation.
pub(super) struct Entry {
    handle: usize,
    tracker: Arc<Tracker>,
    context: Arc<AtomicUsize>,
    system: AtomicUsize,
    process: AtomicUsize,
}

pub(crate) fn open_operations() -> usize {
    OPERATIONS.count()
}

/// The handle that a call was made on, and what its callback wants to hear of operations.
pub(super) struct On {
    pub(super) system: HCS_SYSTEM,
    pub(super) process: HCS_PROCESS,
    /// Calls the handle's callback with the operation that is over, if it wants to hear of it.
    pub(super) reported: Option<Arc<dyn Fn(usize) + Send + Sync>>,
}

impl On {
    /// Of a call on no handle.
    pub(super) const NONE: Self = Self { system: ptr::null_mut(), process: ptr::null_mut(), reported: None };
}

/// Makes a call that an operation tracks, and has the operation follow it.
pub(super) fn track<T: Send + 'static>(
    operation: HCS_OPERATION,
    kind: OperationKind,
    on: On,
    call: impl FnOnce() -> Result<Operation<T>>,
    reply: impl FnOnce(T) -> Result<Reply> + Send + 'static,
) -> Result<()> {
    let entry = OPERATIONS.get(operation)?;
    let begun = entry.tracker.begin(kind, on.reported.is_some())?;
    entry.system.store(on.system.addr(), Ordering::Relaxed);
    entry.process.store(on.process.addr(), Ordering::Relaxed);
    let called = call()?;
    let (number, reported) = (entry.handle, on.reported);
    begun.track(called, reply, move |_| {
        if let Some(reported) = reported {
            reported(number);
        }
    });
    Ok(())
}

/// No document, no process.
pub(super) fn nothing<T>(_: T) -> Result<Reply> {
    Ok(Reply::default())
}

pub(super) fn document(document: String) -> Result<Reply> {
    Ok(Reply { document: Some(document), process: None })
}

pub(super) fn process(information: ProcessInformation) -> Result<Reply> {
    Ok(Reply { document: None, process: Some(information) })
}

pub(super) fn timeout(milliseconds: u32) -> Option<Duration> {
    (milliseconds != INFINITE).then(|| Duration::from_millis(milliseconds.into()))
}

pub unsafe fn HcsCreateOperation(
    context: *const c_void,
    callback: HCS_OPERATION_COMPLETION,
) -> HCS_OPERATION {
    let handle = OPERATIONS.open(|handle| Entry {
        handle: handle.addr(),
        tracker: Tracker::new(),
        context: Arc::new(AtomicUsize::new(context.addr())),
        system: AtomicUsize::new(0),
        process: AtomicUsize::new(0),
    });
    if callback.is_some() {
        // It is new, so nothing speaks against it.
        let _ = set_callback(handle, callback);
    }
    handle
}

pub unsafe fn HcsCreateOperationWithNotifications(
    _event_types: HCS_OPERATION_OPTIONS,
    _context: *const c_void,
    _callback: HCS_EVENT_CALLBACK,
) -> HCS_OPERATION {
    ptr::null_mut()
}

fn set_callback(operation: HCS_OPERATION, callback: HCS_OPERATION_COMPLETION) -> Result<()> {
    let entry = OPERATIONS.get(operation)?;
    let Some(callback) = callback else { return Ok(()) };
    let (number, context) = (entry.handle, Arc::clone(&entry.context));
    entry.tracker.set_callback(move || {
        call_out(move || {
            let context = ptr::without_provenance(context.load(Ordering::Acquire));
            // SAFETY: the caller gave the function for this.
            unsafe { callback(ptr::without_provenance_mut(number), context) };
        });
    })
}

pub unsafe fn HcsSetOperationCallback(
    operation: HCS_OPERATION,
    context: *const c_void,
    callback: HCS_OPERATION_COMPLETION,
) -> HRESULT {
    code(set_callback(operation, callback).and_then(|()| set_context(operation, context)))
}

fn set_context(operation: HCS_OPERATION, context: *const c_void) -> Result<()> {
    OPERATIONS.get(operation)?.context.store(context.addr(), Ordering::Release);
    Ok(())
}

pub unsafe fn HcsSetOperationContext(operation: HCS_OPERATION, context: *const c_void) -> HRESULT {
    code(set_context(operation, context))
}

pub unsafe fn HcsGetOperationContext(operation: HCS_OPERATION) -> *mut c_void {
    let context = OPERATIONS.get(operation).map(|entry| entry.context.load(Ordering::Acquire));
    ptr::without_provenance_mut(context.unwrap_or(0))
}

pub unsafe fn HcsCloseOperation(operation: HCS_OPERATION) {
    let _ = OPERATIONS.close(operation);
}

pub unsafe fn HcsGetOperationId(operation: HCS_OPERATION) -> u64 {
    OPERATIONS.get(operation).map_or(0, |entry| entry.tracker.id())
}

pub unsafe fn HcsGetOperationType(operation: HCS_OPERATION) -> HCS_OPERATION_TYPE {
    OPERATIONS.get(operation).map_or(OperationKind::None, |entry| entry.tracker.kind()).code()
}

pub unsafe fn HcsGetComputeSystemFromOperation(operation: HCS_OPERATION) -> HCS_SYSTEM {
    let system = OPERATIONS.get(operation).map(|entry| entry.system.load(Ordering::Relaxed));
    ptr::without_provenance_mut(system.unwrap_or(0))
}

pub unsafe fn HcsGetProcessFromOperation(operation: HCS_OPERATION) -> HCS_PROCESS {
    let process = OPERATIONS.get(operation).map(|entry| entry.process.load(Ordering::Relaxed));
    ptr::without_provenance_mut(process.unwrap_or(0))
}

pub unsafe fn HcsGetOperationResult(operation: HCS_OPERATION, result_document: *mut PWSTR) -> HRESULT {
    let result = OPERATIONS.get(operation).and_then(|entry| entry.tracker.result());
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result_document, result.map(owned)) }
}

pub unsafe fn HcsWaitForOperationResult(
    operation: HCS_OPERATION,
    timeout_ms: u32,
    result_document: *mut PWSTR,
) -> HRESULT {
    let result = OPERATIONS.get(operation).and_then(|entry| entry.tracker.wait(timeout(timeout_ms)));
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result_document, result.map(owned)) }
}

pub unsafe fn HcsGetOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result_document: *mut PWSTR,
) -> HRESULT {
    let result = OPERATIONS.get(operation).and_then(|entry| entry.tracker.result_and_process());
    // SAFETY: the caller's promise.
    unsafe { answer_process(result, process_information, result_document) }
}

pub unsafe fn HcsWaitForOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    timeout_ms: u32,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result_document: *mut PWSTR,
) -> HRESULT {
    let result =
        OPERATIONS.get(operation).and_then(|entry| entry.tracker.wait_and_process(timeout(timeout_ms)));
    // SAFETY: the caller's promise.
    unsafe { answer_process(result, process_information, result_document) }
}

unsafe fn answer_process(
    result: Result<(Option<Arc<str>>, ProcessInformation)>,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result_document: *mut PWSTR,
) -> HRESULT {
    let result = result.map(|(document, information)| {
        // SAFETY: the caller's promise.
        unsafe { give_process(process_information, information) };
        owned(document)
    });
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result_document, result) }
}

fn owned(document: Option<Arc<str>>) -> Option<String> {
    document.map(|document| (*document).to_owned())
}

/// As Windows does.
pub unsafe fn HcsCancelOperation(operation: HCS_OPERATION) -> HRESULT {
    OPERATIONS.get(operation).map_or_else(|error| error.code(), |_| HResult::E_NOTIMPL).to_i32()
}

pub unsafe fn HcsAddResourceToOperation(
    _operation: HCS_OPERATION,
    _kind: HCS_RESOURCE_TYPE,
    _uri: PCWSTR,
    _handle: HANDLE,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcsGetOperationProperties(
    _operation: HCS_OPERATION,
    _options: PCWSTR,
    _result_document: *mut PWSTR,
) -> HRESULT {
    NOT_IMPLEMENTED
}
