//! An archive spread out: blobs by their digests, the few documents that lead to them in memory.
//!
//! No name of the archive becomes a name on disk: blobs are called by digits that were checked, everything else by the
//! digest of its content.

use super::ArchiveError;
use crate::digest::{Digest, Hasher};
use crate::layers::blob_path;
use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tar::{Archive, Entry, EntryType};

/// Neither kind of archive has more: a few per layer.
const MAX_ENTRIES: u64 = 100_000;
/// `index.json` and `manifest.json`.
const MAX_DOCUMENT: u64 = 16 << 20;
/// Documents that lead to the others, kept in memory.
const DOCUMENTS: [&str; 3] = ["oci-layout", "index.json", "manifest.json"];
const BUFFER: usize = 256 << 10;

/// A spread out archive. Dropped, its folder is removed.
pub(super) struct Spool {
    folder: PathBuf,
    documents: HashMap<String, Vec<u8>>,
    /// What is not under `blobs/`: docker's old archives call layers `<id>/layer.tar`.
    files: HashMap<String, Filed>,
}

/// A file by its content.
#[derive(Debug, Clone)]
pub(super) struct Filed {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl Spool {
    /// Reads a stream to its end. Blocks.
    pub(super) fn fill(
        ingest: &Path,
        stream: Box<dyn Read + Send>,
        limit: u64,
    ) -> Result<Self, ArchiveError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = ingest.join(format!("import-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut spool = Self { folder, documents: HashMap::new(), files: HashMap::new() };
        for algorithm in ["sha256", "sha384", "sha512", "new"] {
            let path = spool.folder.join(algorithm);
            fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        let mut links = Vec::new();
        let mut archive = Archive::new(decompressed(stream).map_err(ArchiveError::Read)?);
        let (mut entries, mut left) = (0, limit);
        for entry in archive.entries().map_err(ArchiveError::Read)? {
            let mut entry = entry.map_err(ArchiveError::Read)?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(ArchiveError::TooMuch { what: "entries", limit: MAX_ENTRIES });
            }
            let name = name(&entry)?;
            left = left.checked_sub(entry.size()).ok_or(ArchiveError::TooMuch { what: "bytes", limit })?;
            match entry.header().entry_type() {
                EntryType::Directory => {}
                EntryType::Regular | EntryType::Continuous => spool.take(name, &mut entry)?,
                EntryType::Symlink => {
                    let target = entry.link_name().map_err(ArchiveError::Read)?;
                    let target = target.map(|target| resolved(&name, &target)).unwrap_or_default();
                    links.push((name, target));
                }
                _ => return Err(refused(&name, "is neither a file nor a folder")),
            }
        }
        // Docker's old archives write a layer once, and links to it.
        for (name, target) in links {
            let filed = spool.files.get(&target).cloned().ok_or(ArchiveError::Missing(target))?;
            spool.files.insert(name, filed);
        }
        Ok(spool)
    }

    /// The folder with a file for each blob.
    pub(super) fn blobs(&self) -> &Path {
        &self.folder
    }

    /// `index.json` or `manifest.json`.
    pub(super) fn document(&self, name: &str) -> Option<&[u8]> {
        self.documents.get(name).map(Vec::as_slice)
    }

    /// A file by its name in the archive, wherever it lies.
    pub(super) fn file(&self, name: &str) -> Option<Filed> {
        if let Some(digest) = blob_name(name) {
            let size = fs::metadata(blob_path(&self.folder, &digest)).ok()?.len();
            return Some(Filed { digest, size });
        }
        self.files.get(name).cloned()
    }

    fn take(&mut self, name: String, entry: &mut impl Read) -> Result<(), ArchiveError> {
        if DOCUMENTS.contains(&name.as_str()) {
            let mut content = Vec::new();
            entry.take(MAX_DOCUMENT + 1).read_to_end(&mut content).map_err(ArchiveError::Read)?;
            if content.len() as u64 > MAX_DOCUMENT {
                return Err(ArchiveError::TooMuch { what: "bytes in a document", limit: MAX_DOCUMENT });
            }
            self.documents.insert(name, content);
            return Ok(());
        }
        if let Some(digest) = blob_name(&name) {
            let path = blob_path(&self.folder, &digest);
            // Its digest is checked by whoever reads it.
            write(&path, entry, None)?;
            return Ok(());
        }
        let path = self.folder.join("new").join("file");
        let mut hasher = Digest::of(b"").hasher();
        let size = write(&path, entry, Some(&mut hasher))?;
        let digest = hasher.finish();
        let to = blob_path(&self.folder, &digest);
        fs::rename(&path, &to).map_err(failed("name", &to))?;
        self.files.insert(name, Filed { digest, size });
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            log::warn!("{} stays until the next start: {error}", self.folder.display());
        }
    }
}

/// A stream, decompressed if its first bytes say that it is compressed.
fn decompressed(stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let start = io::BufRead::fill_buf(&mut stream)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(stream)));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(stream)?));
    }
    Ok(Box::new(stream))
}

fn write(path: &Path, content: &mut impl Read, mut hasher: Option<&mut Hasher>) -> Result<u64, ArchiveError> {
    let mut file = File::create(path).map_err(failed("write", path))?;
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let length = content.read(&mut buffer).map_err(ArchiveError::Read)?;
        let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { return Ok(size) };
        if let Some(hasher) = hasher.as_deref_mut() {
            hasher.update(piece);
        }
        file.write_all(piece).map_err(failed("write", path))?;
        size += length as u64;
    }
}

/// An entry's name without `./` and a slash at its end.
fn name<R: Read>(entry: &Entry<'_, R>) -> Result<String, ArchiveError> {
    let bytes = entry.path_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let name = text.trim_start_matches("./").trim_end_matches('/');
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(refused(name, "leads out of it"));
    }
    Ok(name.to_owned())
}

/// The digest that a name `blobs/sha256/…` says.
fn blob_name(name: &str) -> Option<Digest> {
    let (algorithm, digits) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{digits}").parse().ok()
}

/// Where a link leads, within the archive.
fn resolved(name: &str, target: &Path) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    let target = target.to_string_lossy();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn refused(path: &str, problem: &'static str) -> ArchiveError {
    ArchiveError::Entry { path: path.chars().take(200).collect(), problem }
}

fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |cause| ArchiveError::Io { attempted, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Box<dyn Read + Send> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            // Names that the builder itself would refuse.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            if *kind == EntryType::Symlink {
                header.set_link_name(std::str::from_utf8(content).unwrap()).unwrap();
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, io::empty()).unwrap();
            } else {
                header.set_size(content.len() as u64);
                header.set_cksum();
                builder.append(&header, *content).unwrap();
            }
        }
        Box::new(io::Cursor::new(builder.into_inner().unwrap()))
    }

    fn fill(
        entries: &[(&str, EntryType, &[u8])],
        limit: u64,
    ) -> (tempfile::TempDir, Result<Spool, ArchiveError>) {
        let ingest = tempfile::tempdir().unwrap();
        let spool = Spool::fill(ingest.path(), archive(entries), limit);
        (ingest, spool)
    }

    #[test]
    fn an_archive_is_spread_out_and_gone_again() {
        let blob = Digest::of(b"blob");
        let blob_name = format!("./blobs/sha256/{}", blob.digits());
        let (ingest, spool) = fill(
            &[
                ("index.json", EntryType::Regular, b"{}"),
                (&blob_name, EntryType::Regular, b"blob"),
                ("a/layer.tar", EntryType::Regular, b"layer"),
                ("b/layer.tar", EntryType::Symlink, b"../a/layer.tar"),
            ],
            1000,
        );
        let spool = spool.unwrap();
        assert_eq!(spool.document("index.json"), Some(&b"{}"[..]));
        assert_eq!(spool.file(&blob_name[2..]).unwrap().size, 4);
        assert_eq!(spool.file("b/layer.tar").unwrap().digest, Digest::of(b"layer"));
        assert_eq!(fs::read(blob_path(spool.blobs(), &Digest::of(b"layer"))).unwrap(), b"layer");
        drop(spool);
        assert_eq!(fs::read_dir(ingest.path()).unwrap().count(), 0);
    }

    #[test]
    fn hostile_archives_are_refused_and_leave_nothing() {
        let file = EntryType::Regular;
        let digits = "a".repeat(62);
        let cases: [&[(&str, EntryType, &[u8])]; 6] = [
            &[("../x", file, b"")],
            &[("/etc/x", file, b"")],
            &[("a/../../x", file, b"")],
            &[("x", EntryType::Block, b"")],
            &[("x", EntryType::Symlink, b"../../../etc/passwd")],
            &[("x", file, &[0; 2000])],
        ];
        for case in cases {
            let (ingest, spool) = fill(case, 1000);
            assert!(spool.is_err(), "{:?}", case[0].0);
            assert_eq!(fs::read_dir(ingest.path()).unwrap().count(), 0);
        }
        // A name that is no digest is just a file, called by its content.
        let odd = format!("blobs/sha256/{digits}xx");
        let (_ingest, spool) = fill(&[(&odd, file, b"odd")], 1000);
        assert_eq!(spool.unwrap().file(&odd).unwrap().digest, Digest::of(b"odd"));
    }
}
