//! Committing and removing layers.

use super::Overlay;
use super::index::base36;
use super::records::{self, Layer as Record, VERSION};
use crate::error::{Error, Result, io_error};
use crate::{ChainId, Draft, Usage};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

/// Where the files of a layer are.
pub(super) fn folder(root: &Path, number: u32) -> PathBuf {
    root.join("l").join(base36(number))
}

pub(super) fn begin(overlay: &Overlay, chain: &ChainId) -> Result<Draft> {
    let bin = overlay.reaper.bin().clone();
    let folder = bin.fresh();
    fs::create_dir(&folder).map_err(io_error("create", &folder))?;
    // Whatever this process' file mode mask says: it is the root of what containers see.
    rustix::fs::chmod(&folder, Mode::from_raw_mode(0o755)).map_err(io_error("set the mode of", &folder))?;
    Ok(Draft::new(chain.clone(), folder, overlay.flavour.attributes, move |folder| bin.delete(&folder)))
}

pub(super) fn commit(overlay: &Overlay, draft: Draft, parent: Option<&ChainId>, usage: Usage) -> Result<()> {
    if !overlay.reaper.bin().holds(draft.folder()) {
        let root = overlay.root.clone();
        return Err(Error::ForeignDraft { draft: draft.folder().to_owned(), root });
    }
    if overlay.index().layer(draft.chain()).is_ok() {
        return Ok(());
    }
    // Before the lock: what several layers wait for is on disk after the first.
    sync_all(draft.folder())?;
    let _changing = changing(overlay);
    let number = {
        let mut index = overlay.index();
        if index.layer(draft.chain()).is_ok() {
            return Ok(());
        }
        if let Some(parent) = parent {
            index.layer(parent)?;
        }
        index.take_layer_number()
    };
    let record = Record {
        version: VERSION,
        chain: draft.chain().clone(),
        parent: parent.cloned(),
        bytes: usage.bytes,
        inodes: usage.inodes,
    };
    match put(overlay, draft, number, &record) {
        Ok(()) => {
            overlay.index().add_layer(record.chain, number, record.parent, usage);
            Ok(())
        }
        Err(error) => {
            // A number whose folder could not be cleared stays taken.
            let _ = clear(overlay, number).map(|()| overlay.index().free_layer_number(number));
            Err(error)
        }
    }
}

fn put(overlay: &Overlay, draft: Draft, number: u32, record: &Record) -> Result<()> {
    let folder = folder(&overlay.root, number);
    fs::rename(draft.folder(), &folder).map_err(io_error("commit a layer as", &folder))?;
    let _ = draft.take();
    records::write_durably(&folder.with_extension("json"), record)
}

pub(super) fn remove(overlay: &Overlay, chain: &ChainId) -> Result<()> {
    let _changing = changing(overlay);
    let Some(layer) = overlay.index().forget_layer(chain)? else { return Ok(()) };
    match clear(overlay, layer.number) {
        Ok(()) => {
            overlay.index().free_layer_number(layer.number);
            Ok(())
        }
        Err(error) => {
            // It stays known as long as its record does.
            if folder(&overlay.root, layer.number).with_extension("json").exists() {
                overlay.index().add_layer(chain.clone(), layer.number, layer.parent, layer.usage);
            }
            Err(error)
        }
    }
}

/// The record, then the folder, go to the trash.
fn clear(overlay: &Overlay, number: u32) -> Result<()> {
    let folder = folder(&overlay.root, number);
    let bin = overlay.reaper.bin();
    bin.take(&folder.with_extension("tmp"))?;
    bin.take(&folder.with_extension("json"))?;
    // No part of the folder may leave the disk before the record has.
    bin.sync_first(&overlay.root.join("l"));
    bin.take(&folder)
}

/// Everything written to the file system of `folder` so far is on disk when this returns: one call instead of one for
/// each file.
fn sync_all(folder: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let synced = rustix::fs::open(folder, flags, Mode::empty()).and_then(rustix::fs::syncfs);
    synced.map_err(io_error("sync the file system of", folder))
}

fn changing(overlay: &Overlay) -> MutexGuard<'_, ()> {
    overlay.layers_change.lock().unwrap_or_else(PoisonError::into_inner)
}
