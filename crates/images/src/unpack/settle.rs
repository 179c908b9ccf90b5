//! What a layer needs of those below it, once they are there.
//!
//! Folders that the archive does not list, but that something in it is in, are made with the attributes that they have
//! below: in the merged view it is this layer's folder that is seen. A hard link to a file of a lower layer becomes a
//! copy of it with both names, as overlayfs would make one.

use super::Options;
use super::attributes::{self, Made, Wanted, Ways};
use super::cursor::{self, Create, Cursor, Missing, is_whiteout};
use super::error::{Error, Result};
use super::header::Time;
use super::limits::Limits;
use super::write::enter;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use snapshots::Usage;
use snapshots::stack::{Entry, Lost, Stack};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Bound;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What waits for the lower layers.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Folders without an entry, those above before those in them.
    pub implied: Vec<Vec<u8>>,
    /// Hard links by name: when they came, and to what.
    links: BTreeMap<Vec<u8>, (usize, Vec<u8>)>,
    count: usize,
    /// Nothing of the lower layers is to be seen.
    pub root_is_opaque: bool,
    pub usage: Usage,
    pub count_again: bool,
}

impl Unsettled {
    pub(super) fn add_link(&mut self, path: &[u8], target: Vec<u8>) {
        self.links.insert(path.to_vec(), (self.count, target));
        self.count += 1;
    }

    /// Another entry has this name now.
    pub(super) fn forget_link(&mut self, path: &[u8]) {
        self.links.remove(path);
    }

    /// The folder that they were in is gone; `below` ends in a slash.
    pub(super) fn forget_links_below(&mut self, below: &[u8]) {
        forget_below(&mut self.links, below);
    }
}

/// Forgets the paths that begin with `below`: they follow each other.
pub(super) fn forget_below<T>(paths: &mut BTreeMap<Vec<u8>, T>, below: &[u8]) {
    let from = (Bound::Included(below), Bound::Unbounded);
    let forgotten = paths.range::<[u8], _>(from).map(|(path, _)| path);
    let forgotten: Vec<Vec<u8>> = forgotten.take_while(|path| path.starts_with(below)).cloned().collect();
    for path in forgotten {
        paths.remove(&path);
    }
}

/// Does what waited, on `lower`, top first.
pub(super) fn settle(
    folder: &Path,
    lower: &[PathBuf],
    options: &Options,
    unsettled: Unsettled,
) -> Result<Usage> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|cause| Error::io("open", folder.as_os_str().as_bytes(), cause))?;
    let mut below = Below {
        root: Stack::new(lower.to_vec(), options.attributes),
        known: HashMap::new(),
        // What lower layers have is shifted already.
        ways: Ways::new(options.attributes, None),
        usage: Usage::default(),
    };
    // Whatever the mode mask and inherited groups make of a new folder.
    below.ways.groups_are_inherited = true;
    let mut at = Cursor::new(root);
    let Unsettled { implied, links, root_is_opaque, usage, count_again, .. } = unsettled;
    for path in &implied {
        enter(&mut at, path, &options.limits)?;
        below.give_attributes(at.folder(), path)?;
    }
    if !links.is_empty() {
        below.link(folder, &mut at, &options.limits, links)?;
    }
    if root_is_opaque {
        at.restart();
        below.hide_all(at.folder())?;
    }
    if count_again {
        return snapshots::measure(folder).map_err(|cause| Error::io("count", b"", cause));
    }
    Ok(Usage { bytes: usage.bytes + below.usage.bytes, inodes: usage.inodes + below.usage.inodes })
}

/// The merged view of the lower layers.
struct Below {
    root: Stack,
    /// Folders that were looked for.
    known: HashMap<Vec<u8>, Option<Stack>>,
    ways: Ways,
    usage: Usage,
}

impl Below {
    /// The folder at a path that has no symbolic links.
    fn folder(&mut self, path: &[u8]) -> io::Result<Option<Stack>> {
        if path.is_empty() {
            return Ok((!self.root.folders().is_empty()).then(|| self.root.clone()));
        }
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let (parent, name) = split(path);
        let entry = match self.folder(parent)? {
            Some(parent) => parent.child(OsStr::from_bytes(name))?,
            None => None,
        };
        let folder = match entry {
            Some(Entry::Folder(folder)) => Some(folder),
            _ => None,
        };
        self.known.insert(path.to_vec(), folder.clone());
        Ok(folder)
    }

    /// To a folder without an entry: what it has below. One that is nowhere keeps what it was made with.
    fn give_attributes(&mut self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let failed = |cause: io::Error| Error::io("find in the layers below", path, cause);
        let made = Made { within: folder, name: b".", fd: Some(folder), path };
        let Some(lower) = self.folder(path).map_err(failed)? else {
            return attributes::set_time(made, Time::default());
        };
        let Some(lower) = lower.folders().first() else { return Ok(()) };
        let wanted = fs::symlink_metadata(lower).and_then(|metadata| attributes::of_lower(lower, &metadata));
        let wanted = wanted.map_err(failed)?;
        self.ways.give(made, &wanted, Some(u32::MAX))?;
        attributes::set_time(made, wanted.mtime)
    }

    fn link(
        &mut self,
        folder: &Path,
        at: &mut Cursor,
        limits: &Limits,
        links: BTreeMap<Vec<u8>, (usize, Vec<u8>)>,
    ) -> Result<()> {
        let mut in_order: Vec<(usize, Vec<u8>, Vec<u8>)> =
            links.into_iter().map(|(path, (order, target))| (order, path, target)).collect();
        in_order.sort_unstable();
        let mut copied = HashSet::new();
        for (_, path, target) in in_order {
            let (parent, name) = split(&path);
            if !copied.contains(&target) {
                let lower = self.file(&target).map_err(|problem| match problem {
                    Some(cause) => Error::io("find in the layers below the target of", &path, cause),
                    None => Error::refused(&path, "is a hard link to a file that is in no layer"),
                })?;
                if self.may_copy_up(folder, &target)? {
                    let (parent, name) = split(&target);
                    let names: Vec<&[u8]> =
                        parent.split(|byte| *byte == b'/').filter(|n| !n.is_empty()).collect();
                    at.enter(&names, limits, self)?;
                    keeping_time(at.folder(), parent, |within| self.copy(within, name, &target, &lower))?;
                    copied.insert(target.clone());
                } else {
                    enter(at, parent, limits)?;
                    keeping_time(at.folder(), parent, |within| {
                        remove_mark(within, name, &path)?;
                        self.copy(within, name, &path, &lower)
                    })?;
                    copied.insert(path);
                    continue;
                }
            }
            let (target_parent, target_name) = split(&target);
            enter(at, target_parent, limits)?;
            let targets =
                at.folder().try_clone_to_owned().map_err(|cause| Error::io("open", &target, cause))?;
            enter(at, parent, limits)?;
            keeping_time(at.folder(), parent, |within| {
                remove_mark(within, name, &path)?;
                rustix::fs::linkat(&targets, target_name, within, name, AtFlags::empty())
                    .map_err(|cause| Error::io("link", &path, cause))
            })?;
            copied.insert(path);
        }
        Ok(())
    }

    /// What a hard link names, which may lead through symbolic links of lower layers, but is none that is followed.
    /// `None` for something that is not there, or no file.
    fn file(&mut self, path: &[u8]) -> std::result::Result<(PathBuf, Metadata), Option<io::Error>> {
        let (parent, name) = split(path);
        let parent = match self.root.resolve(Path::new(OsStr::from_bytes(parent))) {
            Ok(Entry::Folder(folder)) => folder,
            Ok(Entry::File { .. }) | Err(Lost::NotFound | Lost::NotAFolder | Lost::Links) => {
                return Err(None);
            }
            Err(Lost::Io(cause)) => return Err(Some(cause)),
        };
        match parent.child(OsStr::from_bytes(name)) {
            Ok(Some(Entry::File { path, metadata })) => Ok((path, metadata)),
            Ok(Some(Entry::Folder(_)) | None) => Err(None),
            Err(cause) => Err(Some(cause)),
        }
    }

    /// Whether the file would be seen at its own path: this layer has nothing there, nor hides what is below, and no
    /// symbolic link leads there.
    fn may_copy_up(&mut self, folder: &Path, path: &[u8]) -> Result<bool> {
        let failed = |cause: io::Error| Error::io("look at", path, cause);
        if self.folder(split(path).0).map_err(failed)?.is_none() {
            return Ok(false);
        }
        let mut here = Stack::new(vec![folder.to_owned()], self.root.attributes());
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        for name in names {
            let name = OsStr::from_bytes(name);
            let Some(top) = here.folders().first() else { return Ok(false) };
            match fs::symlink_metadata(top.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                Err(error) => return Err(failed(error)),
                Ok(metadata) if !metadata.is_dir() => return Ok(false),
                Ok(_) => {}
            }
            if here.child_is_opaque(name).map_err(failed)? {
                return Ok(false);
            }
            here = Stack::new(vec![top.join(name)], self.root.attributes());
        }
        // There is a folder.
        Ok(false)
    }

    /// A copy of a lower layer's file, with all that it has.
    fn copy(
        &mut self,
        within: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        lower: &(PathBuf, Metadata),
    ) -> Result<()> {
        let (from, metadata) = lower;
        let failed = |cause: io::Error| Error::io("copy from a layer below", path, cause);
        let wanted = attributes::of_lower(from, metadata).map_err(failed)?;
        let kind = FileType::from_raw_mode(metadata.mode());
        let mode = (kind != FileType::Symlink).then_some(u32::MAX);
        let copy = match kind {
            FileType::RegularFile => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let to = rustix::fs::openat(within, name, flags, Mode::RUSR | Mode::WUSR);
                let mut to = File::from(to.map_err(|cause| failed(cause.into()))?);
                io::copy(&mut File::open(from).map_err(failed)?, &mut to).map_err(failed)?;
                Some(to)
            }
            FileType::Symlink => {
                let target = fs::read_link(from).map_err(failed)?;
                rustix::fs::symlinkat(target, within, name).map_err(|cause| failed(cause.into()))?;
                None
            }
            kind => {
                let made = rustix::fs::mknodat(within, name, kind, Mode::empty(), metadata.rdev());
                made.map_err(|cause| failed(cause.into()))?;
                None
            }
        };
        let made = Made { within, name, fd: copy.as_ref().map(|copy| copy.as_fd()), path };
        self.give(made, &wanted, mode)?;
        self.usage.inodes += 1;
        self.usage.bytes += metadata.blocks() * 512;
        Ok(())
    }

    fn give(&mut self, made: Made<'_>, wanted: &Wanted, mode: Option<u32>) -> Result<()> {
        self.ways.give(made, wanted, mode)?;
        attributes::set_time(made, wanted.mtime)
    }

    /// A layer whose root is opaque: everything below is removed name by name.
    fn hide_all(&mut self, root: BorrowedFd<'_>) -> Result<()> {
        let mut names: HashSet<OsString> = HashSet::new();
        for folder in self.root.folders() {
            let entries =
                fs::read_dir(folder).map_err(|cause| Error::io("list the layers below", b"", cause))?;
            for entry in entries {
                let entry = entry.map_err(|cause| Error::io("list the layers below", b"", cause))?;
                names.insert(entry.file_name());
            }
        }
        keeping_time(root, b"", |root| {
            for name in &names {
                let name = name.as_bytes();
                match rustix::fs::mknodat(root, name, FileType::CharacterDevice, Mode::empty(), 0) {
                    Ok(()) => self.usage.inodes += 1,
                    Err(Errno::EXIST) => match cursor::open(root, name) {
                        Ok(folder) => self.ways.hide_lower(folder.as_fd(), name)?,
                        Err(Errno::NOTDIR | Errno::LOOP) => {}
                        Err(cause) => return Err(Error::io("open", name, cause)),
                    },
                    Err(cause) => return Err(Error::io("mark as removed", name, cause)),
                }
            }
            Ok(())
        })
    }
}

/// Folders on the way to a copied file are what they are below.
impl Create for Below {
    fn create(&mut self, within: BorrowedFd<'_>, name: &[u8], path: &[u8], missing: Missing) -> Result<bool> {
        if missing == Missing::Whiteout {
            return Ok(false);
        }
        keeping_time(within, path, |within| {
            let failed = |cause: Errno| Error::io("create", path, cause);
            rustix::fs::mkdirat(within, name, Mode::RWXU).map_err(failed)?;
            let folder = cursor::open(within, name).map_err(failed)?;
            self.give_attributes(folder.as_fd(), path)
        })?;
        self.usage.inodes += 1;
        self.usage.bytes += 4_096;
        Ok(true)
    }
}

/// A mark that the name is removed makes room for what has the name after all.
fn remove_mark(within: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
    if cursor::stat(within, name).is_ok_and(|stat| is_whiteout(&stat)) {
        let unlinked = rustix::fs::unlinkat(within, name, AtFlags::empty());
        unlinked.map_err(|cause| Error::io("replace", path, cause))?;
    }
    Ok(())
}

/// Puts something into a folder whose time is not to tell of it.
fn keeping_time(
    folder: BorrowedFd<'_>,
    path: &[u8],
    put: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    let failed = |cause: io::Error| Error::io("look at", path, cause);
    let before =
        folder.try_clone_to_owned().map(File::from).and_then(|folder| folder.metadata()).map_err(failed)?;
    put(folder)?;
    let made = Made { within: folder, name: b".", fd: Some(folder), path };
    attributes::set_times(made, &attributes::times_of(&before))
}

/// The folder that a path is in, and its name there.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}
