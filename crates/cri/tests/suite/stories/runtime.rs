//! The runtime as a whole: what the kubelet asks before it asks for any pod.

use cri::wire::v1::{
    CgroupDriver, NetworkConfig, RuntimeConfig, RuntimeConfigRequest, StatusRequest,
    UpdateRuntimeConfigRequest, VersionRequest,
};

use crate::pod::World;
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(the_version_is_the_one_that_the_kubelet_insists_on),
    story!(it_is_ready_and_so_is_its_network, Need::Plugins),
    story!(handlers_and_features_are_listed),
    story!(it_shows_its_configuration_when_asked),
    story!(it_names_the_cgroup_driver_and_stays_with_it),
    story!(it_is_told_the_range_of_pod_addresses),
];

fn the_version_is_the_one_that_the_kubelet_insists_on(world: &World<'_>) {
    for asked in ["", "0.1.0"] {
        let version = world.client.version(VersionRequest { version: asked.to_owned() }).unwrap();
        assert_eq!(version.version, "0.1.0");
        assert_eq!(version.runtime_api_version, "v1");
        assert!(!version.runtime_name.is_empty());
        let number = version.runtime_version.trim_start_matches('v');
        assert!(
            number.split('.').count() >= 3 && number.starts_with(|c: char| c.is_ascii_digit()),
            "{number}"
        );
    }
}

fn it_is_ready_and_so_is_its_network(world: &World<'_>) {
    let status = world.client.status(StatusRequest { verbose: false }).unwrap().status.unwrap();
    for kind in ["RuntimeReady", "NetworkReady"] {
        let condition = status.conditions.iter().find(|condition| condition.r#type == kind).unwrap();
        assert!(condition.status, "{condition:?}");
    }
}

fn handlers_and_features_are_listed(world: &World<'_>) {
    let status = world.client.status(StatusRequest { verbose: false }).unwrap();
    let default = status.runtime_handlers.iter().find(|handler| handler.name.is_empty());
    let features = default.expect("the default handler, by the empty name").features.unwrap();
    assert!(features.recursive_read_only_mounts && features.user_namespaces, "{features:?}");
    assert!(status.runtime_handlers.iter().any(|handler| !handler.name.is_empty()));
    assert!(status.features.unwrap().supplemental_groups_policy);
}

fn it_shows_its_configuration_when_asked(world: &World<'_>) {
    let brief = world.client.status(StatusRequest { verbose: false }).unwrap();
    assert!(brief.info.is_empty(), "{:?}", brief.info);
    let verbose = world.client.status(StatusRequest { verbose: true }).unwrap();
    let config: serde_json::Value = serde_json::from_str(&verbose.info["config"]).unwrap();
    assert!(config.is_object());
}

fn it_names_the_cgroup_driver_and_stays_with_it(world: &World<'_>) {
    let ask = || world.client.runtime_config(RuntimeConfigRequest {}).unwrap().linux.unwrap();
    let first = ask();
    assert!(CgroupDriver::try_from(first.cgroup_driver).is_ok());
    assert_eq!(ask(), first);
}

fn it_is_told_the_range_of_pod_addresses(world: &World<'_>) {
    for range in ["", "10.88.0.0/16", "10.88.0.0/16,fd00:88::/64"] {
        let network_config = Some(NetworkConfig { pod_cidr: range.to_owned() });
        let runtime_config = Some(RuntimeConfig { network_config });
        world.client.update_runtime_config(UpdateRuntimeConfigRequest { runtime_config }).unwrap();
    }
    world.client.update_runtime_config(UpdateRuntimeConfigRequest { runtime_config: None }).unwrap();
}
