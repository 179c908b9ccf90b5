//! computecore.dll: compute systems and processes on hosts from build 17763 (Windows 10 1809, Server 2019).
//!
//! [`ComputeCore`] is the library: every function in a safe form, JSON in and out, each tracked by an
//! [`OperationHandle`]. The typed service over it is [`Service`].

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "computecore.dll has a C interface")]

mod functions;
mod operation;
mod process;
mod registration;
mod service;
mod system;

pub use operation::OperationHandle;
pub use process::ProcessHandle;
pub use service::Service;
pub(super) use service::systems;
pub use system::SystemHandle;

use super::answer::{check, check_with};
use super::library::{Place, Unavailable, wide_path};
use super::text::{Local, Optional, Returned, wide};
use crate::abi::GENERIC_ALL;
use crate::error::Result;
use functions::Functions;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

/// computecore.dll.
#[derive(Clone)]
pub struct ComputeCore {
    functions: Arc<Functions>,
}

/// What a resource is that is lent to an operation: `HCS_RESOURCE_TYPE`.
#[cfg(feature = "undocumented")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ResourceKind {
    /// Nothing.
    None = 0,
    /// A file.
    File = 1,
    /// A job object.
    Job = 2,
    /// A COM object.
    ComObject = 3,
    /// A socket.
    Socket = 4,
}

impl ComputeCore {
    /// Loads the library.
    ///
    /// # Errors
    /// [`Unavailable::Library`] on a host that does not have it.
    pub fn load(place: &Place) -> std::result::Result<Self, Unavailable> {
        Ok(Self { functions: Arc::new(Functions::load(place)?) })
    }

    fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    /// `HcsCreateOperation`, without context and callback.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`.
    pub fn create_operation(&self) -> Result<OperationHandle> {
        OperationHandle::new(Arc::clone(&self.functions))
    }

    /// `HcsCreateOperationWithNotifications`, without context and callback.
    ///
    /// # Errors
    /// What the host lacks.
    #[cfg(feature = "undocumented")]
    pub fn create_operation_with_notifications(&self, event_types: i32) -> Result<OperationHandle> {
        OperationHandle::with_notifications(Arc::clone(&self.functions), event_types)
    }

    /// `HcsEnumerateComputeSystems`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn enumerate_compute_systems(&self, operation: &OperationHandle, query: Option<&str>) -> Result<()> {
        const ATTEMPTED: &str = "enumerate compute systems";
        let query = Optional::new(query, ATTEMPTED)?;
        operation.track(ATTEMPTED, |functions, operation| {
            // SAFETY: the handle is open, the text is absent or ends with a zero.
            unsafe { functions.HcsEnumerateComputeSystems(query.as_ptr(), operation) }
        })
    }

    /// `HcsEnumerateComputeSystemsInNamespace`.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn enumerate_compute_systems_in_namespace(
        &self,
        operation: &OperationHandle,
        namespace: &str,
        query: Option<&str>,
    ) -> Result<()> {
        let attempted = format!("enumerate compute systems in namespace {namespace}");
        let (namespace, query) = (wide(namespace, &attempted)?, Optional::new(query, &attempted)?);
        operation.track(&attempted, |functions, operation| {
            // SAFETY: the handle is open, the texts are absent or end with a zero.
            unsafe {
                functions.HcsEnumerateComputeSystemsInNamespace(namespace.as_ptr(), query.as_ptr(), operation)
            }
        })
    }

    /// `HcsCreateComputeSystem`, with the default security descriptor, as Windows wants it.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    pub fn create_compute_system(
        &self,
        operation: &OperationHandle,
        id: &str,
        configuration: &str,
    ) -> Result<SystemHandle> {
        let attempted = format!("create compute system {id}");
        let (wide_id, configuration) = (wide(id, &attempted)?, wide(configuration, &attempted)?);
        let mut system = ptr::null_mut();
        operation.track(&attempted, |functions, operation| {
            // SAFETY: the handle is open, the texts end with a zero, the last is a place for the handle.
            unsafe {
                functions.HcsCreateComputeSystem(
                    wide_id.as_ptr(),
                    configuration.as_ptr(),
                    operation,
                    ptr::null(),
                    &raw mut system,
                )
            }
        })?;
        SystemHandle::own(self, system, id, &attempted)
    }

    /// `HcsCreateComputeSystemInNamespace`, with default options.
    ///
    /// # Errors
    /// What the library answers at once; the operation has the rest.
    #[cfg(feature = "undocumented")]
    pub fn create_compute_system_in_namespace(
        &self,
        operation: &OperationHandle,
        namespace: &str,
        id: &str,
        configuration: &str,
    ) -> Result<SystemHandle> {
        let attempted = format!("create compute system {id} in namespace {namespace}");
        let (namespace, wide_id) = (wide(namespace, &attempted)?, wide(id, &attempted)?);
        let configuration = wide(configuration, &attempted)?;
        let mut system = ptr::null_mut();
        operation.track(&attempted, |functions, operation| {
            // SAFETY: the handle is open, the texts end with a zero, the options may be null, the last is a place for
            // the handle.
            unsafe {
                functions.HcsCreateComputeSystemInNamespace(
                    namespace.as_ptr(),
                    wide_id.as_ptr(),
                    configuration.as_ptr(),
                    operation,
                    ptr::null(),
                    &raw mut system,
                )
            }
        })?;
        SystemHandle::own(self, system, id, &attempted)
    }

    /// `HcsOpenComputeSystem`, with all access, as Windows wants it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn open_compute_system(&self, id: &str) -> Result<SystemHandle> {
        let attempted = format!("open compute system {id}");
        let wide_id = wide(id, &attempted)?;
        let mut system = ptr::null_mut();
        // SAFETY: the text ends with a zero, the last is a place for the handle.
        let answer =
            unsafe { self.functions.HcsOpenComputeSystem(wide_id.as_ptr(), GENERIC_ALL, &raw mut system) };
        check(answer, &attempted)?;
        SystemHandle::own(self, system, id, &attempted)
    }

    /// `HcsOpenComputeSystemInNamespace`, with all access.
    ///
    /// # Errors
    /// What the library answers.
    #[cfg(feature = "undocumented")]
    pub fn open_compute_system_in_namespace(&self, namespace: &str, id: &str) -> Result<SystemHandle> {
        let attempted = format!("open compute system {id} in namespace {namespace}");
        let (namespace, wide_id) = (wide(namespace, &attempted)?, wide(id, &attempted)?);
        let mut system = ptr::null_mut();
        // SAFETY: the texts end with a zero, the last is a place for the handle.
        let answer = unsafe {
            self.functions.HcsOpenComputeSystemInNamespace(
                namespace.as_ptr(),
                wide_id.as_ptr(),
                GENERIC_ALL,
                &raw mut system,
            )
        };
        check(answer, &attempted)?;
        SystemHandle::own(self, system, id, &attempted)
    }

    /// `HcsGetServiceProperties`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn service_properties(&self, query: Option<&str>) -> Result<Option<String>> {
        const ATTEMPTED: &str = "query the service";
        let query = Optional::new(query, ATTEMPTED)?;
        let mut result = Returned::<Local>::new();
        // SAFETY: the text is absent or ends with a zero, the last is a place for the result.
        let answer = unsafe { self.functions.HcsGetServiceProperties(query.as_ptr(), result.out()) };
        check_with(answer, &result, ATTEMPTED)?;
        result.text(ATTEMPTED)
    }

    /// `HcsModifyServiceSettings`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn modify_service_settings(&self, settings: &str) -> Result<Option<String>> {
        const ATTEMPTED: &str = "modify the service";
        let settings = wide(settings, ATTEMPTED)?;
        let mut result = Returned::<Local>::new();
        // SAFETY: the text ends with a zero, the last is a place for the result.
        let answer = unsafe { self.functions.HcsModifyServiceSettings(settings.as_ptr(), result.out()) };
        check_with(answer, &result, ATTEMPTED)?;
        result.text(ATTEMPTED)
    }

    /// `HcsSubmitWerReport`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn submit_wer_report(&self, settings: &str) -> Result<()> {
        const ATTEMPTED: &str = "submit a crash report";
        let settings = wide(settings, ATTEMPTED)?;
        // SAFETY: the text ends with a zero.
        let answer = unsafe { self.functions.HcsSubmitWerReport(settings.as_ptr()) };
        check(answer, ATTEMPTED)
    }

    /// `HcsCreateEmptyGuestStateFile`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn create_empty_guest_state_file(&self, file: &Path) -> Result<()> {
        let attempted = format!("create guest state file {}", file.display());
        let file = wide_path(file, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsCreateEmptyGuestStateFile(file.as_ptr()) };
        check(answer, &attempted)
    }

    /// `HcsCreateEmptyRuntimeStateFile`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn create_empty_runtime_state_file(&self, file: &Path) -> Result<()> {
        let attempted = format!("create runtime state file {}", file.display());
        let file = wide_path(file, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsCreateEmptyRuntimeStateFile(file.as_ptr()) };
        check(answer, &attempted)
    }

    /// `HcsGetProcessorCompatibilityFromSavedState`.
    ///
    /// # Errors
    /// What the library answers; a host before build 20348 lacks the function.
    pub fn processor_compatibility_from_saved_state(&self, file: &Path) -> Result<Option<String>> {
        let attempted = format!("ask what processor {} needs", file.display());
        let file = wide_path(file, &attempted)?;
        let mut result = Returned::<Local>::new();
        // SAFETY: the path ends with a zero, the last is a place for the result.
        let answer =
            unsafe { self.functions.HcsGetProcessorCompatibilityFromSavedState(file.as_ptr(), result.out()) };
        check_with(answer, &result, &attempted)?;
        result.text(&attempted)
    }

    /// `HcsGrantVmAccess`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("let virtual machine {id} use {}", file.display());
        let (id, file) = (wide(id, &attempted)?, wide_path(file, &attempted)?);
        // SAFETY: both texts end with a zero.
        let answer = unsafe { self.functions.HcsGrantVmAccess(id.as_ptr(), file.as_ptr()) };
        check(answer, &attempted)
    }

    /// `HcsGrantVmGroupAccess`.
    ///
    /// # Errors
    /// What the library answers; a host before build 19041 lacks the function.
    pub fn grant_vm_group_access(&self, file: &Path) -> Result<()> {
        let attempted = format!("let virtual machines use {}", file.display());
        let file = wide_path(file, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsGrantVmGroupAccess(file.as_ptr()) };
        check(answer, &attempted)
    }

    /// `HcsRevokeVmAccess`.
    ///
    /// # Errors
    /// What the library answers.
    #[cfg(feature = "undocumented")]
    pub fn revoke_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("no longer let virtual machine {id} use {}", file.display());
        let (id, file) = (wide(id, &attempted)?, wide_path(file, &attempted)?);
        // SAFETY: both texts end with a zero.
        let answer = unsafe { self.functions.HcsRevokeVmAccess(id.as_ptr(), file.as_ptr()) };
        check(answer, &attempted)
    }

    /// `HcsRevokeVmGroupAccess`.
    ///
    /// # Errors
    /// What the library answers.
    #[cfg(feature = "undocumented")]
    pub fn revoke_vm_group_access(&self, file: &Path) -> Result<()> {
        let attempted = format!("no longer let virtual machines use {}", file.display());
        let file = wide_path(file, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsRevokeVmGroupAccess(file.as_ptr()) };
        check(answer, &attempted)
    }
}

impl std::fmt::Debug for ComputeCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputeCore").finish_non_exhaustive()
    }
}
