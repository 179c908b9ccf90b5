//! The Host Compute Network service: five kinds of objects, and the same verbs on each.
//!
//! An object is known by its GUID; its document says all of it. [`ComputeNetwork`] hands out the [`Objects`] of each
//! kind, so that a kind's document fixes what may be asked of it:
//! `network.endpoints().create(None, &endpoint)?`, `network.namespaces().modify(&id, &request)?`.
//! Calls take effect before they return, as they do in computenetwork.dll. Handles, which that library has for each
//! open object, are the concern of whoever speaks to it.

use crate::document::{Document, Guid};
use crate::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
    HostComputeRoute, ModifyEndpointSettingRequest, ModifyNamespaceSettingRequest,
    ModifyNetworkSettingRequest,
};
use crate::error::Result;
use crate::event::EventCallback;
use crate::hresult::HResult;

/// The network service of one host.
pub trait ComputeNetwork: Send + Sync {
    /// Networks: switches with their address pools.
    fn networks(&self) -> &dyn Objects<HostComputeNetwork>;

    /// Endpoints: ports of a network, with addresses and policies.
    fn endpoints(&self) -> &dyn Objects<HostComputeEndpoint>;

    /// Namespaces: what a container's endpoints are in.
    fn namespaces(&self) -> &dyn Objects<HostComputeNamespace>;

    /// Load balancers over endpoints.
    fn load_balancers(&self) -> &dyn Objects<HostComputeLoadBalancer>;

    /// Routes of software-defined networks.
    fn routes(&self) -> &dyn Objects<HostComputeRoute>;

    /// Calls back when networks and namespaces come and go and endpoints are attached, until what is returned is
    /// dropped.
    fn watch(&self, callback: NetworkCallback) -> Result<Box<dyn Watch>>;
}

/// The objects of one kind.
pub trait Objects<O: NetworkObject> {
    /// Creates an object, with this id or one that the service chooses, and answers it as it was made.
    fn create(&self, id: Option<&Guid>, settings: &O) -> Result<O>;

    /// The object's document as it is now.
    fn query(&self, id: &Guid, query: &HostComputeQuery) -> Result<O>;

    /// Changes the object.
    fn modify(&self, id: &Guid, change: &O::Change) -> Result<()>;

    /// Deletes the object. `HCN_E_ENTITY_HAS_REFERENCES` while others refer to it.
    fn delete(&self, id: &Guid) -> Result<()>;

    /// The ids of the objects that the query's filter admits.
    fn enumerate(&self, query: &HostComputeQuery) -> Result<Vec<Guid>>;
}

/// A kind of objects.
pub trait NetworkObject: Document {
    /// What is asked to change one.
    type Change: Document;
    /// What it is called in errors.
    const KIND: &'static str;
    /// The code that says that there is none with this id.
    const NOT_FOUND: HResult;
}

impl NetworkObject for HostComputeNetwork {
    type Change = ModifyNetworkSettingRequest;
    const KIND: &'static str = "network";
    const NOT_FOUND: HResult = HResult::HCN_E_NETWORK_NOT_FOUND;
}

impl NetworkObject for HostComputeEndpoint {
    type Change = ModifyEndpointSettingRequest;
    const KIND: &'static str = "endpoint";
    const NOT_FOUND: HResult = HResult::HCN_E_ENDPOINT_NOT_FOUND;
}

impl NetworkObject for HostComputeNamespace {
    type Change = ModifyNamespaceSettingRequest;
    const KIND: &'static str = "namespace";
    const NOT_FOUND: HResult = HResult::ERROR_NOT_FOUND;
}

impl NetworkObject for HostComputeLoadBalancer {
    /// The whole document anew.
    type Change = HostComputeLoadBalancer;
    const KIND: &'static str = "load balancer";
    const NOT_FOUND: HResult = HResult::ERROR_NOT_FOUND;
}

impl NetworkObject for HostComputeRoute {
    /// The whole document anew.
    type Change = HostComputeRoute;
    const KIND: &'static str = "route";
    const NOT_FOUND: HResult = HResult::ERROR_NOT_FOUND;
}

/// What the service tells who watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEvent {
    /// What happened.
    pub kind: NetworkEventKind,
    /// How it went.
    pub code: HResult,
    /// To what: a JSON document that holds the object's `ID`.
    pub data: Option<String>,
}

/// `HCN_NOTIFICATIONS`, as far as they are not a guest network service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum NetworkEventKind {
    /// A network is about to be created.
    NetworkPreCreate = 1,
    /// A network was created.
    NetworkCreate = 2,
    /// A network is about to be deleted.
    NetworkPreDelete = 3,
    /// A network was deleted.
    NetworkDelete = 4,
    /// A namespace was created.
    NamespaceCreate = 5,
    /// A namespace was deleted.
    NamespaceDelete = 6,
    /// An endpoint was attached.
    NetworkEndpointAttached = 9,
    /// An endpoint was detached.
    NetworkEndpointDetached = 16,
    /// The service went away.
    ServiceDisconnect = 0x0100_0000,
}

/// What is called with each event.
pub type NetworkCallback = EventCallback<NetworkEvent>;

/// A callback that is registered. Dropping it ends the registration: no callback begins then, and none goes on when
/// the drop returns, unless it is the callback itself that drops it.
pub trait Watch: Send + Sync {}
