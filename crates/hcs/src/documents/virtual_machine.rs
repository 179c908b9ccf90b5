//! Virtual machines: firmware, state and what they share with the host.

use super::{Devices, MigrationInitializeOptions, RegistryChanges, StorageQoS, Topology, Version};
use crate::document::{ByteArray, Guid, documents, enumerations};
use std::collections::BTreeMap;

documents! {
    /// A virtual machine.
    VirtualMachine {
        "Version" version: Version, since 2.5;
        /// A reset by the guest ends the machine.
        "StopOnReset" stop_on_reset: bool;
        "Chipset" chipset: Chipset;
        "ComputeTopology" compute_topology: Topology;
        "Devices" devices: Devices;
        "Services" services: Services, since 2.5;
        "GuestState" guest_state: GuestState, since 2.1;
        "RestoreState" restore_state: RestoreState;
        "RegistryChanges" registry_changes: RegistryChanges;
        "StorageQoS" storage_qos: StorageQoS, since 2.1;
        /// HCS connects to the guest compute service.
        "GuestConnection" guest_connection: GuestConnection, since 2.1;
        "DebugOptions" debug_options: DebugOptions, since unpublished;
        "SecuritySettings" security_settings: SecuritySettings, since unpublished;
        "ResourcePartitionId" resource_partition_id: String, since unpublished;
        "MigrationOptions" migration_options: MigrationInitializeOptions, since unpublished;
    }

    /// Firmware and identity of a virtual machine. Either [`Uefi`] or [`LinuxKernelDirect`] boots it.
    Chipset {
        "Uefi" uefi: Uefi;
        "IsNumLockDisabled" is_num_lock_disabled: bool;
        "BaseBoardSerialNumber" base_board_serial_number: String;
        "ChassisSerialNumber" chassis_serial_number: String;
        "ChassisAssetTag" chassis_asset_tag: String;
        "EnableHibernation" enable_hibernation: bool, since 2.5;
        /// The clock shows UTC instead of local time.
        "UseUtc" use_utc: bool, since 2.1;
        "LinuxKernelDirect" linux_kernel_direct: LinuxKernelDirect, since 2.2;
        "FirmwareFile" firmware_file: FirmwareFile, since unpublished;
    }

    /// UEFI firmware.
    Uefi {
        "EnableDebugger" enable_debugger: bool;
        "SecureBootTemplateId" secure_boot_template_id: Guid;
        "ApplySecureBootTemplate" apply_secure_boot_template: ApplySecureBootTemplateType, since 2.3;
        "BootThis" boot_this: UefiBootEntry;
        "Console" console: SerialConsole;
        "StopOnBootFailure" stop_on_boot_failure: bool, since 2.2;
    }

    /// What UEFI boots.
    UefiBootEntry since 2.1 {
        "DeviceType" device_type: UefiBootDevice;
        /// The path on the device: `\EFI\Microsoft\Boot\bootmgfw.efi`.
        "DevicePath" device_path: String;
        "DiskNumber" disk_number: u16;
        "OptionalData" optional_data: String;
        "VmbFsRootPath" vmb_fs_root_path: String;
    }

    /// A Linux kernel that is started without firmware.
    LinuxKernelDirect since 2.2 {
        "KernelFilePath" kernel_file_path: String;
        "InitRdPath" init_rd_path: String;
        "KernelCmdLine" kernel_cmd_line: String;
    }

    /// Firmware of the caller.
    FirmwareFile since unpublished {
        "Parameters" parameters: ByteArray;
    }

    /// Files that hold the state of the guest.
    GuestState since 2.1 {
        /// A `.vmgs` file.
        "GuestStateFilePath" guest_state_file_path: String;
        /// A `.vmrs` file.
        "RuntimeStateFilePath" runtime_state_file_path: String;
        "ForceTransientState" force_transient_state: bool;
        "GuestStateFileType" guest_state_file_type: String, since unpublished;
    }

    /// A saved state or a template from which the machine is started.
    RestoreState {
        "SaveStateFilePath" save_state_file_path: String;
        "TemplateSystemId" template_system_id: String, since 2.1;
    }

    /// Connection of the host to the guest compute service. Without it, HCS does not talk to the guest.
    GuestConnection {
        /// Over vsock, as a Linux guest does, instead of Hyper-V sockets.
        "UseVsock" use_vsock: bool, since 2.1;
        "UseConnectedSuspend" use_connected_suspend: bool, since 2.1;
        "UseHostTimeZone" use_host_time_zone: bool, since 2.4;
    }

    /// Files that are written when the guest crashes.
    DebugOptions since unpublished {
        "BugcheckSavedStateFileName" bugcheck_saved_state_file_name: String;
        "BugcheckNoCrashdumpSavedStateFileName" bugcheck_no_crashdump_saved_state_file_name: String;
        "TripleFaultSavedStateFileName" triple_fault_saved_state_file_name: String;
        "FirmwareDumpFileName" firmware_dump_file_name: String;
    }

    /// TPM and isolation of a virtual machine.
    SecuritySettings since unpublished {
        "EnableTpm" enable_tpm: bool;
        "Isolation" isolation: IsolationSettings;
    }

    /// Isolation of a virtual machine from the host.
    IsolationSettings since unpublished {
        /// `SecureNestedPaging`, `VirtualizationBasedSecurity` or `GuestStateOnly`.
        "IsolationType" isolation_type: String;
        "DebugHost" debug_host: String;
        "DebugPort" debug_port: i64;
        /// What the launch measurement covers, base64.
        "LaunchData" launch_data: String;
        "HclEnabled" hcl_enabled: bool;
    }

    /// Integration services of a virtual machine.
    Services since 2.5 {
        "Heartbeat" heartbeat: Heartbeat;
        "Shutdown" shutdown: Shutdown;
        "Timesync" timesync: Timesync;
        "KvpExchange" kvp_exchange: KvpExchange;
    }

    /// The heartbeat service.
    Heartbeat since 2.5 {}

    /// The shutdown service.
    Shutdown since 2.5 {}

    /// The time synchronisation service.
    Timesync since 2.5 {}

    /// The key-value exchange service.
    KvpExchange since 2.5 {
        "EnableHostOSInfoKvpItems" enable_host_os_info_kvp_items: StateOverride;
        "EntriesToBeAdded" entries_to_be_added: BTreeMap<String, String>;
        "EntriesToBeRemoved" entries_to_be_removed: Vec<String>;
    }
}

enumerations! {
    /// Where UEFI finds what it boots.
    UefiBootDevice {
        ScsiDrive = "ScsiDrive";
        VmbFs = "VmbFs";
        Network = "Network";
        File = "File", since 2.1;
    }

    /// Whether the secure boot template is applied.
    ApplySecureBootTemplateType since 2.3 {
        Skip = "Skip";
        Apply = "Apply";
    }

    /// Where the firmware writes its console.
    SerialConsole {
        Default = "Default";
        Disabled = "Disabled";
        ComPort1 = "ComPort1";
        ComPort2 = "ComPort2";
    }

    /// A setting that may be left to the host.
    StateOverride since 2.4 {
        Default = "Default";
        Disabled = "Disabled";
        Enabled = "Enabled";
    }
}

impl Chipset {
    /// A Linux kernel without firmware; needs schema 2.2 on paper, and Microsoft's clients write it at 2.1.
    #[must_use]
    pub fn linux_kernel(kernel: &str, command_line: &str) -> Self {
        Self::new().linux_kernel_direct(
            LinuxKernelDirect::new().kernel_file_path(kernel).kernel_cmd_line(command_line),
        )
    }

    /// UEFI that boots this.
    #[must_use]
    pub fn uefi_boot(entry: UefiBootEntry) -> Self {
        Self::new().uefi(Uefi::new().boot_this(entry))
    }
}

impl UefiBootEntry {
    /// A program on the share from which a Windows utility VM boots.
    #[must_use]
    pub fn vmbfs(path: &str) -> Self {
        Self::new().device_type(UefiBootDevice::VmbFs).device_path(path)
    }

    /// A disk on the first SCSI controller.
    #[must_use]
    pub fn scsi(lun: u16) -> Self {
        Self::new().device_type(UefiBootDevice::ScsiDrive).device_path("Scsi(0,0)").disk_number(lun)
    }
}
