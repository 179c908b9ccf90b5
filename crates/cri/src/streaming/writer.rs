//! What a stream writes, cut into the frames of its connection.

use super::outbox::Outbox;
use super::spdy::Handle;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// The most that is put into one frame, so that streams take turns.
const PIECE: usize = 32 << 10;

/// Writes to one stream. Dropping it finishes it.
pub(super) struct StreamWriter {
    outbox: Arc<Outbox>,
    framing: Framing,
    finished: bool,
}

/// How a connection tells its streams apart.
pub(super) enum Framing {
    /// Frames with the stream's number; the last says that it is the last.
    Spdy(Handle),
    /// Messages that begin with the channel's number. That a channel ends cannot be said.
    Binary(u8),
    /// The same as text.
    Base64(u8),
}

impl Framing {
    fn data(&self, bytes: &[u8]) -> Bytes {
        match self {
            Framing::Spdy(stream) => stream.data(bytes),
            Framing::Binary(channel) => {
                let mut message = BytesMut::with_capacity(1 + bytes.len());
                message.put_u8(*channel);
                message.put_slice(bytes);
                message.freeze()
            }
            Framing::Base64(channel) => {
                let mut message = String::with_capacity(2 + bytes.len() * 4 / 3);
                message.push(char::from(b'0' + channel));
                STANDARD.encode_string(bytes, &mut message);
                message.into()
            }
        }
    }
}

impl StreamWriter {
    pub(super) fn new(outbox: Arc<Outbox>, framing: Framing) -> Self {
        Self { outbox, framing, finished: false }
    }

    /// Writes an empty piece, which tells clients that the channel is there.
    pub(super) fn announce(&self) {
        self.outbox.put(self.framing.data(&[]));
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true)
            && let Framing::Spdy(stream) = &self.framing
        {
            stream.finish();
        }
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken_back = matches!(&self.framing, Framing::Spdy(stream) if stream.is_reset());
        if self.finished || taken_back {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.outbox.poll_room(context))?;
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        if !piece.is_empty() {
            self.outbox.put(self.framing.data(piece));
        }
        Poll::Ready(Ok(piece.len()))
    }

    /// The task that writes the connection never waits with what it has.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.finish();
    }
}
