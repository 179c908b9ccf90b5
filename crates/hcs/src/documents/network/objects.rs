//! The objects of HCN: networks, endpoints, namespaces, load balancers, routes.

use super::{
    EndpointFlags, EndpointPolicy, IpSubnetFlags, LoadBalancerDistribution, LoadBalancerFlags,
    LoadBalancerPortMappingFlags, NetworkFlags, NetworkPolicy, Protocol, SdnRoutePolicySetting, SubnetFlags,
    SubnetPolicy,
};
use crate::document::{Document, Guid, IntoField, SchemaVersion, documents, enumerations};
use crate::documents::Version;
use serde_json::Value;

documents! {
    /// A network: a virtual switch and its address pools.
    HostComputeNetwork {
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
        "Type" kind: NetworkMode;
        "Policies" policies: Vec<NetworkPolicy>;
        "MacPool" mac_pool: MacPool;
        "Dns" dns: Dns;
        "Ipams" ipams: Vec<Ipam>;
        "Flags" flags: NetworkFlags;
    }

    /// An endpoint: a port of a network and its addresses.
    HostComputeEndpoint {
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
        "HostComputeNetwork" host_compute_network: Guid;
        "HostComputeNamespace" host_compute_namespace: Guid;
        "Policies" policies: Vec<EndpointPolicy>;
        "IpConfigurations" ip_configurations: Vec<IpConfig>;
        "Dns" dns: Dns;
        "Routes" routes: Vec<Route>;
        /// Written `00-15-5D-52-C0-00`.
        "MacAddress" mac_address: String;
        "Flags" flags: EndpointFlags;
    }

    /// A namespace: what a network compartment is to containers.
    HostComputeNamespace {
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
        /// The number of the compartment.
        "NamespaceId" namespace_id: u32;
        "NamespaceGuid" namespace_guid: Guid;
        "Type" kind: NamespaceType;
        "Resources" resources: Vec<NamespaceResource>;
    }

    /// A load balancer over endpoints.
    HostComputeLoadBalancer {
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
        "HostComputeNetwork" host_compute_network: String, since 2.5;
        "HostComputeEndpoints" host_compute_endpoints: Vec<String>;
        /// The address that the balanced packets come from.
        "SourceVIP" source_vip: String;
        /// The addresses that are balanced.
        "FrontendVIPs" frontend_vips: Vec<String>;
        "PortMappings" port_mappings: Vec<LoadBalancerPortMapping>;
        "Flags" flags: LoadBalancerFlags;
    }

    /// Routes of endpoints in a software-defined network.
    HostComputeRoute {
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
        "HostComputeNetwork" host_compute_network: String, since 2.5;
        "HostComputeEndpoints" host_compute_endpoints: Vec<String>;
        "Routes" routes: Vec<SdnRoutePolicySetting>;
        /// The same, as Microsoft's client writes it.
        "Setting" setting: Vec<SdnRoutePolicySetting>, since unpublished;
    }

    /// A list of policies over several objects.
    HostComputePolicyList {
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
        "References" references: Vec<String>;
        "Policies" policies: Vec<Value>;
    }

    /// The health of an object.
    Health {
        "Data" data: Value;
        "Extra" extra: ExtraParams;
    }

    /// What the service knows of an object beside its settings.
    ExtraParams {
        "Resources" resources: Value;
        "SharedContainers" shared_containers: Value;
        "LayeredOn" layered_on: Guid;
        "SwitchGuid" switch_guid: Guid;
        "UtilityVM" utility_vm: Guid;
        "VirtualMachine" virtual_machine: Guid;
    }

    /// Telemetry of an object.
    Telemetry {
        "Data" data: Value;
    }

    /// Name resolution.
    Dns = "DNS" {
        "Domain" domain: String;
        "Search" search: Vec<String>;
        "ServerList" server_list: Vec<String>;
        "Options" options: Vec<String>;
        /// The domain, in the documents of older clients.
        "Suffix" suffix: String, since unpublished;
    }

    /// Pools of MAC addresses.
    MacPool {
        "Ranges" ranges: Vec<MacRange>;
    }

    /// A range of MAC addresses.
    MacRange {
        "StartMacAddress" start_mac_address: String;
        "EndMacAddress" end_mac_address: String;
    }

    /// Address management of a network.
    Ipam {
        "Type" kind: IpamType;
        "Subnets" subnets: Vec<Subnet>;
    }

    /// A subnet of a network.
    Subnet {
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
        /// Address and length: `192.168.100.0/24`.
        "IpAddressPrefix" ip_address_prefix: String;
        "Policies" policies: Vec<SubnetPolicy>;
        "Routes" routes: Vec<Route>;
        "IpSubnets" ip_subnets: Vec<IpSubnet>, since 2.3;
        "Flags" flags: SubnetFlags, since 2.7;
    }

    /// A part of a subnet.
    IpSubnet {
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
        "IpAddressPrefix" ip_address_prefix: String, since 2.3;
        "Flags" flags: IpSubnetFlags, since 2.5;
    }

    /// An address of an endpoint.
    IpConfig {
        "IpAddress" ip_address: String;
        "PrefixLength" prefix_length: u8;
        "IpSubnetId" ip_subnet_id: Guid, since 2.3;
    }

    /// A route.
    Route {
        "NextHop" next_hop: String;
        "DestinationPrefix" destination_prefix: String;
        "Metric" metric: u16;
    }

    /// A port that is balanced.
    LoadBalancerPortMapping {
        "Protocol" protocol: Protocol;
        /// The port of the endpoints.
        "InternalPort" internal_port: u16;
        /// The port of the frontend.
        "ExternalPort" external_port: u16;
        "DistributionType" distribution_type: LoadBalancerDistribution, since 2.7;
        "Flags" flags: LoadBalancerPortMappingFlags;
    }

    /// What is in a namespace.
    NamespaceResource {
        "Type" kind: NamespaceResourceType;
        "Data" data: Value;
    }

    /// A container in a namespace. Clients write `ID`, the schema says `Id`.
    NamespaceResourceContainer {
        "Id" id: String;
        "ID" upper_case_id: String, since unpublished;
    }

    /// An endpoint in a namespace. Clients write `ID`, the schema says `Id`.
    NamespaceResourceEndpoint {
        "Id" id: String;
        "ID" upper_case_id: String, since unpublished;
    }
}

enumerations! {
    /// What a network is.
    NetworkMode {
        Nat = "NAT";
        Ics = "ICS";
        Transparent = "Transparent";
        L2Bridge = "L2Bridge";
        L2Tunnel = "L2Tunnel";
        Overlay = "Overlay";
        Private = "Private";
        Internal = "Internal";
        Mirrored = "Mirrored", since 2.4;
        Infiniband = "Infiniband", since 2.4;
        ConstrainedIcs = "ConstrainedICS", since 2.10;
    }

    /// Where addresses come from.
    IpamType {
        Static = "Static";
        Dhcp = "Dhcp";
    }

    /// Whose a namespace is.
    NamespaceType {
        Host = "Host";
        HostDefault = "HostDefault";
        Guest = "Guest";
        GuestDefault = "GuestDefault";
    }

    /// What can be in a namespace.
    NamespaceResourceType {
        Container = "Container";
        Endpoint = "Endpoint";
    }
}

impl HostComputeNetwork {
    /// A network.
    #[must_use]
    pub fn of(name: &str, kind: NetworkMode) -> Self {
        Self::new().schema_version(SchemaVersion::V2_0).name(name).kind(kind)
    }
}

impl HostComputeEndpoint {
    /// An endpoint on a network.
    #[must_use]
    pub fn on(network: Guid, name: &str) -> Self {
        Self::new().schema_version(SchemaVersion::V2_0).host_compute_network(network).name(name)
    }
}

impl HostComputeNamespace {
    /// A namespace.
    #[must_use]
    pub fn of(kind: NamespaceType) -> Self {
        Self::new().schema_version(SchemaVersion::V2_0).kind(kind)
    }

    /// The ids of the endpoints in it.
    pub fn endpoints(&self) -> Vec<String> {
        let resources = self.resources.iter().flatten();
        let endpoints = resources.filter(|resource| resource.kind == Some(NamespaceResourceType::Endpoint));
        let data = endpoints.filter_map(|resource| resource.data.clone());
        data.filter_map(|data| NamespaceResourceEndpoint::from_value(data).ok()?.upper_or_mixed()).collect()
    }
}

impl NamespaceResourceEndpoint {
    /// The id, in whichever field.
    fn upper_or_mixed(self) -> Option<String> {
        self.upper_case_id.or(self.id)
    }
}

impl HostComputeLoadBalancer {
    /// A load balancer over endpoints.
    #[must_use]
    pub fn over(endpoints: impl IntoField<Vec<String>>) -> Self {
        Self::new().schema_version(SchemaVersion::V2_0).host_compute_endpoints(endpoints)
    }
}

impl Ipam {
    /// One subnet with fixed addresses, and the gateway of its default route.
    #[must_use]
    pub fn fixed(prefix: &str, gateway: &str) -> Self {
        let route = Route::new().next_hop(gateway).destination_prefix("0.0.0.0/0");
        Self::new().kind(IpamType::Static).subnets([Subnet::new().ip_address_prefix(prefix).routes([route])])
    }
}

impl MacPool {
    /// One range.
    #[must_use]
    pub fn range(start: &str, end: &str) -> Self {
        Self::new().ranges([MacRange::new().start_mac_address(start).end_mac_address(end)])
    }
}
