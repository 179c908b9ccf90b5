//! `HCS_PROCESS`: a handle of the trait's, with the caller's callback.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::operation::{On, document, nothing, process, timeout, track};
use super::system::{self, Listener};
use crate::handles::Table;
use crate::reply::{code, give_to, with_document};
use crate::sys::Local;
use crate::text;
use hcs::abi::{
    HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HCS_OPERATION, HCS_PROCESS, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR,
};
use hcs::document::Document as _;
use hcs::documents::SignalProcessOptions;
use hcs::operation::{Operation, OperationKind};
use hcs::service::Process;
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

static PROCESSES: Table<Entry> = Table::new();

/// An open process.
struct Entry {
    handle: usize,
    process: Box<dyn Process>,
    listener: Listener,
}

pub(crate) fn open_processes() -> usize {
    PROCESSES.count()
}

fn open(process: Box<dyn Process>) -> HCS_PROCESS {
    PROCESSES.open(|handle| Entry { handle: handle.addr(), process, listener: Listener::default() })
}

impl Entry {
    fn on(&self) -> On {
        On {
            system: ptr::null_mut(),
            process: ptr::without_provenance_mut(self.handle),
            reported: self.listener.reports(),
        }
    }
}

pub unsafe fn HcsCreateProcess(
    compute_system: HCS_SYSTEM,
    process_parameters: PCWSTR,
    operation: HCS_OPERATION,
    security_descriptor: *const c_void,
    process_: *mut HCS_PROCESS,
) -> HRESULT {
    let create = || {
        if !security_descriptor.is_null() {
            return Err(Error::new("create a process", HResult::E_INVALIDARG));
        }
        let entry = system::get(compute_system)?;
        // SAFETY: the caller's promise.
        let parameters = unsafe { text::document(process_parameters) }?;
        let mut opened = ptr::null_mut();
        let call = || {
            let (created, information) = entry.system.create_process(&parameters)?;
            opened = open(created);
            Ok(information)
        };
        track(operation, OperationKind::CreateProcess, entry.on(), call, process)?;
        Ok(opened)
    };
    // SAFETY: the caller's promise.
    code(unsafe { give_to(process_, create) })
}

pub unsafe fn HcsOpenProcess(
    compute_system: HCS_SYSTEM,
    process_id: u32,
    requested_access: u32,
    process: *mut HCS_PROCESS,
) -> HRESULT {
    let open_it = || {
        if requested_access != hcs::abi::GENERIC_ALL {
            return Err(Error::new("open a process", HResult::E_INVALIDARG));
        }
        Ok(open(system::get(compute_system)?.system.open_process(process_id)?))
    };
    // SAFETY: the caller's promise.
    code(unsafe { give_to(process, open_it) })
}

pub unsafe fn HcsCloseProcess(process: HCS_PROCESS) {
    if let Ok(entry) = PROCESSES.close(process) {
        entry.listener.close();
    }
}

/// A call on a process that answers nothing.
fn done(
    handle: HCS_PROCESS,
    operation: HCS_OPERATION,
    kind: OperationKind,
    call: impl FnOnce(&dyn Process) -> Result<Operation<()>>,
) -> HRESULT {
    let tracked = |entry: Arc<Entry>| track(operation, kind, entry.on(), || call(&*entry.process), nothing);
    code(PROCESSES.get(handle).and_then(tracked))
}

pub unsafe fn HcsTerminateProcess(
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    _options: PCWSTR,
) -> HRESULT {
    done(process, operation, OperationKind::Terminate, |process| process.terminate())
}

pub unsafe fn HcsSignalProcess(process: HCS_PROCESS, operation: HCS_OPERATION, options: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    match unsafe { text::optional_document::<SignalProcessOptions>(options) } {
        Ok(options) => {
            done(process, operation, OperationKind::SignalProcess, |process| process.signal(options.as_ref()))
        }
        Err(error) => error.code().to_i32(),
    }
}

pub unsafe fn HcsGetProcessInfo(handle: HCS_PROCESS, operation: HCS_OPERATION) -> HRESULT {
    let tracked = |entry: Arc<Entry>| {
        let call = || entry.process.information();
        track(operation, OperationKind::GetProcessInfo, entry.on(), call, process)
    };
    code(PROCESSES.get(handle).and_then(tracked))
}

pub unsafe fn HcsGetProcessProperties(
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    _property_query: PCWSTR,
) -> HRESULT {
    let tracked = |entry: Arc<Entry>| {
        let call = || entry.process.properties();
        track(operation, OperationKind::GetProcessProperties, entry.on(), call, |status| {
            document(status.to_json())
        })
    };
    code(PROCESSES.get(process).and_then(tracked))
}

pub unsafe fn HcsModifyProcess(process: HCS_PROCESS, operation: HCS_OPERATION, settings: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    match unsafe { text::document(settings) } {
        Ok(request) => {
            done(process, operation, OperationKind::ModifyProcess, |process| process.modify(&request))
        }
        Err(error) => error.code().to_i32(),
    }
}

pub unsafe fn HcsWaitForProcessExit(process: HCS_PROCESS, timeout_ms: u32, result: *mut PWSTR) -> HRESULT {
    let wait = || {
        let mut exit = PROCESSES.get(process)?.process.exit()?;
        let status = exit.wait_timeout(timeout(timeout_ms).unwrap_or(Duration::MAX))?;
        Ok(Some(status.to_json()))
    };
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result, wait()) }
}

pub unsafe fn HcsSetProcessCallback(
    process: HCS_PROCESS,
    callback_options: HCS_EVENT_OPTIONS,
    context: *const c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    let set = |entry: Arc<Entry>| {
        let set = |options, callback| entry.process.set_callback(options, callback);
        entry.listener.set(callback_options, context, callback, set)
    };
    code(PROCESSES.get(process).and_then(set))
}
