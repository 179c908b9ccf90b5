//! The administrator's configuration files, read again whenever they have changed.
//!
//! Files ending in `.conflist`, `.conf` and `.json` are taken in the order of their names, until as many networks are
//! found as are wanted. One that cannot be read or understood is skipped; why is logged once, and told by `status`.
//! Unless a list says `loadOnlyInlinedPlugins`, plugins from `<folder>/<network's name>/*.conf` follow its own.

use crate::network_list::{InvalidList, NetworkList, PluginConfig};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is no valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What the files say now.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) networks: Vec<Source>,
    pub(crate) broken: Vec<Broken>,
}

/// A network and the file that it is from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) list: NetworkList,
}

/// The folders, and what was found in them last.
#[derive(Debug)]
pub(crate) struct ConfDirs {
    folders: Vec<PathBuf>,
    /// How many networks are wanted; 0 for all.
    wanted: usize,
    last: Mutex<Option<(Vec<Stamp>, Arc<Loaded>)>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    /// First, so that files are ordered by it, whatever folder they are in.
    name: OsString,
    path: PathBuf,
    /// Whether it holds one more plugin for the network that its folder is named after.
    plugin: bool,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("understand {}", .0.display())]
    Understand(PathBuf, #[source] InvalidList),
}

impl ConfDirs {
    pub(crate) fn new(folders: Vec<PathBuf>, wanted: usize) -> Self {
        Self { folders, wanted, last: Mutex::new(None) }
    }

    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// What the files say now. Blocks, usually for no longer than it takes to list the folders.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.stamps();
        if let Some((known, loaded)) = &*last
            && *known == stamps
        {
            return Arc::clone(loaded);
        }
        let loaded = Arc::new(load(&stamps, self.wanted));
        for Broken { path, reason } in &loaded.broken {
            log::warn!("network configuration {} is skipped: {reason}", path.display());
        }
        for Source { path, list } in &loaded.networks {
            log::info!("network {} is configured by {}", list.name, path.display());
        }
        *last = Some((stamps, Arc::clone(&loaded)));
        loaded
    }

    fn stamps(&self) -> Vec<Stamp> {
        let mut stamps = Vec::new();
        for folder in &self.folders {
            list(folder, &mut |path, is_folder| {
                if is_folder {
                    list(&path, &mut |path, is_folder| {
                        if !is_folder && extension_is(&path, &["conf"]) {
                            stamps.extend(stamp(path, true));
                        }
                    });
                } else if extension_is(&path, &["conflist", "conf", "json"]) {
                    stamps.extend(stamp(path, false));
                }
            });
        }
        stamps.sort();
        stamps
    }
}

/// A folder that does not exist is empty; one that cannot be read is as good as empty.
fn list(folder: &Path, each: &mut dyn FnMut(PathBuf, bool)) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) => {
            if cause.kind() != io::ErrorKind::NotFound {
                log::warn!("network configurations in {} cannot be listed: {cause}", folder.display());
            }
            return;
        }
    };
    for entry in entries.flatten() {
        // Links count as what they lead to.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
        each(entry.path(), is_folder);
    }
}

fn extension_is(path: &Path, wanted: &[&str]) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|found| wanted.contains(&found))
}

fn stamp(path: PathBuf, plugin: bool) -> Option<Stamp> {
    let name = path.file_name()?.to_owned();
    // A link that leads nowhere is read, and then reported.
    let found = fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path)).ok()?;
    let modified = (found.mtime(), found.mtime_nsec());
    Some(Stamp { name, path, plugin, inode: found.ino(), size: found.size(), modified })
}

fn load(stamps: &[Stamp], wanted: usize) -> Loaded {
    let mut loaded = Loaded::default();
    for Stamp { path, .. } in stamps.iter().filter(|stamp| !stamp.plugin) {
        if wanted != 0 && loaded.networks.len() == wanted {
            break;
        }
        match network(path, stamps) {
            Ok(list) if loaded.networks.iter().any(|other| other.list.name == list.name) => {
                let reason = format!("there is a network {} already", list.name);
                loaded.broken.push(Broken { path: path.clone(), reason });
            }
            Ok(list) => loaded.networks.push(Source { path: path.clone(), list }),
            Err(error) => loaded.broken.push(Broken { path: path.clone(), reason: chain(&error) }),
        }
    }
    loaded
}

fn network(path: &Path, stamps: &[Stamp]) -> Result<NetworkList, Unusable> {
    let mut list = NetworkList::parse(&read(path)?).map_err(understand(path))?;
    if !list.load_only_inlined
        && let Some(folder) = path.parent().map(|folder| folder.join(&list.name))
    {
        for Stamp { path, .. } in
            stamps.iter().filter(|stamp| stamp.plugin && stamp.path.parent() == Some(&folder))
        {
            list.plugins.push(PluginConfig::parse(&read(path)?).map_err(understand(path))?);
        }
    }
    if list.plugins.is_empty() { Err(understand(path)(InvalidList::NoPlugins)) } else { Ok(list) }
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    fs::read(path).map_err(|cause| Unusable::Read(path.to_owned(), cause))
}

fn understand(path: &Path) -> impl FnOnce(InvalidList) -> Unusable {
    let path = path.to_owned();
    move |cause| Unusable::Understand(path, cause)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(loaded: &Loaded) -> Vec<&str> {
        loaded.networks.iter().map(|source| source.list.name.as_str()).collect()
    }

    fn one(name: &str) -> String {
        format!(r#"{{"name": "{name}", "cniVersion": "1.0.0", "plugins": [{{"type": "p"}}]}}"#)
    }

    #[test]
    fn the_first_valid_file_by_name_counts_and_broken_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let dirs = ConfDirs::new(vec![folder.path().join("missing"), folder.path().to_owned()], 1);
        assert_eq!(names(&dirs.current()), [] as [&str; 0]);
        write("10-broken.conflist", "{");
        write("30-last.conflist", &one("last"));
        write("20-first.conf", r#"{"name": "first", "type": "p"}"#);
        write("00-ignored.yaml", &one("ignored"));
        let loaded = dirs.current();
        assert_eq!(names(&loaded), ["first"]);
        assert_eq!(loaded.broken.len(), 1);
        assert!(loaded.broken[0].reason.starts_with("understand "), "{:?}", loaded.broken);
        assert!(Arc::ptr_eq(&loaded, &dirs.current()), "nothing has changed, nothing is read");

        write("10-broken.conflist", &one("repaired"));
        assert_eq!(names(&dirs.current()), ["repaired"]);
        fs::remove_file(folder.path().join("10-broken.conflist")).unwrap();
        assert_eq!(names(&dirs.current()), ["first"]);
        let all = ConfDirs::new(vec![folder.path().to_owned()], 0);
        assert_eq!(names(&all.current()), ["first", "last"]);
        write("40-again.conflist", &one("last"));
        assert_eq!(all.current().broken[0].reason, "there is a network last already");
    }

    #[test]
    fn plugins_in_a_folder_of_the_networks_name_follow_unless_told_not_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("n")).unwrap();
        let dirs = ConfDirs::new(vec![folder.path().to_owned()], 1);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("n.conflist", &one("n"));
        write("n/2.conf", r#"{"type": "second"}"#);
        write("n/1.conf", r#"{"type": "first"}"#);
        write("n/ignored.json", r#"{"type": "ignored"}"#);
        let types = |loaded: &Loaded| -> Vec<String> {
            loaded.networks[0].list.plugins.iter().map(|plugin| plugin.name.clone()).collect()
        };
        assert_eq!(types(&dirs.current()), ["p", "first", "second"]);
        write("n.conflist", r#"{"name": "n"}"#);
        assert_eq!(types(&dirs.current()), ["first", "second"]);
        write(
            "n.conflist",
            &one("n").replace("\"plugins\"", "\"loadOnlyInlinedPlugins\": true, \"plugins\""),
        );
        assert_eq!(types(&dirs.current()), ["p"]);
        write("n.conflist", r#"{"name": "n", "loadOnlyInlinedPlugins": true}"#);
        let loaded = dirs.current();
        assert!(loaded.broken[0].reason.ends_with("it has no plugins"), "{:?}", loaded.broken);
    }
}
