//! What is behind computestorage.dll.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(non_snake_case, reason = "the names are Microsoft's")]

use crate::backend;
use crate::reply::{code, with_document};
use crate::sys::{Borrowed, Local};
use crate::text::{document, document_or_default, path};
use hcs::Result;
use hcs::abi::{HANDLE, HRESULT, PCWSTR, PWSTR};
use hcs::storage::ComputeStorage;

fn call(call: impl FnOnce(&dyn ComputeStorage) -> Result<()>) -> HRESULT {
    code(backend::storage().and_then(call))
}

pub unsafe fn HcsImportLayer(layer_path: PCWSTR, source_folder_path: PCWSTR, layer_data: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, source, data) =
            unsafe { (path(layer_path)?, path(source_folder_path)?, document(layer_data)?) };
        storage.import_layer(&layer, &source, &data)
    })
}

pub unsafe fn HcsExportLayer(
    layer_path: PCWSTR,
    export_folder_path: PCWSTR,
    layer_data: PCWSTR,
    options: PCWSTR,
) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, folder) = unsafe { (path(layer_path)?, path(export_folder_path)?) };
        // SAFETY: the caller's promise.
        let (data, options) = unsafe { (document(layer_data)?, document_or_default(options)?) };
        storage.export_layer(&layer, &folder, &data, &options)
    })
}

pub unsafe fn HcsExportLegacyWritableLayer(
    writable_layer_mount_path: PCWSTR,
    writable_layer_folder_path: PCWSTR,
    export_folder_path: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (mount, layer) = unsafe { (path(writable_layer_mount_path)?, path(writable_layer_folder_path)?) };
        // SAFETY: the caller's promise.
        let (folder, data) = unsafe { (path(export_folder_path)?, document(layer_data)?) };
        storage.export_legacy_writable_layer(&mount, &layer, &folder, &data)
    })
}

pub unsafe fn HcsDestroyLayer(layer_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    call(|storage| storage.destroy_layer(&unsafe { path(layer_path) }?))
}

pub unsafe fn HcsSetupBaseOSLayer(layer_path: PCWSTR, vhd_handle: HANDLE, options: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, disk, options) =
            unsafe { (path(layer_path)?, Borrowed::new(vhd_handle), document_or_default(options)?) };
        storage.setup_base_os_layer(&layer, &disk, &options)
    })
}

pub unsafe fn HcsSetupBaseOSVolume(layer_path: PCWSTR, volume_path: PCWSTR, options: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, volume, options) =
            unsafe { (path(layer_path)?, path(volume_path)?, document_or_default(options)?) };
        storage.setup_base_os_volume(&layer, &volume, &options)
    })
}

pub unsafe fn HcsInitializeWritableLayer(
    writable_layer_path: PCWSTR,
    layer_data: PCWSTR,
    _options: PCWSTR,
) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, data) = unsafe { (path(writable_layer_path)?, document(layer_data)?) };
        storage.initialize_writable_layer(&layer, &data)
    })
}

pub unsafe fn HcsInitializeLegacyWritableLayer(
    writable_layer_mount_path: PCWSTR,
    writable_layer_folder_path: PCWSTR,
    layer_data: PCWSTR,
    _options: PCWSTR,
) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (mount, layer) = unsafe { (path(writable_layer_mount_path)?, path(writable_layer_folder_path)?) };
        // SAFETY: the caller's promise.
        storage.initialize_legacy_writable_layer(&mount, &layer, &unsafe { document(layer_data) }?)
    })
}

pub unsafe fn HcsAttachLayerStorageFilter(layer_path: PCWSTR, layer_data: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (layer, data) = unsafe { (path(layer_path)?, document(layer_data)?) };
        storage.attach_layer_storage_filter(&layer, &data)
    })
}

pub unsafe fn HcsDetachLayerStorageFilter(layer_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    call(|storage| storage.detach_layer_storage_filter(&unsafe { path(layer_path) }?))
}

pub unsafe fn HcsAttachOverlayFilter(volume_path: PCWSTR, layer_data: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (volume, data) = unsafe { (path(volume_path)?, document(layer_data)?) };
        storage.attach_overlay_filter(&volume, &data)
    })
}

pub unsafe fn HcsDetachOverlayFilter(volume_path: PCWSTR, layer_data: PCWSTR) -> HRESULT {
    call(|storage| {
        // SAFETY: the caller's promise.
        let (volume, data) = unsafe { (path(volume_path)?, document_or_default(layer_data)?) };
        storage.detach_overlay_filter(&volume, &data)
    })
}

pub unsafe fn HcsFormatWritableLayerVhd(vhd_handle: HANDLE) -> HRESULT {
    // SAFETY: the caller's promise.
    let disk = unsafe { Borrowed::new(vhd_handle) };
    call(|storage| storage.format_writable_layer_vhd(&disk))
}

pub unsafe fn HcsGetLayerVhdMountPath(vhd_handle: HANDLE, mount_path: *mut PWSTR) -> HRESULT {
    let path = backend::storage().and_then(|storage| {
        // SAFETY: the caller's promise.
        let disk = unsafe { Borrowed::new(vhd_handle) };
        Ok(Some(storage.layer_vhd_mount_path(&disk)?.to_string_lossy().into_owned()))
    });
    // SAFETY: the caller's promise.
    unsafe { with_document::<Local>(mount_path, path) }
}
