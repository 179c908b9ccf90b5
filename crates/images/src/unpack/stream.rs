//! The archive as a stream of bytes: decompressed, digested and counted by a thread of its own, so that a layer is
//! decompressed while what came before is written.

use super::compression::{self, Source};
use super::error::{Error, Result};
use super::limits::{Limit, Limits};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

/// What the decompressor hands over at once.
const CHUNK: usize = 512 << 10;

/// How many of these wait to be written.
const AHEAD: usize = 4;

/// What is known of the archive when it was read to its end.
#[derive(Debug)]
pub(super) struct Whole {
    /// Of the uncompressed bytes, with `sha256:`.
    pub digest: String,
    pub bytes: u64,
}

/// The uncompressed bytes.
pub(super) struct Stream {
    chunks: Receiver<Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    offset: u64,
}

/// Runs `consume` on the uncompressed bytes of `reader`, then reads what it left to the end.
pub(super) fn through<T>(
    reader: impl Read + Send,
    limits: &Limits,
    consume: impl FnOnce(&mut Stream) -> Result<T>,
) -> Result<(T, Whole)> {
    std::thread::scope(|scope| {
        let (sender, chunks) = mpsc::sync_channel(AHEAD);
        let (used, spare) = mpsc::channel();
        let producer = std::thread::Builder::new()
            .name("decompress".to_owned())
            .spawn_scoped(scope, move || produce(reader, limits, &sender, &spare));
        let producer = producer.map_err(|cause| Error::io("start a thread to decompress", b"", cause))?;
        let mut stream = Stream { chunks, used, current: Vec::new(), at: 0, offset: 0 };
        let consumed = consume(&mut stream);
        let drained = consumed.and_then(|value| stream.drain().map(|()| value));
        // A producer that still has something to hand over sees that nobody takes it.
        drop(stream);
        let whole = producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let value = drained?;
        whole
            .map(|whole| (value, whole))
            .ok_or(Error::Malformed { offset: 0, problem: "it was not read to its end" })
    })
}

fn produce(
    reader: impl Read,
    limits: &Limits,
    sender: &SyncSender<Result<Vec<u8>>>,
    spare: &Receiver<Vec<u8>>,
) -> Option<Whole> {
    let source = Source::default();
    let mut decoder = match compression::decoder(reader, &source) {
        Ok(decoder) => decoder,
        Err(error) => {
            // Nobody may be listening any more.
            let _ = sender.send(Err(error));
            return None;
        }
    };
    let mut digest = Sha256::new();
    let mut bytes = 0_u64;
    loop {
        let mut chunk = spare.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let filled = decoder.fill(&mut chunk).and_then(|length| {
            bytes += length as u64;
            within(bytes, source.bytes(), limits).map(|()| length)
        });
        match filled {
            Ok(0) => break,
            Ok(length) => {
                chunk.truncate(length);
                digest.update(&chunk);
                sender.send(Ok(chunk)).ok()?;
            }
            Err(error) => {
                let _ = sender.send(Err(error));
                return None;
            }
        }
    }
    let mut text = "sha256:".to_owned();
    for byte in digest.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Some(Whole { digest: text, bytes })
}

fn within(bytes: u64, compressed: u64, limits: &Limits) -> Result<()> {
    if bytes > limits.bytes {
        return Err(Error::TooMuch { limit: Limit::Bytes, most: limits.bytes });
    }
    if bytes > Limits::RATIO_FROM && bytes / compressed.max(1) > limits.ratio {
        return Err(Error::TooMuch { limit: Limit::Ratio, most: limits.ratio });
    }
    Ok(())
}

impl Stream {
    /// A malformed archive, here.
    pub(super) fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed { offset: self.offset, problem }
    }

    /// What comes next, as much as is at hand; nothing at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        while self.at == self.current.len() {
            let Ok(chunk) = self.chunks.recv() else { return Ok(&[]) };
            let used = std::mem::replace(&mut self.current, chunk?);
            self.at = 0;
            // The producer has ended.
            let _ = self.used.send(used);
        }
        Ok(self.current.get(self.at..).unwrap_or_default())
    }

    /// Goes on by as much of what [`Stream::fill`] gave.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.at = self.current.len().min(self.at + bytes);
        self.offset += bytes as u64;
    }

    /// Fills the buffer, or says that not a byte of it is left. An end in between is an error.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let next = self.fill()?;
            let length = next.len().min(rest.len());
            if length == 0 {
                return if filled == 0 {
                    Ok(false)
                } else {
                    Err(self.malformed("it ends in the middle of a block"))
                };
            }
            rest.get_mut(..length)
                .unwrap_or_default()
                .copy_from_slice(next.get(..length).unwrap_or_default());
            self.consume(length);
            filled += length;
        }
        Ok(true)
    }

    /// Hands `bytes` bytes to `sink`, in pieces as large as they are at hand.
    pub(super) fn each(&mut self, mut bytes: u64, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while bytes > 0 {
            let next = self.fill()?;
            if next.is_empty() {
                return Err(self.malformed("it ends in the middle of a file"));
            }
            let length = next.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            sink(next.get(..length).unwrap_or_default())?;
            self.consume(length);
            bytes -= length as u64;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            let length = self.fill()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }
}
