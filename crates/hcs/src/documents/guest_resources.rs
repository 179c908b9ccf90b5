//! What the guests of Microsoft's clients take as settings of a
//! [`GuestModifySettingRequest`](super::GuestModifySettingRequest).

use super::{CombinedLayers, ModifyRequestType};
use crate::document::{Guid, documents, enumerations};
use serde_json::Value;

documents! {
    /// A disk that is mounted in a Linux guest: `MappedVirtualDisk`.
    LinuxMappedVirtualDisk = "LCOWMappedVirtualDisk" since unpublished {
        "MountPath" mount_path: String;
        /// Absent is 0.
        "Lun" lun: u8;
        /// Absent is 0.
        "Controller" controller: u8;
        /// Absent or 0 is the whole disk.
        "Partition" partition: u64;
        "ReadOnly" read_only: bool;
        /// The guest makes a file system on an encrypted mapping of the disk.
        "Encrypted" encrypted: bool;
        /// Options of mount(8).
        "Options" options: Vec<String>;
        /// The device appears at the path instead of its file system.
        "BlockDev" block_dev: bool;
        "VerityInfo" verity_info: DeviceVerityInfo;
        /// A disk without a file system gets one.
        "EnsureFilesystem" ensure_filesystem: bool;
        "Filesystem" filesystem: String;
    }

    /// dm-verity of a block device.
    DeviceVerityInfo since unpublished {
        "Ext4SizeInBytes" ext4_size_in_bytes: i64;
        "Version" version: i64;
        "Algorithm" algorithm: String;
        "SuperBlock" super_block: bool;
        "RootDigest" root_digest: String;
        "Salt" salt: String;
        "BlockSize" block_size: i64;
    }

    /// A SCSI device of the guest, to be let go before the host takes it away: `SCSIDevice`.
    ScsiDevice = "SCSIDevice" since unpublished {
        "Controller" controller: u8;
        "Lun" lun: u8;
    }

    /// A 9P share that is mounted in a Linux guest: `MappedDirectory`.
    LinuxMappedDirectory = "LCOWMappedDirectory" since unpublished {
        "MountPath" mount_path: String;
        /// The vsock port of the host.
        "Port" port: i32;
        "ShareName" share_name: String;
        "ReadOnly" read_only: bool;
    }

    /// A persistent memory device that is mounted in a Linux guest: `VPMemDevice`.
    LinuxMappedVpmemDevice = "LCOWMappedVPMemDevice" since unpublished {
        /// The device, `/dev/pmem<n>`; absent is 0.
        "DeviceNumber" device_number: u32;
        "MountPath" mount_path: String;
        /// The part of the device that is mounted; all of it if absent.
        "MappingInfo" mapping_info: LinuxVpmemMappingInfo;
        "VerityInfo" verity_info: DeviceVerityInfo;
    }

    /// A part of a persistent memory device.
    LinuxVpmemMappingInfo = "LCOWVPMemMappingInfo" since unpublished {
        "DeviceOffsetInBytes" device_offset_in_bytes: u64;
        "DeviceSizeInBytes" device_size_in_bytes: u64;
    }

    /// A device on a virtual PCI bus that a Linux guest waits for: `VPCIDevice`.
    LinuxMappedVpciDevice = "LCOWMappedVPCIDevice" since unpublished {
        "VMBusGUID" vmbus_guid: String;
    }

    /// A network adapter that a Linux guest moves to a network namespace: `Network`.
    LinuxNetworkAdapter = "LCOWNetworkAdapter" since unpublished {
        "NamespaceID" namespace_id: String;
        "ID" id: String;
        "MacAddress" mac_address: String;
        "DNSSuffix" dns_suffix: String;
        /// Addresses, separated by commas.
        "DNSServerList" dns_server_list: String;
        /// Bytes that the network puts around each packet.
        "EncapOverhead" encap_overhead: u16;
        "VPCIAssigned" vpci_assigned: bool;
        "IPConfigs" ip_configs: Vec<LinuxIpConfig>;
        "Routes" routes: Vec<LinuxRoute>;
        "PolicyBasedRouting" policy_based_routing: bool;
        "EnableLowMetric" enable_low_metric: bool;
    }

    /// An address of a network adapter.
    LinuxIpConfig = "LCOWIPConfig" since unpublished {
        "IPAddress" ip_address: String;
        "PrefixLength" prefix_length: u8;
    }

    /// A route of a network adapter.
    LinuxRoute = "LCOWRoute" since unpublished {
        "NextHop" next_hop: String;
        "DestinationPrefix" destination_prefix: String;
        "Metric" metric: u16;
    }

    /// Resource limits of a container, in the words of the OCI runtime specification: `ContainerConstraints`.
    LinuxContainerConstraints = "LCOWContainerConstraints" since unpublished {
        "Windows" windows: Value;
        "Linux" linux: Value;
    }

    /// The policy of a confidential guest: `SecurityPolicy`.
    ConfidentialOptions since unpublished {
        "EnforcerType" enforcer_type: String;
        /// Base64.
        "EncodedSecurityPolicy" encoded_security_policy: String;
        "EncodedUVMReference" encoded_uvm_reference: String;
        "EncodedUVMHashEnvelopeReference" encoded_uvm_hash_envelope_reference: String;
    }

    /// A part of the policy of a confidential guest: `SecurityPolicyFragment`.
    SecurityPolicyFragment since unpublished {
        "Fragment" fragment: String;
        "MediaType" media_type: String;
    }

    /// Layers of a container in a confidential Windows guest: `CWCOWCombinedLayers`.
    ConfidentialCombinedLayers = "CWCOWCombinedLayers" since unpublished {
        "ContainerID" container_id: String;
        "CombinedLayers" combined_layers: CombinedLayers;
    }

    /// Composite images on disks of a confidential Windows guest: `WCOWBlockCims`.
    BlockCimMounts = "CWCOWBlockCIMMounts" since unpublished {
        /// The merged image first, then the layers, topmost first.
        "BlockCIMs" block_cims: Vec<BlockCimDevice>;
        "VolumeGUID" volume_guid: Guid;
        "MountFlags" mount_flags: u32;
        "ContainerID" container_id: String;
    }

    /// A composite image on a disk.
    BlockCimDevice = "BlockCIMDevice" since unpublished {
        "CimName" cim_name: String;
        "Lun" lun: i32;
    }

    /// A network adapter of a Windows guest: `Network`.
    WindowsNetworkModifyRequest = "NetworkModifyRequest" since unpublished {
        "AdapterId" adapter_id: String;
        /// `PreAdd` before the host adds the adapter, `Add` after it.
        "RequestType" request_type: ModifyRequestType;
        /// The endpoint before, the adapter after.
        "Settings" settings: Value;
    }
}

enumerations! {
    /// What is changed in a guest: those that the schema publishes, and those that Microsoft's clients use.
    GuestResourceType {
        Memory = "Memory";
        MappedDirectory = "MappedDirectory";
        MappedPipe = "MappedPipe";
        MappedVirtualDisk = "MappedVirtualDisk";
        CombinedLayers = "CombinedLayers";
        NetworkNamespace = "NetworkNamespace", since 2.1;
        CimMount = "CimMount", since 2.3;
        ScsiDevice = "SCSIDevice", since unpublished;
        VpmemDevice = "VPMemDevice", since unpublished;
        VpciDevice = "VPCIDevice", since unpublished;
        Network = "Network", since unpublished;
        ContainerConstraints = "ContainerConstraints", since unpublished;
        HvSocket = "HvSocket", since unpublished;
        SecurityPolicy = "SecurityPolicy", since unpublished;
        SecurityPolicyFragment = "SecurityPolicyFragment", since unpublished;
        PodCgroupMemoryLimit = "PodCgroupMemoryLimit", since unpublished;
        MappedVirtualDiskForContainerScratch = "MappedVirtualDiskForContainerScratch", since unpublished;
        BlockCims = "WCOWBlockCims", since unpublished;
        ConfidentialCombinedLayers = "CWCOWCombinedLayers", since unpublished;
    }
}
