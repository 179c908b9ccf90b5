//! Header blocks of SPDY/3.1: names and values with their lengths, compressed with zlib over one dictionary. A direction
//! of a connection is one stream of zlib, flushed after every block.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// No block of a client comes near.
const MAX_BLOCK: usize = 64 << 10;

/// The names that the dictionary begins with, each after its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host \
    if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200\u{a0}OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";

/// What follows them.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
    403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// Names, in lower case, and values.
pub(super) type Headers = Vec<(String, String)>;

/// A block that cannot be read. The rest of its direction cannot be read either.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    #[error("decompress a header block")]
    Zlib(#[from] flate2::DecompressError),
    #[error("a header block of more than {MAX_BLOCK} bytes")]
    TooLong,
    #[error("a header block that ends too early")]
    Cut,
    #[error("a header that is no text")]
    NotText,
}

/// The dictionary of SPDY/3 and SPDY/3.1.
fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::with_capacity(1423);
    for word in WORDS.split_ascii_whitespace() {
        put(&mut dictionary, &word.replace('\u{a0}', " "));
    }
    dictionary.extend_from_slice(REST.as_bytes());
    dictionary
}

fn put(into: &mut Vec<u8>, text: &str) {
    // Texts of this length come from our own code alone.
    into.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Writes the blocks of one direction.
pub(super) struct Encoder(Compress);

impl Encoder {
    pub(super) fn new() -> Self {
        let mut zlib = Compress::new(Compression::fast(), true);
        // It fails only in the middle of a stream.
        let _ = zlib.set_dictionary(&dictionary());
        Self(zlib)
    }

    pub(super) fn encode(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = Vec::new();
        plain.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (name, value) in headers {
            put(&mut plain, name);
            put(&mut plain, value);
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        let begun = self.0.total_in();
        loop {
            let done = usize::try_from(self.0.total_in() - begun).unwrap_or(usize::MAX);
            let rest = plain.get(done..).unwrap_or_default();
            let status = self.0.compress_vec(rest, &mut block, FlushCompress::Sync);
            // Whatever was left is out when there is room left.
            if block.len() < block.capacity() || !matches!(status, Ok(Status::Ok)) {
                return block;
            }
            block.reserve(256);
        }
    }
}

/// Reads the blocks of the other direction.
pub(super) struct Decoder {
    zlib: Decompress,
    begun: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { zlib: Decompress::new(true), begun: false }
    }

    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Headers, BlockError> {
        let mut plain = Vec::with_capacity(1024);
        let begun = self.zlib.total_in();
        loop {
            let done = usize::try_from(self.zlib.total_in() - begun).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            match self.zlib.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Err(error) if error.needs_dictionary().is_some() && !self.begun => {
                    self.begun = true;
                    self.zlib.set_dictionary(&dictionary())?;
                    continue;
                }
                status => status?,
            };
            if plain.len() > MAX_BLOCK {
                return Err(BlockError::TooLong);
            }
            if plain.len() < plain.capacity() {
                break;
            }
            plain.reserve(1024);
        }
        parse(&plain)
    }
}

fn parse(mut plain: &[u8]) -> Result<Headers, BlockError> {
    let count = number(&mut plain)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut plain)?.to_ascii_lowercase();
        headers.push((name, text(&mut plain)?));
    }
    Ok(headers)
}

fn number(plain: &mut &[u8]) -> Result<usize, BlockError> {
    let (number, rest) = plain.split_first_chunk().ok_or(BlockError::Cut)?;
    *plain = rest;
    usize::try_from(u32::from_be_bytes(*number)).map_err(|_| BlockError::TooLong)
}

fn text(plain: &mut &[u8]) -> Result<String, BlockError> {
    let length = number(plain)?;
    let (text, rest) = plain.split_at_checked(length).ok_or(BlockError::Cut)?;
    *plain = rest;
    String::from_utf8(text.to_vec()).map_err(|_| BlockError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number by which zlib names the dictionary.
    #[test]
    fn the_dictionary_is_the_specifications() {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in dictionary() {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!(dictionary().len(), 1423);
        assert_eq!((b << 16) | a, 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_come_back_one_after_the_other() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let long = "x".repeat(5000);
        let blocks: [&[(&str, &str)]; 4] =
            [&[("streamtype", "error")], &[], &[("streamtype", "data"), ("port", "80")], &[("long", &long)]];
        for block in blocks {
            let encoded = encoder.encode(block);
            let decoded = decoder.decode(&encoded).unwrap();
            let decoded: Vec<(&str, &str)> =
                decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(decoded, block);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Decoder::new().decode(b"nonsense").is_err());
        let bomb = "x".repeat(10 << 20);
        let encoded = Encoder::new().encode(&[("x", &bomb)]);
        assert!(matches!(Decoder::new().decode(&encoded), Err(BlockError::TooLong)));
        for cut in [&[][..], &[0, 0, 0, 1], &[0, 0, 0, 1, 0, 0, 0, 9, b'x'], &[0xff; 8]] {
            assert!(parse(cut).is_err());
        }
    }
}
