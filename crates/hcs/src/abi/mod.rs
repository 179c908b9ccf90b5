//! The C interface of the Host Compute Service: every function of its four libraries, once.
//!
//! Each library is a macro that gives its list of functions to another macro. Two sides are made of one list: the
//! callers' (`hcs::windows` makes a table of function pointers of it) and the libraries' (the crates in `hcs-abi` make
//! exports of it). So they cannot disagree about a parameter.
//!
//! ```text
//! [build or 0] fn Name(parameter: Type, …) -> Type;
//! ```
//! The number is the Windows build that brought the function, 0 where that is not documented: 14393 is Server 2016,
//! 17763 is 1809 and Server 2019, 19041 is 2004, 20348 is Server 2022 (which the documentation calls 2104).
#![expect(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "the names are Microsoft's, and so is their documentation"
)]

mod computecore;
mod computenetwork;
mod computestorage;
mod vmcompute;

use std::ffi::c_void;

/// Success is not negative.
pub type HRESULT = i32;
pub type HANDLE = *mut c_void;
/// UTF-16, ends with a zero.
pub type PCWSTR = *const u16;
/// The same, allocated by the library for the caller to free.
pub type PWSTR = *mut u16;
pub type BOOL32 = u32;

pub type HCS_SYSTEM = *mut c_void;
pub type HCS_PROCESS = *mut c_void;
pub type HCS_OPERATION = *mut c_void;
pub type HCS_CALLBACK = *mut c_void;
pub type HCS_OPERATION_TYPE = i32;
pub type HCS_OPERATION_OPTIONS = i32;
pub type HCS_EVENT_OPTIONS = i32;
pub type HCS_EVENT_TYPE = i32;
pub type HCS_RESOURCE_TYPE = i32;

pub type HCN_NETWORK = *mut c_void;
pub type HCN_ENDPOINT = *mut c_void;
pub type HCN_NAMESPACE = *mut c_void;
pub type HCN_LOADBALANCER = *mut c_void;
pub type HCN_SDNROUTE = *mut c_void;
pub type HCN_GUESTNETWORKSERVICE = *mut c_void;
pub type HCN_CALLBACK = *mut c_void;
pub type HCN_PORT_PROTOCOL = i32;
pub type HCN_PORT_ACCESS = i32;

/// The access that `HcsOpenComputeSystem` and `HcsOpenProcess` want to be asked for.
pub const GENERIC_ALL: u32 = 0x1000_0000;
/// Waits without end.
pub const INFINITE: u32 = 0xFFFF_FFFF;

/// Called when an operation is over.
pub type HCS_OPERATION_COMPLETION =
    Option<unsafe extern "system" fn(operation: HCS_OPERATION, context: *const c_void)>;
/// Called for each event of a system or a process.
pub type HCS_EVENT_CALLBACK =
    Option<unsafe extern "system" fn(event: *const HCS_EVENT, context: *const c_void)>;
/// Called for each notification of vmcompute.dll.
pub type HCS_NOTIFICATION_CALLBACK =
    Option<unsafe extern "system" fn(kind: u32, context: *const c_void, status: HRESULT, data: PCWSTR)>;
/// Called for each notification of computenetwork.dll.
pub type HCN_NOTIFICATION_CALLBACK = HCS_NOTIFICATION_CALLBACK;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HCS_EVENT {
    pub Type: HCS_EVENT_TYPE,
    pub EventData: PCWSTR,
    pub Operation: HCS_OPERATION,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HCS_PROCESS_INFORMATION {
    pub ProcessId: u32,
    pub Reserved: u32,
    pub StdInput: HANDLE,
    pub StdOutput: HANDLE,
    pub StdError: HANDLE,
}

impl HCS_PROCESS_INFORMATION {
    /// No process.
    pub const NONE: Self = Self {
        ProcessId: 0,
        Reserved: 0,
        StdInput: std::ptr::null_mut(),
        StdOutput: std::ptr::null_mut(),
        StdError: std::ptr::null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GUID {
    pub data1: u32,
    pub data2: u16,
    pub data3: u16,
    pub data4: [u8; 8],
}

/// The folder that the layers of vmcompute.dll's functions lie in.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DriverInfo {
    /// 1: layers are folders below [`Self::home`].
    pub flavour: i32,
    pub home: PCWSTR,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WC_LAYER_DESCRIPTOR {
    pub LayerId: GUID,
    pub Flags: u32,
    pub Path: PCWSTR,
}

/// Times in 100 ns since 1601, attributes as in `winnt.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FILE_BASIC_INFO {
    pub CreationTime: i64,
    pub LastAccessTime: i64,
    pub LastWriteTime: i64,
    pub ChangeTime: i64,
    pub FileAttributes: u32,
}

/// Start and end are inclusive.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HCN_PORT_RANGE_RESERVATION {
    pub startingPort: u16,
    pub endingPort: u16,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HCN_PORT_RANGE_ENTRY {
    pub OwningPartitionId: GUID,
    pub TargetPartitionId: GUID,
    pub Protocol: HCN_PORT_PROTOCOL,
    pub Priority: u64,
    pub ReservationType: u32,
    pub SharingFlags: u32,
    pub DeliveryMode: u32,
    pub StartingPort: u16,
    pub EndingPort: u16,
}

/// An exported function: its library, its name, the Windows build that brought it (0: not documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    pub library: &'static str,
    pub name: &'static str,
    pub since: u32,
}

macro_rules! list {
    ($library:literal $([$since:literal] fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        &[$(Function { library: $library, name: stringify!($name), since: $since }),*]
    };
}

/// Every function of the four libraries that this crate knows.
pub const FUNCTIONS: [&[Function]; 4] = [
    crate::computecore_functions!(list),
    crate::vmcompute_functions!(list),
    crate::computestorage_functions!(list),
    crate::computenetwork_functions!(list),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn structures_lie_as_in_c() {
        assert_eq!(size_of::<HCS_PROCESS_INFORMATION>(), 32);
        assert_eq!(offset_of!(HCS_PROCESS_INFORMATION, StdInput), 8);
        assert_eq!(size_of::<HCS_EVENT>(), 24);
        assert_eq!(offset_of!(HCS_EVENT, EventData), 8);
        assert_eq!(size_of::<DriverInfo>(), 16);
        assert_eq!(size_of::<WC_LAYER_DESCRIPTOR>(), 32);
        assert_eq!(offset_of!(WC_LAYER_DESCRIPTOR, Path), 24);
        assert_eq!(size_of::<FILE_BASIC_INFO>(), 40);
        assert_eq!(size_of::<HCN_PORT_RANGE_ENTRY>(), 64);
    }

    #[test]
    fn no_library_lists_a_function_twice() {
        for functions in FUNCTIONS {
            let mut names: Vec<&str> = functions.iter().map(|function| function.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), functions.len(), "{:?}", functions.first());
        }
    }
}
