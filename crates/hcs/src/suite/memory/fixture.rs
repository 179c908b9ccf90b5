//! The in-memory implementations, as the suite gets at them.

use super::{Memory, MemoryDriver, MemoryNetwork, MemoryStorage};
use crate::document::SchemaVersion;
use crate::documents::{
    ComputeSystem, Container, GuestOs, HostedSystem, ProcessParameters, Topology, VirtualMachine,
    VirtualMachineMemory,
};
use crate::network::ComputeNetwork;
use crate::service::ComputeService;
use crate::storage::{ComputeStorage, LayerDriver};
use crate::suite::{Fixture, Need, Program};
use std::path::{Path, PathBuf};

/// All of the in-memory implementations, with a folder for files.
#[derive(Clone)]
pub struct MemoryFixture {
    service: Memory,
    network: MemoryNetwork,
    storage: MemoryStorage,
    folder: PathBuf,
}

impl MemoryFixture {
    /// New ones; cases make their files below `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { service: Memory::new(), network: MemoryNetwork::new(), storage: MemoryStorage::new(), folder }
    }

    /// The service itself.
    pub fn memory(&self) -> &Memory {
        &self.service
    }

    /// A document of schema 2.1 for a container.
    pub fn container_document() -> ComputeSystem {
        let container = Container::new().guest_os(GuestOs::new().host_name("suite"));
        ComputeSystem::of_container(SchemaVersion::V2_1, container).owner("suite")
    }

    /// A document of schema 2.1 for a virtual machine.
    pub fn machine_document() -> ComputeSystem {
        let memory = VirtualMachineMemory::new().size_in_mb(256_u64);
        let machine = VirtualMachine::new().compute_topology(Topology::new().memory(memory));
        ComputeSystem::of_virtual_machine(SchemaVersion::V2_1, machine).owner("suite")
    }

    /// A document of schema 2.1 for a container in a virtual machine.
    pub fn hosted_document(host: &str) -> ComputeSystem {
        let system = HostedSystem::of_container(SchemaVersion::V2_1, Container::new());
        ComputeSystem::hosted_in(host, SchemaVersion::V2_1, system).owner("suite")
    }

    /// The words that the in-memory service understands as command line.
    pub fn parameters(program: Program<'_>) -> ProcessParameters {
        ProcessParameters::new().command_line(match program {
            Program::Exits(code) => format!("exit {code}"),
            Program::Sleeps => "sleep".to_owned(),
            Program::Copies => "cat".to_owned(),
            Program::Says(text) => format!("say {text}"),
            Program::Complains(text) => format!("complain {text}"),
            Program::Missing => "missing".to_owned(),
        })
    }
}

impl Fixture for MemoryFixture {
    fn can(&self, _need: Need) -> bool {
        true
    }

    fn service(&self) -> &dyn ComputeService {
        &self.service
    }

    fn container(&self) -> ComputeSystem {
        Self::container_document()
    }

    fn machine(&self) -> ComputeSystem {
        Self::machine_document()
    }

    fn hosted(&self, host: &str) -> ComputeSystem {
        Self::hosted_document(host)
    }

    fn process(&self, program: Program<'_>) -> ProcessParameters {
        Self::parameters(program)
    }

    fn network(&self) -> &dyn ComputeNetwork {
        &self.network
    }

    fn storage(&self) -> &dyn ComputeStorage {
        &self.storage
    }

    fn driver(&self, home: &Path) -> Box<dyn LayerDriver> {
        Box::new(MemoryDriver::new(home))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
