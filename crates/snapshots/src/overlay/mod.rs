//! Layers as folders, put together by overlayfs.
//!
//! ```text
//! ROOT/lock          held by the process that uses ROOT
//! ROOT/l/3f          the files of a layer: overlayfs gets this path, so it is short
//! ROOT/l/3f.json     its record, which makes it a layer
//! ROOT/s/a/{u,w}     what a container has written, and overlayfs' own folder beside it
//! ROOT/s/a/record.json
//! ROOT/t/17          a draft, a spare root, or what is being deleted: nobody's after a crash
//! ROOT/e             empty
//! ```
//! Numbers are in base 36, and the lowest that is free is taken: 127 layers then fit the page of options that mount(2)
//! takes, if ROOT has at most 25 bytes.
//!
//! | what is done    | in this order                                                                       |
//! |-----------------|-------------------------------------------------------------------------------------|
//! | commit a layer  | sync the file system · move the draft to `l` · write the record, synced             |
//! | remove a layer  | remove its record · move the folder to `t` · sync `l` · delete                      |
//! | prepare a root  | move a spare folder from `t` to `s`, or make it · write the record                  |
//! | remove a root   | move `s/N` to `t` · delete                                                          |
//!
//! Whatever of this is cut off leaves a folder without a record, a record without a folder, or something in `t`;
//! [`Overlay::open`] sweeps all three. Preparing syncs nothing: what a container writes is lost with the host anyway
//! (its root is mounted `volatile`), so a root whose record was lost with it is one that nobody will ask for.

mod index;
mod layers;
mod options;
mod reaper;
mod records;
mod roots;
mod spares;

use crate::draft::{Attributes, Draft};
use crate::error::{Error, Result, io_error};
use crate::stack::{Entry, Lost, Stack};
use crate::{ChainId, LayerInfo, Mount, Prepare, SnapshotInfo, Snapshotter, Usage};
use index::Index;
use options::Flavour;
use reaper::Reaper;
use rustix::fs::FlockOperation;
use spares::Spares;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the user may want of overlayfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Mount containers' roots `volatile`: nothing they write is synced, not even when they ask for it. A container does
    /// not survive the host's crash, and neither does its root then. On by default.
    pub volatile: bool,
    /// Mount them with `metacopy=on`: a changed owner or mode does not copy the file. Off by default, as what a
    /// container has changed can then not be read from its writable folder alone, as checkpoint archives do. Safe with
    /// layers from anywhere, as unpacking lets no attribute of overlayfs through. What the kernel does by default is
    /// left to it.
    pub metacopy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { volatile: true, metacopy: false }
    }
}

/// The snapshotter `overlay`.
pub struct Overlay {
    root: PathBuf,
    flavour: Flavour,
    /// This run of the host's kernel.
    boot: String,
    index: Mutex<Index>,
    /// Held while a layer is committed or removed; both are rare.
    layers_change: Mutex<()>,
    spares: Spares,
    reaper: Reaper,
    _lock: Lock,
}

impl Overlay {
    /// Opens the folder, which is made if it is not there, and sweeps what an earlier process left half done.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, Settings::default())
    }

    /// As [`Overlay::open`], with the user's settings.
    pub fn open_with(root: &Path, settings: Settings) -> Result<Self> {
        for folder in [root.to_owned(), root.join("l"), root.join("s"), root.join("e")] {
            let mut private = fs::DirBuilder::new();
            private.recursive(true).mode(0o700);
            private.create(&folder).map_err(io_error("create", &folder))?;
        }
        let root = root.canonicalize().map_err(io_error("find", root))?;
        let lock = Lock::take(&root)?;
        let attributes = attributes();
        let volatile = settings.volatile && kernel_at_least(5, 10);
        let flavour = Flavour { attributes, volatile, metacopy: settings.metacopy };
        let boot = Path::new("/proc/sys/kernel/random/boot_id");
        let boot = fs::read_to_string(boot).map_err(io_error("read", boot))?.trim().to_owned();
        let reaper = Reaper::start(&root.join("t"))?;
        let index = index::load(&root, reaper.bin())?;
        let spares = Spares::start(reaper.bin().clone())?;
        let (index, layers_change) = (Mutex::new(index), Mutex::new(()));
        Ok(Self { root, flavour, boot, index, layers_change, spares, reaper, _lock: lock })
    }

    /// Waits until everything that was removed so far has left the disk.
    pub fn wait_deleted(&self) {
        self.reaper.bin().wait_empty();
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // No call leaves the index half changed.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stack(&self, chain: &ChainId) -> Result<Stack> {
        Ok(Stack::new(self.layer_folders(chain)?, self.flavour.attributes))
    }
}

impl Snapshotter for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn has_layer(&self, chain: &ChainId) -> Result<bool> {
        Ok(self.index().layer(chain).is_ok())
    }

    fn begin_layer(&self, chain: &ChainId) -> Result<Draft> {
        layers::begin(self, chain)
    }

    fn commit_layer(&self, draft: Draft, parent: Option<&ChainId>, usage: Usage) -> Result<()> {
        layers::commit(self, draft, parent, usage)
    }

    fn layer_folders(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        let numbers = self.index().numbers_of(chain)?;
        Ok(numbers.into_iter().map(|number| layers::folder(&self.root, number)).collect())
    }

    fn prepare(&self, key: &str, parent: &ChainId, options: &Prepare) -> Result<Vec<Mount>> {
        roots::prepare(self, key, parent, options)
    }

    fn view(&self, parent: &ChainId, sub_path: &str) -> Result<Vec<Mount>> {
        let problem = |problem| Error::NotMountable { path: sub_path.to_owned(), problem };
        let entry = self.stack(parent)?.resolve(Path::new(sub_path)).map_err(|lost| match lost {
            Lost::NotFound => Error::NotInImage { path: sub_path.to_owned() },
            Lost::NotAFolder => problem("goes on below something that is no folder"),
            Lost::Links => problem("leads through more symbolic links than the kernel follows"),
            Lost::Io(cause) => io_error("look in the image for", Path::new(sub_path))(cause),
        })?;
        let utf8 = |path: &PathBuf| path.to_str().is_some();
        match entry {
            Entry::Folder(folder) if folder.folders().iter().all(utf8) => {
                let empty = self.root.join("e");
                Ok(vec![options::mount(folder.folders(), &empty, None, None, self.flavour)])
            }
            Entry::File { path, metadata } if metadata.is_file() && utf8(&path) => {
                Ok(vec![options::bind(&path)])
            }
            Entry::File { metadata, .. } if metadata.file_type().is_block_device() => {
                Err(problem("is a device"))
            }
            Entry::File { metadata, .. } if !metadata.is_file() => {
                Err(problem("is neither a folder nor a regular file"))
            }
            Entry::File { .. } | Entry::Folder(_) => Err(problem("leads to a name that is not UTF-8")),
        }
    }

    fn mounts(&self, key: &str) -> Result<Vec<Mount>> {
        roots::mounts(self, key)
    }

    fn remove(&self, key: &str) -> Result<()> {
        roots::remove(self, key)
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        roots::usage(self, key)
    }

    fn layer_usage(&self, chain: &ChainId) -> Result<Usage> {
        Ok(self.index().layer(chain)?.usage)
    }

    fn layers(&self) -> Result<Vec<LayerInfo>> {
        Ok(self.index().layers())
    }

    fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.index().snapshots())
    }

    fn remove_layer(&self, chain: &ChainId) -> Result<()> {
        layers::remove(self, chain)
    }
}

/// Keeps other processes out: they would sweep our drafts.
struct Lock(File);

impl Lock {
    fn take(root: &Path) -> Result<Self> {
        let path = root.join("lock");
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(io_error("open", &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(root.to_owned())),
            Err(cause) => Err(io_error("lock", &path)(cause)),
        }
    }
}

impl Drop for Lock {
    /// Closing is not enough: a program that is being started at this moment still has the descriptor.
    fn drop(&mut self) {
        // Closing comes next, which cannot fail.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// The host's root marks folders by attributes that nobody else can write; in a user namespace there is no such root.
fn attributes() -> Attributes {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if whole && rustix::process::geteuid().is_root() { Attributes::Trusted } else { Attributes::User }
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}
