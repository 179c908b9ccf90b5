//! What compute systems say of themselves, and how they are changed.

use super::{Case, Fixture, Need, Program, Subject, done, finish, refused, unique};
use crate::document::Document;
use crate::documents::{
    ComputeSystemProperties, MappedDirectory, ModifyRequestType, ModifySettingRequest, NotificationType,
    State, SystemPropertyQuery, SystemPropertyType, SystemQuery, SystemType,
};
use crate::hresult::HResult;
use serde_json::Value;
use std::slice;

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "queries", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("id, type and owner are always answered", Need::Containers, basics),
    case("a virtual machine says that it is one", Need::Machines, machine),
    case("systems are found by id, owner and type", Need::Containers, found),
    case("a query for nobody finds nobody", Need::Containers, nobody),
    case("statistics are answered when asked for", Need::Containers, statistics),
    case("the end with the last handle is answered when asked for", Need::Containers, last_handle),
    case("the processes are listed when asked for", Need::Processes, process_list),
    case("the guest's connection is answered when asked for", Need::Machines, guest_connection),
    case("an unknown property is refused", Need::Containers, unknown_property),
    case("each query of schema 2.5 is answered for itself", Need::Queries, queries),
    case("a system that ended says so", Need::Containers, ended),
    case("a directory is added and removed", Need::Containers, directory),
    case("a change that means nothing is refused", Need::Containers, no_change),
    case("a system that ended is not changed", Need::Containers, ended_not_changed),
];

fn basics(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "basics");
    let properties = subject.properties();
    assert_eq!(properties.id.as_deref(), Some(&*subject.id));
    assert_eq!(properties.system_type, Some(SystemType::Container));
    assert_eq!(properties.owner, fixture.container().owner);
    assert_eq!(properties.runtime_id, subject.properties().runtime_id, "it stays the same");
    assert!(properties.runtime_id.is_some());
    assert!(properties.statistics.is_none() && properties.process_list.is_none(), "nobody asked");
}

fn machine(fixture: &dyn Fixture) {
    let subject = Subject::create(fixture, "machine", fixture.machine());
    assert_eq!(subject.properties().system_type, Some(SystemType::VirtualMachine));
}

/// The ids of this case's systems that a query finds.
fn find(fixture: &dyn Fixture, query: &SystemQuery, among: &[&Subject]) -> Vec<String> {
    let found = done(fixture.service().enumerate_systems(query));
    let ids = found.into_iter().filter_map(|properties| properties.id);
    ids.filter(|id| among.iter().any(|subject| subject.id == *id)).collect()
}

fn found(fixture: &dyn Fixture) {
    let owner = unique("owner");
    let first = Subject::created(fixture, "found");
    let second = Subject::create(fixture, "found", fixture.container().owner(&owner));
    let both = [&first, &second];
    assert_eq!(find(fixture, &SystemQuery::new(), &both).len(), 2);
    let by_id = SystemQuery::new().ids([first.id.as_str()]);
    assert_eq!(find(fixture, &by_id, &both), slice::from_ref(&first.id));
    let by_owner = SystemQuery::new().owners([owner.as_str()]);
    assert_eq!(find(fixture, &by_owner, &both), slice::from_ref(&second.id));
    let by_type = SystemQuery::new().types([SystemType::VirtualMachine]);
    assert!(find(fixture, &by_type, &both).is_empty());
    let by_two = SystemQuery::new().ids([first.id.as_str()]).owners([owner.as_str()]);
    assert!(find(fixture, &by_two, &both).is_empty(), "both must be so");
    second.terminate();
    assert!(find(fixture, &by_owner, &both).is_empty(), "what ended is not listed");
}

fn nobody(fixture: &dyn Fixture) {
    let nobody = unique("nobody");
    let query = SystemQuery::new().ids([nobody.as_str()]);
    assert!(done(fixture.service().enumerate_systems(&query)).is_empty());
}

fn ask(subject: &Subject, kind: SystemPropertyType) -> crate::documents::Properties {
    let properties = done(subject.system.properties(&SystemPropertyQuery::new().property_types([kind])));
    assert_eq!(properties.id.as_deref(), Some(&*subject.id));
    properties
}

fn statistics(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "statistics");
    let statistics = ask(&subject, SystemPropertyType::Statistics).statistics;
    assert!(statistics.is_some_and(|statistics| statistics.uptime_100ns.is_some()));
}

fn last_handle(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "flag");
    let answer = ask(&subject, SystemPropertyType::TerminateOnLastHandleClosed);
    assert_eq!(answer.terminate_on_last_handle_closed, Some(false));
}

fn process_list(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-list");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    let listed = || {
        let list = ask(&subject, SystemPropertyType::ProcessList).process_list.unwrap_or_default();
        list.iter().any(|details| details.process_id == Some(information.process_id))
    };
    assert!(listed());
    done(process.terminate());
    done(process.exit());
    super::eventually("the process leaving the list", || !listed());
}

fn guest_connection(fixture: &dyn Fixture) {
    let subject = Subject::create(fixture, "guest", fixture.machine());
    subject.start();
    let connection = ask(&subject, SystemPropertyType::GuestConnection).guest_connection_info;
    assert!(connection.is_some_and(|connection| connection.supported_schema_versions.is_some()));
}

fn unknown_property(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "unknown");
    let kind = SystemPropertyType::Other("NoSuchProperty".to_owned());
    let answer = finish(subject.system.properties(&SystemPropertyQuery::new().property_types([kind])));
    assert!(refused(answer).is_not_supported());
}

fn queries(fixture: &dyn Fixture) {
    let subject = Subject::created(fixture, "queries");
    let asked = ["Basic", "NoSuchQuery"].map(|name| (name.to_owned(), Value::Null));
    let answer = done(subject.system.properties(&SystemPropertyQuery::new().queries(asked)));
    let responses = answer.property_responses.unwrap_or_default();
    assert_eq!(responses.len(), 2);
    let basic = responses.get("Basic").and_then(|response| response.response.clone());
    let basic = basic.and_then(|response| ComputeSystemProperties::from_value(response).ok());
    assert_eq!(basic.and_then(|basic| basic.id), Some(subject.id.clone()));
    let unknown = responses.get("NoSuchQuery").and_then(|response| response.error.as_ref());
    assert!(unknown.and_then(|error| error.error).is_some_and(|code| !HResult::from(code).is_success()));
}

fn ended(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ended");
    subject.terminate();
    let properties = subject.properties();
    assert_eq!((properties.state, properties.stopped), (Some(State::Stopped), Some(true)));
    assert_eq!(properties.exit_type, Some(NotificationType::ForcedExit));
}

fn change(fixture: &dyn Fixture, request: ModifyRequestType) -> ModifySettingRequest {
    let host = super::folder(fixture, "mapped");
    let path = host.to_str().expect("folders of the suite have plain names");
    let directory = MappedDirectory::new().host_path(path).container_path("C:\\mapped");
    ModifySettingRequest::new()
        .resource_path("Container/MappedDirectories")
        .request_type(request)
        .settings(directory.to_value())
}

fn directory(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "directory");
    done(subject.system.modify(&change(fixture, ModifyRequestType::Add)));
    done(subject.system.modify(&change(fixture, ModifyRequestType::Remove)));
}

fn no_change(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "no-change");
    let request = change(fixture, ModifyRequestType::Other("Perhaps".to_owned()));
    assert!(refused(finish(subject.system.modify(&request))).is_not_supported());
}

fn ended_not_changed(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ended-changed");
    subject.terminate();
    let changed = finish(subject.system.modify(&change(fixture, ModifyRequestType::Add)));
    assert_eq!(refused(changed), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
}
