//! Where shims listen.
//!
//! The socket's name is made from all that tells a shim from others, so that `start` finds the shim of a pod again. A
//! unix socket's path has at most 107 bytes; names have a fixed length for that.

use shim_api::bootstrap::Params;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where sockets are unless the daemon says otherwise.
const FOLDER: &str = "/run/cofferdam/s";

/// The socket of a shim.
pub(crate) fn socket(params: Option<&Params>, daemon: &str, namespace: &str, group: &str) -> PathBuf {
    let folder = params.and_then(|params| params.socket_dir.as_deref());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(FOLDER));
    let mut text = Vec::new();
    for part in [daemon, namespace, group] {
        text.extend_from_slice(part.as_bytes());
        text.push(0);
    }
    folder.join(format!(
        "{:016x}{:016x}",
        fnv(0xcbf2_9ce4_8422_2325, &text),
        fnv(0x6c62_272e_07bb_0142, &text)
    ))
}

/// Makes the folder of a socket.
pub(crate) fn make_folder(socket: &Path) -> std::io::Result<()> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// As the protocol has it.
pub(crate) fn url(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// FNV-1a, which stays the same from one release to the next.
fn fnv(basis: u64, text: &[u8]) -> u64 {
    text.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shim that was started by an older release must be found by a newer one.
    #[test]
    fn names_stay_the_same() {
        let path = socket(None, "/run/containerd/containerd.sock", "k8s.io", "pod");
        assert_eq!(path, Path::new("/run/cofferdam/s/020c6080de0c753c169c7e225d098899"));
        let params = Params { socket_dir: Some("/s".into()), ..Params::default() };
        assert_eq!(socket(Some(&params), "", "", "").parent(), Some(Path::new("/s")));
        let other = socket(None, "/run/containerd/containerd.sock", "k8s.iop", "od");
        assert_ne!(other, path);
    }
}
