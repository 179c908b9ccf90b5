//! Who a container's program is.

use cri::wire::v1::{ContainerConfig, Int64Value, SupplementalGroupsPolicy};

use crate::pod::{Pod, World, security, spec};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(without_a_word_it_is_root),
    story!(the_image_says_who),
    story!(a_number_says_who),
    story!(a_name_says_who),
    story!(a_group_goes_with_a_user),
    story!(a_group_without_a_user_is_refused),
    story!(a_name_that_the_image_does_not_know_is_refused),
    story!(groups_of_the_image_and_of_the_pod_are_merged),
    story!(groups_may_be_those_of_the_pod_alone),
    story!(the_status_says_who),
    story!(a_volume_declared_by_the_image_is_as_the_user_needs_it),
];

/// User, group and all groups of the first process.
const WHO: &str = "id -u; id -g; id -G";

fn who(pod: &Pod<'_>, change: impl FnOnce(&mut ContainerConfig)) -> Vec<String> {
    pod.output(WHO, change).lines().map(str::to_owned).collect()
}

fn number(value: i64) -> Option<Int64Value> {
    Some(Int64Value { value })
}

fn without_a_word_it_is_root(world: &World<'_>) {
    let pod = world.pod();
    assert_eq!(who(&pod, |_| {})[..2], ["0", "0"]);
}

fn the_image_says_who(world: &World<'_>) {
    let pod = world.pod();
    for (name, user, group) in [
        ("user-uid:1", "1002", "0"),
        ("user-name:1", "33", "33"),
        ("user-uid-group:1", "1003", "1004"),
        ("user-name-group:1", "33", "1004"),
    ] {
        let image = world.image(name);
        assert_eq!(who(&pod, |config| config.image = spec(&image))[..2], [user, group], "{name}");
    }
}

fn a_number_says_who(world: &World<'_>) {
    let pod = world.pod();
    // Known to the image, with a group, and not.
    for (user, group) in [(1000, "1000"), (4321, "0")] {
        let found = who(&pod, |config| security(config).run_as_user = number(user));
        assert_eq!(found[..2], [user.to_string().as_str(), group]);
    }
}

fn a_name_says_who(world: &World<'_>) {
    let pod = world.pod();
    let found = who(&pod, |config| security(config).run_as_username = "guest".to_owned());
    assert_eq!(found[..2], ["1000", "1000"]);
    assert_eq!(
        pod.output("echo $HOME", |config| security(config).run_as_username = "guest".to_owned()),
        "/home"
    );
}

fn a_group_goes_with_a_user(world: &World<'_>) {
    let pod = world.pod();
    let found = who(&pod, |config| {
        security(config).run_as_user = number(1000);
        security(config).run_as_group = number(77);
    });
    assert_eq!(found[..2], ["1000", "77"]);
    let found = who(&pod, |config| {
        security(config).run_as_username = "guest".to_owned();
        security(config).run_as_group = number(77);
    });
    assert_eq!(found[..2], ["1000", "77"]);
}

fn a_group_without_a_user_is_refused(world: &World<'_>) {
    let pod = world.pod();
    assert!(pod.try_create("true", |config| security(config).run_as_group = number(77)).is_err());
}

fn a_name_that_the_image_does_not_know_is_refused(world: &World<'_>) {
    let pod = world.pod();
    let made = pod.try_create("true", |config| security(config).run_as_username = "stranger".to_owned());
    assert!(made.and_then(|container| container.start()).is_err());
}

fn groups(pod: &Pod<'_>, world: &World<'_>, policy: SupplementalGroupsPolicy) -> Vec<u32> {
    let image = world.image("groups:1");
    let found = who(pod, |config| {
        config.image = spec(&image);
        security(config).supplemental_groups = vec![60_000, 1234];
        security(config).supplemental_groups_policy = policy.into();
    });
    let mut all: Vec<u32> = found[2].split(' ').map(|group| group.parse().unwrap()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn groups_of_the_image_and_of_the_pod_are_merged(world: &World<'_>) {
    let pod = world.pod();
    assert_eq!(groups(&pod, world, SupplementalGroupsPolicy::Merge), [1000, 1234, 50_000, 60_000]);
}

fn groups_may_be_those_of_the_pod_alone(world: &World<'_>) {
    let pod = world.pod();
    assert_eq!(groups(&pod, world, SupplementalGroupsPolicy::Strict), [1000, 1234, 60_000]);
}

fn the_status_says_who(world: &World<'_>) {
    let image = world.image("groups:1");
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        config.image = spec(&image);
        security(config).supplemental_groups = vec![60_000];
    });
    let user = container.status().user.unwrap().linux.unwrap();
    let mut groups = user.supplemental_groups.clone();
    groups.sort_unstable();
    assert_eq!((user.uid, user.gid, groups), (1000, 1000, vec![1000, 50_000, 60_000]));
}

fn a_volume_declared_by_the_image_is_as_the_user_needs_it(world: &World<'_>) {
    let image = world.image("declared:1");
    let pod = world.pod();
    let printed = pod.output("echo kept > /data/file; cat /data/file", |config| config.image = spec(&image));
    assert_eq!(printed, "kept");
}
