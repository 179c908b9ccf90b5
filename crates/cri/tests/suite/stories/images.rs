//! Images: pulled, named, listed, removed.

use cri::wire::v1::{
    AuthConfig, Image, ImageFilter, ImageFsInfoRequest, ImageStatusRequest, ListImagesRequest,
    PullImageRequest, RemoveImageRequest, StreamImagesRequest,
};

use crate::image::Layer;
use crate::leftovers::eventually;
use crate::pod::{World, fresh, spec};
use crate::registry::{USER, registry};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(an_image_is_pulled_by_its_tag),
    story!(without_a_tag_it_is_the_latest),
    story!(an_image_is_pulled_by_its_digest),
    story!(tags_of_one_image_are_one_image),
    story!(an_image_is_known_by_every_name),
    story!(images_are_listed_by_filter),
    story!(a_removed_image_is_gone),
    story!(what_is_not_there_is_removed),
    story!(an_image_is_removed_by_many_at_once),
    story!(an_image_is_pulled_by_many_at_once),
    story!(what_the_registry_has_not_is_told),
    story!(a_registry_that_is_not_there_is_told),
    story!(names_that_are_none_are_refused),
    story!(a_password_is_asked_for),
    story!(disks_are_fuller_with_an_image),
    story!(an_image_tells_its_user),
    story!(an_image_in_use_can_be_removed_and_its_container_goes_on),
    story!(details_are_given_when_asked),
];

fn status(world: &World<'_>, name: &str) -> Option<Image> {
    let request = ImageStatusRequest { image: spec(name), verbose: false };
    world.client.image_status(request).unwrap().image
}

fn remove(world: &World<'_>, name: &str) -> Result<(), tonic::Status> {
    world.client.remove_image(RemoveImageRequest { image: spec(name) }).map(drop)
}

fn listed(world: &World<'_>, name: Option<&str>) -> Vec<Image> {
    let filter = name.map(|name| ImageFilter { image: spec(name) });
    world.client.list_images(ListImagesRequest { filter }).unwrap().images
}

/// An image that nothing else has anything to do with, and its name in the registry.
fn own(what: &str) -> String {
    let name = format!("{}:1", fresh(what));
    let layer = Layer::of(&[crate::image::Entry::File("name", name.as_bytes())]);
    registry().put(&name, &crate::image::Image::of(&[layer], &serde_json::json!({})));
    registry().name(&name)
}

fn an_image_is_pulled_by_its_tag(world: &World<'_>) {
    let name = own("by-tag");
    let pulled = world.pull(&name).unwrap();
    let image = status(world, &name).unwrap();
    assert_eq!(image.repo_tags, [name.as_str()]);
    assert_eq!(image.repo_digests.len(), 1);
    assert!(image.id.starts_with("sha256:") && image.size > 0 && !image.pinned, "{image:?}");
    assert_eq!(status(world, &pulled).unwrap(), image);
    assert_eq!(world.pull(&name).unwrap(), pulled);
    remove(world, &name).unwrap();
}

fn without_a_tag_it_is_the_latest(world: &World<'_>) {
    let name = registry().name("untagged");
    world.pull(&name).unwrap();
    let image = status(world, &name).unwrap();
    assert_eq!(image.repo_tags, [format!("{name}:latest")]);
    remove(world, &name).unwrap();
    assert_eq!(status(world, &name), None);
}

fn an_image_is_pulled_by_its_digest(world: &World<'_>) {
    let name = format!("{}@{}", registry().name("digest"), registry().digest("digest:1"));
    world.pull(&name).unwrap();
    let image = status(world, &name).unwrap();
    assert!(image.repo_tags.is_empty(), "{image:?}");
    assert_eq!(image.repo_digests, [name.as_str()]);
    remove(world, &name).unwrap();
    assert_eq!(status(world, &name), None);
}

fn tags_of_one_image_are_one_image(world: &World<'_>) {
    let names = ["tagged:1", "tagged:2", "other/tagged:1"].map(|name| registry().name(name));
    let mut ids: Vec<String> = names.iter().map(|name| world.pull(name).unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let image = status(world, &names[0]).unwrap();
    let mut tags = image.repo_tags.clone();
    tags.sort();
    let mut expected = names.to_vec();
    expected.sort();
    assert_eq!(tags, expected);
    assert_eq!(image.repo_digests.len(), 2, "{image:?}");
    assert_eq!(listed(world, None).iter().filter(|listed| listed.id == image.id).count(), 1);
    // By its id it goes with all of its names.
    remove(world, &image.id).unwrap();
    assert!(names.iter().all(|name| status(world, name).is_none()));
}

fn an_image_is_known_by_every_name(world: &World<'_>) {
    let name = own("every-name");
    world.pull(&name).unwrap();
    let image = status(world, &name).unwrap();
    let digits = image.id.trim_start_matches("sha256:");
    for other in [image.id.as_str(), digits, &image.repo_digests[0]] {
        assert_eq!(status(world, other).as_ref(), Some(&image), "{other}");
    }
    remove(world, &image.id).unwrap();
}

fn images_are_listed_by_filter(world: &World<'_>) {
    let name = own("listed");
    world.pull(&name).unwrap();
    let image = status(world, &name).unwrap();
    assert!(listed(world, None).contains(&image));
    assert_eq!(listed(world, Some(&name)), std::slice::from_ref(&image));
    assert!(listed(world, Some(&own("never-pulled"))).is_empty());
    let request = StreamImagesRequest { filter: Some(ImageFilter { image: spec(&name) }) };
    let streamed = world.client.stream_images(request).unwrap();
    let streamed: Vec<Image> = streamed.into_iter().flat_map(|part| part.images).collect();
    assert_eq!(streamed, std::slice::from_ref(&image));
    remove(world, &image.id).unwrap();
}

fn a_removed_image_is_gone(world: &World<'_>) {
    let name = own("gone");
    let id = world.pull(&name).unwrap();
    remove(world, &name).unwrap();
    assert_eq!((status(world, &name), status(world, &id)), (None, None));
    assert!(listed(world, None).iter().all(|image| image.id != id));
    remove(world, &name).unwrap();
    world.pull(&name).unwrap();
    assert!(status(world, &name).is_some());
    remove(world, &id).unwrap();
}

fn what_is_not_there_is_removed(world: &World<'_>) {
    let absent = own("absent");
    assert_eq!(status(world, &absent), None);
    remove(world, &absent).unwrap();
}

fn an_image_is_removed_by_many_at_once(world: &World<'_>) {
    let name = own("removed-by-many");
    world.pull(&name).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| remove(world, &name))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
    assert_eq!(status(world, &name), None);
}

fn an_image_is_pulled_by_many_at_once(world: &World<'_>) {
    let name = own("pulled-by-many");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| world.pull(&name))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    remove(world, &name).unwrap();
}

fn what_the_registry_has_not_is_told(world: &World<'_>) {
    for name in ["no/such/image:1", "busybox:no-such-tag"] {
        let refused = world.pull(&registry().name(name)).unwrap_err();
        assert!(refused.message().contains(name.split(':').next().unwrap()), "{}", refused.message());
    }
    let digest = format!("{}@sha256:{}", registry().name("busybox"), "0".repeat(64));
    world.pull(&digest).unwrap_err();
}

fn a_registry_that_is_not_there_is_told(world: &World<'_>) {
    let refused = world.pull("127.0.0.1:1/busybox:1").unwrap_err();
    assert!(refused.message().contains("127.0.0.1:1"), "{}", refused.message());
}

fn names_that_are_none_are_refused(world: &World<'_>) {
    for name in ["", "UPPER/case:1", "a:b:c", "name@sha256:short", "-"] {
        assert!(world.pull(name).is_err(), "{name:?}");
    }
}

fn a_password_is_asked_for(world: &World<'_>) {
    let name = registry().name("private/secret:1");
    world.pull(&name).unwrap_err();
    let pull = |auth: AuthConfig| {
        let request = PullImageRequest { image: spec(&name), auth: Some(auth), sandbox_config: None };
        world.client.pull_image(request)
    };
    let words = |user: &str, password: &str| AuthConfig {
        username: user.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    };
    pull(words(USER.0, "wrong")).unwrap_err();
    pull(words(USER.0, USER.1)).unwrap();
    remove(world, &name).unwrap();
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    pull(AuthConfig { auth, ..Default::default() }).unwrap();
    remove(world, &name).unwrap();
}

fn used(world: &World<'_>) -> u64 {
    let info = world.client.image_fs_info(ImageFsInfoRequest {}).unwrap();
    let [images] = info.image_filesystems.as_slice() else { panic!("{info:?}") };
    assert!(images.timestamp > 0 && !images.fs_id.as_ref().unwrap().mountpoint.is_empty());
    assert!(images.inodes_used.is_some());
    images.used_bytes.unwrap().value
}

fn disks_are_fuller_with_an_image(world: &World<'_>) {
    const SIZE: u64 = 6 << 20;
    // Others pull and remove small ones at the same time.
    let name = format!("{}:1", fresh("full"));
    let layer = Layer::of(&[crate::image::Entry::Noise(&name, 12 << 20)]);
    registry().put(&name, &crate::image::Image::of(&[layer], &serde_json::json!({})));
    let name = registry().name(&name);
    let before = used(world);
    world.pull(&name).unwrap();
    eventually("more that is used", || used(world) > before + SIZE);
    let full = used(world);
    remove(world, &name).unwrap();
    eventually("less that is used", || used(world) + SIZE < full);
}

fn an_image_tells_its_user(world: &World<'_>) {
    for (name, uid, user) in [
        ("user-uid:1", Some(1002), ""),
        ("user-name:1", None, "www-data"),
        ("user-uid-group:1", Some(1003), ""),
        ("user-name-group:1", None, "www-data"),
    ] {
        let image = status(world, &world.image(name)).unwrap();
        assert_eq!((image.uid.map(|uid| uid.value), image.username.as_str()), (uid, user), "{name}");
    }
}

fn an_image_in_use_can_be_removed_and_its_container_goes_on(world: &World<'_>) {
    let base = crate::image::all().into_iter().find(|(name, _)| *name == "busybox:1").unwrap().1;
    let own = Layer::of(&[crate::image::Entry::File("own", fresh("content").as_bytes())]);
    let name = format!("{}:1", fresh("in-use"));
    let layers = [base.layers[0].clone(), own];
    let config = serde_json::json!({ "Env": ["PATH=/bin"] });
    registry().put(&name, &crate::image::Image::of(&layers, &config));
    let name = registry().name(&name);
    world.pull(&name).unwrap();
    let pod = world.pod();
    let container = pod.idle_with(|config| config.image = spec(&name));
    remove(world, &name).unwrap();
    assert_eq!(status(world, &name), None);
    assert!(container.sh("cat /own").starts_with("content"));
    assert_eq!(container.status().image.unwrap().image, name);
}

fn details_are_given_when_asked(world: &World<'_>) {
    let name = world.image("busybox:1");
    let ask = |verbose| {
        let request = ImageStatusRequest { image: spec(&name), verbose };
        world.client.image_status(request).unwrap().info
    };
    assert!(ask(false).is_empty());
    let info: serde_json::Value = serde_json::from_str(&ask(true)["info"]).unwrap();
    assert!(info.to_string().contains("FROM=image"), "{info}");
}
