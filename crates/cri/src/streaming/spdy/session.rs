//! The server's side of one connection.
//!
//! | frame | what becomes of it |
//! |---|---|
//! | SYN_STREAM | an [`Incoming`] stream, which is accepted (SYN_REPLY) or refused (RST_STREAM) |
//! | DATA | goes to the inbox of its stream; FIN ends it. On a stream that is not there it is thrown away |
//! | RST_STREAM | takes the stream back in both directions |
//! | PING | is answered |
//! | GOAWAY | no more streams come |
//! | SYN_REPLY, HEADERS, SETTINGS, WINDOW_UPDATE | nothing |

use super::frame::{Frame, FrameError, Reader, Reset, data, goaway, ping, rst_stream, syn_reply};
use super::headers::{Encoder, Headers};
use crate::streaming::inbox::{Inbox, InboxReader, inbox};
use crate::streaming::link::{Activity, Link};
use crate::streaming::outbox::Outbox;
use crate::streaming::writer::{Framing, StreamWriter};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// More streams at a time are refused.
const MAX_STREAMS: usize = 2048;

/// A connection, and the streams that come on it.
pub(in crate::streaming) struct Session {
    /// Streams that the client opens; ends when the client goes away.
    pub(in crate::streaming) incoming: mpsc::UnboundedReceiver<Incoming>,
    pub(in crate::streaming) link: Link,
    shared: Arc<Shared>,
}

/// A stream that the client wants to open.
pub(in crate::streaming) struct Incoming {
    pub(in crate::streaming) id: u32,
    headers: Headers,
    reader: InboxReader,
    handle: Handle,
}

/// An open stream.
pub(in crate::streaming) struct Stream {
    pub(in crate::streaming) reader: InboxReader,
    pub(in crate::streaming) writer: StreamWriter,
}

/// A stream, as whoever writes to it knows it.
pub(in crate::streaming) struct Handle {
    shared: Arc<Shared>,
    stream: u32,
    reset: Arc<AtomicBool>,
}

struct Shared {
    outbox: Arc<Outbox>,
    state: Mutex<State>,
}

struct State {
    streams: HashMap<u32, Entry>,
    encoder: Encoder,
    /// The last stream that was accepted or refused.
    last: u32,
}

struct Entry {
    inbox: Inbox,
    reset: Arc<AtomicBool>,
    /// The client sends no more.
    theirs_ended: bool,
    /// We send no more.
    ours_ended: bool,
}

impl Session {
    /// Speaks SPDY over a connection; without traffic for `idle` it is closed.
    pub(in crate::streaming) fn start<T>(connection: T, idle: Duration) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer) = tokio::io::split(connection);
        let outbox = Arc::new(Outbox::default());
        let state = State { streams: HashMap::new(), encoder: Encoder::new(), last: 0 };
        let shared = Arc::new(Shared { outbox: Arc::clone(&outbox), state: Mutex::new(state) });
        let (found, incoming) = mpsc::unbounded_channel();
        let activity = Activity::new();
        let read =
            read(Reader::new(reader), Reading { shared: Arc::clone(&shared), found }, activity.clone());
        let write = write(writer, Arc::clone(&outbox), activity.clone());
        Self { incoming, link: Link::start(outbox, activity, idle, read, write), shared }
    }

    /// Says goodbye and ends the connection, after everything is written.
    pub(in crate::streaming) async fn finish(self) {
        let last = self.shared.lock().last;
        self.shared.outbox.put(goaway(last));
        self.link.finish().await;
    }
}

impl Incoming {
    /// A header, by its name in lower case.
    pub(in crate::streaming) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Tells the client that its stream is open.
    pub(in crate::streaming) fn accept(self) -> Stream {
        let Self { id, reader, handle, .. } = self;
        let outbox = Arc::clone(&handle.shared.outbox);
        // The block and its frame go out in the same order.
        let mut state = handle.shared.lock();
        let reply = syn_reply(&mut state.encoder, id);
        outbox.put(reply);
        drop(state);
        Stream { reader, writer: StreamWriter::new(outbox, Framing::Spdy(handle)) }
    }

    /// Tells the client that there is no such stream.
    pub(in crate::streaming) fn refuse(self) {
        self.handle.shared.lock().streams.remove(&self.id);
        self.handle.shared.outbox.put(rst_stream(self.id, Reset::ProtocolError));
    }
}

impl Handle {
    pub(in crate::streaming) fn data(&self, bytes: &[u8]) -> Bytes {
        data(self.stream, false, bytes)
    }

    pub(in crate::streaming) fn finish(&self) {
        if !self.is_reset() {
            self.shared.outbox.put(data(self.stream, true, &[]));
        }
        self.shared.lock().end(self.stream, |entry| entry.ours_ended = true);
    }

    pub(in crate::streaming) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes that a direction of a stream has ended, and forgets the stream when both have.
    fn end(&mut self, stream: u32, note: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            note(entry);
            if entry.theirs_ended && entry.ours_ended {
                self.streams.remove(&stream);
            }
        }
    }
}

/// What the reading task works on; with it everything of the client ends.
struct Reading {
    shared: Arc<Shared>,
    found: mpsc::UnboundedSender<Incoming>,
}

async fn read(mut frames: Reader<impl AsyncRead + Unpin>, reading: Reading, activity: Activity) {
    loop {
        match frames.next().await {
            Ok(Some(frame)) => {
                activity.note();
                reading.take(frame).await;
            }
            Ok(None) => return,
            Err(FrameError::Read(cause)) => {
                log::debug!("a streaming connection broke: {cause}");
                return;
            }
            Err(error) => {
                log::info!("a streaming client does not speak SPDY/3.1: {error}");
                reading.shared.outbox.break_off();
                return;
            }
        }
    }
}

impl Reading {
    async fn take(&self, frame: Frame) {
        match frame {
            Frame::SynStream { stream, fin, headers } => self.open(stream, fin, headers),
            Frame::Data { stream, fin, bytes } => {
                let inbox = self.shared.lock().streams.get(&stream).map(|entry| entry.inbox.clone());
                if let Some(inbox) = inbox {
                    inbox.put(bytes).await;
                }
                if fin {
                    self.finish(stream);
                }
            }
            Frame::Headers { stream, fin } | Frame::SynReply { stream, fin } => {
                if fin {
                    self.finish(stream);
                }
            }
            Frame::Reset { stream } => {
                if let Some(entry) = self.shared.lock().streams.remove(&stream) {
                    entry.reset.store(true, Ordering::Relaxed);
                    entry.inbox.reset();
                }
            }
            // Ours would have even numbers, and we ask for none.
            Frame::Ping { bytes } if bytes.last().is_some_and(|last| last % 2 == 1) => {
                self.shared.outbox.put(ping(&bytes));
            }
            Frame::Ping { .. } | Frame::GoAway | Frame::Ignored => {}
        }
    }

    fn open(&self, stream: u32, fin: bool, headers: Headers) {
        let mut state = self.shared.lock();
        if stream.is_multiple_of(2) || stream <= state.last {
            drop(state);
            return self.shared.outbox.put(rst_stream(stream, Reset::ProtocolError));
        }
        state.last = stream;
        if state.streams.len() >= MAX_STREAMS {
            drop(state);
            return self.shared.outbox.put(rst_stream(stream, Reset::RefusedStream));
        }
        let (inbox, reader) = inbox();
        let reset = Arc::new(AtomicBool::new(false));
        if fin {
            inbox.finish();
        }
        let entry = Entry { inbox, reset: Arc::clone(&reset), theirs_ended: fin, ours_ended: false };
        state.streams.insert(stream, entry);
        drop(state);
        let handle = Handle { shared: Arc::clone(&self.shared), stream, reset };
        if let Err(unwanted) = self.found.send(Incoming { id: stream, headers, reader, handle }) {
            // The session takes no more streams.
            self.shared.lock().streams.remove(&unwanted.0.id);
            self.shared.outbox.put(rst_stream(stream, Reset::Cancel));
        }
    }

    fn finish(&self, stream: u32) {
        self.shared.lock().end(stream, |entry| {
            entry.inbox.finish();
            entry.theirs_ended = true;
        });
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        for entry in self.shared.lock().streams.values() {
            entry.inbox.finish();
        }
    }
}

async fn write(mut connection: impl AsyncWrite + Unpin, outbox: Arc<Outbox>, activity: Activity) {
    while let Some(frame) = outbox.next().await {
        if let Err(cause) = connection.write_all(&frame).await {
            log::debug!("a streaming connection broke: {cause}");
            return outbox.break_off();
        }
        activity.note();
    }
    if let Err(cause) = connection.shutdown().await {
        log::debug!("a streaming connection broke at its end: {cause}");
    }
}
