//! An `HCS_OPERATION`: what a call to computecore.dll is tracked with.
//!
//! [`OperationHandle`] is the library's own, for who calls [`super::SystemHandle`] and its like. The typed service
//! uses one for each call, with a callback that fulfils a [`Promise`]: so the library's threads wake whoever waits or
//! awaits, and no thread of ours waits in the library.

// UNSAFETY: operations are pointers, and their callback is a C function with a context.
#![expect(unsafe_code, reason = "computecore.dll has a C interface")]

use super::functions::Functions;
use super::{SystemHandle, process::ProcessHandle};
use crate::abi::{HCS_OPERATION, HCS_PROCESS_INFORMATION, HRESULT, INFINITE};
use crate::error::{Error, Result};
use crate::event::Completed;
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, Promise};
use crate::service::ProcessInformation;
use crate::windows::answer::{check, check_with, process_information};
use crate::windows::library::Unavailable;
use crate::windows::listener::{Exit, Listener};
use crate::windows::text::{Local, Returned};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// An operation of computecore.dll, closed when it is dropped. A call that it tracks goes on all the same.
pub struct OperationHandle {
    functions: Arc<Functions>,
    raw: HCS_OPERATION,
    callback: Mutex<Option<Context>>,
    /// A call was accepted, so that the callback will come, or has come, and its context is no longer ours.
    accepted: AtomicBool,
}

/// What an operation's callback is called with: given to the library, taken back by the callback, or by the handle if
/// no call was accepted.
#[derive(Clone, Copy)]
struct Context(*mut Done);

type Done = Box<dyn FnOnce() + Send>;

// SAFETY: the library's handle may be used by every thread; the context is a box that one thread takes.
unsafe impl Send for OperationHandle {}
// SAFETY: as above; what changes is behind a lock or atomic.
unsafe impl Sync for OperationHandle {}

impl OperationHandle {
    pub(super) fn new(functions: Arc<Functions>) -> Result<Self> {
        // SAFETY: both parameters may be null.
        let raw = unsafe { functions.HcsCreateOperation(ptr::null(), None) };
        Self::own(functions, raw, None)
    }

    fn with_callback(functions: Arc<Functions>, done: Done) -> Result<Self> {
        let context = Context(Box::into_raw(Box::new(done)));
        // SAFETY: the context lives until the callback takes it, which happens at most once.
        let raw = unsafe { functions.HcsCreateOperation(context.0.cast_const().cast(), Some(completed)) };
        Self::own(functions, raw, Some(context))
    }

    /// An operation whose callback is one for events: undocumented.
    #[cfg(feature = "undocumented")]
    pub(super) fn with_notifications(functions: Arc<Functions>, event_types: i32) -> Result<Self> {
        // SAFETY: context and callback may be null.
        let raw = unsafe { functions.HcsCreateOperationWithNotifications(event_types, ptr::null(), None) };
        Self::own(functions, raw, None)
    }

    fn own(
        functions: Arc<Functions>,
        raw: std::result::Result<HCS_OPERATION, Unavailable>,
        context: Option<Context>,
    ) -> Result<Self> {
        let raw = raw.map_err(|unavailable| unavailable.during("create an operation"));
        let raw = raw.and_then(|raw| match raw.is_null() {
            true => Err(Error::new("create an operation", HResult::E_OUTOFMEMORY)),
            false => Ok(raw),
        });
        match raw {
            Ok(raw) => {
                Ok(Self { functions, raw, callback: Mutex::new(context), accepted: AtomicBool::new(false) })
            }
            Err(error) => {
                if let Some(context) = context {
                    // SAFETY: the library has not taken it.
                    drop(unsafe { Box::from_raw(context.0) });
                }
                Err(error)
            }
        }
    }

    /// Its number: `HcsGetOperationId`.
    ///
    /// # Errors
    /// A host without the function.
    pub fn id(&self) -> Result<u64> {
        // SAFETY: the handle is open.
        unsafe { self.functions.HcsGetOperationId(self.raw) }
            .map_err(|missing| missing.during("ask an operation's id"))
    }

    /// What it tracks: `HcsGetOperationType`, -1 for nothing yet.
    ///
    /// # Errors
    /// A host without the function.
    pub fn kind(&self) -> Result<i32> {
        // SAFETY: the handle is open.
        let kind = unsafe { self.functions.HcsGetOperationType(self.raw) };
        kind.map_err(|missing| missing.during("ask an operation's type"))
    }

    /// Whether it tracks a call on this compute system: `HcsGetComputeSystemFromOperation`.
    ///
    /// # Errors
    /// A host without the function.
    pub fn concerns(&self, system: &SystemHandle) -> Result<bool> {
        // SAFETY: the handle is open.
        let raw = unsafe { self.functions.HcsGetComputeSystemFromOperation(self.raw) };
        raw.map(|raw| raw == system.raw())
            .map_err(|missing| missing.during("ask an operation's compute system"))
    }

    /// Whether it tracks a call on this process: `HcsGetProcessFromOperation`.
    ///
    /// # Errors
    /// A host without the function.
    pub fn concerns_process(&self, process: &ProcessHandle) -> Result<bool> {
        // SAFETY: the handle is open.
        let raw = unsafe { self.functions.HcsGetProcessFromOperation(self.raw) };
        raw.map(|raw| raw == process.raw()).map_err(|missing| missing.during("ask an operation's process"))
    }

    /// Calls back once when the operation is over, from a thread of the library: `HcsSetOperationCallback`.
    ///
    /// # Errors
    /// `E_INVALIDARG` if it has a callback, and what the library answers when a call is tracked already.
    pub fn set_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        const ATTEMPTED: &str = "set the callback of an operation";
        let mut place = self.callback();
        if place.is_some() || self.accepted.load(Ordering::Acquire) {
            return Err(Error::new(ATTEMPTED, HResult::E_INVALIDARG));
        }
        let done: Done = Box::new(callback);
        let context = Context(Box::into_raw(Box::new(done)));
        // SAFETY: the context lives until the callback takes it, which happens at most once.
        let answer = unsafe {
            self.functions.HcsSetOperationCallback(self.raw, context.0.cast_const().cast(), Some(completed))
        };
        let set = check(answer, ATTEMPTED);
        match &set {
            Ok(()) => *place = Some(context),
            // SAFETY: the library has not taken it.
            Err(_) => drop(unsafe { Box::from_raw(context.0) }),
        }
        set
    }

    /// Keeps a number with the operation: `HcsSetOperationContext`.
    ///
    /// # Errors
    /// `E_INVALIDARG` if it has a callback, whose context that place is for.
    pub fn set_context(&self, context: usize) -> Result<()> {
        const ATTEMPTED: &str = "set the context of an operation";
        if self.callback().is_some() {
            return Err(Error::new(ATTEMPTED, HResult::E_INVALIDARG));
        }
        // SAFETY: the handle is open; without a callback nobody takes the number for a pointer.
        let answer =
            unsafe { self.functions.HcsSetOperationContext(self.raw, ptr::without_provenance(context)) };
        check(answer, ATTEMPTED)
    }

    /// The number that is kept with it: `HcsGetOperationContext`.
    ///
    /// # Errors
    /// A host without the function.
    pub fn context(&self) -> Result<usize> {
        // SAFETY: the handle is open.
        let context = unsafe { self.functions.HcsGetOperationContext(self.raw) };
        context.map(<*mut c_void>::addr).map_err(|missing| missing.during("ask an operation's context"))
    }

    /// The result document, if the operation is over: `HcsGetOperationResult`.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_PENDING`, `HCS_E_OPERATION_NOT_STARTED`, and the operation's own.
    pub fn result(&self) -> Result<Option<String>> {
        self.collect("collect the result")
    }

    pub(super) fn collect(&self, attempted: &str) -> Result<Option<String>> {
        // SAFETY: the handle is open, the pointer one to a place for the result.
        self.document(attempted, |out| unsafe { self.functions.HcsGetOperationResult(self.raw, out) })
    }

    /// Waits for the result document, without end if no time is given: `HcsWaitForOperationResult`.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_TIMEOUT`, `HCS_E_OPERATION_NOT_STARTED`, and the operation's own.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<String>> {
        self.document("wait for the result", |out| {
            // SAFETY: the handle is open, the pointer one to a place for the result.
            unsafe { self.functions.HcsWaitForOperationResult(self.raw, milliseconds(timeout), out) }
        })
    }

    /// The result document and the process's information, if the operation is over:
    /// `HcsGetOperationResultAndProcessInfo`. The handles in it are handed out once.
    ///
    /// # Errors
    /// As [`OperationHandle::result`]; `E_INVALIDARG` if the operation has nothing to do with a process.
    pub fn result_and_process(&self) -> Result<(Option<String>, ProcessInformation)> {
        self.collect_process("collect a process")
    }

    pub(super) fn collect_process(&self, attempted: &str) -> Result<(Option<String>, ProcessInformation)> {
        self.with_process(attempted, |information, out| {
            // SAFETY: the handle is open, the pointers are to places for the results.
            unsafe { self.functions.HcsGetOperationResultAndProcessInfo(self.raw, information, out) }
        })
    }

    /// The same, waited for: `HcsWaitForOperationResultAndProcessInfo`.
    ///
    /// # Errors
    /// As [`OperationHandle::wait`]; `E_INVALIDARG` if the operation has nothing to do with a process.
    pub fn wait_and_process(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(Option<String>, ProcessInformation)> {
        let milliseconds = milliseconds(timeout);
        self.with_process("wait for a process", |information, out| {
            // SAFETY: the handle is open, the pointers are to places for the results.
            unsafe {
                self.functions.HcsWaitForOperationResultAndProcessInfo(
                    self.raw,
                    milliseconds,
                    information,
                    out,
                )
            }
        })
    }

    /// Asks the library to give up: `HcsCancelOperation`, which Windows answers with `E_NOTIMPL` so far.
    ///
    /// # Errors
    /// What the library answers.
    pub fn cancel(&self) -> Result<()> {
        // SAFETY: the handle is open.
        check(unsafe { self.functions.HcsCancelOperation(self.raw) }, "cancel an operation")
    }

    /// How far it is, as JSON: `HcsGetOperationProperties`.
    ///
    /// # Errors
    /// What the library answers.
    #[cfg(feature = "undocumented")]
    pub fn properties(&self, options: Option<&str>) -> Result<Option<String>> {
        const ATTEMPTED: &str = "ask an operation's properties";
        let options = crate::windows::text::Optional::new(options, ATTEMPTED)?;
        self.document(ATTEMPTED, |out| {
            // SAFETY: the handle is open, the text ends with a zero, the pointer is one to a place for the result.
            unsafe { self.functions.HcsGetOperationProperties(self.raw, options.as_ptr(), out) }
        })
    }

    /// Lends the call a file, job, socket or the like by the name that its document uses:
    /// `HcsAddResourceToOperation`.
    ///
    /// # Errors
    /// What the library answers.
    #[cfg(feature = "undocumented")]
    pub fn add_resource(
        &self,
        kind: super::ResourceKind,
        uri: &str,
        handle: std::os::windows::io::BorrowedHandle<'_>,
    ) -> Result<()> {
        use std::os::windows::io::AsRawHandle as _;
        const ATTEMPTED: &str = "add a resource to an operation";
        let uri = crate::windows::text::wide(uri, ATTEMPTED)?;
        let handle = handle.as_raw_handle();
        // SAFETY: both handles are open, the text ends with a zero.
        let answer =
            unsafe { self.functions.HcsAddResourceToOperation(self.raw, kind as i32, uri.as_ptr(), handle) };
        check(answer, ATTEMPTED)
    }

    /// Makes a call that this operation tracks.
    pub(super) fn track(
        &self,
        attempted: &str,
        call: impl FnOnce(&Functions, HCS_OPERATION) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<()> {
        check(call(&self.functions, self.raw), attempted)?;
        self.accepted.store(true, Ordering::Release);
        Ok(())
    }

    fn document(
        &self,
        attempted: &str,
        call: impl FnOnce(*mut crate::abi::PWSTR) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<Option<String>> {
        let mut document = Returned::<Local>::new();
        let answer = call(document.out());
        check_with(answer, &document, attempted)?;
        document.text(attempted)
    }

    fn with_process(
        &self,
        attempted: &str,
        call: impl FnOnce(
            *mut HCS_PROCESS_INFORMATION,
            *mut crate::abi::PWSTR,
        ) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<(Option<String>, ProcessInformation)> {
        let mut information = HCS_PROCESS_INFORMATION::NONE;
        let document = self.document(attempted, |out| call(&raw mut information, out))?;
        // SAFETY: the library has just handed the handles out.
        Ok((document, unsafe { process_information(information) }))
    }

    fn callback(&self) -> std::sync::MutexGuard<'_, Option<Context>> {
        self.callback.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OperationHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again. A host that could create it can close it.
        let _ = unsafe { self.functions.HcsCloseOperation(self.raw) };
        if !self.accepted.load(Ordering::Acquire)
            && let Some(context) = self.callback().take()
        {
            // SAFETY: no call was accepted, so no callback comes for it.
            drop(unsafe { Box::from_raw(context.0) });
        }
    }
}

impl std::fmt::Debug for OperationHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperationHandle").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// The callback of every operation.
unsafe extern "system" fn completed(_: HCS_OPERATION, context: *const c_void) {
    // SAFETY: the context is a box that was given away for this one call.
    let done = unsafe { Box::from_raw(context.cast_mut().cast::<Done>()) };
    // A panic ends here: there is nothing of Rust above.
    let _ = catch_unwind(AssertUnwindSafe(done));
}

pub(super) fn milliseconds(timeout: Option<Duration>) -> u32 {
    let bounded =
        |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(INFINITE - 1).min(INFINITE - 1);
    timeout.map_or(INFINITE, bounded)
}

/// A typed call in the making: what it does on what, and whom its end is reported to.
pub(super) struct Tracked<'a, E: Exit> {
    pub(super) functions: &'a Arc<Functions>,
    pub(super) kind: OperationKind,
    pub(super) attempted: String,
    pub(super) listener: Option<&'a Arc<Listener<E>>>,
}

impl<E: Exit + Send + 'static> Tracked<'_, E> {
    /// Makes the call; `read` turns what the finished operation has into the result.
    pub(super) fn call<T: Send + 'static>(
        self,
        read: impl FnOnce(&OperationHandle, &str) -> Result<T> + Send + 'static,
        call: impl FnOnce(&OperationHandle) -> Result<()>,
    ) -> Result<Operation<T>> {
        let listener = self.listener.filter(|listener| listener.hears_operations()).cloned();
        let cancelled: Arc<Mutex<Weak<OperationHandle>>> = Arc::default();
        let to_cancel = Arc::clone(&cancelled);
        let attempted: Arc<str> = self.attempted.into();
        let promise = Promise::new(self.kind, Arc::clone(&attempted))
            .cancelled_by(move || match lock(&to_cancel).upgrade() {
                Some(handle) => handle.cancel(),
                None => Ok(()),
            })
            .reported(listener.is_some());
        let (operation, id, kind) = (promise.operation(), promise.id(), self.kind);
        // The callback keeps the handle, so that it is closed when it is over and not before.
        let kept: Arc<Mutex<Option<Arc<OperationHandle>>>> = Arc::default();
        let to_finish = Arc::clone(&kept);
        let done = move || {
            let Some(handle) = lock(&to_finish).take() else { return };
            let result = read(&handle, &attempted);
            drop(handle);
            let code = result.as_ref().map_or_else(Error::code, |_| HResult::S_OK);
            promise.complete(result);
            if let Some(listener) = listener {
                listener.completed(Completed { id, kind, code });
            }
        };
        let handle = Arc::new(OperationHandle::with_callback(Arc::clone(self.functions), Box::new(done))?);
        *lock(&cancelled) = Arc::downgrade(&handle);
        *lock(&kept) = Some(Arc::clone(&handle));
        let called = call(&handle);
        if called.is_err() {
            lock(&kept).take();
        }
        called.map(|()| operation)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
