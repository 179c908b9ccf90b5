//! The functions of computenetwork.dll.

use crate::abi::{
    GUID, HANDLE, HCN_CALLBACK, HCN_ENDPOINT, HCN_GUESTNETWORKSERVICE, HCN_LOADBALANCER, HCN_NAMESPACE,
    HCN_NETWORK, HCN_NOTIFICATION_CALLBACK, HCN_PORT_ACCESS, HCN_PORT_PROTOCOL, HCN_PORT_RANGE_ENTRY,
    HCN_PORT_RANGE_RESERVATION, HCN_SDNROUTE, HRESULT, PCWSTR, PWSTR,
};
use crate::windows::library::functions;
use std::ffi::c_void;

crate::computenetwork_functions!(functions);
