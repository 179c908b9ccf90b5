//! `HCS_SYSTEM`: a handle of the trait's, with the caller's callback.

// UNSAFETY: parameters are pointers, and the callback is a C function.
#![expect(unsafe_code, reason = "the interface is C's")]

use super::operation::{On, document, nothing, timeout, track};
use crate::backend;
use crate::handles::Table;
use crate::outlet::{Context, Gate, call_out};
use crate::reply::{NOT_IMPLEMENTED, code, give_to, with_document};
use crate::sys::Local;
use crate::text;
use hcs::abi::{
    HANDLE, HCS_EVENT, HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HCS_OPERATION, HCS_SYSTEM, HRESULT, PCWSTR,
    PWSTR,
};
use hcs::document::Document as _;
use hcs::event::{Event, EventOptions};
use hcs::operation::{Operation, OperationKind};
use hcs::service::{Configuration, System};
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

static SYSTEMS: Table<Entry> = Table::new();

/// An open compute system.
pub(super) struct Entry {
    handle: usize,
    pub(super) system: Box<dyn System>,
    pub(super) listener: Listener,
}

/// The callback of a handle of computecore.dll.
#[derive(Default)]
pub(super) struct Listener {
    gate: Arc<Gate>,
    /// Tells the callback of operations, if it wants to hear of them.
    reports: OnceLock<Arc<dyn Fn(usize) + Send + Sync>>,
}

impl Listener {
    /// Makes a trait's callback of the caller's; `set` sets it.
    pub(super) fn set(
        &self,
        bits: HCS_EVENT_OPTIONS,
        context: *const c_void,
        callback: HCS_EVENT_CALLBACK,
        set: impl FnOnce(EventOptions, hcs::event::EventCallback) -> Result<()>,
    ) -> Result<()> {
        let refused = |code| Error::new("set a callback", code);
        let options =
            EventOptions::from_bits(bits.cast_unsigned()).ok_or_else(|| refused(HResult::E_INVALIDARG))?;
        let callback = callback.ok_or_else(|| refused(HResult::E_INVALIDARG))?;
        let (gate, context) = (Arc::clone(&self.gate), Context(context));
        let tell: Arc<dyn Fn(u32, Option<String>, usize) + Send + Sync> =
            Arc::new(move |kind, data, operation| {
                let (gate, context) = (Arc::clone(&gate), context);
                call_out(move || {
                    let context = context;
                    gate.pass(|| {
                        let data: Option<Vec<u16>> =
                            data.as_ref().map(|data: &String| data.encode_utf16().chain([0]).collect());
                        let event = HCS_EVENT {
                            Type: kind.cast_signed(),
                            EventData: data.as_ref().map_or(ptr::null(), Vec::as_ptr),
                            Operation: ptr::without_provenance_mut(operation),
                        };
                        // SAFETY: the caller gave the function for this; the event lives until it returns.
                        unsafe { callback(&raw const event, context.0) };
                    });
                });
            });
        let of_object = Arc::clone(&tell);
        let hear = move |event: &Event| of_object(event.code(), event.data(), 0);
        // Operations are told by their trackers, which know the handle that the caller has of them.
        set(EventOptions { operation_callbacks: false, ..options }, Box::new(hear))?;
        if options.operation_callbacks {
            const OPERATION_CALLBACK: u32 = 0x0100_0000;
            let _ = self.reports.set(Arc::new(move |operation| tell(OPERATION_CALLBACK, None, operation)));
        }
        Ok(())
    }

    pub(super) fn reports(&self) -> Option<Arc<dyn Fn(usize) + Send + Sync>> {
        self.reports.get().cloned()
    }

    /// No callback from now on.
    pub(super) fn close(&self) {
        self.gate.close();
    }
}

pub(crate) fn open_systems() -> usize {
    SYSTEMS.count()
}

pub(super) fn get(system: HCS_SYSTEM) -> Result<Arc<Entry>> {
    SYSTEMS.get(system)
}

pub(super) fn open(system: Box<dyn System>) -> HCS_SYSTEM {
    SYSTEMS.open(|handle| Entry { handle: handle.addr(), system, listener: Listener::default() })
}

impl Entry {
    pub(super) fn on(&self) -> On {
        On {
            system: ptr::without_provenance_mut(self.handle),
            process: ptr::null_mut(),
            reported: self.listener.reports(),
        }
    }
}

/// A call on a system that answers nothing.
fn done(
    system: HCS_SYSTEM,
    operation: HCS_OPERATION,
    kind: OperationKind,
    call: impl FnOnce(&dyn System) -> Result<Operation<()>>,
) -> HRESULT {
    code(get(system).and_then(|entry| track(operation, kind, entry.on(), || call(&*entry.system), nothing)))
}

pub unsafe fn HcsCreateComputeSystem(
    id: PCWSTR,
    configuration: PCWSTR,
    operation: HCS_OPERATION,
    security_descriptor: *const c_void,
    compute_system: *mut HCS_SYSTEM,
) -> HRESULT {
    let create = || {
        if !security_descriptor.is_null() {
            return Err(Error::new("create a compute system", HResult::E_INVALIDARG));
        }
        // SAFETY: the caller's promise.
        let (id, configuration) = unsafe { (text::text(id)?, text::document(configuration)?) };
        let mut opened = ptr::null_mut();
        let call = || {
            let (system, created) =
                backend::service()?.create_system(&id, &Configuration::V2(Box::new(configuration)))?;
            opened = open(system);
            Ok(created)
        };
        track(operation, OperationKind::Create, On::NONE, call, nothing)?;
        Ok(opened)
    };
    // SAFETY: the caller's promise.
    code(unsafe { give_to(compute_system, create) })
}

pub unsafe fn HcsOpenComputeSystem(
    id: PCWSTR,
    requested_access: u32,
    compute_system: *mut HCS_SYSTEM,
) -> HRESULT {
    let open_it = || {
        if requested_access != hcs::abi::GENERIC_ALL {
            return Err(Error::new("open a compute system", HResult::E_INVALIDARG));
        }
        // SAFETY: the caller's promise.
        let id = unsafe { text::text(id) }?;
        Ok(open(backend::service()?.open_system(&id)?))
    };
    // SAFETY: the caller's promise.
    code(unsafe { give_to(compute_system, open_it) })
}

pub unsafe fn HcsCloseComputeSystem(compute_system: HCS_SYSTEM) {
    if let Ok(entry) = SYSTEMS.close(compute_system) {
        entry.listener.close();
    }
}

macro_rules! with_options {
    ($($name:ident $kind:ident $call:ident;)*) => { $(
        pub unsafe fn $name(compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR) -> HRESULT {
            // SAFETY: the caller's promise.
            match unsafe { text::document_or_default(options) } {
                Ok(options) => done(compute_system, operation, OperationKind::$kind, |system| system.$call(&options)),
                Err(error) => error.code().to_i32(),
            }
        }
    )* };
}

with_options! {
    HcsStartComputeSystem Start start;
    HcsShutDownComputeSystem Shutdown shut_down;
    HcsCrashComputeSystem Crash crash;
    HcsPauseComputeSystem Pause pause;
    HcsSaveComputeSystem Save save;
}

pub unsafe fn HcsTerminateComputeSystem(
    compute_system: HCS_SYSTEM,
    operation: HCS_OPERATION,
    _options: PCWSTR,
) -> HRESULT {
    done(compute_system, operation, OperationKind::Terminate, |system| system.terminate())
}

pub unsafe fn HcsResumeComputeSystem(
    compute_system: HCS_SYSTEM,
    operation: HCS_OPERATION,
    _options: PCWSTR,
) -> HRESULT {
    done(compute_system, operation, OperationKind::Resume, |system| system.resume())
}

pub unsafe fn HcsGetComputeSystemProperties(
    compute_system: HCS_SYSTEM,
    operation: HCS_OPERATION,
    property_query: PCWSTR,
) -> HRESULT {
    let call = || {
        let entry = get(compute_system)?;
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(property_query) }?;
        let call = || entry.system.properties(&query);
        track(operation, OperationKind::GetProperties, entry.on(), call, |answer| document(answer.to_json()))
    };
    code(call())
}

pub unsafe fn HcsModifyComputeSystem(
    compute_system: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: PCWSTR,
    _identity: HANDLE,
) -> HRESULT {
    // SAFETY: the caller's promise.
    match unsafe { text::document(configuration) } {
        Ok(request) => {
            done(compute_system, operation, OperationKind::Modify, |system| system.modify(&request))
        }
        Err(error) => error.code().to_i32(),
    }
}

pub unsafe fn HcsWaitForComputeSystemExit(
    compute_system: HCS_SYSTEM,
    timeout_ms: u32,
    result: *mut PWSTR,
) -> HRESULT {
    let wait = || {
        let mut exit = get(compute_system)?.system.exit()?;
        let status = match timeout(timeout_ms) {
            Some(timeout) => exit.wait_timeout(timeout)?,
            None => exit.wait_timeout(Duration::MAX)?,
        };
        Ok(Some(status.to_json()))
    };
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(result, wait()) }
}

pub unsafe fn HcsSetComputeSystemCallback(
    compute_system: HCS_SYSTEM,
    callback_options: HCS_EVENT_OPTIONS,
    context: *const c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    let set = |entry: Arc<Entry>| {
        let set = |options, callback| entry.system.set_callback(options, callback);
        entry.listener.set(callback_options, context, callback, set)
    };
    code(get(compute_system).and_then(set))
}

macro_rules! not_implemented {
    ($($name:ident)*) => { $(
        pub unsafe fn $name(_: HCS_SYSTEM, _: HCS_OPERATION, _: PCWSTR) -> HRESULT {
            NOT_IMPLEMENTED
        }
    )* };
}

not_implemented! {
    HcsInitializeLiveMigrationOnSource HcsStartLiveMigrationOnSource HcsStartLiveMigrationTransfer
    HcsFinalizeLiveMigration HcsCancelLiveMigration
}
