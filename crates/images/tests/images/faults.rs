//! Registries that do things wrong: what passes is waited for, what does not is said, and nothing is left.

use crate::content::{Compression, archive, image, noise, small};
use crate::server::{Fault, Server};
use crate::{Host, told};
use images::{Error, Kind};
use std::time::{Duration, Instant};

/// An image of one layer that takes many pieces to come, and where that is.
async fn large(server: &Server) -> String {
    let content = image(&[(archive(&[("hello", &noise(400_000))]), Compression::Gzip)]);
    server.has("a", "1", &content);
    format!("/v2/a/blobs/{}", content.layers[0])
}

async fn pull(host: &Host, server: &Server) -> Result<images::Image, Error> {
    host.pull(&server.name("a:1")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let blob = large(&server).await;
    let busy = [Fault::Status(503, None), Fault::Status(429, Some(0)), Fault::Status(500, None)];
    server.faults("/v2/a/manifests/1", busy.clone());
    server.faults(&blob, busy);
    pull(&host, &server).await.unwrap();
    assert_eq!(server.times_asked("/v2/a/manifests/1"), 4);
    assert_eq!(server.times_asked(&blob), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_said_with_the_registrys_words() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let error = pull(&host, &server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(told(&error).ends_with("404 Not Found: MANIFEST_UNKNOWN: manifest unknown"), "{}", told(&error));
    assert_eq!(server.asked().len(), 1);
    let blob = large(&server).await;
    server.faults(&blob, vec![Fault::Status(503, None); 5]);
    let error = pull(&host, &server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    // A registry that wants us back tomorrow is not waited for.
    server.faults("/v2/a/manifests/1", [Fault::Status(429, Some(86_400))]);
    let begun = Instant::now();
    assert_eq!(pull(&host, &server).await.unwrap_err().kind(), Kind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(10));
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_registry_is_said() {
    let Some(host) = Host::with(|config| config.network.attempts = 2) else { return };
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = host.pull(&format!("{unused}/a")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(told(&error).contains("refused"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_blob_is_taken_up_where_it_broke() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let blob = large(&server).await;
    server.faults(&blob, [Fault::Break(150_000), Fault::Break(100_000), Fault::Short(50_000)]);
    let image = pull(&host, &server).await.unwrap();
    assert_eq!(host.read(&image, "x"), None);
    let asked: Vec<String> = server.asked().into_iter().filter(|asked| asked.starts_with(&blob)).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let from = |asked: &str| -> usize {
        let range = asked.rsplit_once("bytes=").unwrap().1;
        range.trim_end_matches('-').parse().unwrap()
    };
    let starts: Vec<usize> = asked[1..].iter().map(|asked| from(asked)).collect();
    assert!(starts.is_sorted() && starts[0] > 0 && starts[0] <= 150_000, "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_sends_all_again() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let blob = large(&server).await;
    server.faults(&blob, [Fault::Break(150_000), Fault::IgnoreRange]);
    pull(&host, &server).await.unwrap();
    assert_eq!(server.times_asked(&blob), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_never_gets_further_is_given_up() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let blob = large(&server).await;
    server.faults(&blob, vec![Fault::Break(0); 50]);
    assert_eq!(pull(&host, &server).await.unwrap_err().kind(), Kind::Unavailable);
    assert!((5..=25).contains(&server.times_asked(&blob)), "{:?}", server.asked());
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_is_refused_and_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    for (fault, says) in [
        (vec![Fault::Other], "what came is sha256:"),
        (vec![Fault::Endless], "more than the"),
        (vec![Fault::Break(150_000), Fault::WrongRange], "asked for the bytes from"),
    ] {
        let server = Server::start().await;
        let blob = large(&server).await;
        server.faults(&blob, fault);
        let error = pull(&host, &server).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{}", told(&error));
        assert!(told(&error).contains(says), "{}", told(&error));
        host.until_empty().await;
        // The next time the registry is well again.
        pull(&host, &server).await.unwrap();
        host.images.remove(&server.name("a:1")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_documents_are_refused() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    server.has("a", "1", &content);
    let by_digest = format!("a@{}", content.digest());
    let manifest = format!("/v2/a/manifests/{}", content.digest());
    for fault in [Fault::Other, Fault::Endless, Fault::Short(10)] {
        server.faults(&manifest, [fault]);
        let error = host.pull(&server.name(&by_digest)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Corrupt), "{}", told(&error));
    }
    // Five mebibytes of manifest.
    let huge = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(5 << 20));
    server.has_document("a", "huge", "application/vnd.oci.image.manifest.v1+json", huge.as_bytes());
    let error = host.pull(&server.name("a:huge")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{}", told(&error));
    let old = br#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#;
    server.has_document("a", "old", "application/vnd.docker.distribution.manifest.v1+prettyjws", old);
    let error = host.pull(&server.name("a:old")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(told(&error).contains("schema 1"), "{}", told(&error));
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_no_disk_has_are_refused_before_anything_is_written() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    let text = String::from_utf8(content.manifest.clone()).unwrap();
    let size = content.blobs[&content.layers[0]].len();
    let absurd = text.replace(&format!("\"size\":{size}"), &format!("\"size\":{}", u64::MAX));
    assert_ne!(absurd, text);
    let mut wrong = content.clone();
    wrong.manifest = absurd.into_bytes();
    server.has("a", "1", &wrong);
    let error = pull(&host, &server).await.unwrap_err();
    assert!(told(&error).contains("bytes came"), "{}", told(&error));
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_not_the_configurations_is_refused() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let (one, other) = (archive(&[("hello", b"1")]), archive(&[("hello", b"2")]));
    let (good, evil) = (image(&[(one, Compression::Gzip)]), image(&[(other, Compression::Gzip)]));
    // The manifest has one image's configuration and another's layer.
    let text = String::from_utf8(good.manifest.clone()).unwrap();
    let mixed = text.replace(good.layers[0].as_str(), evil.layers[0].as_str()).replace(
        &format!("\"size\":{}", good.blobs[&good.layers[0]].len()),
        &format!("\"size\":{}", evil.blobs[&evil.layers[0]].len()),
    );
    let mut content = good.clone();
    content.manifest = mixed.into_bytes();
    content.blobs.extend(evil.blobs);
    server.has("a", "1", &content);
    let error = pull(&host, &server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(told(&error).contains("the image's configuration says"), "{}", told(&error));
    host.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_without_credentials() {
    let Some(host) = Host::new() else { return };
    let (server, storage) = (Server::start().await, Server::start().await);
    let blob = large(&server).await;
    let content = image(&[(archive(&[("hello", &noise(400_000))]), Compression::Gzip)]);
    storage.has("store", "1", &content);
    let there = format!("http://{}/v2/store/blobs/{}?sig=1", storage.address, content.layers[0]);
    // What breaks off there is asked for from here again, and led there again.
    let path = format!("/v2/store/blobs/{}", content.layers[0]);
    storage.faults(&path, [Fault::Break(100_000)]);
    server.faults(&blob, [Fault::Redirect(there.clone()), Fault::Redirect(there)]);
    pull(&host, &server).await.unwrap();
    assert_eq!(storage.times_asked("sig=1"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_falls_silent_is_left_and_asked_again() {
    let Some(host) = Host::with(|config| config.network.idle_timeout = Duration::from_millis(300)) else {
        return;
    };
    let server = Server::start().await;
    let blob = large(&server).await;
    server.faults(&blob, [Fault::Hold(std::sync::Arc::new(tokio::sync::Semaphore::new(0)))]);
    pull(&host, &server).await.unwrap();
    assert_eq!(server.times_asked(&blob), 2);
}
