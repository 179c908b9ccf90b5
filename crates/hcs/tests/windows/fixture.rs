//! How the suite gets at the libraries.

use hcs::documents::{ComputeSystem, ProcessParameters};
use hcs::network::ComputeNetwork as Network;
use hcs::service::ComputeService;
use hcs::storage::{ComputeStorage as Storage, LayerDriver};
use hcs::suite::memory::MemoryFixture;
use hcs::suite::{Case, Fixture, Need, Program};
use hcs::windows::computecore::{ComputeCore, Service};
use hcs::windows::computenetwork::ComputeNetwork;
use hcs::windows::computestorage::ComputeStorage;
use hcs::windows::vmcompute::VmCompute;
use hcs::windows::{Place, Unavailable};
use std::path::{Path, PathBuf};

/// Where the libraries under test are.
pub(crate) fn place() -> Place {
    std::env::var_os("COFFERDAM_LIBRARIES").map_or(Place::System32, |folder| Place::Folder(folder.into()))
}

/// The libraries under test.
pub(crate) struct Libraries {
    name: &'static str,
    service: Box<dyn ComputeService>,
    network: ComputeNetwork,
    storage: ComputeStorage,
    layers: VmCompute,
    folder: PathBuf,
}

/// The compute service by way of computecore.dll, and all others.
pub(crate) fn over_computecore(folder: &Path) -> Result<Libraries, Unavailable> {
    let service = Service::new(ComputeCore::load(&place())?);
    Libraries::load("computecore.dll", Box::new(service), folder)
}

/// The compute service by way of vmcompute.dll.
pub(crate) fn over_vmcompute(folder: &Path) -> Result<Libraries, Unavailable> {
    Libraries::load("vmcompute.dll", Box::new(VmCompute::load(&place())?), folder)
}

impl Libraries {
    fn load(
        name: &'static str,
        service: Box<dyn ComputeService>,
        folder: &Path,
    ) -> Result<Self, Unavailable> {
        let place = place();
        Ok(Self {
            name,
            service,
            network: ComputeNetwork::load(&place)?,
            storage: ComputeStorage::load(&place)?,
            layers: VmCompute::load(&place)?,
            folder: folder.to_owned(),
        })
    }

    /// The library that the compute service is spoken to through.
    pub(crate) fn library(&self) -> &'static str {
        self.name
    }

    /// Whether a case holds here.
    pub(crate) fn runs(&self, case: &Case) -> bool {
        // In version 1 a document without a version is one of schema 1.
        let other = self.is_v1() && case.name == "a document without a version is refused";
        self.can(case.need) && !other
    }

    fn is_v1(&self) -> bool {
        self.name == "vmcompute.dll"
    }
}

impl Fixture for Libraries {
    fn can(&self, need: Need) -> bool {
        match need {
            Need::Containers | Need::Processes | Need::Pause | Need::ProcessorGroups => true,
            // Version 1 has no call that crashes, that makes state files or that takes queries of schema 2.5.
            Need::Crash | Need::Queries | Need::Machines | Need::Hosted => !self.is_v1(),
            // They pass the suite once, with computecore.dll.
            Need::Network | Need::Storage | Need::Driver => !self.is_v1(),
        }
    }

    fn service(&self) -> &dyn ComputeService {
        &*self.service
    }

    fn container(&self) -> ComputeSystem {
        MemoryFixture::container_document()
    }

    fn machine(&self) -> ComputeSystem {
        MemoryFixture::machine_document()
    }

    fn hosted(&self, host: &str) -> ComputeSystem {
        MemoryFixture::hosted_document(host)
    }

    fn process(&self, program: Program<'_>) -> ProcessParameters {
        MemoryFixture::parameters(program)
    }

    fn network(&self) -> &dyn Network {
        &self.network
    }

    fn storage(&self) -> &dyn Storage {
        &self.storage
    }

    fn driver(&self, home: &Path) -> Box<dyn LayerDriver> {
        Box::new(self.layers.layers(home))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
