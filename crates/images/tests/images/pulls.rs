//! Pulling what is all right.

use crate::content::{
    Compression, OCI_MANIFEST, archive, artifact, compressed, image, image_for, index, noise, small,
};
use crate::server::{Fault, Server};
use crate::{Host, told};
use images::{Digest, Images, Kind, Reference, Step};
use snapshots::Prepare;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_and_unpacked() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a/b", "1", &content);
    let image = host.pull(&server.name("a/b:1")).await.unwrap();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
    assert_eq!(host.read(&image, "etc/name").as_deref(), Some("one"));
    assert_eq!(host.read(&image, "etc/upper").as_deref(), Some("one"));
    assert_eq!(host.read(&image, "etc/deleted"), None);
    assert_eq!(image.tags, [server.name("a/b:1")]);
    assert_eq!(image.digests, [server.name(&format!("a/b@{}", content.digest()))]);
    assert_eq!(image.size, content.blobs.values().map(|blob| blob.len() as u64).sum::<u64>());
    assert_eq!((image.user(), image.user_name(), image.uid()), ("1000:50", "1000", Some(1000)));
    assert_eq!(image.created, "2026-01-02T03:04:05Z");
    assert_eq!(image.labels, BTreeMap::from([("kind".to_owned(), "test".to_owned())]));
    assert_eq!(host.layers(), 3);
    let usage = host.images.usage().unwrap();
    assert!(usage.inodes >= 8 && usage.bytes > 0, "{usage:?}");
    // What was pulled is there after a restart, and pulled again it is only looked up.
    let host = host.again();
    let before = server.times_asked("/blobs/");
    let again = host.pull(&server.name("a/b:1")).await.unwrap();
    assert_eq!((again.id, again.chain), (image.id, image.chain));
    assert_eq!(server.times_asked("/blobs/"), before + 1, "the configuration alone");
    host.images.remove(&server.name("a/b:1")).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_this_platform_is_taken() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let (here, there) = (small("here"), image_for("linux", "s390x", &[]));
    let other = image_for("windows", "amd64", &[]);
    let mine = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    server.has("multi", "unused", &here);
    let (document, media_type) = index(&[
        ("unknown/unknown", &other),
        ("linux/s390x", &there),
        (&mine, &here),
        ("windows/amd64", &other),
    ]);
    server.has_document("multi", "1", &media_type, &document);
    let image = host.pull(&server.name("multi:1")).await.unwrap();
    assert_eq!(image.manifest, here.digest());
    let by_index = server.name(&format!("multi@{}", Digest::of(&document)));
    assert_eq!(image.digests.join(" "), by_index);
    // By the digest of the index and by that of the manifest it is the same.
    let by_manifest = server.name(&format!("multi@{}", here.digest()));
    for name in [&by_index, &by_manifest] {
        assert_eq!(host.images.find(name).unwrap().unwrap().id, image.id, "{name}");
    }
    let (document, media_type) = index(&[("linux/s390x", &there), ("windows/amd64", &other)]);
    server.has_document("multi", "2", &media_type, &document);
    let error = host.pull(&server.name("multi:2")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(told(&error).contains("which has linux/s390x, windows/amd64"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_digest_there_are_digests_and_no_tags() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a", "1", &content);
    let name = server.name(&format!("a@{}", content.digest()));
    let image = host.pull(&name).await.unwrap();
    assert_eq!((image.tags.len(), &image.digests), (0, &vec![name.clone()]));
    let both = server.name(&format!("a:1@{}", content.digest()));
    let image = host.pull(&both).await.unwrap();
    assert_eq!((image.tags.len(), &image.digests), (0, &vec![name.clone()]));
    let image = host.pull(&server.name("a:1")).await.unwrap();
    assert_eq!((image.tags.len(), &image.digests), (1, &vec![name.clone()]));
    host.images.remove(&name).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_pull_at_once_is_one_download() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a", "1", &content);
    server.has("b", "1", &content);
    let slow = Arc::new(Semaphore::new(0));
    let blob = format!("/v2/a/blobs/{}", content.layers[0]);
    server.faults(&blob, [Fault::Hold(Arc::clone(&slow))]);
    let name = server.name("a:1");
    let pulls = (0..8).map(|_| host.pull(&name));
    let pulls = futures_util::future::join_all(pulls);
    // The layer comes only once all have asked for the image.
    let release = async {
        let configuration = "/v2/a/manifests/1";
        while server.times_asked(configuration) < 8 {
            tokio::task::yield_now().await;
        }
        slow.add_permits(1);
    };
    let (pulled, ()) = tokio::join!(pulls, release);
    let ids: Vec<Digest> = pulled.into_iter().map(|image| image.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    for layer in &content.layers {
        assert_eq!(server.times_asked(&format!("blobs/{layer}")), 1);
    }
    // Another repository with the same layers needs nothing but its documents.
    host.pull(&server.name("b:1")).await.unwrap();
    assert_eq!(server.times_asked("/v2/b/blobs/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_dropped_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a", "1", &content);
    let never = Arc::new(Semaphore::new(0));
    let held = format!("/v2/a/blobs/{}", content.layers[2]);
    server.faults(&held, [Fault::Hold(never)]);
    let name = server.name("a:1");
    let reference = Reference::parse(&name).unwrap();
    let (committed, done) = tokio::sync::watch::channel(0);
    let progress = |progress: images::Progress<'_>| {
        if progress.step == Step::Done {
            committed.send_modify(|count| *count += 1);
        }
    };
    let mut done = done;
    {
        let pull = host.images.pull(&reference, None, &progress);
        tokio::pin!(pull);
        tokio::select! {
            pulled = &mut pull => panic!("{pulled:?}"),
            // Two of three layers are there.
            _ = done.wait_for(|count| *count == 2) => {}
        }
        assert_eq!(host.layers(), 2);
    }
    host.until_empty().await;
    host.pull(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_layer_by_layer() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let big = archive(&[("big", &noise(300_000))]);
    let content = image(&[(big, Compression::Gzip), (archive(&[("a", b"a")]), Compression::Zstd)]);
    server.has("a", "1", &content);
    let seen: Mutex<Vec<(Digest, Step, u64, u64)>> = Mutex::default();
    let progress = |told: images::Progress<'_>| {
        seen.lock().unwrap().push((told.layer.clone(), told.step, told.received, told.total));
    };
    let reference = Reference::parse(&server.name("a:1")).unwrap();
    host.images.pull(&reference, None, &progress).await.unwrap();
    for layer in &content.layers {
        let seen = seen.lock().unwrap();
        let steps: Vec<_> = seen.iter().filter(|(digest, ..)| digest == layer).collect();
        let size = content.blobs[layer].len() as u64;
        assert_eq!((steps[0].1, steps[0].2, steps[0].3), (Step::Fetching, 0, size));
        assert!(steps.is_sorted_by_key(|(_, _, received, _)| *received));
        assert_eq!(steps.last().map(|last| (last.1, last.2)), Some((Step::Done, size)));
    }
    seen.lock().unwrap().clear();
    host.images.pull(&reference, None, &progress).await.unwrap();
    assert!(seen.lock().unwrap().iter().all(|(_, step, ..)| *step == Step::Exists));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_files_for_an_image_volume() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = artifact(&[("model/weights.bin", b"12345"), ("README", b"read me")]);
    server.has("model", "1", &content);
    let image = host.pull(&server.name("model:1")).await.unwrap();
    assert_eq!(image.artifact_type.as_deref(), Some("application/x-test"));
    assert_eq!(image.id, content.digest());
    assert_eq!(host.read(&image, "model/weights.bin").as_deref(), Some("12345"));
    assert_eq!(host.read(&image, "README").as_deref(), Some("read me"));
    assert_eq!(host.snapshotter.view(&image.chain, "model").unwrap().len(), 1);
    let host = host.again();
    assert_eq!(host.images.find(&server.name("model:1")).unwrap().unwrap().id, image.id);
    host.images.remove(image.id.as_str()).unwrap();
    host.assert_empty();
    let outside = artifact(&[("../../etc/cron.d/evil", b"12345")]);
    server.has("model", "2", &outside);
    let error = host.pull(&server.name("model:2")).await.unwrap_err();
    assert!(told(&error).contains("which is no relative path"), "{}", told(&error));
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_layers_has_an_empty_root() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("scratch", "1", &image(&[]));
    let image = host.pull(&server.name("scratch:1")).await.unwrap();
    host.snapshotter.prepare("container", &image.chain, &Prepare::default()).unwrap();
    host.snapshotter.remove("container").unwrap();
    host.images.remove(image.id.as_str()).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_in_use_stays_without_its_image_until_the_last_user_is_gone() {
    let Some(mut host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("volume", "1", &small("kept"));
    let image = host.pull(&server.name("volume:1")).await.unwrap();
    host.images.begin_use(&image.chain);
    host.images.begin_use(&image.chain);
    host.images.remove(image.id.as_str()).unwrap();
    host.images.collect().unwrap();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
    host.images.end_use(&image.chain);
    host.images.collect().unwrap();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
    // Nobody but its user knows of it after a restart.
    host.config.used = vec![image.chain.clone()];
    let host = host.again();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
    host.images.end_use(&image.chain);
    host.images.collect().unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_asked_first_and_told_for_whom() {
    let Some(host) = Host::new() else { return };
    let (broken, mirror, origin) = (Server::start().await, Server::start().await, Server::start().await);
    let content = small("one");
    mirror.has("mirrored/a", "1", &content);
    origin.has("a", "1", &content);
    // The first does not know it; the second may only be asked by digest; the origin resolves.
    let folder = host.folder.path().join("certs.d/registry.example");
    std::fs::create_dir_all(&folder).unwrap();
    let hosts = format!(
        r#"server = "http://{}"
[host."http://{}"]
[host."http://{}/v2/mirrored"]
  capabilities = ["pull"]
  override_path = true
  [host."http://{}/v2/mirrored".header]
    x-test = "1"
"#,
        origin.address, broken.address, mirror.address, mirror.address
    );
    std::fs::write(folder.join("hosts.toml"), hosts).unwrap();
    host.pull("registry.example/a:1").await.unwrap();
    assert_eq!(broken.times_asked("/v2/a/manifests/1 ns=registry.example"), 1);
    assert_eq!(mirror.times_asked("manifests"), 0);
    assert_eq!(mirror.times_asked("/v2/mirrored/a/blobs/"), 4);
    assert_eq!(origin.asked(), ["/v2/a/manifests/1 ns=registry.example"]);
    // Nobody has it: each says so.
    let error = host.pull("registry.example/none").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let hosts = [&broken, &origin].map(|server| server.address.to_string());
    assert!(hosts.iter().all(|host| told(&error).contains(host)), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_other_compressions_and_their_indexes_are_read_as_plain_ones() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    // eStargz: gzip of several members; zstd:chunked: frames with a table in one that decoders skip.
    let tar = archive(&[("hello", b"hello"), ("big", &noise(100_000))]);
    let (first, second) = tar.split_at(5_000);
    let (gzip, _) = compressed(first, Compression::Gzip);
    let estargz = [gzip, compressed(second, Compression::Gzip).0].concat();
    let (zstd, _) = compressed(first, Compression::Zstd);
    let table = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"table"].concat();
    let chunked = [zstd, compressed(second, Compression::Zstd).0, table].concat();
    for (tag, blob, suffix) in [("estargz", estargz, "gzip"), ("chunked", chunked, "zstd")] {
        let mut content = image(&[(tar.clone(), Compression::None)]);
        let old = content.layers[0].clone();
        content.blobs.remove(&old);
        let digest = Digest::of(&blob);
        let text = String::from_utf8(content.manifest.clone()).unwrap();
        let text = text
            .replace(old.as_str(), digest.as_str())
            .replace("layer.v1.tar", &format!("layer.v1.tar+{suffix}"))
            .replace(&format!("\"size\":{}", tar.len()), &format!("\"size\":{}", blob.len()));
        content.blobs.insert(digest, blob);
        content.manifest = text.into_bytes();
        content.media_type = OCI_MANIFEST.into();
        server.has("layers", tag, &content);
        let image = host.pull(&server.name(&format!("layers:{tag}"))).await.unwrap();
        assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
        host.images.remove(image.id.as_str()).unwrap();
    }
    host.assert_empty();
}

/// Callers hold it across tasks and threads.
#[test]
fn pulls_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    fn check(images: &Images, reference: &Reference) {
        is_send(images.pull(reference, None, &|_| ()));
        is_send(images.clone());
    }
    let _ = check;
}
