//! A layer's blob while it comes: a reader that counts and digests what it hands on, and keeps a copy where copies are
//! kept.

use crate::digest::{Digest, Hasher};
use crate::error::FetchError;
use bytes::{Buf as _, Bytes};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Where the bytes come from.
pub(crate) enum Origin {
    /// From a connection, piece by piece.
    Network { pieces: mpsc::Receiver<Vec<Bytes>>, now: std::vec::IntoIter<Bytes>, front: Bytes },
    /// From an archive that is imported.
    File(File),
}

/// A blob on its way. After it is read to its end, [`Incoming::finish`] tells whether it was the right one.
pub(crate) struct Incoming {
    origin: Origin,
    digest: Digest,
    size: u64,
    received: u64,
    hasher: Hasher,
    copy: Option<Copy>,
}

/// A copy in the making; removed unless it is completed.
pub(crate) struct Copy {
    file: File,
    from: PathBuf,
    to: PathBuf,
}

impl Origin {
    pub(crate) fn network(pieces: mpsc::Receiver<Vec<Bytes>>) -> Self {
        Origin::Network { pieces, now: Vec::new().into_iter(), front: Bytes::new() }
    }
}

impl Incoming {
    pub(crate) fn new(origin: Origin, digest: &Digest, size: u64, copy: Option<Copy>) -> Self {
        let hasher = digest.hasher();
        Self { origin, digest: digest.clone(), size, received: 0, hasher, copy }
    }

    /// Reads what is left, and tells whether all was right: size and digest. A copy becomes durable.
    pub(crate) fn finish(mut self) -> Result<(), FetchError> {
        // An archive ends before its blob does: padding, an index behind it.
        let read = io::copy(&mut self, &mut io::sink());
        if self.received != self.size {
            let (digest, expected, found) = (self.digest, self.size, self.received);
            return Err(FetchError::Size { digest, expected, found });
        }
        let io_error = |attempted, path: &Path| {
            let path = path.to_owned();
            move |cause| FetchError::Io { attempted, path, cause }
        };
        read.map_err(io_error("read", Path::new(self.digest.as_str())))?;
        let found = self.hasher.finish();
        if found != self.digest {
            return Err(FetchError::Mismatch { expected: self.digest, found });
        }
        if let Some(copy) = self.copy {
            let to = copy.to.clone();
            copy.complete().map_err(io_error("keep", &to))?;
        }
        Ok(())
    }

    fn next_piece(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.origin {
            Origin::File(file) => file.read(into),
            Origin::Network { pieces, now, front } => {
                while front.is_empty() {
                    match now.next() {
                        Some(piece) => *front = piece,
                        None => match pieces.blocking_recv() {
                            Some(more) => *now = more.into_iter(),
                            // The connection ended: whether it was to, its own side knows.
                            None => return Ok(0),
                        },
                    }
                }
                let length = front.len().min(into.len());
                front.copy_to_slice(&mut into[..length]);
                Ok(length)
            }
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.next_piece(into)?;
        if length == 0 && self.received < self.size && !into.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = &into[..length];
        self.received += length as u64;
        if self.received > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than its descriptor says"));
        }
        self.hasher.update(piece);
        if let Some(copy) = &mut self.copy {
            copy.file.write_all(piece)?;
        }
        Ok(length)
    }
}

impl Copy {
    /// Begins a copy in the folder `ingest` that will be `to`.
    pub(crate) fn begin(ingest: &Path, to: PathBuf) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let from = ingest.join(format!("blob-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Ok(Self { file: File::create_new(&from)?, from, to })
    }

    fn complete(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.from, &self.to)?;
        match self.to.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // After a rename there is nothing of that name.
        let _ = fs::remove_file(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(content: &[u8], digest: &Digest, size: u64, copy: Option<Copy>) -> Incoming {
        let (sender, receiver) = mpsc::channel(8);
        for piece in content.chunks(3) {
            sender.blocking_send(vec![Bytes::new(), Bytes::copy_from_slice(piece)]).unwrap();
        }
        Incoming::new(Origin::network(receiver), digest, size, copy)
    }

    #[test]
    fn a_blob_is_counted_and_digested() {
        let digest = Digest::of(b"some content");
        let mut reader = incoming(b"some content", &digest, 12, None);
        let mut text = [0; 5];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"some ");
        reader.finish().unwrap();
        let other = incoming(b"same content", &digest, 12, None).finish();
        assert!(matches!(other, Err(FetchError::Mismatch { .. })));
        let short = incoming(b"some", &digest, 12, None).finish();
        assert!(matches!(short, Err(FetchError::Size { found: 4, .. })));
        let long = incoming(b"some content and more", &digest, 12, None).finish();
        assert!(matches!(long, Err(FetchError::Size { .. })));
    }

    #[test]
    fn a_copy_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"some content");
        let to = folder.path().join("kept");
        let copy = || Some(Copy::begin(folder.path(), to.clone()).unwrap());
        incoming(b"same content", &digest, 12, copy()).finish().unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        incoming(b"some content", &digest, 12, copy()).finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"some content");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
