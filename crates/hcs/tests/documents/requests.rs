//! Settings requests as who receives them reads them.

use crate::captured::captured;
use hcs::document::{Document, SchemaVersion};
use hcs::documents::network::{
    AclPolicySetting, EndpointPolicy, HostComputeNetwork, L4WfpProxyPolicySetting,
    ModifyEndpointSettingRequest, PolicyEndpointRequest, TierAclPolicySetting,
};
use hcs::documents::resource::{ResourcePath, ScsiAttachment};
use hcs::documents::{
    Attachment, CombinedLayers, GuestModifySettingRequest, GuestResourceType, LinuxMappedDirectory,
    LinuxMappedVirtualDisk, LinuxMappedVpmemDevice, MappedVirtualDisk, ModifyRequestType,
    ModifySettingRequest, RequestError,
};
use serde_json::json;

fn recorded_requests() -> Vec<(String, ModifySettingRequest)> {
    captured()
        .into_iter()
        .filter(|(name, _)| name.contains("HcsModifyComputeSystem"))
        .map(|(name, value)| (name, ModifySettingRequest::from_value(value).unwrap()))
        .collect()
}

#[test]
fn settings_of_recorded_requests_are_those_of_their_path() {
    let requests = recorded_requests();
    assert_eq!(requests.len(), 7);
    for (name, request) in &requests {
        request.check_settings(SchemaVersion::V2_6).unwrap();
        let Some(path) = request.resource().unwrap() else { continue };
        assert_eq!(path.to_string(), *request.resource_path.as_ref().unwrap());
        let hcs::document::Shape::Object(table) = path.settings() else { panic!("{name}") };
        let settings = (table.read)(request.settings.clone().unwrap()).unwrap();
        assert_eq!(settings.leftovers(), [""; 0], "{name}");
    }
}

#[test]
fn settings_of_recorded_guest_requests_are_those_of_their_resource() {
    let leftovers =
        |name: &str, guest: &GuestModifySettingRequest| match guest.resource_type.as_ref().unwrap() {
            GuestResourceType::CombinedLayers => guest.read::<CombinedLayers>().unwrap().leftovers(),
            GuestResourceType::MappedDirectory => guest.read::<LinuxMappedDirectory>().unwrap().leftovers(),
            GuestResourceType::VpmemDevice => guest.read::<LinuxMappedVpmemDevice>().unwrap().leftovers(),
            GuestResourceType::MappedVirtualDisk if name.starts_with("lcow") => {
                guest.read::<LinuxMappedVirtualDisk>().unwrap().leftovers()
            }
            GuestResourceType::MappedVirtualDisk => guest.read::<MappedVirtualDisk>().unwrap().leftovers(),
            other => panic!("{name}: {other}"),
        };
    for (name, request) in recorded_requests() {
        if let Some(guest) = &request.guest_request {
            assert_eq!(leftovers(&name, guest), [""; 0], "{name}");
        }
    }
}

#[test]
fn settings_of_recorded_policies_are_those_of_their_type() {
    let mut read = 0;
    for (name, value) in captured().into_iter().filter(|(name, _)| name.contains("HcnModifyEndpoint")) {
        let request = ModifyEndpointSettingRequest::from_value(value).unwrap();
        let settings = PolicyEndpointRequest::from_value(request.settings.unwrap()).unwrap();
        for policy in settings.policies.unwrap() {
            let acl = policy.read::<AclPolicySetting>().unwrap().map(|acl| acl.leftovers());
            let proxy = policy.read::<L4WfpProxyPolicySetting>().unwrap().map(|proxy| proxy.leftovers());
            let tier = policy.read::<TierAclPolicySetting>().unwrap().map(|tier| tier.leftovers());
            assert_eq!(acl.or(proxy).or(tier), Some(Vec::new()), "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 9);
}

#[test]
fn a_policy_of_another_type_is_not_read() {
    let acl = EndpointPolicy::of(&AclPolicySetting::new().priority(200));
    assert_eq!(acl.read::<TierAclPolicySetting>().unwrap(), None);
    let broken = acl.settings(json!({ "Priority": -1 }));
    assert!(broken.read::<AclPolicySetting>().is_err());
}

#[test]
fn who_receives_a_request_gets_the_parts_of_its_path() {
    let request = ModifySettingRequest::new()
        .resource_path("VirtualMachine/Devices/Scsi/0/Attachments/5")
        .request_type(ModifyRequestType::Add)
        .settings(json!({ "Type": "VirtualDisk", "Path": "a.vhdx" }));
    let Some(ResourcePath::ScsiAttachment(place)) = request.resource().unwrap() else { panic!() };
    assert_eq!(place, ScsiAttachment { controller: "0".into(), lun: 5 });
    assert_eq!(request.settings_of(&place).unwrap(), Some(Attachment::virtual_disk("a.vhdx")));
}

#[test]
fn a_request_that_its_path_does_not_admit_is_refused() {
    let request = |path: &str, kind| ModifySettingRequest::new().resource_path(path).request_type(kind);
    let gpu = request("VirtualMachine/ComputeTopology/Gpu", ModifyRequestType::Add);
    assert!(matches!(gpu.resource(), Err(RequestError::Resource(_))));
    let memory = request("VirtualMachine/Devices/VirtualPMem/Devices/1", ModifyRequestType::Update);
    assert!(matches!(memory.resource(), Err(RequestError::Resource(_))));
    let made_up = request("VirtualMachine/Devices/Floppy", ModifyRequestType::Add);
    assert!(matches!(made_up.resource(), Err(RequestError::Resource(_))));
    let unheard_of = request("VirtualMachine/Devices/Plan9/Shares", ModifyRequestType::from("Swap"));
    assert!(matches!(unheard_of.resource(), Err(RequestError::Resource(_))));
}

#[test]
fn settings_are_checked_against_the_host_too() {
    let place = ScsiAttachment { controller: "0".into(), lun: 0 };
    let disk = Attachment::virtual_disk("a.vhdx").always_allow_sparse_files(true);
    let request = ModifySettingRequest::add(&place, disk);
    assert!(request.check(SchemaVersion::V2_1).is_ok(), "settings are any JSON to the document itself");
    assert!(request.check_settings(SchemaVersion::V2_6).is_ok());
    let error = request.check_settings(SchemaVersion::V2_5).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "AlwaysAllowSparseFiles of Attachment needs schema 2.6, and the host has 2.5");

    let wrong = ModifySettingRequest::new()
        .resource_path("VirtualMachine/Devices/Scsi/0/Attachments/0")
        .settings(json!({ "ReadOnly": "yes" }));
    assert!(matches!(wrong.check_settings(SchemaVersion::V2_6), Err(RequestError::Settings { .. })));
}

#[test]
fn flags_are_numbers_and_words() {
    let network = |flags| HostComputeNetwork::from_value(json!({ "Flags": flags })).unwrap();
    assert_eq!(network(json!(3)).flags, network(json!("EnableDnsProxy,EnableDhcpServer")).flags);
    assert_eq!(network(json!("EnableDnsProxy")).to_value(), json!({ "Flags": "EnableDnsProxy" }));
    assert!(HostComputeNetwork::from_value(json!({ "Flags": "EnableMagic" })).is_err());
    assert!(HostComputeNetwork::from_value(json!({ "Flags": -1 })).is_err());
    let error = network(json!(64)).check(SchemaVersion::V2_6).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value 64 of Flags of HostComputeNetwork needs schema 2.11, and the host has 2.6"
    );
}
