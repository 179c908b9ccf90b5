//! What of a compute system can be changed, and how: typed resource paths.
//!
//! Each resource is a type ([`ScsiAttachment`]) that knows its path, the type of its settings, and which
//! requests it admits (it implements [`Add`], [`Remove`], [`Update`]); so
//! [`ModifySettingRequest::add`](super::ModifySettingRequest) takes nothing else. Who receives a request
//! reads its path as a [`ResourcePath`].

use super::{
    Attachment, ComPort, ContainerProcessor, CpuGroup, Device, FlexibleIoDevice, GpuConfiguration,
    HvSocketServiceConfig, IdleProcessorsRequest, MappedDirectory, MappedPipe, ModifyRequestType,
    NetworkAdapter, Plan9Share, ProcessorLimits, RegistryFlushState, SharedMemoryRegion, VirtualPMemDevice,
    VirtualPMemMapping, VirtualPciDevice, VirtualSmbShare,
};
use crate::document::{Element, Guid, Key, Shape};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Something that can be changed.
pub trait Resource {
    /// What is said of it; `()` if nothing is.
    type Settings: Element;

    /// Its path.
    fn path(&self) -> ResourcePath;
}

/// A resource that can be added.
pub trait Add: Resource {}

/// A resource that can be removed.
pub trait Remove: Resource {}

/// A resource that can be updated.
pub trait Update: Resource {}

/// A path that is not one of a resource, or a request that a resource does not admit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// No resource has such a path.
    #[error("no resource has the path {path:?}")]
    Unknown {
        /// The path.
        path: String,
    },
    /// A part of the path is not what it should be.
    #[error("{part:?} in the resource path {path:?} is not a {expected}")]
    Part {
        /// The path.
        path: String,
        /// The part.
        part: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// The resource does not admit the request.
    #[error("{path} admits {admitted}, not {request}")]
    Request {
        /// The path.
        path: String,
        /// The request.
        request: ModifyRequestType,
        /// The requests that the resource admits.
        admitted: String,
    },
}

/// A serial port of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SerialPort {
    /// Port 0.
    Com1,
    /// Port 1.
    Com2,
}

impl Key for SerialPort {
    const NAME: &'static str = "serial port (0 or 1)";
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "0" => Some(Self::Com1),
            "1" => Some(Self::Com2),
            _ => None,
        }
    }
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Com1 => "0".into(),
            Self::Com2 => "1".into(),
        }
    }
}

macro_rules! resources {
    ($($(#[$meta:meta])* $name:ident { $($(#[$part_meta:meta])* $part:ident: $type:ty),* }
        = $path:literal: $settings:ty, $($request:ident)*;)*) => {
        $(
            $(#[$meta])*
            #[doc = concat!("\n\n`", $path, "`")]
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $name {
                $($(#[$part_meta])* pub $part: $type,)*
            }

            impl Resource for $name {
                type Settings = $settings;
                fn path(&self) -> ResourcePath {
                    ResourcePath::$name(self.clone())
                }
            }

            $(impl $request for $name {})*
        )*

        /// The path of a resource.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum ResourcePath {
            $($(#[$meta])* $name($name),)*
        }

        impl ResourcePath {
            /// The paths of all resources, with the names of their parts in braces.
            pub const PATTERNS: &'static [&'static str] = &[$($path),*];

            /// What the resource's settings are.
            pub fn settings(&self) -> Shape {
                match self {
                    $(Self::$name(_) => <$settings as Element>::shape(),)*
                }
            }

            /// The requests that the resource admits.
            pub fn admitted(&self) -> &'static [ModifyRequestType] {
                match self {
                    $(Self::$name(_) => const { &[$(ModifyRequestType::$request),*] },)*
                }
            }

            fn pattern(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $path,)*
                }
            }

            fn parts(&self) -> Vec<Cow<'_, str>> {
                match self {
                    $(Self::$name($name { $($part),* }) => vec![$($part.text()),*],)*
                }
            }

            fn read(path: &str) -> Result<Self, ResourceError> {
                $(
                    if let Some(parts) = matched($path, path) {
                        #[allow(unused_mut, unused_variables, reason = "a path without parts takes none")]
                        let mut parts = parts.into_iter();
                        return Ok(Self::$name($name { $($part: read_part::<$type>(parts.next(), path)?,)* }));
                    }
                )*
                Err(ResourceError::Unknown { path: path.to_owned() })
            }
        }
    };
}

resources! {
    /// The processor group of a virtual machine.
    ProcessorGroup {} = "VirtualMachine/ComputeTopology/Processor/CpuGroup": CpuGroup, Add Remove Update;
    /// How many processors of a virtual machine are idled.
    IdledProcessors {} =
        "VirtualMachine/ComputeTopology/Processor/IdledProcessors": IdleProcessorsRequest, Update;
    /// The highest frequency of the processors of a virtual machine, in MHz.
    CpuFrequencyPowerCap {} =
        "VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap": u32, Add Remove Update;
    /// Limits of the processors of a virtual machine.
    Limits {} = "VirtualMachine/ComputeTopology/Processor/Limits": ProcessorLimits, Add Remove Update;
    /// GPUs of a virtual machine.
    Gpu {} = "VirtualMachine/ComputeTopology/Gpu": GpuConfiguration, Update;
    /// Memory of a virtual machine, in MiB.
    MemorySize {} = "VirtualMachine/ComputeTopology/Memory/SizeInMB": u64, Add Remove Update;
    /// A device emulated by a program.
    FlexibleIov {
        /// The name of the device.
        id: String
    } = "VirtualMachine/Devices/FlexibleIov/{id}": FlexibleIoDevice, Add;
    /// A named pipe of the host in a virtual machine. There are no settings.
    MachinePipe {
        /// The name of the pipe.
        id: String
    } = "VirtualMachine/Devices/MappedPipes/{id}": (), Add Remove;
    /// A network adapter.
    Adapter {
        /// The name of the adapter.
        id: String
    } = "VirtualMachine/Devices/NetworkAdapters/{id}": NetworkAdapter, Add Remove Update;
    /// A 9P share. To remove one, its name, access name and port are its settings.
    Plan9Shares {} = "VirtualMachine/Devices/Plan9/Shares": Plan9Share, Add Remove Update;
    /// A disk on a SCSI controller. Settings of a removal are ignored.
    ScsiAttachment {
        /// The controller: a number or a GUID.
        controller: String,
        /// The LUN, 0 to 63.
        lun: u32
    } = "VirtualMachine/Devices/Scsi/{controller}/Attachments/{lun}": Attachment, Add Remove Update;
    /// A serial port.
    Serial {
        /// Which of the two.
        port: SerialPort
    } = "VirtualMachine/Devices/ComPorts/{port}": ComPort, Add Remove Update;
    /// A region of shared memory.
    SharedMemoryRegions {} =
        "VirtualMachine/Devices/SharedMemory/Regions": SharedMemoryRegion, Add Remove Update;
    /// A persistent memory device. Settings of a removal are ignored.
    PersistentMemory {
        /// The number of the device.
        device: u8
    } = "VirtualMachine/Devices/VirtualPMem/Devices/{device}": VirtualPMemDevice, Add Remove;
    /// One of several images on a persistent memory device. Settings of a removal are ignored.
    PersistentMemoryMapping {
        /// The number of the device.
        device: u8,
        /// Where the image is on the device, in bytes.
        offset: u64
    } = "VirtualMachine/Devices/VirtualPMem/Devices/{device}/Mappings/{offset}":
        VirtualPMemMapping, Add Remove;
    /// An SMB share. To remove one, its name is its settings.
    SmbShares {} = "VirtualMachine/Devices/VirtualSmb/Shares": VirtualSmbShare, Add Remove Update;
    /// Devices on a virtual PCI bus. Settings of a removal are ignored.
    PciBus {
        /// The VMBus GUID of the bus.
        id: String
    } = "VirtualMachine/Devices/VirtualPci/{id}": VirtualPciDevice, Add Remove;
    /// Licensing of a virtual machine; what its settings are is not published.
    Licensing {} = "VirtualMachine/Devices/Licensing": Value, Update;
    /// A Hyper-V socket service of a virtual machine.
    SocketService {
        /// The service.
        service: Guid
    } = "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/{service}":
        HvSocketServiceConfig, Add Remove Update;
    /// A device of the host given to a container.
    ContainerDevice {} = "Container/Devices/Generic": Device, Add Remove Update;
    /// A directory of the host in a container.
    ContainerDirectories {} = "Container/MappedDirectories": MappedDirectory, Add Remove Update;
    /// A named pipe of the host in a container.
    ContainerPipes {} = "Container/MappedPipes": MappedPipe, Add Remove Update;
    /// The memory limit of a container, in MiB.
    ContainerMemorySize {} = "Container/Memory/SizeInMB": u64, Add Remove Update;
    /// Whether the registry of a container is flushed.
    ContainerRegistryFlush {} = "Container/RegistryFlushState": RegistryFlushState, Add Remove Update;
    /// Processors of a container.
    ContainerProcessors {} = "Container/Processor": ContainerProcessor, Add Remove Update;
}

impl ResourcePath {
    /// Refuses a request that the resource does not admit.
    ///
    /// # Errors
    /// [`ResourceError::Request`].
    pub fn admit(&self, request: &ModifyRequestType) -> Result<(), ResourceError> {
        if self.admitted().contains(request) {
            return Ok(());
        }
        let admitted = self.admitted().iter().map(ModifyRequestType::as_str).collect::<Vec<_>>().join(", ");
        Err(ResourceError::Request { path: self.to_string(), request: request.clone(), admitted })
    }
}

impl FromStr for ResourcePath {
    type Err = ResourceError;

    fn from_str(path: &str) -> Result<Self, ResourceError> {
        Self::read(path)
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.parts().into_iter();
        for (index, step) in self.pattern().split('/').enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            match step.starts_with('{') {
                true => f.write_str(&parts.next().unwrap_or_default())?,
                false => f.write_str(step)?,
            }
        }
        Ok(())
    }
}

/// The parts of `path` that stand where `pattern` has braces, if the rest is equal.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut steps, mut parts) = (path.split('/'), Vec::new());
    for expected in pattern.split('/') {
        let step = steps.next()?;
        match expected.starts_with('{') {
            true if !step.is_empty() => parts.push(step),
            false if step == expected => {}
            _ => return None,
        }
    }
    steps.next().is_none().then_some(parts)
}

fn read_part<K: Key>(part: Option<&str>, path: &str) -> Result<K, ResourceError> {
    let part = part.unwrap_or_default();
    K::from_text(part).ok_or_else(|| ResourceError::Part {
        path: path.to_owned(),
        part: part.to_owned(),
        expected: K::NAME,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pattern with something of the right type in each brace.
    fn filled() -> impl Iterator<Item = String> {
        ResourcePath::PATTERNS.iter().map(|pattern| {
            pattern
                .replace("{id}", "a b")
                .replace("{controller}", "df6d0690-79e5-55b6-a5ec-c1e2f77f580a")
                .replace("{lun}", "63")
                .replace("{port}", "1")
                .replace("{device}", "127")
                .replace("{offset}", "18446744073709551615")
                .replace("{service}", "ACEF5661-84a1-4e44-856b-6245e69f4620")
        })
    }

    #[test]
    fn every_path_is_printed_as_it_was_read() {
        for path in filled() {
            assert_eq!(path.parse::<ResourcePath>().unwrap().to_string(), path);
        }
        assert_eq!(filled().count(), 25);
    }

    #[test]
    fn what_is_close_to_a_path_is_not_one() {
        for path in filled() {
            for wrong in [format!("{path}/"), format!("/{path}"), format!("{path}/x"), path.to_lowercase()] {
                assert!(wrong.parse::<ResourcePath>().is_err(), "{wrong}");
            }
        }
        assert!("VirtualMachine/Devices/FlexibleIov/".parse::<ResourcePath>().is_err());
    }

    #[test]
    fn parts_have_types() {
        for (path, part) in [
            ("VirtualMachine/Devices/Scsi/0/Attachments/x", "x"),
            ("VirtualMachine/Devices/Scsi/0/Attachments/-1", "-1"),
            ("VirtualMachine/Devices/ComPorts/2", "2"),
            ("VirtualMachine/Devices/VirtualPMem/Devices/256", "256"),
            ("VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/109", "109"),
        ] {
            match path.parse::<ResourcePath>() {
                Err(ResourceError::Part { part: found, .. }) => assert_eq!(found, part),
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_resource_admits_what_the_reference_says() {
        use ModifyRequestType::{Add, Remove, Update};
        let admits = |path: &str| path.parse::<ResourcePath>().unwrap().admitted();
        assert_eq!(admits("VirtualMachine/ComputeTopology/Gpu"), [Update]);
        assert_eq!(admits("VirtualMachine/Devices/Licensing"), [Update]);
        assert_eq!(admits("VirtualMachine/Devices/FlexibleIov/a"), [Add]);
        assert_eq!(admits("VirtualMachine/Devices/VirtualPci/a"), [Add, Remove]);
        assert_eq!(admits("VirtualMachine/Devices/Plan9/Shares"), [Add, Remove, Update]);
        let error = Gpu {}.path().admit(&Remove).unwrap_err();
        assert_eq!(error.to_string(), "VirtualMachine/ComputeTopology/Gpu admits Update, not Remove");
    }
}
