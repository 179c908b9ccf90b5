//! What is behind computecore.dll.
#![expect(non_snake_case, reason = "the names are Microsoft's")]

mod operation;
mod process;
mod service;
mod system;

pub use operation::{
    HcsAddResourceToOperation, HcsCancelOperation, HcsCloseOperation, HcsCreateOperation,
    HcsCreateOperationWithNotifications, HcsGetComputeSystemFromOperation, HcsGetOperationContext,
    HcsGetOperationId, HcsGetOperationProperties, HcsGetOperationResult, HcsGetOperationResultAndProcessInfo,
    HcsGetOperationType, HcsGetProcessFromOperation, HcsSetOperationCallback, HcsSetOperationContext,
    HcsWaitForOperationResult, HcsWaitForOperationResultAndProcessInfo,
};
pub use process::{
    HcsCloseProcess, HcsCreateProcess, HcsGetProcessInfo, HcsGetProcessProperties, HcsModifyProcess,
    HcsOpenProcess, HcsSetProcessCallback, HcsSignalProcess, HcsTerminateProcess, HcsWaitForProcessExit,
};
pub use service::{
    HcsCreateComputeSystemInNamespace, HcsCreateEmptyGuestStateFile, HcsCreateEmptyRuntimeStateFile,
    HcsEnumerateComputeSystems, HcsEnumerateComputeSystemsInNamespace,
    HcsGetProcessorCompatibilityFromSavedState, HcsGetServiceProperties, HcsGrantVmAccess,
    HcsGrantVmGroupAccess, HcsModifyServiceSettings, HcsOpenComputeSystemInNamespace, HcsRevokeVmAccess,
    HcsRevokeVmGroupAccess, HcsSubmitWerReport,
};
pub use system::{
    HcsCancelLiveMigration, HcsCloseComputeSystem, HcsCrashComputeSystem, HcsCreateComputeSystem,
    HcsFinalizeLiveMigration, HcsGetComputeSystemProperties, HcsInitializeLiveMigrationOnSource,
    HcsModifyComputeSystem, HcsOpenComputeSystem, HcsPauseComputeSystem, HcsResumeComputeSystem,
    HcsSaveComputeSystem, HcsSetComputeSystemCallback, HcsShutDownComputeSystem, HcsStartComputeSystem,
    HcsStartLiveMigrationOnSource, HcsStartLiveMigrationTransfer, HcsTerminateComputeSystem,
    HcsWaitForComputeSystemExit,
};

pub(crate) use operation::open_operations;
pub(crate) use process::open_processes;
pub(crate) use service::array;
pub(crate) use system::open_systems;
