//! What the database holds of an image and of a name. Fixtures fix the bytes; a change that an older program would
//! misread raises [`VERSION`].

use super::StoreError;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use snapshots::ChainId;

/// The version of both records.
pub(crate) const VERSION: u32 = 1;

/// An image, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageRecord {
    pub(crate) version: u32,
    pub(crate) id: Digest,
    /// The manifest that it was pulled by first.
    pub(crate) manifest: Digest,
    /// Its configuration; none of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Digest>,
    /// In bytes, of the layers as they came and the configuration.
    pub(crate) size: u64,
    /// Lowest first.
    pub(crate) layers: Vec<LayerRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default)]
    pub(crate) pinned: bool,
    /// RFC 3339, UTC.
    pub(crate) pulled: String,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerRecord {
    /// The blob that it came as.
    pub(crate) digest: Digest,
    /// Of that blob, in bytes.
    pub(crate) size: u64,
    pub(crate) chain: ChainId,
}

/// A name, by itself: `docker.io/library/busybox:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NameRecord {
    pub(crate) version: u32,
    /// The image that it stands for.
    pub(crate) image: Digest,
    /// What it stood for at the registry: a manifest or an index.
    pub(crate) target: Digest,
    /// That, and the documents on the way from it to the image.
    pub(crate) documents: Vec<Digest>,
}

/// Reads a record; one of a newer program is refused by its version.
pub(super) fn read<T: for<'de> Deserialize<'de>>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Header {
        version: u32,
    }
    match serde_json::from_slice::<Header>(bytes) {
        Ok(Header { version }) if version > VERSION => {
            return Err(StoreError::Newer { key: key.to_owned(), found: version });
        }
        _ => {}
    }
    serde_json::from_slice(bytes).map_err(|cause| StoreError::Malformed { key: key.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageRecord {
        let chain = |of: &str| ChainId::new(Digest::of(of.as_bytes()).as_str()).unwrap();
        ImageRecord {
            version: VERSION,
            id: Digest::of(b"config"),
            manifest: Digest::of(b"manifest"),
            config: Some(Digest::of(b"config")),
            size: 1234,
            layers: vec![LayerRecord { digest: Digest::of(b"blob"), size: 1200, chain: chain("layer") }],
            artifact_type: None,
            pinned: true,
            pulled: "2026-01-02T03:04:05.6Z".into(),
        }
    }

    fn name() -> NameRecord {
        NameRecord {
            version: VERSION,
            image: Digest::of(b"config"),
            target: Digest::of(b"index"),
            documents: vec![Digest::of(b"index"), Digest::of(b"manifest"), Digest::of(b"config")],
        }
    }

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_formats_are_fixed() {
        let fixture = include_str!("../../tests/fixtures/image-v1.json").trim_end();
        assert_eq!(serde_json::to_string(&image()).unwrap(), fixture);
        assert_eq!(read::<ImageRecord>("x", fixture.as_bytes()).unwrap(), image());
        let fixture = include_str!("../../tests/fixtures/name-v1.json").trim_end();
        assert_eq!(serde_json::to_string(&name()).unwrap(), fixture);
        assert_eq!(read::<NameRecord>("x", fixture.as_bytes()).unwrap(), name());
    }

    #[test]
    fn a_newer_record_is_refused_by_its_version() {
        let error = read::<ImageRecord>("x", br#"{"version":2,"unheard":"of"}"#).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, .. }));
        assert!(matches!(read::<ImageRecord>("x", b"{"), Err(StoreError::Malformed { .. })));
    }
}
