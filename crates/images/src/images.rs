//! All images of a host. The one object of this crate that callers hold; cheap to clone.

use crate::archive::{self, Input};
use crate::config::Config;
use crate::digest::Digest;
use crate::error::{Error, FetchError, Result};
use crate::garbage::{self, Collected};
use crate::image::{Image, Layer};
use crate::layers::{Progress, blob_path};
use crate::leases::{Lease, Leases};
use crate::pull;
use crate::reference::Reference;
use crate::registry::Auth;
use crate::store::{Meant, State, Store, Stored};
use snapshots::{ChainId, Snapshotter, Usage};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The images of a host: pulled from registries or imported, unpacked, found, removed.
#[derive(Clone)]
pub struct Images(Arc<Kept>);

/// What all calls work on.
pub(crate) struct Kept {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) snapshotter: Arc<dyn Snapshotter>,
    pub(crate) leases: Arc<Leases>,
}

impl Images {
    /// Opens the store below `config.root`, or makes it. What a crash left half done is removed. Blocks.
    pub fn open(config: Config, snapshotter: Arc<dyn Snapshotter>) -> Result<Self> {
        let blobs = config.root.join("blobs");
        let ingest = config.root.join("ingest");
        let failed = |attempted, path: &Path| {
            let path = path.to_owned();
            move |cause| Error::Io { attempted, path, cause }
        };
        // Nothing outlives a process in here.
        match fs::remove_dir_all(&ingest) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(failed("empty", &ingest)(cause));
            }
            _ => {}
        }
        for folder in [&blobs.join("sha256"), &blobs.join("sha384"), &blobs.join("sha512"), &ingest] {
            fs::create_dir_all(folder).map_err(failed("make", folder))?;
        }
        let store = Store::open(&config.root).map_err(Error::Store)?;
        let leases = Arc::new(Leases::default());
        config.used.iter().for_each(|chain| leases.begin_use(chain));
        let layers = snapshotter.layers().map_err(Error::Layers)?;
        let layers: HashSet<ChainId> = layers.into_iter().map(|layer| layer.chain).collect();
        let forgotten =
            store.forget_incomplete(|layer| layers.contains(&layer.chain)).map_err(Error::Store)?;
        for id in forgotten {
            log::warn!("image {id} has lost a layer and is forgotten; it can be pulled again");
        }
        let kept = Kept { config, store, snapshotter, leases };
        garbage::collect(&kept)?;
        Ok(Self(Arc::new(kept)))
    }

    /// Pulls an image: resolves the reference, fetches what is not there yet, unpacks it, and gives it its name.
    ///
    /// Several pulls of the same layer at once fetch it once. Dropped or failed, a pull leaves nothing.
    pub async fn pull(
        &self,
        reference: &Reference,
        auth: Option<Auth>,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Image> {
        let pulled = pull::pull(&self.0, reference, auth.as_ref(), progress).await;
        let id = pulled
            .map_err(|cause| Error::Pull { reference: reference.to_string(), cause: Box::new(cause) })?;
        self.image(&id).ok_or_else(|| Error::NotFound(id.to_string()))
    }

    /// The image that `what` means: a name, with tag or digest or `:latest` implied; an id, with or without `sha256:`,
    /// or the beginning of one.
    pub fn find(&self, what: &str) -> Result<Option<Image>> {
        let state = self.0.store.state();
        match state.meant(what) {
            Meant::Nothing => Ok(None),
            Meant::Ambiguous => Err(Error::Ambiguous(what.to_owned())),
            Meant::Id(id) | Meant::Name { image: id, .. } => Ok(image(&state, &id)),
        }
    }

    /// All images, in the order of their ids.
    pub fn list(&self) -> Vec<Image> {
        let state = self.0.store.state();
        state.images.keys().filter_map(|id| image(&state, id)).collect()
    }

    /// Removes what `what` means. A name is removed from its image, which goes with its last one; an id stands for all
    /// names. Then the layers go that nothing needs; those below a snapshot stay until [`Images::collect`]. What is
    /// not there is removed. Blocks.
    pub fn remove(&self, what: &str) -> Result<()> {
        let outcome = self.0.store.change(|change| match change.state.meant(what) {
            Meant::Nothing => None,
            Meant::Ambiguous => Some(Err(())),
            meant => Some(Ok(change.state.remove(&meant))),
        });
        match outcome.map_err(Error::Store)? {
            None | Some(Ok(None)) => Ok(()),
            Some(Err(())) => Err(Error::Ambiguous(what.to_owned())),
            Some(Ok(Some(record))) => garbage::after_removal(&self.0, &record),
        }
    }

    /// Protects an image from being removed to make room, or no longer. Blocks.
    pub fn pin(&self, what: &str, pinned: bool) -> Result<()> {
        let outcome = self.0.store.change(|change| {
            let id = match change.state.meant(what) {
                Meant::Id(id) | Meant::Name { image: id, .. } => id,
                Meant::Nothing => return Some(Err(Error::NotFound(what.to_owned()))),
                Meant::Ambiguous => return Some(Err(Error::Ambiguous(what.to_owned()))),
            };
            let stored = change.state.images.get_mut(&id)?;
            if stored.record.pinned == pinned {
                return None;
            }
            stored.record.pinned = pinned;
            Some(Ok(()))
        });
        outcome.map_err(Error::Store)?.unwrap_or(Ok(()))
    }

    /// What images occupy: all layers as the snapshotter has them, the copies of those that are kept, and documents.
    /// Nothing is walked.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for layer in self.0.snapshotter.layers().map_err(Error::Layers)? {
            usage.bytes += layer.usage.bytes;
            usage.inodes += layer.usage.inodes;
        }
        let state = self.0.store.state();
        usage.bytes += state.document_bytes;
        if !self.0.config.discard_unpacked_layers {
            let layers = state.images.values().flat_map(|stored| &stored.record.layers);
            let mut copies: Vec<_> = layers.map(|layer| (&layer.digest, layer.size)).collect();
            copies.sort();
            copies.dedup();
            usage.bytes += copies.iter().map(|(_, size)| size).sum::<u64>();
            usage.inodes += copies.len() as u64;
        }
        Ok(usage)
    }

    /// Keeps a layer, with all below it, while somebody uses it without a snapshot of it: a volume is such a use. Its image
    /// may be removed meanwhile. Not on disk: see [`Config::used`].
    pub fn begin_use(&self, chain: &ChainId) {
        self.0.leases.begin_use(chain);
    }

    /// Ends one such use; what nobody needs goes with the next [`Images::collect`].
    pub fn end_use(&self, chain: &ChainId) {
        self.0.leases.end_use(chain);
    }

    /// Removes all that nothing refers to: layers without an image or a snapshot on top, copies of layers. For when
    /// snapshots were removed, and to be sure. Blocks.
    pub fn collect(&self) -> Result<Collected> {
        garbage::collect(&self.0)
    }

    /// Takes in the images of an archive: an OCI layout (a folder, or a tar stream of one) or what `docker save`
    /// writes; a stream may be compressed. `name` is for an image that the archive gives none.
    pub async fn import(
        &self,
        input: Input,
        name: Option<&Reference>,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Vec<Image>> {
        let imported = archive::import(&self.0, input, name, progress).await;
        let ids = imported.map_err(|cause| Error::Import(Box::new(cause)))?;
        Ok(ids.iter().filter_map(|id| self.image(id)).collect())
    }

    /// Writes images as one tar stream that is an OCI layout and a docker archive at once. Only images whose layers
    /// are kept as they came can be exported (see [`Config::discard_unpacked_layers`]); others are refused. Blocks.
    pub fn export(&self, what: &[&str], output: &mut dyn io::Write) -> Result<()> {
        let mut chosen = Vec::with_capacity(what.len());
        for what in what {
            match self.0.store.state().meant(what) {
                Meant::Id(id) => chosen.push((id, None)),
                Meant::Name { image, reference } => chosen.push((image, Some(reference))),
                Meant::Nothing => return Err(Error::NotFound((*what).to_owned())),
                Meant::Ambiguous => return Err(Error::Ambiguous((*what).to_owned())),
            }
        }
        archive::export(&self.0, &chosen, output).map_err(Error::Export)
    }

    /// A manifest, index or configuration as it came, by its digest. Blocks.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.0.store.document(digest).map_err(Error::Store)
    }

    fn image(&self, id: &Digest) -> Option<Image> {
        image(&self.0.store.state(), id)
    }
}

impl Kept {
    /// Where a copy of a layer's blob lies, if copies are kept.
    pub(crate) fn copy_path(&self, digest: &Digest) -> Option<PathBuf> {
        (!self.config.discard_unpacked_layers).then(|| blob_path(&self.blobs(), digest))
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.config.root.join("blobs")
    }

    /// For what is being written.
    pub(crate) fn ingest(&self) -> PathBuf {
        self.config.root.join("ingest")
    }
}

/// Holds the layers of an image while it is being fetched. Dropped before the image is there, it has what was made
/// until then removed.
pub(crate) struct Unfinished {
    kept: Arc<Kept>,
    lease: Option<Lease>,
}

impl Unfinished {
    pub(crate) fn new(kept: &Arc<Kept>, chains: Vec<ChainId>) -> Self {
        Self { kept: Arc::clone(kept), lease: Some(kept.leases.take(chains)) }
    }

    /// The image is there and holds its layers itself.
    pub(crate) fn finished(mut self) {
        self.lease = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let chains = lease.chains().to_vec();
        drop(lease);
        let kept = Arc::clone(&self.kept);
        let remove = move || {
            if let Err(error) = garbage::remove_unneeded(&kept, &chains) {
                log::warn!("layers of a pull that was not finished stay for now: {error}");
            }
        };
        // Removing blocks. Without a runtime the process is ending; then the next start does it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(remove);
        }
    }
}

/// The outcome of what a thread did, or that it is gone.
pub(crate) fn fetched<T>(
    joined: std::result::Result<std::result::Result<T, FetchError>, tokio::task::JoinError>,
    what: &Digest,
) -> std::result::Result<T, FetchError> {
    joined.map_err(|_| FetchError::Interrupted(what.clone()))?
}

fn image(state: &State, id: &Digest) -> Option<Image> {
    let Stored { record, config } = state.images.get(id)?;
    let (tags, digests) = state.names_of(id);
    let labels = config.config().as_ref().and_then(|config| config.labels().clone()).unwrap_or_default();
    let layer = |layer: &crate::store::LayerRecord| Layer {
        digest: layer.digest.clone(),
        size: layer.size,
        chain: layer.chain.clone(),
    };
    let layers: Vec<Layer> = record.layers.iter().map(layer).collect();
    Some(Image {
        id: id.clone(),
        tags,
        digests,
        manifest: record.manifest.clone(),
        size: record.size,
        chain: layers.last()?.chain.clone(),
        layers,
        config: Arc::clone(config),
        artifact_type: record.artifact_type.clone(),
        pinned: record.pinned,
        labels: labels.into_iter().collect(),
        created: config.created().clone().unwrap_or_default(),
        pulled: record.pulled.clone(),
    })
}
