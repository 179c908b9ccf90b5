//! How a layer is compressed, told by its first bytes: what a manifest says of it is not always true.

use super::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::rc::Rc;

/// What is read from the source at once.
const BUFFER: usize = 256 << 10;

/// The largest window of zstd that is kept: 2 to this. It is what the format asks every decoder to have and a bit more.
const MAX_WINDOW_LOG: u32 = 27;

/// Counts what was read of the compressed bytes, and remembers whether that failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    bytes: Rc<Cell<u64>>,
    failed: Rc<Cell<bool>>,
}

impl Source {
    /// How many compressed bytes were read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

struct Counted<R> {
    reader: R,
    source: Source,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        match &read {
            Ok(bytes) => self.source.bytes.set(self.source.bytes.get() + *bytes as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.source.failed.set(true),
        }
        read
    }
}

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

/// Gives the uncompressed bytes.
pub(super) struct Decoder<R: Read> {
    format: Format<R>,
    source: Source,
}

enum Format<R: Read> {
    Plain(Input<R>),
    /// Of any number of members.
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    /// Of any number of frames; those to be skipped are.
    Zstd(Box<zstd::Decoder<'static, Input<R>>>),
}

/// Looks at the first bytes.
pub(super) fn decoder<R: Read>(reader: R, source: &Source) -> Result<Decoder<R>> {
    let mut counted = Counted { reader, source: source.clone() };
    let mut first = Vec::new();
    (&mut counted).take(6).read_to_end(&mut first).map_err(Error::Source)?;
    let format = match first.as_slice() {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => "zstd",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(Error::UnknownCompression("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return Err(Error::UnknownCompression("xz")),
        _ => "none",
    };
    let input = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(counted));
    let format = match format {
        "gzip" => Format::Gzip(Box::new(MultiGzDecoder::new(input))),
        "zstd" => {
            let broken = |cause| Error::Compressed { format: "zstd", cause };
            let mut decoder = zstd::Decoder::with_buffer(input).map_err(broken)?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(broken)?;
            Format::Zstd(Box::new(decoder))
        }
        _ => Format::Plain(input),
    };
    Ok(Decoder { format, source: source.clone() })
}

impl<R: Read> Decoder<R> {
    /// Fills the buffer as far as there is something to fill it with.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (format, read) = match &mut self.format {
                Format::Plain(reader) => ("none", reader.read(rest)),
                Format::Gzip(reader) => ("gzip", reader.read(rest)),
                Format::Zstd(reader) => ("zstd", reader.read(rest)),
            };
            match read {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) if self.source.failed.get() => return Err(Error::Source(cause)),
                Err(cause) => return Err(Error::Compressed { format, cause }),
            }
        }
        Ok(filled)
    }
}
