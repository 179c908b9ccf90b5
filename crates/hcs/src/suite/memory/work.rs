//! The thread that does what was accepted, one thing after another, and the short-lived ones that call back.

use crate::error::{Error, Result};
use crate::event::{Callbacks, Completed, Event};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, Promise};
use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// What was accepted and is not done yet. The thread ends when nobody is left who could add to it.
pub(super) struct Work {
    jobs: Sender<Job>,
    gate: Arc<Gate>,
}

/// How many want that nothing be done at present.
#[derive(Default)]
struct Gate {
    holders: Mutex<usize>,
    opened: Condvar,
}

/// While it lives, calls are accepted and not carried out.
pub struct Held {
    gate: Arc<Gate>,
}

impl Work {
    pub(super) fn new() -> Self {
        let (jobs, received) = channel::<Job>();
        let gate = Arc::new(Gate::default());
        let passed = Arc::clone(&gate);
        thread::spawn(move || {
            for job in received {
                passed.wait();
                job();
            }
        });
        Self { jobs, gate }
    }

    pub(super) fn hold(&self) -> Held {
        *self.gate.holders() += 1;
        Held { gate: Arc::clone(&self.gate) }
    }

    /// Accepts a call that comes with a handle, whose callback may want to hear of its end.
    pub(super) fn accept<T: Send + 'static>(
        &self,
        kind: OperationKind,
        attempted: String,
        callbacks: Option<&Arc<Callbacks>>,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Operation<T> {
        let options = callbacks.and_then(|callbacks| callbacks.options());
        let reported =
            callbacks.filter(|_| options.is_some_and(|options| options.operation_callbacks)).cloned();
        let promise = Promise::new(kind, attempted).reported(reported.is_some());
        let operation = promise.operation();
        let job = Box::new(move || {
            let id = promise.id();
            let result = job();
            let code = result.as_ref().map_or_else(Error::code, |_| HResult::S_OK);
            settle(promise, result);
            if let Some(callbacks) = reported {
                callbacks.send(Event::OperationCompleted(Completed { id, kind, code }));
                deliver(callbacks);
            }
        });
        // Nobody takes jobs any more: the promise is dropped, and the operation says that the service is gone.
        let _ = self.jobs.send(job);
        operation
    }
}

/// Gives a result; the callback, if there is one, runs on a thread of its own, so that it may wait for other calls.
pub(super) fn settle<T: Send + 'static>(promise: Promise<T>, result: Result<T>) {
    if let Some(callback) = promise.settle(result) {
        thread::spawn(callback);
    }
}

/// Tells a handle's callback what waits for it, on a thread of its own.
pub(super) fn deliver<E: Send + 'static>(callbacks: Arc<Callbacks<E>>) {
    thread::spawn(move || callbacks.deliver());
}

impl Gate {
    fn holders(&self) -> MutexGuard<'_, usize> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let mut holders = self.holders();
        while *holders > 0 {
            holders = self.opened.wait(holders).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.gate.holders() -= 1;
        self.gate.opened.notify_all();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
