//! An operation as the C interface has it: made first, used for one call, asked for its result as often as one likes.
//!
//! | state       | begin           | set callback    | result             | wait               | result and process information |
//! |-------------|-----------------|-----------------|--------------------|--------------------|--------------------------------|
//! | not started | starts          | ok              | not started        | not started        | not started                    |
//! | running     | already started | already started | pending            | the result, or timeout | as result, or invalid argument |
//! | done        | already started | already started | the result         | the result         | the result once, then not available; or invalid argument |
//!
//! The errors are `HCS_E_OPERATION_NOT_STARTED`, `…_ALREADY_STARTED`, `…_PENDING`, `…_TIMEOUT`,
//! `HCS_E_PROCESS_INFO_NOT_AVAILABLE` and `E_INVALIDARG` (the operation is of a kind without process information).
//! A call that is refused leaves its operation unused. In Rust one holds an [`Operation`] and needs none of this: it
//! is what a library with the C interface of computecore.dll keeps behind each `HCS_OPERATION`.

use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, next_id};
use crate::service::ProcessInformation;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a C caller gets of an operation that succeeded.
#[derive(Debug, Default)]
pub struct Reply {
    /// The result document, if the call has one.
    pub document: Option<String>,
    /// Of an operation that creates a process or asks for its information.
    pub process: Option<ProcessInformation>,
}

/// What lies behind an `HCS_OPERATION`.
pub struct Tracker {
    id: u64,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Unused(Option<Callback>),
    Running(OperationKind, Option<Callback>),
    Done(OperationKind, Outcome),
}

type Callback = Box<dyn FnOnce() + Send>;

enum Outcome {
    Succeeded { document: Option<Arc<str>>, process: Option<ProcessInformation> },
    Failed(Error),
}

/// A call that has taken the tracker and is about to be made; dropped, it leaves the tracker unused.
#[must_use = "a call that is not tracked gives its operation back"]
pub struct Begun {
    /// Taken when the call is accepted.
    tracker: Option<Arc<Tracker>>,
}

impl Tracker {
    /// An operation that is not used yet.
    pub fn new() -> Arc<Self> {
        let state = Mutex::new(State::Unused(None));
        Arc::new(Self { id: next_id(), state, changed: Condvar::new() })
    }

    /// Its number: `HcsGetOperationId`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it is used for: `HcsGetOperationType`.
    pub fn kind(&self) -> OperationKind {
        match &*self.state() {
            State::Unused(_) => OperationKind::None,
            State::Running(kind, _) | State::Done(kind, _) => *kind,
        }
    }

    /// What is called when the operation is over; it asks for the result then.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_ALREADY_STARTED`.
    pub fn set_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        match &mut *self.state() {
            State::Unused(place) => {
                *place = Some(Box::new(callback));
                Ok(())
            }
            State::Running(..) | State::Done(..) => {
                Err(error("set a callback", HResult::HCS_E_OPERATION_ALREADY_STARTED))
            }
        }
    }

    /// Takes the operation for a call. `reported` says that the handle, which the call is made on, reports
    /// operations through its own callback.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_ALREADY_STARTED`; `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` if it has a callback of its
    /// own and is to be reported by the handle's.
    pub fn begin(self: &Arc<Self>, kind: OperationKind, reported: bool) -> Result<Begun> {
        let mut state = self.state();
        let State::Unused(callback) = &mut *state else {
            return Err(error("begin a call", HResult::HCS_E_OPERATION_ALREADY_STARTED));
        };
        if reported && callback.is_some() {
            return Err(error("begin a call", HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET));
        }
        let callback = callback.take();
        *state = State::Running(kind, callback);
        Ok(Begun { tracker: Some(Arc::clone(self)) })
    }

    /// The result document.
    ///
    /// # Errors
    /// As in the table of this module, and the operation's own error, each time.
    pub fn result(&self) -> Result<Option<Arc<str>>> {
        document(&self.state(), HResult::HCS_E_OPERATION_PENDING)
    }

    /// Waits for the result document; `None` waits without end.
    ///
    /// # Errors
    /// As in the table of this module, and the operation's own error, each time.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Arc<str>>> {
        document(&self.settled(timeout), HResult::HCS_E_OPERATION_TIMEOUT)
    }

    /// The result document and the process's information, which is handed out once.
    ///
    /// # Errors
    /// As in the table of this module, and the operation's own error.
    pub fn result_and_process(&self) -> Result<(Option<Arc<str>>, ProcessInformation)> {
        with_process(&mut self.state(), HResult::HCS_E_OPERATION_PENDING)
    }

    /// Waits for the result document and the process's information, which is handed out once.
    ///
    /// # Errors
    /// As in the table of this module, and the operation's own error.
    pub fn wait_and_process(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(Option<Arc<str>>, ProcessInformation)> {
        with_process(&mut self.settled(timeout), HResult::HCS_E_OPERATION_TIMEOUT)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state when it no longer runs, or when the time is over.
    fn settled(&self, timeout: Option<Duration>) -> MutexGuard<'_, State> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state();
        while matches!(*state, State::Running(..)) {
            let Some(end) = end else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    fn finish(&self, result: Result<Reply>) {
        let mut state = self.state();
        if let State::Running(kind, callback) = &mut *state {
            let (kind, callback) = (*kind, callback.take());
            let outcome = match result {
                Ok(Reply { document, process }) => {
                    Outcome::Succeeded { document: document.map(Arc::from), process }
                }
                Err(error) => Outcome::Failed(error),
            };
            *state = State::Done(kind, outcome);
            drop(state);
            self.changed.notify_all();
            if let Some(callback) = callback {
                callback();
            }
        }
    }
}

impl Begun {
    /// Follows the accepted call to its end; `reply` turns its result into what a C caller gets, and `reported` is
    /// called, after the result is in place, with its code: it is where a handle's own callback learns of it.
    pub fn track<T: Send + 'static>(
        mut self,
        operation: Operation<T>,
        reply: impl FnOnce(T) -> Result<Reply> + Send + 'static,
        reported: impl FnOnce(HResult) + Send + 'static,
    ) {
        let Some(tracker) = self.tracker.take() else { return };
        operation.subscribe(move |result| {
            let result = result.and_then(reply);
            let code = result.as_ref().map_or_else(Error::code, |_| HResult::S_OK);
            tracker.finish(result);
            reported(code);
        });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(tracker) = self.tracker.take() else { return };
        let mut state = tracker.state();
        if let State::Running(_, callback) = &mut *state {
            let callback = callback.take();
            *state = State::Unused(callback);
        }
    }
}

fn document(state: &State, unfinished: HResult) -> Result<Option<Arc<str>>> {
    match state {
        State::Unused(_) => Err(error("collect the result", HResult::HCS_E_OPERATION_NOT_STARTED)),
        State::Running(..) => Err(error("collect the result", unfinished)),
        State::Done(_, Outcome::Succeeded { document, .. }) => Ok(document.clone()),
        State::Done(_, Outcome::Failed(error)) => Err(error.clone()),
    }
}

fn with_process(state: &mut State, unfinished: HResult) -> Result<(Option<Arc<str>>, ProcessInformation)> {
    if let State::Running(kind, _) | State::Done(kind, _) = state
        && !kind.has_process_information()
    {
        return Err(error("collect a process's information", HResult::E_INVALIDARG));
    }
    let document = document(state, unfinished)?;
    let State::Done(_, Outcome::Succeeded { process, .. }) = state else {
        return Err(error("collect a process's information", unfinished));
    };
    match process.take() {
        Some(process) => Ok((document, process)),
        None => Err(error("collect a process's information", HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE)),
    }
}

fn error(attempted: &str, code: HResult) -> Error {
    Error::new(format!("{attempted} of an operation"), code)
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("id", &self.id).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Begun").field(&self.tracker).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Promise;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SOON: Option<Duration> = Some(Duration::from_millis(5));

    fn code<T>(result: Result<T>) -> HResult {
        result.map_or_else(|error| error.code(), |_| HResult::S_OK)
    }

    fn text(text: String) -> Result<Reply> {
        Ok(Reply { document: Some(text), process: None })
    }

    #[test]
    fn an_unused_operation_has_no_result() {
        let tracker = Tracker::new();
        assert_eq!(tracker.kind(), OperationKind::None);
        assert_eq!(code(tracker.result()), HResult::HCS_E_OPERATION_NOT_STARTED);
        assert_eq!(code(tracker.wait(None)), HResult::HCS_E_OPERATION_NOT_STARTED);
        assert_eq!(code(tracker.result_and_process()), HResult::HCS_E_OPERATION_NOT_STARTED);
    }

    #[test]
    fn an_operation_is_used_once_and_its_result_is_there_for_good() {
        let tracker = Tracker::new();
        let promise = Promise::new(OperationKind::Enumerate, "enumerate compute systems");
        tracker.begin(OperationKind::Enumerate, false).unwrap().track(promise.operation(), text, |_| ());
        assert_eq!(
            code(tracker.begin(OperationKind::Start, false)),
            HResult::HCS_E_OPERATION_ALREADY_STARTED
        );
        assert_eq!(code(tracker.set_callback(|| ())), HResult::HCS_E_OPERATION_ALREADY_STARTED);
        assert_eq!(code(tracker.result()), HResult::HCS_E_OPERATION_PENDING);
        assert_eq!(code(tracker.wait(SOON)), HResult::HCS_E_OPERATION_TIMEOUT);
        promise.complete(Ok("[]".to_owned()));
        for _ in 0..2 {
            assert_eq!(tracker.wait(None).unwrap().as_deref(), Some("[]"));
        }
        assert_eq!(code(tracker.wait_and_process(None)), HResult::E_INVALIDARG);
        assert_eq!(
            code(tracker.begin(OperationKind::Start, false)),
            HResult::HCS_E_OPERATION_ALREADY_STARTED
        );
    }

    #[test]
    fn a_refused_call_leaves_the_operation_unused() {
        let tracker = Tracker::new();
        drop(tracker.begin(OperationKind::Start, false).unwrap());
        assert_eq!(code(tracker.result()), HResult::HCS_E_OPERATION_NOT_STARTED);
        assert_eq!(code(tracker.begin(OperationKind::Start, false)), HResult::S_OK);
    }

    #[test]
    fn process_information_is_handed_out_once() {
        let tracker = Tracker::new();
        let promise = Promise::new(OperationKind::CreateProcess, "create a process");
        let reply = |process| Ok(Reply { document: None, process: Some(process) });
        tracker.begin(OperationKind::CreateProcess, false).unwrap().track(promise.operation(), reply, |_| ());
        assert_eq!(code(tracker.result_and_process()), HResult::HCS_E_OPERATION_PENDING);
        promise.complete(Ok(ProcessInformation { process_id: 5, ..ProcessInformation::default() }));
        assert_eq!(tracker.wait(None).unwrap(), None);
        assert_eq!(tracker.wait_and_process(None).unwrap().1.process_id, 5);
        assert_eq!(code(tracker.wait_and_process(None)), HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE);
    }

    #[test]
    fn its_own_callback_finds_the_result_and_excludes_the_handles() {
        let tracker = Tracker::new();
        let seen = Arc::new(AtomicU32::new(0));
        let (weak, store) = (Arc::downgrade(&tracker), Arc::clone(&seen));
        tracker
            .set_callback(move || {
                let code = code(weak.upgrade().unwrap().result());
                store.store(code.code(), Ordering::Relaxed);
            })
            .unwrap();
        assert_eq!(
            code(tracker.begin(OperationKind::Start, true)),
            HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET
        );
        let promise = Promise::new(OperationKind::Start, "start compute system web");
        tracker.begin(OperationKind::Start, false).unwrap().track(promise.operation(), text, |_| ());
        promise.complete(Err(Error::new("start", HResult::HCS_E_INVALID_STATE)));
        assert_eq!(seen.load(Ordering::Relaxed), HResult::HCS_E_INVALID_STATE.code());
        assert_eq!(code(tracker.wait(None)), HResult::HCS_E_INVALID_STATE);
    }
}
