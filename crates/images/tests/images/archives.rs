//! Images from archives, and to them.

use crate::content::{Compression, Content, archive, compressed, image_for, small};
use crate::server::Server;
use crate::{Host, files, told};
use images::{Digest, Error, Image, Input, Kind, Reference};
use serde_json::json;
use std::io::Cursor;
use std::path::Path;

async fn import(host: &Host, bytes: Vec<u8>) -> Result<Vec<Image>, Error> {
    host.images.import(Input::Stream(Box::new(Cursor::new(bytes))), None, &|_| ()).await
}

/// An OCI layout in a folder, with these annotations on its entries.
fn layout(folder: &Path, images: &[(&Content, serde_json::Value)]) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut manifests = Vec::new();
    for (content, annotations) in images {
        for (digest, blob) in &content.blobs {
            std::fs::write(folder.join("blobs/sha256").join(digest.digits()), blob).unwrap();
        }
        let path = folder.join("blobs/sha256").join(content.digest().digits());
        std::fs::write(path, &content.manifest).unwrap();
        manifests.push(json!({"mediaType": content.media_type, "digest": content.digest(),
            "size": content.manifest.len(), "annotations": annotations}));
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

fn packed(folder: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", folder).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_is_imported_from_a_folder_and_from_a_stream() {
    let Some(host) = Host::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (small("one"), small("two"));
    layout(
        folder.path(),
        &[
            (
                &one,
                json!({"io.containerd.image.name": "quay.io/a:1", "org.opencontainers.image.ref.name": "1"}),
            ),
            (&one, json!({"org.opencontainers.image.ref.name": "quay.io/a:2"})),
            (&two, json!({"org.opencontainers.image.ref.name": "v2"})),
        ],
    );
    let name = Reference::parse("localhost/named").unwrap();
    let images =
        host.images.import(Input::Folder(folder.path().to_owned()), Some(&name), &|_| ()).await.unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0].tags, ["quay.io/a:1", "quay.io/a:2"]);
    assert_eq!(images[1].tags, ["localhost/named:v2"]);
    assert_eq!(host.read(&images[0], "etc/name").as_deref(), Some("one"));
    for image in images {
        host.images.remove(image.id.as_str()).unwrap();
    }
    host.assert_empty();
    let tar = packed(folder.path());
    for how in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let images = import(&host, compressed(&tar, how).0).await.unwrap();
        assert_eq!(images[0].tags, ["quay.io/a:1", "quay.io/a:2"]);
        // Nobody says what the tag `v2` is of.
        assert_eq!((images[1].tags.len(), images[1].digests.len()), (0, 0));
        for image in images {
            host.images.remove(image.id.as_str()).unwrap();
        }
        host.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_saved_is_imported() {
    let Some(host) = Host::new() else { return };
    let layer = archive(&[("hello", b"hello")]);
    let config = json!({"architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer), Digest::of(&layer)]}})
    .to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).digits());
    let list = json!([{"Config": config_name, "RepoTags": ["busybox:saved"],
        "Layers": ["aaa/layer.tar", "bbb/layer.tar"]}])
    .to_string();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("aaa/VERSION", b"1.0".as_slice()),
        ("aaa/layer.tar", &layer),
        (&config_name, config.as_bytes()),
        ("manifest.json", list.as_bytes()),
        ("repositories", b"{}"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "bbb/layer.tar", "../aaa/layer.tar").unwrap();
    let images = import(&host, builder.into_inner().unwrap()).await.unwrap();
    assert_eq!(images[0].tags, ["docker.io/library/busybox:saved"]);
    assert_eq!(images[0].id, Digest::of(config.as_bytes()));
    assert_eq!(host.read(&images[0], "hello").as_deref(), Some("hello"));
    host.images.remove("busybox:saved").unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_imported_elsewhere() {
    let Some(host) = Host::with(|config| config.discard_unpacked_layers = false) else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a", "1", &content);
    server.has("a", "2", &content);
    let image = host.pull(&server.name("a:1")).await.unwrap();
    host.pull(&server.name("a:2")).await.unwrap();
    let usage = host.images.usage().unwrap();
    let export = |what: &[&str]| {
        let mut written = Vec::new();
        host.images.export(what, &mut written).map(|()| written)
    };
    let all = export(&[image.id.as_str()]).unwrap();
    assert_eq!(all, export(&[image.id.as_str()]).unwrap(), "the same bytes each time");
    let one = export(&[&server.name("a:1")]).unwrap();
    assert!(matches!(export(&["none"]), Err(Error::NotFound(_))));
    let Some(other) = Host::new() else { return };
    let images = import(&other, all).await.unwrap();
    assert_eq!((&images[0].id, images[0].tags.len()), (&image.id, 2));
    assert_eq!(images[0].chain, image.chain);
    other.images.remove(image.id.as_str()).unwrap();
    assert_eq!(import(&other, one).await.unwrap()[0].tags, [server.name("a:1")]);
    // Here copies of layers are not kept: that is said, and how to have them.
    let mut nothing = Vec::new();
    let error = other.images.export(&[image.id.as_str()], &mut nothing).unwrap_err();
    assert_eq!((error.kind(), nothing.len()), (Kind::Unsupported, 0));
    assert!(told(&error).contains("discard_unpacked_layers = false"), "{}", told(&error));
    let host = host.again();
    assert_eq!(files(&host.config.root.join("blobs")).len(), 3);
    assert!(usage.bytes > other.images.usage().unwrap().bytes);
    host.images.remove(image.id.as_str()).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_fetched_for_layers_that_were_there_without() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("a", "1", &small("one"));
    let name = server.name("a:1");
    host.pull(&name).await.unwrap();
    let mut host = host;
    host.config.discard_unpacked_layers = false;
    let host = host.again();
    assert!(host.images.export(&[&name], &mut Vec::new()).is_err());
    host.pull(&name).await.unwrap();
    host.images.export(&[&name], &mut Vec::new()).unwrap();
    assert_eq!(host.layers(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_broken_archives_are_refused_and_leave_nothing() {
    let Some(host) = Host::with(|config| config.import_limit = 1 << 20) else { return };
    let folder = tempfile::tempdir().unwrap();
    let content = small("one");
    layout(folder.path(), &[(&content, json!({"org.opencontainers.image.ref.name": "quay.io/a:1"}))]);
    let good = packed(folder.path());
    let says = async |bytes: Vec<u8>| {
        let error = import(&host, bytes).await.unwrap_err();
        host.until_empty().await;
        told(&error)
    };
    assert!(says(Vec::new()).await.contains("no image"));
    assert!(says(b"this is no archive at all".to_vec()).await.contains("archive"));
    assert!(says(good[..good.len() / 2].to_vec()).await.starts_with("import images"));
    assert!(says(archive(&[("index.json", b"{")])).await.contains("read index.json of the archive"));
    assert!(says(archive(&[("x", &vec![0; 2 << 20])])).await.contains("more than 1048576 bytes"));
    // A blob that is not what its name says.
    let layer = folder.path().join("blobs/sha256").join(content.layers[0].digits());
    let mut bytes = std::fs::read(&layer).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let told = says(packed(folder.path())).await;
    assert!(told.contains("what came is sha256:") || told.contains("decompress"), "{told}");
    std::fs::remove_file(&layer).unwrap();
    assert!(says(packed(folder.path())).await.contains("open"));
    // Another platform's.
    let foreign = tempfile::tempdir().unwrap();
    let windows = image_for("windows", "s390x", &[]);
    layout(foreign.path(), &[(&windows, json!({}))]);
    assert!(
        !import(&host, packed(foreign.path())).await.unwrap().is_empty(),
        "an entry that names no platform"
    );
}
