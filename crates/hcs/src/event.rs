//! Events: what a handle's callback hears, and the one callback that a handle may have.
//!
//! [`Callbacks`] keeps the rules for every implementation:
//! - a handle has one callback; a second is refused with `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET`;
//! - events come one at a time and in order, from threads of the implementation;
//! - what happened before the callback was set and cannot happen again (an exit) is told to it all the same;
//! - after the handle is closed no callback begins, and none goes on when the close returns, unless the callback is
//!   who closes.

use crate::document::Document as _;
use crate::documents::{CrashReport, ProcessStatus, SystemExitStatus};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::operation::OperationKind;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What happened to a compute system, a process or the service: `HCS_EVENT`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The compute system ended.
    SystemExited(SystemExitStatus),
    /// Its guest began to crash.
    SystemCrashInitiated(CrashReport),
    /// Its guest's crash was recorded.
    SystemCrashReport(CrashReport),
    /// Its console entered or left the enhanced mode.
    SystemRdpEnhancedModeStateChanged(Option<String>),
    /// The container's job was made.
    SystemSiloJobCreated(Option<String>),
    /// The connection to its guest was closed.
    SystemGuestConnectionClosed(Option<String>),
    /// The process ended.
    ProcessExited(ProcessStatus),
    /// An operation called on this handle is over; only with [`EventOptions::operation_callbacks`].
    OperationCompleted(Completed),
    /// The service went away; nothing more will be heard.
    ServiceDisconnect,
    /// An event without a type here: its number, and its document.
    Other(u32, Option<String>),
}

/// An operation that is over, as the callback of its handle hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// [`Operation::id`](crate::operation::Operation::id).
    pub id: u64,
    /// What it did.
    pub kind: OperationKind,
    /// How it ended.
    pub code: HResult,
}

/// What a callback wants to hear beyond the events of the object: `HCS_EVENT_OPTIONS`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventOptions {
    /// The ends of the operations that are called on this handle, which then may have no callback of their own.
    pub operation_callbacks: bool,
    /// Events of live migration; not documented by Microsoft.
    pub live_migration: bool,
}

/// What is called with each event.
pub type EventCallback<E = Event> = Box<dyn Fn(&E) + Send + Sync>;

impl EventOptions {
    /// The bits of the C interface.
    pub const fn bits(self) -> u32 {
        self.operation_callbacks as u32 | (self.live_migration as u32) << 2
    }

    /// Reads the bits of the C interface; `None` for bits that mean nothing.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !5 != 0 {
            return None;
        }
        Some(Self { operation_callbacks: bits & 1 != 0, live_migration: bits & 4 != 0 })
    }
}

impl Event {
    /// `HCS_EVENT_TYPE`.
    pub const fn code(&self) -> u32 {
        match self {
            Event::SystemExited(_) => 1,
            Event::SystemCrashInitiated(_) => 2,
            Event::SystemCrashReport(_) => 3,
            Event::SystemRdpEnhancedModeStateChanged(_) => 4,
            Event::SystemSiloJobCreated(_) => 5,
            Event::SystemGuestConnectionClosed(_) => 6,
            Event::ProcessExited(_) => 0x0001_0000,
            Event::OperationCompleted(_) => 0x0100_0000,
            Event::ServiceDisconnect => 0x0200_0000,
            Event::Other(code, _) => *code,
        }
    }

    /// The event's document, as JSON.
    pub fn data(&self) -> Option<String> {
        match self {
            Event::SystemExited(status) => Some(status.to_json()),
            Event::SystemCrashInitiated(report) | Event::SystemCrashReport(report) => Some(report.to_json()),
            Event::ProcessExited(status) => Some(status.to_json()),
            Event::SystemRdpEnhancedModeStateChanged(data)
            | Event::SystemSiloJobCreated(data)
            | Event::SystemGuestConnectionClosed(data)
            | Event::Other(_, data) => data.clone(),
            Event::OperationCompleted(_) | Event::ServiceDisconnect => None,
        }
    }

    /// The event that a number and a document of the C interface stand for. The end of an operation is not among
    /// them, for it carries a handle.
    ///
    /// # Errors
    /// `HCS_E_INVALID_JSON` if the document is not the one that this event has.
    pub fn read(code: u32, data: Option<&str>) -> Result<Self> {
        let text = data.unwrap_or("{}");
        let unreadable = |cause| Error::unreadable(format!("read event 0x{code:X}"), cause);
        let owned = || data.map(str::to_owned);
        Ok(match code {
            1 => Event::SystemExited(SystemExitStatus::from_json(text).map_err(unreadable)?),
            2 => Event::SystemCrashInitiated(CrashReport::from_json(text).map_err(unreadable)?),
            3 => Event::SystemCrashReport(CrashReport::from_json(text).map_err(unreadable)?),
            4 => Event::SystemRdpEnhancedModeStateChanged(owned()),
            5 => Event::SystemSiloJobCreated(owned()),
            6 => Event::SystemGuestConnectionClosed(owned()),
            0x0001_0000 => Event::ProcessExited(ProcessStatus::from_json(text).map_err(unreadable)?),
            0x0200_0000 => Event::ServiceDisconnect,
            _ => Event::Other(code, owned()),
        })
    }

    /// `HCS_NOTIFICATIONS` of vmcompute.dll: the number under which this event is told there.
    pub const fn notification(&self) -> Option<Notification> {
        Some(match self {
            Event::SystemExited(_) => Notification::SystemExited,
            Event::SystemCrashInitiated(_) => Notification::SystemCrashInitiated,
            Event::SystemCrashReport(_) => Notification::SystemCrashReport,
            Event::SystemRdpEnhancedModeStateChanged(_) => Notification::SystemRdpEnhancedModeStateChanged,
            Event::SystemSiloJobCreated(_) => Notification::SystemSiloJobCreated,
            Event::SystemGuestConnectionClosed(_) => Notification::SystemGuestConnectionClosed,
            Event::ProcessExited(_) => Notification::ProcessExited,
            Event::OperationCompleted(Completed { kind, .. }) => return kind.notification(),
            Event::ServiceDisconnect => Notification::ServiceDisconnect,
            Event::Other(..) => return None,
        })
    }
}

/// What vmcompute.dll tells its callbacks: `HCS_NOTIFICATIONS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Notification {
    /// The compute system ended.
    SystemExited = 1,
    /// It is created; told to every callback once, also to one that is registered later.
    SystemCreateCompleted = 2,
    /// It is started.
    SystemStartCompleted = 3,
    /// It is paused.
    SystemPauseCompleted = 4,
    /// It goes on.
    SystemResumeCompleted = 5,
    /// Its guest's crash was recorded.
    SystemCrashReport = 6,
    /// The container's job was made.
    SystemSiloJobCreated = 7,
    /// It is saved.
    SystemSaveCompleted = 8,
    /// Its console entered or left the enhanced mode.
    SystemRdpEnhancedModeStateChanged = 9,
    /// It could not be shut down.
    SystemShutdownFailed = 10,
    /// Its properties are there.
    SystemGetPropertiesCompleted = 11,
    /// It is modified.
    SystemModifyCompleted = 12,
    /// Its guest began to crash.
    SystemCrashInitiated = 13,
    /// The connection to its guest was closed.
    SystemGuestConnectionClosed = 14,
    /// The process ended.
    ProcessExited = 0x0001_0000,
    /// The service went away.
    ServiceDisconnect = 0x0100_0000,
}

impl Notification {
    /// All of them.
    pub const ALL: [Notification; 16] = [
        Notification::SystemExited,
        Notification::SystemCreateCompleted,
        Notification::SystemStartCompleted,
        Notification::SystemPauseCompleted,
        Notification::SystemResumeCompleted,
        Notification::SystemCrashReport,
        Notification::SystemSiloJobCreated,
        Notification::SystemSaveCompleted,
        Notification::SystemRdpEnhancedModeStateChanged,
        Notification::SystemShutdownFailed,
        Notification::SystemGetPropertiesCompleted,
        Notification::SystemModifyCompleted,
        Notification::SystemCrashInitiated,
        Notification::SystemGuestConnectionClosed,
        Notification::ProcessExited,
        Notification::ServiceDisconnect,
    ];

    /// The number of the C interface.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Reads the number of the C interface, whose upper four bits are flags.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|notification| notification.code() == code & 0x0FFF_FFFF)
    }
}

impl OperationKind {
    /// How vmcompute.dll tells that a call, which it answered as pending, is over. A shutdown and a termination are
    /// over with the exit of the system; what has no notification is never pending there.
    pub const fn notification(self) -> Option<Notification> {
        match self {
            OperationKind::Create => Some(Notification::SystemCreateCompleted),
            OperationKind::Start => Some(Notification::SystemStartCompleted),
            OperationKind::Pause => Some(Notification::SystemPauseCompleted),
            OperationKind::Resume => Some(Notification::SystemResumeCompleted),
            OperationKind::Save => Some(Notification::SystemSaveCompleted),
            OperationKind::Modify => Some(Notification::SystemModifyCompleted),
            OperationKind::GetProperties => Some(Notification::SystemGetPropertiesCompleted),
            OperationKind::Shutdown | OperationKind::Terminate => Some(Notification::SystemExited),
            OperationKind::None
            | OperationKind::Enumerate
            | OperationKind::CreateProcess
            | OperationKind::SignalProcess
            | OperationKind::GetProcessInfo
            | OperationKind::GetProcessProperties
            | OperationKind::ModifyProcess
            | OperationKind::Crash => None,
        }
    }
}

/// The callback of one handle, and the events on their way to it.
///
/// Two callbacks that close each other's handles at the same time wait for each other for ever, as anywhere else.
pub struct Callbacks<E = Event> {
    state: Mutex<Place<E>>,
    idle: Condvar,
}

type Shared<E> = Arc<dyn Fn(&E) + Send + Sync>;

struct Place<E> {
    callback: Option<(EventOptions, Shared<E>)>,
    /// Not delivered yet.
    waiting: VecDeque<E>,
    /// Happened once and for all: told to a callback that comes later.
    kept: Vec<E>,
    /// Who calls the callback at present.
    delivering: Option<ThreadId>,
    closed: bool,
}

impl<E> Callbacks<E> {
    /// A handle without a callback.
    pub fn new() -> Self {
        let place = Place {
            callback: None,
            waiting: VecDeque::new(),
            kept: Vec::new(),
            delivering: None,
            closed: false,
        };
        Self { state: Mutex::new(place), idle: Condvar::new() }
    }

    /// Sets the handle's callback. What was kept for it waits for [`Callbacks::deliver`].
    ///
    /// # Errors
    /// `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` if there is one; `E_HANDLE` if the handle is closed.
    pub fn set(&self, options: EventOptions, callback: EventCallback<E>) -> Result<()> {
        let refused = |code| Err(Error::new("set a callback", code));
        let mut place = self.place();
        if place.closed {
            return refused(HResult::E_HANDLE);
        }
        if place.callback.is_some() {
            return refused(HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
        }
        place.callback = Some((options, Arc::from(callback)));
        let kept = std::mem::take(&mut place.kept);
        place.waiting.extend(kept);
        Ok(())
    }

    /// What the callback was set with.
    pub fn options(&self) -> Option<EventOptions> {
        self.place().callback.as_ref().map(|(options, _)| *options)
    }

    /// An event that is told to a callback that is there, for [`Callbacks::deliver`].
    pub fn send(&self, event: E) {
        let mut place = self.place();
        if !place.closed && place.callback.is_some() {
            place.waiting.push_back(event);
        }
    }

    /// An event that is told to a callback that is there or comes later, for [`Callbacks::deliver`].
    pub fn send_and_keep(&self, event: E) {
        let mut place = self.place();
        match (place.closed, place.callback.is_some()) {
            (true, _) => {}
            (false, true) => place.waiting.push_back(event),
            (false, false) => place.kept.push(event),
        }
    }

    /// Tells the callback what waits, on this thread; if another thread is at it, that one does it.
    pub fn deliver(&self) {
        let mut place = self.place();
        if place.delivering.is_some() {
            return;
        }
        while let Some((callback, event)) = place.next() {
            place.delivering = Some(thread::current().id());
            drop(place);
            let delivery = Delivery(self);
            callback(&event);
            drop(callback);
            drop(delivery);
            place = self.place();
            if place.delivering.is_some() {
                // Between two events another thread took over.
                return;
            }
        }
    }

    /// From now on no callback begins; one that runs is waited for, unless it is this very thread that runs it.
    pub fn close(&self) {
        let mut place = self.place();
        place.closed = true;
        place.waiting.clear();
        place.kept.clear();
        let callback = place.callback.take();
        let me = thread::current().id();
        while place.delivering.is_some_and(|thread| thread != me) {
            place = self.idle.wait(place).unwrap_or_else(PoisonError::into_inner);
        }
        drop(place);
        drop(callback);
    }

    fn place(&self) -> MutexGuard<'_, Place<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Place<E> {
    fn next(&mut self) -> Option<(Shared<E>, E)> {
        let (_, callback) = self.callback.as_ref()?;
        let event = self.waiting.pop_front()?;
        Some((Arc::clone(callback), event))
    }
}

/// Ends a delivery, also when the callback panics.
struct Delivery<'a, E>(&'a Callbacks<E>);

impl<E> Drop for Delivery<'_, E> {
    fn drop(&mut self) {
        self.0.place().delivering = None;
        self.0.idle.notify_all();
    }
}

impl<E> Default for Callbacks<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Callbacks<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        f.debug_struct("Callbacks")
            .field("set", &place.callback.is_some())
            .field("waiting", &place.waiting.len())
            .field("closed", &place.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;
    use std::sync::mpsc;
    use std::time::Duration;

    fn exited() -> Event {
        Event::SystemExited(SystemExitStatus::default())
    }

    fn listener() -> (EventCallback, mpsc::Receiver<u32>) {
        let (sender, receiver) = mpsc::channel();
        (Box::new(move |event| sender.send(event.code()).unwrap()), receiver)
    }

    fn code<T>(result: Result<T>) -> HResult {
        result.map_or_else(|error| error.code(), |_| HResult::S_OK)
    }

    #[test]
    fn a_handle_has_one_callback() {
        let callbacks = Callbacks::<Event>::new();
        callbacks.set(EventOptions::default(), listener().0).unwrap();
        let second = callbacks.set(EventOptions::default(), listener().0);
        assert_eq!(code(second), HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    }

    #[test]
    fn events_come_in_order_and_an_exit_also_to_who_came_late() {
        let callbacks = Callbacks::<Event>::new();
        callbacks.send(Event::SystemGuestConnectionClosed(None));
        callbacks.send_and_keep(exited());
        let (callback, heard) = listener();
        callbacks.set(EventOptions::default(), callback).unwrap();
        callbacks.send(Event::ServiceDisconnect);
        callbacks.deliver();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [1, 0x0200_0000]);
    }

    #[test]
    fn nothing_is_heard_after_the_close() {
        let callbacks = Callbacks::<Event>::new();
        let (callback, heard) = listener();
        callbacks.set(EventOptions::default(), callback).unwrap();
        callbacks.send(exited());
        callbacks.close();
        callbacks.deliver();
        callbacks.send(exited());
        callbacks.deliver();
        assert_eq!(heard.recv(), Err(mpsc::RecvError), "the callback itself is gone");
        assert_eq!(code(callbacks.set(EventOptions::default(), listener().0)), HResult::E_HANDLE);
    }

    #[test]
    fn a_close_waits_for_the_callback_that_runs() {
        let callbacks = Arc::new(Callbacks::new());
        let (entered, wait_entered) = mpsc::channel();
        let (leave, wait_leave) = mpsc::channel::<()>();
        let wait_leave = Mutex::new(wait_leave);
        let (left, wait_left) = mpsc::channel();
        let callback = move |_: &Event| {
            entered.send(()).unwrap();
            wait_leave.lock().unwrap().recv().unwrap();
            left.send(()).unwrap();
        };
        callbacks.set(EventOptions::default(), Box::new(callback)).unwrap();
        callbacks.send(exited());
        let deliverer = Arc::clone(&callbacks);
        let delivery = thread::spawn(move || deliverer.deliver());
        wait_entered.recv().unwrap();
        let closer = Arc::clone(&callbacks);
        let close = thread::spawn(move || {
            closer.close();
            wait_left.try_recv()
        });
        assert!(!close.is_finished());
        leave.send(()).unwrap();
        assert_eq!(close.join().unwrap(), Ok(()), "the callback was over when the close returned");
        delivery.join().unwrap();
    }

    #[test]
    fn a_callback_may_close_its_own_handle() {
        let callbacks = Arc::new(Callbacks::new());
        let weak: Weak<Callbacks> = Arc::downgrade(&callbacks);
        let (sender, receiver) = mpsc::channel();
        let callback = move |_: &Event| {
            weak.upgrade().unwrap().close();
            sender.send(()).unwrap();
        };
        callbacks.set(EventOptions::default(), Box::new(callback)).unwrap();
        callbacks.send(exited());
        callbacks.send(exited());
        callbacks.deliver();
        assert_eq!(receiver.iter().count(), 1);
    }

    #[test]
    fn a_callback_that_panics_does_not_block_the_next_event() {
        let callbacks = Arc::new(Callbacks::new());
        let (sender, receiver) = mpsc::channel();
        let callback = move |event: &Event| {
            assert!(event.code() != 1, "asked for");
            sender.send(event.code()).unwrap();
        };
        callbacks.set(EventOptions::default(), Box::new(callback)).unwrap();
        callbacks.send(exited());
        callbacks.send(Event::ServiceDisconnect);
        let deliverer = Arc::clone(&callbacks);
        assert!(thread::spawn(move || deliverer.deliver()).join().is_err());
        callbacks.deliver();
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(0x0200_0000));
    }

    #[test]
    fn events_and_options_survive_the_c_interface() {
        let events = [
            exited(),
            Event::SystemCrashInitiated(CrashReport::default()),
            Event::SystemCrashReport(CrashReport::default()),
            Event::SystemRdpEnhancedModeStateChanged(None),
            Event::SystemSiloJobCreated(Some("{}".to_owned())),
            Event::SystemGuestConnectionClosed(None),
            Event::ProcessExited(ProcessStatus::default()),
            Event::ServiceDisconnect,
            Event::Other(0x8000_0002, Some("{\"a\":1}".to_owned())),
        ];
        for event in events {
            let data = event.data();
            assert_eq!(Event::read(event.code(), data.as_deref()).unwrap(), event);
        }
        assert_eq!(code(Event::read(1, Some("[")).map(|_| ())), HResult::HCS_E_INVALID_JSON);
        for bits in [0, 1, 4, 5] {
            assert_eq!(EventOptions::from_bits(bits).unwrap().bits(), bits);
        }
        assert_eq!(EventOptions::from_bits(2), None);
    }

    #[test]
    fn a_notification_has_the_number_of_its_flags() {
        for notification in Notification::ALL {
            assert_eq!(Notification::from_code(notification.code() | 0x8000_0000), Some(notification));
        }
        assert_eq!(Notification::from_code(0), None);
        assert_eq!(exited().notification(), Some(Notification::SystemExited));
        assert_eq!(OperationKind::Start.notification(), Some(Notification::SystemStartCompleted));
    }
}
