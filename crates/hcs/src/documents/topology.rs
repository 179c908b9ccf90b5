//! Memory and processors of a virtual machine.

use super::{ProcessorFeature, XsaveProcessorFeature};
use crate::document::{Guid, documents, enumerations};

documents! {
    /// Memory and processors.
    Topology {
        "Memory" memory: VirtualMachineMemory;
        "Processor" processor: VirtualMachineProcessor;
        "Numa" numa: Numa, since unpublished;
    }

    /// Memory of a virtual machine.
    VirtualMachineMemory = "VirtualMachine_Memory" {
        /// Memory, in MiB, even.
        "SizeInMB" size_in_mb: u64, since 2.1;
        /// Memory is taken from the host as it is used; otherwise all of it at the start.
        "AllowOvercommit" allow_overcommit: bool, since 2.1;
        "BackingPageSize" backing_page_size: MemoryBackingPageSize, since 2.2;
        "FaultClusterSizeShift" fault_cluster_size_shift: u32, since 2.4;
        "DirectMapFaultClusterSizeShift" direct_map_fault_cluster_size_shift: u32, since 2.4;
        "PinBackingPages" pin_backing_pages: bool, since 2.2;
        "ForbidSmallBackingPages" forbid_small_backing_pages: bool, since 2.2;
        "EnableHotHint" enable_hot_hint: bool;
        "EnableColdHint" enable_cold_hint: bool;
        "EnableColdDiscardHint" enable_cold_discard_hint: bool, since 2.2;
        /// Memory counts against the commit limit of the host only when used; with overcommit.
        "EnableDeferredCommit" enable_deferred_commit: bool, since 2.1;
        "LowMmioGapInMB" low_mmio_gap_in_mb: u64, since 2.3;
        "HighMmioBaseInMB" high_mmio_base_in_mb: u64, since 2.3;
        "HighMmioGapInMB" high_mmio_gap_in_mb: u64, since 2.3;
        "Backing" backing: MemoryBackingType, since unpublished;
        "SlitType" slit_type: VirtualSlitType, since unpublished;
    }

    /// Processors of a virtual machine.
    VirtualMachineProcessor = "VirtualMachine_Processor" {
        "Count" count: u32;
        /// Share of each processor in thousandths of a percent, up to 100000.
        "Limit" limit: u64, since 2.1;
        /// Relative to other machines, up to 10000; 100 if absent.
        "Weight" weight: u64, since 2.1;
        /// Share of each processor kept for the machine, in thousandths of a percent.
        "Reservation" reservation: u64, since 2.4;
        "MaximumFrequencyMHz" maximum_frequency_mhz: u32, since 2.4;
        /// The guest may run a hypervisor of its own.
        "ExposeVirtualizationExtensions" expose_virtualization_extensions: bool;
        "EnablePerfmonPmu" enable_perfmon_pmu: bool, since 2.2;
        "EnablePerfmonArchPmu" enable_perfmon_arch_pmu: bool, since 2.5;
        "EnablePerfmonPebs" enable_perfmon_pebs: bool, since 2.2;
        "EnablePerfmonLbr" enable_perfmon_lbr: bool, since 2.2;
        "EnablePerfmonIpt" enable_perfmon_ipt: bool, since 2.2;
        "EnablePageShattering" enable_page_shattering: bool, since 2.5;
        "DisableSpeculationControls" disable_speculation_controls: bool, since 2.5;
        "ProcessorFeatureSet" processor_feature_set: ProcessorFeatureSet, since 2.5;
        "CpuGroup" cpu_group: CpuGroup, since 2.5;
        "NumaProcessorsSettings" numa_processors_settings: NumaProcessors, since unpublished;
    }

    /// The processor features that a machine is given.
    ProcessorFeatureSet since 2.5 {
        "ProcessorFeatures" processor_features: Vec<ProcessorFeature>;
        "XsaveProcessorFeatures" xsave_processor_features: Vec<XsaveProcessorFeature>;
        "ProcessorFeatureSetMode" processor_feature_set_mode: ProcessorFeatureSetMode;
    }

    /// A processor group of the hypervisor.
    CpuGroup since 2.1 {
        "Id" id: Guid;
    }

    /// NUMA topology of a virtual machine.
    Numa since unpublished {
        "VirtualNodeCount" virtual_node_count: u8;
        "PreferredPhysicalNodes" preferred_physical_nodes: Vec<i64>;
        "Settings" settings: Vec<NumaSetting>;
        "MaxSizePerNode" max_size_per_node: u64;
    }

    /// A NUMA node of a virtual machine.
    NumaSetting since unpublished {
        "VirtualNodeNumber" virtual_node_number: u32;
        "PhysicalNodeNumber" physical_node_number: u32;
        "VirtualSocketNumber" virtual_socket_number: u32;
        "CountOfProcessors" count_of_processors: u32;
        "CountOfMemoryBlocks" count_of_memory_blocks: u64;
        "MemoryBackingType" memory_backing_type: MemoryBackingType;
    }

    /// Processors by NUMA node.
    NumaProcessors since unpublished {
        "count_per_node" count_per_node: ProcessorRange;
        "node_per_socket" node_per_socket: u32;
    }

    /// An upper bound.
    ProcessorRange = "Range" since unpublished {
        "max" max: u32;
    }

    /// Processor limits of a machine that runs.
    ProcessorLimits since 2.4 {
        "Limit" limit: u64;
        "Weight" weight: u64;
        "Reservation" reservation: u64;
        "MaximumFrequencyMHz" maximum_frequency_mhz: u32;
    }

    /// How many processors of a machine that runs are idled.
    IdleProcessorsRequest since 2.3 {
        "IdleProcessorCount" idle_processor_count: u32;
    }
}

enumerations! {
    /// The page size that backs memory.
    MemoryBackingPageSize since 2.2 {
        Small = "Small";
        Large = "Large";
    }

    /// What backs memory.
    MemoryBackingType since unpublished {
        Physical = "Physical";
        Virtual = "Virtual";
        Hybrid = "Hybrid";
    }

    /// Where the distances between NUMA nodes come from.
    VirtualSlitType since unpublished {
        None = "None";
        Firmware = "Firmware";
        Measured = "Measured";
        FirmwareFallbackMeasured = "FirmwareFallbackMeasured";
    }

    /// What happens when the host lacks a feature.
    ProcessorFeatureSetMode since 2.5 {
        Strict = "Strict";
        Permissive = "Permissive";
    }
}

impl Topology {
    /// So much memory, in MiB, and so many processors.
    #[must_use]
    pub fn of(memory_in_mib: u64, processors: u32) -> Self {
        let memory = VirtualMachineMemory::new().size_in_mb(memory_in_mib);
        Self::new().memory(memory).processor(VirtualMachineProcessor::new().count(processors))
    }
}
