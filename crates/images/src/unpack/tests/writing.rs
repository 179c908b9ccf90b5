//! Archives byte by byte, also such as no program writes.

use crate::unpack::header::BLOCK;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A header with these fields, and `data` after it.
    pub(super) fn entry(mut self, kind: u8, path: &str, link: &str, data: &[u8]) -> Self {
        self.bytes.extend(header(kind, path, link, data.len() as u64));
        self.data(data)
    }

    pub(super) fn file(self, path: &str, data: &str) -> Self {
        self.entry(b'0', path, "", data.as_bytes())
    }

    pub(super) fn folder(self, path: &str) -> Self {
        self.entry(b'5', path, "", b"")
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path, target, b"")
    }

    pub(super) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path, target, b"")
    }

    /// An extended header.
    pub(super) fn pax(self, kind: u8, keys: &[(&str, &str)]) -> Self {
        let lines: String = keys.iter().map(|(key, value)| line(key, value)).collect();
        self.entry(kind, "pax", "", lines.as_bytes())
    }

    /// A block as it is.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Data, filled up to whole blocks.
    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// With the two blocks that end it.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 2 * BLOCK]);
        self.bytes
    }

    /// Without them.
    pub(super) fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

fn line(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while format!("{length}{rest}").len() != length {
        length = format!("{length}{rest}").len();
    }
    format!("{length}{rest}")
}

/// A header of mode 0644 or 0755, owner 0, with a right checksum.
pub(super) fn header(kind: u8, path: &str, link: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
    block[100..108].copy_from_slice(if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"14524560000\0");
    block[156] = kind;
    block[157..157 + link.len().min(100)].copy_from_slice(&link.as_bytes()[..link.len().min(100)]);
    block[257..265].copy_from_slice(b"ustar\x0000");
    with_checksum(block)
}

/// The block with the checksum that it should have.
pub(super) fn with_checksum(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
