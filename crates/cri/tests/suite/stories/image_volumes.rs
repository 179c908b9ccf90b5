//! Images as volumes.

use cri::wire::v1::Mount;

use crate::pod::{Container, Pod, World, fresh, spec};
use crate::registry::registry;
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(an_image_is_a_volume),
    story!(a_folder_of_an_image_is_a_volume),
    story!(a_file_of_an_image_is_a_volume),
    story!(a_path_that_the_image_has_not_is_refused),
    story!(a_path_out_of_the_image_is_refused),
    story!(an_image_that_is_not_there_is_refused),
    story!(two_containers_have_the_same_image_as_a_volume),
];

fn volume(world: &World<'_>, sub_path: &str) -> Mount {
    Mount {
        container_path: "/volume".to_owned(),
        image: spec(&world.image("volume:1")),
        image_sub_path: sub_path.to_owned(),
        readonly: true,
        ..Mount::default()
    }
}

fn idle<'p>(pod: &'p Pod<'_>, mount: Mount) -> Container<'p> {
    pod.idle_with(|config| config.mounts = vec![mount])
}

fn an_image_is_a_volume(world: &World<'_>) {
    let pod = world.pod();
    let container = idle(&pod, volume(world, ""));
    assert_eq!(container.sh("cat /volume/conf/a /volume/single"), "uppersingle");
    assert!(!container.succeeds("test -e /volume/conf/gone"));
    assert!(!container.succeeds("echo x > /volume/x"));
}

fn a_folder_of_an_image_is_a_volume(world: &World<'_>) {
    let pod = world.pod();
    let container = idle(&pod, volume(world, "conf"));
    assert_eq!(container.sh("cat /volume/a /volume/deep/file; ls /volume"), "upperdeepa\ndeep");
    assert!(!container.succeeds("echo x > /volume/x"));
    assert_eq!(idle(&pod, volume(world, "conf/deep")).sh("ls /volume"), "file");
}

fn a_file_of_an_image_is_a_volume(world: &World<'_>) {
    let pod = world.pod();
    let container = idle(&pod, volume(world, "conf/deep/file"));
    assert_eq!(container.sh("cat /volume"), "deep");
    assert!(!container.succeeds("echo x > /volume"));
}

/// The kubelet looks for this word.
const FAILED: &str = "ImageVolumeMountFailed";

fn a_path_that_the_image_has_not_is_refused(world: &World<'_>) {
    let pod = world.pod();
    for path in ["no/such/path", "conf/gone"] {
        let made = pod.try_create("true", |config| config.mounts = vec![volume(world, path)]);
        let refused = made.and_then(|container| container.start()).unwrap_err();
        assert!(refused.message().contains(FAILED), "{}", refused.message());
    }
}

fn a_path_out_of_the_image_is_refused(world: &World<'_>) {
    let pod = world.pod();
    for path in ["../etc", "conf/../../etc", "/etc", "outside/hostname"] {
        let made = pod.try_create("sleep 1000", |config| config.mounts = vec![volume(world, path)]);
        assert!(made.and_then(|container| container.start()).is_err(), "{path}");
    }
}

fn an_image_that_is_not_there_is_refused(world: &World<'_>) {
    let pod = world.pod();
    let absent = registry().name(&format!("{}:1", fresh("absent")));
    let mount = Mount { image: spec(&absent), ..volume(world, "") };
    let made = pod.try_create("true", |config| config.mounts = vec![mount]);
    assert!(made.and_then(|container| container.start()).is_err());
}

fn two_containers_have_the_same_image_as_a_volume(world: &World<'_>) {
    let pod = world.pod();
    let [one, other] = [idle(&pod, volume(world, "")), idle(&pod, volume(world, "conf"))];
    one.remove().unwrap();
    assert_eq!(other.sh("cat /volume/a"), "upper");
}
