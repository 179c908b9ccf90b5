//! An image as the store gives it out.

use crate::digest::Digest;
use oci_spec::image::ImageConfiguration;
use snapshots::ChainId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An image that is there, unpacked.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id: the digest of its configuration; of an artifact without one, the digest of its manifest.
    pub id: Digest,
    /// Names with tags, `docker.io/library/busybox:latest`, sorted.
    pub tags: Vec<String>,
    /// Names with digests, `docker.io/library/busybox@sha256:…`, sorted. The digest is of what the name stood for: an
    /// index, if it was one.
    pub digests: Vec<String>,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The size of its layers as they came, compressed, and of its configuration; in bytes.
    pub size: u64,
    /// Its topmost layer.
    pub chain: ChainId,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// Its configuration; of an artifact, an empty one for this host's platform.
    pub config: Arc<ImageConfiguration>,
    /// What kind of artifact it is; `None` for an image that containers can be made of.
    pub artifact_type: Option<String>,
    /// It is not to be removed to make room.
    pub pinned: bool,
    /// The labels in its configuration.
    pub labels: BTreeMap<String, String>,
    /// When it was built, as its configuration says: RFC 3339. Empty if it does not say.
    pub created: String,
    /// When it was pulled or imported first: RFC 3339, UTC.
    pub pulled: String,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob that it came as.
    pub digest: Digest,
    /// The size of that blob, in bytes.
    pub size: u64,
    /// The layer with all below it, as the snapshotter knows it.
    pub chain: ChainId,
}

impl Image {
    /// The user that its containers run as, as its configuration says: `name`, `uid`, either with `:group`. Empty if
    /// it does not say.
    pub fn user(&self) -> &str {
        self.config.config().as_ref().and_then(|config| config.user().as_deref()).unwrap_or_default()
    }

    /// The user's number, if its configuration gives one: the part of [`Image::user`] before the colon.
    pub fn uid(&self) -> Option<i64> {
        self.user_name().parse().ok().filter(|uid| *uid >= 0)
    }

    /// The user without the group: a name or a number.
    pub fn user_name(&self) -> &str {
        self.user().split(':').next().unwrap_or_default()
    }
}
