//! What nothing refers to is removed: layers that no image has, no snapshot stands on and no pull holds; copies of
//! layers that no image has.
//!
//! Layers are looked at from the topmost down, and each is removed while nobody can take a lease of it. The snapshotter
//! itself refuses to remove what something stands on, so a container that starts meanwhile loses nothing.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Kept;
use crate::store::ImageRecord;
use snapshots::{ChainId, LayerInfo};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many layers.
    pub layers: u64,
    /// How many copies of layers.
    pub copies: u64,
    /// What all that occupied, in bytes.
    pub bytes: u64,
}

/// Removes everything that nothing refers to.
pub(crate) fn collect(kept: &Kept) -> Result<Collected> {
    let mut collected = Collected::default();
    for layer in topmost_first(kept.snapshotter.layers().map_err(Error::Layers)?) {
        if remove_layer(kept, &layer.chain)? {
            collected.layers += 1;
            collected.bytes += layer.usage.bytes;
        }
    }
    // A copy belongs to its image only when that is there; meanwhile the lease of the pull that makes it stands for it.
    if kept.leases.are_held() {
        return Ok(collected);
    }
    let wanted = copies(kept);
    for algorithm in ["sha256", "sha384", "sha512"] {
        let folder = kept.blobs().join(algorithm);
        let failed = |cause| Error::Io { attempted: "list", path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let digest: Option<Digest> =
                entry.file_name().to_str().and_then(|digits| format!("{algorithm}:{digits}").parse().ok());
            if digest.is_some_and(|digest| wanted.contains(&digest)) {
                continue;
            }
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            remove_file(&entry.path())?;
            collected.copies += 1;
            collected.bytes += size;
        }
    }
    Ok(collected)
}

/// Removes what an image that is no more had for itself.
pub(crate) fn after_removal(kept: &Kept, record: &ImageRecord) -> Result<()> {
    let chains: Vec<ChainId> = record.layers.iter().map(|layer| layer.chain.clone()).collect();
    remove_unneeded(kept, &chains)?;
    if kept.config.discard_unpacked_layers {
        return Ok(());
    }
    let wanted = copies(kept);
    for layer in record.layers.iter().filter(|layer| !wanted.contains(&layer.digest)) {
        if let Some(path) = kept.copy_path(&layer.digest) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Of an image's layers, lowest first, removes those that nothing else needs.
pub(crate) fn remove_unneeded(kept: &Kept, chains: &[ChainId]) -> Result<()> {
    for chain in chains.iter().rev() {
        if !remove_layer(kept, chain)? && is_wanted(kept, chain) {
            // Those below are wanted with it.
            return Ok(());
        }
    }
    Ok(())
}

/// Removes a layer unless something needs it; tells whether it did.
fn remove_layer(kept: &Kept, chain: &ChainId) -> Result<bool> {
    // Looked at while nobody can begin to hold it: whoever took the last lease has named the layer by now, or gave up.
    let removed = kept.leases.unless_held(chain, || {
        if is_wanted(kept, chain) {
            return Ok(false);
        }
        match kept.snapshotter.remove_layer(chain) {
            Ok(()) => Ok(true),
            Err(snapshots::Error::LayerInUse { .. }) => Ok(false),
            Err(cause) => Err(Error::Layers(cause)),
        }
    });
    removed.unwrap_or(Ok(false))
}

fn is_wanted(kept: &Kept, chain: &ChainId) -> bool {
    let state = kept.store.state();
    state.images.values().any(|stored| stored.record.layers.iter().any(|layer| layer.chain == *chain))
}

/// The blobs of layers whose copies are kept.
fn copies(kept: &Kept) -> HashSet<Digest> {
    if kept.config.discard_unpacked_layers {
        return HashSet::new();
    }
    let state = kept.store.state();
    let layers = state.images.values().flat_map(|stored| &stored.record.layers);
    layers.map(|layer| layer.digest.clone()).collect()
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { attempted: "remove", path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

/// Every layer before the one it lies on.
fn topmost_first(layers: Vec<LayerInfo>) -> Vec<LayerInfo> {
    let parents: HashMap<ChainId, ChainId> =
        layers.iter().filter_map(|layer| Some((layer.chain.clone(), layer.parent.clone()?))).collect();
    let depth = |layer: &LayerInfo| {
        let mut depth = 0_usize;
        let mut at = layer.parent.as_ref();
        // A chain is a digest over its parent's, so it cannot lead back to itself; a broken store could say so.
        while let Some(parent) = at.filter(|_| depth <= parents.len()) {
            depth += 1;
            at = parents.get(parent);
        }
        std::cmp::Reverse(depth)
    };
    let mut layers = layers;
    layers.sort_by_cached_key(depth);
    layers
}
