//! The objects of the network service: five kinds, which have the same functions under different names.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "computenetwork.dll has a C interface")]

use super::functions::Functions;
use super::{ComputeNetwork, check, given};
use crate::abi::{GUID, HRESULT, PCWSTR, PWSTR};
use crate::document::{Document as _, Guid};
use crate::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
    HostComputeRoute,
};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::network::{NetworkObject, Objects};
use crate::windows::guid::to_c;
use crate::windows::library::Unavailable;
use crate::windows::text::{Returned, Task, missing, read, wide};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

type Answer = std::result::Result<HRESULT, Unavailable>;
type Handle = *mut c_void;

/// The functions of one kind of objects.
pub struct Verbs {
    enumerate: unsafe fn(&Functions, PCWSTR, *mut PWSTR, *mut PWSTR) -> Answer,
    /// With the network, for endpoints; the others are created in none.
    create: unsafe fn(&Functions, Handle, *const GUID, PCWSTR, *mut Handle, *mut PWSTR) -> Answer,
    open: unsafe fn(&Functions, *const GUID, *mut Handle, *mut PWSTR) -> Answer,
    modify: unsafe fn(&Functions, Handle, PCWSTR, *mut PWSTR) -> Answer,
    query: unsafe fn(&Functions, Handle, PCWSTR, *mut PWSTR, *mut PWSTR) -> Answer,
    delete: unsafe fn(&Functions, *const GUID, *mut PWSTR) -> Answer,
    close: unsafe fn(&Functions, Handle) -> Answer,
}

/// A kind of objects that computenetwork.dll has functions for.
pub trait Kind: NetworkObject {
    /// These functions.
    #[doc(hidden)]
    const VERBS: Verbs;

    /// The network that an object is created in, for kinds that are.
    #[doc(hidden)]
    fn network(&self) -> Option<Guid> {
        None
    }
}

macro_rules! kind {
    ($object:ty, $enumerate:ident $create:ident $open:ident $modify:ident $query:ident $delete:ident $close:ident) => {
        impl Kind for $object {
            const VERBS: Verbs = Verbs {
                enumerate: Functions::$enumerate,
                // SAFETY: the caller's promise, without the network.
                create: |functions, _, id, settings, handle, record| unsafe {
                    functions.$create(id, settings, handle, record)
                },
                open: Functions::$open,
                modify: Functions::$modify,
                query: Functions::$query,
                delete: Functions::$delete,
                close: Functions::$close,
            };
        }
    };
}

kind!(
    HostComputeNetwork,
    HcnEnumerateNetworks HcnCreateNetwork HcnOpenNetwork HcnModifyNetwork HcnQueryNetworkProperties HcnDeleteNetwork
    HcnCloseNetwork
);
kind!(
    HostComputeNamespace,
    HcnEnumerateNamespaces HcnCreateNamespace HcnOpenNamespace HcnModifyNamespace HcnQueryNamespaceProperties
    HcnDeleteNamespace HcnCloseNamespace
);
kind!(
    HostComputeLoadBalancer,
    HcnEnumerateLoadBalancers HcnCreateLoadBalancer HcnOpenLoadBalancer HcnModifyLoadBalancer
    HcnQueryLoadBalancerProperties HcnDeleteLoadBalancer HcnCloseLoadBalancer
);
kind!(
    HostComputeRoute,
    HcnEnumerateSdnRoutes HcnCreateSdnRoute HcnOpenSdnRoute HcnModifySdnRoute HcnQuerySdnRouteProperties
    HcnDeleteSdnRoute HcnCloseSdnRoute
);

impl Kind for HostComputeEndpoint {
    const VERBS: Verbs = Verbs {
        enumerate: Functions::HcnEnumerateEndpoints,
        create: Functions::HcnCreateEndpoint,
        open: Functions::HcnOpenEndpoint,
        modify: Functions::HcnModifyEndpoint,
        query: Functions::HcnQueryEndpointProperties,
        delete: Functions::HcnDeleteEndpoint,
        close: Functions::HcnCloseEndpoint,
    };

    fn network(&self) -> Option<Guid> {
        self.host_compute_network.clone()
    }
}

/// An open object of the network service, closed when it is dropped. The object itself stays.
pub struct ObjectHandle<O: Kind> {
    functions: Arc<Functions>,
    raw: Handle,
    about: String,
    kind: PhantomData<fn() -> O>,
}

// SAFETY: the library's handles may be used by every thread.
unsafe impl<O: Kind> Send for ObjectHandle<O> {}
// SAFETY: as above.
unsafe impl<O: Kind> Sync for ObjectHandle<O> {}

impl ComputeNetwork {
    /// Opens an object: `HcnOpenNetwork` and the like.
    ///
    /// # Errors
    /// [`NetworkObject::NOT_FOUND`], and what else the library answers.
    pub fn open<O: Kind>(&self, id: &Guid) -> Result<ObjectHandle<O>> {
        let attempted = format!("open {} {id}", O::KIND);
        let (mut raw, mut record) = (ptr::null_mut(), Returned::<Task>::new());
        let id_ = to_c(id);
        // SAFETY: the id lives until the call returns, the others are places for the results.
        let answer = unsafe { (O::VERBS.open)(&self.functions, &raw const id_, &raw mut raw, record.out()) };
        check(answer, &record, &attempted)?;
        self.own(raw, format!("{} {id}", O::KIND), &attempted)
    }

    /// Creates an object and opens it: `HcnCreateNetwork` and the like. Without an id the service chooses one.
    ///
    /// # Errors
    /// What the library answers; `E_INVALIDARG` for an endpoint that names no network.
    pub fn create_open<O: Kind>(&self, id: Option<&Guid>, settings: &O) -> Result<ObjectHandle<O>> {
        let about = id.map_or_else(|| O::KIND.to_owned(), |id| format!("{} {id}", O::KIND));
        let attempted = format!("create {about}");
        let network = match settings.network() {
            Some(network) => Some(self.open::<HostComputeNetwork>(&network)?),
            None if O::KIND == HostComputeEndpoint::KIND => {
                return Err(Error::new(attempted, HResult::E_INVALIDARG).caused_by(NoNetwork));
            }
            None => None,
        };
        let network = network.as_ref().map_or(ptr::null_mut(), |network| network.raw);
        let id = to_c(id.unwrap_or(&Guid::NIL));
        let settings = wide(&settings.to_json(), &attempted)?;
        let (mut raw, mut record) = (ptr::null_mut(), Returned::<Task>::new());
        // SAFETY: the network is open if there is one, id and text live until the call returns, the others are places
        // for the results.
        let answer = unsafe {
            (O::VERBS.create)(
                &self.functions,
                network,
                &raw const id,
                settings.as_ptr(),
                &raw mut raw,
                record.out(),
            )
        };
        check(answer, &record, &attempted)?;
        self.own(raw, about, &attempted)
    }

    fn own<O: Kind>(&self, raw: Handle, about: String, attempted: &str) -> Result<ObjectHandle<O>> {
        let functions = Arc::clone(&self.functions);
        Ok(ObjectHandle { functions, raw: given(raw, attempted)?, about, kind: PhantomData })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("an endpoint is created in a network, and HostComputeNetwork names none")]
struct NoNetwork;

impl<O: Kind> ObjectHandle<O> {
    /// The object's document as it is now: `HcnQueryNetworkProperties` and the like.
    ///
    /// # Errors
    /// What the library answers.
    pub fn query(&self, query: &HostComputeQuery) -> Result<O> {
        let attempted = format!("query {}", self.about);
        let text = self.ask(&attempted, query, O::VERBS.query)?;
        read(Some(&text), &attempted)
    }

    /// Changes the object: `HcnModifyNetwork` and the like.
    ///
    /// # Errors
    /// What the library answers.
    pub fn modify(&self, change: &O::Change) -> Result<()> {
        let attempted = format!("modify {}", self.about);
        let settings = wide(&change.to_json(), &attempted)?;
        let mut record = Returned::<Task>::new();
        // SAFETY: the handle is open, the text ends with a zero, the last is a place for the record.
        let answer = unsafe { (O::VERBS.modify)(&self.functions, self.raw, settings.as_ptr(), record.out()) };
        check(answer, &record, &attempted)
    }

    fn ask(
        &self,
        attempted: &str,
        query: &HostComputeQuery,
        call: unsafe fn(&Functions, Handle, PCWSTR, *mut PWSTR, *mut PWSTR) -> Answer,
    ) -> Result<String> {
        let query = wide(&query.to_json(), attempted)?;
        let (mut document, mut record) = (Returned::<Task>::new(), Returned::<Task>::new());
        // SAFETY: the handle is open, the text ends with a zero, the others are places for the results.
        let answer = unsafe { call(&self.functions, self.raw, query.as_ptr(), document.out(), record.out()) };
        check(answer, &record, attempted)?;
        document.text(attempted)?.ok_or_else(|| missing(attempted))
    }
}

#[cfg(feature = "undocumented")]
impl ObjectHandle<HostComputeEndpoint> {
    /// What went through the endpoint, as JSON: `HcnQueryEndpointStats`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn stats(&self, query: &HostComputeQuery) -> Result<String> {
        self.ask(&format!("query the statistics of {}", self.about), query, Functions::HcnQueryEndpointStats)
    }

    /// The endpoint's addresses, as JSON: `HcnQueryEndpointAddresses`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn addresses(&self, query: &HostComputeQuery) -> Result<String> {
        self.ask(
            &format!("query the addresses of {}", self.about),
            query,
            Functions::HcnQueryEndpointAddresses,
        )
    }
}

impl<O: Kind> Drop for ObjectHandle<O> {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again. A host that could open it can close it.
        let _ = unsafe { (O::VERBS.close)(&self.functions, self.raw) };
    }
}

impl<O: Kind> std::fmt::Debug for ObjectHandle<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectHandle").field("about", &self.about).finish_non_exhaustive()
    }
}

impl<O: Kind> Objects<O> for ComputeNetwork {
    fn create(&self, id: Option<&Guid>, settings: &O) -> Result<O> {
        self.create_open(id, settings)?.query(&HostComputeQuery::all())
    }

    fn query(&self, id: &Guid, query: &HostComputeQuery) -> Result<O> {
        self.open::<O>(id)?.query(query)
    }

    fn modify(&self, id: &Guid, change: &O::Change) -> Result<()> {
        self.open::<O>(id)?.modify(change)
    }

    fn delete(&self, id: &Guid) -> Result<()> {
        let attempted = format!("delete {} {id}", O::KIND);
        let (id, mut record) = (to_c(id), Returned::<Task>::new());
        // SAFETY: the id lives until the call returns, the last is a place for the record.
        let answer = unsafe { (O::VERBS.delete)(&self.functions, &raw const id, record.out()) };
        check(answer, &record, &attempted)
    }

    fn enumerate(&self, query: &HostComputeQuery) -> Result<Vec<Guid>> {
        let attempted = format!("enumerate the {}s", O::KIND);
        let query = wide(&query.to_json(), &attempted)?;
        let (mut ids, mut record) = (Returned::<Task>::new(), Returned::<Task>::new());
        // SAFETY: the text ends with a zero, the others are places for the results.
        let answer =
            unsafe { (O::VERBS.enumerate)(&self.functions, query.as_ptr(), ids.out(), record.out()) };
        check(answer, &record, &attempted)?;
        let ids = ids.text(&attempted)?.unwrap_or_default();
        guids(&ids, &attempted)
    }
}

/// Reads the array of ids that an enumeration answers; nothing is no object.
fn guids(text: &str, attempted: &str) -> Result<Vec<Guid>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = || Error::new(attempted, HResult::HCN_E_INVALID_JSON);
    let ids: Vec<String> = serde_json::from_str(text).map_err(|cause| unreadable().caused_by(cause))?;
    ids.iter()
        .map(|id| id.parse().map_err(|cause: crate::document::NotAGuid| unreadable().caused_by(cause)))
        .collect()
}
