//! Images as tests make them: small layers, their configuration and manifest, as blobs by digest.

use images::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How a layer is compressed.
#[derive(Clone, Copy)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// An image or an artifact: all that a registry has of it.
#[derive(Clone, Default)]
pub(crate) struct Content {
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) media_type: String,
    pub(crate) manifest: Vec<u8>,
    /// The digests of the layers' blobs, lowest first.
    pub(crate) layers: Vec<Digest>,
}

impl Content {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    fn blob(&mut self, content: Vec<u8>) -> (Digest, usize) {
        let (digest, size) = (Digest::of(&content), content.len());
        self.blobs.insert(digest.clone(), content);
        (digest, size)
    }
}

/// An archive with these files.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn compressed(archive: &[u8], how: Compression) -> (Vec<u8>, String) {
    match how {
        Compression::None => (archive.to_vec(), OCI_LAYER.to_owned()),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(archive).unwrap();
            (encoder.finish().unwrap(), format!("{OCI_LAYER}+gzip"))
        }
        Compression::Zstd => (zstd::encode_all(archive, 1).unwrap(), format!("{OCI_LAYER}+zstd")),
    }
}

/// An image whose layers are these archives, compressed.
pub(crate) fn image(layers: &[(Vec<u8>, Compression)]) -> Content {
    image_for("linux", std::env::consts::ARCH, layers)
}

pub(crate) fn image_for(os: &str, arch: &str, layers: &[(Vec<u8>, Compression)]) -> Content {
    let mut content = Content { media_type: OCI_MANIFEST.into(), ..Content::default() };
    let mut diff_ids = Vec::new();
    let mut descriptors = Vec::new();
    for (archive, how) in layers {
        diff_ids.push(Digest::of(archive));
        let (blob, media_type) = compressed(archive, *how);
        let (digest, size) = content.blob(blob);
        content.layers.push(digest.clone());
        descriptors.push(json!({"mediaType": media_type, "digest": digest, "size": size}));
    }
    let config = json!({
        "architecture": match arch { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": os,
        "created": "2026-01-02T03:04:05Z",
        "config": {"User": "1000:50", "Cmd": ["/hello"], "Labels": {"kind": "test"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let (digest, size) = content.blob(config.to_string().into_bytes());
    let config = json!({"mediaType": OCI_CONFIG, "digest": digest, "size": size});
    set_manifest(&mut content, &config, &descriptors);
    content
}

fn set_manifest(content: &mut Content, config: &Value, layers: &[Value]) {
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
    content.manifest = manifest.to_string().into_bytes();
}

/// A small image with one layer of each kind.
pub(crate) fn small(word: &str) -> Content {
    let lower = archive(&[("etc/name", word.as_bytes()), ("etc/deleted", b"x")]);
    let middle = archive(&[("hello", b"hello"), ("etc/.wh.deleted", b"")]);
    let upper = archive(&[("etc/upper", word.as_bytes())]);
    image(&[(lower, Compression::Gzip), (middle, Compression::Zstd), (upper, Compression::None)])
}

/// An artifact of plain files.
pub(crate) fn artifact(files: &[(&str, &[u8])]) -> Content {
    let mut content = Content { media_type: OCI_MANIFEST.into(), ..Content::default() };
    let (digest, size) = content.blob(b"{}".to_vec());
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": size});
    let mut layers = Vec::new();
    for (title, file) in files {
        let (digest, size) = content.blob(file.to_vec());
        content.layers.push(digest.clone());
        layers.push(json!({"mediaType": "text/plain", "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.title": title}}));
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "artifactType": "application/x-test", "config": config, "layers": layers});
    content.manifest = manifest.to_string().into_bytes();
    content
}

/// An index of images for several platforms.
pub(crate) fn index(images: &[(&str, &Content)]) -> (Vec<u8>, String) {
    let entry = |(platform, image): &(&str, &Content)| {
        let mut parts = platform.split('/');
        json!({"mediaType": image.media_type, "digest": image.digest(), "size": image.manifest.len(),
            "platform": {"os": parts.next(), "architecture": parts.next()}})
    };
    let manifests: Vec<Value> = images.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    (index.to_string().into_bytes(), OCI_INDEX.to_owned())
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}
