//! What lies on a plugin's socket: the frames of a multiplexer, and in them the messages of ttrpc.
//!
//! ```text
//! frame    connection (4)  length (4)  payload
//! message  length (4)  stream (4)  kind (1)  flags (1)  body
//! ```
//! All numbers are big endian. Connections are not opened or closed: both sides know the two that there are. A message may
//! lie in any number of frames.
//!
//! Which frames are written matters to plugins in Go, and is why ttrpc is spoken here and not by a library over a stream:
//! their multiplexer gives a frame to one read, which at the start of a message has room for 4,096 bytes and for the rest
//! of the message afterwards, and gives up the connection when 256 frames wait. So a message is at most two frames.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Calls of the runtime, which the plugin serves.
pub(crate) const PLUGIN: u32 = 1;
/// Calls of the plugin, which the runtime serves.
pub(crate) const RUNTIME: u32 = 2;

/// The longest body of a message, as ttrpc has it everywhere.
pub(crate) const MAX_BODY: usize = 4 << 20;

const FRAME_HEADER: usize = 8;
const MESSAGE_HEADER: usize = 10;
const MAX_FRAME: usize = MESSAGE_HEADER + MAX_BODY;
/// What the other side's first read of a message has room for.
const FIRST_FRAME: usize = 4096;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call.
    Request,
    /// An answer.
    Response,
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The connection on which it came.
    pub connection: u32,
    /// Which call of the connection it belongs to.
    pub stream: u32,
    /// What it is.
    pub kind: Kind,
    /// The envelope, still encoded.
    pub body: Bytes,
}

/// Bytes that are no frames or messages. Nothing after them can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A frame longer than any message.
    #[error("a frame of {length} bytes on connection {connection}; {MAX_FRAME} is the longest")]
    Frame {
        /// The connection in its header.
        connection: u32,
        /// The length in its header.
        length: u32,
    },
    /// A message longer than ttrpc allows.
    #[error("a message of {length} bytes on connection {connection}; {MAX_BODY} is the longest")]
    Message {
        /// The connection on which it came.
        connection: u32,
        /// The length in its header.
        length: u32,
    },
    /// Neither a call nor an answer.
    #[error("a message of kind {kind} on connection {connection}")]
    Kind {
        /// The connection on which it came.
        connection: u32,
        /// The kind in its header.
        kind: u8,
    },
}

/// Puts messages together from bytes that come in any pieces.
#[derive(Debug, Default)]
pub struct Assembler {
    wire: BytesMut,
    plugin: BytesMut,
    runtime: BytesMut,
}

impl Assembler {
    /// Where the bytes that come are put.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.wire
    }

    /// The next whole message, if there is one.
    pub fn message(&mut self) -> Result<Option<Message>, Malformed> {
        loop {
            for (connection, bytes) in [(PLUGIN, &mut self.plugin), (RUNTIME, &mut self.runtime)] {
                if let Some(message) = whole_message(connection, bytes)? {
                    return Ok(Some(message));
                }
            }
            let Some((connection, payload)) = whole_frame(&mut self.wire)? else { return Ok(None) };
            match connection {
                PLUGIN => self.plugin.unsplit(payload),
                RUNTIME => self.runtime.unsplit(payload),
                // One that nobody has opened on this side: the multiplexer's rule is to drop it.
                _ => {}
            }
        }
    }
}

fn whole_frame(wire: &mut BytesMut) -> Result<Option<(u32, BytesMut)>, Malformed> {
    let Some(mut header) = wire.get(..FRAME_HEADER) else { return Ok(None) };
    let (connection, length) = (header.get_u32(), header.get_u32());
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > MAX_FRAME {
        return Err(Malformed::Frame { connection, length });
    }
    if wire.len() < FRAME_HEADER + size {
        return Ok(None);
    }
    wire.advance(FRAME_HEADER);
    Ok(Some((connection, wire.split_to(size))))
}

fn whole_message(connection: u32, bytes: &mut BytesMut) -> Result<Option<Message>, Malformed> {
    let Some(mut header) = bytes.get(..MESSAGE_HEADER) else { return Ok(None) };
    let (length, stream, kind) = (header.get_u32(), header.get_u32(), header.get_u8());
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > MAX_BODY {
        return Err(Malformed::Message { connection, length });
    }
    let kind = match kind {
        1 => Kind::Request,
        2 => Kind::Response,
        // 3 is a piece of a streaming call, which the interface has none of.
        kind => return Err(Malformed::Kind { connection, kind }),
    };
    if bytes.len() < MESSAGE_HEADER + size {
        return Ok(None);
    }
    bytes.advance(MESSAGE_HEADER);
    let body = bytes.split_to(size).freeze();
    Ok(Some(Message { connection, stream, kind, body }))
}

/// A message as it goes over the socket; nothing if its body is longer than any may be.
pub(crate) fn encode(
    connection: u32,
    stream: u32,
    kind: Kind,
    envelope: &impl prost::Message,
) -> Option<Bytes> {
    let size = envelope.encoded_len();
    let length = u32::try_from(size).ok().filter(|_| size <= MAX_BODY)?;
    let mut message = BytesMut::with_capacity(MESSAGE_HEADER + size);
    message.put_u32(length);
    message.put_u32(stream);
    message.put_u8(match kind {
        Kind::Request => 1,
        Kind::Response => 2,
    });
    message.put_u8(0);
    envelope.encode(&mut message).ok()?;
    let mut wire = BytesMut::with_capacity(2 * FRAME_HEADER + message.len());
    let (first, rest) = message.split_at(message.len().min(FIRST_FRAME));
    for payload in [first, rest].into_iter().filter(|payload| !payload.is_empty()) {
        wire.put_u32(connection);
        wire.put_u32(u32::try_from(payload.len()).ok()?);
        wire.put_slice(payload);
    }
    Some(wire.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ttrpc;

    fn request(size: usize) -> ttrpc::Request {
        ttrpc::Request { payload: vec![7; size], ..ttrpc::Request::default() }
    }

    #[test]
    fn a_message_comes_back_however_it_is_cut() {
        for size in [0, 1, 4085, 4086, 4087, 100_000] {
            let wire = encode(RUNTIME, 3, Kind::Request, &request(size)).unwrap();
            for piece in [1, 7, 4096, wire.len()] {
                let mut assembler = Assembler::default();
                let mut messages = Vec::new();
                for bytes in wire.chunks(piece) {
                    assembler.buffer().extend_from_slice(bytes);
                    while let Some(message) = assembler.message().unwrap() {
                        messages.push(message);
                    }
                }
                assert_eq!(messages.len(), 1, "{size} in pieces of {piece}");
                let back = <ttrpc::Request as prost::Message>::decode(messages[0].body.clone()).unwrap();
                assert_eq!((messages[0].connection, messages[0].stream), (RUNTIME, 3));
                assert_eq!(back, request(size));
            }
        }
    }

    #[test]
    fn a_message_is_one_frame_that_the_first_read_has_room_for_and_one_for_the_rest() {
        let wire = encode(PLUGIN, 1, Kind::Request, &request(50_000)).unwrap();
        let length = |at: usize| u32::from_be_bytes(wire[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(length(4), FIRST_FRAME);
        let second = FRAME_HEADER + FIRST_FRAME;
        assert_eq!(second + FRAME_HEADER + length(second + 4), wire.len());
    }

    #[test]
    fn what_lies_on_other_connections_is_dropped() {
        let mut wire = encode(9, 1, Kind::Request, &request(10)).unwrap().to_vec();
        wire.extend_from_slice(&encode(PLUGIN, 5, Kind::Response, &request(10)).unwrap());
        let mut assembler = Assembler::default();
        assembler.buffer().extend_from_slice(&wire);
        assert_eq!(assembler.message().unwrap().unwrap().stream, 5);
        assert_eq!(assembler.message(), Ok(None));
    }

    #[test]
    fn bytes_that_are_something_else_are_refused_before_they_are_waited_for() {
        let refused = |bytes: &[u8]| {
            let mut assembler = Assembler::default();
            assembler.buffer().extend_from_slice(bytes);
            assembler.message().unwrap_err()
        };
        assert!(matches!(refused(b"GET / HTTP/1.1\r\n"), Malformed::Frame { .. }));
        let long = [0, 0, 0, 1, 0, 0, 0, 10, 0, 64, 0, 1, 0, 0, 0, 1, 1, 0];
        assert_eq!(refused(&long), Malformed::Message { connection: 1, length: (4 << 20) + 1 });
        let data = [0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0];
        assert_eq!(refused(&data), Malformed::Kind { connection: 2, kind: 3 });
    }

    #[test]
    fn a_body_that_is_too_long_is_not_sent() {
        assert_eq!(encode(PLUGIN, 1, Kind::Request, &request(MAX_BODY)), None);
    }
}
