//! vmcompute.dll: version 1 of the interface, the layers of hosts before 1809, and the network service before HCN.
//!
//! None of it is documented; its signatures are those of Microsoft's own clients.

/// Gives `$with` the functions of vmcompute.dll.
#[macro_export]
#[doc(hidden)]
macro_rules! vmcompute_functions {
    ($with:ident) => {
        $with! {
            "vmcompute.dll"
            // Compute systems and processes.
            [14393] fn HcsEnumerateComputeSystems(
                query: PCWSTR, compute_systems: *mut PWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsCreateComputeSystem(
                id: PCWSTR, configuration: PCWSTR, identity: HANDLE, compute_system: *mut HCS_SYSTEM,
                result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsOpenComputeSystem(
                id: PCWSTR, compute_system: *mut HCS_SYSTEM, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsCloseComputeSystem(compute_system: HCS_SYSTEM) -> HRESULT;
            [14393] fn HcsStartComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsShutdownComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsTerminateComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsPauseComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsResumeComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsSaveComputeSystem(
                compute_system: HCS_SYSTEM, options: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsGetComputeSystemProperties(
                compute_system: HCS_SYSTEM, property_query: PCWSTR, properties: *mut PWSTR,
                result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsModifyComputeSystem(
                compute_system: HCS_SYSTEM, configuration: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsModifyServiceSettings(settings: PCWSTR, result: *mut PWSTR) -> HRESULT;
            [14393] fn HcsGetServiceProperties(
                property_query: PCWSTR, properties: *mut PWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsRegisterComputeSystemCallback(
                compute_system: HCS_SYSTEM, callback: HCS_NOTIFICATION_CALLBACK, context: *const c_void,
                callback_handle: *mut HCS_CALLBACK,
            ) -> HRESULT;
            [14393] fn HcsUnregisterComputeSystemCallback(callback_handle: HCS_CALLBACK) -> HRESULT;
            [14393] fn HcsCreateProcess(
                compute_system: HCS_SYSTEM, process_parameters: PCWSTR,
                process_information: *mut HCS_PROCESS_INFORMATION, process: *mut HCS_PROCESS,
                result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsOpenProcess(
                compute_system: HCS_SYSTEM, process_id: u32, process: *mut HCS_PROCESS, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsCloseProcess(process: HCS_PROCESS) -> HRESULT;
            [14393] fn HcsTerminateProcess(process: HCS_PROCESS, result: *mut PWSTR) -> HRESULT;
            [14393] fn HcsSignalProcess(process: HCS_PROCESS, options: PCWSTR, result: *mut PWSTR) -> HRESULT;
            [14393] fn HcsGetProcessInfo(
                process: HCS_PROCESS, process_information: *mut HCS_PROCESS_INFORMATION, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsGetProcessProperties(
                process: HCS_PROCESS, process_properties: *mut PWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsModifyProcess(
                process: HCS_PROCESS, settings: PCWSTR, result: *mut PWSTR,
            ) -> HRESULT;
            [14393] fn HcsRegisterProcessCallback(
                process: HCS_PROCESS, callback: HCS_NOTIFICATION_CALLBACK, context: *const c_void,
                callback_handle: *mut HCS_CALLBACK,
            ) -> HRESULT;
            [14393] fn HcsUnregisterProcessCallback(callback_handle: HCS_CALLBACK) -> HRESULT;
            // Layers.
            [14393] fn ActivateLayer(info: *const DriverInfo, id: PCWSTR) -> HRESULT;
            [14393] fn CopyLayer(
                info: *const DriverInfo, source_id: PCWSTR, destination_id: PCWSTR,
                descriptors: *const WC_LAYER_DESCRIPTOR, count: u32,
            ) -> HRESULT;
            [14393] fn CreateLayer(info: *const DriverInfo, id: PCWSTR, parent: PCWSTR) -> HRESULT;
            [14393] fn CreateSandboxLayer(
                info: *const DriverInfo, id: PCWSTR, parent: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR,
                count: u32,
            ) -> HRESULT;
            [14393] fn DeactivateLayer(info: *const DriverInfo, id: PCWSTR) -> HRESULT;
            [14393] fn DestroyLayer(info: *const DriverInfo, id: PCWSTR) -> HRESULT;
            [14393] fn ExpandSandboxSize(info: *const DriverInfo, id: PCWSTR, size: u64) -> HRESULT;
            [14393] fn ExportLayer(
                info: *const DriverInfo, id: PCWSTR, path: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR,
                count: u32,
            ) -> HRESULT;
            [14393] fn GetBaseImages(images: *mut PWSTR) -> HRESULT;
            [14393] fn GetLayerMountPath(
                info: *const DriverInfo, id: PCWSTR, length: *mut usize, buffer: *mut u16,
            ) -> HRESULT;
            [14393] fn GrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT;
            [14393] fn ImportLayer(
                info: *const DriverInfo, id: PCWSTR, path: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR,
                count: u32,
            ) -> HRESULT;
            [14393] fn LayerExists(info: *const DriverInfo, id: PCWSTR, exists: *mut BOOL32) -> HRESULT;
            [14393] fn NameToGuid(name: PCWSTR, guid: *mut GUID) -> HRESULT;
            [14393] fn PrepareLayer(
                info: *const DriverInfo, id: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR, count: u32,
            ) -> HRESULT;
            [14393] fn ProcessBaseImage(path: PCWSTR) -> HRESULT;
            [14393] fn ProcessUtilityImage(path: PCWSTR) -> HRESULT;
            [14393] fn UnprepareLayer(info: *const DriverInfo, id: PCWSTR) -> HRESULT;
            // Layers as streams; gone from hosts of today.
            [0] fn ExportLayerBegin(
                info: *const DriverInfo, id: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR, count: u32,
                context: *mut *mut c_void,
            ) -> HRESULT;
            [0] fn ExportLayerEnd(context: *mut c_void) -> HRESULT;
            [0] fn ExportLayerNext(
                context: *mut c_void, file_name: *mut PWSTR, file_information: *mut FILE_BASIC_INFO,
                file_size: *mut i64, deleted: *mut BOOL32,
            ) -> HRESULT;
            [0] fn ExportLayerRead(
                context: *mut c_void, buffer: *mut u8, size: u32, read: *mut u32,
            ) -> HRESULT;
            [0] fn ImportLayerBegin(
                info: *const DriverInfo, id: PCWSTR, descriptors: *const WC_LAYER_DESCRIPTOR, count: u32,
                context: *mut *mut c_void,
            ) -> HRESULT;
            [0] fn ImportLayerEnd(context: *mut c_void) -> HRESULT;
            [0] fn ImportLayerNext(
                context: *mut c_void, file_name: PCWSTR, file_information: *const FILE_BASIC_INFO,
            ) -> HRESULT;
            [0] fn ImportLayerWrite(context: *mut c_void, buffer: *const u8, size: u32) -> HRESULT;
            // Networks.
            [14393] fn HNSCall(method: PCWSTR, path: PCWSTR, object: PCWSTR, response: *mut PWSTR) -> HRESULT;
        }
    };
}
