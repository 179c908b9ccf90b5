//! Compute systems of version 1.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::answer;
use super::notices::{self, Notices};
use crate::backend;
use crate::handles::Table;
use crate::reply::{code, give_to, with_document};
use crate::sys::Task;
use crate::text;
use hcs::abi::{HANDLE, HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR};
use hcs::document::Document as _;
use hcs::event::{EventOptions, Notification};
use hcs::operation::Operation;
use hcs::service::{Configuration, System};
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

static SYSTEMS: Table<Entry> = Table::new();

/// An open compute system.
pub(super) struct Entry {
    pub(super) system: Box<dyn System>,
    notices: Arc<Notices>,
}

pub(crate) fn open_systems() -> usize {
    SYSTEMS.count()
}

pub(super) fn get(system: HCS_SYSTEM) -> Result<Arc<Entry>> {
    SYSTEMS.get(system)
}

fn open(system: Box<dyn System>) -> Result<(HCS_SYSTEM, Arc<Notices>)> {
    let notices = Arc::new(Notices::default());
    let hear = Arc::clone(&notices);
    system.set_callback(EventOptions::default(), Box::new(move |event| hear.hear(event)))?;
    Ok((SYSTEMS.open(|_| Entry { system, notices: Arc::clone(&notices) }), notices))
}

/// Tells the end of an operation by a notification; the call itself is pending.
fn pending<T: Send + 'static>(
    operation: Operation<T>,
    notices: &Arc<Notices>,
    succeeded: Option<Notification>,
    failed: Option<Notification>,
) -> Result<HResult> {
    let notices = Arc::clone(notices);
    operation.on_completion(move |result| {
        let (notification, status) = match result {
            Ok(_) => (succeeded, HResult::S_OK),
            Err(error) => (failed, error.code()),
        };
        if let Some(notification) = notification {
            notices.tell(notification, status, None);
        }
    })?;
    Ok(HResult::HCS_V1_OPERATION_PENDING)
}

pub unsafe fn HcsCreateComputeSystem(
    id: PCWSTR,
    configuration: PCWSTR,
    _identity: HANDLE,
    compute_system: *mut HCS_SYSTEM,
    result: *mut PWSTR,
) -> HRESULT {
    let mut outcome = HResult::S_OK;
    let create = || {
        // SAFETY: the caller's promise.
        let (id, configuration) = unsafe { (text::text(id)?, text::text(configuration)?) };
        let (system, created) = backend::service()?.create_system(&id, &read(&configuration)?)?;
        let (handle, notices) = open(system)?;
        let told = Some(Notification::SystemCreateCompleted);
        outcome = pending(created, &notices, told, told)?;
        Ok(handle)
    };
    // SAFETY: the caller's promise.
    let created = unsafe { give_to(compute_system, create) };
    // SAFETY: the caller's promise.
    unsafe { answer(result, created.map(|()| outcome)) }
}

/// A document of schema 1 says nothing of a version; one of schema 2 must.
fn read(configuration: &str) -> Result<Configuration> {
    let unreadable = |cause| Error::unreadable("read a configuration", cause);
    let value: serde_json::Value = serde_json::from_str(configuration)
        .map_err(|cause| Error::new("read a configuration", HResult::HCS_E_INVALID_JSON).caused_by(cause))?;
    Ok(match value.get("SchemaVersion") {
        Some(_) => Configuration::V2(Box::new(
            hcs::documents::ComputeSystem::from_json(configuration).map_err(unreadable)?,
        )),
        None => Configuration::V1(Box::new(
            hcs::documents::v1::ContainerConfig::from_json(configuration).map_err(unreadable)?,
        )),
    })
}

pub unsafe fn HcsOpenComputeSystem(
    id: PCWSTR,
    compute_system: *mut HCS_SYSTEM,
    result: *mut PWSTR,
) -> HRESULT {
    let open_it = || {
        // SAFETY: the caller's promise.
        let system = backend::service()?.open_system(&unsafe { text::text(id) }?)?;
        let (handle, notices) = open(system)?;
        notices.tell(Notification::SystemCreateCompleted, HResult::S_OK, None);
        Ok(handle)
    };
    // SAFETY: the caller's promise.
    let opened = unsafe { give_to(compute_system, open_it) };
    // SAFETY: the caller's promise.
    unsafe { answer(result, opened.map(|()| HResult::S_OK)) }
}

pub unsafe fn HcsCloseComputeSystem(compute_system: HCS_SYSTEM) -> HRESULT {
    code(SYSTEMS.close(compute_system).map(|entry| entry.notices.close()))
}

macro_rules! pending_calls {
    ($($name:ident $call:ident $succeeded:expr, $failed:expr;)*) => { $(
        pub unsafe fn $name(compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR) -> HRESULT {
            let call = || {
                let entry = get(compute_system)?;
                // SAFETY: the caller's promise.
                let options = unsafe { text::document_or_default(options) }?;
                pending(entry.system.$call(&options)?, &entry.notices, $succeeded, $failed)
            };
            // SAFETY: the caller's promise.
            unsafe { answer(result, call()) }
        }
    )* };
}

pending_calls! {
    HcsStartComputeSystem start
        Some(Notification::SystemStartCompleted), Some(Notification::SystemStartCompleted);
    // The exit tells that it is over.
    HcsShutdownComputeSystem shut_down None, Some(Notification::SystemShutdownFailed);
    HcsPauseComputeSystem pause
        Some(Notification::SystemPauseCompleted), Some(Notification::SystemPauseCompleted);
    HcsSaveComputeSystem save
        Some(Notification::SystemSaveCompleted), Some(Notification::SystemSaveCompleted);
}

pub unsafe fn HcsResumeComputeSystem(
    compute_system: HCS_SYSTEM,
    _options: PCWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        let entry = get(compute_system)?;
        let told = Some(Notification::SystemResumeCompleted);
        pending(entry.system.resume()?, &entry.notices, told, told)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

/// No notification tells that it failed, so that is waited for.
pub unsafe fn HcsTerminateComputeSystem(
    compute_system: HCS_SYSTEM,
    _options: PCWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        get(compute_system)?.system.terminate()?.wait()?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsGetComputeSystemProperties(
    compute_system: HCS_SYSTEM,
    property_query: PCWSTR,
    properties: *mut PWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        let entry = get(compute_system)?;
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(property_query) }?;
        Ok(entry.system.properties(&query)?.wait()?.to_json())
    };
    // SAFETY: the caller's promise.
    unsafe { answer_document(properties, result, call()) }
}

/// A document in one place, or what failed in another.
///
/// # Safety
/// Places for pointers, or null.
pub(super) unsafe fn answer_document(
    place: *mut PWSTR,
    result: *mut PWSTR,
    answered: Result<String>,
) -> HRESULT {
    let given = answered.and_then(|document| {
        // SAFETY: the caller's promise.
        match unsafe { with_document::<Task>(place, Ok(Some(document))) } {
            0 => Ok(HResult::S_OK),
            code => Err(Error::new("answer a document", HResult::new(code.cast_unsigned()))),
        }
    });
    if given.is_err() && !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(ptr::null_mut()) };
    }
    // SAFETY: the caller's promise.
    unsafe { answer(result, given) }
}

pub unsafe fn HcsModifyComputeSystem(
    compute_system: HCS_SYSTEM,
    configuration: PCWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    let call = || {
        let entry = get(compute_system)?;
        // SAFETY: the caller's promise.
        entry.system.modify(&unsafe { text::document(configuration) }?)?.wait()?;
        Ok(HResult::S_OK)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result, call()) }
}

pub unsafe fn HcsRegisterComputeSystemCallback(
    compute_system: HCS_SYSTEM,
    callback: HCS_NOTIFICATION_CALLBACK,
    context: *const c_void,
    callback_handle: *mut HCS_CALLBACK,
) -> HRESULT {
    let register = || get(compute_system)?.notices.register(callback, context);
    // SAFETY: the caller's promise.
    code(unsafe { give_to(callback_handle, register) })
}

pub unsafe fn HcsUnregisterComputeSystemCallback(callback_handle: HCS_CALLBACK) -> HRESULT {
    code(notices::unregister(callback_handle))
}
