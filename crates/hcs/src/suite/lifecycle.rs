//! How compute systems live and die.

use super::{Case, Fixture, Need, Program, Subject, done, finish, folder, must, refused, unique};
use crate::documents::{
    CrashOptions, NotificationType, PauseOptions, SaveOptions, SaveType, ShutdownOptions, StartOptions,
    State, Version,
};
use crate::hresult::HResult;

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "lifecycle", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("a created system waits until it is started", Need::Containers, waits),
    case("a system is started once", Need::Containers, started_once),
    case("an id is taken once", Need::Containers, id_taken),
    case("a system that ended cannot be opened and its id is free", Need::Containers, ephemeral),
    case("a system that ended answers that it has stopped", Need::Containers, stopped),
    case("what never was is not found", Need::Containers, never_was),
    case("a shutdown is a graceful exit", Need::Containers, shut_down),
    case("a termination is a forced exit", Need::Containers, terminated),
    case("a created system can be terminated and not shut down", Need::Containers, created_ended),
    case("a system ends with its last handle if it was made so", Need::Containers, last_handle),
    case("a system outlives its handles otherwise", Need::Containers, outlives),
    case("a document without a version is refused", Need::Containers, no_version),
    case("a document of an unknown version is refused", Need::Containers, unknown_version),
    case("a document of two kinds of systems is refused", Need::Containers, two_kinds),
    case("a container is paused and resumed", Need::Pause, paused),
    case("a paused container takes no process", Need::Pause, paused_takes_no_process),
    case("a running machine is not saved", Need::Machines, not_saved),
    case("a paused machine is saved and can go on", Need::Machines, saved),
    case("a template can only be ended", Need::Machines, template),
    case("a hosted container needs its machine and ends with it", Need::Hosted, hosted),
    case("a crash is an unexpected exit", Need::Crash, crashed),
];

fn waits(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "waits");
    assert_eq!(subject.system.id(), subject.id);
    assert_eq!(subject.properties().state, Some(State::Created));
    let process = fixture.process(Program::Sleeps);
    let early = subject.system.create_process(&process).and_then(|(_, created)| finish(Ok(created)));
    assert_eq!(refused(early), HResult::HCS_E_INVALID_STATE, "processes come after the start");
    subject.start();
    assert_eq!(subject.properties().state, Some(State::Running));
}

fn started_once(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "once");
    let again = finish(subject.system.start(&StartOptions::new()));
    assert_eq!(refused(again), HResult::HCS_E_INVALID_STATE);
    assert_eq!(subject.properties().state, Some(State::Running));
}

fn id_taken(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "taken");
    let second = fixture.service().create_system(&subject.id, &fixture.container().into());
    let second = second.and_then(|(_, created)| finish(Ok(created)));
    assert_eq!(refused(second), HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    assert_eq!(subject.properties().state, Some(State::Created));
}

fn ephemeral(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ephemeral");
    subject.terminate();
    done(subject.system.exit());
    assert!(refused(fixture.service().open_system(&subject.id)).is_not_exist());
    let (second, created) = must(fixture.service().create_system(&subject.id, &fixture.container().into()));
    done(Ok(created));
    done(second.terminate());
}

fn stopped(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "stopped");
    subject.terminate();
    let system = &subject.system;
    let process = fixture.process(Program::Sleeps);
    let answers = [
        refused(finish(system.terminate())),
        refused(finish(system.shut_down(&ShutdownOptions::new()))),
        refused(finish(system.start(&StartOptions::new()))),
        refused(finish(system.pause(&PauseOptions::new()))),
        refused(finish(system.resume())),
        refused(system.create_process(&process).and_then(|(_, created)| finish(Ok(created)))),
    ];
    assert_eq!(answers, [HResult::HCS_E_SYSTEM_ALREADY_STOPPED; 6]);
    assert!(answers[0].is_already_stopped());
    assert_eq!(done(system.exit()).exit_type, Some(NotificationType::ForcedExit));
}

fn never_was(fixture: &dyn Fixture) {
    assert!(refused(fixture.service().open_system(&unique("never"))).is_not_exist());
}

fn shut_down(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "shutdown");
    done(subject.system.shut_down(&ShutdownOptions::new()));
    assert_eq!(done(subject.system.exit()).exit_type, Some(NotificationType::GracefulExit));
}

fn terminated(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "terminate");
    subject.terminate();
    assert_eq!(done(subject.system.exit()).exit_type, Some(NotificationType::ForcedExit));
}

fn created_ended(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "unstarted");
    let shut_down = finish(subject.system.shut_down(&ShutdownOptions::new()));
    assert_eq!(refused(shut_down), HResult::HCS_E_INVALID_STATE);
    subject.terminate();
    assert!(refused(fixture.service().open_system(&subject.id)).is_not_exist());
}

fn last_handle(fixture: &dyn Fixture) {
    let document = fixture.container().should_terminate_on_last_handle_closed(true);
    let id = unique("last-handle");
    let (first, created) = must(fixture.service().create_system(&id, &document.into()));
    done(Ok(created));
    done(first.start(&StartOptions::new()));
    let second = must(fixture.service().open_system(&id));
    drop(first);
    let properties = done(second.properties(&crate::documents::SystemPropertyQuery::new()));
    assert_eq!(properties.state, Some(State::Running), "another handle is open");
    let exit = must(second.exit());
    drop(second);
    assert_eq!(done(Ok(exit)).exit_type, Some(NotificationType::ForcedExit));
    assert!(refused(fixture.service().open_system(&id)).is_not_exist());
}

fn outlives(fixture: &dyn Fixture) {
    let id = unique("outlives");
    let (system, created) = must(fixture.service().create_system(&id, &fixture.container().into()));
    done(Ok(created));
    drop(system);
    let system = must(fixture.service().open_system(&id));
    done(system.start(&StartOptions::new()));
    drop(system);
    let system = must(fixture.service().open_system(&id));
    done(system.terminate());
}

/// A document that is refused leaves no system.
fn refuse(fixture: &dyn Fixture, name: &str, document: crate::documents::ComputeSystem) {
    let id = unique(name);
    let created = fixture.service().create_system(&id, &document.into());
    let created = created.and_then(|(_, created)| finish(Ok(created)));
    let code = refused(created);
    assert!(code.is_not_supported() || code == HResult::E_INVALIDARG, "{code}");
    assert!(refused(fixture.service().open_system(&id)).is_not_exist());
}

fn no_version(fixture: &dyn Fixture) {
    let mut document = fixture.container();
    document.schema_version = None;
    refuse(fixture, "no-version", document);
}

fn unknown_version(fixture: &dyn Fixture) {
    let version = Version::new().major(9_u32).minor(9_u32);
    refuse(fixture, "version-9", fixture.container().schema_version(version));
}

fn two_kinds(fixture: &dyn Fixture) {
    let machine = crate::documents::VirtualMachine::new();
    refuse(fixture, "two-kinds", fixture.container().virtual_machine(machine));
}

fn paused(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "paused");
    assert_eq!(refused(finish(subject.system.resume())), HResult::HCS_E_INVALID_STATE);
    done(subject.system.pause(&PauseOptions::new()));
    assert_eq!(subject.properties().state, Some(State::Paused));
    let again = finish(subject.system.pause(&PauseOptions::new()));
    assert_eq!(refused(again), HResult::HCS_E_INVALID_STATE);
    done(subject.system.resume());
    assert_eq!(subject.properties().state, Some(State::Running));
    done(subject.system.pause(&PauseOptions::new()));
    subject.terminate();
}

fn paused_takes_no_process(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "paused-process");
    done(subject.system.pause(&PauseOptions::new()));
    let process = fixture.process(Program::Sleeps);
    let created = subject.system.create_process(&process).and_then(|(_, created)| finish(Ok(created)));
    assert_eq!(refused(created), HResult::HCS_E_INVALID_STATE);
}

fn machine(fixture: &dyn Fixture, name: &str) -> Subject {
    let subject = Subject::create(fixture, name, fixture.machine());
    subject.start();
    subject
}

fn to_file(fixture: &dyn Fixture) -> (SaveOptions, std::path::PathBuf) {
    let file = folder(fixture, "save").join("state.vmrs");
    must(fixture.service().create_empty_runtime_state_file(&file));
    let path = file.to_str().expect("folders of the suite have plain names");
    (SaveOptions::new().save_type(SaveType::ToFile).save_state_file_path(path), file)
}

fn not_saved(fixture: &dyn Fixture) {
    let subject = machine(fixture, "not-saved");
    let (options, _) = to_file(fixture);
    assert_eq!(refused(finish(subject.system.save(&options))), HResult::HCS_E_INVALID_STATE);
    assert_eq!(subject.properties().state, Some(State::Running));
}

fn saved(fixture: &dyn Fixture) {
    let subject = machine(fixture, "saved");
    let (options, file) = to_file(fixture);
    done(subject.system.pause(&PauseOptions::new()));
    done(subject.system.save(&options));
    let length = std::fs::metadata(&file).map(|file| file.len());
    assert!(length.is_ok_and(|length| length > 0), "the state is in the file");
    done(subject.system.resume());
    assert_eq!(subject.properties().state, Some(State::Running));
}

fn template(fixture: &dyn Fixture) {
    let subject = machine(fixture, "template");
    done(subject.system.pause(&PauseOptions::new()));
    done(subject.system.save(&SaveOptions::new().save_type(SaveType::AsTemplate)));
    assert_eq!(subject.properties().state, Some(State::SavedAsTemplate));
    assert_eq!(refused(finish(subject.system.resume())), HResult::HCS_E_INVALID_STATE);
    subject.terminate();
}

fn hosted(fixture: &dyn Fixture) {
    let early =
        fixture.service().create_system(&unique("no-host"), &fixture.hosted(&unique("nobody")).into());
    refused(early.and_then(|(_, created)| finish(Ok(created))));
    let host = machine(fixture, "host");
    let guest = Subject::create(fixture, "hosted", fixture.hosted(&host.id));
    guest.start();
    assert_eq!(guest.properties().hosting_system_id.as_ref(), Some(&host.id));
    host.terminate();
    let exit = done(guest.system.exit());
    assert_ne!(exit.exit_type, Some(NotificationType::GracefulExit));
    assert!(refused(fixture.service().open_system(&guest.id)).is_not_exist());
}

fn crashed(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "crash");
    done(subject.system.crash(&CrashOptions::new()));
    assert_eq!(done(subject.system.exit()).exit_type, Some(NotificationType::UnexpectedExit));
}
