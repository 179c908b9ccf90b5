//! Devices of a virtual machine.

use super::resource::SerialPort;
use super::{Attachment, Plan9, Scsi, SlotError, StateOverride, VirtualPMemController, VirtualSmb};
use crate::document::{Guid, MacAddress, documents, enumerations};
use std::collections::BTreeMap;

documents! {
    /// Devices of a virtual machine.
    Devices {
        /// Ports 0 and 1.
        "ComPorts" com_ports: BTreeMap<u32, ComPort>, since 2.1;
        "VirtioSerial" virtio_serial: VirtioSerial, since 2.2;
        /// Controllers by name: a number or a GUID.
        "Scsi" scsi: BTreeMap<String, Scsi>;
        "VirtualPMem" virtual_pmem: VirtualPMemController;
        /// Adapters by name.
        "NetworkAdapters" network_adapters: BTreeMap<String, NetworkAdapter>;
        "VideoMonitor" video_monitor: VideoMonitor;
        "Keyboard" keyboard: Keyboard;
        "Mouse" mouse: Mouse;
        "HvSocket" hv_socket: VirtualMachineHvSocket, since 2.1;
        "EnhancedModeVideo" enhanced_mode_video: EnhancedModeVideo, since 2.1;
        "GuestCrashReporting" guest_crash_reporting: GuestCrashReporting;
        "VirtualSmb" virtual_smb: VirtualSmb;
        "Plan9" plan9: Plan9;
        "Battery" battery: Battery;
        "FlexibleIov" flexible_iov: BTreeMap<String, FlexibleIoDevice>, since 2.1;
        "SharedMemory" shared_memory: SharedMemoryConfiguration, since 2.1;
        /// Buses by VMBus GUID.
        "VirtualPci" virtual_pci: BTreeMap<String, VirtualPciDevice>, since 2.3;
    }

    /// A serial port.
    ComPort since 2.1 {
        /// `\\.\pipe\…`
        "NamedPipe" named_pipe: String;
        "OptimizeForDebugger" optimize_for_debugger: bool;
    }

    /// A virtio serial controller.
    VirtioSerial since 2.2 {
        "Ports" ports: BTreeMap<u32, VirtioSerialPort>;
    }

    /// A port of a virtio serial controller.
    VirtioSerialPort since 2.2 {
        "NamedPipe" named_pipe: String;
        "Name" name: String;
    }

    /// A network adapter.
    NetworkAdapter {
        /// The HCN endpoint.
        "EndpointId" endpoint_id: Guid;
        "MacAddress" mac_address: MacAddress;
        "InstanceId" instance_id: Guid, since 2.4;
        "DisableInterruptBatching" disable_interrupt_batching: bool, since 2.4;
        "IovSettings" iov_settings: IovSettings, since 2.4;
        "ConnectionState" connection_state: StateOverride, since 2.4;
    }

    /// SR-IOV of a network adapter.
    IovSettings since 2.4 {
        "OffloadWeight" offload_weight: u32;
        "QueuePairsRequested" queue_pairs_requested: u32;
        "InterruptModeration" interrupt_moderation: InterruptModerationMode;
    }

    /// A monitor, reached by remote desktop.
    VideoMonitor since 2.1 {
        "HorizontalResolution" horizontal_resolution: u16;
        "VerticalResolution" vertical_resolution: u16;
        "ConnectionOptions" connection_options: RdpConnectionOptions;
    }

    /// Who may connect by remote desktop, and where.
    RdpConnectionOptions since 2.1 {
        "AccessSids" access_sids: Vec<String>;
        "NamedPipe" named_pipe: String;
    }

    /// Remote desktop into the guest itself.
    EnhancedModeVideo since 2.1 {
        "ConnectionOptions" connection_options: RdpConnectionOptions;
    }

    /// A keyboard.
    Keyboard {}

    /// A mouse.
    Mouse {}

    /// A battery that mirrors that of the host.
    Battery {}

    /// Hyper-V sockets of a virtual machine.
    VirtualMachineHvSocket = "VirtualMachine_HvSocket" since 2.1 {
        "HvSocketConfig" hv_socket_config: HvSocketSystemConfig;
    }

    /// Who may bind and connect Hyper-V sockets.
    HvSocketSystemConfig {
        /// SDDL; e.g. `D:P(A;;FA;;;SY)(A;;FA;;;BA)`.
        "DefaultBindSecurityDescriptor" default_bind_security_descriptor: String;
        /// SDDL.
        "DefaultConnectSecurityDescriptor" default_connect_security_descriptor: String;
        /// By service GUID.
        "ServiceTable" service_table: BTreeMap<Guid, HvSocketServiceConfig>;
    }

    /// Who may bind and connect the sockets of one service.
    HvSocketServiceConfig {
        "BindSecurityDescriptor" bind_security_descriptor: String;
        "ConnectSecurityDescriptor" connect_security_descriptor: String;
        "AllowWildcardBinds" allow_wildcard_binds: bool;
        "Disabled" disabled: bool, since unpublished;
    }

    /// The Hyper-V socket address of a guest and of its parent.
    HvSocketAddress since 2.1 {
        "LocalAddress" local_address: Guid;
        "ParentAddress" parent_address: Guid;
    }

    /// What the host does when the guest crashes.
    GuestCrashReporting {
        "WindowsCrashSettings" windows_crash_settings: WindowsCrashReporting;
    }

    /// Dumps of a Windows guest.
    WindowsCrashReporting {
        "DumpFileName" dump_file_name: String;
        "MaxDumpSize" max_dump_size: i64;
        "DumpType" dump_type: String, since unpublished;
    }

    /// A device emulated by a program.
    FlexibleIoDevice since 2.1 {
        "EmulatorId" emulator_id: Guid;
        "HostingModel" hosting_model: FlexibleIoDeviceHostingModel;
        "Configuration" configuration: Vec<String>;
    }

    /// Memory that host and guest share.
    SharedMemoryConfiguration since 2.1 {
        "Regions" regions: Vec<SharedMemoryRegion>;
    }

    /// A region of shared memory.
    SharedMemoryRegion {
        "SectionName" section_name: String;
        "StartOffset" start_offset: u64;
        "Length" length: u64;
        "AllowGuestWrite" allow_guest_write: bool;
        "HiddenFromGuest" hidden_from_guest: bool;
    }

    /// Devices of the host given to the guest on a virtual PCI bus.
    VirtualPciDevice since 2.3 {
        "Functions" functions: Vec<VirtualPciFunction>;
        "PropagateNumaAffinity" propagate_numa_affinity: bool, since unpublished;
    }

    /// A device of the host on a virtual PCI bus.
    VirtualPciFunction {
        "DeviceInstancePath" device_instance_path: String, since 2.3;
        "VirtualFunction" virtual_function: u16, since 2.3;
        "AllowDirectTranslatedP2P" allow_direct_translated_p2p: bool, since 2.4;
    }

    /// GPUs given to the guest.
    GpuConfiguration {
        "AssignmentMode" assignment_mode: GpuAssignmentMode;
        "AssignmentRequest" assignment_request: BTreeMap<String, u16>;
        "AllowVendorExtension" allow_vendor_extension: bool;
    }
}

enumerations! {
    /// How interrupts of an adapter are moderated.
    InterruptModerationMode since 2.4 {
        Default = "Default";
        Adaptive = "Adaptive";
        Off = "Off";
        Low = "Low";
        Medium = "Medium";
        High = "High";
    }

    /// Where the program runs that emulates a device.
    FlexibleIoDeviceHostingModel since 2.1 {
        Internal = "Internal";
        External = "External";
    }

    /// Which GPUs are given to the guest.
    GpuAssignmentMode {
        Disabled = "Disabled";
        Default = "Default";
        List = "List";
        Mirror = "Mirror";
    }
}

impl Devices {
    /// A SCSI controller without disks, if there is none of this name: a number or a GUID.
    #[must_use]
    pub fn add_scsi(mut self, controller: &str) -> Self {
        self.scsi.get_or_insert_default().entry(controller.to_owned()).or_default();
        self
    }

    /// Attaches a disk to a SCSI controller, which is made if there is none of this name.
    ///
    /// # Errors
    /// The place is taken, or there is no such place.
    pub fn attach(mut self, controller: &str, lun: u32, disk: Attachment) -> Result<Self, SlotError> {
        let controllers = self.scsi.get_or_insert_default();
        let attached = controllers.remove(controller).unwrap_or_default().attach(lun, disk)?;
        controllers.insert(controller.to_owned(), attached);
        Ok(self)
    }

    /// A network adapter, in place of one that has this name.
    #[must_use]
    pub fn add_adapter(mut self, name: &str, adapter: NetworkAdapter) -> Self {
        self.network_adapters.get_or_insert_default().insert(name.to_owned(), adapter);
        self
    }

    /// A serial port at a named pipe.
    #[must_use]
    pub fn add_serial(mut self, port: SerialPort, pipe: &str) -> Self {
        let number = u32::from(port == SerialPort::Com2);
        self.com_ports.get_or_insert_default().insert(number, ComPort::new().named_pipe(pipe));
        self
    }

    /// Who may use Hyper-V sockets.
    #[must_use]
    pub fn hv_sockets(self, config: HvSocketSystemConfig) -> Self {
        self.hv_socket(VirtualMachineHvSocket::new().hv_socket_config(config))
    }
}

impl HvSocketSystemConfig {
    /// SYSTEM and administrators, and nobody else.
    pub const ADMINISTRATORS: &str = "D:P(A;;FA;;;SY)(A;;FA;;;BA)";

    /// What holds for one service, in place of what held.
    #[must_use]
    pub fn service(mut self, service: Guid, config: HvSocketServiceConfig) -> Self {
        self.service_table.get_or_insert_default().insert(service, config);
        self
    }
}
