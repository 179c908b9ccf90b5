//! computestorage.dll: layers, version 2 of the interface.

/// Gives `$with` the functions of computestorage.dll.
#[macro_export]
#[doc(hidden)]
macro_rules! computestorage_functions {
    ($with:ident) => {
        $with! {
            "computestorage.dll"
            // Documented.
            [17763] fn HcsAttachLayerStorageFilter(layer_path: PCWSTR, layer_data: PCWSTR) -> HRESULT;
            [17763] fn HcsDestroyLayer(layer_path: PCWSTR) -> HRESULT;
            [17763] fn HcsDetachLayerStorageFilter(layer_path: PCWSTR) -> HRESULT;
            [17763] fn HcsExportLayer(
                layer_path: PCWSTR, export_folder_path: PCWSTR, layer_data: PCWSTR, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsExportLegacyWritableLayer(
                writable_layer_mount_path: PCWSTR, writable_layer_folder_path: PCWSTR,
                export_folder_path: PCWSTR, layer_data: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsFormatWritableLayerVhd(vhd_handle: HANDLE) -> HRESULT;
            [17763] fn HcsGetLayerVhdMountPath(vhd_handle: HANDLE, mount_path: *mut PWSTR) -> HRESULT;
            [17763] fn HcsImportLayer(
                layer_path: PCWSTR, source_folder_path: PCWSTR, layer_data: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsInitializeLegacyWritableLayer(
                writable_layer_mount_path: PCWSTR, writable_layer_folder_path: PCWSTR, layer_data: PCWSTR,
                options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsInitializeWritableLayer(
                writable_layer_path: PCWSTR, layer_data: PCWSTR, options: PCWSTR,
            ) -> HRESULT;
            [17763] fn HcsSetupBaseOSLayer(
                layer_path: PCWSTR, vhd_handle: HANDLE, options: PCWSTR,
            ) -> HRESULT;
            [20348] fn HcsSetupBaseOSVolume(
                layer_path: PCWSTR, volume_path: PCWSTR, options: PCWSTR,
            ) -> HRESULT;
            // Not documented: in the SDK headers or called by Microsoft's own clients.
            [0] fn HcsAttachOverlayFilter(volume_path: PCWSTR, layer_data: PCWSTR) -> HRESULT;
            [0] fn HcsDetachOverlayFilter(volume_path: PCWSTR, layer_data: PCWSTR) -> HRESULT;
        }
    };
}
