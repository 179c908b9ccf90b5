//! Makes a NAT network and an endpoint in it, shows what addresses it got, and removes both.
//!
//! ```text
//! cargo run --example network
//! ```

mod host;

use hcs::document::SchemaVersion;
use hcs::documents::network::{
    HostComputeEndpoint, HostComputeNetwork, HostComputeQuery, Ipam, IpamType, NetworkMode, Subnet,
};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let service = host::network_service()?;
    let subnet = Subnet::new().ip_address_prefix("10.0.0.0/24");
    let network = HostComputeNetwork::new()
        .schema_version(SchemaVersion::V2_0)
        .name("example")
        .kind(NetworkMode::Nat)
        .ipams([Ipam::new().kind(IpamType::Static).subnets([subnet])]);
    let network = service.networks().create(None, &network)?;
    let network_id = network.id.ok_or("a network without an id")?;
    println!("network {network_id}");

    let endpoint = HostComputeEndpoint::new()
        .schema_version(SchemaVersion::V2_0)
        .name("example")
        .host_compute_network(network_id.clone());
    let endpoint = service.endpoints().create(None, &endpoint)?;
    let endpoint_id = endpoint.id.ok_or("an endpoint without an id")?;
    for address in endpoint.ip_configurations.unwrap_or_default() {
        println!(
            "endpoint {endpoint_id} {}/{}",
            address.ip_address.unwrap_or_default(),
            address.prefix_length.unwrap_or_default()
        );
    }
    println!("{} endpoints", service.endpoints().enumerate(&HostComputeQuery::all())?.len());

    service.endpoints().delete(&endpoint_id)?;
    service.networks().delete(&network_id)?;
    Ok(())
}
