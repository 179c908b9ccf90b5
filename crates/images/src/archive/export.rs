//! Writing images as one tar stream: an OCI layout with docker's `manifest.json` beside its index, so that either kind of
//! reader finds what it looks for. The same images give the same bytes.

use super::ArchiveError;
use crate::digest::Digest;
use crate::images::Kept;
use crate::manifest::{DOCKER_MANIFEST, OCI_MANIFEST};
use crate::reference::Reference;
use crate::store::{ImageRecord, LayerRecord};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};

/// An image to write.
struct Chosen {
    record: ImageRecord,
    names: Vec<String>,
    manifest: Vec<u8>,
    config: Option<(Digest, Vec<u8>)>,
    layers: Vec<(LayerRecord, PathBuf)>,
}

/// Writes images under the names that were asked for, or under all they have.
pub(crate) fn export(
    kept: &Kept,
    images: &[(Digest, Option<Reference>)],
    output: &mut dyn Write,
) -> Result<(), ArchiveError> {
    // Whatever is missing is found before the first byte is written.
    let chosen =
        images.iter().map(|(id, name)| choose(kept, id, name.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let mut builder = Builder::new(output);
    write(&mut builder, &chosen).and_then(|()| builder.into_inner()?.flush()).map_err(ArchiveError::Write)
}

fn choose(kept: &Kept, id: &Digest, name: Option<&Reference>) -> Result<Chosen, ArchiveError> {
    let (record, tags) = {
        let state = kept.store.state();
        let stored = state.images.get(id).ok_or_else(|| ArchiveError::NoDocument(id.clone()))?;
        (stored.record.clone(), state.names_of(id).0)
    };
    let document = |digest: &Digest| {
        let found = kept.store.document(digest).map_err(ArchiveError::Store)?;
        found.ok_or_else(|| ArchiveError::NoDocument(digest.clone()))
    };
    let mut layers = Vec::with_capacity(record.layers.len());
    // A layer that stands for none has no blob.
    for layer in record.layers.iter().filter(|layer| layer.size > 0) {
        let path = kept.copy_path(&layer.digest).filter(|path| path.is_file());
        let not_kept = || ArchiveError::NotKept { image: id.clone(), layer: layer.digest.clone() };
        layers.push((layer.clone(), path.ok_or_else(not_kept)?));
    }
    let config = match &record.config {
        Some(digest) => Some((digest.clone(), document(digest)?)),
        None => None,
    };
    let names = match name {
        Some(name) if name.digest().is_none() => vec![name.to_string()],
        _ => tags,
    };
    let manifest = document(&record.manifest)?;
    Ok(Chosen { record, names, manifest, config, layers })
}

fn write<W: Write>(builder: &mut Builder<W>, images: &[Chosen]) -> io::Result<()> {
    add(builder, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut written: BTreeSet<&Digest> = BTreeSet::new();
    for image in images {
        let documents = std::iter::once((&image.record.manifest, &image.manifest));
        for (digest, content) in
            documents.chain(image.config.iter().map(|(digest, content)| (digest, content)))
        {
            if written.insert(digest) {
                add(builder, &blob_name(digest), content)?;
            }
        }
        for (layer, path) in &image.layers {
            if written.insert(&layer.digest) {
                let file = File::open(path)?.take(layer.size);
                builder.append_data(&mut header(layer.size), blob_name(&layer.digest), file)?;
            }
        }
    }
    add(builder, "index.json", index(images).as_bytes())?;
    add(builder, "manifest.json", saved(images).as_bytes())
}

fn index(images: &[Chosen]) -> String {
    let mut manifests = Vec::new();
    for image in images {
        let said = serde_json::from_slice::<serde_json::Value>(&image.manifest).ok();
        let said =
            said.as_ref().and_then(|manifest| manifest.get("mediaType")).and_then(|value| value.as_str());
        let media_type = if said == Some(DOCKER_MANIFEST) { DOCKER_MANIFEST } else { OCI_MANIFEST };
        let entry = serde_json::json!({
            "mediaType": media_type, "digest": image.record.manifest, "size": image.manifest.len()
        });
        let mut named = image.names.iter().map(|name| {
            let mut entry = entry.clone();
            entry["annotations"] = serde_json::json!({
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": name,
            });
            entry
        });
        match named.next() {
            None => manifests.push(entry.clone()),
            Some(first) => manifests.extend(std::iter::once(first).chain(named)),
        }
    }
    serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests
    })
    .to_string()
}

/// Docker's list; it knows images alone.
fn saved(images: &[Chosen]) -> String {
    let of_image = |image: &Chosen| {
        let (config, _) = image.config.as_ref()?;
        let layers: Vec<String> = image.layers.iter().map(|(layer, _)| blob_name(&layer.digest)).collect();
        Some(serde_json::json!({"Config": blob_name(config), "RepoTags": image.names, "Layers": layers}))
    };
    serde_json::Value::from(images.iter().filter_map(of_image).collect::<Vec<_>>()).to_string()
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digits())
}

fn add<W: Write>(builder: &mut Builder<W>, name: &str, content: &[u8]) -> io::Result<()> {
    builder.append_data(&mut header(content.len() as u64), name, content)
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header
}
