//! computestorage.dll: layers on hosts from build 17763 (Windows 10 1809, Server 2019).

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "computestorage.dll has a C interface")]

use super::answer::{check, check_with};
use super::library::{Place, Unavailable, wide_path};
use super::text::{Local, Optional, Returned, unless_empty, wide};
use crate::document::Document as _;
use crate::documents::{ExportLayerOptions, LayerData, OsLayerOptions};
use crate::error::Result;
use crate::storage::ComputeStorage as Storage;
use functions::Functions;
use std::fs::File;
use std::os::windows::io::AsRawHandle as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

mod functions {
    //! The functions of computestorage.dll.
    use crate::abi::{HANDLE, HRESULT, PCWSTR, PWSTR};
    use crate::windows::library::functions;

    crate::computestorage_functions!(functions);
}

/// computestorage.dll. A disk is given as an open file of it.
#[derive(Clone)]
pub struct ComputeStorage {
    functions: Arc<Functions>,
}

impl ComputeStorage {
    /// Loads the library.
    ///
    /// # Errors
    /// [`Unavailable::Library`] on a host that does not have it.
    pub fn load(place: &Place) -> std::result::Result<Self, Unavailable> {
        Ok(Self { functions: Arc::new(Functions::load(place)?) })
    }

    /// `HcsInitializeWritableLayer` with options, which are not documented.
    ///
    /// # Errors
    /// What the library answers.
    pub fn initialize_writable_layer_with(
        &self,
        layer: &Path,
        data: &LayerData,
        options: Option<&str>,
    ) -> Result<()> {
        let attempted = format!("initialize writable layer {}", layer.display());
        let (layer, data) = (wide_path(layer, &attempted)?, wide(&data.to_json(), &attempted)?);
        let options = Optional::new(options, &attempted)?;
        // SAFETY: the texts are absent or end with a zero.
        let answer = unsafe {
            self.functions.HcsInitializeWritableLayer(layer.as_ptr(), data.as_ptr(), options.as_ptr())
        };
        check(answer, &attempted)
    }
}

impl Storage for ComputeStorage {
    fn import_layer(&self, layer: &Path, source: &Path, data: &LayerData) -> Result<()> {
        let attempted = format!("import layer {} from {}", layer.display(), source.display());
        let (layer, source) = (wide_path(layer, &attempted)?, wide_path(source, &attempted)?);
        let data = wide(&data.to_json(), &attempted)?;
        // SAFETY: the texts end with a zero.
        let answer = unsafe { self.functions.HcsImportLayer(layer.as_ptr(), source.as_ptr(), data.as_ptr()) };
        check(answer, &attempted)
    }

    fn export_layer(
        &self,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
        options: &ExportLayerOptions,
    ) -> Result<()> {
        let attempted = format!("export layer {} to {}", layer.display(), folder.display());
        let (layer, folder) = (wide_path(layer, &attempted)?, wide_path(folder, &attempted)?);
        let (data, options) = (wide(&data.to_json(), &attempted)?, wide(&options.to_json(), &attempted)?);
        // SAFETY: the texts end with a zero.
        let answer = unsafe {
            self.functions.HcsExportLayer(layer.as_ptr(), folder.as_ptr(), data.as_ptr(), options.as_ptr())
        };
        check(answer, &attempted)
    }

    fn export_legacy_writable_layer(
        &self,
        mount: &Path,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
    ) -> Result<()> {
        let attempted = format!("export writable layer {} to {}", layer.display(), folder.display());
        let (mount, layer) = (wide_path(mount, &attempted)?, wide_path(layer, &attempted)?);
        let (folder, data) = (wide_path(folder, &attempted)?, wide(&data.to_json(), &attempted)?);
        // SAFETY: the texts end with a zero.
        let answer = unsafe {
            self.functions.HcsExportLegacyWritableLayer(
                mount.as_ptr(),
                layer.as_ptr(),
                folder.as_ptr(),
                data.as_ptr(),
            )
        };
        check(answer, &attempted)
    }

    fn destroy_layer(&self, layer: &Path) -> Result<()> {
        let attempted = format!("destroy layer {}", layer.display());
        let layer = wide_path(layer, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsDestroyLayer(layer.as_ptr()) };
        check(answer, &attempted)
    }

    fn setup_base_os_layer(&self, layer: &Path, disk: &File, options: &OsLayerOptions) -> Result<()> {
        let attempted = format!("set up base layer {}", layer.display());
        let (layer, options) = (wide_path(layer, &attempted)?, wide(&options.to_json(), &attempted)?);
        // SAFETY: the file is open, the texts end with a zero.
        let answer = unsafe {
            self.functions.HcsSetupBaseOSLayer(layer.as_ptr(), disk.as_raw_handle(), options.as_ptr())
        };
        check(answer, &attempted)
    }

    fn setup_base_os_volume(&self, layer: &Path, volume: &Path, options: &OsLayerOptions) -> Result<()> {
        let attempted = format!("set up base layer {} on {}", layer.display(), volume.display());
        let (layer, volume) = (wide_path(layer, &attempted)?, wide_path(volume, &attempted)?);
        let options = wide(&options.to_json(), &attempted)?;
        // SAFETY: the texts end with a zero.
        let answer =
            unsafe { self.functions.HcsSetupBaseOSVolume(layer.as_ptr(), volume.as_ptr(), options.as_ptr()) };
        check(answer, &attempted)
    }

    fn initialize_writable_layer(&self, layer: &Path, data: &LayerData) -> Result<()> {
        self.initialize_writable_layer_with(layer, data, None)
    }

    fn initialize_legacy_writable_layer(&self, mount: &Path, layer: &Path, data: &LayerData) -> Result<()> {
        let attempted = format!("initialize writable layer {} at {}", layer.display(), mount.display());
        let (mount, layer) = (wide_path(mount, &attempted)?, wide_path(layer, &attempted)?);
        let data = wide(&data.to_json(), &attempted)?;
        // SAFETY: the texts end with a zero, the options may be null.
        let answer = unsafe {
            self.functions.HcsInitializeLegacyWritableLayer(
                mount.as_ptr(),
                layer.as_ptr(),
                data.as_ptr(),
                ptr::null(),
            )
        };
        check(answer, &attempted)
    }

    fn attach_layer_storage_filter(&self, layer: &Path, data: &LayerData) -> Result<()> {
        let attempted = format!("attach the storage filter to {}", layer.display());
        let (layer, data) = (wide_path(layer, &attempted)?, wide(&data.to_json(), &attempted)?);
        // SAFETY: the texts end with a zero.
        let answer = unsafe { self.functions.HcsAttachLayerStorageFilter(layer.as_ptr(), data.as_ptr()) };
        check(answer, &attempted)
    }

    fn detach_layer_storage_filter(&self, layer: &Path) -> Result<()> {
        let attempted = format!("detach the storage filter from {}", layer.display());
        let layer = wide_path(layer, &attempted)?;
        // SAFETY: the path ends with a zero.
        let answer = unsafe { self.functions.HcsDetachLayerStorageFilter(layer.as_ptr()) };
        check(answer, &attempted)
    }

    fn attach_overlay_filter(&self, volume: &Path, data: &LayerData) -> Result<()> {
        let attempted = format!("attach the overlay filter to {}", volume.display());
        let (volume, data) = (wide_path(volume, &attempted)?, wide(&data.to_json(), &attempted)?);
        // SAFETY: the texts end with a zero.
        let answer = unsafe { self.functions.HcsAttachOverlayFilter(volume.as_ptr(), data.as_ptr()) };
        check(answer, &attempted)
    }

    fn detach_overlay_filter(&self, volume: &Path, data: &LayerData) -> Result<()> {
        let attempted = format!("detach the overlay filter from {}", volume.display());
        let (volume, data) =
            (wide_path(volume, &attempted)?, Optional::new(unless_empty(data).as_deref(), &attempted)?);
        // SAFETY: the texts are absent or end with a zero.
        let answer = unsafe { self.functions.HcsDetachOverlayFilter(volume.as_ptr(), data.as_ptr()) };
        check(answer, &attempted)
    }

    fn format_writable_layer_vhd(&self, disk: &File) -> Result<()> {
        const ATTEMPTED: &str = "format the disk of a writable layer";
        // SAFETY: the file is open.
        let answer = unsafe { self.functions.HcsFormatWritableLayerVhd(disk.as_raw_handle()) };
        check(answer, ATTEMPTED)
    }

    fn layer_vhd_mount_path(&self, disk: &File) -> Result<PathBuf> {
        const ATTEMPTED: &str = "ask where the disk of a layer is mounted";
        let mut path = Returned::<Local>::new();
        // SAFETY: the file is open, the last is a place for the result.
        let answer = unsafe { self.functions.HcsGetLayerVhdMountPath(disk.as_raw_handle(), path.out()) };
        check_with(answer, &path, ATTEMPTED)?;
        path.text(ATTEMPTED)?.map(PathBuf::from).ok_or_else(|| super::text::missing(ATTEMPTED))
    }
}

impl std::fmt::Debug for ComputeStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputeStorage").finish_non_exhaustive()
    }
}
