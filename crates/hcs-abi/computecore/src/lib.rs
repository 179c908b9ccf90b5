//! computecore.dll, libcomputecore.so: the exports alone; what is behind them is in `hcs_exports::computecore`.

use hcs::abi::{
    HANDLE, HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HCS_OPERATION, HCS_OPERATION_COMPLETION,
    HCS_OPERATION_OPTIONS, HCS_OPERATION_TYPE, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_RESOURCE_TYPE,
    HCS_SYSTEM, HRESULT, PCWSTR, PWSTR,
};
use hcs_exports::computecore as functions;
use hcs_exports::{export, export_for_tests};
use std::ffi::c_void;

hcs::computecore_functions!(export);
export_for_tests!();
