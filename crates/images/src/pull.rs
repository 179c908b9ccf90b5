//! Pulling: from a reference to an image that is there.
//!
//! ```text
//! reference ─▶ document ─(index: the entry for this platform)─▶ manifest ─▶ configuration ─▶ plan ─▶ layers ─▶ store
//! ```
//! Everything before the layers is small and comes whole; the layers are streamed ([`crate::layers`]). The image is
//! there from the one transaction at the end on.

use crate::digest::Digest;
use crate::error::FetchError;
use crate::images::{Kept, Unfinished, fetched};
use crate::layers::{self, Progress, Source};
use crate::manifest::{
    self, ACCEPT, Descriptor, Document, MAX_CONFIG, MAX_DOCUMENT, Manifest, ManifestError,
};
use crate::plan::{self, Plan};
use crate::platform;
use crate::reference::Reference;
use crate::registry::{Auth, Repository};
use crate::store::{ImageRecord, LayerRecord, NameRecord, Stored, VERSION, empty_config};
use std::sync::Arc;

/// Indexes in indexes, as some build tools make them.
const MAX_INDEXES: usize = 4;

/// Pulls; gives the image's id.
pub(crate) async fn pull(
    kept: &Arc<Kept>,
    reference: &Reference,
    auth: Option<&Auth>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Digest, FetchError> {
    let repository =
        Repository::open(reference, auth, &kept.config.network).await.map_err(FetchError::Registry)?;
    let source = Source::Registry(repository);
    let first = document(&source, reference.selector(), None).await?;
    take(kept, &source, first, std::slice::from_ref(reference), progress).await
}

/// A document as it came, with what it is said to be.
pub(crate) struct Fetched {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) content: Vec<u8>,
}

/// Takes in the image that a document leads to, under `names`; gives its id.
pub(crate) async fn take(
    kept: &Arc<Kept>,
    source: &Source,
    first: Fetched,
    names: &[Reference],
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Digest, FetchError> {
    let target = first.digest.clone();
    let mut documents = Vec::with_capacity(3);
    let manifest = resolve(kept, source, first, &mut documents).await?;
    let manifest_digest =
        documents.last().map_or_else(|| target.clone(), |(digest, _): &(Digest, Vec<u8>)| digest.clone());
    let Described { id, config, plan } =
        describe(source, &manifest_digest, &manifest, &mut documents).await?;

    let chains = plan.layers.iter().map(|layer| layer.chain.clone()).collect();
    let unfinished = Unfinished::new(kept, chains);
    layers::get(kept, source, &plan.layers, progress).await?;

    let layer = |layer: &plan::Planned| LayerRecord {
        digest: layer.digest.clone(),
        size: layer.size,
        chain: layer.chain.clone(),
    };
    let record = ImageRecord {
        version: VERSION,
        id: id.clone(),
        manifest: manifest_digest,
        config: manifest.artifact_type.is_none().then(|| id.clone()),
        size: plan.size,
        layers: plan.layers.iter().map(layer).collect(),
        artifact_type: manifest.artifact_type,
        pinned: false,
        pulled: compute::record::now(),
    };
    keep(kept, Stored { record, config: Arc::new(config) }, &target, documents, names).await?;
    unfinished.finished();
    Ok(id)
}

/// From an index to the manifest for this platform. Every document on the way is kept.
async fn resolve(
    kept: &Kept,
    source: &Source,
    first: Fetched,
    documents: &mut Vec<(Digest, Vec<u8>)>,
) -> Result<Manifest, FetchError> {
    let target = first.digest.clone();
    let mut fetched = first;
    for _ in 0..MAX_INDEXES {
        let parsed = manifest::parse(&fetched.digest, &fetched.media_type, &fetched.content);
        let digest = fetched.digest.clone();
        documents.push((fetched.digest, fetched.content));
        match parsed.map_err(FetchError::Manifest)? {
            Document::Manifest(manifest) => return Ok(*manifest),
            Document::Index(entries) => {
                let entry = platform::choose(&kept.config.platform, &digest, &entries)
                    .map_err(FetchError::Manifest)?;
                fetched = document(source, entry.digest.as_str(), Some(entry)).await?;
            }
        }
    }
    Err(FetchError::Manifest(ManifestError::Nested(target)))
}

/// A document by tag or digest, and with the size that an index says it has.
pub(crate) async fn document(
    source: &Source,
    selector: &str,
    entry: Option<&Descriptor>,
) -> Result<Fetched, FetchError> {
    match source {
        Source::Registry(repository) => {
            let document =
                repository.document(selector, ACCEPT, MAX_DOCUMENT).await.map_err(FetchError::Registry)?;
            let found = document.content.len() as u64;
            if let Some(Descriptor { digest, size, .. }) = entry.filter(|entry| entry.size != found) {
                return Err(FetchError::Size { digest: digest.clone(), expected: *size, found });
            }
            let crate::registry::Document { digest, media_type, content } = document;
            Ok(Fetched { digest, media_type, content })
        }
        Source::Folder(blobs) => {
            let Some(entry) = entry else {
                let cause = std::io::ErrorKind::NotFound.into();
                return Err(FetchError::Io { attempted: "find", path: blobs.join(selector), cause });
            };
            let content = layers::small_file(blobs, entry, MAX_DOCUMENT)?;
            Ok(Fetched { digest: entry.digest.clone(), media_type: entry.media_type.clone(), content })
        }
    }
}

/// What an image is, before its layers.
struct Described {
    id: Digest,
    config: oci_spec::image::ImageConfiguration,
    plan: Plan,
}

async fn describe(
    source: &Source,
    digest: &Digest,
    manifest: &Manifest,
    documents: &mut Vec<(Digest, Vec<u8>)>,
) -> Result<Described, FetchError> {
    if manifest.artifact_type.is_some() {
        let plan = plan::of_artifact(manifest).map_err(FetchError::Manifest)?;
        // Artifacts without a configuration would all have one id.
        return Ok(Described { id: digest.clone(), config: empty_config(), plan });
    }
    let Descriptor { digest: id, size, .. } = &manifest.config;
    let content = match source {
        Source::Registry(repository) => {
            repository.small_blob(id, *size, MAX_CONFIG).await.map_err(FetchError::Registry)?
        }
        Source::Folder(blobs) => layers::small_file(blobs, &manifest.config, MAX_CONFIG)?,
    };
    let config = manifest::parse_config(id, &content).map_err(FetchError::Manifest)?;
    let plan = plan::of_image(digest, manifest, &config).map_err(FetchError::Manifest)?;
    documents.push((id.clone(), content));
    Ok(Described { id: id.clone(), config, plan })
}

/// The image is there, with its names, from this transaction on.
async fn keep(
    kept: &Arc<Kept>,
    stored: Stored,
    target: &Digest,
    documents: Vec<(Digest, Vec<u8>)>,
    names: &[Reference],
) -> Result<(), FetchError> {
    let (kept, target, names) = (Arc::clone(kept), target.clone(), names.to_vec());
    let id = stored.record.id.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let digests: Vec<Digest> = documents.iter().map(|(digest, _)| digest.clone()).collect();
        kept.store
            .change(|change| {
                let id = stored.record.id.clone();
                change.documents = documents;
                change.state.add(stored.clone(), None);
                for name in &names {
                    let record = NameRecord::new(id.clone(), target.clone(), digests.clone());
                    change.state.add(stored.clone(), Some((name, record)));
                }
                Some(())
            })
            .map(drop)
            .map_err(FetchError::Store)
    });
    fetched(thread.await, &id)
}
