//! vmcompute.dll, libvmcompute.so: the exports alone; what is behind them is in `hcs_exports::vmcompute`.

// UNSAFETY: exports have names that the linker must not change, and take pointers.
#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(non_snake_case, reason = "the names are Microsoft's")]

use hcs::abi::{BOOL32, DriverInfo, FILE_BASIC_INFO, GUID, HANDLE, HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR, WC_LAYER_DESCRIPTOR};
use hcs_exports::vmcompute as functions;
use hcs_exports::{export, export_for_tests};
use std::ffi::c_void;

hcs::vmcompute_functions!(export);
export_for_tests!();
