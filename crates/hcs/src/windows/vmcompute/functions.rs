//! The functions of vmcompute.dll.

use crate::abi::{
    BOOL32, DriverInfo, FILE_BASIC_INFO, GUID, HANDLE, HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK, HCS_PROCESS,
    HCS_PROCESS_INFORMATION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR, WC_LAYER_DESCRIPTOR,
};
use crate::windows::library::functions;
use std::ffi::c_void;

crate::vmcompute_functions!(functions);
