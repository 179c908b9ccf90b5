//! Disks and shares of a virtual machine.

use super::Plan9ShareFlags;
use crate::document::{documents, enumerations};
use std::collections::BTreeMap;

documents! {
    /// A SCSI controller.
    Scsi {
        /// Disks by LUN, 0 to 63.
        "Attachments" attachments: BTreeMap<u32, Attachment>;
        "DisableInterruptBatching" disable_interrupt_batching: bool, since 2.4;
    }

    /// A disk on a SCSI controller.
    Attachment {
        "Type" kind: AttachmentType;
        "Path" path: String;
        "CachingMode" caching_mode: CachingMode, since 2.1;
        "ReadOnly" read_only: bool;
        "SupportCompressedVolumes" support_compressed_volumes: bool, since 2.3;
        "AlwaysAllowSparseFiles" always_allow_sparse_files: bool, since 2.6;
        "SupportEncryptedFiles" support_encrypted_files: bool, since 2.6;
        "IgnoreFlushes" ignore_flushes: bool, since unpublished;
        "NoWriteHardening" no_write_hardening: bool, since unpublished;
        "DisableExpansionOptimization" disable_expansion_optimization: bool, since unpublished;
        "IgnoreRelativeLocator" ignore_relative_locator: bool, since unpublished;
        "CaptureIoAttributionContext" capture_io_attribution_context: bool, since unpublished;
        "ExtensibleVirtualDiskType" extensible_virtual_disk_type: String, since unpublished;
    }

    /// Persistent memory devices.
    VirtualPMemController {
        "Devices" devices: BTreeMap<u8, VirtualPMemDevice>;
        /// Devices, up to 128.
        "MaximumCount" maximum_count: u8;
        /// Of one device, a multiple of 4096.
        "MaximumSizeBytes" maximum_size_bytes: u64;
        "Backing" backing: VirtualPMemBackingType, since 2.1;
    }

    /// A disk image as a persistent memory device.
    VirtualPMemDevice {
        "HostPath" host_path: String;
        "ReadOnly" read_only: bool;
        "ImageFormat" image_format: VirtualPMemImageFormat;
        "SizeBytes" size_bytes: u64, since 2.2;
        /// Images by offset in bytes.
        "Mappings" mappings: BTreeMap<u64, VirtualPMemMapping>, since 2.2;
    }

    /// One of several images on a persistent memory device.
    VirtualPMemMapping since 2.2 {
        "HostPath" host_path: String;
        "ImageFormat" image_format: VirtualPMemImageFormat;
    }

    /// Directories of the host shared by SMB over VMBus.
    VirtualSmb since 2.1 {
        "Shares" shares: Vec<VirtualSmbShare>;
        /// Memory of the guest in which files are mapped, in MiB.
        "DirectFileMappingInMB" direct_file_mapping_in_mb: i64;
    }

    /// An SMB share.
    VirtualSmbShare {
        "Name" name: String;
        "Path" path: String;
        "AllowedFiles" allowed_files: Vec<String>;
        "Options" options: VirtualSmbShareOptions, since 2.1;
    }

    /// Options of an SMB share.
    VirtualSmbShareOptions {
        "ReadOnly" read_only: bool, since 2.1;
        "ShareRead" share_read: bool, since 2.1;
        "CacheIo" cache_io: bool, since 2.1;
        "NoOplocks" no_oplocks: bool, since 2.1;
        "TakeBackupPrivilege" take_backup_privilege: bool, since 2.1;
        "UseShareRootIdentity" use_share_root_identity: bool, since 2.1;
        "NoDirectmap" no_directmap: bool, since 2.1;
        "NoLocks" no_locks: bool, since 2.1;
        "NoDirnotify" no_dirnotify: bool, since 2.1;
        "VmSharedMemory" vm_shared_memory: bool, since 2.1;
        "RestrictFileAccess" restrict_file_access: bool, since 2.1;
        "ForceLevelIIOplocks" force_level_ii_oplocks: bool, since 2.1;
        "ReparseBaseLayer" reparse_base_layer: bool, since 2.1;
        "PseudoOplocks" pseudo_oplocks: bool, since 2.1;
        "NonCacheIo" non_cache_io: bool, since 2.1;
        "PseudoDirnotify" pseudo_dirnotify: bool, since 2.1;
        "SingleFileMapping" single_file_mapping: bool, since 2.1;
        "SupportCloudFiles" support_cloud_files: bool, since 2.3;
        "FilterEncryptionAttributes" filter_encryption_attributes: bool, since 2.4;
    }

    /// Directories of the host shared by 9P.
    Plan9 since 2.1 {
        "Shares" shares: Vec<Plan9Share>;
    }

    /// A 9P share.
    Plan9Share {
        "Name" name: String;
        /// The name that the guest gives when it attaches (`aname`).
        "AccessName" access_name: String, since 2.1;
        "Path" path: String;
        /// The vsock port at which the host serves it.
        "Port" port: u32;
        "AllowedFiles" allowed_files: Vec<String>, since 2.2;
        "Flags" flags: Plan9ShareFlags, since unpublished;
    }
}

enumerations! {
    /// What kind of disk is attached.
    AttachmentType {
        VirtualDisk = "VirtualDisk";
        Iso = "Iso";
        PassThru = "PassThru";
    }

    /// Caching of an attached disk.
    CachingMode since 2.1 {
        Uncached = "Uncached";
        Cached = "Cached";
        ReadOnlyCached = "ReadOnlyCached";
    }

    /// What backs persistent memory.
    VirtualPMemBackingType since 2.1 {
        Virtual = "Virtual";
        Physical = "Physical";
    }

    /// The format of a disk image.
    VirtualPMemImageFormat {
        Vhdx = "Vhdx";
        Vhd1 = "Vhd1";
    }
}

/// A place for a disk that is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// There is a disk already.
    #[error("attach {path:?} at LUN {lun}: the place is taken by {taken_by:?}")]
    Taken {
        /// The disk that was to be attached.
        path: String,
        /// The LUN.
        lun: u32,
        /// The disk that is there.
        taken_by: String,
    },
    /// A controller has no such place.
    #[error("attach {path:?} at LUN {lun}: a controller has LUNs 0 to 63")]
    NoSuchLun {
        /// The disk that was to be attached.
        path: String,
        /// The LUN.
        lun: u32,
    },
}

impl Scsi {
    /// LUNs of a controller.
    pub const LUNS: u32 = 64;

    /// Attaches a disk.
    ///
    /// # Errors
    /// There is one, or the controller has no such LUN.
    pub fn attach(mut self, lun: u32, disk: Attachment) -> Result<Self, SlotError> {
        let path = || disk.path.clone().unwrap_or_default();
        if lun >= Self::LUNS {
            return Err(SlotError::NoSuchLun { path: path(), lun });
        }
        let attachments = self.attachments.get_or_insert_default();
        if let Some(there) = attachments.get(&lun) {
            return Err(SlotError::Taken {
                path: path(),
                lun,
                taken_by: there.path.clone().unwrap_or_default(),
            });
        }
        attachments.insert(lun, disk);
        Ok(self)
    }
}

impl Attachment {
    /// A VHD or VHDX file.
    #[must_use]
    pub fn virtual_disk(path: &str) -> Self {
        Self::new().kind(AttachmentType::VirtualDisk).path(path)
    }

    /// An ISO file.
    #[must_use]
    pub fn iso(path: &str) -> Self {
        Self::new().kind(AttachmentType::Iso).path(path)
    }

    /// A disk of the host, `\\.\PHYSICALDRIVE1`.
    #[must_use]
    pub fn pass_through(path: &str) -> Self {
        Self::new().kind(AttachmentType::PassThru).path(path)
    }
}

impl VirtualPMemDevice {
    /// An image that the guest reads.
    #[must_use]
    pub fn read_only_image(path: &str, format: VirtualPMemImageFormat) -> Self {
        Self::new().host_path(path).read_only(true).image_format(format)
    }
}

impl VirtualPMemController {
    /// Plugs a device, in place of one that has this number.
    #[must_use]
    pub fn plug(mut self, number: u8, device: VirtualPMemDevice) -> Self {
        self.devices.get_or_insert_default().insert(number, device);
        self
    }
}

impl VirtualSmbShare {
    /// A directory of the host.
    #[must_use]
    pub fn directory(name: &str, path: &str, options: VirtualSmbShareOptions) -> Self {
        Self::new().name(name).path(path).options(options)
    }
}

impl VirtualSmbShareOptions {
    /// For layers, which nobody changes: read-only, shared, cached, read with backup privilege.
    #[must_use]
    pub fn of_layer() -> Self {
        Self::new()
            .read_only(true)
            .share_read(true)
            .cache_io(true)
            .take_backup_privilege(true)
            .pseudo_oplocks(true)
    }
}

impl Plan9Share {
    /// A directory of the host under one name, served at a vsock port.
    #[must_use]
    pub fn directory(name: &str, path: &str, port: u32, flags: Plan9ShareFlags) -> Self {
        Self::new().name(name).access_name(name).path(path).port(port).flags(flags)
    }
}
