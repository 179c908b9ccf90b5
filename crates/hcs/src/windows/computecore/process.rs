//! A process in a compute system by way of computecore.dll: the library's handle, and the typed process over it.

// UNSAFETY: handles are pointers.
#![expect(unsafe_code, reason = "computecore.dll has a C interface")]

use super::functions::Functions;
use super::operation::{OperationHandle, Tracked, milliseconds};
use super::registration::Registration;
use crate::abi::{HCS_OPERATION, HCS_PROCESS, HRESULT, PCWSTR};
use crate::document::Document as _;
use crate::documents::{ProcessModifyRequest, ProcessStatus, SignalProcessOptions};
use crate::error::Result;
use crate::event::{EventCallback, EventOptions};
use crate::operation::{Operation, OperationKind};
use crate::service::{Process, ProcessInformation};
use crate::windows::answer::{check_with, no_handle};
use crate::windows::library::Unavailable;
use crate::windows::listener::Listener;
use crate::windows::text::{Local, Optional, Returned, read, wide};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A handle to a process, closed when it is dropped: computecore.dll's functions on it, JSON in and out.
pub struct ProcessHandle {
    functions: Arc<Functions>,
    raw: HCS_PROCESS,
    /// The compute system's id, for errors.
    system: Arc<str>,
    callback: Registration<ProcessStatus>,
}

// SAFETY: the library's handles may be used by every thread.
unsafe impl Send for ProcessHandle {}
// SAFETY: as above.
unsafe impl Sync for ProcessHandle {}

type Call =
    unsafe fn(&Functions, HCS_PROCESS, HCS_OPERATION, PCWSTR) -> std::result::Result<HRESULT, Unavailable>;

impl ProcessHandle {
    pub(super) fn own(
        functions: &Arc<Functions>,
        raw: HCS_PROCESS,
        system: &Arc<str>,
        attempted: &str,
    ) -> Result<Self> {
        if raw.is_null() {
            return Err(no_handle(attempted));
        }
        Ok(Self {
            functions: Arc::clone(functions),
            raw,
            system: Arc::clone(system),
            callback: Registration::of(Arc::new(Listener::new())),
        })
    }

    pub(super) fn raw(&self) -> HCS_PROCESS {
        self.raw
    }

    /// `HcsTerminateProcess`. Windows wants no options.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn terminate(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("terminate", operation, options, Functions::HcsTerminateProcess)
    }

    /// `HcsSignalProcess`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn signal(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("signal", operation, options, Functions::HcsSignalProcess)
    }

    /// `HcsGetProcessInfo`. The standard handles that were not handed out yet come with the operation's result.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn information(&self, operation: &OperationHandle) -> Result<()> {
        operation.track(&self.attempted("ask the information of"), |functions, operation| {
            // SAFETY: both handles are open.
            unsafe { functions.HcsGetProcessInfo(self.raw, operation) }
        })
    }

    /// `HcsGetProcessProperties`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn properties(&self, operation: &OperationHandle, query: Option<&str>) -> Result<()> {
        self.call("query", operation, query, Functions::HcsGetProcessProperties)
    }

    /// `HcsModifyProcess`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn modify(&self, operation: &OperationHandle, settings: &str) -> Result<()> {
        let attempted = self.attempted("modify");
        let settings = wide(settings, &attempted)?;
        operation.track(&attempted, |functions, operation| {
            // SAFETY: both handles are open, the text ends with a zero.
            unsafe { functions.HcsModifyProcess(self.raw, operation, settings.as_ptr()) }
        })
    }

    /// Waits until it has ended, without end if no time is given, and says how: `HcsWaitForProcessExit`.
    ///
    /// # Errors
    /// What the library answers; a host before build 20348 lacks the function, and [`Process::exit`] does without.
    pub fn wait_for_exit(&self, timeout: Option<Duration>) -> Result<Option<String>> {
        let attempted = self.attempted("wait for the exit of");
        let mut status = Returned::<Local>::new();
        // SAFETY: the handle is open, the last is a place for the result.
        let answer =
            unsafe { self.functions.HcsWaitForProcessExit(self.raw, milliseconds(timeout), status.out()) };
        check_with(answer, &status, &attempted)?;
        status.text(&attempted)
    }

    /// Calls back with each event, from threads of the library: `HcsSetProcessCallback`. None comes after the handle
    /// is closed.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` if it has one.
    pub fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.register(options)?;
        self.callback.listener().set(options, callback)
    }

    /// Gives the library a callback, once for the life of the handle.
    fn register(&self, options: EventOptions) -> Result<()> {
        self.callback.register(options, self.attempted("set the callback of"), |bits, context, callback| {
            // SAFETY: the handle is open; the context is counted until it is closed.
            unsafe { self.functions.HcsSetProcessCallback(self.raw, bits, context, callback) }
        })
    }

    fn call(
        &self,
        verb: &str,
        operation: &OperationHandle,
        document: Option<&str>,
        call: Call,
    ) -> Result<()> {
        let attempted = self.attempted(verb);
        let document = Optional::new(document, &attempted)?;
        operation.track(&attempted, |functions, operation| {
            // SAFETY: both handles are open, the text is absent or ends with a zero.
            unsafe { call(functions, self.raw, operation, document.as_ptr()) }
        })
    }

    fn attempted(&self, verb: &str) -> String {
        format!("{verb} a process in compute system {}", self.system)
    }
}

impl Drop for ProcessHandle {
    fn drop(&mut self) {
        self.callback.listener().close();
        // SAFETY: the handle is open and not used again. A host that could open it can close it.
        let _ = unsafe { self.functions.HcsCloseProcess(self.raw) };
        // SAFETY: the handle is closed, and this is its end.
        unsafe { self.callback.release() };
    }
}

impl std::fmt::Debug for ProcessHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("system", &self.system)
            .field("raw", &self.raw)
            .finish_non_exhaustive()
    }
}

/// A typed process.
pub(super) struct TypedProcess {
    handle: Arc<ProcessHandle>,
    id: Arc<OnceLock<u32>>,
}

impl TypedProcess {
    pub(super) fn boxed(handle: ProcessHandle, id: Arc<OnceLock<u32>>) -> Box<dyn Process> {
        Box::new(Self { handle: Arc::new(handle), id })
    }

    fn tracked(&self, kind: OperationKind, verb: &str) -> Tracked<'_, ProcessStatus> {
        Tracked {
            functions: &self.handle.functions,
            kind,
            attempted: self.handle.attempted(verb),
            listener: Some(self.handle.callback.listener()),
        }
    }

    /// A call without a result document.
    fn done(
        &self,
        kind: OperationKind,
        verb: &str,
        call: impl FnOnce(&OperationHandle) -> Result<()>,
    ) -> Result<Operation<()>> {
        self.tracked(kind, verb).call(|handle, attempted| handle.collect(attempted).map(|_| ()), call)
    }
}

impl Drop for TypedProcess {
    fn drop(&mut self) {
        let listener = self.handle.callback.listener();
        listener.close();
        if listener.is_waited_for() {
            listener.keep(Arc::clone(&self.handle));
        }
    }
}

impl Process for TypedProcess {
    fn id(&self) -> Option<u32> {
        self.id.get().copied()
    }

    fn information(&self) -> Result<Operation<ProcessInformation>> {
        self.tracked(OperationKind::GetProcessInfo, "ask the information of").call(
            |handle, attempted| Ok(handle.collect_process(attempted)?.1),
            |operation| self.handle.information(operation),
        )
    }

    fn properties(&self) -> Result<Operation<ProcessStatus>> {
        self.tracked(OperationKind::GetProcessProperties, "query").call(
            |handle, attempted| read(handle.collect(attempted)?.as_deref(), attempted),
            |operation| self.handle.properties(operation, None),
        )
    }

    fn modify(&self, request: &ProcessModifyRequest) -> Result<Operation<()>> {
        let request = request.to_json();
        self.done(OperationKind::ModifyProcess, "modify", |operation| self.handle.modify(operation, &request))
    }

    fn signal(&self, options: Option<&SignalProcessOptions>) -> Result<Operation<()>> {
        let options = options.map(crate::document::Document::to_json);
        self.done(OperationKind::SignalProcess, "signal", |operation| {
            self.handle.signal(operation, options.as_deref())
        })
    }

    fn terminate(&self) -> Result<Operation<()>> {
        self.done(OperationKind::Terminate, "terminate", |operation| self.handle.terminate(operation, None))
    }

    fn exit(&self) -> Result<Operation<ProcessStatus>> {
        self.handle.register(EventOptions::default())?;
        Ok(self.handle.callback.listener().exit(self.handle.attempted("wait for the exit of")))
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.handle.set_callback(options, callback)
    }
}
