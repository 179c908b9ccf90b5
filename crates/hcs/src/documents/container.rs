//! Containers: storage, resources, network and what is mapped into them.

use super::{ContainerCredentialGuardState, ContainersDefDevice, HvSocketSystemConfig, RegistryChanges};
use crate::document::{Guid, documents, enumerations};

documents! {
    /// A container.
    Container {
        "GuestOs" guest_os: GuestOs;
        "Storage" storage: Storage;
        "MappedDirectories" mapped_directories: Vec<MappedDirectory>;
        "MappedPipes" mapped_pipes: Vec<MappedPipe>;
        "Memory" memory: ContainerMemory;
        "Processor" processor: ContainerProcessor;
        "Networking" networking: Networking;
        "HvSocket" hv_socket: ContainerHvSocket;
        "ContainerCredentialGuard" container_credential_guard: ContainerCredentialGuardState, since 2.1;
        "RegistryChanges" registry_changes: RegistryChanges;
        "AssignedDevices" assigned_devices: Vec<Device>, since 2.1;
        "AdditionalDeviceNamespace" additional_device_namespace: ContainersDefDevice, since 2.3;
        /// `HostProcess` for a container that shares the host.
        "IsolationType" isolation_type: String, since unpublished;
    }

    /// The operating system that the container shows.
    GuestOs {
        "HostName" host_name: String;
    }

    /// The root file system of a container.
    Storage {
        /// The read-only layers, topmost first.
        "Layers" layers: Vec<Layer>;
        /// The volume of the writable layer, with a backslash at the end: `\\?\Volume{…}\`.
        "Path" path: String;
        "QoS" qos: StorageQoS;
        /// Where a host process container finds its root.
        "PrivilegedContainerRootPath" privileged_container_root_path: String, since unpublished;
    }

    /// A read-only layer.
    Layer {
        /// The GUID of the layer, made of its name by `NameToGuid`.
        "Id" id: Guid;
        "Path" path: String;
        "PathType" path_type: PathType, since 2.1;
        "Cache" cache: CacheMode;
    }

    /// Limits of storage traffic.
    StorageQoS {
        /// Operations a second, of 8 KiB.
        "IopsMaximum" iops_maximum: u64;
        /// Bytes a second.
        "BandwidthMaximum" bandwidth_maximum: u64;
    }

    /// A directory of the host in a container.
    MappedDirectory {
        "HostPath" host_path: String;
        "HostPathType" host_path_type: PathType, since 2.1;
        "ContainerPath" container_path: String;
        "ReadOnly" read_only: bool;
        "SupportCloudFiles" support_cloud_files: bool, since 2.3;
    }

    /// A named pipe of the host in a container.
    MappedPipe {
        "ContainerPipeName" container_pipe_name: String;
        "HostPath" host_path: String;
        "HostPathType" host_path_type: MappedPipePathType, since 2.1;
    }

    /// Memory of a container.
    ContainerMemory = "Container_Memory" since 2.1 {
        /// The limit, in MiB.
        "SizeInMB" size_in_mb: u64;
    }

    /// Processors of a container. Of count, maximum and weight a host takes one.
    ContainerProcessor = "Container_Processor" {
        "Count" count: u32;
        /// Relative to other containers, 1 to 10000; 100 if absent.
        "Weight" weight: i64;
        /// Share of the host in hundredths of a percent, 1 to 10000.
        "Maximum" maximum: i64;
    }

    /// Network of a container.
    Networking {
        "AllowUnqualifiedDnsQuery" allow_unqualified_dns_query: bool;
        /// Suffixes, separated by commas.
        "DnsSearchList" dns_search_list: String;
        /// The container whose network this one uses.
        "NetworkSharedContainerName" network_shared_container_name: String;
        /// The GUID of an HCN namespace.
        "Namespace" namespace: String;
        /// HCN endpoints.
        "NetworkAdapters" network_adapters: Vec<Guid>;
    }

    /// Hyper-V sockets of a container.
    ContainerHvSocket = "Container_HvSocket" {
        "Config" config: HvSocketSystemConfig;
        "EnablePowerShellDirect" enable_power_shell_direct: bool;
    }

    /// A device of the host given to a container.
    Device {
        "Type" kind: DeviceType, since 2.2;
        "InterfaceClassGuid" interface_class_guid: Guid, since 2.1;
        "LocationPath" location_path: String, since 2.2;
    }
}

enumerations! {
    /// How the host path of a layer or of a mapped directory is meant.
    PathType since 2.1 {
        AbsolutePath = "AbsolutePath";
        VirtualSmbShareName = "VirtualSmbShareName";
    }

    /// Caching of a layer.
    CacheMode {
        Unspecified = "Unspecified";
        Disabled = "Disabled";
        Enabled = "Enabled";
        Private = "Private";
        PrivateAllowSharing = "PrivateAllowSharing";
    }

    /// How the host path of a mapped pipe is meant.
    MappedPipePathType since 2.1 {
        AbsolutePath = "AbsolutePath";
        VirtualSmbPipeName = "VirtualSmbPipeName";
    }

    /// How an assigned device is named.
    DeviceType since 2.2 {
        ClassGuid = "ClassGuid";
        DeviceInstance = "DeviceInstance";
        GpuMirror = "GpuMirror";
    }
}

impl Layer {
    /// A layer.
    #[must_use]
    pub fn of(id: Guid, path: &str) -> Self {
        Self::new().id(id).path(path)
    }
}

impl Container {
    /// A container with a root file system: a writable volume and the read-only layers below it, topmost
    /// first.
    #[must_use]
    pub fn with_root(volume: &str, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self::new().storage(Storage::new().path(volume).layers(layers.into_iter().collect::<Vec<_>>()))
    }

    /// A directory of the host, beside those that are there.
    #[must_use]
    pub fn map(mut self, host: &str, container: &str, read_only: bool) -> Self {
        let mut directory = MappedDirectory::new().host_path(host).container_path(container);
        directory.read_only = read_only.then_some(true);
        self.mapped_directories.get_or_insert_default().push(directory);
        self
    }
}
