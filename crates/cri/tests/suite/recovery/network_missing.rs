//! A network that is not configured yet, as on a node whose network is itself a pod.

use std::fs;

use cri::wire::v1::{RuntimeCondition, StatusRequest};

use super::{a_new_pod_runs, remove_everything};
use crate::leftovers::eventually;
use crate::node::Node;
use crate::pod::{World, namespaces};
use crate::story::{Need, Story, alone};

pub(crate) const STORIES: &[Story] = &[alone!(it_says_so_and_takes_it_when_it_comes, Need::Plugins)];

fn condition(world: &World<'_>, kind: &str) -> RuntimeCondition {
    let status = world.client.status(StatusRequest { verbose: false }).unwrap().status.unwrap();
    status.conditions.into_iter().find(|condition| condition.r#type == kind).unwrap()
}

fn it_says_so_and_takes_it_when_it_comes(node: &Node) {
    let (file, away) = (node.path("net.d/10-pods.conflist"), node.path("away"));
    fs::rename(&file, &away).unwrap();
    node.run();
    let world = World::new(node, "network");
    assert!(condition(&world, "RuntimeReady").status);
    let network = condition(&world, "NetworkReady");
    assert!(!network.status && !network.reason.is_empty() && !network.message.is_empty(), "{network:?}");
    let refused = world.try_pod(|config| {
        namespaces(config).network = cri::wire::v1::NamespaceMode::Pod.into();
    });
    assert!(refused.is_err());
    // What brings the network is on the host's.
    let pod = world.pod();
    assert_eq!(pod.idle().sh("echo here"), "here");
    drop(pod);
    remove_everything(node);
    fs::rename(&away, &file).unwrap();
    eventually("the network", || condition(&world, "NetworkReady").status);
    a_new_pod_runs(node);
    remove_everything(node);
}
