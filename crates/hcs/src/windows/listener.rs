//! Who listens on a handle: the callback that its owner has set, and whoever waits for the exit.
//!
//! A library has one callback for each handle, and both need it. So the library is given one of ours, with a counted
//! reference to a [`Listener`] as its context; the count falls when the library has promised to call no more, which
//! is when the handle is closed. A callback that closes its own handle has a count of its own until it returns.
//!
//! An exit that somebody waits for needs an open handle: the last of ours is kept until then, unless the system is one
//! that ends with its last handle.

use crate::document::Document;
use crate::error::{Error, Result};
use crate::event::{Callbacks, Completed, Event, EventCallback, EventOptions};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, Promise};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An event that says how the object ended.
pub(super) trait Exit: Document {
    fn of(event: &Event) -> Option<&Self>;
}

impl Exit for crate::documents::SystemExitStatus {
    fn of(event: &Event) -> Option<&Self> {
        match event {
            Event::SystemExited(status) => Some(status),
            _ => None,
        }
    }
}

impl Exit for crate::documents::ProcessStatus {
    fn of(event: &Event) -> Option<&Self> {
        match event {
            Event::ProcessExited(status) => Some(status),
            _ => None,
        }
    }
}

/// The listeners of one handle.
pub(super) struct Listener<T: Exit> {
    callbacks: Callbacks,
    exit: Mutex<Waiting<T>>,
    /// A handle that is closed when the exit was heard of.
    kept: Mutex<Option<Box<dyn Send>>>,
}

enum Waiting<T> {
    Running(Vec<Promise<T>>),
    Ended(Result<T>),
}

impl<T: Exit> Listener<T> {
    pub(super) fn new() -> Self {
        Self {
            callbacks: Callbacks::new(),
            exit: Mutex::new(Waiting::Running(Vec::new())),
            kept: Mutex::new(None),
        }
    }

    /// Sets the owner's callback and tells it what it has missed.
    pub(super) fn set(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.callbacks.set(options, callback)?;
        self.callbacks.deliver();
        Ok(())
    }

    /// Whether the owner's callback is to hear of the operations that are called on the handle.
    pub(super) fn hears_operations(&self) -> bool {
        self.callbacks.options().is_some_and(|options| options.operation_callbacks)
    }

    /// An operation that is over when the object has ended.
    pub(super) fn exit(&self, attempted: String) -> Operation<T> {
        match &mut *self.waiting() {
            Waiting::Running(promises) => {
                let promise = Promise::new(OperationKind::None, attempted);
                let operation = promise.operation();
                promises.push(promise);
                operation
            }
            Waiting::Ended(result) => Operation::ready(OperationKind::None, attempted, result.clone()),
        }
    }

    /// Takes in what the library tells: an event's number and its document.
    pub(super) fn hear(&self, code: u32, data: Option<String>) {
        match Event::read(code, data.as_deref()) {
            Ok(event) => self.tell(event),
            Err(error) => {
                // What cannot be read still happened: an exit in particular.
                if code == EXIT_OF_SYSTEM || code == EXIT_OF_PROCESS {
                    self.end(Err(error));
                }
                self.callbacks.send(Event::Other(code, data));
                self.callbacks.deliver();
            }
        }
    }

    /// Takes in an event.
    pub(super) fn tell(&self, event: Event) {
        if let Some(status) = T::of(&event) {
            self.end(Ok(status.clone()));
            self.callbacks.send_and_keep(event);
        } else {
            if event == Event::ServiceDisconnect {
                self.end(Err(Error::new("wait for the exit", HResult::HCS_E_SERVICE_DISCONNECT)));
            }
            self.callbacks.send(event);
        }
        self.callbacks.deliver();
    }

    /// Tells the owner's callback that an operation on the handle is over.
    pub(super) fn completed(&self, completed: Completed) {
        self.callbacks.send(Event::OperationCompleted(completed));
        self.callbacks.deliver();
    }

    /// No callback begins from now on, and none runs when this returns, unless it is the one that calls this.
    pub(super) fn close(&self) {
        self.callbacks.close();
    }

    /// Whether somebody waits for the exit.
    pub(super) fn is_waited_for(&self) -> bool {
        match &mut *self.waiting() {
            Waiting::Running(promises) => {
                promises.retain(|promise| !promise.is_abandoned());
                !promises.is_empty()
            }
            Waiting::Ended(_) => false,
        }
    }

    /// Keeps a handle open until the exit.
    pub(super) fn keep(&self, handle: impl Send + 'static) {
        let waiting = self.waiting();
        if matches!(*waiting, Waiting::Running(_)) {
            *self.kept() = Some(Box::new(handle));
        }
    }

    /// The object has ended, or nothing more will be heard of it.
    pub(super) fn end(&self, result: Result<T>) {
        let mut waiting = self.waiting();
        if let Waiting::Running(promises) = &mut *waiting {
            let promises = std::mem::take(promises);
            *waiting = Waiting::Ended(result.clone());
            let kept = self.kept().take();
            drop(waiting);
            for promise in promises {
                promise.complete(result.clone());
            }
            if let Some(kept) = kept {
                // This may be a callback, and a library may wait in the close for its callbacks.
                std::thread::spawn(move || drop(kept));
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Box<dyn Send>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const EXIT_OF_SYSTEM: u32 = 1;
const EXIT_OF_PROCESS: u32 = 0x0001_0000;
