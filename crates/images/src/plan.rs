//! What an image consists of, decided before the first layer is fetched: which layers, how each becomes a folder, and
//! what the result is called. Pure.

use crate::digest::Digest;
use crate::manifest::{Descriptor, Manifest, ManifestError};
use oci_spec::image::ImageConfiguration;
use snapshots::ChainId;
use std::path::{Component, Path, PathBuf};

/// The annotation that names a file of an artifact (OCI image specification, annotations).
const TITLE: &str = "org.opencontainers.image.title";

/// The layers of an image, lowest first; at least one.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) layers: Vec<Planned>,
    /// In bytes: the layers as they come, and the configuration.
    pub(crate) size: u64,
}

/// A layer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) chain: ChainId,
    pub(crate) content: Content,
}

/// How a layer's blob becomes a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// An archive, and the digest of it uncompressed if the configuration has it.
    Archive { diff_id: Option<Digest> },
    /// The blob is a file of this name.
    File(PathBuf),
    /// There is no blob: the image has no layers, but its containers need a root.
    Nothing,
}

/// The plan of an image with a configuration.
pub(crate) fn of_image(
    digest: &Digest,
    manifest: &Manifest,
    config: &ImageConfiguration,
) -> Result<Plan, ManifestError> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers.len() {
        let (layers, diff_ids) = (manifest.layers.len(), diff_ids.len());
        return Err(ManifestError::LayerCount { digest: digest.clone(), layers, diff_ids });
    }
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
        if !is_archive(layer)? {
            return Err(layer_type(layer));
        }
        let refused =
            || ManifestError::DiffId { digest: manifest.config.digest.clone(), diff_id: diff_id.clone() };
        let diff_id: Digest = diff_id.parse().map_err(|_| refused())?;
        if diff_id.algorithm() != "sha256" {
            return Err(refused());
        }
        layers.push((layer, diff_id.to_string(), Content::Archive { diff_id: Some(diff_id) }));
    }
    Ok(chained(manifest, layers))
}

/// The plan of an artifact: archives are unpacked, other files lie in its root under their titles. Its layers have
/// chains of their own, so that none is ever taken for an image's layer that was checked by its content.
pub(crate) fn of_artifact(manifest: &Manifest) -> Result<Plan, ManifestError> {
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for layer in &manifest.layers {
        if layer.size <= 2 && layer.media_type == "application/vnd.oci.empty.v1+json" {
            continue;
        }
        let (name, content) = match layer.annotations.get(TITLE) {
            Some(title) if !is_archive(layer)? => {
                let path = relative(title).ok_or_else(|| ManifestError::Title {
                    digest: layer.digest.clone(),
                    title: title.clone(),
                })?;
                (format!("file\0{title}\0{}", layer.digest), Content::File(path))
            }
            _ if is_archive(layer)? => {
                (format!("archive\0{}", layer.digest), Content::Archive { diff_id: None })
            }
            _ => return Err(layer_type(layer)),
        };
        layers.push((layer, Digest::of(name.as_bytes()).to_string(), content));
    }
    Ok(chained(manifest, layers))
}

/// Chains the layers as OCI's image specification does: the digest of the parent's chain and the layer's own id.
fn chained(manifest: &Manifest, layers: Vec<(&Descriptor, String, Content)>) -> Plan {
    let mut planned: Vec<Planned> = Vec::with_capacity(layers.len().max(1));
    for (layer, id, content) in layers {
        let chain = match planned.last() {
            None => id,
            Some(below) => Digest::of(format!("{} {id}", below.chain).as_bytes()).to_string(),
        };
        if let Ok(chain) = ChainId::new(chain) {
            planned.push(Planned { digest: layer.digest.clone(), size: layer.size, chain, content });
        }
    }
    if planned.is_empty() {
        let digest = Digest::of(b"");
        if let Ok(chain) = ChainId::new(digest.as_str()) {
            planned.push(Planned { digest, size: 0, chain, content: Content::Nothing });
        }
    }
    let of_layers = planned.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    Plan { layers: planned, size: of_layers.saturating_add(manifest.config.size) }
}

/// Whether a layer is an archive that can be unpacked. Its compression is seen when it comes.
fn is_archive(layer: &Descriptor) -> Result<bool, ManifestError> {
    let media_type = layer.media_type.as_str();
    if media_type.contains(".nondistributable.") || media_type.contains(".foreign.") {
        return Err(ManifestError::Foreign {
            digest: layer.digest.clone(),
            media_type: media_type.to_owned(),
        });
    }
    Ok(matches!(
        media_type,
        "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
    ))
}

fn layer_type(layer: &Descriptor) -> ManifestError {
    ManifestError::LayerType { digest: layer.digest.clone(), media_type: layer.media_type.clone() }
}

/// A path that stays where it begins.
fn relative(title: &str) -> Option<PathBuf> {
    let path = Path::new(title);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !title.is_empty() && !title.ends_with('/') && !title.contains('\0')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{OCI_CONFIG, parse_config};
    use std::collections::BTreeMap;

    const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

    fn layer(media_type: &str, content: &str, title: Option<&str>) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            annotations: title.map(|title| (TITLE.to_owned(), title.to_owned())).into_iter().collect(),
            platform: None,
        }
    }

    fn manifest(layers: Vec<Descriptor>) -> Manifest {
        let config = Descriptor {
            media_type: OCI_CONFIG.into(),
            digest: Digest::of(b"config"),
            size: 10,
            annotations: BTreeMap::new(),
            platform: None,
        };
        Manifest { config, layers, artifact_type: None }
    }

    fn config(diff_ids: &[&str]) -> ImageConfiguration {
        let text = serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}
        })
        .to_string();
        parse_config(&Digest::of(b""), text.as_bytes()).unwrap()
    }

    /// The example of the image specification: each chain is the digest of the one below and the layer's own id.
    #[test]
    fn layers_are_chained_by_their_content() {
        let ids = [Digest::of(b"1"), Digest::of(b"2")];
        let manifest = manifest(vec![layer(TAR, "one", None), layer(TAR, "three", None)]);
        let plan =
            of_image(&Digest::of(b""), &manifest, &config(&[ids[0].as_str(), ids[1].as_str()])).unwrap();
        assert_eq!(plan.layers[0].chain.as_str(), ids[0].as_str());
        let second = Digest::of(format!("{} {}", ids[0], ids[1]).as_bytes());
        assert_eq!(plan.layers[1].chain.as_str(), second.as_str());
        assert_eq!(plan.size, 10 + 3 + 5);
    }

    #[test]
    fn an_image_without_layers_has_an_empty_one() {
        let plan = of_image(&Digest::of(b""), &manifest(vec![]), &config(&[])).unwrap();
        assert_eq!((plan.layers.len(), &plan.layers[0].content), (1, &Content::Nothing));
    }

    #[test]
    fn what_cannot_be_unpacked_is_refused() {
        let digest = Digest::of(b"");
        let id = Digest::of(b"1");
        let refused = |media_type: &str, ids: &[&str]| {
            of_image(&digest, &manifest(vec![layer(media_type, "x", None)]), &config(ids)).unwrap_err()
        };
        assert!(matches!(refused(TAR, &[]), ManifestError::LayerCount { layers: 1, diff_ids: 0, .. }));
        assert!(matches!(refused(TAR, &["sha256:1"]), ManifestError::DiffId { .. }));
        assert!(matches!(refused("text/plain", &[id.as_str()]), ManifestError::LayerType { .. }));
        for foreign in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ] {
            assert!(matches!(refused(foreign, &[id.as_str()]), ManifestError::Foreign { .. }));
        }
    }

    #[test]
    fn an_artifact_has_files_and_archives() {
        let of = |layers| of_artifact(&manifest(layers));
        let plan = of(vec![
            layer("text/plain", "a", Some("docs/a.txt")),
            layer(TAR, "b", None),
            layer("application/vnd.oci.empty.v1+json", "{}", None),
        ]);
        let plan = plan.unwrap();
        assert_eq!(plan.layers.len(), 2);
        assert_eq!(plan.layers[0].content, Content::File("docs/a.txt".into()));
        assert_eq!(plan.layers[1].content, Content::Archive { diff_id: None });
        assert_ne!(plan.layers[0].chain.as_str(), plan.layers[0].digest.as_str());
        for title in ["", "/etc/passwd", "../x", "a/../../x", "a/", "."] {
            let refused = of(vec![layer("text/plain", "a", Some(title))]);
            assert!(matches!(refused, Err(ManifestError::Title { .. })), "{title:?}");
        }
        assert!(matches!(of(vec![layer("text/plain", "a", None)]), Err(ManifestError::LayerType { .. })));
    }
}
