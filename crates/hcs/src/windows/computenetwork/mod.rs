//! computenetwork.dll: networks, endpoints, namespaces, load balancers and routes, and guest network services.
//!
//! [`ComputeNetwork`] is the library and, by its trait, the network service. The trait opens and closes an object for
//! each call; who makes many calls on one keeps an [`ObjectHandle`].

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "computenetwork.dll has a C interface")]

mod functions;
mod guest;
mod objects;
mod watch;

pub use guest::{GuestNetworkService, PortAccess, PortProtocol, PortReservation, ReservedPorts};
pub use objects::{Kind, ObjectHandle};

use super::answer::{code_of, no_handle};
use super::library::{Place, Unavailable};
use super::text::{Returned, Task};
use crate::abi::HRESULT;
use crate::document::Document as _;
use crate::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeRoute,
    Response,
};
use crate::error::{Error, Result};
use crate::network::{
    ComputeNetwork as Network, NetworkCallback, NetworkEvent, NetworkEventKind, Objects, Watch,
};
use functions::Functions;
use std::sync::Arc;
use watch::{Calls, Watching};

/// computenetwork.dll, which is also the network service behind it.
#[derive(Clone)]
pub struct ComputeNetwork {
    functions: Arc<Functions>,
}

impl ComputeNetwork {
    /// Loads the library.
    ///
    /// # Errors
    /// [`Unavailable::Library`] on a host that does not have it.
    pub fn load(place: &Place) -> std::result::Result<Self, Unavailable> {
        Ok(Self { functions: Arc::new(Functions::load(place)?) })
    }
}

impl Network for ComputeNetwork {
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

    /// Notifications of guest network services are not among the events.
    fn watch(&self, callback: NetworkCallback) -> Result<Box<dyn Watch>> {
        let hear = move |kind: u32, code, data| {
            if let Some(kind) = event_kind(kind) {
                callback(&NetworkEvent { kind, code, data });
            }
        };
        let calls = Calls {
            // SAFETY: `Watching` gives a callback and the context that it takes.
            register: |functions, _, callback, context, handle| unsafe {
                functions.HcnRegisterServiceCallback(callback, context, handle)
            },
            unregister: Functions::HcnUnregisterServiceCallback,
        };
        let watching = Watching::new(
            Arc::clone(&self.functions),
            std::ptr::null_mut(),
            calls,
            Box::new(hear),
            "watch the network service",
        )?;
        Ok(Box::new(watching))
    }
}

fn event_kind(code: u32) -> Option<NetworkEventKind> {
    use NetworkEventKind as Kind;
    let kinds = [
        Kind::NetworkPreCreate,
        Kind::NetworkCreate,
        Kind::NetworkPreDelete,
        Kind::NetworkDelete,
        Kind::NamespaceCreate,
        Kind::NamespaceDelete,
        Kind::NetworkEndpointAttached,
        Kind::NetworkEndpointDetached,
        Kind::ServiceDisconnect,
    ];
    // The upper four bits are flags.
    kinds.into_iter().find(|kind| *kind as u32 == code & 0x0FFF_FFFF)
}

/// Whether a call succeeded; an error record says more about what failed.
fn check(
    answer: std::result::Result<HRESULT, Unavailable>,
    record: &Returned<Task>,
    attempted: &str,
) -> Result<()> {
    match answer {
        Ok(code) if code >= 0 => Ok(()),
        Ok(code) => {
            let error = Error::new(attempted, code_of(code));
            Err(match record.readable().and_then(|record| Response::from_json(&record).ok()) {
                Some(record) => error.with_record(record),
                None => error,
            })
        }
        Err(unavailable) => Err(unavailable.during(attempted)),
    }
}

/// The handle that a call has given.
fn given(handle: *mut std::ffi::c_void, attempted: &str) -> Result<*mut std::ffi::c_void> {
    match handle.is_null() {
        true => Err(no_handle(attempted)),
        false => Ok(handle),
    }
}

impl std::fmt::Debug for ComputeNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputeNetwork").finish_non_exhaustive()
    }
}
