//! Every signature that Microsoft's own metadata (the `windows-sys` crate) has too: parameter for parameter and result,
//! the same sizes and alignments. So that this list and that one are compared by the compiler, not by eye.

use hcs::abi::{
    GUID, HANDLE, HCN_CALLBACK, HCN_ENDPOINT, HCN_GUESTNETWORKSERVICE, HCN_LOADBALANCER, HCN_NAMESPACE,
    HCN_NETWORK, HCN_NOTIFICATION_CALLBACK, HCN_PORT_ACCESS, HCN_PORT_PROTOCOL, HCN_PORT_RANGE_ENTRY,
    HCN_PORT_RANGE_RESERVATION, HCN_SDNROUTE, HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HCS_OPERATION,
    HCS_OPERATION_COMPLETION, HCS_OPERATION_OPTIONS, HCS_OPERATION_TYPE, HCS_PROCESS,
    HCS_PROCESS_INFORMATION, HCS_RESOURCE_TYPE, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR,
};
use std::ffi::c_void;
use windows_sys::Win32::System::{HostComputeNetwork, HostComputeSystem};

pub(crate) const TESTS: &[(&str, fn())] = &[("signatures are those of Microsoft's metadata", signatures)];

/// What of a function's type decides how it is called.
trait Shape {
    fn shape() -> Vec<(usize, usize)>;
}

macro_rules! shapes {
    ($($($arg:ident)*;)*) => { $(
        impl<$($arg,)* R> Shape for unsafe extern "system" fn($($arg),*) -> R {
            fn shape() -> Vec<(usize, usize)> {
                vec![$((size_of::<$arg>(), align_of::<$arg>()),)* (size_of::<R>(), align_of::<R>())]
            }
        }
    )* };
}

shapes! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

/// The shape of what a closure would return; it is never called, so nothing is linked.
fn theirs<F: Shape>(_: impl FnOnce() -> F) -> Vec<(usize, usize)> {
    F::shape()
}

macro_rules! returned {
    () => {
        ()
    };
    ($ret:ty) => {
        $ret
    };
}

macro_rules! any {
    ($arg:ident) => {
        _
    };
}

/// What the metadata lacks, and all else.
macro_rules! of_metadata {
    ($module:ident HcsAttachOverlayFilter $($arg:ident)*) => { None };
    ($module:ident HcsDetachOverlayFilter $($arg:ident)*) => { None };
    ($module:ident HcsCancelLiveMigration $($arg:ident)*) => { None };
    ($module:ident HcsFinalizeLiveMigration $($arg:ident)*) => { None };
    ($module:ident HcsGetOperationProperties $($arg:ident)*) => { None };
    ($module:ident HcsInitializeLiveMigrationOnSource $($arg:ident)*) => { None };
    ($module:ident HcsStartLiveMigrationOnSource $($arg:ident)*) => { None };
    ($module:ident HcsStartLiveMigrationTransfer $($arg:ident)*) => { None };
    ($module:ident HcnCloseSdnRoute $($arg:ident)*) => { None };
    ($module:ident HcnCreateSdnRoute $($arg:ident)*) => { None };
    ($module:ident HcnDeleteSdnRoute $($arg:ident)*) => { None };
    ($module:ident HcnEnumerateSdnRoutes $($arg:ident)*) => { None };
    ($module:ident HcnModifySdnRoute $($arg:ident)*) => { None };
    ($module:ident HcnOpenSdnRoute $($arg:ident)*) => { None };
    ($module:ident HcnQuerySdnRouteProperties $($arg:ident)*) => { None };
    ($module:ident $name:ident $($arg:ident)*) => {
        Some(theirs(|| $module::$name as unsafe extern "system" fn($(any!($arg)),*) -> _))
    };
}

type Compared = (&'static str, Vec<(usize, usize)>, Option<Vec<(usize, usize)>>);

macro_rules! compare_systems {
    ($library:literal $([$since:literal] fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        vec![$((
            stringify!($name),
            <unsafe extern "system" fn($($ty),*) -> returned!($($ret)?) as Shape>::shape(),
            of_metadata!(HostComputeSystem $name $($arg)*),
        )),*]
    };
}

macro_rules! compare_networks {
    ($library:literal $([$since:literal] fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        vec![$((
            stringify!($name),
            <unsafe extern "system" fn($($ty),*) -> returned!($($ret)?) as Shape>::shape(),
            of_metadata!(HostComputeNetwork $name $($arg)*),
        )),*]
    };
}

fn signatures() {
    let lists: [Vec<Compared>; 3] = [
        hcs::computecore_functions!(compare_systems),
        hcs::computestorage_functions!(compare_systems),
        hcs::computenetwork_functions!(compare_networks),
    ];
    let mut compared = 0;
    for (name, ours, theirs) in lists.iter().flatten() {
        if let Some(theirs) = theirs {
            assert_eq!(ours, theirs, "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 54 + 12 + 43, "as many as the metadata has");
    structures();
}

fn structures() {
    type Theirs = HostComputeSystem::HCS_PROCESS_INFORMATION;
    assert_eq!(size_of::<HCS_PROCESS_INFORMATION>(), size_of::<Theirs>());
    assert_eq!(size_of::<hcs::abi::HCS_EVENT>(), size_of::<HostComputeSystem::HCS_EVENT>());
    assert_eq!(size_of::<HCN_PORT_RANGE_ENTRY>(), size_of::<HostComputeNetwork::HCN_PORT_RANGE_ENTRY>());
    assert_eq!(
        size_of::<HCN_PORT_RANGE_RESERVATION>(),
        size_of::<HostComputeNetwork::HCN_PORT_RANGE_RESERVATION>()
    );
}
