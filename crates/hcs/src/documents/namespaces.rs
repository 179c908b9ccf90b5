//! Container definitions: the namespaces of a server silo, in the lower-case names of their XML ancestry.

use crate::document::{ByteArray, Guid, documents, enumerations};

documents! {
    /// A container definition.
    ContainersDefContainer = "ContainersDef_Container" since 2.3 {
        "namespace" namespace: Namespace;
    }

    /// The namespaces of a silo.
    Namespace since 2.3 {
        "job" job: JobNamespace;
        "filesystem" filesystem: FilesystemNamespace;
        "mountmgr" mountmgr: MountManagerNamespace;
        "namedpipe" namedpipe: NamedPipeNamespace;
        "ob" ob: ObjectNamespace;
        "registry" registry: RegistryNamespace;
        "network" network: NetworkNamespace;
        "device" device: DeviceNamespace;
        "hostfiles" hostfiles: HostFiles;
    }

    /// Device extensions of a container.
    ContainersDefDevice = "ContainersDef_Device" since 2.3 {
        "device_extension" device_extension: Vec<DeviceExtension>;
    }

    /// A device extension: devices, and the namespaces that they need.
    DeviceExtension since 2.3 {
        "device_category" device_category: DeviceCategory;
        "namespace" namespace: Namespace;
    }

    /// Devices that a silo sees.
    DeviceNamespace since 2.3 {
        "requires_driverstore" requires_driverstore: bool;
        "device_category" device_category: Vec<DeviceCategory>;
        "device_instance" device_instance: Vec<DeviceInstance>;
    }

    /// A category of devices.
    DeviceCategory since 2.3 {
        "name" name: String;
        "interface_class" interface_class: Vec<InterfaceClass>;
    }

    /// One device.
    DeviceInstance since 2.3 {
        "id" id: String;
        "location_path" location_path: String;
        "port_name" port_name: String;
        "interface_class" interface_class: Vec<InterfaceClass>;
    }

    /// An interface class of devices.
    InterfaceClass since 2.3 {
        "type" kind: InterfaceClassType;
        "identifier" identifier: Guid;
        "recurse" recurse: bool;
    }

    /// The job object of a silo.
    JobNamespace since 2.3 {
        "cpu" cpu: JobCpu;
        "memory" memory: JobMemory;
        "systemroot" systemroot: JobSystemRoot;
        "terminationpolicy" terminationpolicy: JobTerminationPolicy;
        "threadimpersonation" threadimpersonation: bool;
    }

    /// Processor limits of the job.
    JobCpu since 2.3 {
        "rate" rate: u32;
        "weight" weight: u32;
    }

    /// The memory limit of the job.
    JobMemory since 2.3 {
        "limit" limit: u64;
    }

    /// The system root that the silo sees.
    JobSystemRoot since 2.3 {
        "path" path: String;
    }

    /// The file system that the silo sees.
    FilesystemNamespace since 2.3 {
        "path" path: String;
        "isolation" isolation: FilesystemIsolationMode;
        "nesting" nesting: FilesystemNestingMode;
        "layer" layer: Vec<FilesystemLayer>;
        "bindings" bindings: Vec<ContainersDefBatchedBinding>;
    }

    /// A layer of the file system.
    FilesystemLayer since 2.3 {
        "identifier" identifier: Guid;
        "path" path: String;
    }

    /// Bindings of one path to several roots.
    ContainersDefBatchedBinding = "ContainersDef_BatchedBinding" since 2.3 {
        "filepath" filepath: String;
        "bindingroots" bindingroots: Vec<String>;
    }

    /// Mount points that the silo sees.
    MountManagerNamespace since 2.3 {
        "mount_point" mount_point: Vec<MountManagerMountPoint>;
    }

    /// A mount point.
    MountManagerMountPoint since 2.3 {
        "name" name: String;
        "path" path: String;
    }

    /// Named pipes of the silo.
    NamedPipeNamespace since 2.3 {
        "symlink" symlink: Vec<NamedPipeSymlink>;
    }

    /// A symbolic link among named pipes.
    NamedPipeSymlink since 2.3 {
        "name" name: String;
        "path" path: String;
    }

    /// The object manager namespace of the silo.
    ObjectNamespace since 2.3 {
        "shadow" shadow: ObjectDirectoryShadow;
        "symlink" symlink: Vec<ObjectSymlink>;
        "objdir" objdir: Vec<ObjectDirectory>;
    }

    /// A directory of the object manager.
    ObjectDirectory since 2.3 {
        "name" name: String;
        "clonesd" clonesd: String;
        "shadow" shadow: ObjectDirectoryShadow;
        "symlink" symlink: Vec<ObjectSymlink>;
        "objdir" objdir: Vec<ObjectDirectory>;
    }

    /// A symbolic link of the object manager.
    ObjectSymlink since 2.3 {
        "name" name: String;
        "path" path: String;
        "scope" scope: ObjectSymlinkScope;
        "pathtoclone" pathtoclone: String;
        "access_mask" access_mask: u32;
    }

    /// The registry that the silo sees.
    RegistryNamespace since 2.3 {
        "symlink" symlink: Vec<RegistrySymlink>;
        "redirectionnode" redirectionnode: Vec<RegistryRedirectionNode>;
        "hivestack" hivestack: Vec<RegistryHiveStack>;
    }

    /// A hive made of layers.
    RegistryHiveStack since 2.3 {
        "hive" hive: String;
        "layer" layer: Vec<RegistryLayer>;
        "mkkey" mkkey: Vec<RegistryMakeKey>;
        "delkey" delkey: Vec<RegistryDeleteKey>;
    }

    /// A layer of a hive.
    RegistryLayer {
        "hosthive" hosthive: String, since 2.3;
        "filepath" filepath: String, since 2.3;
        "identifier" identifier: Guid, since 2.3;
        "readonly" readonly: bool, since 2.3;
        "immutable" immutable: bool, since 2.3;
        "inherittrustclass" inherittrustclass: bool, since 2.3;
        "trustedhive" trustedhive: bool;
        "writethrough" writethrough: bool, since 2.3;
        "fileaccesstoken" fileaccesstoken: u64, since 2.3;
    }

    /// A key to make.
    RegistryMakeKey since 2.3 {
        "name" name: String;
        "clonesd" clonesd: String;
        "mkkey" mkkey: Vec<RegistryMakeKey>;
        "mkvalue" mkvalue: Vec<RegistryMakeValue>;
        "volatile" volatile: bool;
    }

    /// A value to make.
    RegistryMakeValue since 2.3 {
        "name" name: String;
        "data_multistring" data_multistring: String;
        "data_dword" data_dword: u32;
        "data_string" data_string: String;
        "data_binary" data_binary: ByteArray;
    }

    /// A key to delete.
    RegistryDeleteKey since 2.3 {
        "name" name: String;
    }

    /// A symbolic link in the registry.
    RegistrySymlink since 2.3 {
        "key" key: String;
        "target" target: String;
    }

    /// A key that leads to the registry of the host.
    RegistryRedirectionNode since 2.3 {
        "containerpath" containerpath: String;
        "hostpath" hostpath: String;
        "hivestack" hivestack: String;
        "access_mask" access_mask: u32;
        "trustedhive" trustedhive: bool;
        "exitnode" exitnode: bool;
    }

    /// The network compartment of the silo.
    NetworkNamespace since 2.3 {
        "compartment" compartment: String;
    }

    /// Files of the host that the silo sees.
    HostFiles since 2.3 {
        "base_image_path" base_image_path: String;
        "sandbox_path" sandbox_path: String;
        "file" file: Vec<String>;
    }
}

enumerations! {
    /// How an interface class is named.
    InterfaceClassType since 2.3 {
        Inherit = "Inherit";
        DeviceInstance = "DeviceInstance";
        ClassGuid = "ClassGuid";
    }

    /// When the job ends.
    JobTerminationPolicy since 2.3 {
        PermanentQuiescent = "PermanentQuiescent";
        KillOnHandleClose = "KillOnHandleClose";
    }

    /// How a silo is kept from the file system of the host.
    FilesystemIsolationMode since 2.3 {
        Hard = "hard";
        Soft = "soft";
    }

    /// How nested silos share a file system.
    FilesystemNestingMode since 2.3 {
        Inner = "inner";
        Outer = "outer";
    }

    /// Whether a directory shadows that of the host.
    ObjectDirectoryShadow since 2.3 {
        False = "false";
        True = "true";
        IfExists = "ifexists";
    }

    /// Where a symbolic link of the object manager is resolved.
    ObjectSymlinkScope since 2.3 {
        Local = "Local";
        Global = "Global";
        GlobalDropSilo = "GlobalDropSilo";
    }
}
