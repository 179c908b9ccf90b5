//! As much of rtnetlink(7) as network devices need: requests that are answered by an acknowledgement, and dumps.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::os::fd::OwnedFd;

/// Requests.
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_GETADDR: u16 = 22;

/// Attributes of a link and of an address.
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_NET_NS_FD: u16 = 28;
pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
pub(crate) const IFA_BROADCAST: u16 = 4;
pub(crate) const IFA_FLAGS: u16 = 8;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE_EXCL: u16 = 0x600;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

/// A socket in the network namespace of whoever opened it.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

/// A request in the making: header, fixed part, attributes.
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// With the fixed part that its kind has.
    pub(crate) fn new(kind: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        let flags = NLM_F_REQUEST
            | match kind {
                RTM_GETADDR => NLM_F_DUMP,
                RTM_NEWADDR => NLM_F_ACK | NLM_F_CREATE_EXCL,
                _ => NLM_F_ACK,
            };
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// Adds an attribute.
    #[must_use]
    pub(crate) fn with(mut self, attribute: u16, value: &[u8]) -> Self {
        // The attributes here are names, addresses and numbers: far below the 64 KiB that the length can say.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&attribute.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// One message of an answer: its fixed part and attributes still encoded.
pub(crate) struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first `N` bytes after the header.
    pub(crate) fn fixed<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.body.first_chunk()
    }

    /// The attributes after a fixed part of this length.
    pub(crate) fn attributes(&self, fixed: usize) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.body.get(fixed..).unwrap_or_default();
        std::iter::from_fn(move || {
            let length = usize::from(u16_at(rest, 0)?);
            let kind = u16_at(rest, 2)? & 0x3fff;
            let value = rest.get(4..length)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }
}

impl Socket {
    /// In the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, Errno> {
        // No protocol is protocol 0, which is NETLINK_ROUTE.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends a request and waits for its acknowledgement.
    pub(crate) fn execute(&mut self, request: Request) -> Result<(), Errno> {
        self.exchange(request, |_| ())
    }

    /// Sends a request and hands every message of the answer to `each`.
    pub(crate) fn exchange(
        &mut self,
        request: Request,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Errno> {
        self.send(request)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (n, _) = retry_on_intr(|| recv(&self.fd, &mut buffer[..], RecvFlags::empty()))?;
            let mut rest = buffer.get(..n).unwrap_or_default();
            while let Some((length, sequence, message)) = first_message(rest) {
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                if sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        return match message.fixed().map(|code| i32::from_ne_bytes(*code)) {
                            Some(0) => Ok(()),
                            Some(code) => Err(Errno::from_raw_os_error(code.saturating_neg())),
                            None => Err(Errno::BADMSG),
                        };
                    }
                    _ => each(&message),
                }
            }
        }
    }

    fn send(&mut self, Request(mut bytes): Request) -> Result<(), Errno> {
        self.sequence += 1;
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::MSGSIZE)?;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        retry_on_intr(|| send(&self.fd, &bytes, SendFlags::empty())).map(|_| ())
    }
}

fn first_message(bytes: &[u8]) -> Option<(usize, u32, Message<'_>)> {
    let length = u32_at(bytes, 0)? as usize;
    let kind = u16_at(bytes, 4)?;
    let sequence = u32_at(bytes, 8)?;
    Some((length, sequence, Message { kind, body: bytes.get(HEADER..length)? }))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_answer_ends_the_iteration() {
        let message = Message { kind: 0, body: &[8, 0, 3, 0, b'l', b'o', 0, 0, 99, 0, 1, 0] };
        assert_eq!(message.attributes(0).collect::<Vec<_>>(), [(3, &b"lo\0\0"[..])]);
        assert!(first_message(&[0; 16]).is_none());
        assert!(first_message(&[1, 2, 3]).is_none());
    }
}
