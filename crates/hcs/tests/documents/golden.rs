//! Documents that our builders make equal those that Microsoft's clients sent.

use crate::captured::recorded;
use hcs::document::{Document, Guid, SchemaVersion};
use hcs::documents::network::{
    AclPolicySetting, ActionType, DirectionType, Dns, EndpointPolicy, ExtraParams, FiveTuple, Health,
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
    HostRoutePolicySetting, Ipam, L4WfpProxyPolicySetting, LoadBalancerFlags, LoadBalancerPortMapping,
    LoadBalancerPortMappingFlags, MacPool, ModifyEndpointSettingRequest, ModifyNamespaceSettingRequest,
    ModifyNetworkSettingRequest, ModifyRequestType, NamespaceType, NetworkFlags, NetworkMode, NetworkPolicy,
    PortMappingPolicySetting, Protocol, ProxyExceptions, RemoteSubnetRoutePolicySetting, RuleType,
    SubnetPolicy, VsidPolicySetting,
};
use hcs::documents::resource::{PersistentMemory, Plan9Shares, ScsiAttachment, SmbShares};
use hcs::documents::{
    Attachment, Chipset, CombinedLayers, ComputeSystem, Container, ContainerMemory, ContainerProcessor,
    Devices, GetPropertyType, GuestConnection, GuestModifySettingRequest, GuestOs, HostedSystem,
    HvSocketSystemConfig, Layer, LayerData, LinuxMappedDirectory, LinuxMappedVirtualDisk,
    LinuxMappedVpmemDevice, MappedVirtualDisk, ModifySettingRequest, Networking, Plan9, Plan9Share,
    Plan9ShareFlags, ProcessModifyRequest, ProcessParameters, ProcessSignal, RegistryChanges, RegistryHive,
    RegistryKey, RegistryValue, ServicePropertyQuery, Signal, SignalProcessOptions, StdHandle, Storage,
    Topology, UefiBootEntry, VirtualMachine, VirtualPMemController, VirtualPMemDevice,
    VirtualPMemImageFormat, VirtualSmb, VirtualSmbShare, VirtualSmbShareOptions,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn same<D: Document>(document: &D, name: &str) {
    assert_eq!(document.to_value(), recorded(name));
}

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

/// The `Settings.spec` field of a recorded document that is not ours to make: an OCI specification.
fn part(name: &str, pointer: &str) -> Value {
    recorded(name).pointer(pointer).unwrap().clone()
}

fn base_layer(path: &str) -> Layer {
    Layer::of(guid("9a7ce19b-aa54-5278-8882-3a1ff9f901f2"), path)
}

#[test]
fn a_process_isolated_windows_container() {
    let wait = RegistryValue::string(
        RegistryKey::of(RegistryHive::System, r"ControlSet001\Control"),
        "WaitToKillServiceTimeout",
        "2147483647",
    );
    let container = Container::with_root(
        r"\\?\Volume{1312bc82-1c14-5033-82e6-663dfdaaa301}\",
        [base_layer(r"C:\test\layers\base")],
    )
    .guest_os(GuestOs::new().host_name("wcow-host"))
    .map(r"\\?\Volume{00000000-0000-0000-0000-000000000043}\test\data", r"C:\data", true)
    .memory(ContainerMemory::new().size_in_mb(512))
    .processor(ContainerProcessor::new().count(1))
    .networking(
        Networking::new()
            .allow_unqualified_dns_query(true)
            .dns_search_list("example.org")
            .namespace("506da755-b037-5334-8737-9cf1f8797ee1"),
    )
    .registry_changes(RegistryChanges::new().add_values([wait]));
    let system = ComputeSystem::of_container(SchemaVersion::V2_1, container)
        .owner("runhcs")
        .should_terminate_on_last_handle_closed(true);
    same(&system, "wcow-process-v0.11.8.03");
}

#[test]
fn the_virtual_machine_of_a_linux_container() {
    let devices = Devices::new()
        .add_scsi("0")
        .virtual_pmem(VirtualPMemController::new().maximum_count(64).maximum_size_bytes(4 << 30).plug(
            0,
            VirtualPMemDevice::read_only_image(
                r"C:\Program Files\Linux Containers\rootfs.vhd",
                VirtualPMemImageFormat::Vhd1,
            ),
        ))
        .hv_sockets(
            HvSocketSystemConfig::new()
                .default_bind_security_descriptor(HvSocketSystemConfig::ADMINISTRATORS),
        )
        .plan9(Plan9::new());
    let mut topology = Topology::of(1024, 2);
    topology.memory = topology.memory.map(|memory| memory.allow_overcommit(true));
    let machine = VirtualMachine::new()
        .stop_on_reset(true)
        .chipset(Chipset::linux_kernel(
            r"C:\Program Files\Linux Containers\vmlinux",
            "root=/dev/pmem0 ro rootwait init=/init 8250_core.nr_uarts=0 panic=-1 quiet nr_cpus=2 pci=off \
             brd.rd_nr=0 pmtmr=0 -- -e 1 /bin/vsockexec /bin/gcs -v4 -log-format json -loglevel debug",
        ))
        .compute_topology(topology)
        .devices(devices)
        .guest_connection(GuestConnection::new().use_vsock(true).use_connected_suspend(true));
    let system = ComputeSystem::of_virtual_machine(SchemaVersion::V2_1, machine)
        .owner("runhcs")
        .should_terminate_on_last_handle_closed(true);
    same(&system, "lcow-v0.8.7.01");
    assert_eq!(system.needs(), SchemaVersion::V2_2, "a kernel without firmware");
}

#[test]
fn the_virtual_machine_of_a_windows_container() {
    let share = VirtualSmbShare::directory(
        "os",
        r"C:\test\layers\base\UtilityVM\Files",
        VirtualSmbShareOptions::of_layer(),
    );
    let devices = Devices::new()
        .attach(
            "df6d0690-79e5-55b6-a5ec-c1e2f77f580a",
            0,
            Attachment::virtual_disk(r"C:\test\layers\scratch\vm\sandbox.vhdx"),
        )
        .unwrap()
        .hv_sockets(
            HvSocketSystemConfig::new()
                .default_bind_security_descriptor(HvSocketSystemConfig::ADMINISTRATORS),
        )
        .virtual_smb(VirtualSmb::new().shares([share]).direct_file_mapping_in_mb(1024));
    let mut topology = Topology::of(1024, 2);
    topology.memory = topology.memory.map(|memory| memory.allow_overcommit(true).enable_hot_hint(true));
    let compartments = RegistryValue::dword(
        RegistryKey::of(RegistryHive::System, r"CurrentControlSet\Services\gns"),
        "EnableCompartmentNamespace",
        1,
    );
    let machine = VirtualMachine::new()
        .stop_on_reset(true)
        .chipset(Chipset::uefi_boot(UefiBootEntry::vmbfs(r"\EFI\Microsoft\Boot\bootmgfw.efi")))
        .compute_topology(topology)
        .devices(devices)
        .registry_changes(RegistryChanges::new().add_values([compartments]));
    let system = ComputeSystem::of_virtual_machine(SchemaVersion::V2_1, machine)
        .owner("runhcs")
        .should_terminate_on_last_handle_closed(true);
    same(&system, "wcow-hyperv-vm-v0.11.8.02");
}

#[test]
fn containers_in_a_virtual_machine() {
    let name = "lcow-v0.8.7.06";
    let specification = part(name, "/HostedSystem/OciSpecification");
    let linux = HostedSystem::of_bundle(SchemaVersion::V2_1, "/run/gcs/c/lc1", specification);
    let system = ComputeSystem::hosted_in("lc1@vm", SchemaVersion::V2_1, linux)
        .owner("runhcs")
        .should_terminate_on_last_handle_closed(true);
    same(&system, name);

    let share = r"\\?\VMSMB\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\s1";
    let container = Container::new()
        .guest_os(GuestOs::new().host_name("wcow-hv"))
        .storage(Storage::new().layers([base_layer(share)]).path(r"C:\c\1"))
        .memory(ContainerMemory::new().size_in_mb(1024))
        .processor(ContainerProcessor::new().count(2));
    let windows = HostedSystem::of_container(SchemaVersion::V2_1, container);
    let system = ComputeSystem::hosted_in("wh1@vm", SchemaVersion::V2_1, windows)
        .owner("runhcs")
        .should_terminate_on_last_handle_closed(true);
    same(&system, "wcow-hyperv-v0.8.7.05");
}

#[test]
fn processes() {
    let windows = ProcessParameters::windows(r#"cmd /c "echo hello & exit 3""#)
        .user("ContainerUser")
        .working_directory(r"C:\")
        .environment([("PATH".to_owned(), r"C:\Windows\system32".to_owned())])
        .with_pipes();
    same(&windows, "wcow-process-v0.11.8.04");
    same(&ProcessParameters::linux_init().with_pipes(), "lcow-v0.8.7.07");
    let exec = ProcessParameters::linux_exec(part("lcow-v0.8.7.09", "/OciProcess")).with_pipes();
    same(&exec, "lcow-v0.8.7.09");
    same(&ProcessModifyRequest::close(StdHandle::StdIn), "lcow-v0.8.7.08");
    same(&ProcessModifyRequest::resize(40, 100), "lcow-v0.8.7.13");
    same(&SignalProcessOptions::new().signal(Signal::Linux(15)), "lcow-v0.8.7.14");
    same(&SignalProcessOptions::new().signal(ProcessSignal::CtrlC), "wcow-process-v0.11.8.11");
    same(&ServicePropertyQuery::of([GetPropertyType::ProcessorTopology]), "lcow-vm-head.01");
}

#[test]
fn changes_of_a_linux_machine() {
    let image =
        VirtualPMemDevice::read_only_image(r"C:\test\layers\lbase\layer.vhd", VirtualPMemImageFormat::Vhd1);
    let mount = LinuxMappedVpmemDevice::new().device_number(1).mount_path("/run/layers/p1");
    let request = ModifySettingRequest::add(&PersistentMemory { device: 1 }, image)
        .guest_request(GuestModifySettingRequest::add(&mount));
    same(&request, "lcow-v0.8.7.02");

    let disk = Attachment::virtual_disk(r"C:\test\layers\lscratch\sandbox.vhdx");
    let mount = LinuxMappedVirtualDisk::new().mount_path("/run/gcs/c/lc1");
    let request = ModifySettingRequest::add(&ScsiAttachment { controller: "0".into(), lun: 0 }, disk)
        .guest_request(GuestModifySettingRequest::add(&mount));
    same(&request, "lcow-v0.8.7.03");

    let layers = CombinedLayers::new()
        .container_root_path("/run/gcs/c/lc1/rootfs")
        .layers([Layer::new().path("/run/layers/p1")])
        .scratch_path("/run/gcs/c/lc1");
    same(&ModifySettingRequest::in_guest(GuestModifySettingRequest::add(&layers)), "lcow-v0.8.7.04");

    let flags = Plan9ShareFlags::READ_ONLY | Plan9ShareFlags::LINUX_METADATA;
    let mount = LinuxMappedDirectory::new()
        .mount_path("/run/gcs/c/lc1/mounts/m1")
        .port(564)
        .share_name("0")
        .read_only(true);
    let request =
        ModifySettingRequest::add(&Plan9Shares {}, Plan9Share::directory("0", r"C:\test\data", 564, flags))
            .guest_request(GuestModifySettingRequest::add(&mount));
    same(&request, "lcow-v0.8.7.05");
}

#[test]
fn changes_of_a_windows_machine() {
    let share = VirtualSmbShare::directory("s1", r"C:\test\layers\base", VirtualSmbShareOptions::of_layer());
    same(&ModifySettingRequest::add(&SmbShares {}, share), "wcow-hyperv-v0.8.7.02");

    let disk = Attachment::virtual_disk(r"C:\test\layers\scratch\sandbox.vhdx");
    let mount = MappedVirtualDisk::new().container_path(r"C:\c\1").lun(1);
    let request = ModifySettingRequest::add(&ScsiAttachment { controller: "0".into(), lun: 1 }, disk)
        .guest_request(GuestModifySettingRequest::add(&mount));
    same(&request, "wcow-hyperv-v0.8.7.03");

    let share = r"\\?\VMSMB\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\s1";
    let layers = CombinedLayers::new().container_root_path(r"C:\c\1").layers([base_layer(share)]);
    same(&ModifySettingRequest::in_guest(GuestModifySettingRequest::add(&layers)), "wcow-hyperv-v0.8.7.04");
}

/// What Go writes for structures that it cannot leave out.
fn empty_health() -> Health {
    Health::new().extra(ExtraParams::new())
}

fn nat() -> HostComputeNetwork {
    HostComputeNetwork::of("GoTestNat", NetworkMode::Nat)
        .mac_pool(MacPool::range("00-15-5D-52-C0-00", "00-15-5D-52-CF-FF"))
        .dns(Dns::new())
        .health(empty_health())
}

#[test]
fn networks_and_what_is_on_them() {
    same(&nat().ipams([Ipam::fixed("192.168.100.0/24", "192.168.100.1")]), "hcn-tests-head.01");

    let mut overlay = HostComputeNetwork::of("GoTestOverlay", NetworkMode::Overlay)
        .mac_pool(MacPool::range("00-15-5D-52-C0-00", "00-15-5D-52-CF-FF"))
        .dns(Dns::new())
        .ipams([Ipam::fixed("192.168.100.0/24", "192.168.100.1")])
        .flags(NetworkFlags::ENABLE_NON_PERSISTENT)
        .health(empty_health());
    let policy = SubnetPolicy::of(&VsidPolicySetting::new().isolation_id(5000));
    overlay.ipams.as_mut().unwrap()[0].subnets.as_mut().unwrap()[0].policies = Some(vec![policy]);
    same(&overlay, "hcn-tests-head.19");

    let mapping =
        PortMappingPolicySetting::new().protocol(Protocol::UDP).internal_port(45678).external_port(56789);
    let endpoint = HostComputeEndpoint::on(guid("955be1c5-23df-59bd-8c66-eb371aea2d9a"), "GoTestNatEndpoint")
        .policies([EndpointPolicy::of(&mapping)])
        .dns(Dns::new())
        .health(empty_health());
    same(&endpoint, "hcn-tests-head.20");

    same(&HostComputeNamespace::of(NamespaceType::HostDefault).namespace_id(5), "hcn-tests-head.08");
    same(&HostComputeQuery::all(), "wcow-process-v0.11.8.02");

    let port = LoadBalancerPortMapping::new()
        .protocol(Protocol::TCP)
        .internal_port(8080)
        .external_port(80)
        .flags(LoadBalancerPortMappingFlags::ENABLE_PRESERVE_DIP);
    let balancer = HostComputeLoadBalancer::over(["00000000-0000-0000-0000-000000000000"])
        .source_vip("10.0.0.1")
        .frontend_vips(["1.1.1.2", "1.1.1.3"])
        .port_mappings([port])
        .flags(LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN);
    same(&balancer, "hcn-tests-head.32");
}

#[test]
fn changes_of_networks() {
    same(&ModifyNamespaceSettingRequest::add_endpoint(Guid::NIL), "hcn-tests-head.09");
    same(&ModifyNamespaceSettingRequest::remove_endpoint(Guid::NIL), "hcn-tests-head.10");

    let proxy = L4WfpProxyPolicySetting::new()
        .inbound_proxy_port("80")
        .outbound_proxy_port("81")
        .filter_tuple(FiveTuple::new().protocols("6").remote_addresses("10.0.0.4").priority(8))
        .inbound_exceptions(
            ProxyExceptions::new().ip_address_exceptions(["12.0.1.12"]).port_exceptions(["8181"]),
        )
        .outbound_exceptions(
            ProxyExceptions::new().ip_address_exceptions(["10.0.1.12"]).port_exceptions(["81"]),
        );
    let request =
        ModifyEndpointSettingRequest::policies(ModifyRequestType::Add, [EndpointPolicy::of(&proxy)]);
    same(&request, "hcn-tests-head.12");

    let rule = |direction| {
        let addresses = "192.168.100.0/24,10.0.0.21";
        EndpointPolicy::of(
            &AclPolicySetting::new()
                .protocols("6")
                .action(ActionType::Allow)
                .direction(direction)
                .local_addresses(addresses)
                .remote_addresses(addresses)
                .local_ports("80,8080")
                .remote_ports("80,8080")
                .rule_type(RuleType::Switch)
                .priority(200),
        )
    };
    let request = ModifyEndpointSettingRequest::policies(
        ModifyRequestType::Update,
        [rule(DirectionType::In), rule(DirectionType::Out)],
    );
    same(&request, "hcn-tests-head.14");

    let route = RemoteSubnetRoutePolicySetting::new()
        .destination_prefix("192.168.2.0/24")
        .isolation_id(5000)
        .provider_address("1.1.1.1")
        .distributed_router_mac_address("00-12-34-56-78-9a");
    let add = |policy| ModifyNetworkSettingRequest::policies(ModifyRequestType::Add, [policy]);
    same(&add(NetworkPolicy::of(&route)), "hcn-tests-head.43");
    same(&add(NetworkPolicy::of(&HostRoutePolicySetting::new())), "hcn-tests-head.44");
}

#[test]
fn queries_of_networks() {
    let id = guid("5f0b1190-63be-4e0c-b974-bd0f55675a42");
    let filter = |query: HostComputeQuery| query.filter.unwrap();
    assert_eq!(filter(HostComputeQuery::by_name("GoTestNat")), r#"{"Name":"GoTestNat"}"#);
    assert_eq!(filter(HostComputeQuery::by_id(&id)), r#"{"ID":"5f0b1190-63be-4e0c-b974-bd0f55675a42"}"#);
    let expected = json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Filter": r#"{"Name":"a \"b\""}"# });
    assert_eq!(HostComputeQuery::by_name(r#"a "b""#).to_value(), expected);
}

#[test]
fn a_disk_does_not_push_out_another() {
    let disk = |name: &str| Attachment::virtual_disk(name);
    let devices = Devices::new().attach("0", 63, disk("a.vhdx")).unwrap();
    let taken = devices.clone().attach("0", 63, disk("b.vhdx")).unwrap_err();
    assert_eq!(taken.to_string(), r#"attach "b.vhdx" at LUN 63: the place is taken by "a.vhdx""#);
    assert!(devices.clone().attach("0", 64, disk("b.vhdx")).is_err());
    let devices = devices.attach("1", 63, disk("b.vhdx")).unwrap();
    let controllers: BTreeMap<_, _> = devices.scsi.unwrap();
    assert_eq!(controllers.keys().collect::<Vec<_>>(), ["0", "1"]);
}

#[test]
fn layers_below_a_layer() {
    let data = LayerData::of([base_layer(r"C:\test\layers\base")]);
    let expected = json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Layers": [{ "Id": "9a7ce19b-aa54-5278-8882-3a1ff9f901f2", "Path": r"C:\test\layers\base" }],
    });
    assert_eq!(data.to_value(), expected);
}
