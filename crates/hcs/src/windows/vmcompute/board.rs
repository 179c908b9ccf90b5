//! Where the notifications of vmcompute.dll arrive: calls that it answered as pending wait here for the one that ends
//! them, and the handle's listeners hear the rest.
//!
//! | notification                    | ends                                                                     |
//! |---------------------------------|--------------------------------------------------------------------------|
//! | `…Completed`                    | the oldest call of its kind                                              |
//! | `SystemExited`, `ProcessExited` | shutdowns and terminations; other calls fail with `HCS_E_UNEXPECTED_EXIT` |
//! | `SystemShutdownFailed`          | shutdowns, with its status                                               |
//! | `ServiceDisconnect`             | every call, with `HCS_E_SERVICE_DISCONNECT`                              |

use crate::document::Document as _;
use crate::documents::{ProcessStatus, SystemExitStatus};
use crate::error::{Error, Result};
use crate::event::{Completed, Event, Notification};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, Promise};
use crate::windows::listener::{Exit, Listener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The notice board of one handle.
pub(super) struct Board<T: Exit> {
    pub(super) listener: Listener<T>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    waiting: Vec<Waiting>,
    /// The object has ended: what is pending from now on is over at once.
    ended: bool,
}

struct Waiting {
    id: u64,
    /// The call was answered as pending. Until then only its own notification ends it.
    pending: bool,
    kind: OperationKind,
    attempted: String,
    done: Box<dyn FnOnce(Result<Option<String>>) + Send>,
}

impl<T: Exit> Board<T> {
    pub(super) fn new() -> Self {
        Self { listener: Listener::new(), calls: Mutex::default() }
    }

    /// Makes a call that may be pending, and the operation of its result. `call` answers a code and a document;
    /// `read` makes the result of the document, or of that of the notification.
    pub(super) fn call<R: Send + 'static>(
        self: &Arc<Self>,
        kind: OperationKind,
        attempted: String,
        read: impl FnOnce(Option<String>, &str) -> Result<R> + Send + 'static,
        call: impl FnOnce(&str) -> Result<Answer>,
    ) -> Result<Operation<R>>
    where
        T: Send + Sync + 'static,
    {
        let reported = self.listener.hears_operations();
        let promise = Promise::new(kind, attempted.as_str()).reported(reported);
        let (operation, id) = (promise.operation(), promise.id());
        let (board, about) = (Arc::downgrade(self), attempted.clone());
        let done = move |result: Result<Option<String>>| {
            let result = result.and_then(|document| read(document, &about));
            let code = result.as_ref().map_or_else(Error::code, |_| HResult::S_OK);
            promise.complete(result);
            if reported && let Some(board) = board.upgrade() {
                board.listener.completed(Completed { id, kind, code });
            }
        };
        // Before the call: its end may be told before it returns.
        let waiting =
            Waiting { id, pending: false, kind, attempted: attempted.clone(), done: Box::new(done) };
        let ended_before = {
            let mut calls = self.calls();
            calls.waiting.push(waiting);
            calls.ended
        };
        match call(&attempted) {
            Ok(Answer::Pending) => {
                let ended = {
                    let mut calls = self.calls();
                    for call in calls.waiting.iter_mut().filter(|call| call.id == id) {
                        call.pending = true;
                    }
                    calls.ended
                };
                if ended_before {
                    let stopped =
                        |attempted: &str| Err(Error::new(attempted, HResult::HCS_E_SYSTEM_ALREADY_STOPPED));
                    self.finish(|waiting| waiting.id == id, stopped);
                } else if ended {
                    self.cut_short(|waiting| waiting.id == id);
                }
            }
            Ok(Answer::Done(document)) => {
                self.calls().ended |= kind == OperationKind::Terminate;
                self.finish(|waiting| waiting.id == id, |_| Ok(document.clone()));
            }
            Err(error) => {
                self.calls().waiting.retain(|waiting| waiting.id != id);
                return Err(error);
            }
        }
        Ok(operation)
    }

    /// Takes in a notification.
    pub(super) fn hear(&self, code: u32, status: HResult, data: Option<String>) {
        let Some(notification) = Notification::from_code(code) else {
            self.listener.tell(Event::Other(code, data));
            return;
        };
        let result = |attempted: &str| match status.is_success() {
            true => Ok(data.clone()),
            false => Err(Error::new(attempted, status)),
        };
        match notification {
            Notification::SystemExited | Notification::ProcessExited => {
                self.calls().ended = true;
                self.cut_short(|waiting| waiting.pending);
                self.listener.tell(exit(notification, status, data.as_deref()));
            }
            Notification::SystemShutdownFailed => {
                let failed = |attempted: &str| match status.is_success() {
                    true => Err(Error::new(attempted, HResult::E_FAIL)),
                    false => Err(Error::new(attempted, status)),
                };
                self.finish(|waiting| waiting.kind == OperationKind::Shutdown, failed);
            }
            Notification::ServiceDisconnect => {
                let gone = |attempted: &str| Err(Error::new(attempted, HResult::HCS_E_SERVICE_DISCONNECT));
                self.finish(|_| true, gone);
                self.listener.tell(Event::ServiceDisconnect);
            }
            Notification::SystemCrashInitiated => self.listener.hear(2, data),
            Notification::SystemCrashReport => self.listener.hear(3, data),
            Notification::SystemRdpEnhancedModeStateChanged => self.listener.hear(4, data),
            Notification::SystemSiloJobCreated => self.listener.hear(5, data),
            Notification::SystemGuestConnectionClosed => self.listener.hear(6, data),
            Notification::SystemCreateCompleted
            | Notification::SystemStartCompleted
            | Notification::SystemPauseCompleted
            | Notification::SystemResumeCompleted
            | Notification::SystemSaveCompleted
            | Notification::SystemGetPropertiesCompleted
            | Notification::SystemModifyCompleted => {
                let oldest = {
                    let calls = self.calls();
                    let mut waiting = calls.waiting.iter();
                    waiting.find(|call| call.kind.notification() == Some(notification)).map(|call| call.id)
                };
                // Every handle is told of the creation; only the one that created waits for it.
                if let Some(id) = oldest {
                    self.finish(|waiting| waiting.id == id, result);
                }
            }
        }
    }

    /// Ends the calls that `which` names because the object has ended, which is what a shutdown waits for.
    fn cut_short(&self, which: impl Fn(&Waiting) -> bool) {
        let ends = |kind| matches!(kind, OperationKind::Shutdown | OperationKind::Terminate);
        self.finish(|waiting| which(waiting) && ends(waiting.kind), |_| Ok(None));
        self.finish(which, |attempted| Err(Error::new(attempted, HResult::HCS_E_UNEXPECTED_EXIT)));
    }

    /// Ends the calls that `which` names.
    fn finish(&self, which: impl Fn(&Waiting) -> bool, result: impl Fn(&str) -> Result<Option<String>>) {
        let ended: Vec<Waiting> = {
            let mut calls = self.calls();
            let (ended, left) = std::mem::take(&mut calls.waiting).into_iter().partition(|call| which(call));
            calls.waiting = left;
            ended
        };
        for call in ended {
            (call.done)(result(&call.attempted));
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call has answered that did not fail.
pub(super) enum Answer {
    /// A notification will tell its end.
    Pending,
    /// It is over, and this is its document.
    Done(Option<String>),
}

/// The event of an exit. Hosts before 1809 send no document with it: then the status alone is known.
fn exit(notification: Notification, status: HResult, data: Option<&str>) -> Event {
    let code = match notification {
        Notification::ProcessExited => 0x0001_0000,
        _ => 1,
    };
    let event = data.and_then(|data| Event::read(code, Some(data)).ok());
    event.unwrap_or_else(|| match notification {
        Notification::ProcessExited => Event::ProcessExited(ProcessStatus::default()),
        _ => {
            let document = serde_json::json!({ "Status": status.to_i32() }).to_string();
            Event::SystemExited(SystemExitStatus::from_json(&document).unwrap_or_default())
        }
    })
}
