//! The entries of a tar archive, one after the other: a header, what extended headers before it say, and the bytes
//! after it.
//!
//! | written by            | long names, times, attributes | holes                                   |
//! |-----------------------|-------------------------------|-----------------------------------------|
//! | V7, POSIX (ustar)     | `prefix`                      | –                                       |
//! | GNU tar, own format   | entries `L` and `K`           | type `S`                                |
//! | pax                   | entries `x` and `g`           | keys `GNU.sparse.*`: 0.0, 0.1, 1.0       |

use super::error::{Error, Result};
use super::header::{self, BLOCK, Block, Header, Time};
use super::limits::{Limit, Limits};
use super::pax::{self, Extended};
use super::sparse::{self, InFront, Piece};
use super::stream::Stream;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Folder,
    Fifo,
}

/// An entry; its bytes, if it has any, are next in the stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: Time,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the file that it makes.
    pub size: u64,
    /// What is in the stream of a file with holes; without holes, it is all there.
    pub pieces: Option<Vec<Piece>>,
}

/// Reads entries off a stream.
pub(super) struct Archive<'a> {
    stream: &'a mut Stream,
    limits: &'a Limits,
    global: Extended,
    /// Of the last entry's bytes, what was not read, and what fills up its last block.
    unread: u64,
    padding: u64,
}

/// What stands before an entry's header.
#[derive(Default)]
struct Before {
    extended: Option<Extended>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(stream: &'a mut Stream, limits: &'a Limits) -> Self {
        Self { stream, limits, global: Extended::default(), unread: 0, padding: 0 }
    }

    /// The next entry; `None` at the end, which is two blocks of zeros or simply the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let mut before = Before::default();
        loop {
            self.skip_rest()?;
            let Some(block) = self.block()? else {
                return match before {
                    Before { extended: None, path: None, link: None } => Ok(None),
                    _ => Err(self.stream.malformed("it ends after an extended header")),
                };
            };
            let header = header::parse(&block).map_err(|problem| self.stream.malformed(problem))?;
            match header.kind {
                b'x' | b'X' => before.extended = Some(self.extended(&header)?),
                b'g' => {
                    let global = self.extended(&header)?;
                    self.global = global.over(&std::mem::take(&mut self.global));
                }
                b'L' => before.path = Some(self.long(&header)?),
                b'K' => before.link = Some(self.long(&header)?),
                // A label, nothing in the layer.
                b'V' => {
                    self.has(header.size);
                }
                _ => return self.entry(&block, header, before).map(Some),
            }
        }
    }

    /// Hands the bytes of the entry to `sink`, each with the place in the file where it belongs.
    pub(super) fn content(
        &mut self,
        entry: &Entry,
        mut sink: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let whole = [Piece { offset: 0, length: entry.size }];
        for piece in entry.pieces.as_deref().unwrap_or(&whole) {
            let mut at = piece.offset;
            self.stream.each(piece.length, |bytes| {
                sink(at, bytes)?;
                at += bytes.len() as u64;
                Ok(())
            })?;
            self.unread = self.unread.saturating_sub(piece.length);
        }
        Ok(())
    }

    fn entry(&mut self, block: &Block, header: Header, before: Before) -> Result<Entry> {
        let extended = before.extended.unwrap_or_default().over(&self.global);
        let kind = self.kind(&header)?;
        let path = before.path.unwrap_or(header.path);
        let path = extended.sparse.name.clone().or(extended.path.clone()).unwrap_or(path);
        // In V7, and as some programs still write it, a file whose name ends in a slash is a folder.
        let kind = if kind == Kind::File && path.ends_with(b"/") { Kind::Folder } else { kind };
        // Links, folders and devices have no bytes, whatever the size says; but those of GNU's incremental archives do.
        let stored = match kind {
            Kind::File => extended.size.unwrap_or(header.size),
            Kind::Folder if header.kind == b'D' => extended.size.unwrap_or(header.size),
            _ => 0,
        };
        self.has(stored);
        let (size, pieces) = match kind {
            Kind::File => self.pieces(block, header.kind, &extended, stored)?,
            _ => (0, None),
        };
        if size > self.limits.bytes {
            return Err(Error::TooMuch { limit: Limit::Bytes, most: self.limits.bytes });
        }
        let link = extended.link.or(before.link).unwrap_or(header.link);
        Ok(Entry {
            kind,
            path,
            link,
            mode: header.mode,
            uid: extended.uid.unwrap_or(header.uid),
            gid: extended.gid.unwrap_or(header.gid),
            mtime: extended.mtime.unwrap_or(header.mtime),
            device: header.device,
            xattrs: extended.xattrs,
            size,
            pieces,
        })
    }

    fn kind(&self, header: &Header) -> Result<Kind> {
        Ok(match header.kind {
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharacterDevice,
            b'4' => Kind::BlockDevice,
            b'5' | b'D' => Kind::Folder,
            b'6' => Kind::Fifo,
            b'M' => return Err(self.stream.malformed("a file goes on that began in another archive")),
            _ => return Err(self.stream.malformed("an entry has an unknown type")),
        })
    }

    /// How large a file is with its holes, and what of it is stored.
    fn pieces(
        &mut self,
        block: &Block,
        kind: u8,
        extended: &Extended,
        stored: u64,
    ) -> Result<(u64, Option<Vec<Piece>>)> {
        let sparse = &extended.sparse;
        let most = self.limits.header;
        let too_much = Error::TooMuch { limit: Limit::Header, most };
        let (size, numbers, stored) = if kind == b'S' {
            let mut old = sparse::Old::parse(block).map_err(|problem| self.stream.malformed(problem))?;
            while old.goes_on {
                let next = self.block_of_header()?;
                old.go_on(&next).map_err(|problem| self.stream.malformed(problem))?;
                if old.numbers.len() as u64 * 12 > most {
                    return Err(too_much);
                }
            }
            (old.size, old.numbers, stored)
        } else if sparse.version == Some((1, 0)) {
            let size = sparse.size.ok_or_else(|| self.stream.malformed("a file with holes has no size"))?;
            let (numbers, blocks) = self.map_in_front(stored)?;
            (size, numbers, stored - blocks * BLOCK as u64)
        } else if let Some(numbers) = &sparse.map {
            let size = sparse.size.ok_or_else(|| self.stream.malformed("a file with holes has no size"))?;
            (size, numbers.clone(), stored)
        } else {
            return Ok((stored, None));
        };
        let pieces =
            sparse::pieces(&numbers, size, stored).map_err(|problem| self.stream.malformed(problem))?;
        Ok((size, Some(pieces)))
    }

    /// The map of GNU's format 1.0: lines of decimal numbers in front of the data, filled up to whole blocks.
    fn map_in_front(&mut self, stored: u64) -> Result<(Vec<u64>, u64)> {
        let mut blocks = 0;
        let mut map = InFront::default();
        loop {
            if (blocks + 1) * BLOCK as u64 > stored {
                return Err(self.stream.malformed("a map of holes is longer than its file"));
            }
            if blocks * BLOCK as u64 > self.limits.header {
                return Err(Error::TooMuch { limit: Limit::Header, most: self.limits.header });
            }
            let block = self.block_of_header()?;
            self.unread -= BLOCK as u64;
            blocks += 1;
            if let Some(numbers) = map.add(&block).map_err(|problem| self.stream.malformed(problem))? {
                return Ok((numbers, blocks));
            }
        }
    }

    /// The lines of an extended header.
    fn extended(&mut self, header: &Header) -> Result<Extended> {
        let lines = self.bytes_of_header(header.size)?;
        Extended::parse(&lines).map_err(|problem: pax::Problem| self.stream.malformed(problem))
    }

    /// A name that is too long for its field.
    fn long(&mut self, header: &Header) -> Result<Vec<u8>> {
        let name = self.bytes_of_header(header.size)?;
        Ok(header::text(&name).to_vec())
    }

    fn bytes_of_header(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > self.limits.header {
            return Err(Error::TooMuch { limit: Limit::Header, most: self.limits.header });
        }
        self.has(size);
        let mut bytes = Vec::new();
        self.stream.each(size, |more| {
            bytes.extend_from_slice(more);
            Ok(())
        })?;
        self.unread = 0;
        Ok(bytes)
    }

    /// After the header that was read, there are `size` bytes.
    fn has(&mut self, size: u64) {
        self.unread = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<()> {
        let unread = std::mem::take(&mut self.unread);
        let padding = std::mem::take(&mut self.padding);
        self.stream.each(unread, |_| Ok(()))?;
        self.stream.each(padding, |_| Ok(()))
    }

    /// The next header; `None` at the end.
    fn block(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK];
        if !self.stream.read(&mut block)? {
            return Ok(None);
        }
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        let second = self.stream.read(&mut block)?;
        if second && block != [0; BLOCK] {
            return Err(self.stream.malformed("something follows on a block of zeros"));
        }
        Ok(None)
    }

    fn block_of_header(&mut self) -> Result<Block> {
        let mut block = [0; BLOCK];
        match self.stream.read(&mut block)? {
            true => Ok(block),
            false => Err(self.stream.malformed("it ends in the middle of a map of holes")),
        }
    }
}
