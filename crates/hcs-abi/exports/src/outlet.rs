//! Callbacks of the caller: a C function and its context.
//!
//! None is called on the thread, and for the time, of a call of the caller's: it may hold a lock then that its
//! callback takes. Elsewhere than on Windows each is called on a thread of its own: Mono waits at its end for native
//! threads that have called managed code.

// UNSAFETY: the callback is a C function.
#![expect(unsafe_code, reason = "the interface is C's")]

use crate::counters;
use hcs::HResult;
use hcs::abi::HCS_NOTIFICATION_CALLBACK;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// A call of the caller's, for as long as this lives.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

/// Calls the caller back.
pub(crate) fn call_out(call: impl FnOnce() + Send + 'static) {
    counters::count_callback();
    if INSIDE.get() > 0 {
        // Its order among others is that of the threads; nothing else was told about it yet.
        elsewhere(Box::new(call));
    } else if cfg!(windows) {
        call();
    } else {
        let _ = thread::spawn(call).join();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that call back, kept for a while, because they cost more than most calls do.
struct Pool {
    state: Mutex<Jobs>,
    changed: Condvar,
}

struct Jobs {
    waiting: VecDeque<Job>,
    idle: usize,
}

static POOL: Pool =
    Pool { state: Mutex::new(Jobs { waiting: VecDeque::new(), idle: 0 }), changed: Condvar::new() };

/// Runs a call on another thread, which waits for none before it: a callback may wait for what another one tells.
fn elsewhere(job: Job) {
    if !cfg!(windows) {
        thread::spawn(job);
        return;
    }
    let mut jobs = POOL.jobs();
    jobs.waiting.push_back(job);
    if jobs.idle >= jobs.waiting.len() {
        POOL.changed.notify_one();
    } else {
        drop(jobs);
        thread::spawn(|| POOL.work());
    }
}

impl Pool {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut jobs = self.jobs();
        loop {
            while let Some(job) = jobs.waiting.pop_front() {
                drop(jobs);
                job();
                jobs = self.jobs();
            }
            jobs.idle += 1;
            let (woken, waited) =
                self.changed.wait_timeout(jobs, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            jobs = woken;
            jobs.idle -= 1;
            if waited.timed_out() && jobs.waiting.is_empty() {
                return;
            }
        }
    }
}

/// The context of a callback: a number to us.
#[derive(Clone, Copy)]
pub(crate) struct Context(pub(crate) *const c_void);

// SAFETY: it is not used here, only handed back.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Whether a callback may be called; closed once, for good.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    running: Vec<ThreadId>,
}

impl Gate {
    /// Calls, unless it is closed.
    pub(crate) fn pass(&self, call: impl FnOnce()) {
        let me = thread::current().id();
        {
            let mut state = self.state();
            if state.closed {
                return;
            }
            state.running.push(me);
        }
        call();
        let mut state = self.state();
        if let Some(at) = state.running.iter().position(|thread| *thread == me) {
            state.running.swap_remove(at);
        }
        drop(state);
        self.idle.notify_all();
    }

    /// From now on nothing passes; what passes on other threads is waited for.
    pub(crate) fn close(&self) {
        let me = thread::current().id();
        let mut state = self.state();
        state.closed = true;
        while state.running.iter().any(|thread| *thread != me) {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A callback for notifications, of vmcompute.dll and computenetwork.dll.
pub(crate) struct Outlet {
    callback: HCS_NOTIFICATION_CALLBACK,
    context: Context,
    gate: Gate,
}

impl Outlet {
    pub(crate) fn new(callback: HCS_NOTIFICATION_CALLBACK, context: *const c_void) -> Arc<Self> {
        Arc::new(Self { callback, context: Context(context), gate: Gate::default() })
    }

    /// Tells a notification, unless it is closed.
    pub(crate) fn tell(self: &Arc<Self>, kind: u32, status: HResult, data: Option<String>) {
        let outlet = Arc::clone(self);
        call_out(move || outlet.gate.pass(|| outlet.call(kind, status, data.as_deref())));
    }

    fn call(&self, kind: u32, status: HResult, data: Option<&str>) {
        let Some(callback) = self.callback else { return };
        let data: Option<Vec<u16>> = data.map(|data| data.encode_utf16().chain([0]).collect());
        let data = data.as_ref().map_or(std::ptr::null(), Vec::as_ptr);
        // SAFETY: the caller registered the function for this; the text lives until it returns.
        unsafe { callback(kind, self.context.0, status.to_i32(), data) };
    }

    /// From now on it is not called; calls on other threads are waited for.
    pub(crate) fn close(&self) {
        self.gate.close();
    }
}
