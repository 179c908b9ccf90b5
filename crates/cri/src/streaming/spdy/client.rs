//! A client's side of a connection, for tests: it opens streams, sends, and keeps all that it is told.

use super::frame::{Frame, Reader, Reset, data, ping, rst_stream, syn_stream};
use super::headers::Encoder;
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

/// A connection.
pub(in crate::streaming) struct Client<T> {
    reader: Reader<ReadHalf<T>>,
    writer: WriteHalf<T>,
    encoder: Encoder,
    next: u32,
    pub(in crate::streaming) streams: HashMap<u32, Heard>,
    pub(in crate::streaming) said_goodbye: bool,
    pub(in crate::streaming) pings: u32,
}

/// What was heard of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::streaming) struct Heard {
    pub(in crate::streaming) open: bool,
    pub(in crate::streaming) bytes: Vec<u8>,
    pub(in crate::streaming) finished: bool,
    pub(in crate::streaming) reset: bool,
}

impl<T: AsyncRead + AsyncWrite> Client<T> {
    pub(in crate::streaming) fn new(connection: T) -> Self {
        let (reader, writer) = split(connection);
        Self {
            reader: Reader::new(reader),
            writer,
            encoder: Encoder::new(),
            next: 1,
            streams: HashMap::new(),
            said_goodbye: false,
            pings: 0,
        }
    }

    /// Opens a stream without waiting for the answer.
    pub(in crate::streaming) async fn open(&mut self, headers: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.streams.insert(stream, Heard::default());
        let frame = syn_stream(&mut self.encoder, stream, headers);
        self.writer.write_all(&frame).await.unwrap();
        stream
    }

    pub(in crate::streaming) async fn send(&mut self, stream: u32, bytes: &[u8], fin: bool) {
        self.writer.write_all(&data(stream, fin, bytes)).await.unwrap();
    }

    pub(in crate::streaming) async fn reset(&mut self, stream: u32) {
        self.writer.write_all(&rst_stream(stream, Reset::Cancel)).await.unwrap();
    }

    pub(in crate::streaming) async fn ping(&mut self, number: u32) {
        self.writer.write_all(&ping(&number.to_be_bytes())).await.unwrap();
    }

    /// Writes what may be no frame at all.
    pub(in crate::streaming) async fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// Listens until `enough`, or to the end of the connection; whether it has not ended.
    pub(in crate::streaming) async fn listen(&mut self, enough: impl Fn(&Self) -> bool) -> bool {
        while !enough(self) {
            let Ok(Some(frame)) = self.reader.next().await else { return false };
            match frame {
                Frame::SynReply { stream, .. } => self.heard(stream).open = true,
                Frame::Data { stream, fin, bytes } => {
                    let heard = self.heard(stream);
                    assert!(
                        heard.open && !heard.finished,
                        "data before its stream is open, or after its end"
                    );
                    heard.bytes.extend_from_slice(&bytes);
                    heard.finished |= fin;
                }
                Frame::Reset { stream } => self.heard(stream).reset = true,
                Frame::GoAway => self.said_goodbye = true,
                Frame::Ping { .. } => self.pings += 1,
                Frame::SynStream { .. } | Frame::Headers { .. } | Frame::Ignored => {
                    panic!("nobody sends that")
                }
            }
        }
        true
    }

    pub(in crate::streaming) async fn listen_to_the_end(&mut self) {
        assert!(!self.listen(|_| false).await);
    }

    fn heard(&mut self, stream: u32) -> &mut Heard {
        self.streams.entry(stream).or_default()
    }
}
