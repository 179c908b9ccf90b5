//! A snapshotter without overlayfs: each root is a copy of what the layers have. Slow, and as plain as the contract can
//! be kept.

use crate::draft::Attributes;
use crate::error::io_error;
use crate::stack::{Entry, Lost, Stack};
use crate::{ChainId, Draft, Error, LayerInfo, Mount, Prepare, Result, SnapshotInfo, Snapshotter, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Layers as folders, roots as copies, and one file that lists both.
pub struct Copies {
    root: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Table {
    last: u64,
    layers: BTreeMap<ChainId, Layer>,
    roots: BTreeMap<String, Root>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Layer {
    folder: PathBuf,
    parent: Option<ChainId>,
    usage: (u64, u64),
}

#[derive(Clone, Serialize, Deserialize)]
struct Root {
    folder: PathBuf,
    parent: ChainId,
    read_only: bool,
    /// What the image occupies in the copy.
    image: (u64, u64),
}

impl Copies {
    /// Opens the folder.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(io_error("create", root))?;
        let table = fs::read(root.join("table")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self { root: root.to_owned(), table: Mutex::new(table.unwrap_or_default()) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, table: &Table) -> Result<()> {
        let path = self.root.join("table");
        let bytes = serde_json::to_vec(table).unwrap_or_default();
        fs::write(&path, bytes).map_err(io_error("write", &path))
    }

    fn fresh(&self, table: &mut Table) -> Result<PathBuf> {
        table.last += 1;
        let folder = self.root.join(table.last.to_string());
        fs::create_dir(&folder).map_err(io_error("create", &folder))?;
        self.save(table)?;
        Ok(folder)
    }
}

impl Table {
    fn layer(&self, chain: &ChainId) -> Result<&Layer> {
        self.layers.get(chain).ok_or_else(|| Error::NoLayer(chain.clone()))
    }

    fn root(&self, key: &str) -> Result<&Root> {
        self.roots.get(key).ok_or_else(|| Error::NoSnapshot(key.to_owned()))
    }

    fn folders(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        let mut layer = self.layer(chain)?;
        let mut folders = vec![layer.folder.clone()];
        while let Some(parent) = &layer.parent {
            layer = self.layer(parent)?;
            folders.push(layer.folder.clone());
        }
        Ok(folders)
    }
}

impl Snapshotter for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn has_layer(&self, chain: &ChainId) -> Result<bool> {
        Ok(self.table().layers.contains_key(chain))
    }

    fn begin_layer(&self, chain: &ChainId) -> Result<Draft> {
        let folder = self.fresh(&mut self.table())?;
        // Without a word about an error: there is nobody to hear it.
        let discard = |folder: PathBuf| drop(fs::remove_dir_all(folder));
        Ok(Draft::new(chain.clone(), folder, Attributes::Trusted, discard))
    }

    fn commit_layer(&self, draft: Draft, parent: Option<&ChainId>, usage: Usage) -> Result<()> {
        let mut table = self.table();
        if table.layers.contains_key(draft.chain()) {
            return Ok(());
        }
        if let Some(parent) = parent {
            table.layer(parent)?;
        }
        let (chain, folder) = draft.take();
        let usage = (usage.bytes, usage.inodes);
        table.layers.insert(chain, Layer { folder, parent: parent.cloned(), usage });
        self.save(&table)
    }

    fn layer_folders(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        self.table().folders(chain)
    }

    fn prepare(&self, key: &str, parent: &ChainId, options: &Prepare) -> Result<Vec<Mount>> {
        if key.is_empty() || key.len() > 255 || key.contains(char::is_control) {
            return Err(Error::InvalidKey(key.to_owned()));
        }
        if let Some(maps) = &options.id_map {
            maps.root().map_err(|cause| Error::InvalidIdMap { key: key.to_owned(), cause })?;
        }
        let mut table = self.table();
        if table.roots.contains_key(key) {
            return Err(Error::SnapshotExists(key.to_owned()));
        }
        let stack = Stack::new(table.folders(parent)?, Attributes::Trusted);
        let folder = self.fresh(&mut table)?;
        copy(&stack, &folder)?;
        let image = crate::measure(&folder).map_err(io_error("measure", &folder))?;
        let (parent, image, read_only) = (parent.clone(), (image.bytes, image.inodes), options.read_only);
        let mounts = vec![bind(&folder, read_only)];
        table.roots.insert(key.to_owned(), Root { folder, parent, read_only, image });
        self.save(&table)?;
        Ok(mounts)
    }

    fn view(&self, parent: &ChainId, sub_path: &str) -> Result<Vec<Mount>> {
        let problem = |problem| Error::NotMountable { path: sub_path.to_owned(), problem };
        let mut table = self.table();
        let stack = Stack::new(table.folders(parent)?, Attributes::Trusted);
        match stack.resolve(Path::new(sub_path)) {
            Ok(Entry::Folder(folder)) => {
                let copied = self.fresh(&mut table)?;
                copy(&folder, &copied)?;
                Ok(vec![bind(&copied, true)])
            }
            Ok(Entry::File { path, metadata }) if metadata.is_file() => Ok(vec![bind(&path, true)]),
            Ok(Entry::File { .. }) => Err(problem("is neither a folder nor a regular file")),
            Err(Lost::NotFound) => Err(Error::NotInImage { path: sub_path.to_owned() }),
            Err(Lost::NotAFolder) => Err(problem("goes on below something that is no folder")),
            Err(Lost::Links) => Err(problem("has links without an end")),
            Err(Lost::Io(cause)) => Err(io_error("look for", Path::new(sub_path))(cause)),
        }
    }

    fn mounts(&self, key: &str) -> Result<Vec<Mount>> {
        let table = self.table();
        let root = table.root(key)?;
        Ok(vec![bind(&root.folder, root.read_only)])
    }

    fn remove(&self, key: &str) -> Result<()> {
        let mut table = self.table();
        let Some(root) = table.roots.remove(key) else { return Ok(()) };
        self.save(&table)?;
        fs::remove_dir_all(&root.folder).map_err(io_error("remove", &root.folder))
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        let root = self.table().root(key)?.clone();
        let usage = crate::measure(&root.folder).map_err(io_error("measure", &root.folder))?;
        let (bytes, inodes) = root.image;
        Ok(Usage { bytes: usage.bytes.saturating_sub(bytes), inodes: usage.inodes.saturating_sub(inodes) })
    }

    fn layer_usage(&self, chain: &ChainId) -> Result<Usage> {
        let (bytes, inodes) = self.table().layer(chain)?.usage;
        Ok(Usage { bytes, inodes })
    }

    fn layers(&self) -> Result<Vec<LayerInfo>> {
        let info = |(chain, layer): (&ChainId, &Layer)| LayerInfo {
            chain: chain.clone(),
            parent: layer.parent.clone(),
            usage: Usage { bytes: layer.usage.0, inodes: layer.usage.1 },
        };
        Ok(self.table().layers.iter().map(info).collect())
    }

    fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let table = self.table();
        let info =
            |(key, root): (&String, &Root)| SnapshotInfo { key: key.clone(), parent: root.parent.clone() };
        Ok(table.roots.iter().map(info).collect())
    }

    fn remove_layer(&self, chain: &ChainId) -> Result<()> {
        let mut table = self.table();
        let layers = table.layers.values().filter(|layer| layer.parent.as_ref() == Some(chain)).count();
        let snapshots = table.roots.values().filter(|root| root.parent == *chain).count();
        if layers + snapshots > 0 {
            return Err(Error::LayerInUse { chain: chain.clone(), layers, snapshots });
        }
        let Some(layer) = table.layers.remove(chain) else { return Ok(()) };
        self.save(&table)?;
        fs::remove_dir_all(&layer.folder).map_err(io_error("remove", &layer.folder))
    }
}

fn bind(source: &Path, read_only: bool) -> Mount {
    let mut options = vec!["bind".to_owned()];
    options.extend(read_only.then(|| "ro".to_owned()));
    let source = source.to_string_lossy().into_owned();
    Mount { kind: "bind".to_owned(), source, target: String::new(), options }
}

/// Puts what is seen in a merged folder into `to`.
fn copy(stack: &Stack, to: &Path) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    for folder in stack.folders() {
        for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
            names.insert(entry.map_err(io_error("list", folder))?.file_name());
        }
    }
    for name in names {
        let target = to.join(&name);
        match stack.child(&name).map_err(io_error("look at", &target))? {
            None => {}
            Some(Entry::Folder(folder)) => {
                fs::create_dir(&target).map_err(io_error("create", &target))?;
                copy(&folder, &target)?;
            }
            Some(Entry::File { path, .. }) => {
                let copied = Command::new("cp").arg("-a").args([&path, &target]).status();
                let copied = copied.map_err(io_error("copy", &path))?;
                if !copied.success() {
                    return Err(io_error("copy", &path)(std::io::Error::other(copied.to_string())));
                }
            }
        }
    }
    Ok(())
}
