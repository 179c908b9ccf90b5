//! Layers: the calls of computestorage.dll, and the older ones of vmcompute.dll.
//!
//! A layer is a folder with a part of a container's file system; a writable layer, or sandbox, is one with a scratch
//! disk on top of others. [`ComputeStorage`] names layers by path and their parents by a [`LayerData`] document;
//! [`LayerDriver`] names them by id below a home folder and their parents one by one. Calls take effect before they
//! return.

use crate::document::Guid;
use crate::documents::{ExportLayerOptions, LayerData, OsLayerOptions};
use crate::error::Result;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Layers as computestorage.dll has them. A disk is given as an open file of it: a `HANDLE` on Windows.
pub trait ComputeStorage: Send + Sync {
    /// Makes a read-only layer of an exported folder; `data` lists its parents.
    fn import_layer(&self, layer: &Path, source: &Path, data: &LayerData) -> Result<()>;

    /// Writes a layer to a folder in the form that [`ComputeStorage::import_layer`] reads.
    fn export_layer(
        &self,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
        options: &ExportLayerOptions,
    ) -> Result<()>;

    /// Writes a writable layer of the older form, which is mounted at `mount`, to a folder.
    fn export_legacy_writable_layer(
        &self,
        mount: &Path,
        layer: &Path,
        folder: &Path,
        data: &LayerData,
    ) -> Result<()>;

    /// Removes a layer and all in it.
    fn destroy_layer(&self, layer: &Path) -> Result<()>;

    /// Prepares a base layer for containers or utility VMs, on a disk.
    fn setup_base_os_layer(&self, layer: &Path, disk: &File, options: &OsLayerOptions) -> Result<()>;

    /// Prepares a base layer for containers or utility VMs, on a mounted volume.
    fn setup_base_os_volume(&self, layer: &Path, volume: &Path, options: &OsLayerOptions) -> Result<()>;

    /// Prepares a writable layer on top of the layers that `data` lists.
    fn initialize_writable_layer(&self, layer: &Path, data: &LayerData) -> Result<()>;

    /// Prepares a writable layer of the older form, which is mounted at `mount`.
    fn initialize_legacy_writable_layer(&self, mount: &Path, layer: &Path, data: &LayerData) -> Result<()>;

    /// Unites the layers that `data` lists below the writable layer.
    fn attach_layer_storage_filter(&self, layer: &Path, data: &LayerData) -> Result<()>;

    /// Undoes [`ComputeStorage::attach_layer_storage_filter`].
    fn detach_layer_storage_filter(&self, layer: &Path) -> Result<()>;

    /// Unites the layers that `data` lists on a volume; of newer hosts, not documented by Microsoft.
    fn attach_overlay_filter(&self, volume: &Path, data: &LayerData) -> Result<()>;

    /// Undoes [`ComputeStorage::attach_overlay_filter`].
    fn detach_overlay_filter(&self, volume: &Path, data: &LayerData) -> Result<()>;

    /// Makes a file system on the disk of a writable layer.
    fn format_writable_layer_vhd(&self, disk: &File) -> Result<()>;

    /// Where the disk of a writable layer is mounted.
    fn layer_vhd_mount_path(&self, disk: &File) -> Result<PathBuf>;
}

/// Layers as vmcompute.dll has them: by id, below the driver's home folder. An empty home means that ids are paths.
pub trait LayerDriver: Send + Sync {
    /// Makes an empty read-only layer on top of `parent`.
    fn create_layer(&self, id: &str, parent: &str) -> Result<()>;

    /// Makes a writable layer on top of these, the nearest first.
    fn create_sandbox_layer(&self, id: &str, parent: &str, layers: &[LayerDescriptor]) -> Result<()>;

    /// Gives a writable layer's disk another size, in bytes.
    fn expand_sandbox_size(&self, id: &str, size: u64) -> Result<()>;

    /// Attaches a layer's disk.
    fn activate_layer(&self, id: &str) -> Result<()>;

    /// Detaches a layer's disk.
    fn deactivate_layer(&self, id: &str) -> Result<()>;

    /// Unites the layers below an active one.
    fn prepare_layer(&self, id: &str, layers: &[LayerDescriptor]) -> Result<()>;

    /// Undoes [`LayerDriver::prepare_layer`].
    fn unprepare_layer(&self, id: &str) -> Result<()>;

    /// Where a layer is mounted.
    fn layer_mount_path(&self, id: &str) -> Result<PathBuf>;

    /// Copies a layer.
    fn copy_layer(&self, from: &str, to: &str, layers: &[LayerDescriptor]) -> Result<()>;

    /// Makes a read-only layer of an exported folder.
    fn import_layer(&self, id: &str, source: &Path, layers: &[LayerDescriptor]) -> Result<()>;

    /// Writes a layer to a folder in the form that [`LayerDriver::import_layer`] reads.
    fn export_layer(&self, id: &str, folder: &Path, layers: &[LayerDescriptor]) -> Result<()>;

    /// Removes a layer and all in it.
    fn destroy_layer(&self, id: &str) -> Result<()>;

    /// Whether there is a layer with this id.
    fn layer_exists(&self, id: &str) -> Result<bool>;

    /// The base images of the host, as JSON.
    fn base_images(&self) -> Result<String>;

    /// The id that documents use for the layer with this name: always the same for one name.
    fn name_to_guid(&self, name: &str) -> Result<Guid>;

    /// Prepares an imported base layer for containers.
    fn process_base_image(&self, layer: &Path) -> Result<()>;

    /// Prepares the utility VM of an imported base layer.
    fn process_utility_image(&self, layer: &Path) -> Result<()>;

    /// Lets the virtual machine with this id use a file.
    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()>;
}

/// A layer below another: `WC_LAYER_DESCRIPTOR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// Its id in documents: [`LayerDriver::name_to_guid`] of its folder's name.
    pub id: Guid,
    /// Flags; 0 for all that is known.
    pub flags: u32,
    /// Its folder.
    pub path: PathBuf,
}
