//! Policies of networks, subnets and endpoints.

use super::{IovInterruptModeration, NatFlags, Protocol};
use crate::document::{Document, Guid, Mismatch, documents, enumerations};
use serde_json::Value;

documents! {
    /// A policy of an endpoint. [`EndpointPolicy::of`] makes one of its settings.
    EndpointPolicy {
        "Type" kind: EndpointPolicyType;
        "Settings" settings: Value;
    }

    /// A policy of a network. [`NetworkPolicy::of`] makes one of its settings.
    NetworkPolicy {
        "Type" kind: NetworkPolicyType;
        "Settings" settings: Value;
    }

    /// A policy of a subnet. [`SubnetPolicy::of`] makes one of its settings.
    SubnetPolicy {
        "Type" kind: SubnetPolicyType;
        "Settings" settings: Value;
    }

    /// A port of the host that leads to one of the endpoint.
    PortMappingPolicySetting {
        "Protocol" protocol: Protocol;
        "InternalPort" internal_port: u16;
        "ExternalPort" external_port: u16;
        "VIP" vip: String;
        "Flags" flags: NatFlags;
    }

    /// A firewall rule of an endpoint.
    AclPolicySetting {
        /// IP numbers, separated by commas: 6 is TCP, 17 is UDP.
        "Protocols" protocols: String;
        /// Addresses or prefixes, separated by commas.
        "LocalAddresses" local_addresses: String;
        /// Addresses or prefixes, separated by commas.
        "RemoteAddresses" remote_addresses: String;
        /// Ports, separated by commas.
        "LocalPorts" local_ports: String;
        /// Ports, separated by commas.
        "RemotePorts" remote_ports: String;
        /// Lower goes first.
        "Priority" priority: u16;
        "Id" id: String;
        "Action" action: ActionType;
        "Direction" direction: DirectionType;
        "RuleType" rule_type: RuleType;
    }

    /// A firewall rule of a network.
    NetworkAclPolicySetting {
        /// IP numbers, separated by commas: 6 is TCP, 17 is UDP.
        "Protocols" protocols: String;
        /// Addresses or prefixes, separated by commas.
        "LocalAddresses" local_addresses: String;
        /// Addresses or prefixes, separated by commas.
        "RemoteAddresses" remote_addresses: String;
        /// Ports, separated by commas.
        "LocalPorts" local_ports: String;
        /// Ports, separated by commas.
        "RemotePorts" remote_ports: String;
        /// Lower goes first.
        "Priority" priority: u16;
        "Id" id: String;
        "Action" action: ActionType;
        "Direction" direction: DirectionType;
        "RuleType" rule_type: RuleType;
    }

    /// What packets a rule is about.
    FiveTuple since 2.5 {
        /// IP numbers, separated by commas: 6 is TCP, 17 is UDP.
        "Protocols" protocols: String;
        /// Addresses or prefixes, separated by commas.
        "LocalAddresses" local_addresses: String;
        /// Addresses or prefixes, separated by commas.
        "RemoteAddresses" remote_addresses: String;
        /// Ports, separated by commas.
        "LocalPorts" local_ports: String;
        /// Ports, separated by commas.
        "RemotePorts" remote_ports: String;
        /// Lower goes first.
        "Priority" priority: u16;
    }

    /// A limit of bandwidth.
    QosPolicySetting {
        /// Bytes a second.
        "MaximumOutgoingBandwidthInBytes" maximum_outgoing_bandwidth_in_bytes: u64;
    }

    /// Address translation of what an endpoint sends.
    OutboundNatPolicySetting {
        "VirtualIP" virtual_ip: String;
        "Destinations" destinations: Vec<String>;
        "Exceptions" exceptions: Vec<String>;
        "Flags" flags: NatFlags;
        "MaxPortPoolUsage" max_port_pool_usage: u16, since unpublished;
    }

    /// A route in a software-defined network.
    SdnRoutePolicySetting = "SDNRoutePolicySetting" {
        "DestinationPrefix" destination_prefix: String;
        "NextHop" next_hop: String;
        "NeedEncap" need_encap: bool;
        "AutomaticEndpointMonitor" automatic_endpoint_monitor: bool;
    }

    /// A proxy in the virtual switch.
    L4ProxyPolicySetting {
        "IP" ip: String;
        "Port" port: String;
        "Protocol" protocol: Protocol;
        "ExceptionList" exception_list: Vec<String>;
        "Destination" destination: String;
        "OutboundNat" outbound_nat: bool;
        /// `ExceptionList`, as Microsoft's client writes it.
        "Exceptions" exceptions: Vec<String>, since unpublished;
        /// `OutboundNat`, as Microsoft's client writes it.
        "OutboundNAT" upper_case_outbound_nat: bool, since unpublished;
    }

    /// A proxy in the firewall of the host.
    L4WfpProxyPolicySetting since 2.5 {
        "InboundProxyPort" inbound_proxy_port: String, since 2.11;
        "OutboundProxyPort" outbound_proxy_port: String, since 2.11;
        "FilterTuple" filter_tuple: FiveTuple;
        /// The account of the proxy.
        "UserSID" user_sid: String;
        "InboundExceptions" inbound_exceptions: ProxyExceptions, since 2.14;
        "OutboundExceptions" outbound_exceptions: ProxyExceptions, since 2.14;
    }

    /// What a proxy leaves alone.
    ProxyExceptions since 2.14 {
        "IpAddressExceptions" ip_address_exceptions: Vec<String>;
        "PortExceptions" port_exceptions: Vec<String>;
    }

    /// The name of the port of an endpoint.
    PortnameEndpointPolicySetting {
        "Name" name: String;
    }

    /// Bytes that the network puts around each packet.
    EncapOverheadEndpointPolicySetting {
        "Overhead" overhead: u16;
    }

    /// SR-IOV of an endpoint.
    IovPolicySetting since 2.9 {
        "IovOffloadWeight" iov_offload_weight: u32;
        "QueuePairsRequested" queue_pairs_requested: u32;
        "InterruptModeration" interrupt_moderation: IovInterruptModeration;
    }

    /// Parameters of the interface of an endpoint.
    InterfaceParametersPolicySetting since 2.4 {
        /// Bytes.
        "Mtu" mtu: u16;
    }

    /// The address of the host in the physical network.
    ProviderAddressPolicySetting = "ProviderAddressEndpointPolicySetting" {
        "ProviderAddress" provider_address: String;
    }

    /// The interface of the host that is used.
    InterfaceConstraintPolicySetting = "InterfaceConstraintEndpointPolicySetting" {
        "InterfaceGuid" interface_guid: Guid;
        "InterfaceLuid" interface_luid: u64;
        "InterfaceIndex" interface_index: u32;
        "InterfaceMediaType" interface_media_type: u32;
        "InterfaceAlias" interface_alias: String;
        "InterfaceDescription" interface_description: String;
    }

    /// Firewall rules of one tier.
    TierAclPolicySetting since 2.10 {
        "Name" name: String;
        "Direction" direction: DirectionType;
        "Order" order: u16;
        "TierAclRules" tier_acl_rules: Vec<TierAclRule>;
    }

    /// A firewall rule of a tier.
    TierAclRule since 2.5 {
        /// IP numbers, separated by commas: 6 is TCP, 17 is UDP.
        "Protocols" protocols: String;
        /// Addresses or prefixes, separated by commas.
        "LocalAddresses" local_addresses: String;
        /// Addresses or prefixes, separated by commas.
        "RemoteAddresses" remote_addresses: String;
        /// Ports, separated by commas.
        "LocalPorts" local_ports: String;
        /// Ports, separated by commas.
        "RemotePorts" remote_ports: String;
        /// Lower goes first.
        "Priority" priority: u16;
        "Id" id: String, since 2.10;
        "TierAclRuleAction" tier_acl_rule_action: ActionType, since 2.10;
    }

    /// Encryption of an endpoint's traffic.
    EncryptionPolicySetting since 2.1 {
        "EncryptionMethodType" encryption_method_type: EncryptionMethod;
        "AuthenticationMethods" authentication_methods: Vec<PrioritizedAuthenticationMethod>;
        "Name" name: String;
        "Endpoints1" endpoints1: Vec<String>;
        "Endpoints2" endpoints2: Vec<String>;
        "ProtocolType" protocol_type: String;
        "Endpoint1Ports" endpoint1_ports: Vec<String>;
        "Endpoint2Ports" endpoint2_ports: Vec<String>;
    }

    /// How the sides of an encrypted connection know each other.
    PrioritizedAuthenticationMethod since 2.1 {
        "Type" kind: AuthenticationType;
        "Settings" settings: Value;
    }

    /// The source MAC address of a network.
    SourceMacAddressNetworkPolicySetting {
        "SourceMacAddress" source_mac_address: String;
    }

    /// The adapter of the host that a network uses.
    NetAdapterNameNetworkPolicySetting {
        "NetworkAdapterName" network_adapter_name: String;
    }

    /// An extension of the virtual switch.
    VSwitchExtensionNetworkPolicySetting {
        "ExtensionID" extension_id: Guid;
        "Enable" enable: bool;
    }

    /// The MAC address of the distributed router.
    DrMacAddressNetworkPolicySetting {
        "Address" address: String;
    }

    /// Whether the network answers names.
    AutomaticDnsNetworkPolicySetting = "AutomaticDNSNetworkPolicySetting" {
        "Enable" enable: bool;
    }

    /// The layer of the switch that a network is on.
    LayerConstraintNetworkPolicySetting {
        "LayerId" layer_id: Guid;
    }

    /// The way to a subnet on another host.
    RemoteSubnetRoutePolicySetting {
        "DestinationPrefix" destination_prefix: String;
        "IsolationId" isolation_id: u32;
        "ProviderAddress" provider_address: String;
        "DistributedRouterMacAddress" distributed_router_mac_address: String;
    }

    /// The host is reached by a route.
    HostRoutePolicySetting {}

    /// A named set of addresses.
    SetPolicySetting {
        "Id" id: String;
        "Name" name: String;
        "PolicyType" policy_type: SetPolicyType;
        /// Addresses or names of sets, separated by commas.
        "Values" values: String;
    }

    /// The UDP port of VXLAN.
    VxlanPortPolicySetting {
        "Port" port: u16;
    }

    /// The VLAN of a subnet or an endpoint.
    VlanPolicySetting {
        "IsolationId" isolation_id: u32;
    }

    /// The virtual subnet of a subnet.
    VsidPolicySetting {
        "IsolationId" isolation_id: u32;
    }
}

enumerations! {
    /// What a policy of an endpoint is about.
    EndpointPolicyType {
        PortMapping = "PortMapping";
        Acl = "ACL";
        Qos = "QOS";
        L2Driver = "L2Driver";
        OutBoundNat = "OutBoundNAT";
        SdnRoute = "SDNRoute";
        L4Proxy = "L4Proxy";
        L4WfpProxy = "L4WFPPROXY", since 2.5;
        ProviderAddress = "ProviderAddress";
        PortName = "PortName";
        EncapOverhead = "EncapOverhead";
        InterfaceConstraint = "InterfaceConstraint";
        Encryption = "Encryption", since 2.1;
        Vlan = "VLAN", since 2.4;
        InterfaceParameters = "InterfaceParameters", since 2.4;
        Iov = "Iov", since 2.9;
        TierAcl = "TierAcl", since 2.10;
    }

    /// What a policy of a network is about.
    NetworkPolicyType {
        SourceMacAddress = "SourceMacAddress";
        NetAdapterName = "NetAdapterName";
        InterfaceConstraint = "InterfaceConstraint";
        VSwitchExtension = "VSwitchExtension";
        ProviderAddress = "ProviderAddress";
        DrMacAddress = "DrMacAddress";
        AutomaticDns = "AutomaticDNS";
        RemoteSubnetRoute = "RemoteSubnetRoute";
        VxlanPort = "VxlanPort";
        HostRoute = "HostRoute";
        SetPolicy = "SetPolicy";
        L4Proxy = "L4Proxy";
        LayerConstraint = "LayerConstraint";
        NetworkAcl = "NetworkACL";
    }

    /// What a policy of a subnet is about.
    SubnetPolicyType {
        Vlan = "VLAN";
        Vsid = "VSID";
    }

    /// What a firewall rule does.
    ActionType {
        Allow = "Allow";
        Block = "Block";
        /// To the next tier.
        Pass = "Pass", since 2.10;
    }

    /// Which way a packet goes.
    DirectionType {
        In = "In";
        Out = "Out";
    }

    /// Where a firewall rule is.
    RuleType {
        /// In the firewall of the host.
        Host = "Host";
        /// In the virtual switch.
        Switch = "Switch";
    }

    /// What a set holds.
    SetPolicyType = "SetPolicyTypes" {
        IpSet = "IPSET";
        NestedIpSet = "NESTEDIPSET";
    }

    /// How traffic is encrypted.
    EncryptionMethod since 2.1 {
        Ipsec = "Ipsec";
    }

    /// How the sides of a connection know each other.
    AuthenticationType since 2.1 {
        PresharedKey = "PresharedKey";
        Certificate = "Certificate";
    }
}

macro_rules! settings {
    ($(
        $(#[$meta:meta])*
        $policy:ident $kind:ident $trait:ident { $($setting:ident = $value:ident;)* }
    )*) => {$(
        $(#[$meta])*
        pub trait $trait: Document {
            /// The type of the policy.
            const POLICY: $kind;
        }

        $(
            impl $trait for $setting {
                const POLICY: $kind = $kind::$value;
            }
        )*

        impl $policy {
            /// The policy that has these settings.
            #[must_use]
            pub fn of<S: $trait>(settings: &S) -> Self {
                Self::new().kind(S::POLICY).settings(settings.to_value())
            }

            /// The settings, if the policy is of this type.
            ///
            /// # Errors
            /// It is, and its settings are not what they should be.
            pub fn read<S: $trait>(&self) -> Result<Option<S>, Mismatch> {
                if self.kind != Some(S::POLICY) {
                    return Ok(None);
                }
                let settings = self.settings.clone().unwrap_or_else(|| Value::Object(Default::default()));
                S::from_value(settings).map(Some)
            }
        }
    )*};
}

settings! {
    /// Settings of a policy of an endpoint.
    EndpointPolicy EndpointPolicyType EndpointSetting {
        PortMappingPolicySetting = PortMapping;
        AclPolicySetting = Acl;
        QosPolicySetting = Qos;
        OutboundNatPolicySetting = OutBoundNat;
        SdnRoutePolicySetting = SdnRoute;
        L4ProxyPolicySetting = L4Proxy;
        L4WfpProxyPolicySetting = L4WfpProxy;
        ProviderAddressPolicySetting = ProviderAddress;
        PortnameEndpointPolicySetting = PortName;
        EncapOverheadEndpointPolicySetting = EncapOverhead;
        InterfaceConstraintPolicySetting = InterfaceConstraint;
        EncryptionPolicySetting = Encryption;
        VlanPolicySetting = Vlan;
        InterfaceParametersPolicySetting = InterfaceParameters;
        IovPolicySetting = Iov;
        TierAclPolicySetting = TierAcl;
    }

    /// Settings of a policy of a network.
    NetworkPolicy NetworkPolicyType NetworkSetting {
        SourceMacAddressNetworkPolicySetting = SourceMacAddress;
        NetAdapterNameNetworkPolicySetting = NetAdapterName;
        InterfaceConstraintPolicySetting = InterfaceConstraint;
        VSwitchExtensionNetworkPolicySetting = VSwitchExtension;
        ProviderAddressPolicySetting = ProviderAddress;
        DrMacAddressNetworkPolicySetting = DrMacAddress;
        AutomaticDnsNetworkPolicySetting = AutomaticDns;
        RemoteSubnetRoutePolicySetting = RemoteSubnetRoute;
        VxlanPortPolicySetting = VxlanPort;
        HostRoutePolicySetting = HostRoute;
        SetPolicySetting = SetPolicy;
        L4ProxyPolicySetting = L4Proxy;
        LayerConstraintNetworkPolicySetting = LayerConstraint;
        NetworkAclPolicySetting = NetworkAcl;
    }

    /// Settings of a policy of a subnet.
    SubnetPolicy SubnetPolicyType SubnetSetting {
        VlanPolicySetting = Vlan;
        VsidPolicySetting = Vsid;
    }
}
