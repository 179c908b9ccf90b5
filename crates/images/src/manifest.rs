//! Manifests and indexes, OCI's and docker's, and what in them can be used.
//!
//! A document is what its fields say; its media type has to agree. One that can be read in two ways is refused: two
//! readers would see two images under one digest.

use crate::digest::Digest;
use crate::error::Kind;
use compute::compat;
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Documents larger than this are refused; the registries' own limit.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;
/// A configuration holds a history and labels; no more.
pub(crate) const MAX_CONFIG: usize = 8 << 20;
/// No file system stacks as many.
const MAX_LAYERS: usize = 500;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What a registry is asked for.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What a document refers to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
}

/// For what platform an entry of an index is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) variant: String,
    #[serde(rename = "os.version", deserialize_with = "null_is_empty")]
    pub(crate) os_version: String,
    #[serde(rename = "os.features", deserialize_with = "null_is_empty")]
    pub(crate) os_features: Vec<String>,
}

/// An image of one platform, or an artifact.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    /// What it says to be, or what its configuration makes it; `None` for an image.
    pub(crate) artifact_type: Option<String>,
}

/// Either of the documents that a reference can stand for.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Box<Manifest>),
}

/// A document that is not understood, or is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or fields of the wrong kind.
    #[error("read manifest {digest}")]
    Malformed {
        /// The document.
        digest: Digest,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// Not JSON, or fields of the wrong kind.
    #[error("read image configuration {digest}")]
    Config {
        /// The document.
        digest: Digest,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// The format of docker before 1.10.
    #[error(
        "{0} is a docker manifest of schema 1, which no longer says what is in an image: build or push it anew"
    )]
    Schema1(Digest),
    /// It can be read as a manifest and as an index.
    #[error("{0} has the fields of a manifest and of an index")]
    Ambiguous(Digest),
    /// It is not what its media type says.
    #[error("{digest} has media type {media_type:?}, but the fields of another")]
    MediaType {
        /// The document.
        digest: Digest,
        /// What it or the registry says it is.
        media_type: String,
    },
    /// An index that refers to indexes without end.
    #[error("index {0} leads through too many indexes")]
    Nested(Digest),
    /// Nothing in an index runs here.
    #[error("no image for this platform in {digest}, which has {}", has.join(", "))]
    Platform {
        /// The index.
        digest: Digest,
        /// The platforms that it has.
        has: Vec<String>,
        /// The rule.
        #[source]
        cause: Box<compat::Refused>,
    },
    /// A layer that registries must not hand out.
    #[error(
        "layer {digest} is foreign ({media_type}): it may only be fetched from its vendor, which is not done"
    )]
    Foreign {
        /// The layer.
        digest: Digest,
        /// What it is.
        media_type: String,
    },
    /// A layer that is no archive we know.
    #[error("layer {digest} has media type {media_type:?}, which cannot be unpacked")]
    LayerType {
        /// The layer.
        digest: Digest,
        /// What it is.
        media_type: String,
    },
    /// An artifact's file whose name leads elsewhere.
    #[error("file {digest} of the artifact has the name {title:?}, which is no relative path")]
    Title {
        /// The file.
        digest: Digest,
        /// Its name.
        title: String,
    },
    /// Manifest and configuration disagree.
    #[error("{digest} has {layers} layers, and its configuration {diff_ids}")]
    LayerCount {
        /// The manifest.
        digest: Digest,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// More than any file system stacks.
    #[error("{digest} has {layers} layers, more than {MAX_LAYERS}")]
    Layers {
        /// The manifest.
        digest: Digest,
        /// How many.
        layers: usize,
    },
    /// A layer's id in the configuration is none.
    #[error("configuration {digest}: {diff_id:?} is no sha256 digest")]
    DiffId {
        /// The configuration.
        digest: Digest,
        /// What is in it.
        diff_id: String,
    },
}

impl ManifestError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Platform { .. } => Kind::NotFound,
            Self::Schema1(_) | Self::Foreign { .. } | Self::LayerType { .. } => Kind::Unsupported,
            Self::Layers { .. } => Kind::Exhausted,
            Self::Malformed { .. }
            | Self::Config { .. }
            | Self::Ambiguous(_)
            | Self::MediaType { .. }
            | Self::Nested(_)
            | Self::Title { .. }
            | Self::LayerCount { .. }
            | Self::DiffId { .. } => Kind::Corrupt,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    fs_layers: Option<serde_json::Value>,
}

/// Reads a document; `media_type` is what the registry calls it, empty if it does not say.
pub(crate) fn parse(digest: &Digest, media_type: &str, content: &[u8]) -> Result<Document, ManifestError> {
    let malformed = |cause| ManifestError::Malformed { digest: digest.clone(), cause };
    let fields: Fields = serde_json::from_slice(content).map_err(malformed)?;
    if fields.schema_version == 1 || fields.fs_layers.is_some() || media_type.starts_with(SCHEMA1) {
        return Err(ManifestError::Schema1(digest.clone()));
    }
    let is_index = match (fields.manifests.is_some(), fields.config.is_some() || fields.layers.is_some()) {
        (true, true) => return Err(ManifestError::Ambiguous(digest.clone())),
        (true, false) => true,
        (false, true) => false,
        // A manifest list of nothing, in the writing of some tools.
        (false, false) => matches!(fields.media_type.as_str(), OCI_INDEX | DOCKER_INDEX),
    };
    for said in [fields.media_type.as_str(), media_type] {
        let index = match said {
            OCI_INDEX | DOCKER_INDEX => true,
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            // Servers of plain files do not know.
            _ => continue,
        };
        if index != is_index {
            let media_type = said.to_owned();
            return Err(ManifestError::MediaType { digest: digest.clone(), media_type });
        }
    }
    if is_index {
        return Ok(Document::Index(fields.manifests.unwrap_or_default()));
    }
    let Some(config) = fields.config else {
        let media_type = if fields.media_type.is_empty() { media_type.to_owned() } else { fields.media_type };
        return Err(ManifestError::MediaType { digest: digest.clone(), media_type });
    };
    let layers = fields.layers.unwrap_or_default();
    if layers.len() > MAX_LAYERS {
        return Err(ManifestError::Layers { digest: digest.clone(), layers: layers.len() });
    }
    let is_image = matches!(config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG);
    let artifact_type = (!is_image).then(|| match fields.artifact_type.as_str() {
        "" => config.media_type.clone(),
        said => said.to_owned(),
    });
    Ok(Document::Manifest(Box::new(Manifest { config, layers, artifact_type })))
}

/// Reads an image's configuration. Where a tool of Go's wrote `null` for nothing, it is nothing.
pub(crate) fn parse_config(digest: &Digest, content: &[u8]) -> Result<ImageConfiguration, ManifestError> {
    let malformed = |cause| ManifestError::Config { digest: digest.clone(), cause };
    let mut value: serde_json::Value = serde_json::from_slice(content).map_err(malformed)?;
    without_nulls(&mut value);
    if let Some(rootfs) = value.get_mut("rootfs").and_then(serde_json::Value::as_object_mut) {
        rootfs.entry("diff_ids").or_insert_with(|| serde_json::Value::Array(Vec::new()));
    }
    serde_json::from_value(value).map_err(malformed)
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn null_is_empty<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(media_type: &str, text: &str) -> Result<Document, ManifestError> {
        parse(&Digest::of(text.as_bytes()), media_type, text.as_bytes())
    }

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":3}}"#)
    }

    #[test]
    fn manifests_and_indexes_are_told_apart() {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}],"annotations":null}}"#,
            descriptor(OCI_CONFIG),
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip")
        );
        let Ok(Document::Manifest(read_manifest)) = read(OCI_MANIFEST, &manifest) else {
            panic!("no manifest")
        };
        assert_eq!((read_manifest.artifact_type, read_manifest.layers.len()), (None, 1));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(OCI_MANIFEST));
        assert!(matches!(read("text/plain", &index), Ok(Document::Index(entries)) if entries.len() == 1));
        assert!(matches!(read(DOCKER_INDEX, &manifest), Err(ManifestError::MediaType { .. })));
        assert!(matches!(read(OCI_MANIFEST, &index), Err(ManifestError::MediaType { .. })));
        assert!(matches!(read("", "{}"), Err(ManifestError::MediaType { .. })));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let both = format!(r#"{{"schemaVersion":2,"manifests":[],"config":{}}}"#, descriptor(OCI_CONFIG));
        assert!(matches!(read("", &both), Err(ManifestError::Ambiguous(_))));
        assert!(matches!(read("", r#"{"schemaVersion":1,"fsLayers":[]}"#), Err(ManifestError::Schema1(_))));
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(matches!(read(signed, "{}"), Err(ManifestError::Schema1(_))));
    }

    #[test]
    fn what_has_another_configuration_is_an_artifact() {
        let artifact = |fields: &str| {
            let empty = descriptor("application/vnd.oci.empty.v1+json");
            let text = format!(r#"{{"schemaVersion":2,{fields}"config":{empty},"layers":[]}}"#);
            match read(OCI_MANIFEST, &text) {
                Ok(Document::Manifest(manifest)) => manifest.artifact_type.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(artifact(r#""artifactType":"application/x-model","#), "application/x-model");
        assert_eq!(artifact(""), "application/vnd.oci.empty.v1+json");
    }

    #[test]
    fn hostile_numbers_and_digests_are_refused() {
        for bad in [r#""size":-1"#, r#""size":1e99"#, r#""size":"3""#] {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{DIGEST}",{bad}}}]}}"#);
            assert!(matches!(read("", &text), Err(ManifestError::Malformed { .. })), "{bad}");
        }
        let text = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc/passwd","size":1}]}"#;
        assert!(matches!(read("", text), Err(ManifestError::Malformed { .. })));
        let layer = descriptor("x");
        let layers = vec![layer.as_str(); MAX_LAYERS + 1].join(",");
        let text = format!(r#"{{"schemaVersion":2,"config":{layer},"layers":[{layers}]}}"#);
        assert!(matches!(read("", &text), Err(ManifestError::Layers { .. })));
    }

    #[test]
    fn a_configuration_may_have_nulls() {
        let text = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":null,"User":"1000:0"},
            "rootfs":{"type":"layers","diff_ids":null},"history":null,"container_config":{"x":1}}"#;
        let config = parse_config(&Digest::of(text), text).unwrap();
        assert_eq!(config.rootfs().diff_ids().len(), 0);
        assert_eq!(config.config().as_ref().unwrap().user().as_deref(), Some("1000:0"));
        assert!(matches!(parse_config(&Digest::of(b"1"), b"1"), Err(ManifestError::Config { .. })));
    }
}
