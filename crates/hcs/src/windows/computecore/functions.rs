//! The functions of computecore.dll.

use crate::abi::{
    HANDLE, HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HCS_OPERATION, HCS_OPERATION_COMPLETION,
    HCS_OPERATION_OPTIONS, HCS_OPERATION_TYPE, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_RESOURCE_TYPE,
    HCS_SYSTEM, HRESULT, PCWSTR, PWSTR,
};
use crate::windows::library::functions;
use std::ffi::c_void;

crate::computecore_functions!(functions);
