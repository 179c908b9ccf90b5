//! Layers by way of vmcompute.dll: by id, below a home folder.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

use super::functions::Functions;
use super::{LayerReader, LayerWriter};
use crate::abi::{DriverInfo, GUID, HRESULT, PCWSTR, WC_LAYER_DESCRIPTOR};
use crate::document::Guid;
use crate::error::Result;
use crate::storage::{LayerDescriptor, LayerDriver};
use crate::windows::answer::check;
use crate::windows::guid::{from_c, to_c};
use crate::windows::library::{Unavailable, wide_path};
use crate::windows::text::{Returned, Task, wide};
use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

/// Layers are folders below the home.
const FOLDERS: i32 = 1;

/// The layers below a home folder.
#[derive(Clone)]
pub struct Layers {
    functions: Arc<Functions>,
    home: PathBuf,
}

/// The layers below another, as the library takes them.
pub(super) struct Descriptors {
    list: Vec<WC_LAYER_DESCRIPTOR>,
    /// What the pointers in the list point to.
    _paths: Vec<Vec<u16>>,
}

impl Descriptors {
    pub(super) fn new(layers: &[LayerDescriptor], attempted: &str) -> Result<Self> {
        let paths: Vec<Vec<u16>> =
            layers.iter().map(|layer| wide_path(&layer.path, attempted)).collect::<Result<_>>()?;
        let list = layers.iter().zip(&paths).map(|(layer, path)| WC_LAYER_DESCRIPTOR {
            LayerId: to_c(&layer.id),
            Flags: layer.flags,
            Path: path.as_ptr(),
        });
        Ok(Self { list: list.collect(), _paths: paths })
    }

    pub(super) fn as_ptr(&self) -> *const WC_LAYER_DESCRIPTOR {
        match self.list.is_empty() {
            true => ptr::null(),
            false => self.list.as_ptr(),
        }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }
}

type OnLayer = unsafe fn(&Functions, *const DriverInfo, PCWSTR) -> std::result::Result<HRESULT, Unavailable>;

impl Layers {
    pub(super) fn new(functions: Arc<Functions>, home: &Path) -> Self {
        Self { functions, home: home.to_owned() }
    }

    /// Writes a layer file by file: `ImportLayerBegin` and what follows. Hosts of today lack it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn write_layer(&self, id: &str, layers: &[LayerDescriptor]) -> Result<LayerWriter> {
        let attempted = format!("write layer {id}");
        let layers = Descriptors::new(layers, &attempted)?;
        let mut context = ptr::null_mut();
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the descriptors live until the call returns, the last is a place for the handle.
            unsafe { functions.ImportLayerBegin(info, id, layers.as_ptr(), layers.count(), &raw mut context) }
        })?;
        Ok(LayerWriter::new(Arc::clone(&self.functions), context, id))
    }

    /// Reads a layer file by file: `ExportLayerBegin` and what follows. Hosts of today lack it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn read_layer(&self, id: &str, layers: &[LayerDescriptor]) -> Result<LayerReader> {
        let attempted = format!("read layer {id}");
        let layers = Descriptors::new(layers, &attempted)?;
        let mut context = ptr::null_mut();
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the descriptors live until the call returns, the last is a place for the handle.
            unsafe { functions.ExportLayerBegin(info, id, layers.as_ptr(), layers.count(), &raw mut context) }
        })?;
        Ok(LayerReader::new(Arc::clone(&self.functions), context, id))
    }

    /// Makes a call on a layer: with the home folder and the layer's id, which live until it returns.
    fn call(
        &self,
        attempted: &str,
        id: &str,
        call: impl FnOnce(&Functions, *const DriverInfo, PCWSTR) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<()> {
        let (home, id) = (wide_path(&self.home, attempted)?, wide(id, attempted)?);
        let info = DriverInfo { flavour: FOLDERS, home: home.as_ptr() };
        check(call(&self.functions, &raw const info, id.as_ptr()), attempted)
    }

    fn simple(&self, verb: &str, id: &str, call: OnLayer) -> Result<()> {
        self.call(&format!("{verb} layer {id}"), id, |functions, info, id| {
            // SAFETY: as `call` says.
            unsafe { call(functions, info, id) }
        })
    }
}

impl LayerDriver for Layers {
    fn create_layer(&self, id: &str, parent: &str) -> Result<()> {
        let attempted = format!("create layer {id} on {parent}");
        let parent = wide(parent, &attempted)?;
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the text ends with a zero.
            unsafe { functions.CreateLayer(info, id, parent.as_ptr()) }
        })
    }

    fn create_sandbox_layer(&self, id: &str, parent: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("create writable layer {id}");
        let (parent, layers) = (wide(parent, &attempted)?, Descriptors::new(layers, &attempted)?);
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the text ends with a zero, the descriptors live until the call returns.
            unsafe {
                functions.CreateSandboxLayer(info, id, parent.as_ptr(), layers.as_ptr(), layers.count())
            }
        })
    }

    fn expand_sandbox_size(&self, id: &str, size: u64) -> Result<()> {
        self.call(&format!("expand layer {id} to {size} bytes"), id, |functions, info, id| {
            // SAFETY: as `call` says.
            unsafe { functions.ExpandSandboxSize(info, id, size) }
        })
    }

    fn activate_layer(&self, id: &str) -> Result<()> {
        self.simple("activate", id, Functions::ActivateLayer)
    }

    fn deactivate_layer(&self, id: &str) -> Result<()> {
        self.simple("deactivate", id, Functions::DeactivateLayer)
    }

    fn prepare_layer(&self, id: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("prepare layer {id}");
        let layers = Descriptors::new(layers, &attempted)?;
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the descriptors live until the call returns.
            unsafe { functions.PrepareLayer(info, id, layers.as_ptr(), layers.count()) }
        })
    }

    fn unprepare_layer(&self, id: &str) -> Result<()> {
        self.simple("unprepare", id, Functions::UnprepareLayer)
    }

    fn layer_mount_path(&self, id: &str) -> Result<PathBuf> {
        let attempted = format!("ask where layer {id} is mounted");
        let mut length: usize = 0;
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; without a buffer the library tells the length that it needs.
            unsafe { functions.GetLayerMountPath(info, id, &raw mut length, ptr::null_mut()) }
        })?;
        let mut path = vec![0_u16; length];
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the buffer has room for that many units.
            unsafe { functions.GetLayerMountPath(info, id, &raw mut length, path.as_mut_ptr()) }
        })?;
        path.truncate(path.iter().position(|unit| *unit == 0).unwrap_or(path.len()));
        Ok(OsString::from_wide(&path).into())
    }

    fn copy_layer(&self, from: &str, to: &str, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("copy layer {from} to {to}");
        let (to, layers) = (wide(to, &attempted)?, Descriptors::new(layers, &attempted)?);
        self.call(&attempted, from, |functions, info, from| {
            // SAFETY: as `call` says; the text ends with a zero, the descriptors live until the call returns.
            unsafe { functions.CopyLayer(info, from, to.as_ptr(), layers.as_ptr(), layers.count()) }
        })
    }

    fn import_layer(&self, id: &str, source: &Path, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("import layer {id} from {}", source.display());
        let (source, layers) = (wide_path(source, &attempted)?, Descriptors::new(layers, &attempted)?);
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the path ends with a zero, the descriptors live until the call returns.
            unsafe { functions.ImportLayer(info, id, source.as_ptr(), layers.as_ptr(), layers.count()) }
        })
    }

    fn export_layer(&self, id: &str, folder: &Path, layers: &[LayerDescriptor]) -> Result<()> {
        let attempted = format!("export layer {id} to {}", folder.display());
        let (folder, layers) = (wide_path(folder, &attempted)?, Descriptors::new(layers, &attempted)?);
        self.call(&attempted, id, |functions, info, id| {
            // SAFETY: as `call` says; the path ends with a zero, the descriptors live until the call returns.
            unsafe { functions.ExportLayer(info, id, folder.as_ptr(), layers.as_ptr(), layers.count()) }
        })
    }

    fn destroy_layer(&self, id: &str) -> Result<()> {
        self.simple("destroy", id, Functions::DestroyLayer)
    }

    fn layer_exists(&self, id: &str) -> Result<bool> {
        let mut exists = 0;
        self.call(&format!("look for layer {id}"), id, |functions, info, id| {
            // SAFETY: as `call` says; the last is a place for the result.
            unsafe { functions.LayerExists(info, id, &raw mut exists) }
        })?;
        Ok(exists != 0)
    }

    fn base_images(&self) -> Result<String> {
        const ATTEMPTED: &str = "list base images";
        let mut images = Returned::<Task>::new();
        // SAFETY: the only parameter is a place for the result.
        check(unsafe { self.functions.GetBaseImages(images.out()) }, ATTEMPTED)?;
        images.text(ATTEMPTED)?.ok_or_else(|| crate::windows::text::missing(ATTEMPTED))
    }

    fn name_to_guid(&self, name: &str) -> Result<Guid> {
        let attempted = format!("ask the id of layer name {name}");
        let name = wide(name, &attempted)?;
        let mut guid = GUID::default();
        // SAFETY: the text ends with a zero, the last is a place for the result.
        check(unsafe { self.functions.NameToGuid(name.as_ptr(), &raw mut guid) }, &attempted)?;
        Ok(from_c(guid))
    }

    fn process_base_image(&self, layer: &Path) -> Result<()> {
        let attempted = format!("process base image {}", layer.display());
        let layer = wide_path(layer, &attempted)?;
        // SAFETY: the path ends with a zero.
        check(unsafe { self.functions.ProcessBaseImage(layer.as_ptr()) }, &attempted)
    }

    fn process_utility_image(&self, layer: &Path) -> Result<()> {
        let attempted = format!("process utility image {}", layer.display());
        let layer = wide_path(layer, &attempted)?;
        // SAFETY: the path ends with a zero.
        check(unsafe { self.functions.ProcessUtilityImage(layer.as_ptr()) }, &attempted)
    }

    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()> {
        let attempted = format!("let virtual machine {id} use {}", file.display());
        let (id, file) = (wide(id, &attempted)?, wide_path(file, &attempted)?);
        // SAFETY: both texts end with a zero.
        check(unsafe { self.functions.GrantVmAccess(id.as_ptr(), file.as_ptr()) }, &attempted)
    }
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers").field("home", &self.home).finish_non_exhaustive()
    }
}
