//! The images that are run and pulled: one of a shell only, and one as large as images of applications are, with files
//! of all sizes that can be compressed about as well as programs and sources can.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The image of every container.
pub(crate) const SMALL: &str = "127.0.0.1:5000/bench/small:1";
/// The image that is pulled.
pub(crate) const LARGE: &str = "127.0.0.1:5000/bench/large:1";
/// What containerd keeps a pod with.
pub(crate) const PAUSE: &str = "127.0.0.1:5000/bench/small:1";

/// What the large image is made of: a folder, so many files of that size.
const LAYERS: [(&str, usize, usize); 5] = [
    ("usr/lib", 320, 160_000),
    ("usr/local/src", 6500, 12_000),
    ("usr/local/pkg", 75, 1_300_000),
    ("usr/share", 3000, 9_000),
    ("usr/bin", 20, 3_300_000),
];

/// What was built.
pub(crate) struct Built {
    pub(crate) unpacked_bytes: usize,
    pub(crate) compressed_bytes: u64,
}

/// Writes both images as files that [`crate::registry`] serves: `blobs/DIGEST` and `manifests/NAME/TAG`.
pub(crate) fn build(folder: &Path) -> Result<Built> {
    eprintln!("building the images");
    fs::create_dir_all(folder.join("blobs")).with_context(|| format!("make {}", folder.display()))?;
    let shell = fs::read("/bin/busybox").context("read busybox")?;
    let small = shell_layer(&shell)?;
    write_image(folder, "bench/small", &[small])?;
    let mut layers = Vec::new();
    let (mut unpacked_bytes, mut compressed_bytes) = (0, 0);
    for (number, (name, count, size)) in LAYERS.into_iter().enumerate() {
        let layer = bulk_layer(name, count, size, number as u64)?;
        unpacked_bytes += count * size;
        compressed_bytes += layer.compressed.len() as u64;
        layers.push(layer);
    }
    write_image(folder, "bench/large", &layers)?;
    Ok(Built { unpacked_bytes, compressed_bytes })
}

struct Layer {
    compressed: Vec<u8>,
    diff_id: String,
}

fn shell_layer(shell: &[u8]) -> Result<Layer> {
    layer(|tar| {
        file(tar, "bin/busybox", shell)?;
        for name in ["sh", "sleep", "true"] {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, format!("bin/{name}"), "busybox").context("write a link")?;
        }
        Ok(())
    })
}

fn bulk_layer(folder: &str, count: usize, size: usize, seed: u64) -> Result<Layer> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed + 1);
    let mut next = move || {
        // xorshift: the same bytes in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    layer(|tar| {
        let mut content = Vec::with_capacity(size + 64);
        for number in 0..count {
            content.clear();
            while content.len() < size {
                let random = next();
                // Half noise, half what repeats.
                content.extend_from_slice(&random.to_le_bytes());
                content.extend_from_slice(
                    b"fn push(&mut self, value: T) { ".get(..8 + (random % 16) as usize).unwrap_or(b" "),
                );
            }
            content.truncate(size);
            file(tar, &format!("{folder}/{:02}/file-{number}", number % 40), &content)?;
        }
        Ok(())
    })
}

fn layer(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>) -> Result<()>) -> Result<Layer> {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar)?;
    let bytes = tar.into_inner().context("end a layer")?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(&bytes).context("compress a layer")?;
    Ok(Layer { diff_id: digest(&bytes), compressed: gzip.finish().context("compress a layer")? })
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).with_context(|| format!("write {path} into a layer"))
}

fn write_image(folder: &Path, name: &str, layers: &[Layer]) -> Result<()> {
    const KIND: &str = "application/vnd.oci.image";
    let ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["sleep", "1000000"] },
        "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let mut descriptors = Vec::new();
    for layer in layers {
        descriptors.push(blob(folder, &layer.compressed, &format!("{KIND}.layer.v1.tar+gzip"))?);
    }
    let config = blob(folder, config.to_string().as_bytes(), &format!("{KIND}.config.v1+json"))?;
    let kind = format!("{KIND}.manifest.v1+json");
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": descriptors });
    let manifest = manifest.to_string();
    let tags = folder.join("manifests").join(name);
    fs::create_dir_all(&tags).with_context(|| format!("make {}", tags.display()))?;
    for file in ["1", &digest(manifest.as_bytes())] {
        fs::write(tags.join(file), &manifest).with_context(|| format!("write the manifest of {name}"))?;
    }
    Ok(())
}

fn blob(folder: &Path, content: &[u8], kind: &str) -> Result<Value> {
    let digest = digest(content);
    fs::write(folder.join("blobs").join(&digest), content).with_context(|| format!("write blob {digest}"))?;
    Ok(json!({ "mediaType": kind, "digest": digest, "size": content.len() }))
}

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
