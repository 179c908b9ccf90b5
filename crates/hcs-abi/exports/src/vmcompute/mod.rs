//! What is behind vmcompute.dll.
//!
//! Version 1 is made of the same traits: a call is accepted as pending, and a notification tells the end of its
//! operation. What is never pending there is waited for.

// UNSAFETY: documents go where pointers say.
#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(non_snake_case, reason = "the names are Microsoft's")]

mod layers;
mod notices;
mod process;
mod service;
mod system;

pub use layers::{
    ActivateLayer, CopyLayer, CreateLayer, CreateSandboxLayer, DeactivateLayer, DestroyLayer,
    ExpandSandboxSize, ExportLayer, ExportLayerBegin, ExportLayerEnd, ExportLayerNext, ExportLayerRead,
    GetBaseImages, GetLayerMountPath, GrantVmAccess, ImportLayer, ImportLayerBegin, ImportLayerEnd,
    ImportLayerNext, ImportLayerWrite, LayerExists, NameToGuid, PrepareLayer, ProcessBaseImage,
    ProcessUtilityImage, UnprepareLayer,
};
pub use process::{
    HcsCloseProcess, HcsCreateProcess, HcsGetProcessInfo, HcsGetProcessProperties, HcsModifyProcess,
    HcsOpenProcess, HcsRegisterProcessCallback, HcsSignalProcess, HcsTerminateProcess,
    HcsUnregisterProcessCallback,
};
pub use service::{HNSCall, HcsEnumerateComputeSystems, HcsGetServiceProperties, HcsModifyServiceSettings};
pub use system::{
    HcsCloseComputeSystem, HcsCreateComputeSystem, HcsGetComputeSystemProperties, HcsModifyComputeSystem,
    HcsOpenComputeSystem, HcsPauseComputeSystem, HcsRegisterComputeSystemCallback, HcsResumeComputeSystem,
    HcsSaveComputeSystem, HcsShutdownComputeSystem, HcsStartComputeSystem, HcsTerminateComputeSystem,
    HcsUnregisterComputeSystemCallback,
};

pub(crate) use notices::registrations;
pub(crate) use process::open_processes;
pub(crate) use system::open_systems;

use crate::reply::document_of;
use crate::sys::Task;
use crate::text::give;
use hcs::abi::{HRESULT, PWSTR};
use hcs::document::Document as _;
use hcs::documents::ResultError;
use hcs::{HResult, Result};

/// The code of a call in the form of version 1, and the document on its failure.
///
/// # Safety
/// Null, or a place for a pointer.
unsafe fn answer(place: *mut PWSTR, result: Result<HResult>) -> HRESULT {
    match result {
        Ok(code) => {
            // SAFETY: the caller's promise.
            let _ = unsafe { give::<Task>(place, None) };
            code.to_i32()
        }
        Err(error) => {
            let code = error.code().to_v1();
            let document =
                ResultError::from_json(&document_of(&error)).unwrap_or_default().error(code.to_i32());
            // SAFETY: the caller's promise.
            let _ = unsafe { give::<Task>(place, Some(&document.to_json())) };
            code.to_i32()
        }
    }
}
