//! A callback that is registered with vmcompute.dll for a handle.
//!
//! The library waits in the unregistration for callbacks that run. A callback that drops its own handle would wait
//! for itself; there another thread ends the registration, when the callback has returned.

// UNSAFETY: the callback is a C function with a context.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

use super::board::Board;
use super::functions::Functions;
use crate::abi::{HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HRESULT, PCWSTR};
use crate::error::{Error, Result};
use crate::windows::answer::code_of;
use crate::windows::library::Unavailable;
use crate::windows::listener::Exit;
use crate::windows::text::shown;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open handle of vmcompute.dll with its callback; dropped, it is unregistered and closed.
pub(super) struct Registered<T: Exit + Send + Sync + 'static> {
    pub(super) functions: Arc<Functions>,
    pub(super) board: Arc<Board<T>>,
    pub(super) raw: *mut c_void,
    callback: HCS_CALLBACK,
    calls: &'static Calls,
    closed: AtomicBool,
}

/// The functions that differ between systems and processes.
pub(super) struct Calls {
    pub(super) register: Register,
    pub(super) unregister: Close,
    pub(super) close: Close,
}

type Register = unsafe fn(
    &Functions,
    *mut c_void,
    HCS_NOTIFICATION_CALLBACK,
    *const c_void,
    *mut HCS_CALLBACK,
) -> std::result::Result<HRESULT, Unavailable>;
type Close = unsafe fn(&Functions, *mut c_void) -> std::result::Result<HRESULT, Unavailable>;

// SAFETY: the library's handles may be used by every thread.
unsafe impl<T: Exit + Send + Sync> Send for Registered<T> {}
// SAFETY: as above.
unsafe impl<T: Exit + Send + Sync> Sync for Registered<T> {}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

impl<T: Exit + Send + Sync + 'static> Registered<T> {
    /// Takes an open handle and registers a callback for it.
    pub(super) fn new(
        functions: Arc<Functions>,
        board: Arc<Board<T>>,
        raw: *mut c_void,
        calls: &'static Calls,
        attempted: &str,
    ) -> Result<Self> {
        let mut registered =
            Self { functions, board, raw, callback: ptr::null_mut(), calls, closed: AtomicBool::new(false) };
        let context = Arc::into_raw(Arc::clone(&registered.board));
        let mut callback = ptr::null_mut();
        // SAFETY: the handle is open, the context is counted until the callback is unregistered, the last is a place
        // for the handle.
        let answer = unsafe {
            (calls.register)(
                &registered.functions,
                raw,
                Some(notified::<T>),
                context.cast(),
                &raw mut callback,
            )
        };
        let failed = match answer {
            Ok(code) if code >= 0 && !callback.is_null() => None,
            Ok(code) if code >= 0 => Some(crate::windows::answer::no_handle(attempted)),
            Ok(code) => Some(Error::new(attempted, super::code(code_of(code)))),
            Err(unavailable) => Some(unavailable.during(attempted)),
        };
        if let Some(error) = failed {
            // SAFETY: the library has not taken the count.
            drop(unsafe { Arc::from_raw(context) });
            return Err(error);
        }
        registered.callback = callback;
        Ok(registered)
    }

    fn end(
        functions: &Functions,
        calls: &Calls,
        raw: *mut c_void,
        callback: HCS_CALLBACK,
        board: *const Board<T>,
    ) {
        if !callback.is_null() {
            // SAFETY: the callback is registered and not used again.
            let answer = unsafe { (calls.unregister)(functions, callback) };
            if answer.is_ok_and(|code| code >= 0) {
                // SAFETY: the count that the library had; it calls no more. Where it may still call, the count stays.
                drop(unsafe { Arc::from_raw(board) });
            }
        }
        // SAFETY: the handle is open and not used again.
        let _ = unsafe { (calls.close)(functions, raw) };
    }
}

impl<T: Exit + Send + Sync + 'static> Drop for Registered<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T: Exit + Send + Sync + 'static> Registered<T> {
    /// Unregisters and closes. Calls on the handle fail from now on.
    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.board.listener.close();
        let board = Arc::as_ptr(&self.board);
        if !IN_CALLBACK.get() {
            Self::end(&self.functions, self.calls, self.raw, self.callback, board);
            return;
        }
        let (functions, calls) = (Arc::clone(&self.functions), self.calls);
        let rest = Rest { raw: self.raw, callback: self.callback, board };
        std::thread::spawn(move || {
            let rest = rest;
            Self::end(&functions, calls, rest.raw, rest.callback, rest.board);
        });
    }
}

/// What another thread has to give back.
struct Rest<T: Exit> {
    raw: *mut c_void,
    callback: HCS_CALLBACK,
    board: *const Board<T>,
}

// SAFETY: handles of the library, and a counted reference to what every thread may use.
unsafe impl<T: Exit + Send + Sync> Send for Rest<T> {}

/// The callback of every handle.
unsafe extern "system" fn notified<T: Exit + Send + Sync + 'static>(
    kind: u32,
    context: *const c_void,
    status: HRESULT,
    data: PCWSTR,
) {
    let context = context.cast::<Board<T>>();
    // SAFETY: the library calls with the context that it was given, of which it has a count; this one is for the
    // time of the call, in which the handle may be dropped.
    let board = unsafe {
        Arc::increment_strong_count(context);
        Arc::from_raw(context)
    };
    // SAFETY: null, or text that lives until this returns.
    let data = unsafe { shown(data) };
    let before = IN_CALLBACK.replace(true);
    // A panic ends here: there is nothing of Rust above.
    let _ = catch_unwind(AssertUnwindSafe(|| board.hear(kind, super::code(code_of(status)), data)));
    IN_CALLBACK.set(before);
}
