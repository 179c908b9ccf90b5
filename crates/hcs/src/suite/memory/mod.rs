//! A Host Compute Service whose systems are entries of a map and whose processes are threads: the smallest thing that
//! keeps the contract. Its layers are folders, its networks documents that know of each other.

mod fixture;
mod guest;
mod host;
mod network;
mod policies;
mod storage;
mod system;
mod task;
mod work;

pub use fixture::MemoryFixture;
pub use network::MemoryNetwork;
pub use storage::{MemoryDriver, MemoryStorage};
pub use work::Held;

use crate::document::{Document, SchemaVersion};
use crate::documents::{
    CrashReport, ModificationRequest, Properties, ResultError, ServiceProperties, ServicePropertyQuery,
    SystemQuery, SystemType, VmProcessorRequirements,
};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind};
use crate::service::{ComputeService, Configuration, System};
use guest::Guest;
use host::Host;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use system::MemorySystem;

/// The schema versions that it supports.
const SCHEMAS: [SchemaVersion; 4] =
    [SchemaVersion::V1, SchemaVersion::V2_0, SchemaVersion::V2_1, SchemaVersion::V2_5];

/// The service; clones are the same service.
#[derive(Clone, Default)]
pub struct Memory {
    host: Arc<Host>,
}

impl Memory {
    /// A service without compute systems.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on calls are accepted, but not carried out until what is returned is dropped.
    pub fn hold(&self) -> Held {
        self.host.work.hold()
    }

    /// How many compute systems there are.
    pub fn count(&self) -> usize {
        self.host.systems().len()
    }
}

impl ComputeService for Memory {
    fn enumerate_systems(&self, query: &SystemQuery) -> Result<Operation<Vec<Properties>>> {
        let (host, query) = (Arc::clone(&self.host), query.clone());
        let attempted = "enumerate compute systems".to_owned();
        Ok(self.host.work.accept(OperationKind::Enumerate, attempted, None, move || {
            let guests: Vec<Arc<Guest>> = host.systems().values().cloned().collect();
            let all = guests.iter().map(|guest| guest.basics());
            Ok(all.filter(|properties| matches(&query, properties)).collect())
        }))
    }

    fn create_system(
        &self,
        id: &str,
        configuration: &Configuration,
    ) -> Result<(Box<dyn System>, Operation<()>)> {
        let attempted = format!("create compute system {id}");
        if id.is_empty() {
            return Err(refusal(&attempted, HResult::E_INVALIDARG));
        }
        check(configuration).map_err(|code| refusal(&attempted, code))?;
        let guest = self.host.add(id, configuration).map_err(|code| refusal(&attempted, code))?;
        let system = MemorySystem::open(&self.host, guest);
        let callbacks = Arc::clone(system.callbacks());
        let created = self.host.work.accept(OperationKind::Create, attempted, Some(&callbacks), || Ok(()));
        Ok((Box::new(system), created))
    }

    fn open_system(&self, id: &str) -> Result<Box<dyn System>> {
        let guest = self.host.systems().get(id).cloned();
        let guest = guest
            .ok_or_else(|| refusal(&format!("open compute system {id}"), HResult::HCS_E_SYSTEM_NOT_FOUND))?;
        Ok(Box::new(MemorySystem::open(&self.host, guest)))
    }

    fn service_properties(&self, query: &ServicePropertyQuery) -> Result<ServiceProperties> {
        self.host.properties(query)
    }

    fn modify_service(&self, request: &ModificationRequest) -> Result<()> {
        self.host.modify(request)
    }

    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("let {id} use {}", file.display());
        fs::metadata(file).map(drop).map_err(|cause| Error::io(attempted, cause))
    }

    fn grant_vm_group_access(&self, file: &Path) -> Result<()> {
        let attempted = format!("let virtual machines use {}", file.display());
        fs::metadata(file).map(drop).map_err(|cause| Error::io(attempted, cause))
    }

    fn create_empty_guest_state_file(&self, file: &Path) -> Result<()> {
        create_new(file)
    }

    fn create_empty_runtime_state_file(&self, file: &Path) -> Result<()> {
        create_new(file)
    }

    fn processor_compatibility(&self, saved: &Path) -> Result<VmProcessorRequirements> {
        let attempted = format!("read what {} needs", saved.display());
        fs::metadata(saved).map_err(|cause| Error::io(attempted, cause))?;
        Ok(VmProcessorRequirements::new().cache_line_flush_size(64_u64))
    }

    fn submit_crash_report(&self, report: &CrashReport) -> Result<()> {
        match &report.system_id {
            Some(_) => Ok(()),
            None => Err(refusal("submit a crash report", HResult::E_INVALIDARG)),
        }
    }
}

/// An error with its document, as the service gives it.
fn refusal(attempted: &str, code: HResult) -> Error {
    documented(Error::new(attempted, code))
}

fn documented(error: Error) -> Error {
    let message = error.code().meaning().unwrap_or_default();
    let document = ResultError::new().error(error.code().to_i32()).error_message(message);
    error.with_document(document)
}

fn create_new(file: &Path) -> Result<()> {
    let created = fs::OpenOptions::new().write(true).create_new(true).open(file);
    created.map(drop).map_err(|cause| Error::io(format!("make {}", file.display()), cause))
}

/// A document makes sense if it is one system of a schema that is known. Clients write 2.1 and use what came later, as
/// far as the host has it.
fn check(configuration: &Configuration) -> std::result::Result<(), HResult> {
    let document = match configuration {
        Configuration::V2(document) => document,
        Configuration::V1(_) => return Ok(()),
    };
    let version = document.schema_version.as_ref().ok_or(HResult::HCS_E_INVALID_JSON)?;
    let version = SchemaVersion::new(version.major.unwrap_or(0), version.minor.unwrap_or(0));
    if version.major != 2 || !SCHEMAS.contains(&version) {
        return Err(HResult::HCS_E_INVALID_JSON);
    }
    document.check(SchemaVersion::V2_5).map_err(|_| HResult::HCS_E_INVALID_JSON)?;
    document.what().map(drop).map_err(|_| HResult::HCS_E_INVALID_JSON)
}

/// An absent list admits all.
fn matches(query: &SystemQuery, properties: &Properties) -> bool {
    fn admits<T: PartialEq>(wanted: Option<&Vec<T>>, found: Option<&T>) -> bool {
        wanted.is_none_or(|wanted| found.is_some_and(|found| wanted.contains(found)))
    }
    let kind: Option<&SystemType> = properties.system_type.as_ref();
    admits(query.ids.as_ref(), properties.id.as_ref())
        && admits(query.names.as_ref(), properties.name.as_ref())
        && admits(query.types.as_ref(), kind)
        && admits(query.owners.as_ref(), properties.owner.as_ref())
}
