//! vmcompute.dll: version 1 of the interface, for hosts from build 14393 (Server 2016) on; the layers of the same
//! hosts; and `HNSCall`, their network service.
//!
//! A call here is over when it returns, or it answers that it is pending and a notification tells its end
//! (`board.rs`). Codes are told in the form of version 2.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

mod board;
mod functions;
mod layers;
mod process;
mod registration;
mod streams;
mod system;

pub use layers::Layers;
pub use streams::{Entry, LayerReader, LayerWriter};

use super::answer::code_of;
use super::library::{Place, Unavailable, host_build, wide_path};
use super::text::{Returned, Task, read, wide};
use crate::abi::HRESULT;
use crate::document::Document as _;
use crate::documents::{
    CrashReport, ModificationRequest, Properties, ResultError, ServiceProperties, ServicePropertyQuery,
    SystemQuery, VmProcessorRequirements,
};
use crate::error::{Error, Result};
use crate::hresult::{HResult, TABLE};
use crate::operation::{Operation, OperationKind};
use crate::service::{ComputeService, Configuration, System};
use board::Answer;
use functions::Functions;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use system::V1System;

/// vmcompute.dll, which is also the service behind it.
#[derive(Clone)]
pub struct VmCompute {
    functions: Arc<Functions>,
    /// The ids of systems that were created here to end with their last handle.
    ending: Arc<Mutex<HashSet<String>>>,
}

impl VmCompute {
    /// Loads the library.
    ///
    /// # Errors
    /// [`Unavailable::Library`] on a host that does not have it.
    pub fn load(place: &Place) -> std::result::Result<Self, Unavailable> {
        Ok(Self { functions: Arc::new(Functions::load(place)?), ending: Arc::default() })
    }

    fn ending(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Layers below this folder; with an empty one, the ids of layers are paths.
    pub fn layers(&self, home: &Path) -> Layers {
        Layers::new(Arc::clone(&self.functions), home)
    }

    /// A call to the network service of hosts before HCN: `GET`, `POST` or `DELETE`, a path such as `/networks/`, and
    /// an object as JSON. The answer is `{"Success", "Error", "Output"}`.
    ///
    /// # Errors
    /// What the library answers; that the service refused is in the answer.
    pub fn hns_call(&self, method: &str, path: &str, object: &str) -> Result<Option<String>> {
        let attempted = format!("{method} {path} of the network service");
        let (method, path) = (wide(method, &attempted)?, wide(path, &attempted)?);
        let object = wide(object, &attempted)?;
        let mut response = Returned::<Task>::new();
        // SAFETY: the texts end with a zero, the last is a place for the result.
        let answer = unsafe {
            self.functions.HNSCall(method.as_ptr(), path.as_ptr(), object.as_ptr(), response.out())
        };
        answered(answer, &response, &attempted)?;
        response.text(&attempted)
    }
}

/// Whether a call failed, is pending or is over; the result document says more about a failure.
fn answered(
    answer: std::result::Result<HRESULT, Unavailable>,
    result: &Returned<Task>,
    attempted: &str,
) -> Result<Answer> {
    let code = answer.map_err(|unavailable| unavailable.during(attempted))?;
    if code >= 0 {
        return Ok(Answer::Done(None));
    }
    let code = code_of(code);
    if code.is_pending() {
        return Ok(Answer::Pending);
    }
    let code = self::code(code);
    let record = result.readable().and_then(|record| ResultError::from_json(&record).ok());
    let error = Error::new(attempted, code);
    Err(match record {
        Some(record) => error.with_document(record.error(code.to_i32())),
        None => error,
    })
}

/// The code of version 2 for one of version 1, whose customer bit differs.
fn code(code: HResult) -> HResult {
    if code.code() & 0xFFFF_0000 != 0xC037_0000 {
        return code;
    }
    TABLE
        .iter()
        .find(|entry| entry.code != code && entry.code.to_v1() == code)
        .map_or(code, |entry| entry.code)
}

/// A function that only the newer library has.
fn lacks(function: &'static str) -> Unavailable {
    Unavailable::Function { library: "vmcompute.dll", function, build: host_build(), since: 0 }
}

impl ComputeService for VmCompute {
    fn enumerate_systems(&self, query: &SystemQuery) -> Result<Operation<Vec<Properties>>> {
        const ATTEMPTED: &str = "enumerate compute systems";
        let query = wide(&query.to_json(), ATTEMPTED)?;
        let (mut systems, mut result) = (Returned::<Task>::new(), Returned::<Task>::new());
        // SAFETY: the text ends with a zero, the others are places for the results.
        let answer =
            unsafe { self.functions.HcsEnumerateComputeSystems(query.as_ptr(), systems.out(), result.out()) };
        answered(answer, &result, ATTEMPTED)?;
        let systems = super::computecore::systems(systems.text(ATTEMPTED)?.as_deref(), ATTEMPTED)?;
        Ok(Operation::ready(OperationKind::Enumerate, ATTEMPTED, Ok(systems)))
    }

    fn create_system(
        &self,
        id: &str,
        configuration: &Configuration,
    ) -> Result<(Box<dyn System>, Operation<()>)> {
        let (document, ends_with_handles) = match configuration {
            Configuration::V1(document) => (document.to_json(), document.terminate_on_last_handle_closed),
            Configuration::V2(document) => {
                (document.to_json(), document.should_terminate_on_last_handle_closed)
            }
        };
        let ends_with_handles = ends_with_handles == Some(true);
        let (system, operation) = V1System::create(&self.functions, id, &document, ends_with_handles)?;
        match ends_with_handles {
            true => self.ending().insert(id.to_owned()),
            false => self.ending().remove(id),
        };
        Ok((Box::new(system), operation))
    }

    fn open_system(&self, id: &str) -> Result<Box<dyn System>> {
        let ends_with_handles = self.ending().contains(id);
        Ok(Box::new(V1System::open(&self.functions, id, ends_with_handles)?))
    }

    fn service_properties(&self, query: &ServicePropertyQuery) -> Result<ServiceProperties> {
        const ATTEMPTED: &str = "query the service";
        let query = wide(&query.to_json(), ATTEMPTED)?;
        let (mut properties, mut result) = (Returned::<Task>::new(), Returned::<Task>::new());
        // SAFETY: the text ends with a zero, the others are places for the results.
        let answer =
            unsafe { self.functions.HcsGetServiceProperties(query.as_ptr(), properties.out(), result.out()) };
        answered(answer, &result, ATTEMPTED)?;
        read(properties.text(ATTEMPTED)?.as_deref(), ATTEMPTED)
    }

    fn modify_service(&self, request: &ModificationRequest) -> Result<()> {
        const ATTEMPTED: &str = "modify the service";
        let settings = wide(&request.to_json(), ATTEMPTED)?;
        let mut result = Returned::<Task>::new();
        // SAFETY: the text ends with a zero, the last is a place for the result.
        let answer = unsafe { self.functions.HcsModifyServiceSettings(settings.as_ptr(), result.out()) };
        answered(answer, &result, ATTEMPTED).map(|_| ())
    }

    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("let virtual machine {id} use {}", file.display());
        let (id, file) = (wide(id, &attempted)?, wide_path(file, &attempted)?);
        // SAFETY: both texts end with a zero.
        let answer = unsafe { self.functions.GrantVmAccess(id.as_ptr(), file.as_ptr()) };
        answered(answer, &Returned::new(), &attempted).map(|_| ())
    }

    fn grant_vm_group_access(&self, file: &Path) -> Result<()> {
        Err(lacks("HcsGrantVmGroupAccess").during(format!("let virtual machines use {}", file.display())))
    }

    fn create_empty_guest_state_file(&self, file: &Path) -> Result<()> {
        Err(lacks("HcsCreateEmptyGuestStateFile")
            .during(format!("create guest state file {}", file.display())))
    }

    fn create_empty_runtime_state_file(&self, file: &Path) -> Result<()> {
        let attempted = format!("create runtime state file {}", file.display());
        Err(lacks("HcsCreateEmptyRuntimeStateFile").during(attempted))
    }

    fn processor_compatibility(&self, saved: &Path) -> Result<VmProcessorRequirements> {
        let attempted = format!("ask what processor {} needs", saved.display());
        Err(lacks("HcsGetProcessorCompatibilityFromSavedState").during(attempted))
    }

    fn submit_crash_report(&self, _: &CrashReport) -> Result<()> {
        Err(lacks("HcsSubmitWerReport").during("submit a crash report"))
    }
}

impl std::fmt::Debug for VmCompute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VmCompute").finish_non_exhaustive()
    }
}
