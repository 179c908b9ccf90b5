//! What is remembered of a layer and of a root: one small file each.
//!
//! A layer's record is what makes it a layer: it is written when all else is on disk, and removed before anything else
//! is; it is renamed into place, so it is never cut. A root's record is written in place and not synced, as nothing of a
//! container has to survive the host's crash; empty or cut in half, it is no record, and the root is swept.

use crate::chain::ChainId;
use crate::error::{Error, Result, io_error};
use crate::idmap::IdMaps;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

/// More than any record of ours has.
const MAX_BYTES: u64 = 64 << 10;

/// Beside a layer's folder, as `NUMBER.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub version: u32,
    pub chain: ChainId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChainId>,
    pub bytes: u64,
    pub inodes: u64,
}

/// In a root's folder, as `record.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    pub version: u32,
    pub key: String,
    pub parent: ChainId,
    /// The run of the host's kernel in which it was prepared.
    pub boot: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_map: Option<IdMaps>,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// Reads a record. `None` if there is none, or what is there is cut in half or was never one.
pub(super) fn read<R: DeserializeOwned>(path: &Path) -> Result<Option<R>> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= MAX_BYTES => fs::read(path).map_err(io_error("read", path))?,
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(io_error("read", path)(error)),
    };
    if let Ok(Header { version }) = serde_json::from_slice(&bytes)
        && version > VERSION
    {
        return Err(Error::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Writes a record that was empty, once. Cut in half it is none, so there is no need of another file to be renamed.
pub(super) fn write<R: Serialize>(path: &Path, record: &R) -> Result<()> {
    let written = (|| {
        let bytes = serde_json::to_vec(record)?;
        File::options().write(true).open(path)?.write_all(&bytes)
    })();
    written.map_err(io_error("write", path))
}

/// Puts a record where it belongs, whole or not at all, and on disk with its name when this returns.
pub(super) fn write_durably<R: Serialize>(path: &Path, record: &R) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let bytes = serde_json::to_vec(record)?;
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(io_error("write", path))?;
    sync_folder(path.parent().unwrap_or(path))
}

/// Names in the folder are on disk when this returns.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::IdMap;

    fn chain(digit: char) -> ChainId {
        ChainId::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
    }

    fn layer() -> Layer {
        Layer { version: VERSION, chain: chain('b'), parent: Some(chain('a')), bytes: 4096, inodes: 3 }
    }

    fn root() -> Root {
        let map = vec![IdMap { container: 0, host: 100_000, size: 65_536 }];
        Root {
            version: VERSION,
            key: "web".into(),
            parent: chain('b'),
            boot: "4b5fe1a2-6ff8-4e1c-9c2a-0d1d1a2c3e4f".into(),
            read_only: true,
            id_map: Some(IdMaps { uids: map.clone(), gids: map }),
        }
    }

    /// The bytes on disk. A change here must raise [`VERSION`].
    #[test]
    fn the_formats_are_fixed() {
        let fixture = include_str!("../../tests/fixtures/layer-v1.json").trim_end();
        assert_eq!(serde_json::to_string(&layer()).unwrap(), fixture);
        assert_eq!(serde_json::from_str::<Layer>(fixture).unwrap(), layer());
        let fixture = include_str!("../../tests/fixtures/root-v1.json").trim_end();
        assert_eq!(serde_json::to_string(&root()).unwrap(), fixture);
        assert_eq!(serde_json::from_str::<Root>(fixture).unwrap(), root());
    }

    #[test]
    fn a_record_cut_at_any_byte_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        write_durably(&path, &root()).unwrap();
        assert_eq!(read::<Root>(&path).unwrap(), Some(root()));
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(read::<Root>(&path).unwrap(), None, "{cut}");
        }
        assert_eq!(read::<Root>(&folder.path().join("none")).unwrap(), None);
    }

    #[test]
    fn a_newer_record_is_not_taken_for_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        fs::write(&path, r#"{"version":2,"unheard":"of"}"#).unwrap();
        assert!(matches!(read::<Layer>(&path), Err(Error::Newer { found: 2, .. })));
    }
}
