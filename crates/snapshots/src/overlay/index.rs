//! What is there, in memory: read from the records once, and changed together with them.

use super::layers;
use super::reaper::Bin;
use super::records::{self, Layer as LayerRecord, Root as RootRecord};
use super::roots;
use crate::error::{Error, Result, io_error};
use crate::{ChainId, LayerInfo, Prepare, SnapshotInfo, Usage};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Layers and roots by name, and the numbers of their folders.
#[derive(Debug, Default)]
pub(super) struct Index {
    layers: HashMap<ChainId, Layer>,
    roots: HashMap<String, Root>,
    layer_numbers: BTreeSet<u32>,
    root_numbers: BTreeSet<u32>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub number: u32,
    pub parent: Option<ChainId>,
    pub usage: Usage,
    /// How many layers and roots lie directly on it.
    layers: usize,
    snapshots: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Root {
    pub number: u32,
    pub parent: ChainId,
    pub prepare: Prepare,
    /// The run of the kernel in which it was prepared.
    pub boot: String,
    /// Its folders are made.
    pub ready: bool,
    /// What it occupied when that was last counted, and until when that is good enough.
    pub counted: Option<(Usage, Instant)>,
}

/// Reads all records, and puts into the trash whatever is no layer and no root.
pub(super) fn load(root: &Path, bin: &Bin) -> Result<Index> {
    let mut index = Index::default();
    load_layers(root, bin, &mut index)?;
    load_roots(root, bin, &mut index)?;
    Ok(index)
}

fn load_layers(root: &Path, bin: &Bin, index: &mut Index) -> Result<()> {
    let folder = root.join("l");
    let mut found: BTreeMap<u32, LayerRecord> = BTreeMap::new();
    let names = names(&folder)?;
    for name in &names {
        let number = name.strip_suffix(".json").and_then(number);
        let record = match number {
            Some(_) => records::read::<LayerRecord>(&folder.join(name))?,
            None => None,
        };
        if let (Some(number), Some(record)) = (number, record) {
            found.insert(number, record);
        }
    }
    found.retain(|number, _| layers::folder(root, *number).is_dir());
    // From the bottom up: a layer whose parent is gone is of no use.
    loop {
        let ready: Vec<u32> = found
            .iter()
            .filter(|(_, layer)| layer.parent.as_ref().is_none_or(|parent| index.layers.contains_key(parent)))
            .map(|(number, _)| *number)
            .collect();
        if ready.is_empty() {
            break;
        }
        for number in ready {
            if let Some(LayerRecord { chain, parent, bytes, inodes, .. }) = found.remove(&number)
                && !index.layers.contains_key(&chain)
            {
                index.layer_numbers.insert(number);
                index.add_layer(chain, number, parent, Usage { bytes, inodes });
            }
        }
    }
    // Records go first: a folder without one is swept again if this is cut off.
    for (suffix, swept) in [(".json", "record"), ("", "layer")] {
        for name in names.iter().filter(|name| name.ends_with(".json") != suffix.is_empty()) {
            let stem = name.strip_suffix(suffix).unwrap_or(name);
            if number(stem).is_none_or(|number| !index.layer_numbers.contains(&number)) {
                log::info!("sweep the {swept} {} that was left half done", folder.join(name).display());
                bin.take(&folder.join(name))?;
            }
        }
        bin.sync_first(&folder);
    }
    Ok(())
}

fn load_roots(root: &Path, bin: &Bin, index: &mut Index) -> Result<()> {
    let folder = root.join("s");
    for name in names(&folder)? {
        let path = folder.join(&name);
        let record = records::read::<RootRecord>(&roots::record(&path))?;
        let known = number(&name).zip(record).filter(|(_, record)| {
            index.layers.contains_key(&record.parent) && !index.roots.contains_key(&record.key)
        });
        let Some((number, record)) = known else {
            log::info!("sweep the snapshot {} that was left half done", path.display());
            bin.take(&path)?;
            continue;
        };
        let RootRecord { key, parent, boot, read_only, id_map, .. } = record;
        index.root_numbers.insert(number);
        let prepare = Prepare { id_map, read_only };
        index.add_root(key, Root { number, parent, prepare, boot, ready: true, counted: None });
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        // What is not UTF-8 is none of ours.
        names.extend(name.into_string());
    }
    Ok(names)
}

/// The number that a folder is named after, if `name` is the only way to write it.
fn number(name: &str) -> Option<u32> {
    u32::from_str_radix(name, 36).ok().filter(|number| base36(*number) == name)
}

/// A number as it is in folder names.
pub(super) fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

/// Takes the lowest number that is free.
fn take_lowest(numbers: &mut BTreeSet<u32>) -> u32 {
    let free = (0..).zip(numbers.iter()).find(|(expected, taken)| expected != *taken);
    let free = free.map_or_else(|| u32::try_from(numbers.len()).unwrap_or(u32::MAX), |(free, _)| free);
    numbers.insert(free);
    free
}

impl Index {
    pub(super) fn layer(&self, chain: &ChainId) -> Result<&Layer> {
        self.layers.get(chain).ok_or_else(|| Error::NoLayer(chain.clone()))
    }

    /// The folders of a layer and of all below it, top first.
    pub(super) fn numbers_of(&self, chain: &ChainId) -> Result<Vec<u32>> {
        let mut layer = self.layer(chain)?;
        let mut numbers = vec![layer.number];
        while let Some(parent) = &layer.parent {
            layer = self.layer(parent)?;
            numbers.push(layer.number);
        }
        Ok(numbers)
    }

    pub(super) fn layers(&self) -> Vec<LayerInfo> {
        let info = |(chain, layer): (&ChainId, &Layer)| LayerInfo {
            chain: chain.clone(),
            parent: layer.parent.clone(),
            usage: layer.usage,
        };
        self.layers.iter().map(info).collect()
    }

    pub(super) fn snapshots(&self) -> Vec<SnapshotInfo> {
        let ready = self.roots.iter().filter(|(_, root)| root.ready);
        ready.map(|(key, root)| SnapshotInfo { key: key.clone(), parent: root.parent.clone() }).collect()
    }

    pub(super) fn take_layer_number(&mut self) -> u32 {
        take_lowest(&mut self.layer_numbers)
    }

    pub(super) fn free_layer_number(&mut self, number: u32) {
        self.layer_numbers.remove(&number);
    }

    pub(super) fn add_layer(&mut self, chain: ChainId, number: u32, parent: Option<ChainId>, usage: Usage) {
        if let Some(below) = parent.as_ref().and_then(|parent| self.layers.get_mut(parent)) {
            below.layers += 1;
        }
        self.layers.insert(chain, Layer { number, parent, usage, layers: 0, snapshots: 0 });
    }

    /// Forgets a layer that nothing lies on; its number stays taken. `None` if it is not there.
    pub(super) fn forget_layer(&mut self, chain: &ChainId) -> Result<Option<Layer>> {
        match self.layers.get(chain) {
            None => return Ok(None),
            Some(&Layer { layers: 0, snapshots: 0, .. }) => {}
            Some(&Layer { layers, snapshots, .. }) => {
                return Err(Error::LayerInUse { chain: chain.clone(), layers, snapshots });
            }
        }
        let layer = self.layers.remove(chain);
        let parent = layer.as_ref().and_then(|layer| layer.parent.as_ref());
        if let Some(below) = parent.and_then(|parent| self.layers.get_mut(parent)) {
            below.layers -= 1;
        }
        Ok(layer)
    }

    /// The root, if its folders are made.
    pub(super) fn root(&mut self, key: &str) -> Result<&mut Root> {
        let root = self.roots.get_mut(key).filter(|root| root.ready);
        root.ok_or_else(|| Error::NoSnapshot(key.to_owned()))
    }

    pub(super) fn has_root(&self, key: &str) -> bool {
        self.roots.contains_key(key)
    }

    pub(super) fn take_root_number(&mut self) -> u32 {
        take_lowest(&mut self.root_numbers)
    }

    pub(super) fn free_root_number(&mut self, number: u32) {
        self.root_numbers.remove(&number);
    }

    pub(super) fn add_root(&mut self, key: String, root: Root) {
        if let Some(below) = self.layers.get_mut(&root.parent) {
            below.snapshots += 1;
        }
        self.roots.insert(key, root);
    }

    /// From now on others see it.
    pub(super) fn root_is_made(&mut self, key: &str) {
        if let Some(root) = self.roots.get_mut(key) {
            root.ready = true;
        }
    }

    /// Forgets a root; its number stays taken.
    pub(super) fn forget_root(&mut self, key: &str) -> Option<Root> {
        let root = self.roots.remove(key)?;
        if let Some(below) = self.layers.get_mut(&root.parent) {
            below.snapshots -= 1;
        }
        Some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_taken() {
        let mut numbers = BTreeSet::new();
        assert_eq!(
            [take_lowest(&mut numbers), take_lowest(&mut numbers), take_lowest(&mut numbers)],
            [0, 1, 2]
        );
        numbers.remove(&1);
        assert_eq!(take_lowest(&mut numbers), 1);
        assert_eq!(take_lowest(&mut numbers), 3);
    }

    #[test]
    fn numbers_have_one_name() {
        for (n, name) in [(0, "0"), (35, "z"), (36, "10"), (1_295, "zz"), (u32::MAX, "1z141z3")] {
            assert_eq!(base36(n), name);
            assert_eq!(number(name), Some(n));
        }
        for other in ["", "01", "Z", "+1", "-", "a.tmp"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
