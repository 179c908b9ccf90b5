//! The images that the stories use: busybox under the names of its commands, and a few that differ in one thing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A file of a layer.
pub(crate) enum Entry<'a> {
    Folder(&'a str, u32),
    File(&'a str, &'a [u8]),
    /// A link, and where it leads.
    Link(String, String),
    Program(&'a str, &'a [u8]),
    Noise(&'a str, usize),
}

/// A layer, packed.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    pub(crate) digest: String,
    diff_id: String,
}

/// An image as a registry has it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) digest: String,
    pub(crate) config: Vec<u8>,
    pub(crate) config_digest: String,
    pub(crate) layers: Vec<Layer>,
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Layer {
    pub(crate) fn of(entries: &[Entry<'_>]) -> Self {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in entries {
            add(&mut archive, entry);
        }
        let tar = archive.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        let blob = gzip.finish().unwrap();
        Self { digest: digest(&blob), diff_id: digest(&tar), blob }
    }
}

fn add(archive: &mut tar::Builder<Vec<u8>>, entry: &Entry<'_>) {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(1_700_000_000);
    let mut put = |path: &str, mode: u32, kind: tar::EntryType, bytes: &[u8]| {
        header.set_mode(mode);
        header.set_entry_type(kind);
        header.set_size(bytes.len().try_into().unwrap());
        archive.append_data(&mut header, path, bytes).unwrap();
    };
    match entry {
        Entry::Folder(path, mode) => put(path, *mode, tar::EntryType::Directory, &[]),
        Entry::File(path, bytes) => put(path, 0o644, tar::EntryType::Regular, bytes),
        Entry::Program(path, bytes) => put(path, 0o755, tar::EntryType::Regular, bytes),
        Entry::Noise(path, size) => put(path, 0o644, tar::EntryType::Regular, &noise(*size)),
        Entry::Link(path, target) => {
            header.set_mode(0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, path, target).unwrap();
        }
    }
}

/// Bytes that nothing makes smaller, the same each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

impl Image {
    /// Layers, the lowest first, with what the configuration says.
    pub(crate) fn of(layers: &[Layer], config: &Value) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        let config = config.to_string().into_bytes();
        let config_digest = digest(&config);
        let described: Vec<Value> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": layer.digest, "size": layer.blob.len(),
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest, "size": config.len(),
            },
            "layers": described,
        });
        let manifest = manifest.to_string().into_bytes();
        Self { digest: digest(&manifest), manifest, config, config_digest, layers: layers.to_vec() }
    }
}

/// A static busybox, if this machine has one.
pub(crate) fn busybox() -> Option<PathBuf> {
    let given = std::env::var_os("COFFERDAM_BUSYBOX").map(PathBuf::from);
    let usual = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
    given.into_iter().chain(usual).find(|path| path.exists())
}

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n\
    guest:x:1000:1000::/home:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nwww-data:x:33:\nguest:x:1000:\nextra:x:50000:guest,www-data\n";

/// Every image that stories use, with the names under which a registry has it.
pub(crate) fn all() -> Vec<(&'static str, Image)> {
    let base = base(&busybox().expect("a static busybox"));
    let shell = json!({ "Env": ["PATH=/bin", "FROM=image"], "Cmd": ["sh"] });
    let with = |more: &Value| {
        let mut config = shell.clone();
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        Image::of(std::slice::from_ref(&base), &config)
    };
    let mut images = vec![("busybox:1", with(&json!({})))];
    for (name, user) in [
        ("user-uid:1", "1002"),
        ("user-name:1", "www-data"),
        ("user-uid-group:1", "1003:1004"),
        ("user-name-group:1", "www-data:1004"),
        ("groups:1", "1000"),
    ] {
        images.push((name, with(&json!({ "User": user }))));
    }
    images.push(("stop-signal:1", with(&json!({ "StopSignal": "SIGUSR1" }))));
    images.push(("pause:1", with(&json!({ "Cmd": ["sleep", "2147483647"] }))));
    let declared = json!({
        "Entrypoint": ["sh", "-c"], "Cmd": ["echo $WHERE $(pwd); sleep 1000"],
        "Env": ["PATH=/bin", "WHERE=image"], "WorkingDir": "/home", "Volumes": { "/data": {} },
    });
    images.push(("declared:1", with(&declared)));
    images.extend(small());
    images
}

/// Images of a file or two, for pulling, listing and removing, and for mounting.
fn small() -> Vec<(&'static str, Image)> {
    let mut images = Vec::new();
    let one = |name: &str| Image::of(&[Layer::of(&[Entry::File("name", name.as_bytes())])], &json!({}));
    let tagged = one("tagged");
    images.extend(["tagged:1", "tagged:2", "tagged:latest"].map(|name| (name, tagged.clone())));
    images.push(("other/tagged:1", tagged));
    images.push(("untagged:latest", one("untagged")));
    images.push(("digest:1", one("digest")));
    images.push(("removed:1", one("removed")));
    images.push(("listed:1", one("listed")));
    images.push(("twice:1", one("twice")));
    images.push(("private/secret:1", one("secret")));
    let volume = [
        Layer::of(&[
            Entry::Folder("conf", 0o755),
            Entry::File("conf/a", b"lower"),
            Entry::File("conf/gone", b"gone"),
            Entry::Folder("conf/deep", 0o755),
            Entry::File("conf/deep/file", b"deep"),
            Entry::File("single", b"single"),
        ]),
        Layer::of(&[
            Entry::Folder("conf", 0o755),
            Entry::File("conf/a", b"upper"),
            Entry::File("conf/.wh.gone", b""),
            Entry::Link("outside".to_owned(), "/etc".to_owned()),
        ]),
    ];
    images.push(("volume:1", Image::of(&volume, &json!({}))));
    let large = [Layer::of(&[Entry::Noise("large", 8 << 20)]), Layer::of(&[Entry::Noise("more", 2 << 20)])];
    images.push(("large:1", Image::of(&large, &json!({}))));
    images
}

fn base(busybox: &Path) -> Layer {
    let program = std::fs::read(busybox).unwrap();
    let listed = Command::new(busybox).arg("--list").output().unwrap().stdout;
    let mut entries = vec![
        Entry::Folder("bin", 0o755),
        Entry::Program("bin/busybox", &program),
        Entry::Folder("etc", 0o755),
        Entry::File("etc/passwd", PASSWD),
        Entry::File("etc/group", GROUP),
        Entry::Folder("home", 0o777),
        Entry::Folder("root", 0o700),
        Entry::Folder("tmp", 0o1777),
        Entry::Folder("var", 0o755),
    ];
    let listed = String::from_utf8(listed).unwrap();
    let commands = listed.lines().filter(|name| *name != "busybox");
    entries.extend(commands.map(|name| Entry::Link(format!("bin/{name}"), "busybox".to_owned())));
    Layer::of(&entries)
}
