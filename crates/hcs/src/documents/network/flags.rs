//! Numbers in HCN documents whose bits or values have names.

use crate::document::numbers;

numbers! {
    /// Options of a network.
    bits NetworkFlags {
        NONE = "None" 0;
        ENABLE_DNS_PROXY = "EnableDnsProxy" 1;
        ENABLE_DHCP_SERVER = "EnableDhcpServer" 2;
        ENABLE_MIRRORING = "EnableMirroring" 4;
        ENABLE_NON_PERSISTENT = "EnableNonPersistent" 8;
        ENABLE_PERSISTENT = "EnablePersistent" 16;
        ISOLATE_VSWITCH = "IsolateVSwitch" 32;
        ENABLE_FLOW_STEERING = "EnableFlowSteering" 64, since 2.11;
        DISABLE_SHARING = "DisableSharing" 128, since 2.14;
        ENABLE_FIREWALL = "EnableFirewall" 256, since 2.14;
        SUPPRESS_MEDIA_DISCONNECT = "SuppressMediaDisconnect" 512, since unpublished;
        DISABLE_HOST_PORT = "DisableHostPort" 1024, since unpublished;
        WEAK_HOST_RECEIVE_ADAPTER = "WeakHostReceiveAdapter" 2048, since unpublished;
        WEAK_HOST_SEND_ADAPTER = "WeakHostSendAdapter" 4096, since unpublished;
        ENABLE_IOV = "EnableIov" 8192, since unpublished;
    }

    /// Options of an endpoint.
    bits EndpointFlags {
        NONE = "None" 0;
        REMOTE_ENDPOINT = "RemoteEndpoint" 1;
        DISABLE_INTER_COMPUTE_COMMUNICATION = "DisableInterComputeCommunication" 2;
        ENABLE_MIRRORING = "EnableMirroring" 4;
        ENABLE_LOW_INTERFACE_METRIC = "EnableLowInterfaceMetric" 8;
        OVERRIDE_DNS_SERVER_ORDER = "OverrideDNSServerOrder" 16;
        ENABLE_DHCP = "EnableDhcp" 32;
    }

    /// Options of a load balancer.
    bits LoadBalancerFlags {
        NONE = "None" 0;
        /// Answers go to the client without passing the balancer.
        ENABLE_DIRECT_SERVER_RETURN = "EnableDirectServerReturn" 1;
        IPV6 = "IPv6" 2, since 2.8;
    }

    /// Options of a balanced port.
    bits LoadBalancerPortMappingFlags {
        NONE = "None" 0;
        ENABLE_INTERNAL_LOAD_BALANCER = "EnableInternalLoadBalancer" 1;
        /// The host reaches the frontend too.
        LOCAL_ROUTED_VIP = "LocalRoutedVip" 2;
        /// `UseMux` of clients.
        NOT_USED = "NotUsed" 4;
        /// The endpoint sees the frontend as destination.
        ENABLE_PRESERVE_DIP = "EnablePreserveDip" 8;
        VIP_EXTERNAL_IP = "VipExternalIP" 16, since unpublished;
    }

    /// How connections are distributed.
    value LoadBalancerDistribution since 2.7 {
        NONE = "None" 0;
        SOURCE_IP_PROTOCOL = "SourceIPProtocol" 1;
        SOURCE_IP = "SourceIP" 2;
    }

    /// Options of address translation.
    bits NatFlags {
        NONE = "None" 0;
        LOCAL_ROUTED_VIP = "LocalRoutedVip" 1;
        IPV6 = "IPv6" 2, since 2.8;
    }

    /// Options of a subnet.
    bits SubnetFlags since 2.7 {
        NONE = "None" 0;
        DO_NOT_RESERVE_GATEWAY_ADDRESS = "DoNotReserveGatewayAddress" 1;
    }

    /// Options of a part of a subnet.
    bits IpSubnetFlags since 2.5 {
        NONE = "None" 0;
        ENABLE_BROADCAST = "EnableBroadcast" 1;
        RESERVE_NETWORK_ADDRESS = "ReserveNetworkAddress" 2;
    }

    /// A protocol by its IP number.
    value Protocol {
        UNKNOWN = "Unknown" 0;
        ICMPV4 = "ICMPv4" 1;
        IGMP = "IGMP" 2;
        TCP = "TCP" 6;
        UDP = "UDP" 17;
        ICMPV6 = "ICMPv6" 58;
    }

    /// How interrupts of an SR-IOV function are moderated.
    value IovInterruptModeration since 2.9 {
        DEFAULT = "IovInterruptModerationDefault" 0;
        ADAPTIVE = "IovInterruptModerationAdaptive" 1;
        OFF = "IovInterruptModerationOff" 2;
        LOW = "IovInterruptModerationLow" 100;
        MEDIUM = "IovInterruptModerationMedium" 200;
        HIGH = "IovInterruptModerationHigh" 300;
    }

    /// How much a query answers.
    bits HostComputeQueryFlags {
        NONE = "None" 0;
        DETAILED = "Detailed" 1;
    }

    /// Options of a guest network service.
    bits GuestNetworkServiceFlags since 2.12 {
        NONE = "None" 0;
        IS_FLOWSTEERED = "IsFlowsteered" 1;
        IS_FLOWSTEERED_SELF_MANAGED = "IsFlowsteeredSelfManaged" 2, since 2.14;
    }
}
