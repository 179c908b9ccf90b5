//! Every recorded document is read through its type with nothing left over, and written as it was.

use hcs::document::{Document, Object};
use hcs::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
    ModifyEndpointSettingRequest, ModifyNamespaceSettingRequest, ModifyNetworkSettingRequest,
};
use hcs::documents::{
    ComputeSystem, ModifySettingRequest, ProcessModifyRequest, ProcessParameters, ServicePropertyQuery,
    SignalProcessOptions,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The recorded documents by name.
pub(crate) fn captured() -> Vec<(String, Value)> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured");
    let mut documents: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    documents.sort_by(|(one, _), (other, _)| one.cmp(other));
    documents
}

/// A recorded document by the beginning of its name.
pub(crate) fn recorded(beginning: &str) -> Value {
    let mut found = captured().into_iter().filter(|(name, _)| name.starts_with(beginning));
    let (_, value) = found.next().unwrap();
    assert!(found.next().is_none(), "{beginning} names more than one document");
    value
}

/// Reads a document through its type.
type Reader = fn(&Value) -> Box<dyn Object>;

/// The function in the name of a document, and how its document is read.
const TYPES: &[(&str, Reader)] = &[
    ("HcsCreateComputeSystem-vm", read::<ComputeSystem>),
    ("HcsCreateComputeSystem-container", read::<ComputeSystem>),
    ("HcsCreateComputeSystem-hosted", read::<ComputeSystem>),
    ("HcsModifyComputeSystem-VirtualPMem-Devices-1", read::<ModifySettingRequest>),
    ("HcsModifyComputeSystem-Scsi-0-Attachments-0", read::<ModifySettingRequest>),
    ("HcsModifyComputeSystem-Scsi-0-Attachments-1", read::<ModifySettingRequest>),
    ("HcsModifyComputeSystem-CombinedLayers", read::<ModifySettingRequest>),
    ("HcsModifyComputeSystem-Plan9-Shares", read::<ModifySettingRequest>),
    ("HcsModifyComputeSystem-VirtualSmb-Shares", read::<ModifySettingRequest>),
    ("HcsCreateProcess", read::<ProcessParameters>),
    ("HcsModifyProcess", read::<ProcessModifyRequest>),
    ("HcsSignalProcess", read::<SignalProcessOptions>),
    ("HcsGetServiceProperties", read::<ServicePropertyQuery>),
    ("HcnCreateNetwork", read::<HostComputeNetwork>),
    ("HcnCreateEndpoint", read::<HostComputeEndpoint>),
    ("HcnCreateNamespace", read::<HostComputeNamespace>),
    ("HcnCreateLoadBalancer", read::<HostComputeLoadBalancer>),
    ("HcnModifyLoadBalancer", read::<HostComputeLoadBalancer>),
    ("HcnModifyNetwork", read::<ModifyNetworkSettingRequest>),
    ("HcnModifyEndpoint", read::<ModifyEndpointSettingRequest>),
    ("HcnModifyNamespace", read::<ModifyNamespaceSettingRequest>),
    ("HcnQueryNamespaceProperties", read::<HostComputeQuery>),
];

fn read<D: Document + 'static>(value: &Value) -> Box<dyn Object> {
    let document = D::from_json(&value.to_string()).unwrap();
    let text = document.to_json();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *value);
    assert_eq!(D::from_json(&text).unwrap(), document);
    Box::new(document)
}

fn read_by_name(name: &str, value: &Value) -> Box<dyn Object> {
    let function = name.trim_end_matches(".json").rsplit('.').next().unwrap().split_once('-').unwrap().1;
    let (_, read) = TYPES.iter().find(|(known, _)| *known == function).unwrap_or_else(|| panic!("{name}"));
    read(value)
}

#[test]
fn every_recorded_document_is_written_as_it_was_read() {
    let documents = captured();
    assert_eq!(documents.len(), 108);
    for (name, value) in &documents {
        let document = read_by_name(name, value);
        assert_eq!(document.to_value(), *value, "{name}");
    }
}

#[test]
fn no_field_of_a_recorded_document_is_unknown() {
    for (name, value) in &captured() {
        assert_eq!(read_by_name(name, value).leftovers(), [""; 0], "{name}");
    }
}
