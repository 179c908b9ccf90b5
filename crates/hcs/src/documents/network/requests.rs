//! Queries and changes of HCN objects, and the events that tell of them.

use super::{
    EndpointPolicy, GuestNetworkServiceFlags, Health, HostComputeQueryFlags, IpSubnet, NamespaceResourceType,
    NetworkPolicy, Subnet, Telemetry,
};
use crate::document::{Document, Guid, SchemaVersion, documents, enumerations};
use crate::documents::Version;
use serde_json::Value;

documents! {
    /// Which objects are asked for. [`HostComputeQuery::all`], [`HostComputeQuery::by_name`] and
    /// [`HostComputeQuery::by_id`] make the common ones.
    HostComputeQuery {
        "SchemaVersion" schema_version: Version;
        "Flags" flags: HostComputeQueryFlags;
        /// A JSON object in a string: fields and the values they must have.
        "Filter" filter: String;
    }

    /// A change to a network.
    ModifyNetworkSettingRequest {
        "ResourceUri" resource_uri: String;
        "ResourceType" resource_type: NetworkResourceType;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
    }

    /// A change to an endpoint.
    ModifyEndpointSettingRequest {
        "ResourceUri" resource_uri: String;
        "ResourceType" resource_type: EndpointResourceType;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
    }

    /// A change to a namespace.
    ModifyNamespaceSettingRequest {
        "ResourceUri" resource_uri: String;
        "ResourceType" resource_type: NamespaceResourceType;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
    }

    /// A change to a guest network service.
    ModifyGuestNetworkServiceSettingRequest {
        "ResourceUri" resource_uri: String;
        "ResourceType" resource_type: GuestNetworkServiceResourceType;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
    }

    /// The settings of a change to the policies of a network.
    PolicyNetworkRequest {
        "Policies" policies: Vec<NetworkPolicy>;
    }

    /// The settings of a change to the policies of an endpoint.
    PolicyEndpointRequest {
        "Policies" policies: Vec<EndpointPolicy>;
    }

    /// The settings of a change to the port of an endpoint: the machine that uses it.
    VmEndpointRequest {
        "PortId" port_id: Guid;
        "VirtualNicName" virtual_nic_name: String;
        "VirtualMachineId" virtual_machine_id: Guid;
    }

    /// The settings of a change to the subnets of a network.
    SubnetNetworkRequest since 2.6 {
        "Subnets" subnets: Vec<Subnet>;
    }

    /// The settings of a change to the parts of a subnet.
    IpSubnetNetworkRequest = "IPSubnetNetworkRequest" since 2.6 {
        "SubnetId" subnet_id: Guid;
        "IpSubnets" ip_subnets: Vec<IpSubnet>;
    }

    /// The settings of adding an endpoint to a namespace, or removing one.
    NamespaceEndpointRequest {
        "EndpointId" endpoint_id: Guid;
    }

    /// The settings of adding a container to a namespace, or removing one.
    NamespaceContainerRequest {
        "ContainerId" container_id: String;
    }

    /// The error record of a call that failed, and the answer of a change.
    Response {
        "Success" success: bool;
        "Error" error: String;
        /// HRESULT.
        "ErrorCode" error_code: u32;
        "Data" data: Value;
        "CompartmentId" compartment_id: u32;
    }

    /// The data of an event.
    NotificationBase {
        "ID" id: Guid;
        "Flags" flags: u32;
        "Data" data: Value, since 2.2;
    }

    /// A guest network service: what mirrors the host's network in a machine.
    GuestNetworkService {
        "ID" id: Guid;
        "Owner" owner: String;
        "Name" name: String;
        "Version" version: u64;
        "AdditionalParams" additional_params: Value;
        "Health" health: Health;
        /// The version that the document is written in; 2.0 is what clients write.
        "SchemaVersion" schema_version: Version;
        "Telemetry" telemetry: Telemetry;
        "State" state: u16;
        "VirtualMachineId" virtual_machine_id: Guid;
        "MirroredInterfaces" mirrored_interfaces: Vec<GuestNetworkServiceInterface>, since 2.2;
        "MirrorHostNetworking" mirror_host_networking: bool, since 2.5;
        "GnsRpcServerInformation" gns_rpc_server_information: RpcConnectionInformation, since 2.11;
        "Flags" flags: GuestNetworkServiceFlags, since 2.12;
    }

    /// An interface that is mirrored.
    GuestNetworkServiceInterface since 2.2 {
        "EndpointId" endpoint_id: Guid;
        "InterfaceGuid" interface_guid: Guid;
        "State" state: GuestNetworkServiceInterfaceState;
        "MissedNotifications" missed_notifications: GuestNetworkServiceNotificationType, since 2.7;
    }

    /// The data of an event of a guest network service.
    GuestNetworkServiceNotificationData since 2.2 {
        "State" state: GuestNetworkServiceState;
        "Interfaces" interfaces: Vec<GuestNetworkServiceInterface>;
    }

    /// The settings of a change to the state of a guest network service.
    GuestNetworkServiceStateRequest {
        "State" state: GuestNetworkServiceState;
    }

    /// Where the guest network service is reached.
    RpcConnectionInformation since 2.11 {
        "NetworkAddress" network_address: String;
        "EndpointAddress" endpoint_address: String;
        "EndpointType" endpoint_type: RpcEndpointType, since 2.13;
        "ObjectUuid" object_uuid: Guid, since 2.13;
    }
}

enumerations! {
    /// What to do with a setting.
    ModifyRequestType {
        Add = "Add";
        Remove = "Remove";
        Update = "Update";
        Refresh = "Refresh";
        Reset = "Reset";
    }

    /// What can be changed about a network.
    NetworkResourceType {
        Dns = "DNS";
        Extension = "Extension";
        Policy = "Policy";
        Subnet = "Subnet", since 2.6;
        IpSubnet = "IPSubnet", since 2.6;
    }

    /// What can be changed about an endpoint.
    EndpointResourceType {
        Port = "Port";
        Policy = "Policy";
    }

    /// What can be changed about a guest network service.
    GuestNetworkServiceResourceType {
        State = "State";
    }

    /// The state of a mirrored interface.
    GuestNetworkServiceInterfaceState since 2.2 {
        Created = "Created";
        Bootstrapping = "Bootstrapping";
        Synchronized = "Synchronized";
        Desynchronized = "Desynchronized";
        Paused = "Paused";
    }

    /// What a guest was not told of.
    GuestNetworkServiceNotificationType since 2.7 {
        None = "None";
        DnsCacheParam = "DNSCacheParam";
        DhcpParam = "DHCPParam";
        InterfaceParam = "InterfaceParam";
        AddressParam = "AddressParam";
        Route = "Route";
        DnsParam = "DNSParam";
        XlatParam = "XlatParam";
        Neighbor = "Neighbor";
    }

    /// The state of a guest network service.
    GuestNetworkServiceState {
        None = "None";
        Created = "Created";
        Bootstrapping = "Bootstrapping";
        Synchronized = "Synchronized";
        Paused = "Paused";
        Desynchronized = "Desynchronized", since 2.5;
        Rehydrating = "Rehydrating", since 2.5;
        Degraded = "Degraded";
        Destroyed = "Destroyed";
    }

    /// How the guest network service is reached.
    RpcEndpointType since 2.13 {
        HvSocket = "HvSocket";
        LRpc = "LRpc";
    }
}

impl HostComputeQuery {
    /// Every object.
    #[must_use]
    pub fn all() -> Self {
        Self::new().schema_version(SchemaVersion::V2_0)
    }

    /// Objects with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Self {
        Self::filtered("Name", name)
    }

    /// The object with this id.
    #[must_use]
    pub fn by_id(id: &Guid) -> Self {
        Self::filtered("ID", &id.to_string())
    }

    /// Endpoints on this network.
    #[must_use]
    pub fn on_network(network: &Guid) -> Self {
        Self::filtered("VirtualNetwork", &network.to_string())
    }

    fn filtered(field: &str, value: &str) -> Self {
        Self::all().filter(serde_json::json!({ field: value }).to_string())
    }
}

impl ModifyNetworkSettingRequest {
    /// Adds, removes or updates policies.
    #[must_use]
    pub fn policies(request: ModifyRequestType, policies: impl IntoIterator<Item = NetworkPolicy>) -> Self {
        let settings = PolicyNetworkRequest::new().policies(policies.into_iter().collect::<Vec<_>>());
        Self::new()
            .resource_type(NetworkResourceType::Policy)
            .request_type(request)
            .settings(settings.to_value())
    }
}

impl ModifyEndpointSettingRequest {
    /// Adds, removes or updates policies.
    #[must_use]
    pub fn policies(request: ModifyRequestType, policies: impl IntoIterator<Item = EndpointPolicy>) -> Self {
        let settings = PolicyEndpointRequest::new().policies(policies.into_iter().collect::<Vec<_>>());
        Self::new()
            .resource_type(EndpointResourceType::Policy)
            .request_type(request)
            .settings(settings.to_value())
    }
}

impl ModifyNamespaceSettingRequest {
    /// Puts an endpoint into a namespace.
    #[must_use]
    pub fn add_endpoint(endpoint: Guid) -> Self {
        Self::endpoint(ModifyRequestType::Add, endpoint)
    }

    /// Takes an endpoint out of a namespace.
    #[must_use]
    pub fn remove_endpoint(endpoint: Guid) -> Self {
        Self::endpoint(ModifyRequestType::Remove, endpoint)
    }

    fn endpoint(request: ModifyRequestType, endpoint: Guid) -> Self {
        let settings = NamespaceEndpointRequest::new().endpoint_id(endpoint);
        Self::new()
            .resource_type(NamespaceResourceType::Endpoint)
            .request_type(request)
            .settings(settings.to_value())
    }
}
