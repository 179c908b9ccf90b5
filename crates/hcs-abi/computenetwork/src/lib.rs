//! computenetwork.dll, libcomputenetwork.so: the exports alone; what is behind them is in `hcs_exports::computenetwork`.

use hcs::abi::{
    GUID, HANDLE, HCN_CALLBACK, HCN_ENDPOINT, HCN_GUESTNETWORKSERVICE, HCN_LOADBALANCER, HCN_NAMESPACE,
    HCN_NETWORK, HCN_NOTIFICATION_CALLBACK, HCN_PORT_ACCESS, HCN_PORT_PROTOCOL, HCN_PORT_RANGE_ENTRY,
    HCN_PORT_RANGE_RESERVATION, HCN_SDNROUTE, HRESULT, PCWSTR, PWSTR,
};
use hcs_exports::computenetwork as functions;
use hcs_exports::{export, export_for_tests};
use std::ffi::c_void;

hcs::computenetwork_functions!(export);
export_for_tests!();
