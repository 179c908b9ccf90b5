//! Copies of the records beside what they describe, in the folder of state: what runs can be told from them when the
//! file of records is broken or gone. They go with the bundles, and with a reboot, after which nothing runs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::chain;

/// The name of a copy in its bundle.
const FILE: &str = "record.json";

/// The bundles of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    bundles: PathBuf,
}

impl Copies {
    /// Those in the bundles of this folder.
    pub(crate) fn below(bundles: PathBuf) -> Self {
        Self { bundles }
    }

    /// Notes a record, if its bundle is there. A copy that cannot be written is only missed when there is nothing else.
    pub(crate) fn put(&self, id: &str, record: &[u8]) {
        let bundle = self.bundles.join(id);
        match write(&bundle, record) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(bundle = %bundle.display(), error = chain(&error), "copy a record");
            }
            _ => {}
        }
    }

    /// The copy of a record.
    pub(crate) fn get(&self, id: &str) -> Option<Vec<u8>> {
        fs::read(self.bundles.join(id).join(FILE)).ok()
    }

    /// The bundles that there are, with a copy or without.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.bundles).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// Whole or not at all: a daemon may be killed on the way.
fn write(bundle: &Path, record: &[u8]) -> io::Result<()> {
    let temporary = bundle.join("record.json.new");
    fs::write(&temporary, record)?;
    fs::rename(&temporary, bundle.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_kept_as_long_as_its_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::below(folder.path().to_owned());
        copies.put("a", b"nowhere to go");
        assert_eq!((copies.get("a"), copies.ids()), (None, vec![]));
        fs::create_dir(folder.path().join("a")).unwrap();
        copies.put("a", b"one");
        copies.put("a", b"two");
        assert_eq!((copies.get("a"), copies.ids()), (Some(b"two".to_vec()), vec!["a".to_owned()]));
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert!(copies.ids().is_empty());
    }
}
