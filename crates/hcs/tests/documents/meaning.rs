//! What a document means: absent and null, unknown and too new, wrong and contradictory.

use hcs::document::{ByteArray, Document, Guid, SchemaVersion};
use hcs::documents::v1;
use hcs::documents::{
    ComputeSystem, ConsoleSize, Container, Devices, ExitInitiator, GuestOs, HostedSystem,
    HvSocketServiceConfig, HvSocketSystemConfig, NotificationType, OsType, Plan9Share, Plan9ShareFlags,
    ProcessParameters, Properties, RegistryHive, RegistryKey, RegistryValue, ResultError, Statistics,
    SystemExitStatus, SystemType, Unclear, VirtualMachine, VirtualPMemController, What,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[test]
fn absent_null_and_default_are_three_things() {
    let read = |value| ProcessParameters::from_value(value).unwrap();
    let (absent, null, given) =
        (read(json!({})), read(json!({ "EmulateConsole": null })), read(json!({ "EmulateConsole": false })));
    assert_eq!(
        (absent.emulate_console, null.emulate_console, given.emulate_console),
        (None, None, Some(false))
    );
    for document in [&absent, &null, &given] {
        assert_eq!(read(document.to_value()), *document);
    }
    assert_eq!(null.to_json(), r#"{"EmulateConsole":null}"#);
    assert_eq!(
        null.emulate_console(true).to_json(),
        r#"{"EmulateConsole":true}"#,
        "what is set goes before the null"
    );
}

#[test]
fn what_is_not_known_is_kept() {
    let value = json!({
        "Owner": "me",
        "Colour": "red",
        "VirtualMachine": { "Devices": { "Floppy": {}, "VirtualSmb": { "Shares": [{ "Speed": 9 }] } } },
    });
    let system = ComputeSystem::from_value(value.clone()).unwrap();
    assert_eq!(system.to_value(), value);
    let expected =
        ["VirtualMachine.Devices.VirtualSmb.Shares[0].Speed", "VirtualMachine.Devices.Floppy", "Colour"];
    assert_eq!(system.leftovers(), expected);

    let exit = SystemExitStatus::from_value(json!({ "ExitType": "Vanished" })).unwrap();
    assert_eq!(exit.exit_type, Some(NotificationType::Other("Vanished".into())));
    assert_eq!(exit.to_json(), r#"{"ExitType":"Vanished"}"#);
}

#[test]
fn what_is_too_new_is_named() {
    let check = |value, host| ComputeSystem::from_value(value).unwrap().check(host).unwrap_err().to_string();
    let kernel = json!({ "VirtualMachine": { "Chipset": { "LinuxKernelDirect": {} } } });
    assert_eq!(
        check(kernel, SchemaVersion::V2_1),
        "VirtualMachine.Chipset.LinuxKernelDirect of ComputeSystem needs schema 2.2, and the host has 2.1"
    );
    let shares = json!({ "VirtualMachine": { "Devices": { "VirtualSmb": {
        "Shares": [{}, { "Options": { "SupportCloudFiles": true } }]
    } } } });
    assert_eq!(
        check(shares, SchemaVersion::V2_2),
        "VirtualMachine.Devices.VirtualSmb.Shares[1].Options.SupportCloudFiles of ComputeSystem needs schema 2.3, \
         and the host has 2.2"
    );
    let boot =
        json!({ "VirtualMachine": { "Chipset": { "Uefi": { "BootThis": { "DeviceType": "File" } } } } });
    let error = ComputeSystem::from_value(boot).unwrap().check(SchemaVersion::V2_0).unwrap_err();
    assert_eq!(error.path, "VirtualMachine.Chipset.Uefi.BootThis", "the object itself came with 2.1");
    let anything = json!({ "Owner": "me" });
    assert_eq!(
        check(anything, SchemaVersion::V1),
        "ComputeSystem needs schema 2.0, and the host has 1.0",
        "a host of schema 1.0 takes none of these documents"
    );
}

#[test]
fn a_value_may_be_newer_than_its_field() {
    let report = ResultError::from_value(json!({ "Attribution": [{ "WorkerExit": {
        "Detail": "FastSaveWithHandleTransfer", "Initiator": "GuestOS",
    } }] }))
    .unwrap();
    let worker = report.attribution.as_ref().unwrap()[0].worker_exit.as_ref().unwrap();
    assert_eq!(worker.initiator, Some(ExitInitiator::GuestOS));
    let error = report.check(SchemaVersion::V2_4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value FastSaveWithHandleTransfer of Attribution[0].WorkerExit.Detail of ResultError needs schema 2.5, \
         and the host has 2.4"
    );
}

#[test]
fn what_no_schema_publishes_is_left_to_the_host() {
    let share = Plan9Share::directory("data", "/data", 564, Plan9ShareFlags::READ_ONLY);
    assert!(share.check(SchemaVersion::V2_1).is_ok());
}

#[test]
fn what_is_wrong_is_named() {
    let refuse = |value| ComputeSystem::from_value(value).unwrap_err().to_string();
    assert_eq!(refuse(json!("me")), r#"ComputeSystem is "me", not an object"#);
    assert_eq!(refuse(json!({ "Owner": 1 })), "Owner of ComputeSystem is 1, not string");
    assert_eq!(
        refuse(json!({ "Container": { "MappedDirectories": [{}, { "ReadOnly": "yes" }] } })),
        r#"Container.MappedDirectories[1].ReadOnly of ComputeSystem is "yes", not bool"#
    );
    assert_eq!(
        refuse(json!({ "VirtualMachine": { "Devices": { "ComPorts": { "one": {} } } } })),
        r#"VirtualMachine.Devices.ComPorts.one of ComputeSystem is "one", not a key of type uint32"#
    );
    assert_eq!(
        refuse(
            json!({ "VirtualMachine": { "ComputeTopology": { "Processor": { "Count": 4294967296u64 } } } })
        ),
        "VirtualMachine.ComputeTopology.Processor.Count of ComputeSystem is 4294967296, not uint32"
    );
    let long = "x".repeat(1000);
    assert!(refuse(json!({ "Container": long })).len() < 120);
    let error = ComputeSystem::from_json("{").unwrap_err();
    assert_eq!(error.to_string(), "read JSON as ComputeSystem");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn numbers_that_would_change_are_refused() {
    for value in [json!(1.0), json!(-1), json!("1"), json!(true), json!(65536)] {
        assert!(ConsoleSize::from_value(json!({ "Height": value })).is_err(), "{value}");
    }
    assert!(ProcessParameters::from_value(json!({ "ConsoleSize": [80] })).is_err());
    assert!(ProcessParameters::from_value(json!({ "ConsoleSize": [80, 25, 1] })).is_err());
    assert!(VirtualPMemController::from_value(json!({ "Devices": { "01": {} } })).is_err());
    assert!(VirtualPMemController::from_value(json!({ "Devices": { "256": {} } })).is_err());
}

#[test]
fn a_guid_is_one_key_in_any_spelling() {
    let twice = json!({ "ServiceTable": {
        "acef5661-84a1-4e44-856b-6245e69f4620": {},
        "ACEF5661-84A1-4E44-856B-6245E69F4620": {},
    } });
    assert!(HvSocketSystemConfig::from_value(twice).is_err());
    let once = json!({ "ServiceTable": { "{ACEF5661-84A1-4E44-856B-6245E69F4620}": {} } });
    let config = HvSocketSystemConfig::from_value(once.clone()).unwrap();
    assert_eq!(config.to_value(), once);
    let gcs: Guid = "acef5661-84a1-4e44-856b-6245e69f4620".parse().unwrap();
    assert!(config.service_table.as_ref().unwrap().contains_key(&gcs));
    let config = config.service(gcs, HvSocketServiceConfig::new().allow_wildcard_binds(true));
    assert_eq!(config.service_table.unwrap().len(), 1);
}

#[test]
fn a_compute_system_is_one_thing() {
    let container = Container::new().guest_os(GuestOs::new().host_name("web"));
    let schema = SchemaVersion::V2_1;
    let system = ComputeSystem::of_container(schema, container.clone());
    assert_eq!(system.what(), Ok(What::Container(&container)));
    assert_eq!(
        system.clone().virtual_machine(VirtualMachine::new()).what(),
        Err(Unclear::Several { found: "Container and VirtualMachine".into() })
    );
    assert_eq!(system.hosting_system_id("vm").what(), Err(Unclear::NotHosted { host: "vm".into() }));
    assert_eq!(ComputeSystem::new().what(), Err(Unclear::Nothing));
    let hosted = HostedSystem::of_container(schema, container);
    assert_eq!(
        ComputeSystem::hosted_in("vm", schema, hosted.clone()).what(),
        Ok(What::Hosted { host: "vm", system: &hosted })
    );
    assert_eq!(ComputeSystem::new().hosted_system(hosted).what(), Err(Unclear::NoHost));
}

#[test]
fn what_a_host_answers_is_read() {
    let answer = json!({
        "Id": "web", "SystemType": "Container", "RuntimeOsType": "Windows", "Owner": "runhcs", "State": "Running",
        "RuntimeId": "4EE495F6-23CB-5D26-8EF1-1D7C6F4085C5",
        "Statistics": {
            "Timestamp": "2026-01-01T00:00:00.1234567Z", "Uptime100ns": 18446744073709551615u64,
            "Processor": { "TotalRuntime100ns": 1 }, "Memory": { "MemoryUsageCommitBytes": 4096 },
        },
        "ProcessList": [{ "ProcessId": 100, "ImageName": "cmd.exe" }],
    });
    let properties = Properties::from_value(answer.clone()).unwrap();
    assert_eq!(properties.system_type, Some(SystemType::Container));
    assert_eq!(properties.runtime_os_type, Some(OsType::Windows));
    assert_eq!(properties.runtime_id, Some("4ee495f6-23cb-5d26-8ef1-1d7c6f4085c5".parse().unwrap()));
    let Some(Statistics { uptime_100ns, .. }) = &properties.statistics else { panic!() };
    assert_eq!(*uptime_100ns, Some(u64::MAX));
    assert_eq!((properties.to_value(), properties.leftovers()), (answer, vec![]));
}

#[test]
fn bytes_travel_as_base64() {
    let value = RegistryValue::binary(RegistryKey::of(RegistryHive::Software, "x"), "y", &[0, 255, 16]);
    assert_eq!(value.binary_value, Some(ByteArray::new(&[0, 255, 16])));
    assert_eq!(value.binary_value.unwrap().decode().unwrap(), [0, 255, 16]);
}

#[test]
fn documents_are_serde_types() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Record {
        system: ComputeSystem,
    }
    let record = Record { system: ComputeSystem::new().owner("me") };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(text, r#"{"system":{"Owner":"me"}}"#);
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    let error = serde_json::from_str::<Record>(r#"{"system":{"Owner":1}}"#).unwrap_err();
    assert!(error.to_string().starts_with("Owner of ComputeSystem is 1, not string"), "{error}");
}

#[test]
fn containers_of_schema_1() {
    let layer = || {
        let id: Guid = "9a7ce19b-aa54-5278-8882-3a1ff9f901f2".parse().unwrap();
        v1::Layer::new().id(id).path(r"C:\layers\base")
    };
    let silo = v1::ContainerConfig::process_isolated("web", r"\\?\Volume{1}", r"C:\layers\web", [layer()])
        .owner("me")
        .memory_maximum_in_mb(512)
        .endpoint_list(["e1"]);
    let expected = json!({
        "SystemType": "Container", "Name": "web", "Owner": "me", "VolumePath": r"\\?\Volume{1}",
        "LayerFolderPath": r"C:\layers\web",
        "Layers": [{ "ID": "9a7ce19b-aa54-5278-8882-3a1ff9f901f2", "Path": r"C:\layers\base" }],
        "MemoryMaximumInMB": 512, "HvPartition": false, "EndpointList": ["e1"],
    });
    assert_eq!(silo.to_value(), expected);
    assert!(silo.check(SchemaVersion::V1).is_ok());
    let runtime = v1::HvRuntime::new().image_path(r"C:\layers\base\UtilityVM");
    let machine = v1::ContainerConfig::hyper_v("web", r"C:\layers\web", [layer()], runtime);
    assert_eq!(machine.hv_partition, Some(true));

    // What the C# wrapper writes: nulls, and `Id` instead of `ID`.
    let theirs = json!({
        "SystemType": "Container", "Name": null, "LayerFolderPath": "/s", "TerminateOnLastHandleClosed": true,
        "Layers": [{ "Id": "9a7ce19b-aa54-5278-8882-3a1ff9f901f2", "Path": "/b" }],
        "NetworkEndpoints": [{ "Id": "00000000-0000-0000-0000-000000000000",
            "NetworkId": "00000000-0000-0000-0000-000000000001", "EndpointName": "web" }],
        "HvRuntime": { "ImagePath": "/b/UtilityVM", "RuntimeId": "00000000-0000-0000-0000-000000000002" },
    });
    let read = v1::ContainerConfig::from_value(theirs.clone()).unwrap();
    assert_eq!((read.to_value(), read.leftovers()), (theirs, vec![]));
    let layer = &read.layers.as_ref().unwrap()[0];
    assert!(layer.any_id().is_some());
}

#[test]
fn adding_devices_adds() {
    use hcs::documents::resource::SerialPort;
    let devices =
        Devices::new().add_serial(SerialPort::Com1, r"\\.\pipe\a").add_serial(SerialPort::Com2, "b");
    assert_eq!(
        devices.add_scsi("0").add_scsi("0").to_value(),
        json!({ "ComPorts": { "0": { "NamedPipe": r"\\.\pipe\a" }, "1": { "NamedPipe": "b" } }, "Scsi": { "0": {} } })
    );
}
