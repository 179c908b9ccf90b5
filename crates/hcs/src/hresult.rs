//! HRESULTs: the codes that the Host Compute Service, the Host Compute Network service and what lies below them
//! answer with, each with its name, what it means, and what somebody who meets it can do.
//!
//! Four families: `HCS_E_*` (facility 0x37, since build 17763), the historic forms of the same conditions with
//! severity `0xC` that vmcompute.dll gives and its clients test for, `HCN_E_*`/`GCN_E_*` (facility 0x3B), and the
//! COM and Win32 codes that come up through all of them. A code that is not in the table is a code all the same; it
//! prints as hexadecimal.

use std::fmt;

/// One HRESULT, whatever it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HResult(u32);

/// What is known of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: HResult,
    /// The name in Windows' headers; for the historic forms, which have none, a name of this crate that begins with
    /// `HCS_V1_`.
    pub name: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal, $hint:literal;)+) => {
        impl HResult {
            $(
                #[doc = concat!("`", stringify!($code), "`: ", $meaning, ".")]
                pub const $name: HResult = HResult($code);
            )+
        }

        /// Every code that has a name, in the order of the source: HCS, its historic forms, HCN, COM and Win32.
        pub const TABLE: &[Entry] = &[
            $(Entry { code: HResult::$name, name: stringify!($name), meaning: $meaning, hint: $hint },)+
        ];
    };
}

codes! {
    HCS_E_TERMINATED_DURING_START = 0x8037_0100, "the virtual machine or container ended while it was being started", "look for the cause in the error document's events and in the guest's console";
    HCS_E_IMAGE_MISMATCH = 0x8037_0101, "the image's operating system does not match the host's", "use an image of the host's build, or isolate by hypervisor";
    HCS_E_HYPERV_NOT_INSTALLED = 0x8037_0102, "no hypervisor runs on this host", "switch on virtualization in the firmware and the Hyper-V feature, or isolate by process";
    HCS_E_INVALID_STATE = 0x8037_0105, "the state of the object does not admit the operation", "query its state; a save needs a paused system, a process a running one";
    HCS_E_UNEXPECTED_EXIT = 0x8037_0106, "the system or process ended unexpectedly", "read the exit status and a crash report";
    HCS_E_TERMINATED = 0x8037_0107, "the system was forcefully ended", "find out who terminated it, or closed its last handle; create it anew";
    HCS_E_CONNECT_FAILED = 0x8037_0108, "the connection to the guest could not be made", "see whether the guest booted and its agent runs";
    HCS_E_CONNECTION_TIMEOUT = 0x8037_0109, "the guest did not answer in time", "see whether the guest booted; give it more processors or memory, or wait longer";
    HCS_E_CONNECTION_CLOSED = 0x8037_010A, "the connection to the guest was closed", "treat the guest's containers as gone and the system as dying";
    HCS_E_UNKNOWN_MESSAGE = 0x8037_010B, "the guest sent a message of an unknown kind", "bring guest and host to versions that fit together";
    HCS_E_UNSUPPORTED_PROTOCOL_VERSION = 0x8037_010C, "guest and host have no protocol version in common", "bring guest and host to versions that fit together";
    HCS_E_INVALID_JSON = 0x8037_010D, "a document is not JSON or not of the schema", "compare it with the schema version that it names and that the service lists";
    HCS_E_SYSTEM_NOT_FOUND = 0x8037_010E, "no compute system has this id", "it never was or has stopped already; compute systems vanish when they stop";
    HCS_E_SYSTEM_ALREADY_EXISTS = 0x8037_010F, "a compute system with this id exists", "choose another id, or terminate the one that has it";
    HCS_E_SYSTEM_ALREADY_STOPPED = 0x8037_0110, "the compute system has stopped", "nothing: it is what a shutdown or terminate wants; to run again, create anew";
    HCS_E_PROTOCOL_ERROR = 0x8037_0111, "guest and host disagree about their protocol", "bring guest and host to versions that fit together";
    HCS_E_INVALID_LAYER = 0x8037_0112, "a layer is not there or is damaged", "check each layer's path and its parents; import it anew";
    HCS_E_WINDOWS_INSIDER_REQUIRED = 0x8037_0113, "the feature needs a preview build of Windows", "leave the feature out, or join the preview programme";
    HCS_E_SERVICE_NOT_AVAILABLE = 0x8037_0114, "the Host Compute Service is not running", "install the Containers or Hyper-V feature and start the service vmcompute";
    HCS_E_OPERATION_NOT_STARTED = 0x8037_0115, "the operation was not used for a call yet", "pass it to a call before asking for its result";
    HCS_E_OPERATION_ALREADY_STARTED = 0x8037_0116, "the operation was used for a call already", "make a new operation for each call";
    HCS_E_OPERATION_PENDING = 0x8037_0117, "the operation is still running", "wait for it, or ask again later";
    HCS_E_OPERATION_TIMEOUT = 0x8037_0118, "the operation did not end in the time given", "it goes on: wait again, or cancel it";
    HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET = 0x8037_0119, "the handle has a callback already, or reports its operations through it", "open another handle for another callback, or leave the operation's own away";
    HCS_E_OPERATION_RESULT_ALLOCATION_FAILED = 0x8037_011A, "there was no memory for the operation's result", "free memory on the host; the call itself may have succeeded";
    HCS_E_ACCESS_DENIED = 0x8037_011B, "the caller may not use the service", "run as a member of Administrators or Hyper-V Administrators";
    HCS_E_GUEST_CRITICAL_ERROR = 0x8037_011C, "the guest reported an error it does not survive", "read the crash report; create the system anew";
    HCS_E_PROCESS_INFO_NOT_AVAILABLE = 0x8037_011D, "the process's id and handles are not available", "they are handed out once, by the operation that created the process";
    HCS_E_SERVICE_DISCONNECT = 0x8037_011E, "the Host Compute Service went away", "start it again, then open the systems anew; those that end with their handles are gone";
    HCS_E_PROCESS_ALREADY_STOPPED = 0x8037_011F, "the process has ended", "nothing: read its exit code from its properties";

    HCS_V1_OPERATION_PENDING = 0xC037_0103, "the call was accepted and goes on", "wait for the notification that completes it";
    HCS_V1_INVALID_STATE = 0xC037_0105, "the state of the object does not admit the operation", "query its state first";
    HCS_V1_UNEXPECTED_EXIT = 0xC037_0106, "the system or process ended unexpectedly", "read the exit status and a crash report";
    HCS_V1_CONNECTION_TIMEOUT = 0xC037_0109, "the guest did not answer in time", "see whether the guest booted, or wait longer";
    HCS_V1_UNKNOWN_MESSAGE = 0xC037_010B, "the service or the guest does not know this request", "leave away what this host is too old for";
    HCS_V1_UNSUPPORTED_PROTOCOL_VERSION = 0xC037_010C, "guest and host have no protocol version in common", "bring guest and host to versions that fit together";
    HCS_V1_INVALID_JSON = 0xC037_010D, "a document is not JSON or not of the schema", "compare it with the schema of this host's build";
    HCS_V1_SYSTEM_NOT_FOUND = 0xC037_010E, "no compute system has this id", "it never was or has stopped already";
    HCS_V1_SYSTEM_ALREADY_EXISTS = 0xC037_010F, "a compute system with this id exists", "choose another id, or terminate the one that has it";
    HCS_V1_SYSTEM_ALREADY_STOPPED = 0xC037_0110, "the compute system has stopped", "nothing: it is what a shutdown or terminate wants";

    HCN_E_NETWORK_NOT_FOUND = 0x803B_0001, "no network has this id", "enumerate the networks; it may have been deleted";
    HCN_E_ENDPOINT_NOT_FOUND = 0x803B_0002, "no endpoint has this id", "enumerate the endpoints; it may have gone with its network";
    HCN_E_LAYER_NOT_FOUND = 0x803B_0003, "a layer of the network is not there", "delete the network and create it anew";
    HCN_E_SWITCH_NOT_FOUND = 0x803B_0004, "the network's virtual switch is not there", "see whether the Hyper-V switch exists; create the network anew";
    HCN_E_SUBNET_NOT_FOUND = 0x803B_0005, "the network has no such subnet", "name a subnet of the network's Ipams";
    HCN_E_ADAPTER_NOT_FOUND = 0x803B_0006, "the host has no such network adapter", "correct the NetAdapterName policy";
    HCN_E_PORT_NOT_FOUND = 0x803B_0007, "the switch has no such port", "see whether the endpoint is attached";
    HCN_E_POLICY_NOT_FOUND = 0x803B_0008, "the object has no such policy", "query the object and remove only what is there";
    HCN_E_VFP_PORTSETTING_NOT_FOUND = 0x803B_0009, "the port has no setting of the filtering platform", "see whether the switch extension is enabled on the network";
    HCN_E_INVALID_NETWORK = 0x803B_000A, "the network's document is not valid", "compare it with the network's type; the error record names the field";
    HCN_E_INVALID_NETWORK_TYPE = 0x803B_000B, "the network's type is unknown, or not fit for this request", "use a type this host knows: NAT, Transparent, L2Bridge, L2Tunnel, ICS, Private, Overlay";
    HCN_E_INVALID_ENDPOINT = 0x803B_000C, "the endpoint's document is not valid", "the error record names the field";
    HCN_E_INVALID_POLICY = 0x803B_000D, "a policy's settings are not valid", "compare them with the policy's type";
    HCN_E_INVALID_POLICY_TYPE = 0x803B_000E, "a policy's type is unknown, or not fit for this object", "use a type that networks, endpoints or subnets have";
    HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION = 0x803B_000F, "a remote endpoint cannot do this", "do it on the host that the endpoint is local to";
    HCN_E_NETWORK_ALREADY_EXISTS = 0x803B_0010, "a network with this id or name exists", "use it, or choose another";
    HCN_E_LAYER_ALREADY_EXISTS = 0x803B_0011, "a layer of the network exists already", "delete what an earlier attempt left";
    HCN_E_POLICY_ALREADY_EXISTS = 0x803B_0012, "the object has this policy already", "update it instead of adding it";
    HCN_E_PORT_ALREADY_EXISTS = 0x803B_0013, "the port or port mapping is taken", "choose another external port, or delete the endpoint that has it";
    HCN_E_ENDPOINT_ALREADY_ATTACHED = 0x803B_0014, "the endpoint is attached already", "detach it first";
    HCN_E_REQUEST_UNSUPPORTED = 0x803B_0015, "the service cannot do this", "ask for the version's supported features first";
    HCN_E_MAPPING_NOT_SUPPORTED = 0x803B_0016, "port mapping is not possible on this network", "use a NAT network";
    HCN_E_DEGRADED_OPERATION = 0x803B_0017, "there are not enough resources to do it fully", "free endpoints or policies";
    HCN_E_SHARED_SWITCH_MODIFICATION = 0x803B_0018, "the switch is shared and cannot be changed", "change the network that owns the switch";
    HCN_E_GUID_CONVERSION_FAILURE = 0x803B_0019, "an id is not a GUID", "write it as 8-4-4-4-12 hexadecimal digits";
    HCN_E_REGKEY_FAILURE = 0x803B_001A, "the service could not read or write its registry", "see whether the service runs with its own rights";
    HCN_E_INVALID_JSON = 0x803B_001B, "a document is not JSON or not of the schema", "the error record names the place";
    HCN_E_INVALID_JSON_REFERENCE = 0x803B_001C, "a document refers to something that is not there", "create what it refers to first";
    HCN_E_ENDPOINT_SHARING_DISABLED = 0x803B_001D, "the endpoint is not to be shared", "create an endpoint for each user";
    HCN_E_INVALID_IP = 0x803B_001E, "an address is not valid, or not in its subnet", "use an address of the network's subnet that is free";
    HCN_E_SWITCH_EXTENSION_NOT_FOUND = 0x803B_001F, "the switch has no such extension", "install the extension, or correct its id in the policy";
    HCN_E_MANAGER_STOPPED = 0x803B_0020, "the service is stopping", "start the service hns and try again";
    GCN_E_MODULE_NOT_FOUND = 0x803B_0021, "the guest has no such networking module", "use a guest image with container networking";
    GCN_E_NO_REQUEST_HANDLERS = 0x803B_0022, "nothing in the guest handles this request", "bring guest and host to versions that fit together";
    GCN_E_REQUEST_UNSUPPORTED = 0x803B_0023, "the guest cannot do this", "bring guest and host to versions that fit together";
    GCN_E_RUNTIMEKEYS_FAILED = 0x803B_0024, "the guest could not write its runtime keys", "look at the guest's log";
    GCN_E_NETADAPTER_TIMEOUT = 0x803B_0025, "the guest's network adapter did not appear in time", "see whether the adapter was added to the virtual machine";
    GCN_E_NETADAPTER_NOT_FOUND = 0x803B_0026, "the guest has no such network adapter", "add the adapter to the virtual machine first";
    GCN_E_NETCOMPARTMENT_NOT_FOUND = 0x803B_0027, "the guest has no such network compartment", "create the namespace in the guest first";
    GCN_E_NETINTERFACE_NOT_FOUND = 0x803B_0028, "the guest has no such network interface", "see whether the endpoint reached the namespace";
    GCN_E_DEFAULTNAMESPACE_EXISTS = 0x803B_0029, "the guest has a default namespace already", "use it, or create one of the type Guest";
    HCN_E_ICS_DISABLED = 0x803B_002A, "internet connection sharing is switched off", "enable the service SharedAccess, or use a NAT network";
    HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS = 0x803B_002B, "the endpoint belongs to a namespace already", "remove it from that namespace first";
    HCN_E_ENTITY_HAS_REFERENCES = 0x803B_002C, "the object is in use by others", "delete or detach what refers to it first";
    HCN_E_INVALID_INTERNAL_PORT = 0x803B_002D, "the internal port is not valid", "use a port from 1 to 65535";
    HCN_E_NAMESPACE_ATTACH_FAILED = 0x803B_002E, "the endpoint could not be attached to the namespace", "see whether the namespace belongs to a container that runs";
    HCN_E_ADDR_INVALID_OR_RESERVED = 0x803B_002F, "the address is not valid or is reserved", "leave network, broadcast and gateway addresses out";
    HCN_E_INVALID_PREFIX = 0x803B_0030, "the prefix is not valid", "write address/length, with the length of the address family";
    HCN_E_OBJECT_USED_AFTER_UNLOAD = 0x803B_0031, "the object was used after it was unloaded", "open it anew";
    HCN_E_INVALID_SUBNET = 0x803B_0032, "the subnet is not valid", "check its prefix and that it does not overlap another";
    HCN_E_INVALID_IP_SUBNET = 0x803B_0033, "the part of the subnet for addresses is not valid", "keep it within the subnet's prefix";
    HCN_E_ENDPOINT_NOT_ATTACHED = 0x803B_0034, "the endpoint is not attached", "attach it to a namespace first";
    HCN_E_ENDPOINT_NOT_LOCAL = 0x803B_0035, "the endpoint is not of this host", "use an endpoint that this host made";
    HCN_INTERFACEPARAMETERS_ALREADY_APPLIED = 0x803B_0036, "the interface's parameters were applied already", "nothing: they are in force";
    HCN_E_VFP_NOT_ALLOWED = 0x803B_0037, "the filtering platform is not allowed on this network", "leave its policies away, or use a network type that allows it";

    S_OK = 0x0000_0000, "success", "nothing";
    S_FALSE = 0x0000_0001, "success, with nothing to do", "nothing";
    E_NOTIMPL = 0x8000_4001, "not implemented", "this implementation cannot do it; do without";
    E_NOINTERFACE = 0x8000_4002, "no such interface", "the host's library is of another version than expected";
    E_POINTER = 0x8000_4003, "a pointer is null that must not be", "pass a place for each result that is asked for";
    E_ABORT = 0x8000_4004, "the call was given up", "it was cancelled, or the service went away; ask for the state before trying again";
    E_FAIL = 0x8000_4005, "failure without a reason", "look into the error document and the service's log";
    E_UNEXPECTED = 0x8000_FFFF, "an unexpected failure", "look into the error document and the service's log";
    ERROR_FILE_NOT_FOUND = 0x8007_0002, "a file is not there", "check the paths of the document";
    ERROR_PATH_NOT_FOUND = 0x8007_0003, "a folder is not there", "check the paths of the document";
    E_ACCESSDENIED = 0x8007_0005, "access denied", "run as a member of Administrators or Hyper-V Administrators; grant a virtual machine access to its files";
    E_HANDLE = 0x8007_0006, "a handle is not valid", "it was closed, or never opened";
    ERROR_INVALID_DATA = 0x8007_000D, "the data is not valid", "the host does not know a field or value of the document";
    E_OUTOFMEMORY = 0x8007_000E, "not enough memory", "free memory on the host, or ask for less";
    ERROR_SHARING_VIOLATION = 0x8007_0020, "a file is in use", "detach the disk or layer from what uses it";
    ERROR_NOT_SUPPORTED = 0x8007_0032, "not supported", "this host's build cannot do it; do without";
    ERROR_FILE_EXISTS = 0x8007_0050, "the file exists", "remove it, or choose another name";
    E_INVALIDARG = 0x8007_0057, "an argument is not valid", "check the call's arguments; an operation's process information exists for process operations only";
    ERROR_INSUFFICIENT_BUFFER = 0x8007_007A, "the buffer is too small", "call again with the size that was returned";
    ERROR_MOD_NOT_FOUND = 0x8007_007E, "a library is not there", "install the Windows feature that brings it";
    ERROR_PROC_NOT_FOUND = 0x8007_007F, "a library lacks a function", "this host's build is too old for it";
    ERROR_DIR_NOT_EMPTY = 0x8007_0091, "the folder is not empty", "empty it, or choose another";
    ERROR_ALREADY_EXISTS = 0x8007_00B7, "it exists already", "use it, or choose another name";
    ERROR_WAIT_TIMEOUT = 0x8007_0102, "the wait ended before what was waited for", "wait again, or for longer";
    ERROR_SERVICE_DOES_NOT_EXIST = 0x8007_0424, "the service is not installed", "install the Containers or Hyper-V feature";
    ERROR_NOT_FOUND = 0x8007_0490, "the element is not there", "it has ended or was removed already";
}

impl HResult {
    /// The code as Windows' headers write it.
    pub const fn new(code: u32) -> Self {
        Self(code)
    }

    /// The HRESULT that stands for a Win32 error; 0 stands for success, and what is an HRESULT already stays.
    pub const fn from_win32(error: u32) -> Self {
        match error {
            0 => HResult::S_OK,
            1..=0xFFFF => Self(0x8007_0000 | error),
            _ => Self(error),
        }
    }

    /// The bits.
    pub const fn code(self) -> u32 {
        self.0
    }

    /// The number as C and JSON have it: an error document's `Error`, an exit status's `Status`.
    pub const fn to_i32(self) -> i32 {
        self.0.cast_signed()
    }

    /// What the table has on it.
    pub fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.code == self)
    }

    /// Its name, if it has one.
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.name)
    }

    /// What happened, if the table has it.
    pub fn meaning(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.meaning)
    }

    /// What to do about it, if the table has it.
    pub fn hint(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.hint)
    }

    /// No failure: the severity bit is clear.
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }

    /// There is no such compute system or process: as hcsshim's clients judge it, and the form of schema 2.
    pub fn is_not_exist(self) -> bool {
        matches!(self, Self::HCS_V1_SYSTEM_NOT_FOUND | Self::HCS_E_SYSTEM_NOT_FOUND | Self::ERROR_NOT_FOUND)
    }

    /// The system or process has ended already, as hcsshim's clients judge it.
    pub fn is_already_stopped(self) -> bool {
        matches!(
            self,
            Self::HCS_V1_SYSTEM_ALREADY_STOPPED
                | Self::HCS_E_SYSTEM_ALREADY_STOPPED
                | Self::HCS_E_PROCESS_ALREADY_STOPPED
                | Self::ERROR_NOT_FOUND
        )
    }

    /// This host does not know the request: as hcsshim's clients judge it, and the forms of schema 2. A host that
    /// does not know a field answers "invalid JSON", therefore that counts.
    pub fn is_not_supported(self) -> bool {
        matches!(
            self,
            Self::HCS_V1_INVALID_JSON
                | Self::HCS_E_INVALID_JSON
                | Self::ERROR_INVALID_DATA
                | Self::ERROR_NOT_SUPPORTED
                | Self::HCS_V1_UNKNOWN_MESSAGE
                | Self::HCS_E_UNKNOWN_MESSAGE
                | Self::E_NOTIMPL
        )
    }

    /// The call goes on and something else will tell its end: vmcompute.dll's form, and computecore.dll's.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::HCS_V1_OPERATION_PENDING | Self::HCS_E_OPERATION_PENDING)
    }

    /// A time ran out: of a wait, of an operation, or of the guest.
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::HCS_E_OPERATION_TIMEOUT
                | Self::HCS_E_CONNECTION_TIMEOUT
                | Self::HCS_V1_CONNECTION_TIMEOUT
                | Self::ERROR_WAIT_TIMEOUT
        )
    }

    /// The caller lacks the right.
    pub fn is_access_denied(self) -> bool {
        matches!(self, Self::HCS_E_ACCESS_DENIED | Self::E_ACCESSDENIED)
    }

    /// There is no such network, endpoint, namespace, load balancer, route or policy.
    pub fn is_network_not_found(self) -> bool {
        matches!(
            self,
            Self::HCN_E_NETWORK_NOT_FOUND
                | Self::HCN_E_ENDPOINT_NOT_FOUND
                | Self::HCN_E_POLICY_NOT_FOUND
                | Self::ERROR_NOT_FOUND
        )
    }

    /// The form in which vmcompute.dll's clients expect this condition, where there is one.
    #[must_use]
    pub fn to_v1(self) -> Self {
        match self {
            Self::HCS_E_OPERATION_PENDING => Self::HCS_V1_OPERATION_PENDING,
            Self::HCS_E_INVALID_STATE => Self::HCS_V1_INVALID_STATE,
            Self::HCS_E_UNEXPECTED_EXIT => Self::HCS_V1_UNEXPECTED_EXIT,
            Self::HCS_E_CONNECTION_TIMEOUT => Self::HCS_V1_CONNECTION_TIMEOUT,
            Self::HCS_E_UNKNOWN_MESSAGE => Self::HCS_V1_UNKNOWN_MESSAGE,
            Self::HCS_E_UNSUPPORTED_PROTOCOL_VERSION => Self::HCS_V1_UNSUPPORTED_PROTOCOL_VERSION,
            Self::HCS_E_INVALID_JSON => Self::HCS_V1_INVALID_JSON,
            Self::HCS_E_SYSTEM_NOT_FOUND => Self::HCS_V1_SYSTEM_NOT_FOUND,
            Self::HCS_E_SYSTEM_ALREADY_EXISTS => Self::HCS_V1_SYSTEM_ALREADY_EXISTS,
            Self::HCS_E_SYSTEM_ALREADY_STOPPED => Self::HCS_V1_SYSTEM_ALREADY_STOPPED,
            Self::HCS_E_PROCESS_ALREADY_STOPPED => Self::ERROR_NOT_FOUND,
            other => other,
        }
    }
}

impl From<i32> for HResult {
    fn from(code: i32) -> Self {
        Self(code.cast_unsigned())
    }
}

/// `HCS_E_INVALID_STATE (0x80370105)`; `0x8037FFFF` for a code without a name.
impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:08X})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_one_name_a_meaning_and_a_hint() {
        let names: BTreeSet<&str> = TABLE.iter().map(|entry| entry.name).collect();
        let codes: BTreeSet<HResult> = TABLE.iter().map(|entry| entry.code).collect();
        assert_eq!((names.len(), codes.len()), (TABLE.len(), TABLE.len()), "no name and no code twice");
        for Entry { code, name, meaning, hint } in TABLE {
            assert!(meaning.len() >= 7 && hint.len() >= 7, "{name} says nothing");
            assert!(!meaning.ends_with('.') && !hint.ends_with('.'), "{name}: a clause, no sentence");
            assert_eq!(code.entry().map(|entry| entry.name), Some(*name));
            assert_eq!(code.to_string(), format!("{name} (0x{:08X})", code.code()));
        }
    }

    #[test]
    fn the_families_are_whole() {
        let count = |family: std::ops::RangeInclusive<u32>| {
            TABLE.iter().filter(|entry| family.contains(&entry.code.code())).count()
        };
        assert_eq!(count(0x8037_0100..=0x8037_011F), 0x20 - 2, "103 and 104 are not defined");
        assert_eq!(count(0xC037_0100..=0xC037_01FF), 10);
        assert_eq!(count(0x803B_0001..=0x803B_0037), 0x37);
    }

    #[test]
    fn an_unknown_code_prints_as_hexadecimal() {
        let unknown = HResult::new(0x8037_FFFF);
        assert_eq!(unknown.to_string(), "0x8037FFFF");
        assert_eq!(format!("{unknown:?}"), "0x8037FFFF");
        assert_eq!((unknown.name(), unknown.meaning(), unknown.hint()), (None, None, None));
        assert!(!unknown.is_success());
        assert_eq!(HResult::from(-2_143_878_907).to_string(), "HCS_E_INVALID_STATE (0x80370105)");
    }

    #[test]
    fn the_predicates_are_those_of_the_clients() {
        let holding = |predicate: fn(HResult) -> bool| {
            TABLE
                .iter()
                .filter(|entry| predicate(entry.code))
                .map(|entry| entry.code.code())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(holding(HResult::is_not_exist), [0x8037_010E, 0xC037_010E, 0x8007_0490].into());
        assert_eq!(
            holding(HResult::is_already_stopped),
            [0xC037_0110, 0x8037_0110, 0x8037_011F, 0x8007_0490].into()
        );
        for code in [0xC037_010D, 0x8007_000D, 0x8007_0032, 0xC037_010B] {
            assert!(HResult::new(code).is_not_supported());
        }
        assert_eq!(holding(HResult::is_pending), [0xC037_0103, 0x8037_0117].into());
        assert_eq!(holding(HResult::is_success), [0, 1].into());
    }

    #[test]
    fn the_historic_forms_are_those_with_the_other_severity() {
        for entry in TABLE {
            let v1 = entry.code.to_v1();
            if v1 != entry.code && v1 != HResult::ERROR_NOT_FOUND && v1 != HResult::HCS_V1_OPERATION_PENDING {
                assert_eq!(v1.code() & 0xFFFF, entry.code.code() & 0xFFFF);
                assert_eq!(v1.name().map(|n| n.replace("V1", "E")), Some(entry.name.to_owned()));
            }
        }
    }

    #[test]
    fn win32_errors_become_hresults() {
        assert_eq!(HResult::from_win32(0), HResult::S_OK);
        assert_eq!(HResult::from_win32(5), HResult::E_ACCESSDENIED);
        assert_eq!(HResult::from_win32(0x8037_0105), HResult::HCS_E_INVALID_STATE);
    }
}
