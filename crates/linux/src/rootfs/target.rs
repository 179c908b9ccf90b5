//! Places inside the container's root: found or created without ever leaving it.
//!
//! The image and everything in volumes belongs to somebody else, who may change it while it is used. So a path is
//! resolved once, to a descriptor, and everything after works on the descriptor. The kernel resolves what has no
//! symbolic links in one call; what has links, or has to be created, is walked component by component with links read
//! as text and taken from the root's point of view. Such a walk also knows where it arrived, which decides whether
//! something may be mounted there.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;
/// How often something may change under our hands before we give up; more than a path has components, because
/// each folder that is created counts.
const MAX_RACES: u32 = 4096;

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The container's root.
pub(super) struct Root {
    fd: OwnedFd,
}

/// A place that can be mounted on.
pub(super) struct Target {
    pub(super) fd: OwnedFd,
    /// Where it is, seen from the container, without links.
    pub(super) path: PathBuf,
    /// It was not there before.
    pub(super) created: bool,
}

/// What is created where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Create {
    Nothing,
    Folder,
    File,
}

impl Root {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Where to mount: `path` is absolute and clean. `create` is asked only when nothing is there.
    pub(super) fn target(&self, path: &Path, create: impl FnOnce() -> Result<Create>) -> Result<Target> {
        match self.open(path, PLACE, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Ok(Target { fd, path: path.to_owned(), created: false }),
            Err(Errno::NOENT) => self.create(path, create()?),
            // There are links. Whether something is missing behind them is not known yet.
            Err(Errno::LOOP) => match self.walk(path, true, Create::Nothing) {
                Err(Errno::NOENT) => self.walk(path, true, create()?),
                found => found,
            },
            Err(Errno::NOSYS) => self.walk(path, true, create()?),
            Err(errno) => Err(errno),
        }
    }

    /// A folder whose last component is no link: `ELOOP` or `ENOTDIR` otherwise.
    pub(super) fn ordinary_folder(&self, path: &Path) -> Result<Target> {
        match self.open(path, PLACE | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Ok(Target { fd, path: path.to_owned(), created: false }),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOSYS) => self.walk(path, false, Create::Folder),
            Err(errno) => Err(errno),
        }
    }

    /// What is at `path`, if anything is. Links are followed, inside.
    pub(super) fn existing(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let found = match self.open(path, PLACE, ResolveFlags::empty()) {
            Err(Errno::NOSYS) => self.walk(path, true, Create::Nothing).map(|target| target.fd),
            found => found,
        };
        match found {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Most of the time only the last component is missing.
    fn create(&self, path: &Path, create: Create) -> Result<Target> {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && create != Create::Nothing
            && let Ok(parent) = self.open(parent, PLACE | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)
        {
            let made = match create {
                Create::File => new_file(parent.as_fd(), name),
                _ => rustix::fs::mkdirat(&parent, name, FOLDER_MODE)
                    .and_then(|()| folder(parent.as_fd(), name)),
            };
            // Whatever went wrong is a race, or is found again by the walk.
            if let Ok(fd) = made {
                return Ok(Target { fd, path: path.to_owned(), created: true });
            }
        }
        self.walk(path, true, create)
    }

    fn open(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut races = 0;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // Something was renamed while `..` was looked at (openat2(2)).
                Err(Errno::AGAIN) if races < MAX_RACES => races += 1,
                opened => return opened,
            }
        }
    }

    fn walk(&self, path: &Path, follow_last: bool, create: Create) -> Result<Target> {
        let mut walk = Walk { root: self.fd.as_fd(), folders: Vec::new(), created: false, races: 0 };
        walk.to(path, follow_last, create)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The way from the root to here. `..` goes back on it, so it cannot lead above the root.
    folders: Vec<(OsString, OwnedFd)>,
    created: bool,
    races: u32,
}

/// What a component turned out to be.
enum Step {
    Folder(OwnedFd),
    Link(PathBuf),
    File,
    Missing,
}

impl Walk<'_> {
    fn to(&mut self, path: &Path, follow_last: bool, create: Create) -> Result<Target> {
        let mut links = 0;
        // What is still to go, next component last.
        let mut pending = Vec::new();
        push(&mut pending, path);
        while let Some(name) = pending.pop() {
            if name == ".." {
                self.folders.pop();
                continue;
            }
            let last = pending.is_empty();
            match self.step(&name)? {
                Step::Folder(fd) => self.folders.push((name, fd)),
                Step::Link(_) if last && !follow_last => return Err(Errno::LOOP),
                Step::Link(text) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP);
                    }
                    if text.is_absolute() {
                        self.folders.clear();
                    }
                    push(&mut pending, &text);
                }
                Step::File if last => {
                    let fd = rustix::fs::openat(self.here(), &name, PLACE | OFlags::NOFOLLOW, Mode::empty())?;
                    return Ok(self.arrived(Some(&name), fd));
                }
                Step::File => return Err(Errno::NOTDIR),
                Step::Missing => match create {
                    Create::Nothing => return Err(Errno::NOENT),
                    Create::File if last => {
                        if let Some(fd) = self.create_file(&name)? {
                            return Ok(self.arrived(Some(&name), fd));
                        }
                        pending.push(name);
                    }
                    Create::File | Create::Folder => {
                        self.create_folder(&name)?;
                        pending.push(name);
                    }
                },
            }
        }
        let fd = match self.folders.pop() {
            Some((name, fd)) => return Ok(self.arrived(Some(&name), fd)),
            None => rustix::fs::openat(self.root, ".", PLACE | OFlags::DIRECTORY, Mode::empty())?,
        };
        Ok(self.arrived(None, fd))
    }

    fn step(&mut self, name: &OsStr) -> Result<Step> {
        loop {
            match folder(self.here(), name) {
                Ok(fd) => return Ok(Step::Folder(fd)),
                Err(Errno::NOENT) => return Ok(Step::Missing),
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
            match rustix::fs::readlinkat(self.here(), name, Vec::new()) {
                Ok(text) => return Ok(Step::Link(PathBuf::from(OsString::from_vec(text.into_bytes())))),
                Err(Errno::INVAL) => return Ok(Step::File),
                Err(Errno::NOENT) => self.raced()?,
                Err(errno) => return Err(errno),
            }
        }
    }

    /// None when somebody else was quicker.
    fn create_file(&mut self, name: &OsStr) -> Result<Option<OwnedFd>> {
        match new_file(self.here(), name) {
            Ok(fd) => {
                self.created = true;
                Ok(Some(fd))
            }
            Err(Errno::EXIST) => self.raced().map(|()| None),
            Err(errno) => Err(errno),
        }
    }

    fn create_folder(&mut self, name: &OsStr) -> Result<()> {
        match rustix::fs::mkdirat(self.here(), name, FOLDER_MODE) {
            Ok(()) => {
                self.created = true;
                // It may be gone before it is opened, and again.
                self.raced()
            }
            Err(Errno::EXIST) => self.raced(),
            Err(errno) => Err(errno),
        }
    }

    fn raced(&mut self) -> Result<()> {
        self.races += 1;
        if self.races > MAX_RACES { Err(Errno::AGAIN) } else { Ok(()) }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }

    fn arrived(&self, name: Option<&OsStr>, fd: OwnedFd) -> Target {
        let mut path = PathBuf::from("/");
        path.extend(self.folders.iter().map(|(name, _)| name));
        path.extend(name);
        Target { fd, path, created: self.created }
    }
}

fn folder(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name, PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

fn new_file(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, FILE_MODE)
}

/// Adds the components of `path` in front of what is pending.
fn push(pending: &mut Vec<OsString>, path: &Path) {
    pending.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}
