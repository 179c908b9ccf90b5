//! What is of the service itself: its properties, its settings, files.

use super::{Case, Fixture, Need, folder, must, refused, unique};
use crate::document::{Document, Guid};
use crate::documents::{
    BasicInformation, CpuGroupConfig, CpuGroupConfigurations, CrashReport, CreateGroupOperation,
    DeleteGroupOperation, GetPropertyType, HostProcessorModificationRequest, ModificationRequest,
    ModifyPropertyType, ModifyServiceOperation, ProcessorTopology, ServicePropertyQuery,
    SetPropertyOperation, Version,
};
use serde_json::Value;
use std::fs;

const fn case(name: &'static str, need: Need, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "service", need, run }
}

pub(super) const CASES: &[Case] = &[
    case("the service lists its schema versions", Need::Containers, versions),
    case("the service answers in the order asked", Need::Containers, order),
    case("a query without wishes is answered with nothing", Need::Containers, no_wishes),
    case("an unknown property of the service is refused", Need::Containers, unknown),
    case("processor groups are made, changed and deleted", Need::ProcessorGroups, groups),
    case("a processor group exists once", Need::ProcessorGroups, group_once),
    case("a virtual machine is let at a file that is there", Need::Machines, access),
    case("state files are made once", Need::Machines, state_files),
    case("what is no saved state is not read", Need::Machines, no_saved_state),
    case("a crash report is taken", Need::Machines, crash_report),
];

fn ask(fixture: &dyn Fixture, kinds: Vec<GetPropertyType>) -> Vec<Value> {
    let query = ServicePropertyQuery::new().property_types(kinds);
    must(fixture.service().service_properties(&query)).properties.unwrap_or_default()
}

#[track_caller]
fn read<D: Document>(value: Option<&Value>) -> D {
    let value = value.cloned().expect("there is an answer");
    D::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

fn versions(fixture: &dyn Fixture) {
    let answers = ask(fixture, vec![GetPropertyType::Basic]);
    let basic: BasicInformation = read(answers.first());
    let versions = basic.supported_schema_versions.unwrap_or_default();
    assert!(versions.contains(&Version::new().major(2_u32).minor(1_u32)), "{versions:?}");
}

fn order(fixture: &dyn Fixture) {
    let answers = ask(fixture, vec![GetPropertyType::ProcessorTopology, GetPropertyType::Basic]);
    assert_eq!(answers.len(), 2);
    let topology: ProcessorTopology = read(answers.first());
    assert!(topology.logical_processor_count.is_some_and(|count| count > 0));
    let basic: BasicInformation = read(answers.get(1));
    assert!(basic.supported_schema_versions.is_some());
}

fn no_wishes(fixture: &dyn Fixture) {
    assert!(ask(fixture, Vec::new()).is_empty());
}

fn unknown(fixture: &dyn Fixture) {
    let query =
        ServicePropertyQuery::new().property_types([GetPropertyType::Other("NoSuchProperty".to_owned())]);
    assert!(refused(fixture.service().service_properties(&query)).is_not_supported());
}

/// A GUID that no other case has.
fn group() -> Guid {
    let number = unique("group").bytes().fold(7_u128, |sum, byte| sum.wrapping_mul(131) + u128::from(byte));
    Guid::from_u128(number)
}

fn request(operation: ModifyServiceOperation, details: Value) -> ModificationRequest {
    let settings = HostProcessorModificationRequest::new().operation(operation).operation_details(details);
    ModificationRequest::new().property_type(ModifyPropertyType::CpuGroup).settings(settings.to_value())
}

fn create(group: &Guid) -> ModificationRequest {
    let details = CreateGroupOperation::new().group_id(group.clone()).logical_processor_count(1_u32);
    let details = details.logical_processors([0_u32]);
    request(ModifyServiceOperation::CreateGroup, details.to_value())
}

fn delete(group: &Guid) -> ModificationRequest {
    let details = DeleteGroupOperation::new().group_id(group.clone());
    request(ModifyServiceOperation::DeleteGroup, details.to_value())
}

fn known(fixture: &dyn Fixture, group: &Guid) -> Option<CpuGroupConfig> {
    let answers = ask(fixture, vec![GetPropertyType::CpuGroup]);
    let groups: CpuGroupConfigurations = read(answers.first());
    groups.cpu_groups.unwrap_or_default().into_iter().find(|known| known.group_id.as_ref() == Some(group))
}

fn groups(fixture: &dyn Fixture) {
    let (service, group) = (fixture.service(), group());
    assert!(known(fixture, &group).is_none());
    must(service.modify_service(&create(&group)));
    assert!(known(fixture, &group).is_some());
    let details = SetPropertyOperation::new()
        .group_id(group.clone())
        .property_code(65_536_u32)
        .property_value(5000_u64);
    must(service.modify_service(&request(ModifyServiceOperation::SetProperty, details.to_value())));
    let properties = known(fixture, &group).and_then(|group| group.group_properties).unwrap_or_default();
    assert_eq!(properties.first().and_then(|property| property.property_value), Some(5000));
    must(service.modify_service(&delete(&group)));
    assert!(known(fixture, &group).is_none());
    refused(service.modify_service(&delete(&group)));
}

fn group_once(fixture: &dyn Fixture) {
    let (service, group) = (fixture.service(), group());
    must(service.modify_service(&create(&group)));
    refused(service.modify_service(&create(&group)));
    must(service.modify_service(&delete(&group)));
}

fn access(fixture: &dyn Fixture) {
    let file = folder(fixture, "access").join("disk.vhdx");
    let id = unique("vm");
    refused(fixture.service().grant_vm_access(&id, &file));
    refused(fixture.service().grant_vm_group_access(&file));
    fs::write(&file, b"disk").expect("the suite's folder can be written");
    must(fixture.service().grant_vm_access(&id, &file));
    must(fixture.service().grant_vm_group_access(&file));
}

fn state_files(fixture: &dyn Fixture) {
    let folder = folder(fixture, "state");
    let (guest, runtime) = (folder.join("a.vmgs"), folder.join("a.vmrs"));
    must(fixture.service().create_empty_guest_state_file(&guest));
    must(fixture.service().create_empty_runtime_state_file(&runtime));
    assert!(guest.is_file() && runtime.is_file());
    refused(fixture.service().create_empty_guest_state_file(&guest));
    refused(fixture.service().create_empty_runtime_state_file(&folder.join("missing").join("b.vmrs")));
}

fn no_saved_state(fixture: &dyn Fixture) {
    refused(fixture.service().processor_compatibility(&folder(fixture, "none").join("none.vmrs")));
}

fn crash_report(fixture: &dyn Fixture) {
    must(fixture.service().submit_crash_report(&CrashReport::new().system_id(unique("crashed"))));
}
