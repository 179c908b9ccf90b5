//! Taking in what an archive has.
//!
//! An OCI layout's `index.json` leads to its images; names are in annotations, in containerd's or OCI's way, or in
//! docker's `manifest.json` beside it. Archives of docker before 25 have `manifest.json` alone: a manifest is made from
//! it, which docker never had.

use super::spool::{Filed, Spool};
use super::{ArchiveError, Input};
use crate::digest::Digest;
use crate::error::FetchError;
use crate::images::Kept;
use crate::layers::{Progress, Source};
use crate::manifest::{self, DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Document};
use crate::platform;
use crate::pull::{self, Fetched};
use crate::reference::Reference;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Takes in all images; gives their ids.
pub(crate) async fn import(
    kept: &Arc<Kept>,
    input: Input,
    name: Option<&Reference>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Vec<Digest>, FetchError> {
    let opened = Opened::open(kept, input).await?;
    let source = Source::Folder(opened.blobs.clone());
    let ids = match &opened.index {
        Some(index) => from_layout(kept, &source, index, &opened.saved, name, progress).await?,
        None => from_docker(kept, &source, &opened, name, progress).await?,
    };
    if ids.is_empty() { Err(FetchError::Archive(ArchiveError::NoImage)) } else { Ok(ids) }
}

/// What leads to the images, and where the blobs are.
struct Opened {
    blobs: PathBuf,
    index: Option<Vec<Descriptor>>,
    saved: Vec<Saved>,
    spool: Option<Arc<Spool>>,
}

impl Opened {
    async fn open(kept: &Arc<Kept>, input: Input) -> Result<Self, FetchError> {
        let (ingest, limit) = (kept.ingest(), kept.config.import_limit);
        let reading = tokio::task::spawn_blocking(move || match input {
            Input::Folder(folder) => Self::folder(&folder),
            Input::Stream(stream) => Self::stream(Spool::fill(&ingest, stream, limit)?),
        });
        let interrupted = |_| FetchError::Interrupted(Digest::of(b""));
        reading.await.map_err(interrupted)?.map_err(FetchError::Archive)
    }

    fn folder(folder: &Path) -> Result<Self, ArchiveError> {
        let read = |name: &str| {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(content) => Ok(Some(content)),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(cause) => Err(ArchiveError::Io { attempted: "read", path, cause }),
            }
        };
        let index = read("index.json")?.ok_or_else(|| ArchiveError::Missing("index.json".to_owned()))?;
        let saved = read("manifest.json")?;
        Ok(Self {
            blobs: folder.join("blobs"),
            index: Some(read_index(&index)?),
            saved: saved.as_deref().map_or(Ok(Vec::new()), read_saved)?,
            spool: None,
        })
    }

    fn stream(spool: Spool) -> Result<Self, ArchiveError> {
        let index = spool.document("index.json").map(read_index).transpose()?;
        let saved = spool.document("manifest.json").map_or(Ok(Vec::new()), read_saved)?;
        Ok(Self { blobs: spool.blobs().to_owned(), index, saved, spool: Some(Arc::new(spool)) })
    }
}

fn read_index(content: &[u8]) -> Result<Vec<Descriptor>, ArchiveError> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<Descriptor>,
    }
    let malformed = |cause| ArchiveError::Malformed { file: "index.json", cause };
    Ok(serde_json::from_slice::<Index>(content).map_err(malformed)?.manifests)
}

fn read_saved(content: &[u8]) -> Result<Vec<Saved>, ArchiveError> {
    let malformed = |cause| ArchiveError::Malformed { file: "manifest.json", cause };
    serde_json::from_slice(content).map_err(malformed)
}

async fn from_layout(
    kept: &Arc<Kept>,
    source: &Source,
    index: &[Descriptor],
    saved: &[Saved],
    name: Option<&Reference>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Vec<Digest>, FetchError> {
    let mut ids: Vec<Digest> = Vec::new();
    for entry in index {
        // Of a layout for several platforms, this one's part is taken.
        let here = std::slice::from_ref(entry);
        if platform::choose(&kept.config.platform, &entry.digest, here).is_err() {
            continue;
        }
        let first = pull::document(source, "", Some(entry)).await?;
        let mut names: Vec<Reference> = annotated(entry, name)?.into_iter().collect();
        if names.is_empty() {
            names = tagged(saved, &first)?;
        }
        if names.is_empty() {
            names.extend(name.cloned());
        }
        let id = pull::take(kept, source, first, &names, progress).await?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The name that an entry of `index.json` has: a whole one, or a tag that the given name takes.
fn annotated(entry: &Descriptor, name: Option<&Reference>) -> Result<Option<Reference>, FetchError> {
    let annotation = |key| entry.annotations.get(key).filter(|text| !text.is_empty());
    let Some(text) = annotation(CONTAINERD_NAME).or_else(|| annotation(OCI_NAME)) else { return Ok(None) };
    let whole = text.contains(['/', ':', '@']);
    let text = match (whole, name) {
        (true, _) => text.clone(),
        (false, Some(name)) => format!("{}:{text}", name.name()),
        // A tag of nothing.
        (false, None) => return Ok(None),
    };
    parse_name(&text).map(Some)
}

/// The names that docker gives the image with this manifest.
fn tagged(saved: &[Saved], first: &Fetched) -> Result<Vec<Reference>, FetchError> {
    let parsed = manifest::parse(&first.digest, &first.media_type, &first.content);
    let Ok(Document::Manifest(manifest)) = parsed else { return Ok(Vec::new()) };
    let digits = manifest.config.digest.digits();
    let of_image = saved.iter().filter(|saved| saved.config.contains(digits));
    let tags = of_image.flat_map(|saved| saved.repo_tags.iter().flatten());
    tags.map(|tag| parse_name(tag)).collect()
}

async fn from_docker(
    kept: &Arc<Kept>,
    source: &Source,
    opened: &Opened,
    name: Option<&Reference>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Vec<Digest>, FetchError> {
    let mut ids = Vec::with_capacity(opened.saved.len());
    let Some(spool) = &opened.spool else { return Ok(ids) };
    for saved in &opened.saved {
        let first = made_manifest(spool, saved).map_err(FetchError::Archive)?;
        let tags = saved.repo_tags.iter().flatten();
        let mut names = tags.map(|tag| parse_name(tag)).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            names.extend(name.cloned());
        }
        ids.push(pull::take(kept, source, first, &names, progress).await?);
    }
    Ok(ids)
}

/// The manifest that an image of an old archive would have had.
fn made_manifest(spool: &Spool, saved: &Saved) -> Result<Fetched, ArchiveError> {
    let file = |name: &String| spool.file(name).ok_or_else(|| ArchiveError::Missing(name.clone()));
    let descriptor = |media_type: &str, filed: Filed| serde_json::json!({"mediaType": media_type, "size": filed.size, "digest": filed.digest});
    let config = descriptor(DOCKER_CONFIG, file(&saved.config)?);
    let layers = saved.layers.iter().map(|name| Ok(descriptor(DOCKER_LAYER, file(name)?)));
    let layers = layers.collect::<Result<Vec<_>, ArchiveError>>()?;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers
    });
    let content = manifest.to_string().into_bytes();
    Ok(Fetched { digest: Digest::of(&content), media_type: DOCKER_MANIFEST.to_owned(), content })
}

fn parse_name(text: &str) -> Result<Reference, FetchError> {
    Reference::parse(text).map_err(|_| FetchError::Archive(ArchiveError::Name(text.to_owned())))
}
