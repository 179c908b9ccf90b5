//! The service that computecore.dll speaks to, typed.

use super::ComputeCore;
use super::operation::Tracked;
use super::system::TypedSystem;
use crate::document::Document as _;
use crate::documents::{
    CrashReport, ModificationRequest, Properties, ServiceProperties, ServicePropertyQuery, SystemExitStatus,
    SystemQuery, VmProcessorRequirements,
};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind};
use crate::service::{ComputeService, Configuration, System};
use crate::windows::answer::no_handle;
use crate::windows::text::{read, unless_empty};
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The Host Compute Service of this host, by way of computecore.dll.
#[derive(Debug, Clone)]
pub struct Service {
    library: ComputeCore,
    /// The ids of systems that this service has created to end with their last handle.
    ending: Arc<Mutex<HashSet<String>>>,
}

impl Service {
    /// The service behind this library.
    pub fn new(library: ComputeCore) -> Self {
        Self { library, ending: Arc::default() }
    }

    /// Remembers, or asks, whether the system with this id ends with its last handle.
    fn ending(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tracked(&self, kind: OperationKind, attempted: String) -> Tracked<'_, SystemExitStatus> {
        Tracked { functions: self.library.functions(), kind, attempted, listener: None }
    }
}

impl ComputeService for Service {
    fn enumerate_systems(&self, query: &SystemQuery) -> Result<Operation<Vec<Properties>>> {
        let query = unless_empty(query);
        self.tracked(OperationKind::Enumerate, "enumerate compute systems".to_owned()).call(
            |handle, attempted| systems(handle.collect(attempted)?.as_deref(), attempted),
            |operation| self.library.enumerate_compute_systems(operation, query.as_deref()),
        )
    }

    fn create_system(
        &self,
        id: &str,
        configuration: &Configuration,
    ) -> Result<(Box<dyn System>, Operation<()>)> {
        let attempted = format!("create compute system {id}");
        let Configuration::V2(document) = configuration else {
            return Err(Error::new(attempted, HResult::ERROR_NOT_SUPPORTED).caused_by(OldSchema));
        };
        let ends_with_handles = document.should_terminate_on_last_handle_closed == Some(true);
        let document = document.to_json();
        let mut system = None;
        let operation = self.tracked(OperationKind::Create, attempted.clone()).call(
            |handle, attempted| handle.collect(attempted).map(|_| ()),
            |operation| {
                system = Some(self.library.create_compute_system(operation, id, &document)?);
                Ok(())
            },
        )?;
        let system = system.ok_or_else(|| no_handle(&attempted))?;
        match ends_with_handles {
            true => self.ending().insert(id.to_owned()),
            false => self.ending().remove(id),
        };
        Ok((TypedSystem::boxed(system, &self.library, ends_with_handles), operation))
    }

    fn open_system(&self, id: &str) -> Result<Box<dyn System>> {
        let system = self.library.open_compute_system(id)?;
        Ok(TypedSystem::boxed(system, &self.library, self.ending().contains(id)))
    }

    fn service_properties(&self, query: &ServicePropertyQuery) -> Result<ServiceProperties> {
        read(self.library.service_properties(unless_empty(query).as_deref())?.as_deref(), "query the service")
    }

    fn modify_service(&self, request: &ModificationRequest) -> Result<()> {
        self.library.modify_service_settings(&request.to_json()).map(|_| ())
    }

    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        self.library.grant_vm_access(id, file)
    }

    fn grant_vm_group_access(&self, file: &Path) -> Result<()> {
        self.library.grant_vm_group_access(file)
    }

    fn create_empty_guest_state_file(&self, file: &Path) -> Result<()> {
        self.library.create_empty_guest_state_file(file)
    }

    fn create_empty_runtime_state_file(&self, file: &Path) -> Result<()> {
        self.library.create_empty_runtime_state_file(file)
    }

    fn processor_compatibility(&self, saved: &Path) -> Result<VmProcessorRequirements> {
        let answer = self.library.processor_compatibility_from_saved_state(saved)?;
        read(answer.as_deref(), &format!("ask what processor {} needs", saved.display()))
    }

    fn submit_crash_report(&self, report: &CrashReport) -> Result<()> {
        self.library.submit_wer_report(&report.to_json())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("computecore.dll takes documents of schema 2; vmcompute.dll takes those of schema 1")]
struct OldSchema;

/// Reads the array that an enumeration answers; no document is no system.
pub(in crate::windows) fn systems(text: Option<&str>, attempted: &str) -> Result<Vec<Properties>> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or("[]");
    let values: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|cause| Error::new(attempted, HResult::HCS_E_INVALID_JSON).caused_by(cause))?;
    values.iter().map(|value| read(Some(&value.to_string()), attempted)).collect()
}
