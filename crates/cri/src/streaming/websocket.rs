//! Channels in the messages of a WebSocket: the first byte of each is a channel's number.
//!
//! In the `base64` forms a message is text, its first character a digit and the rest base64. Since version 5 a message
//! of 255 and a channel's number says that the client sends no more on it.

use super::inbox::{Inbox, InboxReader, inbox};
use super::link::{Activity, Link};
use super::outbox::Outbox;
use super::writer::{Framing, StreamWriter};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

const CLOSE_SIGNAL: u8 = 255;
/// Clients send pieces of some ten KiB.
const MAX_MESSAGE: usize = 8 << 20;

/// A WebSocket with channels.
pub(super) struct Channels {
    pub(super) link: Link,
    base64: bool,
}

/// A WebSocket on a connection whose upgrade has been answered.
pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(connection: T) -> WebSocketStream<T> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await
}

/// The last message: all is well.
pub(super) fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") }))
}

impl Channels {
    /// Speaks over a WebSocket, with a reader for each channel that is `readable`.
    pub(super) fn start<T>(
        socket: WebSocketStream<T>,
        base64: bool,
        close: bool,
        readable: &[bool],
        idle: Duration,
    ) -> (Self, Vec<Option<InboxReader>>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sink, stream) = socket.split();
        let (inboxes, readers) = readable
            .iter()
            .map(|readable| {
                readable.then(inbox).map_or((None, None), |(inbox, reader)| (Some(inbox), Some(reader)))
            })
            .unzip();
        let outbox = Arc::new(Outbox::default());
        let (frames, activity) = (Arc::clone(&outbox), Activity::new());
        let written = activity.clone();
        let write = async move {
            while let Some(frame) = frames.next().await {
                if let Err(error) = sink.send(message(frame, base64)).await {
                    log::debug!("a streaming WebSocket broke: {error}");
                    return frames.break_off();
                }
                written.note();
            }
            if !frames.is_broken() {
                // Whoever has gone does not hear it.
                let _ = sink.send(goodbye()).await;
            }
        };
        let reading = Reading { inboxes, base64, close };
        let link = Link::start(outbox, activity.clone(), idle, read(stream, reading, activity), write);
        (Self { link, base64 }, readers)
    }

    pub(super) fn writer(&self, channel: u8) -> StreamWriter {
        let framing = if self.base64 { Framing::Base64(channel) } else { Framing::Binary(channel) };
        StreamWriter::new(Arc::clone(&self.link.outbox), framing)
    }
}

fn message(frame: Bytes, base64: bool) -> Message {
    if base64 {
        // It was made from text.
        Message::Text(Utf8Bytes::try_from(frame).unwrap_or_default())
    } else {
        Message::Binary(frame)
    }
}

/// What the reading task works on; with it everything of the client ends.
struct Reading {
    inboxes: Vec<Option<Inbox>>,
    base64: bool,
    close: bool,
}

async fn read(
    mut messages: impl Stream<Item = Result<Message, Error>> + Unpin,
    reading: Reading,
    activity: Activity,
) {
    while let Some(message) = messages.next().await {
        activity.note();
        match message {
            Ok(Message::Binary(bytes)) => reading.take(bytes).await,
            Ok(Message::Text(text)) => reading.take(text.into()).await,
            // They are answered by the library.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => return,
            Err(error) => {
                log::debug!("a streaming WebSocket broke: {error}");
                return;
            }
        }
    }
}

impl Reading {
    async fn take(&self, mut message: Bytes) {
        if message.is_empty() {
            return;
        }
        let channel = message.split_to(1);
        let Some(channel) = channel.first().copied() else { return };
        if self.close && channel == CLOSE_SIGNAL {
            if let [channel] = message[..] {
                self.inbox(channel).inspect(|inbox| inbox.finish());
            }
            return;
        }
        let channel = if self.base64 { channel.wrapping_sub(b'0') } else { channel };
        let Some(inbox) = self.inbox(channel) else { return };
        if !self.base64 {
            return inbox.put(message).await;
        }
        match STANDARD.decode(&message) {
            Ok(bytes) => inbox.put(bytes.into()).await,
            Err(error) => log::info!("a streaming client sent what is not base64: {error}"),
        }
    }

    fn inbox(&self, channel: u8) -> Option<&Inbox> {
        self.inboxes.get(usize::from(channel))?.as_ref()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.inboxes.iter().flatten().for_each(Inbox::finish);
    }
}
