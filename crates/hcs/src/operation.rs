//! Operations: what an accepted call is until its result is there.
//!
//! There is one implementation with several faces. Who makes the call holds an [`Operation`] and may wait for it,
//! with or without a time, ask whether it is done, `.await` it in any executor, give it a callback, cancel it, or
//! drop it, in which case it goes on and nobody learns its result. Who carries the call out holds the [`Promise`] of
//! its result.
//!
//! | asked of an operation        | still running                 | done           | result handed out already      |
//! |------------------------------|-------------------------------|----------------|--------------------------------|
//! | [`Operation::try_result`]    | `HCS_E_OPERATION_PENDING`     | the result     | `HCS_E_OPERATION_NOT_STARTED`  |
//! | [`Operation::wait_timeout`]  | `HCS_E_OPERATION_TIMEOUT`     | the result     | `HCS_E_OPERATION_NOT_STARTED`  |
//! | [`Operation::wait`], `.await` | waits                        | the result     | `HCS_E_OPERATION_NOT_STARTED`  |
//! | [`Operation::on_completion`] | called later                  | called at once | called with that error         |
//!
//! ```
//! # use hcs::documents::SystemQuery;
//! # use hcs::service::ComputeService;
//! # use std::time::Duration;
//! # fn show(service: &dyn ComputeService) -> hcs::Result<()> {
//! // Blocking, for as long as it takes, or for no longer than a minute.
//! let systems = service.enumerate_systems(&SystemQuery::new())?.wait()?;
//! let systems = service.enumerate_systems(&SystemQuery::new())?.wait_timeout(Duration::from_secs(60))?;
//! // By a callback.
//! service.enumerate_systems(&SystemQuery::new())?.on_completion(|systems| println!("{systems:?}"))?;
//! # Ok(())
//! # }
//! // In any executor.
//! async fn count(service: &dyn ComputeService) -> hcs::Result<usize> {
//!     Ok(service.enumerate_systems(&SystemQuery::new())?.await?.len())
//! }
//! # show(&hcs::suite::memory::Memory::new())?;
//! # Ok::<(), hcs::Error>(())
//! ```
//!
//! A promise that is dropped unfulfilled gives `HCS_E_SERVICE_DISCONNECT`: whoever worked on it is gone.

use crate::error::{Error, Result};
use crate::hresult::HResult;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What an operation does: `HCS_OPERATION_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum OperationKind {
    /// None of the calls below: a wait for an exit.
    None = -1,
    /// Enumerate compute systems.
    Enumerate = 0,
    /// Create a compute system.
    Create = 1,
    /// Start one.
    Start = 2,
    /// Shut one down.
    Shutdown = 3,
    /// Pause one.
    Pause = 4,
    /// Resume one.
    Resume = 5,
    /// Save one.
    Save = 6,
    /// Terminate a compute system or a process.
    Terminate = 7,
    /// Modify a compute system.
    Modify = 8,
    /// Query a compute system's properties.
    GetProperties = 9,
    /// Create a process.
    CreateProcess = 10,
    /// Signal a process.
    SignalProcess = 11,
    /// Ask for a process's id and handles.
    GetProcessInfo = 12,
    /// Ask for a process's status.
    GetProcessProperties = 13,
    /// Modify a process.
    ModifyProcess = 14,
    /// Crash a compute system's guest.
    Crash = 15,
}

impl OperationKind {
    /// The number of the C interface.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Whether its result carries a process's id and handles.
    pub const fn has_process_information(self) -> bool {
        matches!(self, OperationKind::CreateProcess | OperationKind::GetProcessInfo)
    }
}

/// An accepted call whose result is to come.
#[must_use = "the call goes on, but nobody will learn its result"]
pub struct Operation<T> {
    shared: Arc<Shared<T>>,
}

/// The side that carries the call out.
pub struct Promise<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    about: About,
    slot: Mutex<Slot<T>>,
    done: Condvar,
}

/// What does not change while the operation runs, and what an operation made of another takes over.
#[derive(Clone)]
struct About {
    id: u64,
    kind: OperationKind,
    attempted: Arc<str>,
    cancel: Option<Arc<dyn Fn() -> Result<()> + Send + Sync>>,
    reported: bool,
}

enum Slot<T> {
    Pending(Option<Waker>, Option<Completion<T>>),
    Done(Result<T>),
    Taken,
}

type Completion<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// Numbers operations in this process: `HcsGetOperationId`.
pub(crate) fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl<T> Promise<T> {
    /// An operation and the promise of its result. `attempted` says what is done on what, for errors.
    pub fn new(kind: OperationKind, attempted: impl Into<Arc<str>>) -> Self {
        let about = About { id: next_id(), kind, attempted: attempted.into(), cancel: None, reported: false };
        Self::about(about)
    }

    fn about(about: About) -> Self {
        let slot = Mutex::new(Slot::Pending(None, None));
        Self { shared: Arc::new(Shared { about, slot, done: Condvar::new() }) }
    }

    /// What to do when the caller cancels; without it, cancelling is answered with `E_NOTIMPL`.
    ///
    /// Before [`Promise::operation`] only, for then others may hold it: later it changes nothing.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.about.cancel = Some(Arc::new(cancel));
        }
        self
    }

    /// The operation's end is reported through the callback of the handle that it was called on, so that it may
    /// have none of its own. Before [`Promise::operation`] only.
    #[must_use]
    pub fn reported(mut self, reported: bool) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.about.reported = reported;
        }
        self
    }

    /// The caller's side.
    pub fn operation(&self) -> Operation<T> {
        Operation { shared: Arc::clone(&self.shared) }
    }

    /// The operation's number.
    pub fn id(&self) -> u64 {
        self.shared.about.id
    }

    /// Whether nobody will learn the result: the caller's side is gone, and left no callback.
    pub fn is_abandoned(&self) -> bool {
        let unheard = matches!(*self.shared.slot(), Slot::Pending(_, None));
        unheard && Arc::strong_count(&self.shared) == 1
    }

    /// Gives the result. A completion callback runs now, on this thread.
    pub fn complete(self, result: Result<T>) {
        if let Some((callback, result)) = self.shared.settle(result) {
            callback(result);
        }
    }

    /// Gives the result and wakes who waits; what comes back is the completion callback, if there is one, to be run
    /// where the caller sees fit.
    #[must_use = "the completion callback is to be called"]
    pub fn settle(self, result: Result<T>) -> Option<impl FnOnce() + Send + use<T>>
    where
        T: Send,
    {
        self.shared.settle(result).map(|(callback, result)| move || callback(result))
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if matches!(*self.shared.slot(), Slot::Pending(..)) {
            let lost = Error::new(&*self.shared.about.attempted, HResult::HCS_E_SERVICE_DISCONNECT);
            if let Some((callback, result)) = self.shared.settle(Err(lost)) {
                callback(result);
            }
        }
    }
}

impl<T> Shared<T> {
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the result in place, unless there is one.
    fn settle(&self, result: Result<T>) -> Option<(Completion<T>, Result<T>)> {
        let mut slot = self.slot();
        let Slot::Pending(waker, callback) = &mut *slot else { return None };
        let (waker, callback) = (waker.take(), callback.take());
        let call = match callback {
            Some(callback) => {
                *slot = Slot::Taken;
                Some((callback, result))
            }
            None => {
                *slot = Slot::Done(result);
                None
            }
        };
        drop(slot);
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        call
    }

    fn error(&self, code: HResult) -> Error {
        Error::new(&*self.about.attempted, code)
    }

    /// The result, if it is there; `Err(code)` says why it is not.
    fn take(&self, slot: &mut Slot<T>, pending: HResult) -> Result<T> {
        match std::mem::replace(slot, Slot::Taken) {
            Slot::Done(result) => result,
            Slot::Taken => Err(self.error(HResult::HCS_E_OPERATION_NOT_STARTED)),
            waiting @ Slot::Pending(..) => {
                *slot = waiting;
                Err(self.error(pending))
            }
        }
    }
}

impl<T> Operation<T> {
    /// An operation that is done already.
    pub fn ready(kind: OperationKind, attempted: impl Into<Arc<str>>, result: Result<T>) -> Self {
        let promise = Promise::new(kind, attempted);
        let operation = promise.operation();
        promise.shared.settle(result);
        operation
    }

    /// Its number, unique in this process.
    pub fn id(&self) -> u64 {
        self.shared.about.id
    }

    /// What it does.
    pub fn kind(&self) -> OperationKind {
        self.shared.about.kind
    }

    /// What it does, on what: the words of its errors.
    pub fn attempted(&self) -> &str {
        &self.shared.about.attempted
    }

    /// Whether its end is reported through the callback of the handle that it was called on.
    pub fn is_reported(&self) -> bool {
        self.shared.about.reported
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.shared.slot(), Slot::Pending(..))
    }

    /// Its result, if it is over.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_PENDING` while it runs, and the operation's own error.
    pub fn try_result(&mut self) -> Result<T> {
        self.shared.take(&mut self.shared.slot(), HResult::HCS_E_OPERATION_PENDING)
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The operation's own.
    pub fn wait(self) -> Result<T> {
        let mut slot = self.shared.slot();
        while matches!(*slot, Slot::Pending(..)) {
            slot = self.shared.done.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        self.shared.take(&mut slot, HResult::HCS_E_OPERATION_PENDING)
    }

    /// Waits for the result, but no longer than this; afterwards one may wait again.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_TIMEOUT` when the time is over, and the operation's own error.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T> {
        let end = Instant::now().checked_add(timeout);
        let mut slot = self.shared.slot();
        while matches!(*slot, Slot::Pending(..)) {
            // A time beyond what the clock can tell is no limit.
            let left = end.map_or(Duration::from_secs(u64::from(u32::MAX)), |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            slot = self.shared.done.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.shared.take(&mut slot, HResult::HCS_E_OPERATION_TIMEOUT)
    }

    /// Hands the result to `callback`: now and here if it is there, else from the thread that brings it. The
    /// callback may make calls of its own and close handles.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` if the operation's end is reported through the callback of the
    /// handle that it was called on; the call goes on.
    pub fn on_completion(self, callback: impl FnOnce(Result<T>) + Send + 'static) -> Result<()> {
        if self.shared.about.reported {
            return Err(self.shared.error(HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET));
        }
        self.subscribe(callback);
        Ok(())
    }

    pub(crate) fn subscribe(self, callback: impl FnOnce(Result<T>) + Send + 'static) {
        let mut slot = self.shared.slot();
        if let Slot::Pending(_, place) = &mut *slot {
            *place = Some(Box::new(callback));
            return;
        }
        let result = self.shared.take(&mut slot, HResult::HCS_E_OPERATION_PENDING);
        drop(slot);
        callback(result);
    }

    /// Asks that the call be given up; its result tells whether it was.
    ///
    /// # Errors
    /// `E_NOTIMPL` where the implementation cannot, as is so of Windows' own.
    pub fn cancel(&self) -> Result<()> {
        if self.is_finished() {
            return Ok(());
        }
        match &self.shared.about.cancel {
            Some(cancel) => cancel(),
            None => Err(Error::new(format!("cancel: {}", self.attempted()), HResult::E_NOTIMPL)),
        }
    }
}

impl<T: Send + 'static> Operation<T> {
    /// The same operation with another result, made of this one's by whoever brings it.
    pub fn and_then<U: Send + 'static>(
        self,
        make: impl FnOnce(T) -> Result<U> + Send + 'static,
    ) -> Operation<U> {
        let promise = Promise::about(self.shared.about.clone());
        let operation = promise.operation();
        self.subscribe(move |result| promise.complete(result.and_then(make)));
        operation
    }

    /// [`Operation::and_then`] with what cannot fail.
    pub fn map<U: Send + 'static>(self, make: impl FnOnce(T) -> U + Send + 'static) -> Operation<U> {
        self.and_then(|result| Ok(make(result)))
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.shared.slot();
        if let Slot::Pending(waker, _) = &mut *slot {
            match waker {
                Some(known) => known.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(self.shared.take(&mut slot, HResult::HCS_E_OPERATION_PENDING))
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { id, kind, attempted, .. } = &self.shared.about;
        f.debug_struct("Operation")
            .field("id", id)
            .field("kind", kind)
            .field("attempted", attempted)
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Promise").field(&self.operation()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;

    const SOON: Duration = Duration::from_millis(5);

    fn pair() -> (Promise<u32>, Operation<u32>) {
        let promise = Promise::new(OperationKind::Start, "start compute system web");
        let operation = promise.operation();
        (promise, operation)
    }

    fn code<T>(result: Result<T>) -> HResult {
        result.map_or_else(|error| error.code(), |_| HResult::S_OK)
    }

    #[test]
    fn a_result_is_waited_for_across_threads() {
        let (promise, operation) = pair();
        let worker = thread::spawn(move || promise.complete(Ok(7)));
        assert_eq!(operation.wait().unwrap(), 7);
        worker.join().unwrap();
    }

    #[test]
    fn what_runs_is_pending_what_took_too_long_a_timeout_and_what_is_taken_gone() {
        let (promise, mut operation) = pair();
        assert_eq!(code(operation.try_result()), HResult::HCS_E_OPERATION_PENDING);
        assert_eq!(code(operation.wait_timeout(SOON)), HResult::HCS_E_OPERATION_TIMEOUT);
        promise.complete(Ok(1));
        assert_eq!(operation.wait_timeout(Duration::MAX).unwrap(), 1);
        assert_eq!(code(operation.try_result()), HResult::HCS_E_OPERATION_NOT_STARTED);
        assert_eq!(code(operation.wait()), HResult::HCS_E_OPERATION_NOT_STARTED);
    }

    #[test]
    fn a_lost_promise_is_a_lost_service() {
        let (promise, operation) = pair();
        drop(promise);
        let error = operation.wait().unwrap_err();
        assert_eq!(error.code(), HResult::HCS_E_SERVICE_DISCONNECT);
        assert_eq!(error.attempted(), "start compute system web");
    }

    #[test]
    fn a_callback_is_called_once_whether_early_or_late() {
        let (sender, receiver) = mpsc::channel();
        let (promise, operation) = pair();
        let early = sender.clone();
        operation.on_completion(move |result| early.send(result.unwrap()).unwrap()).unwrap();
        assert!(receiver.try_recv().is_err());
        promise.complete(Ok(3));
        assert_eq!(receiver.recv().unwrap(), 3);
        let (promise, operation) = pair();
        promise.complete(Ok(4));
        operation.on_completion(move |result| sender.send(result.unwrap()).unwrap()).unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn an_operation_that_its_handle_reports_takes_no_callback() {
        let promise = Promise::<()>::new(OperationKind::Start, "start").reported(true);
        let refused = promise.operation().on_completion(|_| panic!("not to be called"));
        assert_eq!(code(refused), HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
        promise.complete(Ok(()));
    }

    #[test]
    fn dropping_an_operation_does_not_end_it() {
        let (promise, operation) = pair();
        assert!(!promise.is_abandoned());
        drop(operation);
        assert!(promise.is_abandoned());
        promise.complete(Ok(1));
        let (promise, operation) = pair();
        operation.on_completion(|_| ()).unwrap();
        assert!(!promise.is_abandoned(), "its callback waits");
        promise.complete(Ok(1));
    }

    #[test]
    fn cancelling_is_the_implementations() {
        let (_promise, operation) = pair();
        assert_eq!(code(operation.cancel()), HResult::E_NOTIMPL);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let promise = Promise::<()>::new(OperationKind::Start, "start").cancelled_by(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let operation = promise.operation().map(|()| 1);
        operation.cancel().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        promise.complete(Err(Error::new("start", HResult::E_ABORT)));
        operation.cancel().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1, "what is over is not cancelled");
        assert_eq!(code(operation.wait()), HResult::E_ABORT);
    }

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_a_future_that_wakes_the_last_task_that_polled() {
        let (promise, mut operation) = pair();
        let wakers = [Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0)))];
        for count in &wakers {
            let waker = Waker::from(Arc::clone(count));
            assert!(Pin::new(&mut operation).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        promise.complete(Ok(9));
        assert_eq!(wakers.each_ref().map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
        let waker = Waker::from(Arc::clone(&wakers[0]));
        let Poll::Ready(result) = Pin::new(&mut operation).poll(&mut Context::from_waker(&waker)) else {
            panic!("it is done");
        };
        assert_eq!(result.unwrap(), 9);
    }

    #[test]
    fn an_operation_made_of_another_keeps_its_number_and_its_errors() {
        let (promise, operation) = pair();
        let id = operation.id();
        let text = operation.and_then(|number| match number {
            0 => Err(Error::new("parse", HResult::HCS_E_INVALID_JSON)),
            number => Ok(number.to_string()),
        });
        assert_eq!((text.id(), text.kind()), (id, OperationKind::Start));
        promise.complete(Ok(0));
        assert_eq!(code(text.wait()), HResult::HCS_E_INVALID_JSON);
        let (promise, operation) = pair();
        let text = operation.map(|number| number.to_string());
        promise.complete(Ok(5));
        assert_eq!(text.wait().unwrap(), "5");
    }
}
