//! Gets an image's layers, several at once: each goes from its source through digest and decompression into a folder in
//! one pass, on a thread of its own; then they are committed from the lowest up.
//!
//! ```text
//! connection ─▶ a few pieces ─▶ count, digest ─▶ decompress, digest ─▶ folder ─ settle, commit when the one below is
//! └──────── async ────────┘     └───────────────────── one thread per layer ──────────────────────┘
//! ```

use crate::digest::Digest;
use crate::error::FetchError;
use crate::images::Kept;
use crate::incoming::{Copy, Incoming, Origin};
use crate::manifest::Descriptor;
use crate::plan::{Content, Planned};
use crate::registry::Repository;
use crate::unpack::{self, Unpacked};
use futures_util::{StreamExt as _, TryStreamExt as _};
use snapshots::{Draft, Usage};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How many batches of pieces may wait for a layer's thread: enough to bridge its longer steps.
const WAITING: usize = 8;

/// What happens to a layer, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The layer, by its blob.
    pub layer: &'a Digest,
    /// What happens.
    pub step: Step,
    /// How many bytes have come.
    pub received: u64,
    /// How many will.
    pub total: u64,
}

/// What happens to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is there already.
    Exists,
    /// It comes, and is unpacked as it comes.
    Fetching,
    /// It is there now.
    Done,
}

/// Where blobs come from.
pub(crate) enum Source {
    /// A registry.
    Registry(Repository),
    /// A folder with a file for each blob: `sha256/…`.
    Folder(PathBuf),
}

/// Gets all layers that are not there. Those that are committed when another fails stay, as garbage.
pub(crate) async fn get(
    kept: &Arc<Kept>,
    source: &Source,
    layers: &[Planned],
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), FetchError> {
    // Each layer's commit waits for the one below. They begin from the lowest up, so the lowest that is not done never
    // waits for one that has not begun.
    let mut below = Committed::already();
    let mut works = Vec::with_capacity(layers.len());
    for (at, layer) in layers.iter().enumerate() {
        let (done, committed) = watch::channel(false);
        let parent = at.checked_sub(1).and_then(|at| layers.get(at));
        let work = Work { kept, source, layer, parent, below, progress };
        below = Committed(Some(committed));
        works.push(async move {
            work.run().await?;
            // Nobody may be waiting.
            let _ = done.send(true);
            Ok::<(), FetchError>(())
        });
    }
    futures_util::stream::iter(works).buffer_unordered(kept.config.parallel.max(1)).try_collect().await
}

/// Tells when the layer below is committed.
#[derive(Clone)]
struct Committed(Option<watch::Receiver<bool>>);

impl Committed {
    fn already() -> Self {
        Self(None)
    }

    async fn wait(&mut self, layer: &Digest) -> Result<(), FetchError> {
        let Some(receiver) = &mut self.0 else { return Ok(()) };
        let result = receiver.wait_for(|committed| *committed).await;
        result.map(drop).map_err(|_| FetchError::Interrupted(layer.clone()))
    }
}

struct Work<'a> {
    kept: &'a Arc<Kept>,
    source: &'a Source,
    layer: &'a Planned,
    parent: Option<&'a Planned>,
    below: Committed,
    progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl Work<'_> {
    async fn run(mut self) -> Result<(), FetchError> {
        let _turn = self.kept.leases.fetch(&self.layer.chain).await;
        let is_there = self.snapshotter(self.kept.snapshotter.has_layer(&self.layer.chain))?;
        let copy_to = self.kept.copy_path(&self.layer.digest);
        let lacks_copy = copy_to.is_some_and(|path| !path.exists()) && self.layer.content != Content::Nothing;
        if is_there && !lacks_copy {
            self.report(Step::Exists, self.layer.size);
            return Ok(());
        }
        self.report(Step::Fetching, 0);
        let folder = self.unpacked(is_there).await?;
        if let Some(folder) = folder {
            self.below.wait(&self.layer.digest).await?;
            self.commit(folder).await?;
        }
        self.report(Step::Done, self.layer.size);
        Ok(())
    }

    /// Fetches the layer into a folder; if only its copy is missing, into none.
    async fn unpacked(&self, is_there: bool) -> Result<Option<Filled>, FetchError> {
        let layer = self.layer;
        if layer.content == Content::Nothing {
            let draft = self.snapshotter(self.kept.snapshotter.begin_layer(&layer.chain))?;
            return Ok(Some(Filled { draft, needs: Needs::Nothing(Usage { bytes: 0, inodes: 1 }) }));
        }
        match self.source {
            Source::Folder(folder) => {
                let path = blob_path(folder, &layer.digest);
                let io_error = |cause| FetchError::Io { attempted: "open", path: path.clone(), cause };
                let origin = Origin::File(File::open(&path).map_err(io_error)?);
                self.on_thread(origin, is_there).await
            }
            Source::Registry(repository) => {
                let (sender, pieces) = mpsc::channel(WAITING);
                let came = |received| self.report(Step::Fetching, received);
                let fetching = repository.blob(&layer.digest, layer.size, sender, &came);
                let unpacking = self.on_thread(Origin::network(pieces), is_there);
                let (fetched, unpacked) = tokio::join!(fetching, unpacking);
                // What the network said is the reason for what the thread then says.
                fetched.map_err(FetchError::Registry)?;
                unpacked
            }
        }
    }

    async fn on_thread(&self, origin: Origin, is_there: bool) -> Result<Option<Filled>, FetchError> {
        let (kept, layer) = (Arc::clone(self.kept), self.layer.clone());
        let thread = tokio::task::spawn_blocking(move || fill(&kept, &layer, origin, is_there));
        thread.await.map_err(|_| FetchError::Interrupted(self.layer.digest.clone()))?
    }

    async fn commit(&self, filled: Filled) -> Result<(), FetchError> {
        let (kept, layer) = (Arc::clone(self.kept), self.layer.clone());
        let parent = self.parent.map(|parent| parent.chain.clone());
        let thread = tokio::task::spawn_blocking(move || {
            let snapshotter = |cause| FetchError::Snapshotter { digest: layer.digest.clone(), cause };
            let usage = match filled.needs {
                Needs::Nothing(usage) => usage,
                Needs::LowerLayers(unpacked) => {
                    let lower = match &parent {
                        None => Vec::new(),
                        Some(parent) => kept.snapshotter.layer_folders(parent).map_err(snapshotter)?,
                    };
                    let failed = |cause| FetchError::Unpack { digest: layer.digest.clone(), cause };
                    unpacked.settle(&lower).map_err(failed)?
                }
            };
            kept.snapshotter.commit_layer(filled.draft, parent.as_ref(), usage).map_err(snapshotter)
        });
        thread.await.map_err(|_| FetchError::Interrupted(self.layer.digest.clone()))?
    }

    fn report(&self, step: Step, received: u64) {
        let Planned { digest, size, .. } = self.layer;
        (self.progress)(Progress { layer: digest, step, received, total: *size });
    }

    fn snapshotter<T>(&self, result: snapshots::Result<T>) -> Result<T, FetchError> {
        result.map_err(|cause| FetchError::Snapshotter { digest: self.layer.digest.clone(), cause })
    }
}

/// A folder with a layer's content.
struct Filled {
    draft: Draft,
    needs: Needs,
}

/// What is to be done before it can be committed.
enum Needs {
    Nothing(Usage),
    LowerLayers(Box<Unpacked>),
}

/// Reads a blob to its end; into a folder, unless the layer is there and only a copy of the blob is wanted.
fn fill(kept: &Kept, layer: &Planned, origin: Origin, is_there: bool) -> Result<Option<Filled>, FetchError> {
    let copy = match kept.copy_path(&layer.digest) {
        Some(to) if !to.exists() => {
            let ingest = kept.ingest();
            let failed = |cause| FetchError::Io { attempted: "make a file in", path: ingest.clone(), cause };
            Some(Copy::begin(&ingest, to).map_err(failed)?)
        }
        _ => None,
    };
    let mut incoming = Incoming::new(origin, &layer.digest, layer.size, copy);
    if is_there {
        incoming.finish()?;
        return Ok(None);
    }
    let failed = |cause| FetchError::Snapshotter { digest: layer.digest.clone(), cause };
    let draft = kept.snapshotter.begin_layer(&layer.chain).map_err(failed)?;
    let needs = match &layer.content {
        Content::Archive { diff_id } => {
            let options =
                unpack::Options { limits: kept.config.limits.clone(), ..unpack::Options::default() };
            let unpacked = unpack::unpack_draft(&mut incoming, &draft, &options);
            match unpacked {
                Ok(unpacked) => {
                    incoming.finish()?;
                    check_diff_id(layer, diff_id.as_ref(), &unpacked)?;
                    Needs::LowerLayers(Box::new(unpacked))
                }
                // A blob that is not the right one fails in many ways; that it is not is what to say. What is
                // refused for another reason is not fetched to its end.
                Err(cause) => {
                    let of_source = matches!(cause, unpack::Error::Source(_));
                    let of_bytes =
                        matches!(cause, unpack::Error::Compressed { .. } | unpack::Error::Malformed { .. });
                    if (of_source || of_bytes)
                        && let Err(wrong) = incoming.finish()
                        && (of_source || matches!(wrong, FetchError::Mismatch { .. }))
                    {
                        return Err(wrong);
                    }
                    return Err(FetchError::Unpack { digest: layer.digest.clone(), cause });
                }
            }
        }
        Content::File(path) => {
            let path = draft.folder().join(path);
            let failed = |cause| FetchError::Io { attempted: "write", path: path.clone(), cause };
            let inodes = write_file(draft.folder(), &path, &mut incoming).map_err(failed)?;
            incoming.finish()?;
            Needs::Nothing(Usage { bytes: layer.size, inodes })
        }
        Content::Nothing => Needs::Nothing(Usage { bytes: 0, inodes: 1 }),
    };
    Ok(Some(Filled { draft, needs }))
}

fn check_diff_id(layer: &Planned, expected: Option<&Digest>, unpacked: &Unpacked) -> Result<(), FetchError> {
    match expected {
        Some(expected) if expected.as_str() != unpacked.diff_id() => Err(FetchError::DiffId {
            digest: layer.digest.clone(),
            expected: expected.clone(),
            found: unpacked.diff_id().to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Writes a file of an artifact into a fresh folder; tells how many things are in it then.
fn write_file(folder: &Path, path: &Path, content: &mut Incoming) -> io::Result<u64> {
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent)?;
    let mut file = File::create_new(path)?;
    io::copy(content, &mut file)?;
    let made = parent.strip_prefix(folder).map_or(0, |made| made.components().count());
    Ok(2 + made as u64)
}

/// Where a blob lies below a folder `blobs`.
pub(crate) fn blob_path(blobs: &Path, digest: &Digest) -> PathBuf {
    blobs.join(digest.algorithm()).join(digest.digits())
}

/// A small blob of an archive, whole and checked.
pub(crate) fn small_file(blobs: &Path, descriptor: &Descriptor, limit: usize) -> Result<Vec<u8>, FetchError> {
    use std::io::Read as _;
    let path = blob_path(blobs, &descriptor.digest);
    let failed = |cause| FetchError::Io { attempted: "read", path: path.clone(), cause };
    let mut content = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 != descriptor.size || content.len() > limit {
        let (expected, found) = (descriptor.size, content.len() as u64);
        return Err(FetchError::Size { digest: descriptor.digest.clone(), expected, found });
    }
    if !descriptor.digest.is_of(&content) {
        let found = Digest::of(&content);
        return Err(FetchError::Mismatch { expected: descriptor.digest.clone(), found });
    }
    Ok(content)
}
