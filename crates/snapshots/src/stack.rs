//! What the merged layers of an image have at a path, found without mounting them.
//!
//! A folder of the merged view is a list of folders, one of each layer that has a say, top first: a [`Stack`]. From there
//! the rules are overlayfs': the topmost layer that has the name decides; a whiteout or a file ends the search, folders
//! are merged downwards until one is opaque.

use crate::draft::Attributes;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// One folder of the merged view. The folders below it must not change while it is used; those of layers do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    folders: Vec<PathBuf>,
    attributes: Attributes,
}

/// What has a name in a merged folder.
#[derive(Debug)]
pub enum Entry {
    /// A folder, merged of these.
    Folder(Stack),
    /// Anything else; it is where it is topmost.
    File {
        /// In its layer.
        path: PathBuf,
        /// Of the file itself, also if it is a symbolic link.
        metadata: Metadata,
    },
}

/// Why a path leads nowhere.
#[derive(Debug)]
pub enum Lost {
    /// Nothing has this name, or a layer removed it.
    NotFound,
    /// It goes on below something that is no folder.
    NotAFolder,
    /// Symbolic links without an end.
    Links,
    /// The system refused to look.
    Io(io::Error),
}

impl Stack {
    /// The root of what these layers have, top first.
    pub fn new(folders: Vec<PathBuf>, attributes: Attributes) -> Self {
        Self { folders, attributes }
    }

    /// Where the folder is in the layers that have it, top first; its owner and mode are those of the first.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// In which namespace overlayfs' attributes are.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Whether the topmost folder of this name hides those below it.
    pub fn child_is_opaque(&self, name: &OsStr) -> io::Result<bool> {
        self.folders.first().map_or(Ok(false), |top| self.is_opaque(&top.join(name)))
    }

    /// What has this name in the folder. Symbolic links are not followed.
    pub fn child(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        let mut folders = Vec::new();
        for folder in &self.folders {
            let path = folder.join(name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                let opaque = self.is_opaque(&path)?;
                folders.push(path);
                if opaque {
                    break;
                }
            } else if folders.is_empty() && !is_whiteout(&metadata) {
                return Ok(Some(Entry::File { path, metadata }));
            } else {
                break;
            }
        }
        let merged = Stack { folders, attributes: self.attributes };
        Ok((!merged.folders.is_empty()).then_some(Entry::Folder(merged)))
    }

    /// Follows a path from this folder, which is the root that nothing leads out of. Symbolic links are followed, also
    /// the last.
    pub fn resolve(&self, path: &Path) -> Result<Entry, Lost> {
        // The way from the root to where we are; the folders of a component decide what its children are made of.
        let mut way: Vec<Stack> = Vec::new();
        let mut ahead = components(path);
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                way.pop();
                continue;
            }
            let here = way.last().unwrap_or(self);
            match here.child(&name).map_err(Lost::Io)?.ok_or(Lost::NotFound)? {
                Entry::Folder(folder) => way.push(folder),
                Entry::File { path, metadata } if metadata.is_symlink() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Lost::Links);
                    }
                    let target = fs::read_link(&path).map_err(Lost::Io)?;
                    if target.is_absolute() {
                        way.clear();
                    }
                    let mut target = components(&target);
                    target.append(&mut ahead);
                    ahead = target;
                }
                file @ Entry::File { .. } if ahead.is_empty() => return Ok(file),
                Entry::File { .. } => return Err(Lost::NotAFolder),
            }
        }
        Ok(Entry::Folder(way.pop().unwrap_or_else(|| self.clone())))
    }

    fn is_opaque(&self, folder: &Path) -> io::Result<bool> {
        let mut value = [0_u8; 8];
        match rustix::fs::lgetxattr(folder, self.attributes.opaque(), &mut value) {
            Ok(length) => Ok(value.get(..length) == Some(b"y".as_slice())),
            // Longer than any value that means something.
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::RANGE) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a file is overlayfs' mark of a removed one.
pub fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// The names of a path, and `..`; whether it is absolute is for the caller to know.
fn components(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Two layers: the upper one removes, replaces and hides.
    fn layers(root: &Path) -> Option<Stack> {
        let (top, base) = (root.join("top"), root.join("base"));
        for folder in ["etc/conf.d", "srv/deep", "opt/app", "gone"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        for file in ["etc/hosts", "etc/conf.d/a", "srv/deep/x", "opt/app/old", "gone/x"] {
            fs::write(base.join(file), "base").unwrap();
        }
        symlink("/etc/conf.d", base.join("conf")).unwrap();
        symlink("../../../../etc", base.join("srv/up")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        fs::create_dir_all(top.join("etc/conf.d")).unwrap();
        fs::create_dir_all(top.join("opt/app")).unwrap();
        fs::write(top.join("etc/hosts"), "top").unwrap();
        fs::write(top.join("srv"), "a file now").unwrap();
        let whiteout =
            std::process::Command::new("mknod").arg(top.join("gone")).args(["c", "0", "0"]).status();
        let opaque = rustix::fs::setxattr(
            top.join("opt/app"),
            Attributes::Trusted.opaque(),
            b"y",
            rustix::fs::XattrFlags::empty(),
        );
        if !whiteout.is_ok_and(|status| status.success()) || opaque.is_err() {
            println!("skipped: whiteouts need root");
            return None;
        }
        Some(Stack::new(vec![top, base], Attributes::Trusted))
    }

    fn seen(stack: &Stack, path: &str) -> String {
        match stack.resolve(Path::new(path)) {
            Ok(Entry::Folder(folder)) => format!("{} folders", folder.folders().len()),
            Ok(Entry::File { path, .. }) => fs::read_to_string(path).unwrap(),
            Err(lost) => format!("{lost:?}"),
        }
    }

    #[test]
    fn the_topmost_layer_decides() {
        let root = tempfile::tempdir().unwrap();
        let Some(stack) = layers(root.path()) else { return };
        for (path, expected) in [
            ("", "2 folders"),
            ("/", "2 folders"),
            ("etc", "2 folders"),
            ("etc/hosts", "top"),
            ("etc/conf.d/a", "base"),
            ("conf", "2 folders"),
            ("conf/a", "base"),
            ("conf/../hosts", "top"),
            ("../../etc/hosts", "top"),
            ("srv", "a file now"),
            ("srv/deep", "NotAFolder"),
            ("gone", "NotFound"),
            ("gone/x", "NotFound"),
            ("opt/app", "1 folders"),
            ("opt/app/old", "NotFound"),
            ("loop", "Links"),
            ("none", "NotFound"),
        ] {
            assert_eq!(seen(&stack, path), expected, "{path}");
        }
        let base = Stack::new(stack.folders()[1..].to_vec(), Attributes::Trusted);
        assert_eq!(seen(&base, "srv/up/hosts"), "base");
    }
}
