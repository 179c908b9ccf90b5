//! Guest network services: the network of a utility VM or a sandboxed guest, and the host's ports that it may use.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "computenetwork.dll has a C interface")]

use super::functions::Functions;
use super::watch::{Calls, Watching};
use super::{ComputeNetwork, check, given};
use crate::abi::{HANDLE, HCN_PORT_RANGE_ENTRY, HCN_PORT_RANGE_RESERVATION};
use crate::document::{Document as _, Guid};
use crate::documents::network::GuestNetworkService as Settings;
use crate::error::Result;
use crate::hresult::HResult;
use crate::network::Watch;
use crate::windows::answer::check as check_code;
use crate::windows::guid::{from_c, to_c};
use crate::windows::text::{Returned, Task, wide};
use std::ffi::c_void;
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::Arc;

/// An open guest network service, closed when it is dropped. The service itself stays until it is deleted.
pub struct GuestNetworkService {
    functions: Arc<Functions>,
    raw: *mut c_void,
    id: Guid,
}

// SAFETY: the library's handles may be used by every thread.
unsafe impl Send for GuestNetworkService {}
// SAFETY: as above.
unsafe impl Sync for GuestNetworkService {}

/// Which protocols a port is reserved for: `HCN_PORT_PROTOCOL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PortProtocol {
    /// TCP.
    Tcp = 1,
    /// UDP.
    Udp = 2,
    /// Both.
    Both = 3,
}

/// Whether others may use a reserved port: `HCN_PORT_ACCESS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PortAccess {
    /// Nobody else.
    Exclusive = 1,
    /// Others too.
    Shared = 2,
}

/// Ports that are reserved, released when this is dropped.
pub struct PortReservation {
    functions: Arc<Functions>,
    handle: HANDLE,
    ports: RangeInclusive<u16>,
}

// SAFETY: the library's handles may be used by every thread.
unsafe impl Send for PortReservation {}
// SAFETY: as above.
unsafe impl Sync for PortReservation {}

/// Ports of the host that are reserved for a guest: `HCN_PORT_RANGE_ENTRY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedPorts {
    /// Who has reserved them.
    pub owner: Guid,
    /// For whom.
    pub target: Guid,
    /// 1 TCP, 2 UDP, 3 both.
    pub protocol: i32,
    /// Of rules that overlap, the one with the higher number counts.
    pub priority: u64,
    /// Not documented.
    pub reservation_type: u32,
    /// Not documented.
    pub sharing_flags: u32,
    /// Not documented.
    pub delivery_mode: u32,
    /// First and last.
    pub ports: RangeInclusive<u16>,
}

impl ComputeNetwork {
    /// Creates a guest network service: `HcnCreateGuestNetworkService`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn create_guest_network_service(
        &self,
        id: &Guid,
        settings: &Settings,
    ) -> Result<GuestNetworkService> {
        let attempted = format!("create guest network service {id}");
        let settings = wide(&settings.to_json(), &attempted)?;
        let (c_id, mut raw, mut record) = (to_c(id), ptr::null_mut(), Returned::<Task>::new());
        // SAFETY: id and text live until the call returns, the others are places for the results.
        let answer = unsafe {
            self.functions.HcnCreateGuestNetworkService(
                &raw const c_id,
                settings.as_ptr(),
                &raw mut raw,
                record.out(),
            )
        };
        check(answer, &record, &attempted)?;
        let functions = Arc::clone(&self.functions);
        Ok(GuestNetworkService { functions, raw: given(raw, &attempted)?, id: id.clone() })
    }

    /// Deletes a guest network service: `HcnDeleteGuestNetworkService`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn delete_guest_network_service(&self, id: &Guid) -> Result<()> {
        let attempted = format!("delete guest network service {id}");
        let (id, mut record) = (to_c(id), Returned::<Task>::new());
        // SAFETY: the id lives until the call returns, the last is a place for the record.
        let answer = unsafe { self.functions.HcnDeleteGuestNetworkService(&raw const id, record.out()) };
        check(answer, &record, &attempted)
    }

    /// The ports of the host that are reserved for guests: `HcnEnumerateGuestNetworkPortReservations`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn port_reservations(&self) -> Result<Vec<ReservedPorts>> {
        let mut count = 0;
        let mut entries: *mut HCN_PORT_RANGE_ENTRY = ptr::null_mut();
        // SAFETY: both are places for the results.
        let answer = unsafe {
            self.functions.HcnEnumerateGuestNetworkPortReservations(&raw mut count, &raw mut entries)
        };
        check_code(answer, "list reserved ports")?;
        if entries.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the library has answered that many entries.
        let list = unsafe { std::slice::from_raw_parts(entries, count as usize) };
        let list = list.iter().map(reserved).collect();
        // SAFETY: what the call above has answered, not used again.
        let _ = unsafe { self.functions.HcnFreeGuestNetworkPortReservations(entries) };
        Ok(list)
    }
}

fn reserved(entry: &HCN_PORT_RANGE_ENTRY) -> ReservedPorts {
    ReservedPorts {
        owner: from_c(entry.OwningPartitionId),
        target: from_c(entry.TargetPartitionId),
        protocol: entry.Protocol,
        priority: entry.Priority,
        reservation_type: entry.ReservationType,
        sharing_flags: entry.SharingFlags,
        delivery_mode: entry.DeliveryMode,
        ports: entry.StartingPort..=entry.EndingPort,
    }
}

impl GuestNetworkService {
    /// The id that it was created with.
    pub fn id(&self) -> &Guid {
        &self.id
    }

    /// Changes the service, by a request as JSON: `HcnModifyGuestNetworkService`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn modify(&self, settings: &str) -> Result<()> {
        let attempted = self.attempted("modify");
        let settings = wide(settings, &attempted)?;
        let mut record = Returned::<Task>::new();
        // SAFETY: the handle is open, the text ends with a zero, the last is a place for the record.
        let answer =
            unsafe { self.functions.HcnModifyGuestNetworkService(self.raw, settings.as_ptr(), record.out()) };
        check(answer, &record, &attempted)
    }

    /// Calls back with the service's notifications, until what is returned is dropped:
    /// `HcnRegisterGuestNetworkServiceCallback`. They are a number, a status and a document.
    ///
    /// # Errors
    /// What the library answers.
    pub fn watch(
        &self,
        callback: impl Fn(u32, HResult, Option<String>) + Send + Sync + 'static,
    ) -> Result<Box<dyn Watch>> {
        let calls = Calls {
            register: Functions::HcnRegisterGuestNetworkServiceCallback,
            unregister: Functions::HcnUnregisterGuestNetworkServiceCallback,
        };
        let functions = Arc::clone(&self.functions);
        let watching =
            Watching::new(functions, self.raw, calls, Box::new(callback), &self.attempted("watch"))?;
        Ok(Box::new(watching))
    }

    /// Reserves a port of the host for the guest: `HcnReserveGuestNetworkServicePort`.
    ///
    /// # Errors
    /// `HCN_E_PORT_ALREADY_EXISTS`, and what else the library answers.
    pub fn reserve_port(
        &self,
        protocol: PortProtocol,
        access: PortAccess,
        port: u16,
    ) -> Result<PortReservation> {
        let attempted = self.attempted(&format!("reserve port {port} for"));
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is open, the last is a place for the result.
        let answer = unsafe {
            self.functions.HcnReserveGuestNetworkServicePort(
                self.raw,
                protocol as i32,
                access as i32,
                port,
                &raw mut handle,
            )
        };
        check_code(answer, &attempted)?;
        let functions = Arc::clone(&self.functions);
        Ok(PortReservation { functions, handle: given(handle, &attempted)?, ports: port..=port })
    }

    /// Reserves so many adjacent ports of the host for the guest, for both protocols and nobody else:
    /// `HcnReserveGuestNetworkServicePortRange`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn reserve_port_range(&self, count: u16) -> Result<PortReservation> {
        let attempted = self.attempted(&format!("reserve {count} ports for"));
        let mut range = HCN_PORT_RANGE_RESERVATION::default();
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is open, the others are places for the results.
        let answer = unsafe {
            self.functions.HcnReserveGuestNetworkServicePortRange(
                self.raw,
                count,
                &raw mut range,
                &raw mut handle,
            )
        };
        check_code(answer, &attempted)?;
        let functions = Arc::clone(&self.functions);
        let ports = range.startingPort..=range.endingPort;
        Ok(PortReservation { functions, handle: given(handle, &attempted)?, ports })
    }

    fn attempted(&self, verb: &str) -> String {
        format!("{verb} guest network service {}", self.id)
    }
}

impl Drop for GuestNetworkService {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again. A host that could open it can close it.
        let _ = unsafe { self.functions.HcnCloseGuestNetworkService(self.raw) };
    }
}

impl PortReservation {
    /// First and last.
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.ports.clone()
    }
}

impl Drop for PortReservation {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        let _ = unsafe { self.functions.HcnReleaseGuestNetworkServicePortReservationHandle(self.handle) };
    }
}

impl std::fmt::Debug for GuestNetworkService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestNetworkService").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PortReservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PortReservation").field("ports", &self.ports).finish_non_exhaustive()
    }
}
