//! What the service says about itself and its host, and what can be changed there.

use super::{
    NonArchitecturalCoreSharing, ProcessorFeature, PropertyResponse, Version, XsaveProcessorFeature,
};
use crate::document::{Guid, IntoField, SchemaVersion, documents, enumerations};
use serde_json::Value;
use std::collections::BTreeMap;

documents! {
    /// Which properties of the service are asked for. They are answered in this order.
    ServicePropertyQuery = "Service_PropertyQuery" {
        "PropertyTypes" property_types: Vec<GetPropertyType>, since 2.1;
        "PropertyQueries" property_queries: BTreeMap<String, Value>, since 2.5;
    }

    /// Properties of the service.
    ServiceProperties {
        "Properties" properties: Vec<Value>, since 2.1;
        "PropertyResponses" property_responses: BTreeMap<String, PropertyResponse>, since 2.5;
    }

    /// The schema versions of the service.
    BasicInformation since 2.1 {
        "SupportedSchemaVersions" supported_schema_versions: Vec<Version>;
    }

    /// Which limits the service can enforce.
    QoSCapabilities since 2.1 {
        "ProcessorQoSSupported" processor_qos_supported: bool;
    }

    /// Processors of the host.
    ProcessorTopology since 2.1 {
        "LogicalProcessorCount" logical_processor_count: u32;
        "LogicalProcessors" logical_processors: Vec<LogicalProcessor>;
    }

    /// A logical processor of the host.
    LogicalProcessor {
        "LpIndex" lp_index: u32, since 2.1;
        "NodeNumber" node_number: u8, since 2.1;
        "PackageId" package_id: u32, since 2.1;
        "CoreId" core_id: u32, since 2.1;
        "RootVpIndex" root_vp_index: i32, since 2.1;
        "Subnodes" subnodes: Vec<Subnode>, since 2.4;
    }

    /// A part of the processor topology.
    Subnode since 2.4 {
        "Type" kind: SubnodeType;
        "Id" id: u64;
    }

    /// What the processors of the host can do.
    ProcessorCapabilitiesInfo since 2.5 {
        "ProcessorFeatures" processor_features: Vec<ProcessorFeature>;
        "XsaveProcessorFeatures" xsave_processor_features: Vec<XsaveProcessorFeature>;
        "CacheLineFlushSize" cache_line_flush_size: u64;
        "ImplementedPhysicalAddressBits" implemented_physical_address_bits: u64;
        "NonArchitecturalCoreSharing" non_architectural_core_sharing: NonArchitecturalCoreSharing;
    }

    /// What a machine needs of the processors of a host.
    VmProcessorRequirements since 2.5 {
        "ProcessorFeatures" processor_features: Vec<ProcessorFeature>;
        "XsaveProcessorFeatures" xsave_processor_features: Vec<XsaveProcessorFeature>;
        "CacheLineFlushSize" cache_line_flush_size: u64;
        "ImplementedPhysicalAddressBits" implemented_physical_address_bits: u64;
        "NonArchitecturalCoreSharing" non_architectural_core_sharing: NonArchitecturalCoreSharing;
    }

    /// All processor groups of the hypervisor.
    CpuGroupConfigurations since 2.1 {
        "CpuGroups" cpu_groups: Vec<CpuGroupConfig>;
    }

    /// A processor group.
    CpuGroupConfig {
        "GroupId" group_id: Guid, since 2.1;
        "Affinity" affinity: CpuGroupAffinity, since 2.1;
        "GroupProperties" group_properties: Vec<CpuGroupProperty>, since 2.1;
        "HypervisorGroupId" hypervisor_group_id: u64, since 2.5;
    }

    /// The processors of a group.
    CpuGroupAffinity since 2.1 {
        "LogicalProcessorCount" logical_processor_count: u32;
        "LogicalProcessors" logical_processors: Vec<u32>;
    }

    /// A property of a processor group.
    CpuGroupProperty since 2.1 {
        "PropertyCode" property_code: u32;
        "PropertyValue" property_value: u64;
    }

    /// A virtual NUMA node and where it lies.
    NumaNode since unpublished {
        "VirtualNodeIndex" virtual_node_index: u32;
        "PhysicalNodeIndex" physical_node_index: u32;
    }

    /// Memory of a NUMA node of the host.
    NumaNodeMemory since unpublished {
        "TotalConsumableMemoryInPages" total_consumable_memory_in_pages: u64;
        "AvailableMemoryInPages" available_memory_in_pages: u64;
    }

    /// Processors of a NUMA node of the host.
    NumaNodeProcessor since unpublished {
        "TotalAssignedProcessors" total_assigned_processors: u32;
        "TotalAvailableProcessors" total_available_processors: u32;
    }

    /// A change to the service.
    ModificationRequest since 2.1 {
        "PropertyType" property_type: ModifyPropertyType;
        "Settings" settings: Value;
    }

    /// A change to the processor groups: the settings of a [`ModificationRequest`].
    HostProcessorModificationRequest since 2.1 {
        "Operation" operation: ModifyServiceOperation;
        "OperationDetails" operation_details: Value;
    }

    /// The details of making a processor group.
    CreateGroupOperation since 2.1 {
        "GroupId" group_id: Guid;
        "LogicalProcessorCount" logical_processor_count: u32;
        "LogicalProcessors" logical_processors: Vec<u32>;
    }

    /// The details of deleting a processor group.
    DeleteGroupOperation since 2.1 {
        "GroupId" group_id: Guid;
    }

    /// The details of setting a property of a processor group.
    SetPropertyOperation since 2.1 {
        "GroupId" group_id: Guid;
        "PropertyCode" property_code: u32;
        "PropertyValue" property_value: u64;
    }

    /// Moves a machine to a processor group.
    SystemProcessorModificationRequest since 2.1 {
        "GroupId" group_id: Guid;
    }
}

enumerations! {
    /// A property of the service.
    GetPropertyType since 2.1 {
        Basic = "Basic";
        CpuGroup = "CpuGroup";
        ProcessorTopology = "ProcessorTopology";
        ContainerCredentialGuard = "ContainerCredentialGuard";
        QoSCapabilities = "QoSCapabilities";
    }

    /// What a part of the processor topology is.
    SubnodeType since 2.4 {
        Any = "Any";
        Socket = "Socket";
        Cluster = "Cluster";
        L3 = "L3";
    }

    /// What to change about the service.
    ModifyPropertyType since 2.1 {
        CpuGroup = "CpuGroup";
        ContainerCredentialGuard = "ContainerCredentialGuard";
    }

    /// What to do with a processor group.
    ModifyServiceOperation since 2.1 {
        CreateGroup = "CreateGroup";
        DeleteGroup = "DeleteGroup";
        SetProperty = "SetProperty";
    }
}

impl ServicePropertyQuery {
    /// Asks for these properties.
    #[must_use]
    pub fn of(properties: impl IntoField<Vec<GetPropertyType>>) -> Self {
        Self::new().property_types(properties)
    }
}

impl BasicInformation {
    /// The newest schema 2.x of the service.
    pub fn newest(&self) -> Option<SchemaVersion> {
        self.supported_schema_versions.iter().flatten().filter_map(Version::version).max()
    }
}
