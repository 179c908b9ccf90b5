//! What is behind computenetwork.dll.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(non_snake_case, reason = "the names are Microsoft's")]

use crate::backend;
use crate::handles::Table;
use crate::outlet::Outlet;
use crate::reply::{NOT_IMPLEMENTED, code, give_to};
use crate::sys::Task;
use crate::text::{self, give};
use hcs::abi::{
    GUID, HANDLE, HCN_CALLBACK, HCN_ENDPOINT, HCN_GUESTNETWORKSERVICE, HCN_LOADBALANCER, HCN_NAMESPACE,
    HCN_NETWORK, HCN_NOTIFICATION_CALLBACK, HCN_PORT_ACCESS, HCN_PORT_PROTOCOL, HCN_PORT_RANGE_ENTRY,
    HCN_PORT_RANGE_RESERVATION, HCN_SDNROUTE, HRESULT, PCWSTR, PWSTR,
};
use hcs::document::{Document as _, Guid};
use hcs::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
    HostComputeRoute, Response,
};
use hcs::network::{NetworkObject, Objects, Watch};
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::sync::Arc;

static NETWORKS: Table<Guid> = Table::new();
static ENDPOINTS: Table<Guid> = Table::new();
static NAMESPACES: Table<Guid> = Table::new();
static LOAD_BALANCERS: Table<Guid> = Table::new();
static ROUTES: Table<Guid> = Table::new();
static WATCHES: Table<Watching> = Table::new();

/// A registered callback.
struct Watching {
    outlet: Arc<Outlet>,
    _watch: Box<dyn Watch>,
}

pub(crate) fn open_objects() -> usize {
    [&NETWORKS, &ENDPOINTS, &NAMESPACES, &LOAD_BALANCERS, &ROUTES].iter().map(|table| table.count()).sum()
}

pub(crate) fn registrations() -> usize {
    WATCHES.count()
}

/// An object of the network service, as it has handles here.
trait Kind: NetworkObject + 'static {
    const HANDLES: &'static Table<Guid>;
    fn objects() -> Result<&'static dyn Objects<Self>>;
    fn id(&self) -> Option<Guid>;
}

macro_rules! kind {
    ($object:ty, $table:ident, $objects:ident) => {
        impl Kind for $object {
            const HANDLES: &'static Table<Guid> = &$table;

            fn objects() -> Result<&'static dyn Objects<Self>> {
                Ok(backend::network()?.$objects())
            }

            fn id(&self) -> Option<Guid> {
                self.id.clone()
            }
        }
    };
}

kind!(HostComputeNetwork, NETWORKS, networks);
kind!(HostComputeEndpoint, ENDPOINTS, endpoints);
kind!(HostComputeNamespace, NAMESPACES, namespaces);
kind!(HostComputeLoadBalancer, LOAD_BALANCERS, load_balancers);
kind!(HostComputeRoute, ROUTES, routes);

/// The code of a call, and the record on its failure.
///
/// # Safety
/// Null, or a place for a pointer.
unsafe fn answer(place: *mut PWSTR, result: Result<()>) -> HRESULT {
    let record = result.as_ref().err().map(|error| match error.record() {
        Some(record) => record.to_json(),
        None => {
            let record = Response::new().success(false).error(error.to_string());
            record.error_code(error.code().code()).to_json()
        }
    });
    // SAFETY: the caller's promise.
    let given = unsafe { give::<Task>(place, record.as_deref()) };
    code(result.and(given))
}

/// The id that the caller gives; all zero asks for one to be chosen.
///
/// # Safety
/// Null, or a GUID.
unsafe fn guid(id: *const GUID) -> Result<Guid> {
    // SAFETY: the caller's promise.
    let id = unsafe { id.as_ref() }.ok_or_else(|| Error::new("read an id", HResult::E_INVALIDARG))?;
    Ok(Guid::from_fields(id.data1, id.data2, id.data3, id.data4))
}

/// # Safety
/// A GUID, a text, and places for a handle and a pointer.
unsafe fn create<O: Kind>(
    network: Option<HCN_NETWORK>,
    id: *const GUID,
    settings: PCWSTR,
    place: *mut *mut c_void,
    record: *mut PWSTR,
) -> HRESULT {
    let create = || {
        if let Some(network) = network {
            NETWORKS.get(network)?;
        }
        // SAFETY: the caller's promise.
        let (id, settings) = unsafe { (guid(id)?, text::document::<O>(settings)?) };
        let asked = (id != Guid::NIL).then_some(&id);
        let made = O::objects()?.create(asked, &settings)?;
        let id =
            made.id().ok_or_else(|| Error::new("learn the id of a new object", HResult::E_UNEXPECTED))?;
        Ok(O::HANDLES.open(|_| id))
    };
    // SAFETY: the caller's promise.
    unsafe { answer(record, give_to(place, create)) }
}

/// # Safety
/// A GUID, and places for a handle and a pointer.
unsafe fn open<O: Kind>(id: *const GUID, place: *mut *mut c_void, record: *mut PWSTR) -> HRESULT {
    let open = || {
        // SAFETY: the caller's promise.
        let id = unsafe { guid(id) }?;
        O::objects()?.query(&id, &HostComputeQuery::all())?;
        Ok(O::HANDLES.open(|_| id))
    };
    // SAFETY: the caller's promise.
    unsafe { answer(record, give_to(place, open)) }
}

/// # Safety
/// A text, and a place for a pointer.
unsafe fn modify<O: Kind>(handle: *mut c_void, settings: PCWSTR, record: *mut PWSTR) -> HRESULT {
    let modify = || {
        let id = O::HANDLES.get(handle)?;
        // SAFETY: the caller's promise.
        O::objects()?.modify(&id, &unsafe { text::document(settings) }?)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(record, modify()) }
}

/// # Safety
/// A text, and places for pointers.
unsafe fn query<O: Kind>(
    handle: *mut c_void,
    query: PCWSTR,
    properties: *mut PWSTR,
    record: *mut PWSTR,
) -> HRESULT {
    let ask = || {
        let id = O::HANDLES.get(handle)?;
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(query) }?;
        let answered = O::objects()?.query(&id, &query)?.to_json();
        // SAFETY: the caller's promise.
        unsafe { give::<Task>(properties, Some(&answered)) }
    };
    // SAFETY: the caller's promise.
    unsafe { answer(record, ask()) }
}

/// # Safety
/// A GUID, and a place for a pointer.
unsafe fn delete<O: Kind>(id: *const GUID, record: *mut PWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    let delete = || O::objects()?.delete(&unsafe { guid(id) }?);
    // SAFETY: the caller's promise.
    unsafe { answer(record, delete()) }
}

/// # Safety
/// A text, and places for pointers.
unsafe fn enumerate<O: Kind>(query: PCWSTR, ids: *mut PWSTR, record: *mut PWSTR) -> HRESULT {
    let ask = || {
        // SAFETY: the caller's promise.
        let query = unsafe { text::document_or_default(query) }?;
        let found: Vec<String> = O::objects()?.enumerate(&query)?.iter().map(ToString::to_string).collect();
        // SAFETY: the caller's promise.
        unsafe { give::<Task>(ids, Some(&serde_json::Value::from(found).to_string())) }
    };
    // SAFETY: the caller's promise.
    unsafe { answer(record, ask()) }
}

macro_rules! objects {
    ($($object:ty, $handle:ty: $enumerate:ident $open:ident $modify:ident $query:ident $delete:ident $close:ident;)*) => {
        $(
            pub unsafe fn $enumerate(query: PCWSTR, ids: *mut PWSTR, record: *mut PWSTR) -> HRESULT {
                // SAFETY: the caller's promise.
                unsafe { enumerate::<$object>(query, ids, record) }
            }

            pub unsafe fn $open(id: *const GUID, place: *mut $handle, record: *mut PWSTR) -> HRESULT {
                // SAFETY: the caller's promise.
                unsafe { open::<$object>(id, place, record) }
            }

            pub unsafe fn $modify(handle: $handle, settings: PCWSTR, record: *mut PWSTR) -> HRESULT {
                // SAFETY: the caller's promise.
                unsafe { modify::<$object>(handle, settings, record) }
            }

            pub unsafe fn $query(
                handle: $handle,
                settings: PCWSTR,
                properties: *mut PWSTR,
                record: *mut PWSTR,
            ) -> HRESULT {
                // SAFETY: the caller's promise.
                unsafe { query::<$object>(handle, settings, properties, record) }
            }

            pub unsafe fn $delete(id: *const GUID, record: *mut PWSTR) -> HRESULT {
                // SAFETY: the caller's promise.
                unsafe { delete::<$object>(id, record) }
            }

            pub unsafe fn $close(handle: $handle) -> HRESULT {
                code(<$object>::HANDLES.close(handle).map(drop))
            }
        )*
    };
}

objects! {
    HostComputeNetwork, HCN_NETWORK:
        HcnEnumerateNetworks HcnOpenNetwork HcnModifyNetwork HcnQueryNetworkProperties HcnDeleteNetwork
        HcnCloseNetwork;
    HostComputeEndpoint, HCN_ENDPOINT:
        HcnEnumerateEndpoints HcnOpenEndpoint HcnModifyEndpoint HcnQueryEndpointProperties HcnDeleteEndpoint
        HcnCloseEndpoint;
    HostComputeNamespace, HCN_NAMESPACE:
        HcnEnumerateNamespaces HcnOpenNamespace HcnModifyNamespace HcnQueryNamespaceProperties HcnDeleteNamespace
        HcnCloseNamespace;
    HostComputeLoadBalancer, HCN_LOADBALANCER:
        HcnEnumerateLoadBalancers HcnOpenLoadBalancer HcnModifyLoadBalancer HcnQueryLoadBalancerProperties
        HcnDeleteLoadBalancer HcnCloseLoadBalancer;
    HostComputeRoute, HCN_SDNROUTE:
        HcnEnumerateSdnRoutes HcnOpenSdnRoute HcnModifySdnRoute HcnQuerySdnRouteProperties HcnDeleteSdnRoute
        HcnCloseSdnRoute;
}

macro_rules! creations {
    ($($name:ident $object:ty;)*) => { $(
        pub unsafe fn $name(
            id: *const GUID,
            settings: PCWSTR,
            place: *mut *mut c_void,
            record: *mut PWSTR,
        ) -> HRESULT {
            // SAFETY: the caller's promise.
            unsafe { create::<$object>(None, id, settings, place, record) }
        }
    )* };
}

creations! {
    HcnCreateNetwork HostComputeNetwork;
    HcnCreateNamespace HostComputeNamespace;
    HcnCreateLoadBalancer HostComputeLoadBalancer;
    HcnCreateSdnRoute HostComputeRoute;
}

pub unsafe fn HcnCreateEndpoint(
    network: HCN_NETWORK,
    id: *const GUID,
    settings: PCWSTR,
    endpoint: *mut HCN_ENDPOINT,
    record: *mut PWSTR,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { create::<HostComputeEndpoint>(Some(network), id, settings, endpoint, record) }
}

pub unsafe fn HcnRegisterServiceCallback(
    callback: HCN_NOTIFICATION_CALLBACK,
    context: *const c_void,
    callback_handle: *mut HCN_CALLBACK,
) -> HRESULT {
    let register = || {
        if callback.is_none() {
            return Err(Error::new("register a callback", HResult::E_INVALIDARG));
        }
        let outlet = Outlet::new(callback, context);
        let tell = Arc::clone(&outlet);
        let watch = backend::network()?
            .watch(Box::new(move |event| tell.tell(event.kind as u32, event.code, event.data.clone())))?;
        Ok(WATCHES.open(|_| Watching { outlet, _watch: watch }))
    };
    // SAFETY: the caller's promise.
    code(unsafe { give_to(callback_handle, register) })
}

pub unsafe fn HcnUnregisterServiceCallback(callback_handle: HCN_CALLBACK) -> HRESULT {
    code(WATCHES.close(callback_handle).map(|watching| watching.outlet.close()))
}

/// A call on what has no implementation to be over.
///
/// # Safety
/// Null, or a place for a pointer.
unsafe fn missing(record: *mut PWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { answer(record, Err(Error::new("reach a guest network service", HResult::E_NOTIMPL))) }
}

pub unsafe fn HcnQueryEndpointAddresses(
    _endpoint: HCN_ENDPOINT,
    _query: PCWSTR,
    _addresses: *mut PWSTR,
    record: *mut PWSTR,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { missing(record) }
}

pub unsafe fn HcnQueryEndpointStats(
    _endpoint: HCN_ENDPOINT,
    _query: PCWSTR,
    _stats: *mut PWSTR,
    record: *mut PWSTR,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { missing(record) }
}

pub unsafe fn HcnCreateGuestNetworkService(
    _id: *const GUID,
    _settings: PCWSTR,
    _guest_network_service: *mut HCN_GUESTNETWORKSERVICE,
    record: *mut PWSTR,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { missing(record) }
}

pub unsafe fn HcnModifyGuestNetworkService(
    _guest_network_service: HCN_GUESTNETWORKSERVICE,
    _settings: PCWSTR,
    record: *mut PWSTR,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { missing(record) }
}

pub unsafe fn HcnDeleteGuestNetworkService(_id: *const GUID, record: *mut PWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { missing(record) }
}

pub unsafe fn HcnCloseGuestNetworkService(_guest_network_service: HCN_GUESTNETWORKSERVICE) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnRegisterGuestNetworkServiceCallback(
    _guest_network_service: HCN_GUESTNETWORKSERVICE,
    _callback: HCN_NOTIFICATION_CALLBACK,
    _context: *const c_void,
    _callback_handle: *mut HCN_CALLBACK,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnUnregisterGuestNetworkServiceCallback(_callback_handle: HCN_CALLBACK) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnReserveGuestNetworkServicePort(
    _guest_network_service: HCN_GUESTNETWORKSERVICE,
    _protocol: HCN_PORT_PROTOCOL,
    _access: HCN_PORT_ACCESS,
    _port: u16,
    _port_reservation_handle: *mut HANDLE,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnReserveGuestNetworkServicePortRange(
    _guest_network_service: HCN_GUESTNETWORKSERVICE,
    _port_count: u16,
    _port_range_reservation: *mut HCN_PORT_RANGE_RESERVATION,
    _port_reservation_handle: *mut HANDLE,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnReleaseGuestNetworkServicePortReservationHandle(
    _port_reservation_handle: HANDLE,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnEnumerateGuestNetworkPortReservations(
    _return_count: *mut u32,
    _port_entries: *mut *mut HCN_PORT_RANGE_ENTRY,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn HcnFreeGuestNetworkPortReservations(_port_entries: *mut HCN_PORT_RANGE_ENTRY) {}
