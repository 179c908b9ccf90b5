//! A Host Compute Network service whose objects are documents that know of each other.

use super::host::new_guid;
use super::policies::{self, Prefix};
use super::work::deliver;
use crate::document::{Document, Guid};
use crate::documents::network::{
    EndpointPolicy, EndpointResourceType, HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace,
    HostComputeNetwork, HostComputeQuery, HostComputeRoute, IpConfig, ModifyEndpointSettingRequest,
    ModifyNamespaceSettingRequest, ModifyNetworkSettingRequest, ModifyRequestType, NamespaceContainerRequest,
    NamespaceEndpointRequest, NamespaceResource, NamespaceResourceType, NamespaceType, NetworkMode,
    NetworkPolicy, NetworkResourceType, NotificationBase, PolicyEndpointRequest, PolicyNetworkRequest,
    Response,
};
use crate::error::{Error, Result};
use crate::event::{Callbacks, EventOptions};
use crate::hresult::HResult;
use crate::network::{
    ComputeNetwork, NetworkCallback, NetworkEvent, NetworkEventKind, NetworkObject, Objects, Watch,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

type Refused<T> = std::result::Result<T, HResult>;
/// By the bytes of the id: a GUID is the same in every spelling.
type Shelf<O> = BTreeMap<[u8; 16], O>;

/// The service; clones are the same service.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    store: Mutex<Store>,
    watchers: Mutex<Vec<Weak<Callbacks<NetworkEvent>>>>,
}

#[derive(Default)]
struct Store {
    networks: Shelf<HostComputeNetwork>,
    endpoints: Shelf<HostComputeEndpoint>,
    namespaces: Shelf<HostComputeNamespace>,
    balancers: Shelf<HostComputeLoadBalancer>,
    routes: Shelf<HostComputeRoute>,
    compartments: u32,
}

/// A kind of objects that the store keeps.
trait Kept: NetworkObject {
    fn shelf(store: &mut Store) -> &mut Shelf<Self>;
    fn with_id(self, id: Guid) -> Self;
    /// Looks at a new object and completes it.
    fn admit(self, store: &mut Store) -> Refused<Self>;
    fn change(store: &mut Store, id: &Guid, change: &Self::Change) -> Refused<Option<NetworkEventKind>>;
    /// Refuses what others need, and unties it from the rest.
    fn release(&self, store: &mut Store, id: &Guid) -> Refused<()>;
    /// The code for an id that is taken.
    const TAKEN: HResult;
    /// What is told when one is created or deleted.
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)>;
}

impl MemoryNetwork {
    /// A service without objects.
    pub fn new() -> Self {
        Self::default()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, kind: NetworkEventKind, id: &Guid) {
        let data = NotificationBase::new().id(id.clone()).to_json();
        let event = NetworkEvent { kind, code: HResult::S_OK, data: Some(data) };
        let mut watchers = self.watchers();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.send(event.clone());
            deliver(watcher);
        }
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Weak<Callbacks<NetworkEvent>>>> {
        self.shared.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ComputeNetwork for MemoryNetwork {
    fn networks(&self) -> &dyn Objects<HostComputeNetwork> {
        self
    }

    fn endpoints(&self) -> &dyn Objects<HostComputeEndpoint> {
        self
    }

    fn namespaces(&self) -> &dyn Objects<HostComputeNamespace> {
        self
    }

    fn load_balancers(&self) -> &dyn Objects<HostComputeLoadBalancer> {
        self
    }

    fn routes(&self) -> &dyn Objects<HostComputeRoute> {
        self
    }

    fn watch(&self, callback: NetworkCallback) -> Result<Box<dyn Watch>> {
        let watcher = Arc::new(Callbacks::new());
        watcher.set(EventOptions::default(), callback)?;
        self.watchers().push(Arc::downgrade(&watcher));
        Ok(Box::new(Watching(watcher)))
    }
}

struct Watching(Arc<Callbacks<NetworkEvent>>);

impl Watch for Watching {}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<O: Kept> Objects<O> for MemoryNetwork {
    fn create(&self, id: Option<&Guid>, settings: &O) -> Result<O> {
        let given = id.filter(|id| **id != Guid::NIL).cloned();
        let id = given.unwrap_or_else(new_guid);
        let mut store = self.store();
        let created = match O::shelf(&mut store).contains_key(&id.bytes()) {
            true => Err(O::TAKEN),
            false => settings.clone().with_id(id.clone()).admit(&mut store),
        };
        let created = created.map_err(|code| refusal("create", O::KIND, &id, code))?;
        O::shelf(&mut store).insert(id.bytes(), created.clone());
        drop(store);
        if let Some((event, _)) = O::EVENTS {
            self.tell(event, &id);
        }
        Ok(created)
    }

    fn query(&self, id: &Guid, query: &HostComputeQuery) -> Result<O> {
        check(query).map_err(|code| refusal("query", O::KIND, id, code))?;
        let found = O::shelf(&mut self.store()).get(&id.bytes()).cloned();
        found.ok_or_else(|| refusal("query", O::KIND, id, O::NOT_FOUND))
    }

    fn modify(&self, id: &Guid, change: &O::Change) -> Result<()> {
        let mut store = self.store();
        let changed = match O::shelf(&mut store).contains_key(&id.bytes()) {
            true => O::change(&mut store, id, change),
            false => Err(O::NOT_FOUND),
        };
        drop(store);
        let event = changed.map_err(|code| refusal("modify", O::KIND, id, code))?;
        if let Some(event) = event {
            self.tell(event, id);
        }
        Ok(())
    }

    fn delete(&self, id: &Guid) -> Result<()> {
        let mut store = self.store();
        let released = match O::shelf(&mut store).get(&id.bytes()).cloned() {
            Some(object) => object.release(&mut store, id),
            None => Err(O::NOT_FOUND),
        };
        released.map_err(|code| refusal("delete", O::KIND, id, code))?;
        O::shelf(&mut store).remove(&id.bytes());
        drop(store);
        if let Some((_, event)) = O::EVENTS {
            self.tell(event, id);
        }
        Ok(())
    }

    fn enumerate(&self, query: &HostComputeQuery) -> Result<Vec<Guid>> {
        let filter = check(query).map_err(|code| refusal("enumerate", O::KIND, &Guid::NIL, code))?;
        let mut store = self.store();
        let found = O::shelf(&mut store).iter().filter(|(_, object)| admits(&filter, &object.to_value()));
        Ok(found.map(|(id, _)| Guid::from_bytes(*id)).collect())
    }
}

/// The error with its record, as the service gives it.
fn refusal(what: &str, kind: &str, id: &Guid, code: HResult) -> Error {
    let record =
        Response::new().success(false).error(code.meaning().unwrap_or_default()).error_code(code.code());
    Error::new(format!("{what} {kind} {id}"), code).with_record(record)
}

/// The fields of the query's filter and the values they must have.
fn check(query: &HostComputeQuery) -> Refused<serde_json::Map<String, Value>> {
    if query.schema_version.as_ref().is_some_and(|version| version.major != Some(2)) {
        return Err(HResult::HCN_E_INVALID_JSON);
    }
    match query.filter.as_deref().unwrap_or_default() {
        "" => Ok(serde_json::Map::new()),
        filter => serde_json::from_str(filter).map_err(|_| HResult::HCN_E_INVALID_JSON),
    }
}

/// Whether each field of the filter has its value; ids are ids in every spelling.
fn admits(filter: &serde_json::Map<String, Value>, object: &Value) -> bool {
    filter.iter().all(|(field, wanted)| {
        // The name that the older service had for it is still what clients filter by.
        let field = if field == "VirtualNetwork" { "HostComputeNetwork" } else { field };
        match (wanted, object.get(field)) {
            (Value::String(wanted), Some(Value::String(found))) => wanted.eq_ignore_ascii_case(found),
            (wanted, found) => Some(wanted) == found,
        }
    })
}

impl Kept for HostComputeNetwork {
    const TAKEN: HResult = HResult::HCN_E_NETWORK_ALREADY_EXISTS;
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)> =
        Some((NetworkEventKind::NetworkCreate, NetworkEventKind::NetworkDelete));

    fn shelf(store: &mut Store) -> &mut Shelf<Self> {
        &mut store.networks
    }

    fn with_id(self, id: Guid) -> Self {
        self.id(id)
    }

    fn admit(self, store: &mut Store) -> Refused<Self> {
        match &self.kind {
            None | Some(NetworkMode::Other(_)) => return Err(HResult::HCN_E_INVALID_NETWORK_TYPE),
            Some(_) => {}
        }
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        let name = name.ok_or(HResult::HCN_E_INVALID_NETWORK)?;
        if store.networks.values().any(|network| network.name.as_deref() == Some(name)) {
            return Err(HResult::HCN_E_NETWORK_ALREADY_EXISTS);
        }
        policies::prefixes(&self)?;
        for policy in self.policies.iter().flatten() {
            policies::check_network_policy(policy)?;
        }
        Ok(self)
    }

    fn change(
        store: &mut Store,
        id: &Guid,
        change: &ModifyNetworkSettingRequest,
    ) -> Refused<Option<NetworkEventKind>> {
        if change.resource_type != Some(NetworkResourceType::Policy) {
            return Err(HResult::HCN_E_REQUEST_UNSUPPORTED);
        }
        let request: PolicyNetworkRequest = settings(change.settings.as_ref())?;
        let asked = request.policies.unwrap_or_default();
        for policy in &asked {
            policies::check_network_policy(policy)?;
        }
        let network = store.networks.get_mut(&id.bytes()).ok_or(Self::NOT_FOUND)?;
        change_policies::<NetworkPolicy>(
            network.policies.get_or_insert_default(),
            asked,
            &change.request_type,
        )?;
        Ok(None)
    }

    fn release(&self, store: &mut Store, id: &Guid) -> Refused<()> {
        match store.endpoints.values().any(|endpoint| endpoint.host_compute_network.as_ref() == Some(id)) {
            true => Err(HResult::HCN_E_ENTITY_HAS_REFERENCES),
            false => Ok(()),
        }
    }
}

impl Kept for HostComputeEndpoint {
    const TAKEN: HResult = HResult::HCN_E_INVALID_ENDPOINT;
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)> = None;

    fn shelf(store: &mut Store) -> &mut Shelf<Self> {
        &mut store.endpoints
    }

    fn with_id(self, id: Guid) -> Self {
        self.id(id)
    }

    fn admit(mut self, store: &mut Store) -> Refused<Self> {
        let id = self.host_compute_network.clone().ok_or(HResult::HCN_E_NETWORK_NOT_FOUND)?;
        let network = store.networks.get(&id.bytes()).ok_or(HResult::HCN_E_NETWORK_NOT_FOUND)?;
        let prefixes = policies::prefixes(network)?;
        let taken: Vec<IpAddr> = store.endpoints.values().flat_map(policies::addresses).collect();
        match &self.ip_configurations {
            Some(configurations) if !configurations.is_empty() => {
                for address in policies::addresses_of(configurations)? {
                    if !prefixes.is_empty() && !prefixes.iter().any(|prefix| prefix.contains(address)) {
                        return Err(HResult::HCN_E_INVALID_IP);
                    }
                    if taken.contains(&address) || prefixes.iter().any(|prefix| prefix.is_reserved(address)) {
                        return Err(HResult::HCN_E_ADDR_INVALID_OR_RESERVED);
                    }
                }
            }
            Some(_) | None => self.ip_configurations = Some(lease(&prefixes, &taken)?),
        }
        if self.mac_address.is_none() {
            let taken = store.endpoints.values().filter_map(|endpoint| endpoint.mac_address.as_deref());
            self.mac_address = Some(policies::free_mac(network, &taken.collect::<Vec<_>>())?);
        }
        let others: Vec<&EndpointPolicy> =
            store.endpoints.values().flat_map(|endpoint| endpoint.policies.iter().flatten()).collect();
        for policy in self.policies.iter().flatten() {
            policies::check_endpoint_policy(policy, &others)?;
        }
        Ok(self)
    }

    fn change(
        store: &mut Store,
        id: &Guid,
        change: &ModifyEndpointSettingRequest,
    ) -> Refused<Option<NetworkEventKind>> {
        if change.resource_type != Some(EndpointResourceType::Policy) {
            return Err(HResult::HCN_E_REQUEST_UNSUPPORTED);
        }
        let request: PolicyEndpointRequest = settings(change.settings.as_ref())?;
        let asked = request.policies.unwrap_or_default();
        let removes = change.request_type == Some(ModifyRequestType::Remove);
        let others = store.endpoints.iter().filter(|(other, _)| **other != id.bytes());
        let others: Vec<&EndpointPolicy> =
            others.flat_map(|(_, endpoint)| endpoint.policies.iter().flatten()).collect();
        for policy in asked.iter().filter(|_| !removes) {
            policies::check_endpoint_policy(policy, &others)?;
        }
        let endpoint = store.endpoints.get_mut(&id.bytes()).ok_or(Self::NOT_FOUND)?;
        let known = endpoint.policies.get_or_insert_default();
        change_policies::<EndpointPolicy>(known, asked, &change.request_type)?;
        Ok(None)
    }

    fn release(&self, store: &mut Store, id: &Guid) -> Refused<()> {
        let named = |names: &Option<Vec<String>>| {
            names.iter().flatten().any(|name| name.parse::<Guid>().is_ok_and(|name| name == *id))
        };
        let balanced = store.balancers.values().any(|balancer| named(&balancer.host_compute_endpoints));
        let routed = store.routes.values().any(|route| named(&route.host_compute_endpoints));
        match self.host_compute_namespace.is_some() || balanced || routed {
            true => Err(HResult::HCN_E_ENTITY_HAS_REFERENCES),
            false => Ok(()),
        }
    }
}

/// An address of the first subnet that nobody has; none where the network has no subnets.
fn lease(prefixes: &[Prefix], taken: &[IpAddr]) -> Refused<Vec<IpConfig>> {
    let Some(prefix) = prefixes.first() else { return Ok(Vec::new()) };
    let address = prefix.free(taken).ok_or(HResult::HCN_E_DEGRADED_OPERATION)?;
    Ok(vec![IpConfig::new().ip_address(address.to_string()).prefix_length(prefix.length())])
}

impl Kept for HostComputeNamespace {
    const TAKEN: HResult = HResult::ERROR_ALREADY_EXISTS;
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)> =
        Some((NetworkEventKind::NamespaceCreate, NetworkEventKind::NamespaceDelete));

    fn shelf(store: &mut Store) -> &mut Shelf<Self> {
        &mut store.namespaces
    }

    fn with_id(self, id: Guid) -> Self {
        self.namespace_guid(id.clone()).id(id)
    }

    fn admit(mut self, store: &mut Store) -> Refused<Self> {
        if matches!(self.kind, Some(NamespaceType::Other(_))) {
            return Err(HResult::HCN_E_INVALID_JSON);
        }
        store.compartments += 1;
        self.namespace_id = Some(store.compartments);
        let asked = self.resources.take().unwrap_or_default();
        for resource in &asked {
            let Some(NamespaceResourceType::Endpoint) = resource.kind else { continue };
            let id = resource.data.as_ref().and_then(id_of).ok_or(HResult::HCN_E_INVALID_JSON_REFERENCE)?;
            let namespace = self.id.clone().ok_or(HResult::E_UNEXPECTED)?;
            attach(store, &id, namespace)?;
        }
        self.resources = Some(asked);
        Ok(self)
    }

    fn change(
        store: &mut Store,
        id: &Guid,
        change: &ModifyNamespaceSettingRequest,
    ) -> Refused<Option<NetworkEventKind>> {
        let adds = match &change.request_type {
            Some(ModifyRequestType::Add) => true,
            Some(ModifyRequestType::Remove) => false,
            Some(_) | None => return Err(HResult::HCN_E_REQUEST_UNSUPPORTED),
        };
        let (kind, name, event) = match &change.resource_type {
            Some(NamespaceResourceType::Endpoint) => {
                let request: NamespaceEndpointRequest = settings(change.settings.as_ref())?;
                let endpoint = request.endpoint_id.ok_or(HResult::HCN_E_INVALID_JSON)?;
                let event = match adds {
                    true => attach(store, &endpoint, id.clone())?,
                    false => detach(store, &endpoint, id)?,
                };
                (NamespaceResourceType::Endpoint, endpoint.to_string(), Some(event))
            }
            Some(NamespaceResourceType::Container) => {
                let request: NamespaceContainerRequest = settings(change.settings.as_ref())?;
                let container = request.container_id.ok_or(HResult::HCN_E_INVALID_JSON)?;
                (NamespaceResourceType::Container, container, None)
            }
            Some(NamespaceResourceType::Other(_)) | None => return Err(HResult::HCN_E_REQUEST_UNSUPPORTED),
        };
        let namespace = store.namespaces.get_mut(&id.bytes()).ok_or(Self::NOT_FOUND)?;
        let resources = namespace.resources.get_or_insert_default();
        let resource = NamespaceResource::new().kind(kind).data(json!({ "ID": name, "Id": name }));
        match (adds, resources.iter().position(|known| *known == resource)) {
            (true, None) => resources.push(resource),
            (true, Some(_)) => return Err(HResult::ERROR_ALREADY_EXISTS),
            (false, Some(place)) => drop(resources.remove(place)),
            (false, None) => return Err(HResult::ERROR_NOT_FOUND),
        }
        Ok(event)
    }

    /// The endpoints of a namespace outlive it.
    fn release(&self, store: &mut Store, id: &Guid) -> Refused<()> {
        for endpoint in store.endpoints.values_mut() {
            if endpoint.host_compute_namespace.as_ref() == Some(id) {
                endpoint.host_compute_namespace = None;
            }
        }
        Ok(())
    }
}

fn id_of(data: &Value) -> Option<Guid> {
    data.get("ID").or_else(|| data.get("Id"))?.as_str()?.parse().ok()
}

fn attach(store: &mut Store, endpoint: &Guid, namespace: Guid) -> Refused<NetworkEventKind> {
    let endpoint = store.endpoints.get_mut(&endpoint.bytes()).ok_or(HResult::HCN_E_ENDPOINT_NOT_FOUND)?;
    if endpoint.host_compute_namespace.is_some() {
        return Err(HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS);
    }
    endpoint.host_compute_namespace = Some(namespace);
    Ok(NetworkEventKind::NetworkEndpointAttached)
}

fn detach(store: &mut Store, endpoint: &Guid, namespace: &Guid) -> Refused<NetworkEventKind> {
    let endpoint = store.endpoints.get_mut(&endpoint.bytes()).ok_or(HResult::HCN_E_ENDPOINT_NOT_FOUND)?;
    if endpoint.host_compute_namespace.as_ref() != Some(namespace) {
        return Err(HResult::HCN_E_ENDPOINT_NOT_ATTACHED);
    }
    endpoint.host_compute_namespace = None;
    Ok(NetworkEventKind::NetworkEndpointDetached)
}

impl Kept for HostComputeLoadBalancer {
    const TAKEN: HResult = HResult::ERROR_ALREADY_EXISTS;
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)> = None;

    fn shelf(store: &mut Store) -> &mut Shelf<Self> {
        &mut store.balancers
    }

    fn with_id(self, id: Guid) -> Self {
        self.id(id)
    }

    fn admit(self, store: &mut Store) -> Refused<Self> {
        refer(store, &self.host_compute_endpoints)?;
        let others = store.balancers.values().filter(|other| other.id != self.id);
        let taken: Vec<policies::Frontend> = others.flat_map(policies::frontends).collect();
        match policies::frontends(&self).iter().any(|frontend| taken.contains(frontend)) {
            true => Err(HResult::HCN_E_PORT_ALREADY_EXISTS),
            false => Ok(self),
        }
    }

    fn change(store: &mut Store, id: &Guid, change: &Self) -> Refused<Option<NetworkEventKind>> {
        let changed = change.clone().with_id(id.clone()).admit(store)?;
        store.balancers.insert(id.bytes(), changed);
        Ok(None)
    }

    fn release(&self, _store: &mut Store, _id: &Guid) -> Refused<()> {
        Ok(())
    }
}

impl Kept for HostComputeRoute {
    const TAKEN: HResult = HResult::ERROR_ALREADY_EXISTS;
    const EVENTS: Option<(NetworkEventKind, NetworkEventKind)> = None;

    fn shelf(store: &mut Store) -> &mut Shelf<Self> {
        &mut store.routes
    }

    fn with_id(self, id: Guid) -> Self {
        self.id(id)
    }

    fn admit(self, store: &mut Store) -> Refused<Self> {
        refer(store, &self.host_compute_endpoints)?;
        for route in self.routes.iter().chain(&self.setting).flatten() {
            let prefix = route.destination_prefix.as_deref().unwrap_or_default();
            Prefix::parse(prefix).ok_or(HResult::HCN_E_INVALID_PREFIX)?;
        }
        Ok(self)
    }

    fn change(store: &mut Store, id: &Guid, change: &Self) -> Refused<Option<NetworkEventKind>> {
        let changed = change.clone().with_id(id.clone()).admit(store)?;
        store.routes.insert(id.bytes(), changed);
        Ok(None)
    }

    fn release(&self, _store: &mut Store, _id: &Guid) -> Refused<()> {
        Ok(())
    }
}

/// All of these endpoints are there.
fn refer(store: &Store, endpoints: &Option<Vec<String>>) -> Refused<()> {
    for endpoint in endpoints.iter().flatten() {
        let id: Guid = endpoint.parse().map_err(|_| HResult::HCN_E_GUID_CONVERSION_FAILURE)?;
        if !store.endpoints.contains_key(&id.bytes()) {
            return Err(HResult::HCN_E_ENDPOINT_NOT_FOUND);
        }
    }
    Ok(())
}

fn settings<D: Document>(value: Option<&Value>) -> Refused<D> {
    let value = value.cloned().ok_or(HResult::HCN_E_INVALID_JSON)?;
    D::from_value(value).map_err(|_| HResult::HCN_E_INVALID_JSON)
}

/// Adds, replaces or removes policies; nothing is changed when one of them does not fit.
fn change_policies<P: Document>(
    known: &mut Vec<P>,
    asked: Vec<P>,
    request: &Option<ModifyRequestType>,
) -> Refused<()> {
    match request {
        Some(ModifyRequestType::Add) => {
            if asked.iter().any(|policy| known.contains(policy)) {
                return Err(HResult::HCN_E_POLICY_ALREADY_EXISTS);
            }
            known.extend(asked);
        }
        Some(ModifyRequestType::Update) => *known = asked,
        Some(ModifyRequestType::Remove) => {
            if asked.iter().any(|policy| !known.contains(policy)) {
                return Err(HResult::HCN_E_POLICY_NOT_FOUND);
            }
            known.retain(|policy| !asked.contains(policy));
        }
        Some(_) | None => return Err(HResult::HCN_E_REQUEST_UNSUPPORTED),
    }
    Ok(())
}
