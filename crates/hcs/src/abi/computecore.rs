//! computecore.dll: compute systems, processes, operations; version 2 of the interface.

/// Gives `$with` the functions of computecore.dll.
#[macro_export]
#[doc(hidden)]
macro_rules! computecore_functions {
    ($with:ident) => {
        $with! {
            "computecore.dll"
            // Documented.
            [17763] fn HcsCancelOperation(operation: HCS_OPERATION) -> HRESULT;
            [17763] fn HcsCloseComputeSystem(compute_system: HCS_SYSTEM);
            [17763] fn HcsCloseOperation(operation: HCS_OPERATION);
            [17763] fn HcsCloseProcess(process: HCS_PROCESS);
            [17763] fn HcsCrashComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsCreateComputeSystem(
                id: PCWSTR, configuration: PCWSTR, operation: HCS_OPERATION,
                security_descriptor: *const c_void, compute_system: *mut HCS_SYSTEM,
            ) -> HRESULT;
            [17763] fn HcsCreateEmptyGuestStateFile(guest_state_file_path: PCWSTR) -> HRESULT;
            [17763] fn HcsCreateEmptyRuntimeStateFile(runtime_state_file_path: PCWSTR) -> HRESULT;
            [17763] fn HcsCreateOperation(
                context: *const c_void, callback: HCS_OPERATION_COMPLETION,
            ) -> HCS_OPERATION;
            [17763] fn HcsCreateProcess(
                compute_system: HCS_SYSTEM, process_parameters: PCWSTR, operation: HCS_OPERATION,
                security_descriptor: *const c_void, process: *mut HCS_PROCESS,
            ) -> HRESULT;
            [17763] fn HcsEnumerateComputeSystems(query: PCWSTR, operation: HCS_OPERATION) -> HRESULT;
            [17763] fn HcsGetComputeSystemFromOperation(operation: HCS_OPERATION) -> HCS_SYSTEM;
            [17763] fn HcsGetComputeSystemProperties(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, property_query: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsGetOperationContext(operation: HCS_OPERATION) -> *mut c_void;
            [17763] fn HcsGetOperationId(operation: HCS_OPERATION) -> u64;
            [17763] fn HcsGetOperationResult(
                operation: HCS_OPERATION, result_document: *mut PWSTR,
            ) -> HRESULT;
            [17763] fn HcsGetOperationResultAndProcessInfo(
                operation: HCS_OPERATION, process_information: *mut HCS_PROCESS_INFORMATION,
                result_document: *mut PWSTR,
            ) -> HRESULT;
            [17763] fn HcsGetOperationType(operation: HCS_OPERATION) -> HCS_OPERATION_TYPE;
            [17763] fn HcsGetProcessFromOperation(operation: HCS_OPERATION) -> HCS_PROCESS;
            [17763] fn HcsGetProcessInfo(process: HCS_PROCESS, operation: HCS_OPERATION) -> HRESULT;
            [17763] fn HcsGetProcessProperties(
                process: HCS_PROCESS, operation: HCS_OPERATION, property_query: PCWSTR,
            ) -> HRESULT;
            [20348] fn HcsGetProcessorCompatibilityFromSavedState(
                runtime_file_name: PCWSTR, processor_features: *mut PWSTR,
            ) -> HRESULT;
            [17763] fn HcsGetServiceProperties(property_query: PCWSTR, result: *mut PWSTR) -> HRESULT;
            [17763] fn HcsGrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT;
            [19041] fn HcsGrantVmGroupAccess(file_path: PCWSTR) -> HRESULT;
            [17763] fn HcsModifyComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, configuration: PCWSTR, identity: HANDLE,
            ) -> HRESULT;
            [17763] fn HcsModifyProcess(
                process: HCS_PROCESS, operation: HCS_OPERATION, settings: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsModifyServiceSettings(settings: PCWSTR, result: *mut PWSTR) -> HRESULT;
            [17763] fn HcsOpenComputeSystem(
                id: PCWSTR, requested_access: u32, compute_system: *mut HCS_SYSTEM,
            ) -> HRESULT;
            [17763] fn HcsOpenProcess(
                compute_system: HCS_SYSTEM, process_id: u32, requested_access: u32, process: *mut HCS_PROCESS,
            ) -> HRESULT;
            [17763] fn HcsPauseComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsResumeComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsSaveComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsSetComputeSystemCallback(
                compute_system: HCS_SYSTEM, callback_options: HCS_EVENT_OPTIONS, context: *const c_void,
                callback: HCS_EVENT_CALLBACK,
            ) -> HRESULT;
            [17763] fn HcsSetOperationCallback(
                operation: HCS_OPERATION, context: *const c_void, callback: HCS_OPERATION_COMPLETION,
            ) -> HRESULT;
            [17763] fn HcsSetOperationContext(operation: HCS_OPERATION, context: *const c_void) -> HRESULT;
            [17763] fn HcsSetProcessCallback(
                process: HCS_PROCESS, callback_options: HCS_EVENT_OPTIONS, context: *const c_void,
                callback: HCS_EVENT_CALLBACK,
            ) -> HRESULT;
            [17763] fn HcsShutDownComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsSignalProcess(
                process: HCS_PROCESS, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsStartComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsSubmitWerReport(settings: PCWSTR) -> HRESULT;
            [17763] fn HcsTerminateComputeSystem(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsTerminateProcess(
                process: HCS_PROCESS, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [20348] fn HcsWaitForComputeSystemExit(
                compute_system: HCS_SYSTEM, timeout_ms: u32, result: *mut PWSTR,
            ) -> HRESULT;
            [17763] fn HcsWaitForOperationResult(
                operation: HCS_OPERATION, timeout_ms: u32, result_document: *mut PWSTR,
            ) -> HRESULT;
            [17763] fn HcsWaitForOperationResultAndProcessInfo(
                operation: HCS_OPERATION, timeout_ms: u32, process_information: *mut HCS_PROCESS_INFORMATION,
                result_document: *mut PWSTR,
            ) -> HRESULT;
            [20348] fn HcsWaitForProcessExit(
                process: HCS_PROCESS, timeout_ms: u32, result: *mut PWSTR,
            ) -> HRESULT;
            // Not documented: in the SDK headers or called by Microsoft's own clients.
            [0] fn HcsAddResourceToOperation(
                operation: HCS_OPERATION, kind: HCS_RESOURCE_TYPE, uri: PCWSTR, handle: HANDLE,
            ) -> HRESULT;
            [0] fn HcsCancelLiveMigration(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [0] fn HcsCreateComputeSystemInNamespace(
                id_namespace: PCWSTR, id: PCWSTR, configuration: PCWSTR, operation: HCS_OPERATION,
                options: *const c_void, compute_system: *mut HCS_SYSTEM,
            ) -> HRESULT;
            [0] fn HcsCreateOperationWithNotifications(
                event_types: HCS_OPERATION_OPTIONS, context: *const c_void, callback: HCS_EVENT_CALLBACK,
            ) -> HCS_OPERATION;
            [0] fn HcsEnumerateComputeSystemsInNamespace(
                id_namespace: PCWSTR, query: PCWSTR, operation: HCS_OPERATION,
            ) -> HRESULT;
            [0] fn HcsFinalizeLiveMigration(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [0] fn HcsGetOperationProperties(
                operation: HCS_OPERATION, options: PCWSTR, result_document: *mut PWSTR,
            ) -> HRESULT;
            [0] fn HcsInitializeLiveMigrationOnSource(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [0] fn HcsOpenComputeSystemInNamespace(
                id_namespace: PCWSTR, id: PCWSTR, requested_access: u32, compute_system: *mut HCS_SYSTEM,
            ) -> HRESULT;
            [0] fn HcsRevokeVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT;
            [0] fn HcsRevokeVmGroupAccess(file_path: PCWSTR) -> HRESULT;
            [0] fn HcsStartLiveMigrationOnSource(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
            [0] fn HcsStartLiveMigrationTransfer(
                compute_system: HCS_SYSTEM, operation: HCS_OPERATION, options: PCWSTR,
            ) -> HRESULT;
        }
    };
}
