//! What the callbacks of handles hear.

use super::{Case, Fixture, Need, PATIENCE, Program, Subject, done, must, refused};
use crate::documents::{CrashOptions, NotificationType, PauseOptions, ShutdownOptions, SystemPropertyQuery};
use crate::event::{Event, EventCallback, EventOptions};
use crate::hresult::HResult;
use crate::operation::OperationKind;
use crate::service::System;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "events", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("a callback hears of the exit", Need::Containers, hears_exit),
    case("a handle has one callback", Need::Containers, one_callback),
    case("each handle has a callback of its own", Need::Containers, each_handle),
    case("who comes late hears of the exit", Need::Containers, late),
    case("nothing is heard after the handle is closed", Need::Containers, closed),
    case("closing a handle waits for its callback", Need::Containers, close_waits),
    case("a callback may close its own handle", Need::Containers, closes_itself),
    case("a callback may make calls and wait", Need::Containers, calls),
    case("a crash is told before the exit", Need::Crash, crash),
    case("operations are reported to who asks for it", Need::Pause, reported),
    case("operations are not reported to who does not", Need::Containers, not_reported),
    case("a callback hears of a process's exit", Need::Processes, process_exit),
    case("who comes late hears of a process's exit", Need::Processes, process_late),
    case("a process's handle has one callback", Need::Processes, process_one_callback),
];

/// A callback, and what it heard.
fn listener() -> (EventCallback, Receiver<Event>) {
    let (sender, receiver) = mpsc::channel();
    // A case that is over no longer listens.
    (Box::new(move |event| sender.send(event.clone()).unwrap_or_default()), receiver)
}

fn listen(system: &dyn System) -> Receiver<Event> {
    let (callback, heard) = listener();
    must(system.set_callback(EventOptions::default(), callback));
    heard
}

#[track_caller]
fn next(heard: &Receiver<Event>) -> Event {
    heard.recv_timeout(PATIENCE).expect("an event comes")
}

#[track_caller]
fn must_be_exit(event: &Event, kind: &NotificationType) {
    match event {
        Event::SystemExited(status) => assert_eq!(status.exit_type.as_ref(), Some(kind)),
        other => panic!("no exit but {other:?}"),
    }
}

fn hears_exit(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "hears");
    let heard = listen(&*subject.system);
    done(subject.system.shut_down(&ShutdownOptions::new()));
    must_be_exit(&next(&heard), &NotificationType::GracefulExit);
}

fn one_callback(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "one-callback");
    let heard = listen(&*subject.system);
    let (second, unheard) = listener();
    let second = subject.system.set_callback(EventOptions::default(), second);
    assert_eq!(refused(second), HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    subject.terminate();
    must_be_exit(&next(&heard), &NotificationType::ForcedExit);
    assert!(unheard.recv_timeout(PATIENCE).is_err(), "what was refused is gone");
}

fn each_handle(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "each-handle");
    let other = subject.again(fixture);
    let heard = [listen(&*subject.system), listen(&*other)];
    subject.terminate();
    for heard in heard {
        must_be_exit(&next(&heard), &NotificationType::ForcedExit);
    }
}

fn late(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "late");
    subject.terminate();
    done(subject.system.exit());
    must_be_exit(&next(&listen(&*subject.system)), &NotificationType::ForcedExit);
}

fn closed(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "closed");
    let other = subject.again(fixture);
    let (heard, closed) = (listen(&*subject.system), listen(&*other));
    drop(other);
    subject.terminate();
    must_be_exit(&next(&heard), &NotificationType::ForcedExit);
    assert!(closed.recv_timeout(PATIENCE).is_err(), "the callback went with its handle");
}

fn close_waits(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "close-waits");
    let handle = subject.again(fixture);
    let (entered, wait_entered) = mpsc::channel();
    let (leave, wait_leave) = mpsc::channel::<()>();
    let (closed, wait_closed) = mpsc::channel();
    let wait_leave = Mutex::new(wait_leave);
    let left = Arc::new(AtomicBool::new(false));
    let leaving = Arc::clone(&left);
    let callback = move |_: &Event| {
        entered.send(()).unwrap_or_default();
        let waited = wait_leave.lock().map(|wait_leave| wait_leave.recv_timeout(PATIENCE));
        leaving.store(waited.is_ok(), Ordering::SeqCst);
    };
    must(handle.set_callback(EventOptions::default(), Box::new(callback)));
    subject.terminate();
    wait_entered.recv_timeout(PATIENCE).expect("the callback begins");
    let closer = thread::spawn(move || {
        drop(handle);
        closed.send(left.load(Ordering::SeqCst)).unwrap_or_default();
    });
    assert!(wait_closed.recv_timeout(Duration::from_millis(50)).is_err(), "the callback still runs");
    leave.send(()).unwrap_or_default();
    assert_eq!(wait_closed.recv_timeout(PATIENCE), Ok(true));
    assert!(closer.join().is_ok());
}

fn closes_itself(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "closes-itself");
    let own: Arc<Mutex<Option<Box<dyn System>>>> = Arc::new(Mutex::new(Some(subject.again(fixture))));
    let (sender, receiver) = mpsc::channel();
    let held = Arc::clone(&own);
    let callback = move |_: &Event| {
        let handle = held.lock().map(|mut handle| handle.take()).unwrap_or_default();
        let closes = handle.is_some();
        drop(handle);
        sender.send(closes).unwrap_or_default();
    };
    let handle = own.lock().map(|handle| {
        handle.as_ref().map(|handle| must(handle.set_callback(EventOptions::default(), Box::new(callback))))
    });
    assert!(handle.is_ok_and(|set| set.is_some()));
    subject.terminate();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
}

fn calls(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "calls-back");
    let other = Mutex::new(Some(subject.again(fixture)));
    let (sender, receiver) = mpsc::channel();
    let callback = move |_: &Event| {
        let handle = other.lock().map(|mut handle| handle.take()).unwrap_or_default();
        if let Some(handle) = handle {
            let properties = super::finish(handle.properties(&SystemPropertyQuery::new()));
            sender.send(properties.is_ok_and(|properties| properties.id.is_some())).unwrap_or_default();
        }
    };
    must(subject.system.set_callback(EventOptions::default(), Box::new(callback)));
    subject.terminate();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
}

fn crash(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "crash-told");
    let heard = listen(&*subject.system);
    done(subject.system.crash(&CrashOptions::new()));
    let mut reports = 0;
    loop {
        match next(&heard) {
            Event::SystemCrashInitiated(report) | Event::SystemCrashReport(report) => {
                assert_eq!(report.system_id.as_ref(), Some(&subject.id));
                reports += 1;
            }
            exit => break must_be_exit(&exit, &NotificationType::UnexpectedExit),
        }
    }
    assert!(reports >= 1, "a report comes before the exit");
}

fn reported(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "reported");
    let (callback, heard) = listener();
    let options = EventOptions { operation_callbacks: true, ..EventOptions::default() };
    must(subject.system.set_callback(options, callback));
    let pause = must(subject.system.pause(&PauseOptions::new()));
    let id = pause.id();
    assert!(pause.is_reported());
    let own = pause.on_completion(|_| panic!("it has no callback of its own"));
    assert_eq!(refused(own), HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    match next(&heard) {
        Event::OperationCompleted(completed) => {
            assert_eq!(completed.id, id);
            assert_eq!((completed.kind, completed.code), (OperationKind::Pause, HResult::S_OK));
        }
        other => panic!("no end of an operation but {other:?}"),
    }
    let again = super::finish(subject.system.pause(&PauseOptions::new()));
    assert_eq!(refused(again), HResult::HCS_E_INVALID_STATE);
    match next(&heard) {
        Event::OperationCompleted(completed) => assert_eq!(completed.code, HResult::HCS_E_INVALID_STATE),
        other => panic!("no end of an operation but {other:?}"),
    }
}

fn not_reported(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "not-reported");
    let heard = listen(&*subject.system);
    subject.properties();
    subject.terminate();
    must_be_exit(&next(&heard), &NotificationType::ForcedExit);
}

fn process_exit(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-exit");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    let (callback, heard) = listener();
    must(process.set_callback(EventOptions::default(), callback));
    done(process.terminate());
    match next(&heard) {
        Event::ProcessExited(status) => {
            assert_eq!(status.process_id, Some(information.process_id));
            assert_eq!(status.exited, Some(true));
        }
        other => panic!("no exit of a process but {other:?}"),
    }
}

fn process_late(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-late");
    let (process, _) = subject.process(&fixture.process(Program::Exits(3)));
    done(process.exit());
    let (callback, heard) = listener();
    must(process.set_callback(EventOptions::default(), callback));
    match next(&heard) {
        Event::ProcessExited(status) => assert_eq!(status.exit_code, Some(3)),
        other => panic!("no exit of a process but {other:?}"),
    }
}

fn process_one_callback(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-callback");
    let (process, _) = subject.process(&fixture.process(Program::Sleeps));
    must(process.set_callback(EventOptions::default(), listener().0));
    let second = process.set_callback(EventOptions::default(), listener().0);
    assert_eq!(refused(second), HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
}
