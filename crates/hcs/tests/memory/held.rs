//! What callers see of calls that were accepted and are not carried out yet.

use hcs::HResult;
use hcs::documents::{PauseOptions, StartOptions, State, SystemPropertyQuery, SystemQuery};
use hcs::event::{Event, EventOptions};
use hcs::operation::{Operation, OperationKind};
use hcs::service::{ComputeService, System};
use hcs::suite::Program;
use hcs::suite::memory::{Memory, MemoryFixture};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The cases, by name.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("a thousand operations of sixteen threads wait and then all end", thousand),
    ("a system is used before its creation is done", used_before_created),
    ("a process is used before its creation is done", process_before_created),
    ("a wait that is too short leaves the operation running", too_short),
    ("what is in flight goes on when its handles are closed", handles_closed),
    ("what is in flight goes on when the service is dropped", service_dropped),
    ("what is in flight is not cancelled", not_cancelled),
    ("calls take effect in the order in which they were accepted", in_order),
];

const SOON: Duration = Duration::from_millis(10);

fn create(service: &dyn ComputeService, id: &str) -> (Box<dyn System>, Operation<()>) {
    service.create_system(id, &MemoryFixture::container_document().into()).unwrap()
}

fn running(service: &dyn ComputeService) -> Box<dyn System> {
    let (system, created) = create(service, "system");
    created.wait().unwrap();
    system.start(&StartOptions::new()).unwrap().wait().unwrap();
    system
}

fn state(system: &dyn System) -> Option<State> {
    system.properties(&SystemPropertyQuery::new()).unwrap().wait().unwrap().state
}

fn thousand() {
    let service = Memory::new();
    let system = running(&service);
    let held = service.hold();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for number in 0..64 {
                    let sender = sender.clone();
                    let query = system.properties(&SystemPropertyQuery::new()).unwrap();
                    if number % 2 == 0 {
                        query.on_completion(move |result| sender.send(result.is_ok()).unwrap()).unwrap();
                    } else {
                        let waiter = move || sender.send(query.wait().is_ok()).unwrap();
                        drop(thread::Builder::new().stack_size(64 << 10).spawn(waiter).unwrap());
                    }
                }
            });
        }
    });
    drop(sender);
    assert!(receiver.recv_timeout(SOON).is_err(), "none is over");
    drop(held);
    assert_eq!(receiver.iter().filter(|done| *done).count(), 1024);
}

fn used_before_created() {
    let service = Memory::new();
    let held = service.hold();
    let (system, created) = create(&service, "system");
    let (sender, receiver) = mpsc::channel();
    let callback = move |event: &Event| sender.send(event.code()).unwrap();
    system.set_callback(EventOptions::default(), Box::new(callback)).unwrap();
    let exit = system.exit().unwrap();
    let started = system.start(&StartOptions::new()).unwrap();
    let ended = system.terminate().unwrap();
    assert!(!created.is_finished() && !started.is_finished());
    drop(held);
    created.wait().unwrap();
    started.wait().unwrap();
    ended.wait().unwrap();
    exit.wait().unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
}

fn process_before_created() {
    let service = Memory::new();
    let system = running(&service);
    let held = service.hold();
    let (process, created) = system.create_process(&MemoryFixture::parameters(Program::Exits(4))).unwrap();
    let (sender, receiver) = mpsc::channel();
    let callback = move |event: &Event| sender.send(event.code()).unwrap();
    process.set_callback(EventOptions::default(), Box::new(callback)).unwrap();
    let exit = process.exit().unwrap();
    assert_eq!(process.id(), None);
    drop(held);
    let information = created.wait().unwrap();
    assert_eq!(process.id(), Some(information.process_id));
    assert_eq!(exit.wait().unwrap().exit_code, Some(4));
    assert_eq!(receiver.recv().unwrap(), 0x1_0000);
    let (process, created) = system.create_process(&MemoryFixture::parameters(Program::Missing)).unwrap();
    assert!(created.wait().is_err());
    assert!(process.exit().unwrap().wait().is_err(), "there is no process whose exit would come");
}

fn too_short() {
    let service = Memory::new();
    let system = running(&service);
    let held = service.hold();
    let mut pause = system.pause(&PauseOptions::new()).unwrap();
    let code = pause.wait_timeout(SOON).unwrap_err().code();
    assert_eq!(code, HResult::HCS_E_OPERATION_TIMEOUT);
    assert_eq!(pause.try_result().unwrap_err().code(), HResult::HCS_E_OPERATION_PENDING);
    drop(held);
    pause.wait().unwrap();
    assert_eq!(state(&*system), Some(State::Paused));
}

fn handles_closed() {
    let service = Memory::new();
    let held = service.hold();
    let (system, created) = create(&service, "system");
    let started = system.start(&StartOptions::new()).unwrap();
    drop(system);
    drop(held);
    created.wait().unwrap();
    started.wait().unwrap();
    assert_eq!(state(&*service.open_system("system").unwrap()), Some(State::Running));
}

fn service_dropped() {
    let service = Memory::new();
    let held = service.hold();
    let listed = service.enumerate_systems(&SystemQuery::new()).unwrap();
    drop(service);
    drop(held);
    assert_eq!(listed.wait().unwrap().len(), 0);
}

fn not_cancelled() {
    let service = Memory::new();
    let system = running(&service);
    let held = service.hold();
    let pause = system.pause(&PauseOptions::new()).unwrap();
    assert_eq!(pause.kind(), OperationKind::Pause);
    assert_eq!(pause.cancel().unwrap_err().code(), HResult::E_NOTIMPL);
    drop(held);
    pause.wait().unwrap();
}

fn in_order() {
    let service = Memory::new();
    let system = running(&service);
    let held = service.hold();
    let calls: Vec<Operation<()>> = (0..100)
        .flat_map(|_| [system.pause(&PauseOptions::new()).unwrap(), system.resume().unwrap()])
        .collect();
    drop(held);
    for call in calls {
        call.wait().unwrap();
    }
    assert_eq!(state(&*system), Some(State::Running));
}
