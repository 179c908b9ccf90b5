//! Processes of version 1.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::answer;
use super::notices::{self, Notices};
use super::system::{self, answer_document};
use crate::handles::Table;
use crate::reply::{code, give_process, give_to};
use crate::text;
use hcs::abi::{
    HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_SYSTEM, HRESULT,
    PCWSTR, PWSTR,
};
use hcs::document::Document as _;
use hcs::documents::SignalProcessOptions;
use hcs::event::EventOptions;
use hcs::service::Process;
use hcs::{HResult, Result};
use std::ffi::c_void;
use std::sync::Arc;

static PROCESSES: Table<Entry> = Table::new();

/// An open process.
struct Entry {
    process: Box<dyn Process>,
    notices: Arc<Notices>,
}

pub(crate) fn open_processes() -> usize {
    PROCESSES.count()
}

fn open(process: Box<dyn Process>) -> Result<HCS_PROCESS> {
    let notices = Arc::new(Notices::default());
    let hear = Arc::clone(&notices);
    process.set_callback(EventOptions::default(), Box::new(move |event| hear.hear(event)))?;
    Ok(PROCESSES.open(|_| Entry { process, notices }))
}

pub unsafe fn HcsCreateProcess(
    compute_system: HCS_SYSTEM,
    process_parameters: PCWSTR,
    process_information: *mut HCS_PROCESS_INFORMATION,
    process: *mut HCS_PROCESS,
    result: *mut PWSTR,
) -> HRESULT {
    let create = || {
        let entry = system::get(compute_system)?;
        // SAFETY: the caller's promise.
        let parameters = unsafe { text::document(process_parameters) }?;
        let (created, information) = entry.system.create_process(&parameters)?;
        let information = information.wait()?;
        let handle = open(created)?;
        // SAFETY: the caller's promise.
        unsafe { give_process(process_information, information) };
        Ok(handle)
    };
    // SAFETY: the caller's promise.
    let created = unsafe { give_to(process, create) };
    // SAFETY: the caller's promise.
    unsafe { answer(result, created.map(|()| HResult::S_OK)) }
}

pub unsafe fn HcsOpenProcess(
    compute_system: HCS_SYSTEM,
    process_id: u32,
    process: *mut HCS_PROCESS,
    result: *mut PWSTR,
) -> HRESULT {
    let open_it = || open(system::get(compute_system)?.system.open_process(process_id)?);
    // SAFETY: the caller's promise.
    let opened = unsafe { give_to(process, open_it) };
    // SAFETY: the caller's promise.
    unsafe { answer(result, opened.map(|()| HResult::S_OK)) }
}

pub unsafe fn HcsCloseProcess(process: HCS_PROCESS) -> HRESULT {
    code(PROCESSES.close(process).map(|entry| entry.notices.close()))
}

pub unsafe fn HcsTerminateProcess(process: HCS_PROCESS, result: *mut PWSTR) -> HRESULT {
    let call = || {
        PROCESSES.get(process)?.process.terminate()?.wait()?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsSignalProcess(process: HCS_PROCESS, options: PCWSTR, result: *mut PWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let options = unsafe { text::optional_document::<SignalProcessOptions>(options) }?;
        PROCESSES.get(process)?.process.signal(options.as_ref())?.wait()?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsGetProcessInfo(
    process: HCS_PROCESS,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        let information = PROCESSES.get(process)?.process.information()?.wait()?;
        // SAFETY: the caller's promise.
        unsafe { give_process(process_information, information) };
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsGetProcessProperties(
    process: HCS_PROCESS,
    process_properties: *mut PWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || Ok(PROCESSES.get(process)?.process.properties()?.wait()?.to_json());
    // SAFETY: the caller's promise.
    unsafe { answer_document(process_properties, result, call()) }
}

pub unsafe fn HcsModifyProcess(process: HCS_PROCESS, settings: PCWSTR, result: *mut PWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let request = unsafe { text::document(settings) }?;
        PROCESSES.get(process)?.process.modify(&request)?.wait()?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsRegisterProcessCallback(
    process: HCS_PROCESS,
    callback: HCS_NOTIFICATION_CALLBACK,
    context: *const c_void,
    callback_handle: *mut HCS_CALLBACK,
) -> HRESULT {
    let register = || PROCESSES.get(process)?.notices.register(callback, context);
    // SAFETY: the caller's promise.
    code(unsafe { give_to(callback_handle, register) })
}

pub unsafe fn HcsUnregisterProcessCallback(callback_handle: HCS_CALLBACK) -> HRESULT {
    code(notices::unregister(callback_handle))
}
