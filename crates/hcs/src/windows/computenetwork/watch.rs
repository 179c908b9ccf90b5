//! A callback that is registered with computenetwork.dll.

// UNSAFETY: the callback is a C function with a context.
#![expect(unsafe_code, reason = "computenetwork.dll has a C interface")]

use super::functions::Functions;
use crate::abi::{HCN_CALLBACK, HCN_NOTIFICATION_CALLBACK, HRESULT, PCWSTR};
use crate::error::Result;
use crate::hresult::HResult;
use crate::network::Watch;
use crate::windows::answer::{check, code_of, no_handle};
use crate::windows::library::Unavailable;
use crate::windows::text::shown;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What is called: a notification's number, its status, its data.
pub(super) type Hear = Box<dyn Fn(u32, HResult, Option<String>) + Send + Sync>;

/// The functions that differ between what is watched.
pub(super) struct Calls {
    pub(super) register: Register,
    pub(super) unregister: Unregister,
}

type Register = unsafe fn(
    &Functions,
    *mut c_void,
    HCN_NOTIFICATION_CALLBACK,
    *const c_void,
    *mut HCN_CALLBACK,
) -> std::result::Result<HRESULT, Unavailable>;
type Unregister = unsafe fn(&Functions, HCN_CALLBACK) -> std::result::Result<HRESULT, Unavailable>;

/// A registered callback; dropped, it is unregistered.
pub(super) struct Watching {
    functions: Arc<Functions>,
    callback: HCN_CALLBACK,
    unregister: Unregister,
    context: Arc<Context>,
}

/// What the library has a count of.
struct Context {
    state: Mutex<State>,
    idle: Condvar,
}

struct State {
    hear: Option<Arc<Hear>>,
    /// Who calls it at present.
    running: Vec<ThreadId>,
}

// SAFETY: the library's handle may be used by every thread.
unsafe impl Send for Watching {}
// SAFETY: as above.
unsafe impl Sync for Watching {}

impl Watch for Watching {}

impl Watching {
    pub(super) fn new(
        functions: Arc<Functions>,
        watched: *mut c_void,
        calls: Calls,
        hear: Hear,
        attempted: &str,
    ) -> Result<Self> {
        let state = State { hear: Some(Arc::new(hear)), running: Vec::new() };
        let context = Arc::new(Context { state: Mutex::new(state), idle: Condvar::new() });
        let given = Arc::into_raw(Arc::clone(&context));
        let mut callback = ptr::null_mut();
        // SAFETY: what is watched is open, the context is counted until the callback is unregistered, the last is a
        // place for the handle.
        let answer =
            unsafe { (calls.register)(&functions, watched, Some(notified), given.cast(), &raw mut callback) };
        let registered = check(answer, attempted).and_then(|()| match callback.is_null() {
            true => Err(no_handle(attempted)),
            false => Ok(()),
        });
        if let Err(error) = registered {
            // SAFETY: the library has not taken the count.
            drop(unsafe { Arc::from_raw(given) });
            return Err(error);
        }
        Ok(Self { functions, callback, unregister: calls.unregister, context })
    }

    fn end(functions: &Functions, unregister: Unregister, callback: HCN_CALLBACK, context: *const Context) {
        // SAFETY: the callback is registered and not used again.
        let answer = unsafe { unregister(functions, callback) };
        if answer.is_ok_and(|code| code >= 0) {
            // SAFETY: the count that the library had; it calls no more. Where it may still call, the count stays.
            drop(unsafe { Arc::from_raw(context) });
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let inside = self.context.close();
        let context = Arc::as_ptr(&self.context);
        if !inside {
            Self::end(&self.functions, self.unregister, self.callback, context);
            return;
        }
        // The library may wait for the callback that this runs in.
        let (functions, unregister) = (Arc::clone(&self.functions), self.unregister);
        let rest = Rest { callback: self.callback, context };
        thread::spawn(move || {
            let rest = rest;
            Self::end(&functions, unregister, rest.callback, rest.context);
        });
    }
}

/// What another thread has to give back.
struct Rest {
    callback: HCN_CALLBACK,
    context: *const Context,
}

// SAFETY: a handle of the library, and a counted reference to what every thread may use.
unsafe impl Send for Rest {}

impl Context {
    fn hear(&self, kind: u32, status: HResult, data: Option<String>) {
        let Some(hear) = ({
            let mut state = self.state();
            let hear = state.hear.clone();
            if hear.is_some() {
                state.running.push(thread::current().id());
            }
            hear
        }) else {
            return;
        };
        // A panic ends here: there is nothing of Rust above.
        let _ = catch_unwind(AssertUnwindSafe(|| hear(kind, status, data)));
        drop(hear);
        let me = thread::current().id();
        let mut state = self.state();
        if let Some(at) = state.running.iter().position(|thread| *thread == me) {
            state.running.swap_remove(at);
        }
        drop(state);
        self.idle.notify_all();
    }

    /// From now on no callback begins; those of other threads are waited for. Whether this is inside one.
    fn close(&self) -> bool {
        let me = thread::current().id();
        let mut state = self.state();
        state.hear = None;
        while state.running.iter().any(|thread| *thread != me) {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.running.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The callback of everything that is watched.
unsafe extern "system" fn notified(kind: u32, context: *const c_void, status: HRESULT, data: PCWSTR) {
    let context = context.cast::<Context>();
    // SAFETY: the library calls with the context that it was given, of which it has a count; this one is for the
    // time of the call, in which the watch may be dropped.
    let context = unsafe {
        Arc::increment_strong_count(context);
        Arc::from_raw(context)
    };
    // SAFETY: null, or text that lives until this returns.
    let data = unsafe { shown(data) };
    context.hear(kind, code_of(status), data);
}
