//! Libraries that are not there, lack functions, or answer what they should not; and the functions that the suite does
//! not call.

use crate::fixture::place;
use crate::tools::{core, running, service, unique};
use hcs::HResult;
use hcs::document::Guid;
#[cfg(feature = "undocumented")]
use hcs::documents::network::{HostComputeEndpoint, HostComputeQuery};
use hcs::documents::{StartOptions, SystemQuery};
use hcs::service::ComputeService;
use hcs::windows::computecore::{ComputeCore, Service};
use hcs::windows::computenetwork::ComputeNetwork;
use hcs::windows::computestorage::ComputeStorage;
use hcs::windows::vmcompute::VmCompute;
use hcs::windows::{Place, Unavailable, compute_service, host_build};
use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a library that is not there is named with the host's build", no_library),
    ("a function that is not there is named with the build that brought it", no_function),
    ("the host's own libraries are found in system32", system32),
    ("a document that is not JSON is an error", not_json),
    ("a document of another type is an error", other_type),
    ("text that is not UTF-16 is an error", not_utf16),
    ("a failure keeps its code whatever comes with it", odd_record),
    ("success without a handle is an error", no_handle),
    ("success without a document is an error", no_document),
    ("text with a zero in it does not cross", zero_inside),
    ("an operation tells of itself", operation),
    ("an operation is waited for in the library", waited_for),
    ("the exit of a system and a process is waited for in the library", exits),
    ("a handle that was closed is no handle", closed_handle),
    ("what our libraries do not have says so", not_implemented),
    #[cfg(feature = "undocumented")]
    ("what is not documented crosses too", undocumented),
];

fn no_library() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Place::Folder(folder.path().to_owned());
    let missing = [
        ComputeCore::load(&empty).map(drop),
        VmCompute::load(&empty).map(drop),
        ComputeStorage::load(&empty).map(drop),
        ComputeNetwork::load(&empty).map(drop),
        compute_service(&empty).map(drop),
    ];
    let names =
        ["computecore.dll", "vmcompute.dll", "computestorage.dll", "computenetwork.dll", "computecore.dll"];
    assert!(host_build() > 10_000);
    for (missing, name) in missing.into_iter().zip(names) {
        let error = missing.unwrap_err();
        let Unavailable::Library { library, build, .. } = &error else { panic!("{error}") };
        assert_eq!((*library, *build), (name, host_build()));
        let said = format!("Windows build {build} has no {name}: ");
        assert!(error.to_string().starts_with(&said), "{error}");
    }
}

/// A folder with a library that has few functions, and answers nonsense.
fn faulty() -> (tempfile::TempDir, Service, ComputeCore) {
    let folder = tempfile::tempdir().unwrap();
    let here = std::env::current_exe().unwrap();
    let built = here.parent().and_then(Path::parent).unwrap().join("hcs_faulty.dll");
    std::fs::copy(&built, folder.path().join("computecore.dll"))
        .unwrap_or_else(|error| panic!("copy {}: {error}", built.display()));
    let core = ComputeCore::load(&Place::Folder(folder.path().to_owned())).unwrap();
    (folder, Service::new(core.clone()), core)
}

fn no_function() {
    let (_folder, service, _) = faulty();
    let error = service.grant_vm_group_access(Path::new("C:\\disk.vhdx")).unwrap_err();
    assert_eq!(error.code(), HResult::ERROR_PROC_NOT_FOUND);
    assert_eq!(error.attempted(), "let virtual machines use C:\\disk.vhdx");
    let said = format!(
        "computecore.dll of Windows build {} has no HcsGrantVmGroupAccess, which came with build 19041",
        host_build()
    );
    assert_eq!(error.source().unwrap().to_string(), said);
}

fn system32() {
    match ComputeCore::load(&Place::System32) {
        Ok(core) => {
            core.service_properties(None).unwrap();
        }
        Err(error) => {
            assert!(place() != Place::System32, "{error}");
            println!("skipped: no libraries in system32");
        }
    }
}

/// The error of an enumeration that the faulty library answers in this way.
fn enumeration(way: &str) -> hcs::Error {
    let (_folder, service, _) = faulty();
    let query = SystemQuery::new().names([way]);
    service.enumerate_systems(&query).unwrap().wait().unwrap_err()
}

fn not_json() {
    let error = enumeration("not json");
    assert_eq!(error.code(), HResult::HCS_E_INVALID_JSON);
    assert_eq!(error.attempted(), "enumerate compute systems");
    assert!(error.source().is_some());
}

fn other_type() {
    assert_eq!(enumeration("other type").code(), HResult::HCS_E_INVALID_JSON);
}

fn not_utf16() {
    let error = enumeration("not utf-16");
    assert_eq!(error.code(), HResult::ERROR_INVALID_DATA);
    assert_eq!(error.source().unwrap().to_string(), "the service answered with text that is not UTF-16");
}

fn odd_record() {
    let error = enumeration("fails");
    assert_eq!(error.code(), HResult::HCS_E_ACCESS_DENIED);
    assert!(error.document().is_none());
}

fn no_handle() {
    let (_folder, service, _) = faulty();
    let error = service.open_system("x").map(drop).unwrap_err();
    assert_eq!(error.code(), HResult::E_HANDLE);
    assert_eq!(error.source().unwrap().to_string(), "the library answered success and no handle");
}

fn no_document() {
    let (_folder, service, core) = faulty();
    assert_eq!(core.service_properties(None).unwrap(), None);
    let error = service.service_properties(&hcs::documents::ServicePropertyQuery::new()).unwrap_err();
    assert_eq!(error.code(), HResult::HCS_E_INVALID_JSON);
}

fn zero_inside() {
    let error = service().open_system("a\0b").map(drop).unwrap_err();
    assert_eq!(error.code(), HResult::E_INVALIDARG);
}

fn operation() {
    let core = core();
    let (first, second) = (core.create_operation().unwrap(), core.create_operation().unwrap());
    assert_ne!(first.id().unwrap(), second.id().unwrap());
    assert_eq!(first.kind().unwrap(), -1);
    assert_eq!(first.result().unwrap_err().code(), HResult::HCS_E_OPERATION_NOT_STARTED);
    first.set_context(7).unwrap();
    assert_eq!(first.context().unwrap(), 7);
    assert_eq!(first.cancel().unwrap_err().code(), HResult::E_NOTIMPL);
    let (sender, receiver) = std::sync::mpsc::channel();
    second.set_callback(move || sender.send(()).unwrap()).unwrap();
    assert_eq!(second.set_callback(|| ()).unwrap_err().code(), HResult::E_INVALIDARG);
    assert_eq!(second.set_context(1).unwrap_err().code(), HResult::E_INVALIDARG);
    core.enumerate_compute_systems(&second, None).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(second.result().unwrap().unwrap().starts_with('['));
    assert_eq!(second.kind().unwrap(), 0);
    let again = core.enumerate_compute_systems(&second, None).unwrap_err();
    assert_eq!(again.code(), HResult::HCS_E_OPERATION_ALREADY_STARTED);
    assert_eq!(second.result_and_process().unwrap_err().code(), HResult::E_INVALIDARG);
}

fn waited_for() {
    let (core, id) = (core(), unique("waited-for"));
    let document = hcs::document::Document::to_json(&hcs::suite::memory::MemoryFixture::container_document());
    let operation = core.create_operation().unwrap();
    let system = core.create_compute_system(&operation, &id, &document).unwrap();
    operation.wait(None).unwrap();
    let operation = core.create_operation().unwrap();
    system.start(&operation, None).unwrap();
    operation.wait(Some(Duration::from_secs(60))).unwrap();
    assert!(operation.concerns(&system).unwrap());
    assert_eq!(operation.kind().unwrap(), 2);
    let operation = core.create_operation().unwrap();
    let parameters = r#"{"CommandLine":"say hello","CreateStdOutPipe":true}"#;
    let process = system.create_process(&operation, parameters).unwrap();
    let (_, information) = operation.wait_and_process(Some(Duration::from_secs(60))).unwrap();
    assert!(operation.concerns(&system).unwrap() && !operation.concerns_process(&process).unwrap());
    let output = std::io::read_to_string(information.stdio.output.unwrap()).unwrap();
    assert_eq!(output, "hello");
    let operation = core.create_operation().unwrap();
    process.properties(&operation, None).unwrap();
    operation.wait(None).unwrap();
    assert!(operation.concerns_process(&process).unwrap());
    let operation = core.create_operation().unwrap();
    system.terminate(&operation, None).unwrap();
    operation.wait(None).unwrap();
}

fn exits() {
    let (core, service) = (core(), service());
    let id = unique("exits");
    let running = running(&service, &id);
    let system = core.open_compute_system(&id).unwrap();
    let early = system.wait_for_exit(Some(Duration::from_millis(5))).unwrap_err();
    assert!(early.code().is_timeout(), "{early}");
    let operation = core.create_operation().unwrap();
    let process = system.create_process(&operation, r#"{"CommandLine":"exit 3"}"#).unwrap();
    let status = process.wait_for_exit(None).unwrap().unwrap();
    assert!(status.contains(r#""ExitCode":3"#), "{status}");
    running.terminate().unwrap().wait().unwrap();
    assert!(system.wait_for_exit(None).unwrap().unwrap().contains("ForcedExit"));
}

fn closed_handle() {
    let core = core();
    let error = core.open_compute_system("there is none").unwrap_err();
    assert_eq!(error.code(), HResult::HCS_E_SYSTEM_NOT_FOUND);
    let service = service();
    let id = unique("closed-handle");
    let (system, created) =
        service.create_system(&id, &hcs::suite::memory::MemoryFixture::container_document().into()).unwrap();
    created.wait().unwrap();
    drop(system);
    let system = service.open_system(&id).unwrap();
    system.start(&StartOptions::new()).unwrap().wait().unwrap();
    system.terminate().unwrap().wait().unwrap();
}

fn not_implemented() {
    let network = ComputeNetwork::load(&place()).unwrap();
    let settings = hcs::documents::network::GuestNetworkService::new();
    let error = network.create_guest_network_service(&Guid::from_u128(5), &settings).unwrap_err();
    assert_eq!(error.code(), HResult::E_NOTIMPL);
    assert_eq!(error.record().and_then(|record| record.error_code), Some(HResult::E_NOTIMPL.code()));
    assert_eq!(network.port_reservations().unwrap_err().code(), HResult::E_NOTIMPL);
    assert_eq!(
        network.delete_guest_network_service(&Guid::from_u128(5)).unwrap_err().code(),
        HResult::E_NOTIMPL
    );
    let older = VmCompute::load(&place()).unwrap();
    assert_eq!(older.hns_call("GET", "/networks/", "").unwrap_err().code(), HResult::E_NOTIMPL);
    let layers = older.layers(Path::new("C:\\layers"));
    assert_eq!(layers.write_layer("a", &[]).unwrap_err().code(), HResult::E_NOTIMPL);
    assert_eq!(layers.read_layer("a", &[]).unwrap_err().code(), HResult::E_NOTIMPL);
}

#[cfg(feature = "undocumented")]
fn undocumented() {
    let (core, service) = (core(), service());
    let id = unique("undocumented");
    let running = running(&service, &id);
    let system = core.open_compute_system(&id).unwrap();
    let operation = core.create_operation().unwrap();
    let file = tempfile::tempfile().unwrap();
    let lent = std::os::windows::io::AsHandle::as_handle(&file);
    let endpoint = endpoint(&ComputeNetwork::load(&place()).unwrap());
    let refused = [
        operation.add_resource(hcs::windows::computecore::ResourceKind::File, "hcs-file:disk", lent),
        endpoint.stats(&HostComputeQuery::all()).map(drop),
        endpoint.addresses(&HostComputeQuery::all()).map(drop),
        system.initialize_live_migration(&operation, None),
        system.start_live_migration(&operation, None),
        system.transfer_live_migration(&operation, None),
        system.finalize_live_migration(&operation, None),
        system.cancel_live_migration(&operation, None),
        core.enumerate_compute_systems_in_namespace(&operation, "a", None),
        core.create_compute_system_in_namespace(&operation, "a", "b", "{}").map(drop),
        core.open_compute_system_in_namespace("a", "b").map(drop),
        core.revoke_vm_access("a", Path::new("b")),
        core.revoke_vm_group_access(Path::new("b")),
        operation.properties(None).map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().code(), HResult::E_NOTIMPL);
    }
    assert!(core.create_operation_with_notifications(1).is_err());
    running.terminate().unwrap().wait().unwrap();
}

/// An open endpoint of a network of its own.
#[cfg(feature = "undocumented")]
fn endpoint(service: &ComputeNetwork) -> hcs::windows::computenetwork::ObjectHandle<HostComputeEndpoint> {
    use hcs::document::SchemaVersion;
    use hcs::documents::network::{HostComputeNetwork, Ipam, IpamType, NetworkMode, Subnet};
    use hcs::network::ComputeNetwork as _;

    let subnet = Subnet::new().ip_address_prefix("10.1.0.0/24");
    let network = HostComputeNetwork::new()
        .schema_version(SchemaVersion::V2_0)
        .name(unique("undocumented"))
        .kind(NetworkMode::Nat)
        .ipams([Ipam::new().kind(IpamType::Static).subnets([subnet])]);
    let network = service.networks().create(None, &network).unwrap();
    let endpoint = HostComputeEndpoint::new()
        .schema_version(SchemaVersion::V2_0)
        .name(unique("undocumented"))
        .host_compute_network(network.id.unwrap());
    service.create_open(None, &endpoint).unwrap()
}
