//! Group managed service accounts in containers.

use super::HvSocketServiceConfig;
use crate::document::{ByteArray, Guid, documents, enumerations};
use serde_json::Value;

documents! {
    /// The credential guard instance that a container uses.
    ContainerCredentialGuardState since 2.1 {
        "Cookie" cookie: ByteArray;
        "RpcEndpoint" rpc_endpoint: String;
        "Transport" transport: ContainerCredentialGuardTransport;
        "CredentialSpec" credential_spec: String;
    }

    /// A credential guard instance on the host.
    ContainerCredentialGuardInstance since 2.1 {
        "Id" id: String;
        "CredentialGuard" credential_guard: ContainerCredentialGuardState;
        "HvSocketConfig" hv_socket_config: ContainerCredentialGuardHvSocketServiceConfig;
    }

    /// The Hyper-V socket service of an instance.
    ContainerCredentialGuardHvSocketServiceConfig since 2.1 {
        "ServiceId" service_id: Guid;
        "ServiceConfig" service_config: HvSocketServiceConfig;
    }

    /// All credential guard instances of the host.
    ContainerCredentialGuardSystemInfo since 2.1 {
        "Instances" instances: Vec<ContainerCredentialGuardInstance>;
    }

    /// A change to the credential guard instances: the settings of a
    /// [`ModificationRequest`](super::ModificationRequest).
    ContainerCredentialGuardOperationRequest since 2.1 {
        "Operation" operation: ContainerCredentialGuardModifyOperation;
        "OperationDetails" operation_details: Value;
    }

    /// The details of adding an instance.
    ContainerCredentialGuardAddInstanceRequest since 2.1 {
        "Id" id: String;
        "CredentialSpec" credential_spec: String;
        "Transport" transport: ContainerCredentialGuardTransport;
    }

    /// The details of removing an instance.
    ContainerCredentialGuardRemoveInstanceRequest since 2.1 {
        "Id" id: String;
    }
}

enumerations! {
    /// How a container reaches its credential guard.
    ContainerCredentialGuardTransport since 2.1 {
        Lrpc = "LRPC";
        HvSocket = "HvSocket";
    }

    /// What to do with a credential guard instance.
    ContainerCredentialGuardModifyOperation since 2.1 {
        AddInstance = "AddInstance";
        RemoveInstance = "RemoveInstance";
    }
}
