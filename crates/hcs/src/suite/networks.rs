//! Networks, endpoints, namespaces, load balancers, routes.

use super::{Case, Fixture, Need, PATIENCE, must, refused, unique};
use crate::document::{Document, Guid};
use crate::documents::Version;
use crate::documents::network::{
    EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace,
    HostComputeNetwork, HostComputeQuery, HostComputeRoute, IpConfig, Ipam, IpamType,
    LoadBalancerPortMapping, ModifyEndpointSettingRequest, ModifyNamespaceSettingRequest,
    ModifyNetworkSettingRequest, ModifyRequestType, NamespaceType, NetworkMode, NetworkPolicy,
    NetworkPolicyType, PortMappingPolicySetting, Protocol, Route, SdnRoutePolicySetting, Subnet,
};
use crate::hresult::HResult;
use crate::network::{ComputeNetwork, NetworkEventKind, Watch};
use serde_json::json;
use std::slice;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

const fn case(name: &'static str, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "networks", need: Need::Network, run }
}

pub(super) const CASES: &[Case] = &[
    case("a network is made, found and deleted", network),
    case("a network keeps the id that it was given", network_id),
    case("a network's name is taken once", network_name),
    case("a network of an unknown type is refused", network_type),
    case("a network with a wrong subnet is refused", network_subnet),
    case("a policy is added to a network", network_policy),
    case("an endpoint gets addresses of its network", endpoint),
    case("an address outside the subnet is refused", outside),
    case("an address is given once", address_once),
    case("an endpoint without a network is refused", no_network),
    case("endpoints are found by network and by name", filtered),
    case("policies of an endpoint are added, replaced and removed", endpoint_policies),
    case("a host's port is mapped once", port_once),
    case("an unknown policy is refused", unknown_policy),
    case("an endpoint moves through namespaces", namespaces),
    case("an endpoint is in one namespace", one_namespace),
    case("a namespace that is deleted lets its endpoints go", namespace_deleted),
    case("what others need is not deleted", referenced),
    case("a load balancer is made, changed and deleted", load_balancer),
    case("a load balancer needs its endpoints", balancer_needs),
    case("a route is made and deleted", route),
    case("what is not there is not found", not_found),
    case("a filter that is no JSON is refused", no_filter),
    case("who watches hears of networks and namespaces", watched),
    case("who watches may end it from the callback", watch_ends_itself),
];

fn version() -> Version {
    Version::new().major(2_u32).minor(0_u32)
}

fn document(subnet: &str, gateway: &str) -> HostComputeNetwork {
    let route = Route::new().next_hop(gateway).destination_prefix("0.0.0.0/0");
    let subnet = Subnet::new().ip_address_prefix(subnet).routes([route]);
    HostComputeNetwork::new()
        .name(unique("network"))
        .kind(NetworkMode::Nat)
        .ipams([Ipam::new().kind(IpamType::Static).subnets([subnet])])
        .schema_version(version())
}

/// A network and what is made on it, deleted when the case is over.
struct Ground<'a> {
    network: &'a dyn ComputeNetwork,
    id: Guid,
}

impl<'a> Ground<'a> {
    fn new(fixture: &'a dyn Fixture) -> Self {
        let network = fixture.network();
        let made = must(network.networks().create(None, &document("192.168.100.0/24", "192.168.100.1")));
        Self { network, id: made.id.expect("it has an id") }
    }

    fn document(&self) -> HostComputeEndpoint {
        HostComputeEndpoint::new()
            .name(unique("endpoint"))
            .host_compute_network(self.id.clone())
            .schema_version(version())
    }

    fn endpoint(&self) -> (Guid, HostComputeEndpoint) {
        let made = must(self.network.endpoints().create(None, &self.document()));
        (made.id.clone().expect("it has an id"), made)
    }

    fn namespace(&self) -> Guid {
        let document = HostComputeNamespace::new().kind(NamespaceType::Host).schema_version(version());
        must(self.network.namespaces().create(None, &document)).id.expect("it has an id")
    }

    fn current(&self, endpoint: &Guid) -> HostComputeEndpoint {
        must(self.network.endpoints().query(endpoint, &HostComputeQuery::all()))
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        // Whatever the case left; it may have failed half way.
        let of_network = HostComputeQuery::on_network(&self.id);
        for endpoint in self.network.endpoints().enumerate(&of_network).unwrap_or_default() {
            let _ = self.network.endpoints().delete(&endpoint);
        }
        let _ = self.network.networks().delete(&self.id);
    }
}

fn network(fixture: &dyn Fixture) {
    let networks = fixture.network().networks();
    let asked = document("10.1.0.0/16", "10.1.0.1");
    let made = must(networks.create(None, &asked));
    let id = made.id.clone().expect("it has an id");
    assert_eq!((&made.name, &made.kind), (&asked.name, &asked.kind));
    assert_eq!(must(networks.query(&id, &HostComputeQuery::all())), made);
    let name = asked.name.expect("it was named");
    assert_eq!(must(networks.enumerate(&HostComputeQuery::by_name(&name))), slice::from_ref(&id));
    assert_eq!(must(networks.enumerate(&HostComputeQuery::by_id(&id))), slice::from_ref(&id));
    assert!(must(networks.enumerate(&HostComputeQuery::all())).contains(&id));
    must(networks.delete(&id));
    assert!(must(networks.enumerate(&HostComputeQuery::by_name(&name))).is_empty());
}

/// An id that nothing else has.
fn new_id() -> Guid {
    let number = unique("id").bytes().fold(11_u128, |sum, byte| sum.wrapping_mul(257) + u128::from(byte));
    Guid::from_u128(number)
}

fn network_id(fixture: &dyn Fixture) {
    let networks = fixture.network().networks();
    let id = new_id();
    let made = must(networks.create(Some(&id), &document("10.2.0.0/16", "10.2.0.1")));
    assert_eq!(made.id.as_ref(), Some(&id));
    let again = networks.create(Some(&id), &document("10.2.0.0/16", "10.2.0.1"));
    assert_eq!(refused(again), HResult::HCN_E_NETWORK_ALREADY_EXISTS);
    must(networks.delete(&id));
}

fn network_name(fixture: &dyn Fixture) {
    let networks = fixture.network().networks();
    let asked = document("10.3.0.0/16", "10.3.0.1");
    let id = must(networks.create(None, &asked)).id.expect("it has an id");
    assert_eq!(refused(networks.create(None, &asked)), HResult::HCN_E_NETWORK_ALREADY_EXISTS);
    must(networks.delete(&id));
}

fn network_type(fixture: &dyn Fixture) {
    let asked = document("10.4.0.0/16", "10.4.0.1").kind(NetworkMode::Other("Carrier".to_owned()));
    let code = refused(fixture.network().networks().create(None, &asked));
    assert_eq!(code, HResult::HCN_E_INVALID_NETWORK_TYPE);
}

fn network_subnet(fixture: &dyn Fixture) {
    for prefix in ["10.5.0.0", "10.5.0.0/33", "10.5.0/16", "fd00::/129"] {
        let code = refused(fixture.network().networks().create(None, &document(prefix, "10.5.0.1")));
        assert_eq!(code, HResult::HCN_E_INVALID_PREFIX, "{prefix}");
    }
}

fn network_policy(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let policy = NetworkPolicy::new().kind(NetworkPolicyType::HostRoute).settings(json!({}));
    let request = ModifyNetworkSettingRequest::policies(ModifyRequestType::Add, [policy.clone()]);
    must(ground.network.networks().modify(&ground.id, &request));
    let now = must(ground.network.networks().query(&ground.id, &HostComputeQuery::all()));
    assert_eq!(now.policies, Some(vec![policy]));
}

fn endpoint(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let (_, first) = ground.endpoint();
    let (_, second) = ground.endpoint();
    let address = |endpoint: &HostComputeEndpoint| {
        let configuration = endpoint.ip_configurations.as_ref().and_then(|all| all.first().cloned());
        configuration.and_then(|configuration| configuration.ip_address).expect("it has an address")
    };
    assert!(address(&first).starts_with("192.168.100."));
    assert_ne!(address(&first), "192.168.100.1", "that is the gateway");
    assert_ne!(address(&first), address(&second));
    assert!(first.mac_address.is_some() && first.mac_address != second.mac_address);
}

fn with_address(ground: &Ground<'_>, address: &str) -> HostComputeEndpoint {
    ground.document().ip_configurations([IpConfig::new().ip_address(address).prefix_length(24_u8)])
}

fn outside(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    for address in ["192.168.101.5", "fd00::5", "nowhere"] {
        let code = refused(ground.network.endpoints().create(None, &with_address(&ground, address)));
        assert_eq!(code, HResult::HCN_E_INVALID_IP, "{address}");
    }
}

fn address_once(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let endpoints = ground.network.endpoints();
    must(endpoints.create(None, &with_address(&ground, "192.168.100.77")));
    for address in ["192.168.100.77", "192.168.100.1", "192.168.100.0", "192.168.100.255"] {
        let code = refused(endpoints.create(None, &with_address(&ground, address)));
        assert_eq!(code, HResult::HCN_E_ADDR_INVALID_OR_RESERVED, "{address}");
    }
}

fn no_network(fixture: &dyn Fixture) {
    let endpoints = fixture.network().endpoints();
    let orphan = HostComputeEndpoint::new().host_compute_network(new_id()).schema_version(version());
    assert_eq!(refused(endpoints.create(None, &orphan)), HResult::HCN_E_NETWORK_NOT_FOUND);
}

fn filtered(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let other = Ground::new(fixture);
    let (id, made) = ground.endpoint();
    let (elsewhere, _) = other.endpoint();
    let endpoints = ground.network.endpoints();
    assert_eq!(must(endpoints.enumerate(&HostComputeQuery::on_network(&ground.id))), slice::from_ref(&id));
    let name = made.name.expect("it was named");
    assert_eq!(must(endpoints.enumerate(&HostComputeQuery::by_name(&name))), [id]);
    assert_eq!(must(endpoints.enumerate(&HostComputeQuery::by_id(&elsewhere))), [elsewhere]);
}

fn mapping(external: u16) -> EndpointPolicy {
    let settings = PortMappingPolicySetting::new().protocol(Protocol::TCP).internal_port(80_u16);
    let settings = settings.external_port(external);
    EndpointPolicy::new().kind(EndpointPolicyType::PortMapping).settings(settings.to_value())
}

fn acl(priority: u16) -> EndpointPolicy {
    let settings = json!({ "Action": "Allow", "Direction": "In", "Priority": priority });
    EndpointPolicy::new().kind(EndpointPolicyType::Acl).settings(settings)
}

fn endpoint_policies(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let (id, _) = ground.endpoint();
    let change = |request, policies: Vec<EndpointPolicy>| {
        ground.network.endpoints().modify(&id, &ModifyEndpointSettingRequest::policies(request, policies))
    };
    let now = || ground.current(&id).policies.unwrap_or_default();
    must(change(ModifyRequestType::Add, vec![acl(1), acl(2)]));
    assert_eq!(now(), [acl(1), acl(2)]);
    let twice = change(ModifyRequestType::Add, vec![acl(3), acl(1)]);
    assert_eq!(refused(twice), HResult::HCN_E_POLICY_ALREADY_EXISTS);
    assert_eq!(now(), [acl(1), acl(2)], "nothing of it was done");
    must(change(ModifyRequestType::Update, vec![acl(9)]));
    assert_eq!(now(), [acl(9)]);
    let absent = change(ModifyRequestType::Remove, vec![acl(1)]);
    assert_eq!(refused(absent), HResult::HCN_E_POLICY_NOT_FOUND);
    must(change(ModifyRequestType::Remove, vec![acl(9)]));
    assert!(now().is_empty());
}

fn port_once(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let endpoints = ground.network.endpoints();
    must(endpoints.create(None, &ground.document().policies([mapping(50_080)])));
    let second = endpoints.create(None, &ground.document().policies([mapping(50_080)]));
    assert_eq!(refused(second), HResult::HCN_E_PORT_ALREADY_EXISTS);
    must(endpoints.create(None, &ground.document().policies([mapping(50_081)])));
    let settings = PortMappingPolicySetting::new().internal_port(0_u16).external_port(50_082_u16);
    let zero = EndpointPolicy::new().kind(EndpointPolicyType::PortMapping).settings(settings.to_value());
    let zero = endpoints.create(None, &ground.document().policies([zero]));
    assert_eq!(refused(zero), HResult::HCN_E_INVALID_INTERNAL_PORT);
}

fn unknown_policy(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let policy = EndpointPolicy::new().kind(EndpointPolicyType::Other("Levitate".to_owned()));
    let made = ground.network.endpoints().create(None, &ground.document().policies([policy]));
    assert_eq!(refused(made), HResult::HCN_E_INVALID_POLICY_TYPE);
}

fn namespaces(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let ((endpoint, _), namespace) = (ground.endpoint(), ground.namespace());
    let all = ground.network.namespaces();
    let resources =
        || must(all.query(&namespace, &HostComputeQuery::all())).resources.unwrap_or_default().len();
    assert_eq!(resources(), 0);
    must(all.modify(&namespace, &ModifyNamespaceSettingRequest::add_endpoint(endpoint.clone())));
    assert_eq!(resources(), 1);
    assert_eq!(ground.current(&endpoint).host_compute_namespace.as_ref(), Some(&namespace));
    must(all.modify(&namespace, &ModifyNamespaceSettingRequest::remove_endpoint(endpoint.clone())));
    assert_eq!(resources(), 0);
    assert_eq!(ground.current(&endpoint).host_compute_namespace, None);
    let again = all.modify(&namespace, &ModifyNamespaceSettingRequest::remove_endpoint(endpoint));
    assert_eq!(refused(again), HResult::HCN_E_ENDPOINT_NOT_ATTACHED);
    let nobody = all.modify(&namespace, &ModifyNamespaceSettingRequest::add_endpoint(new_id()));
    assert_eq!(refused(nobody), HResult::HCN_E_ENDPOINT_NOT_FOUND);
    must(all.delete(&namespace));
}

fn one_namespace(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let ((endpoint, _), first, second) = (ground.endpoint(), ground.namespace(), ground.namespace());
    let all = ground.network.namespaces();
    let add = ModifyNamespaceSettingRequest::add_endpoint(endpoint);
    must(all.modify(&first, &add));
    for namespace in [&first, &second] {
        let again = refused(all.modify(namespace, &add));
        assert_eq!(again, HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS);
    }
    must(all.delete(&first));
    must(all.modify(&second, &add));
    must(all.delete(&second));
}

fn namespace_deleted(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let ((endpoint, _), namespace) = (ground.endpoint(), ground.namespace());
    let all = ground.network.namespaces();
    must(all.modify(&namespace, &ModifyNamespaceSettingRequest::add_endpoint(endpoint.clone())));
    must(all.delete(&namespace));
    assert_eq!(ground.current(&endpoint).host_compute_namespace, None);
    assert!(refused(all.delete(&namespace)).is_network_not_found());
}

fn referenced(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let ((endpoint, _), namespace) = (ground.endpoint(), ground.namespace());
    let network = ground.network;
    must(
        network
            .namespaces()
            .modify(&namespace, &ModifyNamespaceSettingRequest::add_endpoint(endpoint.clone())),
    );
    assert_eq!(refused(network.networks().delete(&ground.id)), HResult::HCN_E_ENTITY_HAS_REFERENCES);
    assert_eq!(refused(network.endpoints().delete(&endpoint)), HResult::HCN_E_ENTITY_HAS_REFERENCES);
    must(network.namespaces().delete(&namespace));
    must(network.endpoints().delete(&endpoint));
    must(network.networks().delete(&ground.id));
    assert_eq!(refused(network.networks().delete(&ground.id)), HResult::HCN_E_NETWORK_NOT_FOUND);
}

fn balancer(endpoints: &[&Guid], vip: &str) -> HostComputeLoadBalancer {
    let mapping = LoadBalancerPortMapping::new().protocol(Protocol::TCP).internal_port(8080_u16);
    HostComputeLoadBalancer::new()
        .host_compute_endpoints(endpoints.iter().map(ToString::to_string).collect::<Vec<_>>())
        .frontend_vips([vip])
        .port_mappings([mapping.external_port(80_u16)])
        .schema_version(version())
}

fn load_balancer(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let ((first, _), (second, _)) = (ground.endpoint(), ground.endpoint());
    let balancers = ground.network.load_balancers();
    let made = must(balancers.create(None, &balancer(&[&first], "1.1.1.2")));
    let id = made.id.expect("it has an id");
    let taken = balancers.create(None, &balancer(&[&second], "1.1.1.2"));
    assert_eq!(refused(taken), HResult::HCN_E_PORT_ALREADY_EXISTS);
    let endpoint = ground.network.endpoints().delete(&first);
    assert_eq!(refused(endpoint), HResult::HCN_E_ENTITY_HAS_REFERENCES);
    must(balancers.modify(&id, &balancer(&[&first, &second], "1.1.1.2").id(id.clone())));
    let now = must(balancers.query(&id, &HostComputeQuery::all()));
    assert_eq!(now.host_compute_endpoints.map(|endpoints| endpoints.len()), Some(2));
    must(balancers.delete(&id));
    must(ground.network.endpoints().delete(&first));
}

fn balancer_needs(fixture: &dyn Fixture) {
    let balancers = fixture.network().load_balancers();
    let made = balancers.create(None, &balancer(&[&new_id()], "1.1.1.9"));
    assert_eq!(refused(made), HResult::HCN_E_ENDPOINT_NOT_FOUND);
    let wrong = HostComputeLoadBalancer::new().host_compute_endpoints(["web"]).schema_version(version());
    assert_eq!(refused(balancers.create(None, &wrong)), HResult::HCN_E_GUID_CONVERSION_FAILURE);
}

fn route(fixture: &dyn Fixture) {
    let ground = Ground::new(fixture);
    let (endpoint, _) = ground.endpoint();
    let document = |prefix: &str| {
        let setting = SdnRoutePolicySetting::new().destination_prefix(prefix).next_hop("192.168.100.2");
        HostComputeRoute::new()
            .host_compute_endpoints([endpoint.to_string()])
            .routes([setting])
            .schema_version(version())
    };
    let routes = ground.network.routes();
    let id = must(routes.create(None, &document("169.254.0.0/16"))).id.expect("it has an id");
    assert!(must(routes.enumerate(&HostComputeQuery::all())).contains(&id));
    assert_eq!(refused(routes.create(None, &document("everywhere"))), HResult::HCN_E_INVALID_PREFIX);
    must(routes.delete(&id));
    assert!(refused(routes.query(&id, &HostComputeQuery::all())).is_network_not_found());
}

fn not_found(fixture: &dyn Fixture) {
    let (network, id, all) = (fixture.network(), new_id(), HostComputeQuery::all());
    let codes = [
        refused(network.networks().query(&id, &all)),
        refused(network.networks().delete(&id)),
        refused(network.endpoints().query(&id, &all)),
        refused(network.endpoints().delete(&id)),
        refused(network.namespaces().query(&id, &all)),
        refused(network.namespaces().delete(&id)),
        refused(network.load_balancers().query(&id, &all)),
        refused(network.routes().delete(&id)),
    ];
    assert!(codes.iter().all(|code| code.is_network_not_found()), "{codes:?}");
    assert_eq!(codes[0], HResult::HCN_E_NETWORK_NOT_FOUND);
    assert_eq!(codes[2], HResult::HCN_E_ENDPOINT_NOT_FOUND);
}

fn no_filter(fixture: &dyn Fixture) {
    let query = HostComputeQuery::all().filter("{");
    assert_eq!(refused(fixture.network().networks().enumerate(&query)), HResult::HCN_E_INVALID_JSON);
}

fn watched(fixture: &dyn Fixture) {
    let (sender, receiver) = mpsc::channel();
    let watch = fixture.network().watch(Box::new(move |event| {
        sender.send(event.clone()).unwrap_or_default();
    }));
    let watch = must(watch);
    let ground = Ground::new(fixture);
    // Other cases make networks too.
    let id = ground.id.to_string();
    let hear = |kind: NetworkEventKind| loop {
        let event = receiver.recv_timeout(PATIENCE).expect("an event comes");
        if event.kind == kind && event.data.as_ref().is_some_and(|data| data.contains(&id)) {
            return event.code;
        }
    };
    assert_eq!(hear(NetworkEventKind::NetworkCreate), HResult::S_OK);
    must(ground.network.networks().delete(&ground.id));
    assert_eq!(hear(NetworkEventKind::NetworkDelete), HResult::S_OK);
    drop(watch);
    assert!(receiver.iter().all(|event| event.code == HResult::S_OK), "and it ends");
}

fn watch_ends_itself(fixture: &dyn Fixture) {
    let own: Arc<Mutex<Option<Box<dyn Watch>>>> = Arc::default();
    let held = Arc::clone(&own);
    let (sender, receiver) = mpsc::channel();
    let watch = fixture.network().watch(Box::new(move |_| {
        let watch = held.lock().map(|mut watch| watch.take()).unwrap_or_default();
        if let Some(watch) = watch {
            drop(watch);
            sender.send(()).unwrap_or_default();
        }
    }));
    let watch = must(watch);
    own.lock().map(|mut place| *place = Some(watch)).unwrap_or_default();
    let _ground = Ground::new(fixture);
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(()));
}
