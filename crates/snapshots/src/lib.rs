//! Image layers and writable root file systems on disk, given out as mounts.
//!
//! A *layer* is what one layer of an image changes, unpacked; it is named by its [`ChainId`], which says what lies below
//! it too, and never changes once it is committed. A *snapshot* is a container's own root on top of a layer. Nothing is
//! mounted here: who wants to see a snapshot gets a list of [`Mount`]s and mounts them where it needs them.
//!
//! Layers are unpacked independently of each other, in any order and at once; only committing goes from the bottom up:
//! ```text
//! begin_layer ─▶ Draft ─ unpack into Draft::folder ─▶ commit_layer(draft, parent)      has_layer, layer_folders
//!                  └ dropped: removed                   └▶ prepare(key, parent) ─▶ mounts ─▶ remove(key)
//! ```

mod chain;
mod draft;
mod error;
mod idmap;
pub mod overlay;
pub mod stack;
#[cfg(feature = "suite")]
pub mod suite;
mod tree;

pub use chain::{ChainId, InvalidChainId};
pub use compute::mount::Mount;
pub use draft::{Attributes, Draft};
pub use error::{Error, Result};
pub use idmap::{IdMap, IdMaps, InvalidIdMap};

use std::path::{Path, PathBuf};

/// What something occupies on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In bytes, as the file system allocates them.
    pub bytes: u64,
    /// Files, folders, links.
    pub inodes: u64,
}

/// What a container's root is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepare {
    /// The container's user namespace; without one, its root is the host's.
    pub id_map: Option<IdMaps>,
    /// Without a writable folder. Nobody can make mount points in such a root that the image does not have.
    pub read_only: bool,
}

/// A layer that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name.
    pub chain: ChainId,
    /// What it lies on.
    pub parent: Option<ChainId>,
    /// What it occupies, without what lies below.
    pub usage: Usage,
}

/// A container's root that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its name.
    pub key: String,
    /// The layer it lies on.
    pub parent: ChainId,
}

/// Keeps layers, and makes roots of them. Calls block; they may come from any number of threads.
///
/// Whatever an implementation does survives the end of its process at any moment: after that, a layer is there whole
/// or not at all. A committed layer survives the host's crash too; a container's root need not, as the container
/// does not.
pub trait Snapshotter: Send + Sync {
    /// The implementation, as image statistics and configuration name it.
    fn name(&self) -> &'static str;

    /// The folder that holds everything: the file system whose fullness matters.
    fn root(&self) -> &Path;

    /// Whether the layer is committed.
    fn has_layer(&self, chain: &ChainId) -> Result<bool>;

    /// An empty folder to unpack a layer into. Several may be open for one layer; the first to be committed stays.
    fn begin_layer(&self, chain: &ChainId) -> Result<Draft>;

    /// Makes a draft the layer it was begun for, on `parent`, which must be committed. Returns when it is durable.
    /// When the layer is there already, the draft is removed.
    fn commit_layer(&self, draft: Draft, parent: Option<&ChainId>, usage: Usage) -> Result<()>;

    /// The folders of the layer and of those below it, top first.
    fn layer_folders(&self, chain: &ChainId) -> Result<Vec<PathBuf>>;

    /// Makes a container's root on a layer, and says how to mount it.
    fn prepare(&self, key: &str, parent: &ChainId, options: &Prepare) -> Result<Vec<Mount>>;

    /// How to mount what the image has at `sub_path` (empty for all of it), read-only: a folder or a file. Symbolic
    /// links are followed inside the image. Nothing is kept, so nothing keeps the layer from being removed either:
    /// the image has to be held.
    fn view(&self, parent: &ChainId, sub_path: &str) -> Result<Vec<Mount>>;

    /// How to mount a root that was prepared.
    fn mounts(&self, key: &str) -> Result<Vec<Mount>>;

    /// Removes a root, which is not mounted any more. One that is not there is removed.
    fn remove(&self, key: &str) -> Result<()>;

    /// What a container has written. May be some seconds old.
    fn usage(&self, key: &str) -> Result<Usage>;

    /// What a layer occupies, without what lies below.
    fn layer_usage(&self, chain: &ChainId) -> Result<Usage>;

    /// All layers, in no order.
    fn layers(&self) -> Result<Vec<LayerInfo>>;

    /// All roots, in no order.
    fn snapshots(&self) -> Result<Vec<SnapshotInfo>>;

    /// Removes a layer. Refused ([`Error::LayerInUse`]) while a layer or a root lies on it. One that is not there is
    /// removed.
    fn remove_layer(&self, chain: &ChainId) -> Result<()>;
}

/// What a folder occupies, with all that is in it; a file with several names counts once.
pub fn measure(folder: &Path) -> std::io::Result<Usage> {
    Ok(tree::usage(folder)?)
}
