//! The pod's network: addresses, ports, names.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use cri::wire::v1::{DnsConfig, NamespaceMode, PortMapping, Protocol};

use crate::leftovers::eventually;
use crate::pod::{World, namespaces};
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_pod_has_an_address_of_either_kind, Need::Plugins),
    story!(containers_of_a_pod_reach_each_other_at_localhost, Need::Plugins),
    story!(pods_reach_each_other, Need::Plugins),
    story!(a_stopped_pod_gives_up_its_address, Need::Plugins),
    story!(a_port_of_the_host_leads_into_a_pod, Need::Plugins, Need::Nat),
    story!(a_pod_on_the_host_s_network_has_no_address_of_its_own),
    story!(names_are_resolved_as_the_pod_says, Need::Plugins),
    story!(without_a_word_names_are_resolved_as_on_the_host, Need::Plugins),
    story!(a_port_mapping_that_makes_no_sense_is_refused, Need::Plugins),
];

/// What a server in a container says.
const SERVER: &str = "while :; do echo hello | nc -l -p 8080; done";

fn hear(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

fn a_pod_has_an_address_of_either_kind(world: &World<'_>) {
    let pod = world.networked();
    let network = pod.status().network.unwrap();
    assert!(network.ip.parse::<IpAddr>().unwrap().is_ipv4(), "{network:?}");
    let [second] = network.additional_ips.as_slice() else { panic!("{network:?}") };
    assert!(second.ip.parse::<IpAddr>().unwrap().is_ipv6(), "{network:?}");
    let shown = pod.idle().sh("ip address show eth0");
    assert!(shown.contains(&network.ip) && shown.contains(&second.ip), "{shown}");
    let _server = pod.start(SERVER);
    let address = SocketAddr::new(network.ip.parse().unwrap(), 8080);
    eventually("an answer from outside", || hear(address).as_deref() == Some("hello\n"));
}

fn containers_of_a_pod_reach_each_other_at_localhost(world: &World<'_>) {
    let pod = world.networked();
    let _server = pod.start(SERVER);
    let client = pod.idle();
    eventually("an answer at localhost", || {
        client.exec(&["nc", "-w", "2", "127.0.0.1", "8080"], 5).is_ok_and(|said| said.stdout == b"hello\n")
    });
}

fn pods_reach_each_other(world: &World<'_>) {
    let (one, other) = (world.networked(), world.networked());
    let _server = one.start(SERVER);
    let client = other.idle();
    let address = one.status().network.unwrap().ip;
    assert_ne!(address, other.status().network.unwrap().ip);
    eventually("an answer of the other pod", || {
        client.exec(&["nc", "-w", "2", &address, "8080"], 5).is_ok_and(|said| said.stdout == b"hello\n")
    });
}

fn a_stopped_pod_gives_up_its_address(world: &World<'_>) {
    let pod = world.networked();
    let network = pod.status().network.unwrap();
    world.stop_pod(&pod.id).unwrap();
    let leases = world.node.leases();
    assert!(!leases.contains(&network.ip), "{leases:?}");
}

fn a_port_of_the_host_leads_into_a_pod(world: &World<'_>) {
    let port =
        20_000 + i32::try_from(std::process::id() % 10_000).unwrap() + i32::from(world.node.kind as u8);
    let pod = world.pod_with(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        config.port_mappings = vec![PortMapping {
            protocol: Protocol::Tcp.into(),
            container_port: 8080,
            host_port: port,
            host_ip: String::new(),
        }];
    });
    let _server = pod.start(SERVER);
    let port = u16::try_from(port).unwrap();
    let addresses = ["198.18.0.1", "127.0.0.1"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
    for address in addresses {
        eventually(&format!("an answer at {address}"), || hear(address).as_deref() == Some("hello\n"));
    }
    world.stop_pod(&pod.id).unwrap();
    assert_eq!(hear(addresses[0]), None);
}

fn a_pod_on_the_host_s_network_has_no_address_of_its_own(world: &World<'_>) {
    let network = world.pod().status().network.unwrap_or_default();
    assert!(network.ip.is_empty() && network.additional_ips.is_empty(), "{network:?}");
}

fn names_are_resolved_as_the_pod_says(world: &World<'_>) {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    let pod = world.pod_with(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        config.dns_config = Some(DnsConfig {
            servers: words("10.0.0.10 10.0.0.11"),
            searches: words("one.test two.test"),
            options: words("ndots:5 edns0"),
        });
    });
    let text = pod.idle().sh("cat /etc/resolv.conf");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["nameserver 10.0.0.10", "nameserver 10.0.0.11", "options ndots:5 edns0", "search one.test two.test"]
    );
}

fn without_a_word_names_are_resolved_as_on_the_host(world: &World<'_>) {
    let pod = world.networked();
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(pod.idle().sh("cat /etc/resolv.conf"), host.trim());
}

fn a_port_mapping_that_makes_no_sense_is_refused(world: &World<'_>) {
    let refused = world.try_pod(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        config.port_mappings =
            vec![PortMapping { host_port: 70_000, container_port: 80, ..Default::default() }];
    });
    assert!(refused.is_err());
}
