//! What an accepted call is until its result is there.

use super::{Case, Fixture, Need, PATIENCE, Subject, done, eventually, finish, must, refused};
use crate::documents::{NotificationType, StartOptions, State, SystemPropertyQuery, SystemQuery};
use crate::hresult::HResult;
use crate::operation::OperationKind;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const fn case(name: &'static str, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "operations", need: Need::Containers, run }
}

pub(super) const CASES: &[Case] = &[
    case("what runs is pending", pending),
    case("a wait that is too short can be repeated", too_short),
    case("a result is handed out once", once),
    case("an operation can be awaited", awaited),
    case("a completion callback gets the result", called_back),
    case("a completion callback that comes late gets it too", called_back_late),
    case("a completion callback may make calls and wait", calls_in_callback),
    case("a dropped operation goes on", dropped),
    case("several wait for one exit", several),
    case("cancelling is answered and the operation still ends", cancelled),
    case("operations have numbers and kinds", numbered),
    case("an operation outlives the handle that it was called on", outlives_handle),
];

fn pending(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "pending");
    let mut exit = must(subject.system.exit());
    assert_eq!(refused(exit.try_result()), HResult::HCS_E_OPERATION_PENDING);
    assert!(!exit.is_finished());
    subject.terminate();
    assert_eq!(done(Ok(exit)).exit_type, Some(NotificationType::ForcedExit));
}

fn too_short(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "too-short");
    let mut exit = must(subject.system.exit());
    for _ in 0..2 {
        let code = refused(exit.wait_timeout(Duration::from_millis(10)));
        assert_eq!(code, HResult::HCS_E_OPERATION_TIMEOUT);
        assert!(code.is_timeout());
    }
    subject.terminate();
    must(exit.wait_timeout(PATIENCE));
}

fn once(fixture: &dyn Fixture) {
    let mut listed = must(fixture.service().enumerate_systems(&SystemQuery::new()));
    must(listed.wait_timeout(PATIENCE));
    assert!(listed.is_finished());
    assert_eq!(refused(listed.try_result()), HResult::HCS_E_OPERATION_NOT_STARTED);
    assert_eq!(refused(listed.wait()), HResult::HCS_E_OPERATION_NOT_STARTED);
}

/// Tells when the task is woken.
struct Woken(mpsc::SyncSender<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // One that is told already needs no more.
        self.0.try_send(()).unwrap_or_default();
    }
}

fn awaited(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "awaited");
    let (sender, woken) = mpsc::sync_channel(1);
    let waker = Waker::from(Arc::new(Woken(sender)));
    let mut context = Context::from_waker(&waker);
    let mut exit = must(subject.system.exit());
    assert!(Pin::new(&mut exit).poll(&mut context).is_pending());
    subject.terminate();
    woken.recv_timeout(PATIENCE).expect("the task is woken");
    match Pin::new(&mut exit).poll(&mut context) {
        Poll::Ready(status) => assert_eq!(must(status).exit_type, Some(NotificationType::ForcedExit)),
        Poll::Pending => panic!("it was woken too early"),
    }
}

fn called_back(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "called-back");
    let (sender, receiver) = mpsc::channel();
    must(must(subject.system.exit()).on_completion(move |result| sender.send(result).unwrap_or_default()));
    assert!(receiver.try_recv().is_err(), "it still runs");
    subject.terminate();
    let status = receiver.recv_timeout(PATIENCE).expect("the callback comes");
    assert_eq!(must(status).exit_type, Some(NotificationType::ForcedExit));
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "once; its sender is gone");
}

fn called_back_late(fixture: &dyn Fixture) {
    let listed = must(fixture.service().enumerate_systems(&SystemQuery::new()));
    eventually("the end of the enumeration", || listed.is_finished());
    let (sender, receiver) = mpsc::channel();
    must(listed.on_completion(move |result| sender.send(result.is_ok()).unwrap_or_default()));
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
}

fn calls_in_callback(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "calls");
    let (sender, receiver) = mpsc::channel();
    let other = subject.again(fixture);
    must(must(subject.system.exit()).on_completion(move |_| {
        let state = finish(other.properties(&SystemPropertyQuery::new())).map(|properties| properties.state);
        drop(other);
        sender.send(state).unwrap_or_default();
    }));
    subject.terminate();
    let state = receiver.recv_timeout(PATIENCE).expect("the callback ends");
    assert_eq!(must(state), Some(State::Stopped));
}

fn dropped(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "dropped");
    drop(must(subject.system.start(&StartOptions::new())));
    eventually("the start", || subject.properties().state == Some(State::Running));
}

fn several(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "several");
    let other = subject.again(fixture);
    let exits = [subject.system.exit(), subject.system.exit(), other.exit()];
    drop(must(subject.system.exit()));
    subject.terminate();
    for exit in exits {
        assert_eq!(done(exit).exit_type, Some(NotificationType::ForcedExit));
    }
}

fn cancelled(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "cancelled");
    let mut exit = must(subject.system.exit());
    if let Err(error) = exit.cancel() {
        assert_eq!(error.code(), HResult::E_NOTIMPL);
    }
    subject.terminate();
    if let Err(error) = exit.wait_timeout(PATIENCE) {
        assert_eq!(error.code(), HResult::E_ABORT);
    }
}

fn numbered(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "numbered");
    let start = must(subject.system.start(&StartOptions::new()));
    let query = must(subject.system.properties(&SystemPropertyQuery::new()));
    assert_ne!(start.id(), query.id());
    assert_eq!((start.kind(), query.kind()), (OperationKind::Start, OperationKind::GetProperties));
    done(Ok(start));
    done(Ok(query));
}

fn outlives_handle(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "outlives-handle");
    let other = subject.again(fixture);
    let exit = must(other.exit());
    let query = must(other.properties(&SystemPropertyQuery::new()));
    drop(other);
    assert_eq!(done(Ok(query)).state, Some(State::Running));
    subject.terminate();
    assert_eq!(done(Ok(exit)).exit_type, Some(NotificationType::ForcedExit));
}
