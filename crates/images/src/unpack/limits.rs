//! What one layer may take.

/// The most that a layer may be; one that is more is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of all its files together with their holes.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// How many times larger the uncompressed archive may be than the compressed one, once it is larger than
    /// [`Limits::RATIO_FROM`]. What gzip can do at all is 1,032.
    pub ratio: u64,
    /// Folders in one path.
    pub depth: usize,
    /// Bytes in one path, and in the target of one link.
    pub path: usize,
    /// Bytes of one entry's extended header: long names and extended attributes.
    pub header: u64,
}

/// Which limit a layer is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::entries`].
    Entries,
    /// [`Limits::ratio`].
    Ratio,
    /// [`Limits::depth`].
    Depth,
    /// [`Limits::path`].
    Path,
    /// [`Limits::header`].
    Header,
}

impl Limits {
    /// Small archives may be compressed as well as they like: they fill no disk.
    pub const RATIO_FROM: u64 = 256 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 4_000_000, ratio: 1_100, depth: 255, path: 4_095, header: 1 << 20 }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Limit::Bytes => "bytes",
            Limit::Entries => "entries",
            Limit::Ratio => "times the compressed size",
            Limit::Depth => "folders in a path",
            Limit::Path => "bytes in a path",
            Limit::Header => "bytes in an entry's header",
        })
    }
}
