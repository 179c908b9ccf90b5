//! What addresses and policies must be like, and which addresses are free.

use crate::document::Document;
use crate::documents::network::{
    EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNetwork,
    IpConfig, NetworkPolicy, NetworkPolicyType, PortMappingPolicySetting, Protocol,
};
use crate::hresult::HResult;
use std::net::IpAddr;

type Refused<T> = Result<T, HResult>;

/// A subnet: its address and length, and the addresses in it that nobody gets.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    first: u128,
    length: u8,
    v6: bool,
    reserved: Vec<IpAddr>,
}

impl Prefix {
    /// `192.168.100.0/24`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
        let v6 = address.is_ipv6();
        let prefix = Self { first: 0, length, v6, reserved: Vec::new() };
        if length > prefix.width() {
            return None;
        }
        Some(Self { first: number(address) & !prefix.hosts(), ..prefix })
    }

    pub(super) fn length(&self) -> u8 {
        self.length
    }

    fn width(&self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    /// The bits that tell hosts apart.
    fn hosts(&self) -> u128 {
        match self.width() - self.length {
            128 => u128::MAX,
            bits => (1 << bits) - 1,
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.v6 && number(address) & !self.hosts() == self.first
    }

    /// The address of the subnet, of all hosts in it, and of its gateways.
    pub(super) fn is_reserved(&self, address: IpAddr) -> bool {
        let host = number(address) & self.hosts();
        self.contains(address) && (host == 0 || host == self.hosts() || self.reserved.contains(&address))
    }

    /// The lowest address that is neither taken nor reserved.
    pub(super) fn free(&self, taken: &[IpAddr]) -> Option<IpAddr> {
        let candidates = (1..self.hosts()).map(|host| self.address(self.first | host));
        candidates.into_iter().find(|address| !taken.contains(address) && !self.is_reserved(*address))
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if !self.v6 => IpAddr::V4(number.into()),
            Ok(_) | Err(_) => IpAddr::V6(number.into()),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The subnets of a network.
pub(super) fn prefixes(network: &HostComputeNetwork) -> Refused<Vec<Prefix>> {
    let subnets = network.ipams.iter().flatten().flat_map(|ipam| ipam.subnets.iter().flatten());
    subnets
        .map(|subnet| {
            let text = subnet.ip_address_prefix.as_deref().ok_or(HResult::HCN_E_INVALID_SUBNET)?;
            let mut prefix = Prefix::parse(text).ok_or(HResult::HCN_E_INVALID_PREFIX)?;
            for route in subnet.routes.iter().flatten() {
                let gateway = route.next_hop.as_deref().unwrap_or_default();
                prefix.reserved.push(gateway.parse().map_err(|_| HResult::HCN_E_INVALID_IP)?);
            }
            Ok(prefix)
        })
        .collect()
}

/// The addresses of an endpoint.
pub(super) fn addresses(endpoint: &HostComputeEndpoint) -> Vec<IpAddr> {
    let configurations = endpoint.ip_configurations.as_deref().unwrap_or_default();
    addresses_of(configurations).unwrap_or_default()
}

pub(super) fn addresses_of(configurations: &[IpConfig]) -> Refused<Vec<IpAddr>> {
    let texts =
        configurations.iter().map(|configuration| configuration.ip_address.as_deref().unwrap_or_default());
    texts.map(|text| text.parse().map_err(|_| HResult::HCN_E_INVALID_IP)).collect()
}

/// A MAC address of the network's pool that nobody has, or of the range that Hyper-V uses where it has none.
pub(super) fn free_mac(network: &HostComputeNetwork, taken: &[&str]) -> Refused<String> {
    let end = |text: &Option<String>| text.as_deref().and_then(parse_mac);
    let ranges = network.mac_pool.iter().flat_map(|pool| pool.ranges.iter().flatten());
    let ranges = ranges.map(|range| Some((end(&range.start_mac_address)?, end(&range.end_mac_address)?)));
    let mut ranges: Vec<(u64, u64)> = ranges.collect::<Option<_>>().ok_or(HResult::HCN_E_INVALID_NETWORK)?;
    if ranges.is_empty() {
        ranges.push((0x0015_5D00_0000, 0x0015_5DFF_FFFF));
    }
    let mut all = ranges.into_iter().flat_map(|(first, last)| first..=last).map(write_mac);
    all.find(|mac| !taken.iter().any(|taken| taken.eq_ignore_ascii_case(mac)))
        .ok_or(HResult::HCN_E_DEGRADED_OPERATION)
}

fn parse_mac(text: &str) -> Option<u64> {
    let digits: String = text.split('-').collect();
    u64::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 12)
}

fn write_mac(number: u64) -> String {
    let [_, _, bytes @ ..] = number.to_be_bytes();
    bytes.map(|byte| format!("{byte:02X}")).join("-")
}

/// The policy's type is one of an endpoint, and what it asks of the host is free.
pub(super) fn check_endpoint_policy(policy: &EndpointPolicy, others: &[&EndpointPolicy]) -> Refused<()> {
    match &policy.kind {
        Some(EndpointPolicyType::PortMapping) => {
            let mapping = mapping(policy)?;
            if mapping.internal_port == Some(0) || mapping.internal_port.is_none() {
                return Err(HResult::HCN_E_INVALID_INTERNAL_PORT);
            }
            let same = |other: &PortMappingPolicySetting| {
                other.external_port == mapping.external_port && other.protocol == mapping.protocol
            };
            let taken = others.iter().filter(|other| other.kind == policy.kind);
            match taken.filter_map(|other| self::mapping(other).ok()).any(|other| same(&other)) {
                true => Err(HResult::HCN_E_PORT_ALREADY_EXISTS),
                false => Ok(()),
            }
        }
        Some(EndpointPolicyType::Other(_)) | None => Err(HResult::HCN_E_INVALID_POLICY_TYPE),
        Some(_) => Ok(()),
    }
}

fn mapping(policy: &EndpointPolicy) -> Refused<PortMappingPolicySetting> {
    let settings = policy.settings.clone().ok_or(HResult::HCN_E_INVALID_POLICY)?;
    PortMappingPolicySetting::from_value(settings).map_err(|_| HResult::HCN_E_INVALID_POLICY)
}

/// The policy's type is one of a network.
pub(super) fn check_network_policy(policy: &NetworkPolicy) -> Refused<()> {
    match &policy.kind {
        Some(NetworkPolicyType::Other(_)) | None => Err(HResult::HCN_E_INVALID_POLICY_TYPE),
        Some(_) => Ok(()),
    }
}

/// An address, protocol and port that a load balancer answers on.
pub(super) type Frontend = (String, u64, u16);

pub(super) fn frontends(balancer: &HostComputeLoadBalancer) -> Vec<Frontend> {
    let mut frontends = Vec::new();
    for vip in balancer.frontend_vips.iter().flatten() {
        for mapping in balancer.port_mappings.iter().flatten() {
            let protocol = mapping.protocol.as_ref().map_or(0, Protocol::number);
            frontends.push((vip.clone(), protocol, mapping.external_port.unwrap_or(0)));
        }
    }
    frontends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap_or_else(|| panic!("{text} is a prefix"))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_prefix_knows_its_addresses() {
        let v4 = prefix("192.168.100.9/24");
        assert!(v4.contains(address("192.168.100.255")) && !v4.contains(address("192.168.101.0")));
        assert!(v4.is_reserved(address("192.168.100.0")) && v4.is_reserved(address("192.168.100.255")));
        assert_eq!(v4.free(&[address("192.168.100.1")]), Some(address("192.168.100.2")));
        let v6 = prefix("fd00::/64");
        assert!(v6.contains(address("fd00::5")) && !v6.contains(address("fd01::5")));
        assert!(!v6.contains(address("192.168.100.1")), "the families do not mix");
        assert_eq!(v6.free(&[]), Some(address("fd00::1")));
        assert!(prefix("::/0").contains(address("fd00::5")));
        assert_eq!(prefix("10.0.0.4/32").free(&[]), None);
        assert_eq!(prefix("10.0.0.4/30").free(&[address("10.0.0.5"), address("10.0.0.6")]), None);
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "/24", "10.0.0.0/", "ten/8", "10.0.0.0/-1"] {
            assert!(Prefix::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn mac_addresses_are_written_as_they_are_read() {
        assert_eq!(parse_mac("00-15-5D-52-C0-00").map(write_mac).as_deref(), Some("00-15-5D-52-C0-00"));
        assert_eq!((parse_mac("00-15-5D"), parse_mac("00-15-5D-52-C0-0G")), (None, None));
    }
}
