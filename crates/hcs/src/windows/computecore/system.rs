//! A compute system by way of computecore.dll: the library's handle, and the typed system over it.

// UNSAFETY: handles are pointers.
#![expect(unsafe_code, reason = "computecore.dll has a C interface")]

use super::ComputeCore;
use super::functions::Functions;
use super::operation::{OperationHandle, Tracked};
use super::process::{ProcessHandle, TypedProcess};
use super::registration::Registration;
use crate::abi::{GENERIC_ALL, HCS_OPERATION, HCS_SYSTEM, HRESULT, PCWSTR};
use crate::document::Document as _;
use crate::documents::{
    CrashOptions, ModifySettingRequest, NotificationType, PauseOptions, ProcessParameters, Properties,
    SaveOptions, ShutdownOptions, StartOptions, SystemExitStatus, SystemPropertyQuery,
};
use crate::error::Result;
use crate::event::{EventCallback, EventOptions};
use crate::operation::{Operation, OperationKind};
use crate::service::{Process, ProcessInformation, System};
use crate::windows::answer::{check, check_with, no_handle};
use crate::windows::library::Unavailable;
use crate::windows::listener::Listener;
use crate::windows::text::{Local, Optional, Returned, read, unless_empty, wide};
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A handle to a compute system, closed when it is dropped: computecore.dll's functions on it, JSON in and out.
pub struct SystemHandle {
    functions: Arc<Functions>,
    raw: HCS_SYSTEM,
    id: Arc<str>,
    callback: Registration<SystemExitStatus>,
    /// The library, if the system may end with this handle.
    ends_with_it: Option<ComputeCore>,
}

// SAFETY: the library's handles may be used by every thread.
unsafe impl Send for SystemHandle {}
// SAFETY: as above.
unsafe impl Sync for SystemHandle {}

type Call =
    unsafe fn(&Functions, HCS_SYSTEM, HCS_OPERATION, PCWSTR) -> std::result::Result<HRESULT, Unavailable>;

impl SystemHandle {
    pub(super) fn own(core: &ComputeCore, raw: HCS_SYSTEM, id: &str, attempted: &str) -> Result<Self> {
        if raw.is_null() {
            return Err(no_handle(attempted));
        }
        Ok(Self {
            functions: Arc::clone(core.functions()),
            raw,
            id: id.into(),
            callback: Registration::of(Arc::new(Listener::new())),
            ends_with_it: None,
        })
    }

    pub(super) fn raw(&self) -> HCS_SYSTEM {
        self.raw
    }

    /// The id that it was created or opened with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `HcsStartComputeSystem`. Windows wants no options.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn start(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("start", operation, options, Functions::HcsStartComputeSystem)
    }

    /// `HcsShutDownComputeSystem`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn shut_down(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("shut down", operation, options, Functions::HcsShutDownComputeSystem)
    }

    /// `HcsTerminateComputeSystem`. Windows wants no options.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn terminate(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("terminate", operation, options, Functions::HcsTerminateComputeSystem)
    }

    /// `HcsCrashComputeSystem`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn crash(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("crash", operation, options, Functions::HcsCrashComputeSystem)
    }

    /// `HcsPauseComputeSystem`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn pause(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("pause", operation, options, Functions::HcsPauseComputeSystem)
    }

    /// `HcsResumeComputeSystem`. Windows wants no options.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn resume(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("resume", operation, options, Functions::HcsResumeComputeSystem)
    }

    /// `HcsSaveComputeSystem`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn save(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("save", operation, options, Functions::HcsSaveComputeSystem)
    }

    /// `HcsGetComputeSystemProperties`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn properties(&self, operation: &OperationHandle, query: Option<&str>) -> Result<()> {
        self.call("query", operation, query, Functions::HcsGetComputeSystemProperties)
    }

    /// `HcsModifyComputeSystem`, as the caller's own user.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn modify(&self, operation: &OperationHandle, configuration: &str) -> Result<()> {
        let attempted = self.attempted("modify");
        let configuration = wide(configuration, &attempted)?;
        operation.track(&attempted, |functions, operation| {
            // SAFETY: the handles are open, the text ends with a zero, the identity may be null.
            unsafe {
                functions.HcsModifyComputeSystem(self.raw, operation, configuration.as_ptr(), ptr::null_mut())
            }
        })
    }

    /// `HcsCreateProcess`. The process's standard handles come with the operation's result.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn create_process(&self, operation: &OperationHandle, parameters: &str) -> Result<ProcessHandle> {
        let attempted = self.attempted("create a process in");
        let parameters = wide(parameters, &attempted)?;
        let mut process = ptr::null_mut();
        operation.track(&attempted, |functions, operation| {
            // SAFETY: the handles are open, the text ends with a zero, the descriptor must be null, the last is a
            // place for the handle.
            unsafe {
                functions.HcsCreateProcess(
                    self.raw,
                    parameters.as_ptr(),
                    operation,
                    ptr::null(),
                    &raw mut process,
                )
            }
        })?;
        ProcessHandle::own(&self.functions, process, &self.id, &attempted)
    }

    /// `HcsOpenProcess`, with all access, as Windows wants it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn open_process(&self, process_id: u32) -> Result<ProcessHandle> {
        let attempted = format!("open process {process_id} in compute system {}", self.id);
        let mut process = ptr::null_mut();
        // SAFETY: the handle is open, the last is a place for the handle.
        let answer =
            unsafe { self.functions.HcsOpenProcess(self.raw, process_id, GENERIC_ALL, &raw mut process) };
        check(answer, &attempted)?;
        ProcessHandle::own(&self.functions, process, &self.id, &attempted)
    }

    /// Waits until it has ended, without end if no time is given, and says how: `HcsWaitForComputeSystemExit`.
    ///
    /// # Errors
    /// What the library answers; a host before build 20348 lacks the function, and [`System::exit`] does without.
    pub fn wait_for_exit(&self, timeout: Option<Duration>) -> Result<Option<String>> {
        let attempted = self.attempted("wait for the exit of");
        let mut status = Returned::<Local>::new();
        let milliseconds = super::operation::milliseconds(timeout);
        // SAFETY: the handle is open, the last is a place for the result.
        let answer =
            unsafe { self.functions.HcsWaitForComputeSystemExit(self.raw, milliseconds, status.out()) };
        check_with(answer, &status, &attempted)?;
        status.text(&attempted)
    }

    /// Calls back with each event, from threads of the library: `HcsSetComputeSystemCallback`. None comes after the
    /// handle is closed.
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
            unsafe { self.functions.HcsSetComputeSystemCallback(self.raw, bits, context, callback) }
        })
    }

    /// `HcsInitializeLiveMigrationOnSource`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn initialize_live_migration(
        &self,
        operation: &OperationHandle,
        options: Option<&str>,
    ) -> Result<()> {
        self.call("prepare to migrate", operation, options, Functions::HcsInitializeLiveMigrationOnSource)
    }

    /// `HcsStartLiveMigrationOnSource`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn start_live_migration(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("migrate", operation, options, Functions::HcsStartLiveMigrationOnSource)
    }

    /// `HcsStartLiveMigrationTransfer`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn transfer_live_migration(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("transfer", operation, options, Functions::HcsStartLiveMigrationTransfer)
    }

    /// `HcsFinalizeLiveMigration`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn finalize_live_migration(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("finalize the migration of", operation, options, Functions::HcsFinalizeLiveMigration)
    }

    /// `HcsCancelLiveMigration`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn cancel_live_migration(&self, operation: &OperationHandle, options: Option<&str>) -> Result<()> {
        self.call("cancel the migration of", operation, options, Functions::HcsCancelLiveMigration)
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
        format!("{verb} compute system {}", self.id)
    }
}

/// Who waits for the exit of a system that ends with its last handle, and has dropped that: it was ended, or another
/// handle is open, and then one more is kept.
fn after_last_handle(core: &ComputeCore, id: &str, listener: &Arc<Listener<SystemExitStatus>>) {
    match core.open_compute_system(id) {
        Err(error) if error.code().is_not_exist() => {
            let forced = SystemExitStatus::new().status(0).exit_type(NotificationType::ForcedExit);
            listener.end(Ok(forced));
        }
        Err(error) => listener.end(Err(error)),
        Ok(mut handle) => {
            handle.callback = Registration::of(Arc::clone(listener));
            match handle.register(EventOptions::default()) {
                Ok(()) => listener.keep(handle),
                Err(error) => listener.end(Err(error)),
            }
        }
    }
}

impl Drop for SystemHandle {
    fn drop(&mut self) {
        self.callback.listener().close();
        // SAFETY: the handle is open and not used again. A host that could open it can close it.
        let _ = unsafe { self.functions.HcsCloseComputeSystem(self.raw) };
        // SAFETY: the handle is closed, and this is its end.
        unsafe { self.callback.release() };
        if let Some(core) = self.ends_with_it.take()
            && self.callback.listener().is_waited_for()
        {
            after_last_handle(&core, &self.id, self.callback.listener());
        }
    }
}

impl std::fmt::Debug for SystemHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemHandle").field("id", &self.id).field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// A typed compute system.
pub(super) struct TypedSystem(Arc<SystemHandle>);

impl TypedSystem {
    /// `ends_with_handles` says that the system ends with its last handle.
    pub(super) fn boxed(
        mut handle: SystemHandle,
        core: &ComputeCore,
        ends_with_handles: bool,
    ) -> Box<dyn System> {
        handle.ends_with_it = ends_with_handles.then(|| core.clone());
        Box::new(Self(Arc::new(handle)))
    }

    fn tracked(&self, kind: OperationKind, verb: &str) -> Tracked<'_, SystemExitStatus> {
        Tracked {
            functions: &self.0.functions,
            kind,
            attempted: self.0.attempted(verb),
            listener: Some(self.0.callback.listener()),
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

impl Drop for TypedSystem {
    fn drop(&mut self) {
        let listener = self.0.callback.listener();
        listener.close();
        if self.0.ends_with_it.is_none() && listener.is_waited_for() {
            listener.keep(Arc::clone(&self.0));
        }
    }
}

impl System for TypedSystem {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn start(&self, options: &StartOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Start, "start", |operation| self.0.start(operation, options.as_deref()))
    }

    fn shut_down(&self, options: &ShutdownOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Shutdown, "shut down", |operation| {
            self.0.shut_down(operation, options.as_deref())
        })
    }

    fn terminate(&self) -> Result<Operation<()>> {
        self.done(OperationKind::Terminate, "terminate", |operation| self.0.terminate(operation, None))
    }

    fn crash(&self, options: &CrashOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Crash, "crash", |operation| self.0.crash(operation, options.as_deref()))
    }

    fn pause(&self, options: &PauseOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Pause, "pause", |operation| self.0.pause(operation, options.as_deref()))
    }

    fn resume(&self) -> Result<Operation<()>> {
        self.done(OperationKind::Resume, "resume", |operation| self.0.resume(operation, None))
    }

    fn save(&self, options: &SaveOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Save, "save", |operation| self.0.save(operation, options.as_deref()))
    }

    fn properties(&self, query: &SystemPropertyQuery) -> Result<Operation<Properties>> {
        let query = unless_empty(query);
        self.tracked(OperationKind::GetProperties, "query").call(
            |handle, attempted| read(handle.collect(attempted)?.as_deref(), attempted),
            |operation| self.0.properties(operation, query.as_deref()),
        )
    }

    fn modify(&self, request: &ModifySettingRequest) -> Result<Operation<()>> {
        let request = request.to_json();
        self.done(OperationKind::Modify, "modify", |operation| self.0.modify(operation, &request))
    }

    fn create_process(
        &self,
        parameters: &ProcessParameters,
    ) -> Result<(Box<dyn Process>, Operation<ProcessInformation>)> {
        let parameters = parameters.to_json();
        let id = Arc::new(OnceLock::new());
        let known = Arc::clone(&id);
        let mut process = None;
        let operation = self.tracked(OperationKind::CreateProcess, "create a process in").call(
            move |handle, attempted| {
                let (_, information) = handle.collect_process(attempted)?;
                let _ = known.set(information.process_id);
                Ok(information)
            },
            |operation| {
                process = Some(self.0.create_process(operation, &parameters)?);
                Ok(())
            },
        )?;
        let process = process.ok_or_else(|| no_handle(&self.0.attempted("create a process in")))?;
        Ok((TypedProcess::boxed(process, id), operation))
    }

    fn open_process(&self, process_id: u32) -> Result<Box<dyn Process>> {
        let process = self.0.open_process(process_id)?;
        Ok(TypedProcess::boxed(process, Arc::new(OnceLock::from(process_id))))
    }

    fn exit(&self) -> Result<Operation<SystemExitStatus>> {
        self.0.register(EventOptions::default())?;
        Ok(self.0.callback.listener().exit(self.0.attempted("wait for the exit of")))
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.0.set_callback(options, callback)
    }
}
