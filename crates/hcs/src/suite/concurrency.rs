//! Many at once.

use super::{Case, Fixture, Need, PATIENCE, Program, Subject, done, finish, must, read, unique};
use crate::documents::{NotificationType, SystemPropertyQuery, SystemQuery};
use crate::event::{Event, EventOptions};
use crate::hresult::HResult;
use crate::operation::Operation;
use std::io::Write;
use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};

const THREADS: usize = 16;
/// Operations in flight at the same time: more than a thousand in all threads.
const EACH: usize = 63;

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "concurrency", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("sixteen threads live sixteen lives", Need::Containers, lives),
    case("a thousand operations are in flight and all end", Need::Containers, in_flight),
    case("a thousand operations are in flight and all call back", Need::Containers, in_flight_callbacks),
    case("a thousand queries are answered each for itself", Need::Containers, queries),
    case("of sixteen who create an id one does", Need::Containers, one_creates),
    case("of sixteen who terminate a system one does", Need::Containers, one_terminates),
    case("sixteen handles hear of one exit", Need::Containers, handles),
    case("sixteen processes copy at the same time", Need::Processes, processes),
    case("handles are opened and closed while a system ends", Need::Containers, churn),
];

/// What sixteen threads come to.
fn in_threads<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || work(number))).collect();
        let joined = threads.into_iter().map(ScopedJoinHandle::join);
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn lives(fixture: &dyn Fixture) {
    in_threads(|_| {
        for _ in 0..3 {
            let subject = Subject::running(fixture, "lives");
            assert!(subject.properties().id.is_some());
            subject.terminate();
            assert_eq!(done(subject.system.exit()).exit_type, Some(NotificationType::ForcedExit));
        }
    });
}

fn in_flight(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "in-flight");
    let exits = in_threads(|_| {
        let handle = subject.again(fixture);
        (0..EACH).map(|_| must(handle.exit())).collect::<Vec<Operation<_>>>()
    });
    let exits: Vec<_> = exits.into_iter().flatten().collect();
    assert!(exits.len() > 1000 && exits.iter().all(|exit| !exit.is_finished()));
    subject.terminate();
    for exit in exits {
        assert_eq!(done(Ok(exit)).exit_type, Some(NotificationType::ForcedExit));
    }
}

fn in_flight_callbacks(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "in-flight-callbacks");
    let (sender, receiver) = mpsc::channel();
    in_threads(|_| {
        let handle = subject.again(fixture);
        for _ in 0..EACH {
            let sender = sender.clone();
            let exit = must(handle.exit());
            must(exit.on_completion(move |result| sender.send(result.is_ok()).unwrap_or_default()));
        }
    });
    drop(sender);
    subject.terminate();
    for _ in 0..THREADS * EACH {
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
    }
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "each once");
}

fn queries(fixture: &dyn Fixture) {
    let subjects = in_threads(|_| Subject::created(fixture, "queried"));
    in_threads(|number| {
        let subject = &subjects[number];
        let asked: Vec<_> =
            (0..EACH).map(|_| must(subject.system.properties(&SystemPropertyQuery::new()))).collect();
        for answer in asked {
            assert_eq!(done(Ok(answer)).id.as_ref(), Some(&subject.id));
        }
    });
}

fn one_creates(fixture: &dyn Fixture) {
    let id = unique("contended");
    let created = in_threads(|_| {
        let created = fixture.service().create_system(&id, &fixture.container().into());
        created.and_then(|(system, created)| finish(Ok(created)).map(|()| system))
    });
    let (made, refused): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    }
    for system in made {
        done(must(system).terminate());
    }
}

fn one_terminates(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "terminated-by-all");
    let handles = in_threads(|_| subject.again(fixture));
    let ended = in_threads(|number| finish(handles[number].terminate()));
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1);
    for error in ended.into_iter().filter_map(Result::err) {
        assert!(error.code().is_already_stopped(), "{error}");
    }
}

fn handles(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "heard-by-all");
    let (sender, receiver) = mpsc::channel();
    let handles = in_threads(|_| {
        let (handle, sender) = (subject.again(fixture), sender.clone());
        let callback =
            move |event: &Event| sender.send(matches!(event, Event::SystemExited(_))).unwrap_or_default();
        must(handle.set_callback(EventOptions::default(), Box::new(callback)));
        handle
    });
    subject.terminate();
    for _ in &handles {
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
    }
}

fn processes(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "many-processes");
    in_threads(|number| {
        let parameters = fixture.process(Program::Copies).create_std_in_pipe(true).create_std_out_pipe(true);
        let (process, information) = subject.process(&parameters);
        let text = format!("thread {number}\n");
        let mut input = information.stdio.input.expect("it was asked for");
        input.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("write: {error}"));
        drop(input);
        assert_eq!(read(information.stdio.output.expect("it was asked for")), text);
        assert_eq!(done(process.exit()).exit_code, Some(0));
    });
}

fn churn(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "churn");
    in_threads(|number| {
        if number == 0 {
            return subject.terminate();
        }
        // Each of these finds the system or not; none may hang or answer otherwise.
        for _ in 0..20 {
            match fixture.service().open_system(&subject.id) {
                Ok(handle) => {
                    must(handle.set_callback(EventOptions::default(), Box::new(|_| ())));
                    let state = finish(handle.properties(&SystemPropertyQuery::new()));
                    assert!(state.is_ok_and(|properties| properties.state.is_some()));
                }
                Err(error) => assert!(error.code().is_not_exist(), "{error}"),
            }
        }
    });
    let query = SystemQuery::new().ids([subject.id.as_str()]);
    assert!(done(fixture.service().enumerate_systems(&query)).is_empty());
}
