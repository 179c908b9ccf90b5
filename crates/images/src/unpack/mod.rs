//! A layer's archive becomes a folder, in one pass: decompressed, digested and written as it arrives.
//!
//! The archive is hostile until proven otherwise: nothing it says leads out of the folder, and what it may take is
//! limited. Layers of one image are unpacked in any order and at once, so what a layer takes from those below it – the
//! attributes of folders it does not list, files it links to – waits for [`Unpacked::settle`].
//!
//! ```text
//! reader ─▶ compression ─▶ stream (digest, limits) ─▶ archive: header, pax, sparse ─▶ write: cursor, attributes ─▶ folder
//!           └────────── a thread of its own ──────┘   └───────────── the caller's thread ─────────────┘
//! ```

mod archive;
mod attributes;
mod compression;
mod cursor;
mod error;
mod header;
mod limits;
mod pax;
mod settle;
mod sparse;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use error::{Error, Result};
pub use limits::{Limit, Limits};

use archive::Archive;
use settle::Unsettled;
use snapshots::{Attributes, Draft, IdMaps, Usage};
use std::io::Read;
use std::path::{Path, PathBuf};
use write::Writer;

/// How to unpack.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the layer may take.
    pub limits: Limits,
    /// Owners become those that these maps make of them; without maps, they stay.
    pub shift: Option<IdMaps>,
    /// How deletions are marked: as the snapshotter's draft says.
    pub attributes: Attributes,
}

/// A layer's folder, and what it still needs of the layers below.
#[derive(Debug)]
pub struct Unpacked {
    diff_id: String,
    bytes: u64,
    folder: PathBuf,
    options: Options,
    unsettled: Unsettled,
}

/// Unpacks the archive that `reader` has into the empty `folder`. Whether it is compressed, and how, its first bytes
/// say. After an error the folder is to be removed with what is in it.
///
/// The reader is read to its end, by another thread.
pub fn unpack(reader: impl Read + Send, folder: &Path, options: &Options) -> Result<Unpacked> {
    let writer = Writer::new(folder, options)?;
    let (unsettled, whole) = stream::through(reader, &options.limits, |stream| {
        writer.all(&mut Archive::new(stream, &options.limits))
    })?;
    let (folder, options) = (folder.to_owned(), options.clone());
    Ok(Unpacked { diff_id: whole.digest, bytes: whole.bytes, folder, options, unsettled })
}

/// [`unpack`] into a draft, with deletions marked as it wants them.
pub fn unpack_draft(reader: impl Read + Send, draft: &Draft, options: &Options) -> Result<Unpacked> {
    unpack(reader, draft.folder(), &Options { attributes: draft.attributes(), ..options.clone() })
}

impl Unpacked {
    /// The digest of the uncompressed archive, with its `sha256:`.
    pub fn diff_id(&self) -> &str {
        &self.diff_id
    }

    /// How long the uncompressed archive is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes from the layers below (folders, top first; none for the lowest layer) what the layer needs of them, and
    /// tells what it occupies. To be called once, when these layers are committed and before this one is.
    pub fn settle(self, lower: &[PathBuf]) -> Result<Usage> {
        settle::settle(&self.folder, lower, &self.options, self.unsettled)
    }
}
