//! The pod's network: what is asked of the plugins, and the addresses that they give.

use std::time::Instant;

use ::network::{Attachment, Bandwidth, DnsConfig, PortMapping, Protocol, netns};
use tracing::Instrument as _;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::record::PodRecord;
use crate::spec::Namespaces;
use crate::state::Pod;
use crate::traces::step;
use crate::wire::v1;

/// Refuses what no network could be asked for.
pub(super) fn check(pod: &Pod) -> Result<()> {
    attachment(pod).map(drop)
}

/// Joins the pod to its networks, and notes its addresses.
pub(super) async fn attach(daemon: &Daemon, pod: &Pod) -> Result<()> {
    let attachment = attachment(pod)?;
    let attempted = || format!("set up the network of pod {}", pod.id);
    let begun = Instant::now();
    let attached = daemon.cni.add(&attachment).instrument(step("network.add")).await;
    daemon.figures.network_ends("add", attached.is_ok(), begun.elapsed());
    let attached = attached.attempt(attempted)?;
    if attached.ips.is_empty() {
        return Err(Error::new(Kind::Internal, format!("the network gave pod {} no address", pod.id)));
    }
    pod.change(|record| record.ips = attached.ips.iter().map(ToString::to_string).collect());
    Ok(())
}

/// Takes it off its networks, and removes the namespace. May be repeated.
pub(crate) async fn detach(daemon: &Daemon, pod: &Pod) -> Result<()> {
    let namespaces = pod.with(|record| Namespaces::of(&record.config))?;
    if namespaces.host_network() {
        return Ok(());
    }
    let attempted = || format!("take down the network of pod {}", pod.id);
    let attachment = attachment(pod)?;
    let begun = Instant::now();
    let detached = daemon.cni.del(&attachment).instrument(step("network.del")).await;
    daemon.figures.network_ends("del", detached.is_ok(), begun.elapsed());
    detached.attempt(attempted)?;
    netns::remove(&pod.pins().net()).attempt(attempted)
}

fn attachment(pod: &Pod) -> Result<Attachment> {
    let netns = pod.pins().net();
    pod.with(|record| {
        let config = &record.config;
        let metadata = config.metadata.clone().unwrap_or_default();
        let bandwidth = Bandwidth::of_annotations(&config.annotations.clone().into_iter().collect())
            .attempt_as(Kind::Invalid, || format!("read the bandwidth of pod {}", record.id))?;
        Ok(Attachment {
            id: record.id.clone(),
            netns,
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            port_mappings: port_mappings(record)?,
            bandwidth,
            dns: config.dns_config.as_ref().map(|dns| DnsConfig {
                servers: dns.servers.clone(),
                searches: dns.searches.clone(),
                options: dns.options.clone(),
            }),
            cgroup_path: config
                .linux
                .as_ref()
                .map(|linux| linux.cgroup_parent.clone())
                .filter(|path| !path.is_empty()),
            annotations: config.annotations.clone().into_iter().collect(),
            ..Attachment::default()
        })
    })
}

/// The ports of the host that lead into the pod.
fn port_mappings(record: &PodRecord) -> Result<Vec<PortMapping>> {
    let mapped = record.config.port_mappings.iter().filter(|mapping| mapping.host_port > 0);
    mapped
        .map(|mapping| {
            let port = |value: i32, field: &str| {
                u16::try_from(value).map_err(|_| Error::invalid(format!("port_mappings.{field} is {value}")))
            };
            Ok(PortMapping {
                host_port: port(mapping.host_port, "host_port")?,
                container_port: port(mapping.container_port, "container_port")?,
                protocol: match mapping.protocol() {
                    v1::Protocol::Tcp => Protocol::Tcp,
                    v1::Protocol::Udp => Protocol::Udp,
                    v1::Protocol::Sctp => Protocol::Sctp,
                },
                host_ip: mapping.host_ip.clone(),
            })
        })
        .collect()
}
