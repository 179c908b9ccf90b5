//! The standard streams, which come from outside: a checkpoint names them, a restore puts others in their places.
//!
//! A pipe is known by its inode. A file or a terminal of the host has no place in the container's mounts, so CRIU has to
//! be told that it is external, by a key of its own form (criu(8), `--external`).

use super::error::Error;
use rustix::fs::FileType;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name that runc gave it.
const FILE: &str = "descriptors.json";

/// The standard streams of a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// What is at 0, 1, and 2.
    names: Vec<String>,
    /// Those that CRIU would take for the container's.
    pub(super) external: Vec<String>,
}

impl Descriptors {
    /// Looks at them.
    pub(super) fn of(pid: i32) -> Result<Self, Error> {
        let mounts = mount_ids(pid)?;
        let mut all = Self::default();
        for number in 0..3 {
            let name = match external_key(pid, number, &mounts)? {
                Some(key) => {
                    all.external.push(key.clone());
                    key
                }
                None => link(pid, number),
            };
            all.names.push(name);
        }
        all.external.dedup();
        Ok(all)
    }

    /// Keeps the names in an image.
    pub(super) fn write(&self, image: &Path) -> Result<(), Error> {
        let path = image.join(FILE);
        let text = serde_json::to_vec(&self.names)
            .map_err(|cause| Error::Descriptors { path: path.clone(), cause })?;
        let mut file = fs::File::options();
        file.write(true).create(true).truncate(true).mode(0o600);
        let written = file.open(&path).and_then(|mut file| file.write_all(&text));
        written.map_err(|cause| Error::io(format!("write {}", path.display()), cause))
    }
}

/// Which of our streams take the places of which of the container's: number and key.
pub(super) fn inherited(image: &Path) -> Result<Vec<(u32, String)>, Error> {
    let path = image.join(FILE);
    let text = fs::read(&path).map_err(|cause| Error::NoImage {
        image: image.to_owned(),
        attempted: "read descriptors.json",
        cause,
    })?;
    let names: Vec<String> =
        serde_json::from_slice(&text).map_err(|cause| Error::Descriptors { path, cause })?;
    let outside = |name: &String| ["pipe:[", "file[", "tty["].iter().any(|start| name.starts_with(start));
    Ok((0..3).zip(names).filter(|(_, name)| outside(name)).collect())
}

fn link(pid: i32, number: u32) -> String {
    // A stream may be closed.
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
    link.to_string_lossy().into_owned()
}

/// The key of a file or terminal that is on none of the container's mounts.
fn external_key(pid: i32, number: u32, mounts: &HashSet<u64>) -> Result<Option<String>, Error> {
    let path = format!("/proc/{pid}/fd/{number}");
    let Ok(stat) = rustix::fs::stat(&path) else { return Ok(None) };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
        return Ok(None);
    }
    let path = format!("/proc/{pid}/fdinfo/{number}");
    let info = fs::read_to_string(&path).map_err(|cause| Error::io(format!("read {path}"), cause))?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    let Some(mount) = mount.filter(|mount| !mounts.contains(mount)) else { return Ok(None) };
    Ok(Some(match kind {
        FileType::RegularFile => format!("file[{mount:x}:{:x}]", stat.st_ino),
        _ => format!("tty[{:x}:{:x}]", stat.st_rdev, stat.st_dev),
    }))
}

fn mount_ids(pid: i32) -> Result<HashSet<u64>, Error> {
    let path = format!("/proc/{pid}/mountinfo");
    let table = fs::read_to_string(&path).map_err(|cause| Error::io(format!("read {path}"), cause))?;
    Ok(table.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_inherited_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        assert!(inherited(dir.path()).unwrap_err().to_string().ends_with("read descriptors.json"));
        let names = ["/dev/null", "pipe:[7]", "file[1f:2a]"].map(str::to_owned).to_vec();
        Descriptors { names, external: Vec::new() }.write(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, r#"["/dev/null","pipe:[7]","file[1f:2a]"]"#);
        let expected = vec![(1, "pipe:[7]".to_owned()), (2, "file[1f:2a]".to_owned())];
        assert_eq!(inherited(dir.path()).unwrap(), expected);
    }

    #[test]
    fn a_stream_on_our_own_mounts_is_not_external() {
        let own = Descriptors::of(std::process::id() as i32).unwrap();
        assert_eq!(own.names.len(), 3);
    }
}
