//! What a compute system says about itself.

use super::{NotificationType, ResultError, Version};
use crate::document::{ByteArray, DateTime, Guid, IntoField, documents, enumerations};
use serde_json::Value;
use std::collections::BTreeMap;

documents! {
    /// Which properties of a compute system are asked for. Id and type are always answered.
    SystemPropertyQuery = "System_PropertyQuery" {
        "PropertyTypes" property_types: Vec<SystemPropertyType>, since 2.1;
        "Queries" queries: BTreeMap<String, Value>, since 2.5;
    }

    /// Properties of a compute system.
    Properties {
        "Id" id: String, since 2.1;
        "SystemType" system_type: SystemType, since 2.1;
        "RuntimeOsType" runtime_os_type: OsType, since 2.1;
        "Name" name: String, since 2.1;
        "Owner" owner: String, since 2.1;
        /// The GUID of the virtual machine, by which Hyper-V sockets reach it.
        "RuntimeId" runtime_id: Guid, since 2.1;
        "RuntimeTemplateId" runtime_template_id: String, since 2.1;
        "State" state: State, since 2.1;
        "Stopped" stopped: bool, since 2.1;
        "ExitType" exit_type: NotificationType, since 2.1;
        "Memory" memory: MemoryInformationForVm, since 2.1;
        "Statistics" statistics: Statistics, since 2.1;
        "ProcessList" process_list: Vec<ProcessDetails>, since 2.1;
        "TerminateOnLastHandleClosed" terminate_on_last_handle_closed: bool, since 2.1;
        "HostingSystemId" hosting_system_id: String, since 2.1;
        "SharedMemoryRegionInfo" shared_memory_region_info: Vec<SharedMemoryRegionInfo>, since 2.1;
        "GuestConnectionInfo" guest_connection_info: GuestConnectionInfo, since 2.1;
        "PropertyResponses" property_responses: BTreeMap<String, PropertyResponse>, since 2.5;
        "SystemGUID" system_guid: Guid, since unpublished;
        "LCOWMetrics" lcow_metrics: Value, since unpublished;
        "ICHeartbeatStatus" ic_heartbeat_status: Value, since unpublished;
    }

    /// The basic properties of a compute system, as a property of its own.
    ComputeSystemProperties since 2.5 {
        "Id" id: String;
        "Name" name: String;
        "SystemType" system_type: SystemType;
        "State" state: State;
        "Owner" owner: String;
        "RuntimeId" runtime_id: Guid;
        "RuntimeOsType" runtime_os_type: OsType;
        "HostingSystemId" hosting_system_id: String;
        "IsDummy" is_dummy: bool;
        "ObRoot" ob_root: String;
        "RuntimeTemplateId" runtime_template_id: String;
    }

    /// The answer to one property query: a response or an error.
    PropertyResponse since 2.5 {
        "Error" error: ResultError;
        "Response" response: Value;
    }

    /// Resources that a compute system used.
    Statistics since 2.1 {
        "Timestamp" timestamp: DateTime;
        "ContainerStartTime" container_start_time: DateTime;
        /// In units of 100 ns.
        "Uptime100ns" uptime_100ns: u64;
        "Processor" processor: ProcessorStats;
        "Memory" memory: MemoryStats;
        "Storage" storage: StorageStats;
        "Network" network: Vec<NetworkStats>, since unpublished;
    }

    /// Processor time, in units of 100 ns.
    ProcessorStats since 2.1 {
        "TotalRuntime100ns" total_runtime_100ns: u64;
        "RuntimeUser100ns" runtime_user_100ns: u64;
        "RuntimeKernel100ns" runtime_kernel_100ns: u64;
    }

    /// Memory, in bytes.
    MemoryStats since 2.1 {
        "MemoryUsageCommitBytes" memory_usage_commit_bytes: u64;
        "MemoryUsageCommitPeakBytes" memory_usage_commit_peak_bytes: u64;
        "MemoryUsagePrivateWorkingSetBytes" memory_usage_private_working_set_bytes: u64;
    }

    /// Storage traffic.
    StorageStats since 2.1 {
        "ReadCountNormalized" read_count_normalized: u64;
        "ReadSizeBytes" read_size_bytes: u64;
        "WriteCountNormalized" write_count_normalized: u64;
        "WriteSizeBytes" write_size_bytes: u64;
    }

    /// Traffic of an endpoint, as hosts of schema 1.0 tell it.
    NetworkStats since unpublished {
        "EndpointId" endpoint_id: String;
        "InstanceId" instance_id: String;
        "BytesReceived" bytes_received: u64;
        "BytesSent" bytes_sent: u64;
        "PacketsReceived" packets_received: u64;
        "PacketsSent" packets_sent: u64;
        "DroppedPacketsIncoming" dropped_packets_incoming: u64;
        "DroppedPacketsOutgoing" dropped_packets_outgoing: u64;
    }

    /// A process of a container.
    ProcessDetails since 2.1 {
        "ProcessId" process_id: u32;
        "ImageName" image_name: String;
        "CreateTimestamp" create_timestamp: DateTime;
        "UserTime100ns" user_time_100ns: u64;
        "KernelTime100ns" kernel_time_100ns: u64;
        "MemoryCommitBytes" memory_commit_bytes: u64;
        "MemoryWorkingSetPrivateBytes" memory_working_set_private_bytes: u64;
        "MemoryWorkingSetSharedBytes" memory_working_set_shared_bytes: u64;
    }

    /// Memory of a virtual machine that runs.
    MemoryInformationForVm since 2.1 {
        "VirtualNodeCount" virtual_node_count: u8;
        "VirtualMachineMemory" virtual_machine_memory: VmMemory;
        "VirtualNodes" virtual_nodes: Vec<VirtualNodeInfo>;
    }

    /// Memory of a virtual machine, in megabytes where it is not said otherwise.
    VmMemory since 2.1 {
        "AvailableMemory" available_memory: i32;
        "AvailableMemoryBuffer" available_memory_buffer: i32;
        "ReservedMemory" reserved_memory: u64;
        "AssignedMemory" assigned_memory: u64;
        "SlpActive" slp_active: bool;
        "BalancingEnabled" balancing_enabled: bool;
        "DmOperationInProgress" dm_operation_in_progress: bool;
    }

    /// A NUMA node of a virtual machine that runs.
    VirtualNodeInfo since 2.1 {
        "VirtualNodeIndex" virtual_node_index: u8;
        "PhysicalNodeNumber" physical_node_number: u8;
        "VirtualProcessorCount" virtual_processor_count: u32;
        "MemoryUsageInPages" memory_usage_in_pages: u64;
    }

    /// Where a shared memory region is in the guest.
    SharedMemoryRegionInfo since 2.1 {
        "SectionName" section_name: String;
        "GuestPhysicalAddress" guest_physical_address: u64;
    }

    /// What the guest compute service can do.
    GuestConnectionInfo since 2.1 {
        "SupportedSchemaVersions" supported_schema_versions: Vec<Version>;
        "ProtocolVersion" protocol_version: u32;
        "GuestDefinedCapabilities" guest_defined_capabilities: Value;
    }

    /// Which compute systems are asked for; an absent list matches all.
    SystemQuery since 2.1 {
        "Ids" ids: Vec<String>;
        "Names" names: Vec<String>;
        "Types" types: Vec<SystemType>;
        "Owners" owners: Vec<String>;
    }

    /// The state of an integration service.
    IntegrationComponentStatus since 2.5 {
        "IsEnabled" is_enabled: bool;
        "State" state: IntegrationComponentOperationalState;
        "Reason" reason: IntegrationComponentOperatingStateReason;
    }

    /// Which key-value items are asked for.
    KvpQuery since 2.5 {
        "Source" source: KvpSource;
        "Keys" keys: Vec<String>;
    }

    /// A picture of the screen is asked for.
    ConsoleImageQuery since 2.5 {
        "Width" width: u16;
        "Height" height: u16;
        "Flags" flags: u32;
    }

    /// A picture of the screen, RGB565.
    ConsoleImage since 2.5 {
        "Image" image: ByteArray;
    }

    /// Memory of a container, in bytes.
    ContainerMemoryInformation since unpublished {
        "TotalPhysicalBytes" total_physical_bytes: i32;
        "TotalUsage" total_usage: i32;
        "CommittedBytes" committed_bytes: i32;
        "SharedCommittedBytes" shared_committed_bytes: i32;
        "CommitLimitBytes" commit_limit_bytes: i32;
        "PeakCommitmentBytes" peak_commitment_bytes: i32;
    }

    /// The silo of a container.
    SiloProperties since unpublished {
        "Enabled" enabled: bool;
        "JobName" job_name: String;
    }

    /// Use of the level 3 cache and of the memory bus.
    CacheQueryStatsResponse since unpublished {
        "L3OccupancyBytes" l3_occupancy_bytes: i32;
        "L3TotalBwBytes" l3_total_bw_bytes: i32;
        "L3LocalBwBytes" l3_local_bw_bytes: i32;
    }
}

enumerations! {
    /// A property of a compute system.
    SystemPropertyType = "System_PropertyType" since 2.1 {
        Memory = "Memory";
        Statistics = "Statistics";
        ProcessList = "ProcessList";
        TerminateOnLastHandleClosed = "TerminateOnLastHandleClosed";
        SharedMemoryRegion = "SharedMemoryRegion";
        GuestConnection = "GuestConnection";
    }

    /// What a compute system is.
    SystemType since 2.1 {
        Container = "Container";
        VirtualMachine = "VirtualMachine";
    }

    /// The operating system in a compute system.
    OsType since 2.1 {
        Unknown = "Unknown";
        Windows = "Windows";
        Linux = "Linux";
    }

    /// The state of a compute system.
    State since 2.1 {
        Created = "Created";
        Running = "Running";
        Paused = "Paused";
        Stopped = "Stopped";
        SavedAsTemplate = "SavedAsTemplate";
        Unknown = "Unknown";
    }

    /// How an integration service does.
    IntegrationComponentOperationalState since 2.5 {
        Unknown = "Unknown";
        Degraded = "Degraded";
        Dormant = "Dormant";
        Error = "Error";
        LostCommunication = "LostCommunication";
        NonRecoverableError = "NonRecoverableError";
        NoContact = "NoContact";
        Ok = "Ok";
    }

    /// Why an integration service does so.
    IntegrationComponentOperatingStateReason since 2.5 {
        Unknown = "Unknown";
        AppsInCriticalState = "AppsInCriticalState";
        CommunicationTimedOut = "CommunicationTimedOut";
        FailedCommunication = "FailedCommunication";
        HealthyApps = "HealthyApps";
        ProtocolMismatch = "ProtocolMismatch";
    }

    /// Who set a key-value item.
    KvpSource since 2.5 {
        KvpSetByHost = "KvpSetByHost";
        KvpSetByGuest = "KvpSetByGuest";
        GuestOSInfo = "GuestOSInfo";
    }
}

impl SystemPropertyQuery {
    /// Asks for these properties.
    #[must_use]
    pub fn of(properties: impl IntoField<Vec<SystemPropertyType>>) -> Self {
        Self::new().property_types(properties)
    }
}
