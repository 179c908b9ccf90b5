//! Names and ids of images that are there, and what is left when they go.

use crate::Host;
use crate::content::{Compression, archive, image, small};
use crate::server::Server;
use images::{Error, Kind};
use snapshots::Prepare;

#[tokio::test(flavor = "multi_thread")]
async fn several_tags_are_one_image() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let content = small("one");
    for tag in ["1", "2", "latest"] {
        server.has("a", tag, &content);
        host.pull(&server.name(&format!("a:{tag}"))).await.unwrap();
    }
    let all = host.images.list();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].tags, ["a:1", "a:2", "a:latest"].map(|name| server.name(name)));
    assert_eq!(all[0].digests.len(), 1);
    let id = all[0].id.clone();
    for what in [
        server.name("a"),
        server.name("a:2"),
        all[0].digests[0].clone(),
        id.to_string(),
        id.digits().to_owned(),
        id.digits()[..10].to_owned(),
    ] {
        assert_eq!(host.images.find(&what).unwrap().map(|image| image.id), Some(id.clone()), "{what}");
    }
    host.images.remove(&server.name("a")).unwrap();
    assert_eq!(host.images.list()[0].tags.len(), 2);
    host.images.remove(id.as_str()).unwrap();
    host.assert_empty();
    // Whatever is not there is removed.
    for what in [id.as_str(), &server.name("a"), "never/was", "", "Not A Name"] {
        host.images.remove(what).unwrap();
        assert!(host.images.find(what).unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_share_layers_until_the_last_goes() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let base = (archive(&[("base", b"base")]), Compression::Gzip);
    let one = image(&[base.clone(), (archive(&[("one", b"1")]), Compression::Gzip)]);
    let two = image(&[base, (archive(&[("two", b"2")]), Compression::Gzip)]);
    server.has("one", "1", &one);
    server.has("two", "1", &two);
    host.pull(&server.name("one:1")).await.unwrap();
    host.pull(&server.name("two:1")).await.unwrap();
    assert_eq!(server.times_asked(one.layers[0].as_str()), 1);
    assert_eq!(host.layers(), 3);
    host.images.remove(&server.name("one:1")).unwrap();
    assert_eq!(host.layers(), 2);
    let two = host.images.find(&server.name("two:1")).unwrap().unwrap();
    assert_eq!(host.read(&two, "base").as_deref(), Some("base"));
    host.images.remove(&server.name("two:1")).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_keeps_its_layers_without_their_image() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("a", "1", &small("one"));
    let image = host.pull(&server.name("a:1")).await.unwrap();
    host.snapshotter.prepare("container", &image.chain, &Prepare::default()).unwrap();
    host.images.remove(&server.name("a:1")).unwrap();
    assert!(host.images.list().is_empty());
    assert_eq!((host.layers(), host.snapshots().len()), (3, 1));
    assert_eq!(host.images.collect().unwrap().layers, 0);
    let host = host.again();
    assert_eq!((host.layers(), host.snapshots().len()), (3, 1));
    host.snapshotter.remove("container").unwrap();
    assert_eq!(host.images.collect().unwrap().layers, 3);
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_and_pulls_at_once_end_well() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("a", "1", &small("one"));
    let name = server.name("a:1");
    for _ in 0..10 {
        host.pull(&name).await.unwrap();
        let removals = (0..4).map(|_| {
            let (images, name) = (host.images.clone(), name.clone());
            tokio::task::spawn_blocking(move || images.remove(&name))
        });
        let pulls = (0..2).map(|_| host.pull(&name));
        let (removed, pulled) =
            tokio::join!(futures_util::future::join_all(removals), futures_util::future::join_all(pulls));
        assert!(removed.into_iter().all(|removed| removed.unwrap().is_ok()));
        // A pull may find that its image was removed right behind it; but never half of it.
        for pulled in pulled {
            assert!(matches!(pulled, Ok(_) | Err(Error::NotFound(_))), "{pulled:?}");
        }
        if let Some(image) = host.images.find(&name).unwrap() {
            assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
            assert_eq!(host.layers(), 3);
        }
    }
    host.images.remove(&name).unwrap();
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_leaves_the_old_image_by_digest() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    let (old, new) = (small("old"), small("new"));
    server.has("a", "1", &old);
    let before = host.pull(&server.name("a:1")).await.unwrap();
    server.has("a", "1", &new);
    let after = host.pull(&server.name("a:1")).await.unwrap();
    assert_ne!(before.id, after.id);
    let before = host.images.find(before.id.as_str()).unwrap().unwrap();
    assert_eq!(before.tags.len(), 0);
    assert_eq!(before.digests, [server.name(&format!("a@{}", old.digest()))]);
    assert_eq!(host.images.list().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_are_kept_through_restarts() {
    let Some(host) = Host::new() else { return };
    let server = Server::start().await;
    server.has("a", "1", &small("one"));
    let name = server.name("a:1");
    assert_eq!(host.images.pin(&name, true).unwrap_err().kind(), Kind::NotFound);
    host.pull(&name).await.unwrap();
    host.images.pin(&name, true).unwrap();
    host.images.pin(&name, true).unwrap();
    let host = host.again();
    assert!(host.images.find(&name).unwrap().unwrap().pinned);
    // Pulled anew, it stays pinned.
    assert!(host.pull(&name).await.unwrap().pinned);
    host.images.pin(&name, false).unwrap();
    assert!(!host.images.find(&name).unwrap().unwrap().pinned);
}
