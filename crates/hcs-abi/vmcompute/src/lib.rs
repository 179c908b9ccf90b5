//! vmcompute.dll, libvmcompute.so: the exports alone; what is behind them is in `hcs_exports::vmcompute`.

use hcs::abi::{
    BOOL32, DriverInfo, FILE_BASIC_INFO, GUID, HANDLE, HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HCS_PROCESS,
    HCS_PROCESS_INFORMATION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR, WC_LAYER_DESCRIPTOR,
};
use hcs_exports::vmcompute as functions;
use hcs_exports::{export, export_for_tests};
use std::ffi::c_void;

hcs::vmcompute_functions!(export);
export_for_tests!();
