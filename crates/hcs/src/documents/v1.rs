//! Documents of schema 1.0: the only ones of hosts before build 17763, and those of clients of
//! `vmcompute.dll` since.

use super::{GuestConnectionInfo, ProcessDetails, Statistics};
use crate::document::{Guid, documents, enumerations};
use std::collections::BTreeMap;

documents! {
    /// A container, process or hypervisor isolated: what `HcsCreateComputeSystem` takes.
    ///
    /// [`ContainerConfig::process_isolated`] and [`ContainerConfig::hyper_v`] make one that is whole.
    ContainerConfig since 1.0 {
        /// `Container`.
        "SystemType" system_type: String;
        /// The id of the container.
        "Name" name: String;
        /// Who made it.
        "Owner" owner: String;
        /// The volume of the writable layer, `\\?\Volume{…}`; of a process isolated container.
        "VolumePath" volume_path: String;
        "IgnoreFlushesDuringBoot" ignore_flushes_during_boot: bool;
        /// The directory of the writable layer.
        "LayerFolderPath" layer_folder_path: String;
        /// The read-only layers, topmost first.
        "Layers" layers: Vec<Layer>;
        "Credentials" credentials: String;
        "ProcessorCount" processor_count: u32;
        /// Relative to other containers, 1 to 10000.
        "ProcessorWeight" processor_weight: u64;
        /// Share of the host in hundredths of a percent, 1 to 10000.
        "ProcessorMaximum" processor_maximum: i64;
        /// Operations a second.
        "StorageIOPSMaximum" storage_iops_maximum: u64;
        /// Bytes a second.
        "StorageBandwidthMaximum" storage_bandwidth_maximum: u64;
        /// The size that the system drive is grown to, in bytes.
        "StorageSandboxSize" storage_sandbox_size: u64;
        /// In MiB.
        "MemoryMaximumInMB" memory_maximum_in_mb: i64;
        "HostName" host_name: String;
        "MappedDirectories" mapped_directories: Vec<MappedDirectory>;
        "MappedPipes" mapped_pipes: Vec<MappedPipe>;
        /// The container is hypervisor isolated.
        "HvPartition" hv_partition: bool;
        /// The container whose network this one uses.
        "NetworkSharedContainerName" network_shared_container_name: String;
        /// Endpoints that exist, by id.
        "EndpointList" endpoint_list: Vec<String>;
        /// Endpoints that the service makes.
        "NetworkEndpoints" network_endpoints: Vec<NetworkEndpoint>;
        "HvRuntime" hv_runtime: HvRuntime;
        /// The container installs updates.
        "Servicing" servicing: bool;
        "AllowUnqualifiedDNSQuery" allow_unqualified_dns_query: bool;
        /// Suffixes, separated by commas.
        "DNSSearchList" dns_search_list: String;
        /// `linux` for a Linux container; absent otherwise.
        "ContainerType" container_type: String;
        "TerminateOnLastHandleClosed" terminate_on_last_handle_closed: bool;
        "MappedVirtualDisks" mapped_virtual_disks: Vec<MappedVirtualDisk>;
        "AssignedDevices" assigned_devices: Vec<AssignedDevice>;
    }

    /// A read-only layer. Clients write `ID` or `Id`.
    Layer since 1.0 {
        /// The GUID of the layer, made of its name by `NameToGuid`.
        "ID" id: Guid;
        /// The same, as other clients write it.
        "Id" mixed_case_id: Guid;
        "Path" path: String;
    }

    /// A directory of the host in a container.
    MappedDirectory since 1.0 {
        "HostPath" host_path: String;
        "ContainerPath" container_path: String;
        "ReadOnly" read_only: bool;
        /// Bytes a second.
        "BandwidthMaximum" bandwidth_maximum: u64;
        /// Operations a second.
        "IOPSMaximum" iops_maximum: u64;
        /// In the utility VM instead of the container.
        "CreateInUtilityVM" create_in_utility_vm: bool;
        /// Owner, mode and device numbers of Linux are kept beside each file.
        "LinuxMetadata" linux_metadata: bool;
    }

    /// A named pipe of the host in a container.
    MappedPipe since 1.0 {
        "HostPath" host_path: String;
        "ContainerPipeName" container_pipe_name: String;
    }

    /// A disk of the host in a container.
    MappedVirtualDisk since 1.0 {
        "HostPath" host_path: String;
        "ContainerPath" container_path: String;
        "CreateInUtilityVM" create_in_utility_vm: bool;
        "ReadOnly" read_only: bool;
        "Cache" cache: super::CacheMode;
        /// The disk is attached and not mounted.
        "AttachOnly" attach_only: bool;
    }

    /// A device of the host given to a container.
    AssignedDevice since 1.0 {
        "InterfaceClassGuid" interface_class_guid: Guid;
    }

    /// An endpoint that the service makes on a network.
    NetworkEndpoint since 1.0 {
        "Id" id: Guid;
        "NetworkId" network_id: Guid;
        "EndpointName" endpoint_name: String;
    }

    /// The utility VM of a hypervisor isolated container.
    HvRuntime since 1.0 {
        /// The directory of the utility VM's image.
        "ImagePath" image_path: String;
        /// The machine is booted instead of cloned from a template.
        "SkipTemplate" skip_template: bool;
        /// The id of the machine.
        "RuntimeId" runtime_id: Guid;
        /// A file below `ImagePath`.
        "LinuxInitrdFile" linux_initrd_file: String;
        /// A file below `ImagePath`.
        "LinuxKernelFile" linux_kernel_file: String;
        "LinuxBootParameters" linux_boot_parameters: String;
        /// `Vhd` for a Linux machine that boots from a disk.
        "BootSource" boot_source: String;
        "WritableBootSource" writable_boot_source: bool;
    }

    /// Which compute systems are asked for; an absent list matches all.
    ComputeSystemQuery since 1.0 {
        "Ids" ids: Vec<String>;
        "Types" types: Vec<super::SystemType>;
        "Names" names: Vec<String>;
        "Owners" owners: Vec<String>;
    }

    /// Which properties of a container are asked for.
    PropertyQuery since 1.0 {
        "PropertyTypes" property_types: Vec<PropertyType>;
    }

    /// Properties of a container.
    ContainerProperties since 1.0 {
        "Id" id: String;
        "State" state: super::State;
        "Name" name: String;
        "SystemType" system_type: super::SystemType;
        "RuntimeOsType" runtime_os_type: super::OsType;
        "Owner" owner: String;
        "SiloGuid" silo_guid: Guid;
        /// The GUID of the utility VM.
        "RuntimeId" runtime_id: Guid;
        "IsRuntimeTemplate" is_runtime_template: bool;
        "RuntimeImagePath" runtime_image_path: String;
        "Stopped" stopped: bool;
        "ExitType" exit_type: super::NotificationType;
        "AreUpdatesPending" are_updates_pending: bool;
        "ObRoot" ob_root: String;
        "Statistics" statistics: Statistics;
        "ProcessList" process_list: Vec<ProcessDetails>;
        "MappedVirtualDiskControllers" mapped_virtual_disk_controllers:
            BTreeMap<u32, MappedVirtualDiskController>;
        "GuestConnectionInfo" guest_connection_info: GuestConnectionInfo;
    }

    /// Disks on a controller.
    MappedVirtualDiskController since 1.0 {
        /// By LUN.
        "MappedVirtualDisks" mapped_virtual_disks: BTreeMap<u32, MappedVirtualDisk>;
    }

    /// A change to a container that runs.
    ResourceModificationRequestResponse since 1.0 {
        "ResourceType" resource_type: super::GuestResourceType;
        "RequestType" request_type: super::ModifyRequestType;
        "Settings" settings: serde_json::Value;
    }
}

enumerations! {
    /// A property of a container.
    PropertyType since 1.0 {
        Statistics = "Statistics";
        ProcessList = "ProcessList";
        MappedVirtualDisk = "MappedVirtualDisk";
        GuestConnection = "GuestConnection";
    }
}

impl ContainerConfig {
    /// A container isolated by process: a silo on the host's kernel. `volume` is that of the writable layer
    /// in `layer_folder`; `layers` are the read-only ones, topmost first.
    #[must_use]
    pub fn process_isolated(
        name: &str,
        volume: &str,
        layer_folder: &str,
        layers: impl IntoIterator<Item = Layer>,
    ) -> Self {
        Self::whole(name, layer_folder, layers).volume_path(volume).hv_partition(false)
    }

    /// A container isolated by hypervisor, in a utility VM of the image at `runtime`.
    #[must_use]
    pub fn hyper_v(
        name: &str,
        layer_folder: &str,
        layers: impl IntoIterator<Item = Layer>,
        runtime: HvRuntime,
    ) -> Self {
        Self::whole(name, layer_folder, layers).hv_partition(true).hv_runtime(runtime)
    }

    fn whole(name: &str, layer_folder: &str, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self::new()
            .system_type("Container")
            .name(name)
            .layer_folder_path(layer_folder)
            .layers(layers.into_iter().collect::<Vec<_>>())
    }
}

/// The tables of all documents of schema 1.0.
pub fn tables() -> impl Iterator<Item = &'static crate::document::Table> {
    TABLES.iter().copied()
}

/// The tables of all enumerations of schema 1.0.
pub fn words() -> impl Iterator<Item = &'static crate::document::Words> {
    WORDS.iter().copied()
}

impl Layer {
    /// The GUID, in whichever field the client wrote it.
    pub fn any_id(&self) -> Option<&Guid> {
        self.id.as_ref().or(self.mixed_case_id.as_ref())
    }
}
