//! Frames between the runtime and init: a length, a JSON message, and the descriptors that go with it.

use compute::{Error, Kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The kernel takes at most 253 descriptors at once (SCM_MAX_FD).
const FDS_AT_ONCE: usize = 200;
/// An argument list or environment cannot be larger than a few MiB (MAX_ARG_STRLEN, the stack's quarter).
const MAX_FRAME: usize = 64 << 20;
const HEADER: usize = 8;

/// What went wrong on the socket itself.
pub(crate) enum Lost {
    /// The other side closed it, or died.
    Closed,
    /// Anything else.
    Broken(Error),
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed => Error::new(Kind::Internal, "the other side went away"),
            Lost::Broken(error) => error,
        }
    }
}

/// Sends a message with descriptors.
pub(crate) fn send<T: Serialize>(socket: impl AsFd, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), Lost> {
    send_bytes(socket, &encode(message)?, fds)
}

/// Sends bytes as they are, with descriptors.
pub(crate) fn send_bytes(socket: impl AsFd, body: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Lost> {
    let socket = socket.as_fd();
    let frame = frame(body, fds.len());
    // The first descriptors ride on the frame, more on one byte each batch behind it.
    let (first, more) = fds.split_at(fds.len().min(FDS_AT_ONCE));
    let sent = send_some(socket, &frame, first)?;
    let mut rest = &frame[sent..];
    while !rest.is_empty() {
        rest = &rest[send_some(socket, rest, &[])?..];
    }
    for batch in more.chunks(FDS_AT_ONCE) {
        send_some(socket, &[0], batch)?;
    }
    Ok(())
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Lost> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_AT_ONCE))];
    loop {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => return Ok(sent),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(Lost::Closed),
            Err(cause) => {
                return Err(Lost::Broken(Error::io("send a message between runtime and init", cause)));
            }
        }
    }
}

/// Sends a message by write(2) alone.
pub(crate) fn write_plainly<T: Serialize>(socket: impl AsFd, message: &T) -> Result<(), Lost> {
    let body = encode(message)?;
    let frame = frame(&body, 0);
    let mut rest = frame.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(&socket, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(Lost::Closed),
            Err(cause) => return Err(Lost::Broken(Error::io("write to the runtime", cause))),
        }
    }
    Ok(())
}

/// Receives a message by read(2) alone.
pub(crate) fn read_plainly<T: DeserializeOwned>(socket: impl AsFd) -> Result<T, Lost> {
    let mut header = [0; HEADER];
    read_exactly(&socket, &mut header)?;
    let (length, _) = lengths(header)?;
    let mut body = vec![0; length];
    read_exactly(&socket, &mut body)?;
    decode(&body)
}

fn read_exactly(socket: impl AsFd, mut into: &mut [u8]) -> Result<(), Lost> {
    while !into.is_empty() {
        match rustix::io::read(&socket, &mut *into) {
            Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Err(Lost::Closed),
            Ok(read) => into = into.get_mut(read..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Lost::Broken(Error::io("read from the runtime", cause))),
        }
    }
    Ok(())
}

fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Lost> {
    serde_json::to_vec(message).map_err(|cause| {
        Lost::Broken(Error::new(Kind::Internal, format!("encode a message for init: {cause}")))
    })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Lost> {
    serde_json::from_slice(body).map_err(|cause| {
        Lost::Broken(Error::new(
            Kind::Internal,
            format!("decode a message between runtime and init: {cause}"),
        ))
    })
}

/// Two words, the length and the number of descriptors, then the message.
fn frame(body: &[u8], fds: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_ne_bytes());
    frame.extend_from_slice(&(fds as u32).to_ne_bytes());
    frame.extend_from_slice(body);
    frame
}

fn lengths(header: [u8; HEADER]) -> Result<(usize, usize), Lost> {
    let [a, b, c, d, e, f, g, h] = header;
    let length = u32::from_ne_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME {
        return Err(Lost::Broken(Error::new(
            Kind::Internal,
            format!("a message of {length} bytes is too long"),
        )));
    }
    Ok((length, u32::from_ne_bytes([e, f, g, h]) as usize))
}

/// Receives a message with its descriptors.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<(T, Vec<OwnedFd>), Lost> {
    let (body, fds) = receive_bytes(socket)?;
    Ok((decode(&body)?, fds))
}

/// Receives bytes with their descriptors.
pub(crate) fn receive_bytes(socket: impl AsFd) -> Result<(Vec<u8>, Vec<OwnedFd>), Lost> {
    let socket = socket.as_fd();
    let mut fds = Vec::new();
    let mut header = [0; HEADER];
    receive_exactly(socket, &mut header, &mut fds)?;
    let (length, count) = lengths(header)?;
    let mut body = vec![0; length];
    receive_exactly(socket, &mut body, &mut fds)?;
    while fds.len() < count {
        let before = fds.len();
        receive_exactly(socket, &mut [0], &mut fds)?;
        if fds.len() == before {
            return Err(Lost::Broken(Error::new(
                Kind::Internal,
                format!(
                    "a message came with {before} of its {count} descriptors (is RLIMIT_NOFILE reached?)"
                ),
            )));
        }
    }
    Ok((body, fds))
}

fn receive_exactly(socket: BorrowedFd<'_>, mut into: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<(), Lost> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_AT_ONCE))];
    while !into.is_empty() {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(socket, &mut [IoSliceMut::new(into)], &mut control, flags) {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CONNRESET) => return Err(Lost::Closed),
            Err(cause) => {
                return Err(Lost::Broken(Error::io("receive a message between runtime and init", cause)));
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if received == 0 {
            return Err(Lost::Closed);
        }
        into = &mut into[received..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_and_many_descriptors_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let files: Vec<std::fs::File> = (0..450).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let sender = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                send(&here, &vec!["x".repeat(1 << 20)], &fds).is_ok()
                    && send(&here, &7, &[]).is_ok()
                    && send_bytes(&here, b"raw", &fds[..1]).is_ok()
            });
            let (text, received): (Vec<String>, _) =
                receive(&there).unwrap_or_else(|_| panic!("first frame"));
            assert_eq!((text[0].len(), received.len()), (1 << 20, 450));
            let (number, none): (u32, _) = receive(&there).unwrap_or_else(|_| panic!("second frame"));
            assert_eq!((number, none.len()), (7, 0));
            let (raw, one) = receive_bytes(&there).unwrap_or_else(|_| panic!("third frame"));
            assert_eq!((raw.as_slice(), one.len()), (&b"raw"[..], 1));
            sender.join().unwrap()
        });
        assert!(sender);
        drop(here);
        assert!(matches!(receive::<u32>(&there), Err(Lost::Closed)));
    }
}
