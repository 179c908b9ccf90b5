//! Where in the layer's folder the work is: descriptors of the folders on the way from its root.
//!
//! Every name is opened in the folder that it is in, and never followed by the kernel. A symbolic link that a layer uses
//! as a folder is read and walked here, inside the root: `..` stops at it, and an absolute link starts at it. So there is
//! no way out, also not by a race. Entries that follow each other are mostly neighbours, so the descriptors are kept.

use super::error::{Error, Result};
use super::limits::{Limit, Limits};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// A place in the layer's folder.
pub(super) struct Cursor {
    root: OwnedFd,
    way: Vec<Step>,
}

struct Step {
    name: Vec<u8>,
    folder: OwnedFd,
}

/// What stands in the way where a folder is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing.
    Nothing,
    /// The mark that a lower layer's entry is removed.
    Whiteout,
}

/// What to do where a folder of the way is not there.
pub(super) trait Create {
    /// Makes the folder `name` in `within`, which is at `path`; `false` leaves it missing.
    fn create(&mut self, within: BorrowedFd<'_>, name: &[u8], path: &[u8], missing: Missing) -> Result<bool>;
}

/// Only goes where there are folders.
pub(super) struct Never;

impl Create for Never {
    fn create(&mut self, _: BorrowedFd<'_>, _: &[u8], _: &[u8], _: Missing) -> Result<bool> {
        Ok(false)
    }
}

impl Cursor {
    /// At the root.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, way: Vec::new() }
    }

    /// The folder that it is at.
    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.way.last().map_or(self.root.as_fd(), |step| step.folder.as_fd())
    }

    /// The way to it, and on to `name`, without symbolic links; the root is empty.
    pub(super) fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut path: Vec<u8> = Vec::new();
        for name in self.way.iter().map(|step| step.name.as_slice()).chain([name]) {
            if !path.is_empty() && !name.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        path
    }

    /// Goes to the root.
    pub(super) fn restart(&mut self) {
        self.way.clear();
    }

    /// Goes to the folder at `path`, which may lead through symbolic links. `false` if there is none.
    pub(super) fn enter(
        &mut self,
        path: &[&[u8]],
        limits: &Limits,
        create: &mut impl Create,
    ) -> Result<bool> {
        // What is on the way is a folder, so as far as the names are the same, so is the place.
        let same = path.iter().zip(&self.way).take_while(|(name, step)| **name == step.name).count();
        self.way.truncate(same);
        let mut ahead: VecDeque<Vec<u8>> = path.iter().skip(same).map(|name| name.to_vec()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                self.way.pop();
                continue;
            }
            match self.step(&name, limits, create)? {
                Stepped::In => {}
                Stepped::Missing => return Ok(false),
                Stepped::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        let path = self.path(&name);
                        return Err(Error::refused(&path, "leads through symbolic links without an end"));
                    }
                    if target.starts_with(b"/") {
                        self.way.clear();
                    }
                    let names =
                        target.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                    for name in names.rev() {
                        ahead.push_front(name.to_vec());
                    }
                }
            }
        }
        Ok(true)
    }

    /// Goes into the folder `name`, which is there.
    pub(super) fn enter_child(&mut self, name: &[u8]) -> Result<()> {
        let folder = open(self.folder(), name).map_err(|cause| Error::io("open", &self.path(name), cause))?;
        self.way.push(Step { name: name.to_vec(), folder });
        Ok(())
    }

    fn step(&mut self, name: &[u8], limits: &Limits, create: &mut impl Create) -> Result<Stepped> {
        if self.way.len() >= limits.depth {
            return Err(Error::TooMuch { limit: Limit::Depth, most: limits.depth as u64 });
        }
        match open(self.folder(), name) {
            Ok(folder) => {
                self.way.push(Step { name: name.to_vec(), folder });
                return Ok(Stepped::In);
            }
            Err(Errno::NOENT) => {
                return self.make(name, Missing::Nothing, create);
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(cause) => return Err(Error::io("open", &self.path(name), cause)),
        }
        let stat =
            stat(self.folder(), name).map_err(|cause| Error::io("look at", &self.path(name), cause))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(self.folder(), name, Vec::new())
                    .map_err(|cause| Error::io("read the link", &self.path(name), cause))?;
                Ok(Stepped::Link(target.into_bytes()))
            }
            _ if is_whiteout(&stat) => self.make(name, Missing::Whiteout, create),
            _ => Err(Error::refused(&self.path(name), "has entries below it, but is no folder")),
        }
    }

    fn make(&mut self, name: &[u8], missing: Missing, create: &mut impl Create) -> Result<Stepped> {
        let path = self.path(name);
        if !create.create(self.folder(), name, &path, missing)? {
            return Ok(Stepped::Missing);
        }
        self.enter_child(name)?;
        Ok(Stepped::In)
    }
}

enum Stepped {
    In,
    Missing,
    Link(Vec<u8>),
}

/// Opens a folder, and nothing but a folder.
pub(super) fn open(within: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(within, name, flags, Mode::empty())
}

/// Looks at what has the name, without following it.
pub(super) fn stat(within: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Stat> {
    rustix::fs::statat(within, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether it is overlayfs' mark of something that is removed.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The names of a path: without empty ones and `.`; `..` takes back what is before it.
pub(super) fn names<'a>(path: &'a [u8], limits: &Limits) -> Result<Vec<&'a [u8]>> {
    if path.len() > limits.path {
        return Err(Error::TooMuch { limit: Limit::Path, most: limits.path as u64 });
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop().ok_or_else(|| Error::refused(path, "leads out of the layer"))?;
            }
            name if name.len() > 255 => {
                return Err(Error::refused(path, "has a name of more than 255 bytes"));
            }
            name => names.push(name),
        }
    }
    if names.len() > limits.depth {
        return Err(Error::TooMuch { limit: Limit::Depth, most: limits.depth as u64 });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_never_lead_out() {
        let clean = |path: &str| names(path.as_bytes(), &Limits::default()).map(|names| names.join(&b'/'));
        for (path, expected) in
            [("./a//b/", "a/b"), ("/a", "a"), ("a/../b", "b"), (".", ""), ("", ""), ("./", "")]
        {
            assert_eq!(clean(path).unwrap(), expected.as_bytes(), "{path}");
        }
        for bad in ["..", "../a", "a/../../b", "/.."] {
            assert!(matches!(clean(bad), Err(Error::Refused { .. })), "{bad}");
        }
        assert!(matches!(clean(&"a/".repeat(256)), Err(Error::TooMuch { limit: Limit::Depth, .. })));
        assert!(matches!(clean(&"a".repeat(4_096)), Err(Error::TooMuch { limit: Limit::Path, .. })));
        assert!(matches!(clean(&"a".repeat(256)), Err(Error::Refused { .. })));
    }
}
