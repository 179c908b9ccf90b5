//! Frames of SPDY/3.1, as far as streams need them.
//!
//! ```text
//! control  1 version:15 kind:16   flags:8 length:24   fields by kind
//! data     0 stream:31            flags:8 length:24   bytes
//! ```

use super::headers::{BlockError, Decoder, Encoder, Headers};
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

const VERSION: u16 = 3;
const CONTROL: u32 = 0x8000_0000;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;
const FIN: u8 = 1;
/// No control frame of a client comes near.
const MAX_CONTROL: usize = 64 << 10;
/// Data is handed on in pieces of this size, however long its frame is.
const PIECE: usize = 64 << 10;

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Reset {
    ProtocolError = 1,
    RefusedStream = 3,
    Cancel = 5,
}

/// What the other side has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        stream: u32,
        fin: bool,
        headers: Headers,
    },
    SynReply {
        stream: u32,
        fin: bool,
    },
    Reset {
        stream: u32,
    },
    Ping {
        bytes: Bytes,
    },
    GoAway,
    /// Headers that follow; nobody here waits for any.
    Headers {
        stream: u32,
        fin: bool,
    },
    /// A piece of the data of a stream; the last of a frame may finish it.
    Data {
        stream: u32,
        fin: bool,
        bytes: Bytes,
    },
    /// Settings and windows: neither side holds data back for them.
    Ignored,
}

/// A connection that does not speak the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("read from the connection")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("a control frame of version {0}")]
    Version(u16),
    #[error("a control frame of {0} bytes")]
    TooLong(usize),
    #[error("a control frame that is too short for its kind")]
    Short,
}

/// Reads frames.
pub(super) struct Reader<R> {
    io: R,
    decoder: Decoder,
    /// What is left of a data frame: its stream, whether it finishes it, and how many bytes.
    data: Option<(u32, bool, usize)>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(io: R) -> Self {
        Self { io, decoder: Decoder::new(), data: None }
    }

    /// The next frame, or `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some((stream, fin, left)) = self.data.take() {
            return self.piece(stream, fin, left).await.map(Some);
        }
        let mut head = [0; 8];
        match self.io.read_exact(&mut head).await {
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let [a, b, c, d, flags, length @ ..] = head;
        let first = u32::from_be_bytes([a, b, c, d]);
        let length = usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]);
        if first & CONTROL == 0 {
            return self.piece(first, flags & FIN != 0, length).await.map(Some);
        }
        if length > MAX_CONTROL {
            return Err(FrameError::TooLong(length));
        }
        let version = u16::from_be_bytes([a & 0x7f, b]);
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let mut body = vec![0; length];
        self.io.read_exact(&mut body).await?;
        self.control(u16::from_be_bytes([c, d]), flags & FIN != 0, &body).map(Some)
    }

    async fn piece(&mut self, stream: u32, fin: bool, left: usize) -> Result<Frame, FrameError> {
        let size = left.min(PIECE);
        let mut bytes = BytesMut::with_capacity(size);
        while bytes.len() < size {
            let room = size - bytes.len();
            if self.io.read_buf(&mut (&mut bytes).limit(room)).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        let left = left - size;
        self.data = (left > 0).then_some((stream, fin, left));
        Ok(Frame::Data { stream, fin: fin && left == 0, bytes: bytes.freeze() })
    }

    fn control(&mut self, kind: u16, fin: bool, body: &[u8]) -> Result<Frame, FrameError> {
        let stream = || {
            let number = body.first_chunk().ok_or(FrameError::Short)?;
            Ok::<u32, FrameError>(u32::from_be_bytes(*number) & !CONTROL)
        };
        Ok(match kind {
            SYN_STREAM => {
                // The stream, the stream it belongs to, a priority and a slot.
                let headers = self.decoder.decode(body.get(10..).ok_or(FrameError::Short)?)?;
                Frame::SynStream { stream: stream()?, fin, headers }
            }
            SYN_REPLY | HEADERS => {
                // Read even if nobody wants it: the next block builds on it.
                self.decoder.decode(body.get(4..).ok_or(FrameError::Short)?)?;
                let stream = stream()?;
                if kind == SYN_REPLY {
                    Frame::SynReply { stream, fin }
                } else {
                    Frame::Headers { stream, fin }
                }
            }
            RST_STREAM => Frame::Reset { stream: stream()? },
            PING => Frame::Ping { bytes: Bytes::copy_from_slice(body.get(..4).ok_or(FrameError::Short)?) },
            GOAWAY => Frame::GoAway,
            SETTINGS | WINDOW_UPDATE => Frame::Ignored,
            // As the specification says of kinds that are not known.
            _ => Frame::Ignored,
        })
    }
}

fn control(kind: u16, flags: u8, body: &[&[u8]]) -> Bytes {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(8 + length);
    frame.put_u16(0x8000 | VERSION);
    frame.put_u16(kind);
    frame.put_u8(flags);
    // Only this module makes bodies, none of them longer than a few KiB.
    frame.put_uint(length as u64, 3);
    body.iter().for_each(|part| frame.put_slice(part));
    frame.freeze()
}

/// Opens a stream.
#[cfg(test)]
pub(super) fn syn_stream(encoder: &mut Encoder, stream: u32, headers: &[(&str, &str)]) -> Bytes {
    control(SYN_STREAM, 0, &[&stream.to_be_bytes(), &[0; 6], &encoder.encode(headers)])
}

/// Accepts a stream.
pub(super) fn syn_reply(encoder: &mut Encoder, stream: u32) -> Bytes {
    control(SYN_REPLY, 0, &[&stream.to_be_bytes(), &encoder.encode(&[])])
}

/// Ends a stream in both directions.
pub(super) fn rst_stream(stream: u32, why: Reset) -> Bytes {
    control(RST_STREAM, 0, &[&stream.to_be_bytes(), &(why as u32).to_be_bytes()])
}

/// Answers a ping.
pub(super) fn ping(bytes: &[u8]) -> Bytes {
    control(PING, 0, &[bytes])
}

/// Says that no more streams are accepted after this one.
pub(super) fn goaway(last: u32) -> Bytes {
    control(GOAWAY, 0, &[&last.to_be_bytes(), &[0; 4]])
}

/// Data of a stream; no more than fits into 24 bits.
pub(in crate::streaming) fn data(stream: u32, fin: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u32(stream & !CONTROL);
    frame.put_u8(if fin { FIN } else { 0 });
    frame.put_uint(bytes.len() as u64, 3);
    frame.put_slice(bytes);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut reader = Reader::new(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn frames_come_back() {
        let mut encoder = Encoder::new();
        let long = vec![7; PIECE + 1];
        let mut bytes = Vec::new();
        for frame in [
            syn_stream(&mut encoder, 1, &[("streamtype", "error")]),
            syn_reply(&mut encoder, 1),
            data(1, false, b"abc"),
            data(1, true, &long),
            data(3, true, b""),
            rst_stream(3, Reset::Cancel),
            ping(&[0, 0, 0, 1]),
            goaway(3),
        ] {
            bytes.extend_from_slice(&frame);
        }
        let headers = vec![("streamtype".to_owned(), "error".to_owned())];
        assert_eq!(
            read(&bytes).await.unwrap(),
            [
                Frame::SynStream { stream: 1, fin: false, headers },
                Frame::SynReply { stream: 1, fin: false },
                Frame::Data { stream: 1, fin: false, bytes: Bytes::from_static(b"abc") },
                Frame::Data { stream: 1, fin: false, bytes: Bytes::from(vec![7; PIECE]) },
                Frame::Data { stream: 1, fin: true, bytes: Bytes::from_static(&[7]) },
                Frame::Data { stream: 3, fin: true, bytes: Bytes::new() },
                Frame::Reset { stream: 3 },
                Frame::Ping { bytes: Bytes::from_static(&[0, 0, 0, 1]) },
                Frame::GoAway,
            ]
        );
    }

    /// Bytes as another implementation writes them.
    #[tokio::test]
    async fn the_layout_is_the_specifications() {
        assert_eq!(
            &rst_stream(5, Reset::RefusedStream)[..],
            b"\x80\x03\x00\x03\x00\0\0\x08\0\0\0\x05\0\0\0\x03"
        );
        assert_eq!(&ping(&[0, 0, 0, 9])[..], b"\x80\x03\x00\x06\x00\0\0\x04\0\0\0\x09");
        assert_eq!(&data(3, true, b"hi")[..], b"\0\0\0\x03\x01\0\0\x02hi");
        assert_eq!(&goaway(1)[..], b"\x80\x03\x00\x07\x00\0\0\x08\0\0\0\x01\0\0\0\0");
    }

    #[tokio::test]
    async fn what_is_no_frame_ends_the_connection() {
        assert!(matches!(read(b"\x80\x02\0\x06\0\0\0\x04\0\0\0\x01").await, Err(FrameError::Version(2))));
        assert!(matches!(read(b"\x80\x03\0\x06\0\xff\xff\xff").await, Err(FrameError::TooLong(_))));
        assert!(matches!(read(b"\x80\x03\0\x01\0\0\0\x02\0\0").await, Err(FrameError::Short)));
        assert!(matches!(read(b"\0\0\0\x01\0\0\0\x05ab").await, Err(FrameError::Read(_))));
        let unknown = read(b"\x80\x03\0\x63\0\0\0\x01x\x80\x03\0\x04\0\0\0\0").await.unwrap();
        assert_eq!(unknown, [Frame::Ignored, Frame::Ignored]);
    }

    /// A hostile client can end its own connection, and no more.
    #[tokio::test]
    async fn any_bytes_are_frames_or_an_error() {
        let mut encoder = Encoder::new();
        let mut good = Vec::new();
        for stream in [1, 3, 5] {
            good.extend_from_slice(&syn_stream(
                &mut encoder,
                stream,
                &[("streamtype", "data"), ("port", "80")],
            ));
            good.extend_from_slice(&data(stream, stream == 5, b"some data"));
            good.extend_from_slice(&ping(&stream.to_be_bytes()));
        }
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % below as u64).unwrap()
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                bytes[at] = u8::try_from(next(256)).unwrap();
            }
            bytes.truncate(next(bytes.len()) + 1);
            // Whether it is one or the other is not asked.
            let _ = read(&bytes).await;
        }
    }
}
