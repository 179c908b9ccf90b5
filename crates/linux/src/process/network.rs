//! What a new network namespace needs: its loopback interface up, and the devices that the specification moves in.

use super::error::Error;
use super::netlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_FLAGS, IFA_LOCAL, IFLA_IFNAME, IFLA_NET_NS_FD, Message, RTM_GETADDR,
    RTM_NEWADDR, RTM_NEWLINK, Request, Socket,
};
use oci_spec::runtime::LinuxNetDevice;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A device of the host that becomes the container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container.
    pub container: String,
}

const IFF_UP: u32 = 1;
/// Loopback is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
/// `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// Checks the names as the kernel would.
pub(crate) fn plan(wanted: &HashMap<String, LinuxNetDevice>) -> Result<Vec<NetDevice>, Error> {
    let mut devices = Vec::with_capacity(wanted.len());
    for (host, device) in wanted {
        let container = device.name().as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
        for name in [host.as_str(), container] {
            let valid = (1..16).contains(&name.len())
                && !matches!(name, "." | "..")
                && !name.contains(|c: char| matches!(c, '/' | ':' | '\0') || c.is_ascii_whitespace());
            if !valid {
                return Err(Error::invalid(format!("invalid network device name {name:?}")));
            }
        }
        devices.push(NetDevice { host: host.clone(), container: container.to_owned() });
    }
    devices.sort_unstable_by(|a, b| a.host.cmp(&b.host));
    if let Some(pair) = devices
        .iter()
        .enumerate()
        .find_map(|(i, a)| devices.iter().skip(i + 1).find(|b| b.container == a.container).map(|b| (a, b)))
    {
        let (a, b) = pair;
        return Err(Error::invalid(format!(
            "linux.netDevices: {:?} and {:?} would both be named {:?}",
            a.host, b.host, a.container
        )));
    }
    Ok(devices)
}

/// Brings loopback up in the calling process's network namespace.
pub fn loopback_up() -> Result<(), Error> {
    Socket::open().and_then(|mut socket| set_up(&mut socket, LOOPBACK)).map_err(Error::system("set lo up"))
}

/// Moves devices of the calling thread's network namespace into another one: down, moved and renamed in one step (so
/// that neither name can be taken meanwhile), with the permanent addresses of global scope that the kernel takes away,
/// and up. The calling thread visits the other namespace for a moment.
pub fn move_devices(devices: &[NetDevice], container: BorrowedFd<'_>) -> Result<(), Error> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut here = Socket::open().map_err(Error::system("open a netlink socket"))?;
    let mut there = socket_in(container)?;
    devices.iter().try_for_each(|device| move_device(device, container, &mut here, &mut there))
}

fn move_device(
    NetDevice { host, container: name }: &NetDevice,
    container: BorrowedFd<'_>,
    here: &mut Socket,
    there: &mut Endpoint,
) -> Result<(), Error> {
    let index = index_of(host)
        .map_err(Error::system(format!("link not found for interface {host} on runtime namespace")))?;
    // Before it goes down, which takes its IPv6 addresses away.
    let addresses =
        addresses_of(here, index).map_err(Error::system(format!("get ip addresses of {host}")))?;
    here.execute(link(index, 0, IFF_UP)).map_err(Error::system(format!("set {host} down")))?;

    let mut zero_terminated = name.clone().into_bytes();
    zero_terminated.push(0);
    let request = link(index, 0, 0)
        .with(IFLA_IFNAME, &zero_terminated)
        .with(IFLA_NET_NS_FD, &container.as_raw_fd().to_ne_bytes());
    here.execute(request)
        .map_err(Error::system(format!("move network device {host} to the container as {name}")))?;

    let index = there
        .index_of(name)
        .map_err(Error::system(format!("link not found for interface {name} in the container")))?;
    for address in addresses {
        there
            .socket
            .execute(address.request(index))
            .map_err(Error::system(format!("set up an address of {name} in the container")))?;
    }
    set_up(&mut there.socket, index)
        .map_err(Error::system(format!("set up interface {name} in the container")))
}

/// What works in the container's namespace from outside: sockets stay in the namespace they were made in.
struct Endpoint {
    socket: Socket,
    /// For questions by ioctl(2).
    datagram: std::os::fd::OwnedFd,
}

impl Endpoint {
    fn open() -> Result<Self, Errno> {
        Ok(Self { socket: Socket::open()?, datagram: datagram_socket()? })
    }

    fn index_of(&self, name: &str) -> Result<u32, Errno> {
        name_to_index(&self.datagram, name)
    }
}

fn socket_in(namespace: BorrowedFd<'_>) -> Result<Endpoint, Error> {
    let home = openat(CWD, "/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::system("open the runtime's network namespace"))?;
    let enter = |namespace| move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network));
    enter(namespace).map_err(Error::system("enter the container's network namespace"))?;
    let endpoint = Endpoint::open();
    enter(std::os::fd::AsFd::as_fd(&home))
        .map_err(Error::system("return to the runtime's network namespace"))?;
    endpoint.map_err(Error::system("open a netlink socket in the container"))
}

fn datagram_socket() -> Result<std::os::fd::OwnedFd, Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

fn index_of(name: &str) -> Result<u32, Errno> {
    name_to_index(datagram_socket()?, name)
}

/// An address to be put on the device again.
struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Nothing but what was configured by somebody and means something elsewhere: addresses from a protocol and those
    /// of link or host scope stay behind. The label names the old device, so it does too.
    fn portable(message: &Message<'_>, device: u32) -> Option<Self> {
        let [family, prefix, flags, scope, index @ ..] = *message.fixed::<ADDRESS_HEADER>()?;
        if u32::from_ne_bytes(index) != device || scope != RT_SCOPE_UNIVERSE {
            return None;
        }
        let mut all_flags = u32::from(flags);
        let mut attributes = Vec::new();
        for (kind, value) in message.attributes(ADDRESS_HEADER) {
            match kind {
                IFA_FLAGS => all_flags = u32::from_ne_bytes(*value.first_chunk()?),
                IFA_LOCAL | IFA_ADDRESS | IFA_BROADCAST => attributes.push((kind, value.to_vec())),
                _ => {}
            }
        }
        (all_flags & IFA_F_PERMANENT != 0).then_some(Self { family, prefix, attributes })
    }

    fn request(&self, device: u32) -> Request {
        let [a, b, c, d] = device.to_ne_bytes();
        let fixed = [self.family, self.prefix, 0, RT_SCOPE_UNIVERSE, a, b, c, d];
        self.attributes
            .iter()
            .fold(Request::new(RTM_NEWADDR, &fixed), |request, (kind, value)| request.with(*kind, value))
    }
}

fn addresses_of(socket: &mut Socket, device: u32) -> Result<Vec<Address>, Errno> {
    let mut addresses = Vec::new();
    socket.exchange(Request::new(RTM_GETADDR, &[0; ADDRESS_HEADER]), |message| {
        addresses.extend(Address::portable(message, device));
    })?;
    Ok(addresses)
}

fn set_up(socket: &mut Socket, device: u32) -> Result<(), Errno> {
    socket.execute(link(device, IFF_UP, IFF_UP))
}

/// A request that sets those of `flags` that are in `mask`.
fn link(device: u32, flags: u32, mask: u32) -> Request {
    let mut fixed = [0; LINK_HEADER];
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&mask.to_ne_bytes());
    Request::new(RTM_NEWLINK, &fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(json: &str) -> Result<Vec<NetDevice>, String> {
        plan(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_checked_as_the_kernel_does() {
        assert_eq!(
            devices(r#"{"eth1":{"name":"c0"},"eth0":{}}"#).unwrap(),
            [("eth0", "eth0"), ("eth1", "c0")].map(|(host, container)| NetDevice {
                host: host.to_owned(),
                container: container.to_owned()
            })
        );
        for json in
            [r#"{"":{}}"#, r#"{"a/b":{}}"#, r#"{"a b":{}}"#, r#"{"..":{}}"#, r#"{"0123456789abcdef":{}}"#]
        {
            assert!(devices(json).unwrap_err().starts_with("invalid network device name"), "{json}");
        }
        assert!(
            devices(r#"{"a":{"name":"x"},"b":{"name":"x"}}"#).unwrap_err().contains("would both be named")
        );
    }
}
