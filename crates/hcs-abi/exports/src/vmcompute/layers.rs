//! The layers of vmcompute.dll.

// UNSAFETY: parameters are pointers.
#![expect(unsafe_code, reason = "the interface is C's")]

use crate::backend;
use crate::reply::{NOT_IMPLEMENTED, code, with_document};
use crate::sys::Task;
use crate::text::{path, text};
use hcs::abi::{BOOL32, DriverInfo, FILE_BASIC_INFO, GUID, HRESULT, PCWSTR, PWSTR, WC_LAYER_DESCRIPTOR};
use hcs::document::Guid;
use hcs::storage::{LayerDescriptor, LayerDriver};
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::path::Path;

/// The driver of the home folder that the caller names.
///
/// # Safety
/// Null, or the structure.
unsafe fn driver(info: *const DriverInfo) -> Result<Box<dyn LayerDriver>> {
    // SAFETY: the caller's promise.
    let info =
        unsafe { info.as_ref() }.ok_or_else(|| Error::new("find the layers", HResult::E_INVALIDARG))?;
    // SAFETY: the structure's text is one.
    backend::driver(&unsafe { path(info.home) }?)
}

/// # Safety
/// So many structures, or null and none.
unsafe fn descriptors(list: *const WC_LAYER_DESCRIPTOR, count: u32) -> Result<Vec<LayerDescriptor>> {
    if list.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the caller's promise.
    let list = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let descriptor = |layer: &WC_LAYER_DESCRIPTOR| {
        let GUID { data1, data2, data3, data4 } = layer.LayerId;
        // SAFETY: the structure's text is one.
        let path = unsafe { path(layer.Path) }?;
        Ok(LayerDescriptor { id: Guid::from_fields(data1, data2, data3, data4), flags: layer.Flags, path })
    };
    list.iter().map(descriptor).collect()
}

/// A call on a layer.
///
/// # Safety
/// The structure and a text.
unsafe fn on(
    info: *const DriverInfo,
    id: PCWSTR,
    call: impl FnOnce(&dyn LayerDriver, &str) -> Result<()>,
) -> HRESULT {
    // SAFETY: the caller's promise.
    let named = || unsafe { Ok((driver(info)?, text(id)?)) };
    code(named().and_then(|(driver, id)| call(&*driver, &id)))
}

macro_rules! on_layer {
    ($($name:ident $call:ident;)*) => { $(
        pub unsafe fn $name(info: *const DriverInfo, id: PCWSTR) -> HRESULT {
            // SAFETY: the caller's promise.
            unsafe { on(info, id, |driver, id| driver.$call(id)) }
        }
    )* };
}

on_layer! {
    ActivateLayer activate_layer;
    DeactivateLayer deactivate_layer;
    DestroyLayer destroy_layer;
    UnprepareLayer unprepare_layer;
}

macro_rules! with_folder {
    ($($name:ident $call:ident;)*) => { $(
        pub unsafe fn $name(
            info: *const DriverInfo,
            id: PCWSTR,
            folder: PCWSTR,
            descriptors_: *const WC_LAYER_DESCRIPTOR,
            count: u32,
        ) -> HRESULT {
            // SAFETY: the caller's promise.
            unsafe {
                on(info, id, |driver, id| driver.$call(id, &path(folder)?, &descriptors(descriptors_, count)?))
            }
        }
    )* };
}

with_folder! {
    ImportLayer import_layer;
    ExportLayer export_layer;
}

macro_rules! with_text {
    ($($name:ident $call:ident;)*) => { $(
        pub unsafe fn $name(
            info: *const DriverInfo,
            id: PCWSTR,
            other: PCWSTR,
            descriptors_: *const WC_LAYER_DESCRIPTOR,
            count: u32,
        ) -> HRESULT {
            // SAFETY: the caller's promise.
            unsafe {
                on(info, id, |driver, id| {
                    let other = crate::text::optional(other)?.unwrap_or_default();
                    driver.$call(id, &other, &descriptors(descriptors_, count)?)
                })
            }
        }
    )* };
}

with_text! {
    CopyLayer copy_layer;
    CreateSandboxLayer create_sandbox_layer;
}

macro_rules! with_image {
    ($($name:ident $call:ident;)*) => { $(
        pub unsafe fn $name(image: PCWSTR) -> HRESULT {
            // SAFETY: the caller's promise.
            let image = unsafe { path(image) };
            code(image.and_then(|image| backend::driver(Path::new(""))?.$call(&image)))
        }
    )* };
}

with_image! {
    ProcessBaseImage process_base_image;
    ProcessUtilityImage process_utility_image;
}

pub unsafe fn CreateLayer(info: *const DriverInfo, id: PCWSTR, parent: PCWSTR) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe {
        on(info, id, |driver, id| {
            driver.create_layer(id, &crate::text::optional(parent)?.unwrap_or_default())
        })
    }
}

pub unsafe fn ExpandSandboxSize(info: *const DriverInfo, id: PCWSTR, size: u64) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { on(info, id, |driver, id| driver.expand_sandbox_size(id, size)) }
}

pub unsafe fn PrepareLayer(
    info: *const DriverInfo,
    id: PCWSTR,
    descriptors_: *const WC_LAYER_DESCRIPTOR,
    count: u32,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe { on(info, id, |driver, id| driver.prepare_layer(id, &descriptors(descriptors_, count)?)) }
}

pub unsafe fn LayerExists(info: *const DriverInfo, id: PCWSTR, exists: *mut BOOL32) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe {
        on(info, id, |driver, id| {
            let found = driver.layer_exists(id)?;
            match exists.as_mut() {
                Some(exists) => *exists = found.into(),
                None => return Err(Error::new("answer whether a layer exists", HResult::E_INVALIDARG)),
            }
            Ok(())
        })
    }
}

/// Without a buffer the length that is needed is answered, in units and with the zero.
pub unsafe fn GetLayerMountPath(
    info: *const DriverInfo,
    id: PCWSTR,
    length: *mut usize,
    buffer: *mut u16,
) -> HRESULT {
    // SAFETY: the caller's promise.
    unsafe {
        on(info, id, |driver, id| {
            let path = driver.layer_mount_path(id)?;
            let units: Vec<u16> = path.to_string_lossy().encode_utf16().chain([0]).collect();
            let length =
                length.as_mut().ok_or_else(|| Error::new("answer a length", HResult::E_INVALIDARG))?;
            let room = std::mem::replace(length, units.len());
            if buffer.is_null() {
                return Ok(());
            }
            if room < units.len() {
                return Err(Error::new("answer a path", HResult::ERROR_INSUFFICIENT_BUFFER));
            }
            std::ptr::copy_nonoverlapping(units.as_ptr(), buffer, units.len());
            Ok(())
        })
    }
}

pub unsafe fn GetBaseImages(images: *mut PWSTR) -> HRESULT {
    let call = || Ok(Some(backend::driver(Path::new(""))?.base_images()?));
    // SAFETY: the caller's promise.
    unsafe { with_document::<Task>(images, call()) }
}

pub unsafe fn NameToGuid(name: PCWSTR, guid: *mut GUID) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let (name, place) = unsafe { (text(name)?, guid.as_mut()) };
        let place = place.ok_or_else(|| Error::new("answer an id", HResult::E_INVALIDARG))?;
        let (data1, data2, data3, data4) = backend::driver(Path::new(""))?.name_to_guid(&name)?.fields();
        *place = GUID { data1, data2, data3, data4 };
        Ok(())
    };
    code(call())
}

pub unsafe fn GrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    let call = || {
        // SAFETY: the caller's promise.
        let (id, file) = unsafe { (text(vm_id)?, path(file_path)?) };
        backend::driver(Path::new(""))?.grant_vm_access(&id, &file)
    };
    code(call())
}

pub unsafe fn ExportLayerBegin(
    _info: *const DriverInfo,
    _id: PCWSTR,
    _descriptors: *const WC_LAYER_DESCRIPTOR,
    _count: u32,
    _context: *mut *mut c_void,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ExportLayerEnd(_context: *mut c_void) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ExportLayerNext(
    _context: *mut c_void,
    _file_name: *mut PWSTR,
    _file_information: *mut FILE_BASIC_INFO,
    _file_size: *mut i64,
    _deleted: *mut BOOL32,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ExportLayerRead(
    _context: *mut c_void,
    _buffer: *mut u8,
    _size: u32,
    _read: *mut u32,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ImportLayerBegin(
    _info: *const DriverInfo,
    _id: PCWSTR,
    _descriptors: *const WC_LAYER_DESCRIPTOR,
    _count: u32,
    _context: *mut *mut c_void,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ImportLayerEnd(_context: *mut c_void) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ImportLayerNext(
    _context: *mut c_void,
    _file_name: PCWSTR,
    _file_information: *const FILE_BASIC_INFO,
) -> HRESULT {
    NOT_IMPLEMENTED
}

pub unsafe fn ImportLayerWrite(_context: *mut c_void, _buffer: *const u8, _size: u32) -> HRESULT {
    NOT_IMPLEMENTED
}
