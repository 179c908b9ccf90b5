//! The entries of an archive become files in the layer's folder.
//!
//! A name that is there already is replaced, as every program that unpacks layers does: later entries win. Only a folder
//! on a folder stays, with the attributes of the later. What is not followed, and how, is in `cursor`.

use super::Options;
use super::archive::{Archive, Entry, Kind};
use super::attributes::{self, Made, Wanted, Ways};
use super::cursor::{self, Create, Cursor, Missing, Never, is_whiteout, names};
use super::error::{Error, Result};
use super::header::Time;
use super::limits::{Limit, Limits};
use super::settle::{Unsettled, forget_below};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use snapshots::Usage;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What the names of marks begin with.
const MARK: &[u8] = b".wh.";
/// Of the names after that, those with another one are the marks of a file system that is no more (aufs).
const AUFS: &[u8] = b".wh..wh.";
/// But for this one, which hides what lower layers have in the folder that it is in.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a folder or a file takes on disk is rounded up to this.
const DISK_BLOCK: u64 = 4_096;

/// Unpacks entries below one folder.
pub(super) struct Writer<'a> {
    options: &'a Options,
    at: Cursor,
    /// Where the targets of hard links are.
    targets: Cursor,
    folders: Folders,
    unsettled: Unsettled,
    /// Bytes of all files together.
    size: u64,
    entries: u64,
}

/// The folders that were made, and how folders are made.
struct Folders {
    /// Without a time, a folder is only on the way to others: it has its attributes from a lower layer.
    known: BTreeMap<Vec<u8>, Option<Time>>,
    owner: (u32, u32),
    ways: Ways,
    usage: Usage,
    /// Something was replaced, so that the usage has to be counted again.
    replaced: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(folder: &Path, options: &'a Options) -> Result<Self> {
        let open = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(folder, flags, Mode::empty())
                .map_err(|cause| Error::io("open", folder.as_os_str().as_bytes(), cause))
        };
        let shift = options.shift.as_ref();
        let owner = attributes::owner(0, 0, shift, b"")?;
        let ways = Ways::new(options.attributes, shift);
        let usage = Usage { bytes: DISK_BLOCK, inodes: 1 };
        let known = BTreeMap::from([(Vec::new(), None)]);
        Ok(Self {
            options,
            at: Cursor::new(open()?),
            targets: Cursor::new(open()?),
            folders: Folders { known, owner, ways, usage, replaced: false },
            unsettled: Unsettled::default(),
            size: 0,
            entries: 0,
        })
    }

    /// All entries, then the times of folders, which are only right when nothing is put into them any more.
    pub(super) fn all(mut self, archive: &mut Archive<'_>) -> Result<Unsettled> {
        while let Some(entry) = archive.next()? {
            self.entries += 1;
            if self.entries > self.options.limits.entries {
                return Err(Error::TooMuch { limit: Limit::Entries, most: self.options.limits.entries });
            }
            self.entry(archive, &entry)?;
        }
        self.finish()
    }

    fn entry(&mut self, archive: &mut Archive<'_>, entry: &Entry) -> Result<()> {
        let limits = &self.options.limits;
        let names = names(&entry.path, limits)?;
        let Some((name, parents)) = names.split_last() else { return self.root(entry) };
        if *name == OPAQUE && !parents.iter().any(|name| name.starts_with(MARK)) {
            self.at.enter(parents, limits, &mut self.folders)?;
            return self.opaque();
        }
        if names.iter().any(|name| name.starts_with(AUFS)) {
            return Ok(());
        }
        if parents.iter().any(|name| name.starts_with(MARK)) {
            return Err(Error::refused(&entry.path, "is below the mark of a removed file"));
        }
        self.at.enter(parents, limits, &mut self.folders)?;
        if let Some(removed) = name.strip_prefix(MARK) {
            if matches!(removed, b"" | b"." | b"..") {
                return Err(Error::refused(&entry.path, "is the mark of a removed file without a name"));
            }
            return self.whiteout(removed);
        }
        let path = self.at.path(name);
        self.unsettled.forget_link(&path);
        match entry.kind {
            Kind::File => self.file(archive, entry, name, &path),
            Kind::Folder => self.folder(entry, name, &path),
            Kind::HardLink => self.hard_link(entry, name, &path),
            Kind::CharacterDevice if entry.device == (0, 0) => self.whiteout(name),
            Kind::Symlink | Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                self.special(entry, name, &path)
            }
        }
    }

    /// The folder itself, which is the root of what a container sees.
    fn root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Folder {
            return Err(Error::refused(&entry.path, "takes the place of the root, but is no folder"));
        }
        self.at.restart();
        self.give_to_folder(entry)
    }

    fn file(&mut self, archive: &mut Archive<'_>, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        self.size = self.size.saturating_add(entry.size);
        if self.size > self.options.limits.bytes {
            return Err(Error::TooMuch { limit: Limit::Bytes, most: self.options.limits.bytes });
        }
        let wanted = self.wanted(entry)?;
        let mode = wanted.mode & 0o777;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self
            .make(name, path, |within| rustix::fs::openat(within, name, flags, Mode::from_raw_mode(mode)))?;
        let mut file = File::from(fd);
        let failed = |cause| Error::io("write", path, cause);
        let mut stored = entry.size;
        if let Some(pieces) = &entry.pieces {
            stored = pieces.iter().map(|piece| piece.length).sum();
            file.set_len(entry.size).map_err(failed)?;
            archive.content(entry, |offset, bytes| file.write_all_at(bytes, offset).map_err(failed))?;
        } else {
            archive.content(entry, |_, bytes| file.write_all(bytes).map_err(failed))?;
        }
        let made = Made { within: self.at.folder(), name, fd: Some(file.as_fd()), path };
        self.folders.ways.give(made, &wanted, Some(mode))?;
        attributes::set_time(made, wanted.mtime)?;
        self.folders.count(stored);
        Ok(())
    }

    fn folder(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        match cursor::stat(self.at.folder(), name) {
            Err(Errno::NOENT) => self.folders.make(self.at.folder(), name, path, false)?,
            Err(cause) => return Err(Error::io("look at", path, cause)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(stat) => {
                self.clear(name, path)?;
                self.folders.make(self.at.folder(), name, path, is_whiteout(&stat))?;
            }
        }
        self.at.enter_child(name)?;
        self.give_to_folder(entry)
    }

    /// To the folder that the cursor is at.
    fn give_to_folder(&mut self, entry: &Entry) -> Result<()> {
        let wanted = self.wanted(entry)?;
        let path = self.at.path(b"");
        let made = Made { within: self.at.folder(), name: b".", fd: Some(self.at.folder()), path: &path };
        // It may have been there, and with another mode.
        self.folders.ways.give(made, &wanted, Some(u32::MAX))?;
        self.folders.ways.groups_are_inherited |= wanted.mode & 0o2000 != 0;
        self.folders.known.insert(path, Some(wanted.mtime));
        Ok(())
    }

    /// A symbolic link, a device or a pipe.
    fn special(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        let wanted = self.wanted(entry)?;
        let link = self.options.limits.path;
        let mut mode = Some(wanted.mode & 0o777);
        let kind = match entry.kind {
            Kind::Symlink if entry.link.is_empty() => {
                return Err(Error::refused(path, "is a link to nothing"));
            }
            Kind::Symlink if entry.link.len() > link => {
                return Err(Error::TooMuch { limit: Limit::Path, most: link as u64 });
            }
            Kind::Symlink => {
                mode = None;
                FileType::Symlink
            }
            Kind::CharacterDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = if kind == FileType::Fifo { 0 } else { makedev(entry.device.0, entry.device.1) };
        let created = Mode::from_raw_mode(mode.unwrap_or_default());
        self.make(name, path, |within| match kind {
            FileType::Symlink => rustix::fs::symlinkat(entry.link.as_slice(), within, name),
            kind => rustix::fs::mknodat(within, name, kind, created, device),
        })?;
        let made = Made { within: self.at.folder(), name, fd: None, path };
        self.folders.ways.give(made, &wanted, mode)?;
        attributes::set_time(made, wanted.mtime)?;
        self.folders.count(0);
        Ok(())
    }

    /// Another name for a file of this layer; one of a lower layer waits until that is there.
    fn hard_link(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        let limits = &self.options.limits;
        let target = names(&entry.link, limits)?;
        let Some((target_name, parents)) = target.split_last() else {
            return Err(Error::refused(path, "is a hard link to the root"));
        };
        if target.iter().any(|name| name.starts_with(MARK)) {
            return Err(Error::refused(path, "is a hard link to the mark of a removed file"));
        }
        let found = if self.targets.enter(parents, limits, &mut Never)? {
            match cursor::stat(self.targets.folder(), target_name) {
                Err(Errno::NOENT) => None,
                Err(cause) => return Err(Error::io("look at the target of", path, cause)),
                Ok(stat) => (!is_whiteout(&stat)).then_some(stat),
            }
        } else {
            None
        };
        let Some(stat) = found else {
            match cursor::stat(self.at.folder(), name) {
                Err(Errno::NOENT) => {}
                Err(cause) => return Err(Error::io("look at", path, cause)),
                Ok(_) => self.clear(name, path)?,
            }
            self.unsettled.add_link(path, target.join(&b'/'));
            return Ok(());
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(Error::refused(path, "is a hard link to a folder"));
        }
        let same = |other: rustix::fs::Stat| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino);
        if cursor::stat(self.at.folder(), name).is_ok_and(same) {
            return Ok(());
        }
        let link = |within: BorrowedFd<'_>, targets: BorrowedFd<'_>| {
            rustix::fs::linkat(targets, *target_name, within, name, AtFlags::empty())
        };
        match link(self.at.folder(), self.targets.folder()) {
            Err(Errno::EXIST) => {
                self.clear(name, path)?;
                // What was cleared may have been what the target is in.
                if !self.targets.enter(parents, limits, &mut Never)? {
                    return Err(Error::refused(path, "is a hard link to something below itself"));
                }
                link(self.at.folder(), self.targets.folder())
            }
            linked => linked,
        }
        .map_err(|cause| Error::io("link", path, cause))
    }

    /// Marks that a lower layer's entry is removed. What this layer has of that name hides it anyway.
    fn whiteout(&mut self, name: &[u8]) -> Result<()> {
        let within = self.at.folder();
        let path = self.at.path(name);
        match rustix::fs::mknodat(within, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => {
                self.folders.usage.inodes += 1;
                Ok(())
            }
            Err(Errno::EXIST) => match cursor::open(within, name) {
                Ok(folder) => self.folders.ways.hide_lower(folder.as_fd(), &path),
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(cause) => Err(Error::io("open", &path, cause)),
            },
            Err(cause) => Err(Error::io("mark as removed", &path, cause)),
        }
    }

    /// Hides what lower layers have in the folder that the cursor is at.
    fn opaque(&mut self) -> Result<()> {
        let path = self.at.path(b"");
        if path.is_empty() {
            // overlayfs does not look for the attribute at a layer's root.
            self.unsettled.root_is_opaque = true;
            return Ok(());
        }
        self.folders.ways.hide_lower(self.at.folder(), &path)
    }

    /// Makes something that must not be there yet, after what is there was removed.
    fn make<T>(
        &mut self,
        name: &[u8],
        path: &[u8],
        make: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let made = match make(self.at.folder()) {
            Err(Errno::EXIST) => {
                self.clear(name, path)?;
                make(self.at.folder())
            }
            made => made,
        };
        made.map_err(|cause| Error::io("create", path, cause))
    }

    /// Removes what has the name.
    fn clear(&mut self, name: &[u8], path: &[u8]) -> Result<()> {
        let within = self.at.folder();
        self.folders.replaced = true;
        match rustix::fs::unlinkat(within, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                // No deeper than the limit of paths, so recursion is fine; it follows no links.
                let tree = format!("/proc/self/fd/{}", within.as_raw_fd());
                let removed = std::fs::remove_dir_all(Path::new(&tree).join(OsStr::from_bytes(name)));
                self.targets.restart();
                let below = [path, b"/"].concat();
                self.folders.known.remove(path);
                forget_below(&mut self.folders.known, &below);
                self.unsettled.forget_links_below(&below);
                removed.map_err(|cause| Error::io("replace", path, cause))
            }
            removed => removed.map_err(|cause| Error::io("replace", path, cause)),
        }
    }

    fn wanted(&self, entry: &Entry) -> Result<Wanted> {
        let (uid, gid) = attributes::owner(entry.uid, entry.gid, self.options.shift.as_ref(), &entry.path)?;
        Ok(Wanted { uid, gid, mode: entry.mode, mtime: entry.mtime, xattrs: entry.xattrs.clone() })
    }

    fn finish(mut self) -> Result<Unsettled> {
        for (path, time) in std::mem::take(&mut self.folders.known) {
            let Some(mtime) = time else {
                self.unsettled.implied.push(path);
                continue;
            };
            enter(&mut self.at, &path, &self.options.limits)?;
            let made = Made { within: self.at.folder(), name: b".", fd: Some(self.at.folder()), path: &path };
            attributes::set_time(made, mtime)?;
        }
        self.unsettled.usage = self.folders.usage;
        self.unsettled.count_again = self.folders.replaced;
        Ok(self.unsettled)
    }
}

/// Goes to a folder that is there.
pub(super) fn enter(at: &mut Cursor, path: &[u8], limits: &Limits) -> Result<()> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    if at.enter(&names, limits, &mut Never)? {
        Ok(())
    } else {
        Err(Error::io("find again", path, Errno::NOENT))
    }
}

impl Folders {
    fn count(&mut self, bytes: u64) {
        self.usage.inodes += 1;
        self.usage.bytes = self.usage.bytes.saturating_add(bytes.next_multiple_of(DISK_BLOCK));
    }

    /// Makes a folder that is only on the way to others, until its own entry comes.
    fn make(&mut self, within: BorrowedFd<'_>, name: &[u8], path: &[u8], hides_lower: bool) -> Result<()> {
        let failed = |cause| Error::io("create", path, cause);
        rustix::fs::mkdirat(within, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
        let folder: OwnedFd = cursor::open(within, name).map_err(failed)?;
        let (uid, gid) = self.owner;
        let wanted = Wanted { uid, gid, mode: 0o755, mtime: Time::default(), xattrs: Vec::new() };
        let created = if self.ways.groups_are_inherited { u32::MAX } else { 0o755 };
        self.ways.give(Made { within, name, fd: Some(folder.as_fd()), path }, &wanted, Some(created))?;
        if hides_lower {
            self.ways.hide_lower(folder.as_fd(), path)?;
        }
        self.known.insert(path.to_vec(), None);
        self.count(DISK_BLOCK);
        Ok(())
    }
}

impl Create for Folders {
    fn create(&mut self, within: BorrowedFd<'_>, name: &[u8], path: &[u8], missing: Missing) -> Result<bool> {
        if missing == Missing::Whiteout {
            let unlinked = rustix::fs::unlinkat(within, name, AtFlags::empty());
            unlinked.map_err(|cause| Error::io("replace", path, cause))?;
        }
        self.make(within, name, path, missing == Missing::Whiteout)?;
        Ok(true)
    }
}
