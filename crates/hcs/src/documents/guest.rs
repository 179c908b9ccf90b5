//! What a change asks of the guest.

use super::{GuestResourceType, Layer, ModifyRequestType};
use crate::document::{Document, Guid, Mismatch, documents, enumerations};
use serde_json::Value;

documents! {
    /// A change of something in the guest.
    GuestModifySettingRequest since 2.1 {
        "ResourceType" resource_type: GuestResourceType;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
    }

    /// Layers and a scratch directory that become one file system in the guest.
    CombinedLayers {
        "Layers" layers: Vec<Layer>;
        "ScratchPath" scratch_path: String;
        "ContainerRootPath" container_root_path: String;
        "FilterType" filter_type: FileSystemFilterType, since unpublished;
        "ContainerID" container_id: String, since unpublished;
    }

    /// A disk that is mounted in a Windows guest.
    MappedVirtualDisk since 2.1 {
        "ContainerPath" container_path: String;
        "Lun" lun: u8;
    }

    /// A composite image that is mounted in the guest.
    CimMount {
        "ImagePath" image_path: String, since 2.3;
        "FileSystemName" file_system_name: String, since 2.3;
        "VolumeGuid" volume_guid: Guid, since 2.3;
        /// Flags of `CimMountImage`.
        "MountFlags" mount_flags: u32, since 2.5;
    }

    /// The time zone of the guest.
    TimeZoneInformation since 2.1 {
        "Bias" bias: i32;
        "StandardName" standard_name: String;
        "StandardDate" standard_date: SystemTime;
        "StandardBias" standard_bias: i32;
        "DaylightName" daylight_name: String;
        "DaylightDate" daylight_date: SystemTime;
        "DaylightBias" daylight_bias: i32;
    }

    /// A point in time in parts; of a time zone, when it changes.
    SystemTime since 2.1 {
        "Year" year: u16;
        "Month" month: u16;
        "DayOfWeek" day_of_week: u16;
        "Day" day: u16;
        "Hour" hour: u16;
        "Minute" minute: u16;
        "Second" second: u16;
        "Milliseconds" milliseconds: u16;
    }
}

enumerations! {
    /// What is changed in the guest, as the schema publishes it; clients use more ([`GuestResourceType`]).
    ModifyResourceType {
        Memory = "Memory";
        MappedDirectory = "MappedDirectory";
        MappedPipe = "MappedPipe";
        MappedVirtualDisk = "MappedVirtualDisk";
        CombinedLayers = "CombinedLayers";
        NetworkNamespace = "NetworkNamespace", since 2.1;
        CimMount = "CimMount", since 2.3;
    }

    /// The filter that makes one file system of layers.
    FileSystemFilterType since unpublished {
        UnionFs = "UnionFS";
        Wcifs = "WCIFS";
    }
}

/// Settings of a change in the guest that know what they are settings of.
pub trait GuestSettings: Document {
    /// What is changed.
    const RESOURCE: GuestResourceType;
}

macro_rules! guest_settings {
    ($($settings:ident = $resource:ident;)*) => {$(
        impl GuestSettings for super::$settings {
            const RESOURCE: GuestResourceType = GuestResourceType::$resource;
        }
    )*};
}

guest_settings! {
    MappedVirtualDisk = MappedVirtualDisk;
    LinuxMappedVirtualDisk = MappedVirtualDisk;
    MappedDirectory = MappedDirectory;
    LinuxMappedDirectory = MappedDirectory;
    MappedPipe = MappedPipe;
    CombinedLayers = CombinedLayers;
    CimMount = CimMount;
    ScsiDevice = ScsiDevice;
    LinuxMappedVpmemDevice = VpmemDevice;
    LinuxMappedVpciDevice = VpciDevice;
    LinuxNetworkAdapter = Network;
    WindowsNetworkModifyRequest = Network;
    LinuxContainerConstraints = ContainerConstraints;
    HvSocketAddress = HvSocket;
    ConfidentialOptions = SecurityPolicy;
    SecurityPolicyFragment = SecurityPolicyFragment;
    ConfidentialCombinedLayers = ConfidentialCombinedLayers;
    BlockCimMounts = BlockCims;
}

impl GuestModifySettingRequest {
    /// Adds something in the guest.
    #[must_use]
    pub fn add<S: GuestSettings>(settings: &S) -> Self {
        Self::of(ModifyRequestType::Add, settings)
    }

    /// Removes something in the guest.
    #[must_use]
    pub fn remove<S: GuestSettings>(settings: &S) -> Self {
        Self::of(ModifyRequestType::Remove, settings)
    }

    /// Updates something in the guest.
    #[must_use]
    pub fn update<S: GuestSettings>(settings: &S) -> Self {
        Self::of(ModifyRequestType::Update, settings)
    }

    fn of<S: GuestSettings>(request: ModifyRequestType, settings: &S) -> Self {
        Self::new().resource_type(S::RESOURCE).request_type(request).settings(settings.to_value())
    }

    /// The settings as `S`; Linux and Windows guests take different ones for the same resource. Absent
    /// settings are empty ones.
    ///
    /// # Errors
    /// They are of another shape.
    pub fn read<S: GuestSettings>(&self) -> Result<S, Mismatch> {
        S::from_value(self.settings.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new())))
    }
}
