//! The document that a compute system is made of.

use super::{Container, VirtualMachine};
use crate::document::{IntoField, SchemaVersion, documents};
use serde_json::Value;

documents! {
    /// A compute system: exactly one of a container, a virtual machine, and a system hosted in a virtual
    /// machine.
    ///
    /// [`ComputeSystem::of_container`], [`ComputeSystem::of_virtual_machine`] and
    /// [`ComputeSystem::hosted_in`] make one that is; [`ComputeSystem::what`] tells which one it is.
    ComputeSystem {
        /// Who made the system: a name by which its owner finds it again.
        "Owner" owner: String;
        /// The version that the document is written in.
        "SchemaVersion" schema_version: Version;
        /// The id of the virtual machine that hosts the system.
        "HostingSystemId" hosting_system_id: String;
        "HostedSystem" hosted_system: HostedSystem;
        "Container" container: Container;
        "VirtualMachine" virtual_machine: VirtualMachine;
        /// The system ends when the last handle to it is closed.
        "ShouldTerminateOnLastHandleClosed" should_terminate_on_last_handle_closed: bool;
    }

    /// A container in a virtual machine, as the guest is told of it.
    HostedSystem {
        "SchemaVersion" schema_version: Version;
        "Container" container: Container;
        /// The directory of the container in a Linux guest.
        "OciBundlePath" oci_bundle_path: String, since unpublished;
        /// The OCI runtime specification of the container in a Linux guest.
        "OciSpecification" oci_specification: Value, since unpublished;
        "ScratchDirPath" scratch_dir_path: String, since unpublished;
    }

    /// A schema version in a document.
    Version {
        "Major" major: u32;
        "Minor" minor: u32;
    }
}

impl Version {
    /// The version, if both numbers are there.
    pub fn version(&self) -> Option<SchemaVersion> {
        Some(SchemaVersion::new(self.major?, self.minor?))
    }
}

impl From<SchemaVersion> for Version {
    fn from(version: SchemaVersion) -> Self {
        Self::new().major(version.major).minor(version.minor)
    }
}

impl IntoField<Version> for SchemaVersion {
    fn into_field(self) -> Version {
        self.into()
    }
}

/// What a compute system is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What<'a> {
    /// A container on the host.
    Container(&'a Container),
    /// A virtual machine.
    VirtualMachine(&'a VirtualMachine),
    /// A system in a virtual machine.
    Hosted {
        /// The id of the virtual machine.
        host: &'a str,
        /// The system.
        system: &'a HostedSystem,
    },
}

/// A document that does not say what the compute system is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// There is nothing.
    #[error(
        "a compute system is a Container, a VirtualMachine or a HostedSystem: the document has none of them"
    )]
    Nothing,
    /// There is more than one thing.
    #[error(
        "a compute system is one of Container, VirtualMachine and HostedSystem, and the document has {found}"
    )]
    Several {
        /// The names of those that are there.
        found: String,
    },
    /// It is hosted, and the host is not named.
    #[error("a HostedSystem needs a HostingSystemId")]
    NoHost,
    /// A host is named for what is not hosted.
    #[error("HostingSystemId is {host:?}, and the document has no HostedSystem")]
    NotHosted {
        /// The host that is named.
        host: String,
    },
}

impl ComputeSystem {
    /// A container on the host.
    #[must_use]
    pub fn of_container(schema: SchemaVersion, container: Container) -> Self {
        Self::new().schema_version(schema).container(container)
    }

    /// A virtual machine.
    #[must_use]
    pub fn of_virtual_machine(schema: SchemaVersion, machine: VirtualMachine) -> Self {
        Self::new().schema_version(schema).virtual_machine(machine)
    }

    /// A system in the virtual machine `host`.
    #[must_use]
    pub fn hosted_in(host: &str, schema: SchemaVersion, system: HostedSystem) -> Self {
        Self::new().schema_version(schema).hosting_system_id(host).hosted_system(system)
    }

    /// What the system is.
    ///
    /// # Errors
    /// The document has none or several of the three, or does not name the host of a hosted system.
    pub fn what(&self) -> Result<What<'_>, Unclear> {
        let host = self.hosting_system_id.as_deref();
        match (&self.container, &self.virtual_machine, &self.hosted_system) {
            (None, None, Some(system)) => host
                .filter(|host| !host.is_empty())
                .map(|host| What::Hosted { host, system })
                .ok_or(Unclear::NoHost),
            (Some(container), None, None) => Self::unhosted(host).map(|()| What::Container(container)),
            (None, Some(machine), None) => Self::unhosted(host).map(|()| What::VirtualMachine(machine)),
            (None, None, None) => Err(Unclear::Nothing),
            (container, machine, hosted) => {
                let there = [
                    container.as_ref().map(|_| "Container"),
                    machine.as_ref().map(|_| "VirtualMachine"),
                    hosted.as_ref().map(|_| "HostedSystem"),
                ];
                Err(Unclear::Several { found: there.into_iter().flatten().collect::<Vec<_>>().join(" and ") })
            }
        }
    }

    fn unhosted(host: Option<&str>) -> Result<(), Unclear> {
        match host {
            None | Some("") => Ok(()),
            Some(host) => Err(Unclear::NotHosted { host: host.to_owned() }),
        }
    }
}

impl HostedSystem {
    /// A Windows container in a virtual machine.
    #[must_use]
    pub fn of_container(schema: SchemaVersion, container: Container) -> Self {
        Self::new().schema_version(schema).container(container)
    }

    /// A Linux container in a virtual machine: the guest makes it of an OCI specification in `bundle`.
    #[must_use]
    pub fn of_bundle(schema: SchemaVersion, bundle: &str, specification: Value) -> Self {
        Self::new().schema_version(schema).oci_bundle_path(bundle).oci_specification(specification)
    }
}
