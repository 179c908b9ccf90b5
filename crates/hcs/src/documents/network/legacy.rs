//! `HNSCall`: the network service of hosts before HCN, as if it were a web service.

use crate::document::{Guid, documents};
use serde_json::Value;

documents! {
    /// What `HNSCall` answers.
    HnsResponse since 1.0 {
        "Success" success: bool;
        "Error" error: String;
        /// HRESULT.
        "ErrorCode" error_code: u32;
        /// The object, or the list of objects, that was asked for.
        "Output" output: Value;
    }

    /// A network: `/networks/<id>`.
    HnsNetwork = "HNSNetwork" since 1.0 {
        "ID" id: Guid;
        "Name" name: String;
        /// `NAT`, `Transparent`, `L2Bridge`, `L2Tunnel` or `Private`, in any case.
        "Type" kind: super::NetworkMode;
        "NetworkAdapterName" network_adapter_name: String;
        "SourceMac" source_mac: String;
        "Policies" policies: Vec<Value>;
        "MacPools" mac_pools: Vec<super::MacRange>;
        "Subnets" subnets: Vec<HnsSubnet>;
        "DNSSuffix" dns_suffix: String;
        /// Addresses, separated by commas.
        "DNSServerList" dns_server_list: String;
        "DNSServerCompartment" dns_server_compartment: u32;
        "ManagementIP" management_ip: String;
        "AutomaticDNS" automatic_dns: bool;
    }

    /// A subnet of a network.
    HnsSubnet = "Subnet" since 1.0 {
        "ID" id: Guid;
        "AddressPrefix" address_prefix: String;
        "GatewayAddress" gateway_address: String;
        "Policies" policies: Vec<Value>;
    }

    /// An endpoint: `/endpoints/<id>`.
    HnsEndpoint = "HNSEndpoint" since 1.0 {
        "ID" id: Guid;
        "Name" name: String;
        "VirtualNetwork" virtual_network: Guid;
        "VirtualNetworkName" virtual_network_name: String;
        "Policies" policies: Vec<Value>;
        "MacAddress" mac_address: String;
        "IPAddress" ip_address: String;
        "DNSSuffix" dns_suffix: String;
        /// Addresses, separated by commas.
        "DNSServerList" dns_server_list: String;
        "GatewayAddress" gateway_address: String;
        "PrefixLength" prefix_length: u8;
        "IsRemoteEndpoint" is_remote_endpoint: bool;
        "EnableInternalDNS" enable_internal_dns: bool;
        "DisableICC" disable_icc: bool;
        "Namespace" namespace: Value;
    }
}
