//! computenetwork.dll: networks, endpoints, namespaces, load balancers.

/// Gives `$with` the functions of computenetwork.dll.
#[macro_export]
#[doc(hidden)]
macro_rules! computenetwork_functions {
    ($with:ident) => {
        $with! {
            "computenetwork.dll"
            // Documented.
            [0] fn HcnCloseEndpoint(endpoint: HCN_ENDPOINT) -> HRESULT;
            [0] fn HcnCloseGuestNetworkService(guest_network_service: HCN_GUESTNETWORKSERVICE) -> HRESULT;
            [0] fn HcnCloseLoadBalancer(load_balancer: HCN_LOADBALANCER) -> HRESULT;
            [0] fn HcnCloseNamespace(namespace: HCN_NAMESPACE) -> HRESULT;
            [0] fn HcnCloseNetwork(network: HCN_NETWORK) -> HRESULT;
            [0] fn HcnCreateEndpoint(
                network: HCN_NETWORK, id: *const GUID, settings: PCWSTR, endpoint: *mut HCN_ENDPOINT,
                error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnCreateGuestNetworkService(
                id: *const GUID, settings: PCWSTR, guest_network_service: *mut HCN_GUESTNETWORKSERVICE,
                error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnCreateLoadBalancer(
                id: *const GUID, settings: PCWSTR, load_balancer: *mut HCN_LOADBALANCER,
                error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnCreateNamespace(
                id: *const GUID, settings: PCWSTR, namespace: *mut HCN_NAMESPACE, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnCreateNetwork(
                id: *const GUID, settings: PCWSTR, network: *mut HCN_NETWORK, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnDeleteEndpoint(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnDeleteGuestNetworkService(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnDeleteLoadBalancer(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnDeleteNamespace(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnDeleteNetwork(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnEnumerateEndpoints(
                query: PCWSTR, endpoints: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnEnumerateGuestNetworkPortReservations(
                return_count: *mut u32, port_entries: *mut *mut HCN_PORT_RANGE_ENTRY,
            ) -> HRESULT;
            [0] fn HcnEnumerateLoadBalancers(
                query: PCWSTR, load_balancer: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnEnumerateNamespaces(
                query: PCWSTR, namespaces: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnEnumerateNetworks(
                query: PCWSTR, networks: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnFreeGuestNetworkPortReservations(port_entries: *mut HCN_PORT_RANGE_ENTRY);
            [0] fn HcnModifyEndpoint(
                endpoint: HCN_ENDPOINT, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnModifyGuestNetworkService(
                guest_network_service: HCN_GUESTNETWORKSERVICE, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnModifyLoadBalancer(
                load_balancer: HCN_LOADBALANCER, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnModifyNamespace(
                namespace: HCN_NAMESPACE, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnModifyNetwork(
                network: HCN_NETWORK, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnOpenEndpoint(
                id: *const GUID, endpoint: *mut HCN_ENDPOINT, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnOpenLoadBalancer(
                id: *const GUID, load_balancer: *mut HCN_LOADBALANCER, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnOpenNamespace(
                id: *const GUID, namespace: *mut HCN_NAMESPACE, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnOpenNetwork(
                id: *const GUID, network: *mut HCN_NETWORK, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryEndpointProperties(
                endpoint: HCN_ENDPOINT, query: PCWSTR, properties: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryLoadBalancerProperties(
                load_balancer: HCN_LOADBALANCER, query: PCWSTR, properties: *mut PWSTR,
                error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryNamespaceProperties(
                namespace: HCN_NAMESPACE, query: PCWSTR, properties: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryNetworkProperties(
                network: HCN_NETWORK, query: PCWSTR, properties: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnRegisterGuestNetworkServiceCallback(
                guest_network_service: HCN_GUESTNETWORKSERVICE, callback: HCN_NOTIFICATION_CALLBACK,
                context: *const c_void, callback_handle: *mut HCN_CALLBACK,
            ) -> HRESULT;
            [0] fn HcnRegisterServiceCallback(
                callback: HCN_NOTIFICATION_CALLBACK, context: *const c_void,
                callback_handle: *mut HCN_CALLBACK,
            ) -> HRESULT;
            [0] fn HcnReleaseGuestNetworkServicePortReservationHandle(
                port_reservation_handle: HANDLE,
            ) -> HRESULT;
            [0] fn HcnReserveGuestNetworkServicePort(
                guest_network_service: HCN_GUESTNETWORKSERVICE, protocol: HCN_PORT_PROTOCOL,
                access: HCN_PORT_ACCESS, port: u16, port_reservation_handle: *mut HANDLE,
            ) -> HRESULT;
            [0] fn HcnReserveGuestNetworkServicePortRange(
                guest_network_service: HCN_GUESTNETWORKSERVICE, port_count: u16,
                port_range_reservation: *mut HCN_PORT_RANGE_RESERVATION, port_reservation_handle: *mut HANDLE,
            ) -> HRESULT;
            [0] fn HcnUnregisterGuestNetworkServiceCallback(callback_handle: HCN_CALLBACK) -> HRESULT;
            [0] fn HcnUnregisterServiceCallback(callback_handle: HCN_CALLBACK) -> HRESULT;
            // Not documented: exported, in the SDK headers or called by Microsoft's own clients.
            [0] fn HcnCloseSdnRoute(route: HCN_SDNROUTE) -> HRESULT;
            [0] fn HcnCreateSdnRoute(
                id: *const GUID, settings: PCWSTR, route: *mut HCN_SDNROUTE, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnDeleteSdnRoute(id: *const GUID, error_record: *mut PWSTR) -> HRESULT;
            [0] fn HcnEnumerateSdnRoutes(
                query: PCWSTR, routes: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnModifySdnRoute(
                route: HCN_SDNROUTE, settings: PCWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnOpenSdnRoute(
                id: *const GUID, route: *mut HCN_SDNROUTE, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryEndpointAddresses(
                endpoint: HCN_ENDPOINT, query: PCWSTR, addresses: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQueryEndpointStats(
                endpoint: HCN_ENDPOINT, query: PCWSTR, stats: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcnQuerySdnRouteProperties(
                route: HCN_SDNROUTE, query: PCWSTR, properties: *mut PWSTR, error_record: *mut PWSTR,
            ) -> HRESULT;
        }
    };
}
