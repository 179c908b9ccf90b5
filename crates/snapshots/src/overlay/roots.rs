//! Containers' roots: made, mounted, counted, removed.

use super::index::{Root, base36};
use super::options::{self, Writable};
use super::records::{self, Root as Record, VERSION};
use super::{Overlay, layers};
use crate::error::{Error, Result, io_error};
use crate::idmap::IdMaps;
use crate::{ChainId, Mount, Prepare, Usage, tree};
use rustix::fs::{Gid, Mode, Uid, XattrFlags};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For how long a count is good enough at least: the kubelet asks every ten seconds, and several of its parts do.
const COUNT_KEPT: Duration = Duration::from_secs(5);

/// Counting takes at most one part in this many of the time.
const COUNT_SHARE: u32 = 50;

/// The record in a root's folder.
pub(super) fn record(folder: &Path) -> PathBuf {
    folder.join("record.json")
}

fn folder(overlay: &Overlay, number: u32) -> PathBuf {
    overlay.root.join("s").join(base36(number))
}

pub(super) fn prepare(
    overlay: &Overlay,
    key: &str,
    parent: &ChainId,
    options: &Prepare,
) -> Result<Vec<Mount>> {
    if key.is_empty() || key.len() > 255 || key.contains(char::is_control) {
        return Err(Error::InvalidKey(key.to_owned()));
    }
    if let Some(maps) = &options.id_map {
        maps.root().map_err(|cause| Error::InvalidIdMap { key: key.to_owned(), cause })?;
    }
    let (root, numbers) = {
        let mut index = overlay.index();
        if index.has_root(key) {
            return Err(Error::SnapshotExists(key.to_owned()));
        }
        let numbers = index.numbers_of(parent)?;
        let (parent, prepare, boot) = (parent.clone(), options.clone(), overlay.boot.clone());
        let number = index.take_root_number();
        let root = Root { number, parent, prepare, boot, ready: false, counted: None };
        index.add_root(key.to_owned(), root.clone());
        (root, numbers)
    };
    let folders: Vec<PathBuf> =
        numbers.into_iter().map(|number| layers::folder(&overlay.root, number)).collect();
    let made = make(overlay, key, &root, &folders);
    overlay.spares.refill();
    match made {
        Ok(()) => {
            overlay.index().root_is_made(key);
            Ok(mounts_of(overlay, &root, &folders))
        }
        Err(error) => {
            overlay.index().forget_root(key);
            // A number whose folder could not be cleared stays taken.
            let cleared = overlay.reaper.bin().take(&folder(overlay, root.number));
            let _ = cleared.map(|()| overlay.index().free_root_number(root.number));
            Err(error)
        }
    }
}

/// A handful of system calls that wait for no disk.
fn make(overlay: &Overlay, key: &str, root: &Root, folders: &[PathBuf]) -> Result<()> {
    let folder = folder(overlay, root.number);
    match overlay.spares.take() {
        Some(spare) => fs::rename(&spare, &folder).map_err(io_error("create", &folder))?,
        None => make_folders(&folder)?,
    }
    if let Some(top) = folders.first().filter(|_| !root.prepare.read_only) {
        as_the_root_of_the_image(top, &folder.join("u"), &folder.join("w"), root.prepare.id_map.as_ref())?;
    }
    let Root { parent, boot, prepare: Prepare { id_map, read_only }, .. } = root.clone();
    let (version, key) = (VERSION, key.to_owned());
    records::write(&record(&folder), &Record { version, key, parent, boot, read_only, id_map })
}

/// What does not depend on who it is for: the folders, and an empty record, which is none.
pub(super) fn make_folders(folder: &Path) -> Result<()> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    for folder in [folder, &folder.join("u"), &folder.join("w")] {
        private.create(folder).map_err(io_error("create", folder))?;
    }
    let record = record(folder);
    fs::File::create_new(&record).map(drop).map_err(io_error("create", &record))
}

/// The writable folder is what a container sees as `/`: owner, mode and attributes have to be the image's.
fn as_the_root_of_the_image(top: &Path, upper: &Path, work: &Path, maps: Option<&IdMaps>) -> Result<()> {
    let metadata = fs::symlink_metadata(top).map_err(io_error("look at", top))?;
    let (uid, gid) = match maps {
        None => (metadata.uid(), metadata.gid()),
        // Who has no id inside is the container's root.
        Some(maps) => {
            let (uid, gid) = maps.root().unwrap_or_default();
            (maps.host_uid(metadata.uid()).unwrap_or(uid), maps.host_gid(metadata.gid()).unwrap_or(gid))
        }
    };
    if (uid, gid) != (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()) {
        for folder in [upper, work] {
            rustix::fs::chown(folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(io_error("change the owner of", folder))?;
        }
    }
    rustix::fs::chmod(upper, Mode::from_raw_mode(metadata.mode() & 0o7777))
        .map_err(io_error("set the mode of", upper))?;
    copy_attributes(top, upper).map_err(io_error("copy the attributes of", top))
}

/// Extended attributes, without those of overlayfs.
fn copy_attributes(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut names = [0_u8; 4_096];
    let length = match rustix::fs::llistxattr(from, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0; rustix::fs::lgetxattr_query(from, name)?];
        let length = rustix::fs::lgetxattr(from, name, &mut value[..])?;
        rustix::fs::lsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty())?;
    }
    Ok(())
}

fn mounts_of(overlay: &Overlay, root: &Root, layers: &[PathBuf]) -> Vec<Mount> {
    let folder = folder(overlay, root.number);
    let (upper, work) = (folder.join("u"), folder.join("w"));
    let writable = (!root.prepare.read_only).then_some(Writable { upper: &upper, work: &work });
    let (empty, id_map) = (overlay.root.join("e"), root.prepare.id_map.as_ref());
    vec![options::mount(layers, &empty, writable, id_map, overlay.flavour)]
}

pub(super) fn mounts(overlay: &Overlay, key: &str) -> Result<Vec<Mount>> {
    let (root, numbers) = {
        let mut index = overlay.index();
        let root = index.root(key)?.clone();
        let numbers = index.numbers_of(&root.parent)?;
        (root, numbers)
    };
    if overlay.flavour.volatile && !root.prepare.read_only {
        if root.boot != overlay.boot {
            return Err(Error::HostRestarted(key.to_owned()));
        }
        allow_again(&folder(overlay, root.number))?;
    }
    let folders: Vec<PathBuf> =
        numbers.into_iter().map(|number| layers::folder(&overlay.root, number)).collect();
    Ok(mounts_of(overlay, &root, &folders))
}

/// A volatile mount leaves a mark that refuses the next one, since the host may have crashed in between. It has not.
fn allow_again(folder: &Path) -> Result<()> {
    let mark = folder.join("w/work/incompat/volatile");
    match fs::remove_dir_all(&mark) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &mark)(error)),
        _ => Ok(()),
    }
}

pub(super) fn remove(overlay: &Overlay, key: &str) -> Result<()> {
    let Some(root) = ({
        let mut index = overlay.index();
        if index.root(key).is_ok() { index.forget_root(key) } else { None }
    }) else {
        return Ok(());
    };
    let taken = overlay.reaper.bin().take(&folder(overlay, root.number));
    let mut index = overlay.index();
    match taken {
        Ok(()) => index.free_root_number(root.number),
        Err(_) => index.add_root(key.to_owned(), root),
    }
    taken
}

/// Counted by walking: without project quotas – which hardly any host has – no file system keeps the count of a tree.
/// So that asking costs next to nothing however much a container has written, a count is kept for some seconds, and
/// the longer the longer it took.
pub(super) fn usage(overlay: &Overlay, key: &str) -> Result<Usage> {
    let root = overlay.index().root(key)?.clone();
    if root.prepare.read_only {
        return Ok(Usage::default());
    }
    let begun = Instant::now();
    if let Some((usage, good_until)) = root.counted
        && begun < good_until
    {
        return Ok(usage);
    }
    let upper = folder(overlay, root.number).join("u");
    let usage = tree::usage(&upper).map_err(io_error("count what is in", &upper))?;
    let good_until = Instant::now() + COUNT_KEPT.max(begun.elapsed() * COUNT_SHARE);
    // It may be removed, or another one, by now.
    if let Ok(now) = overlay.index().root(key)
        && now.number == root.number
    {
        now.counted = Some((usage, good_until));
    }
    Ok(usage)
}
