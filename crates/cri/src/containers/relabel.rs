//! `selinux_relabel`: files of the host get a label with which the container may use them.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Result};
use crate::spec::file_label;
use crate::wire::v1::ContainerConfig;

/// Where the kernel keeps the label of a file.
const ATTRIBUTE: &str = "security.selinux";
/// Folders of the host whose files are everybody's: with a container's label nobody else could use them.
const EVERYBODYS: [&str; 22] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
];

/// Labels what the mounts of a container ask for. Without SELinux there is nothing to do.
pub(super) fn relabel_mounts(daemon: &Daemon, config: &ContainerConfig) -> Result<()> {
    if !daemon.host.selinux {
        return Ok(());
    }
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let label = file_label(security.and_then(|security| security.selinux_options.as_ref()));
    for mount in config.mounts.iter().filter(|mount| mount.selinux_relabel && !mount.host_path.is_empty()) {
        let path = fs::canonicalize(&mount.host_path)
            .attempt(|| format!("selinux_relabel: use the host path {}", mount.host_path))?;
        relabel(&path, &label)?;
    }
    Ok(())
}

/// Gives a path of the host, with all below it, the label of a container's files.
fn relabel(path: &Path, label: &str) -> Result<()> {
    if EVERYBODYS.iter().any(|everybodys| path == Path::new(everybodys)) {
        return Err(Error::invalid(format!(
            "selinux_relabel: {} belongs to the host and is not given a container's label",
            path.display()
        )));
    }
    walk(path, label).attempt(|| format!("selinux_relabel: label {}", path.display()))
}

/// Links are labelled themselves; what they lead to is not the container's.
fn walk(path: &Path, label: &str) -> io::Result<()> {
    match rustix::fs::lsetxattr(path, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()) {
        // A file system without labels, or a file that was gone before this came to it.
        Err(Errno::NOTSUP | Errno::NOENT) => return Ok(()),
        set => set?,
    }
    if !fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        walk(&entry?.path(), label)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_labelled_with_all_in_it_and_nothing_that_links_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("a"), folder.path().join("b"));
        fs::create_dir_all(inside.join("deep")).unwrap();
        fs::write(inside.join("deep/file"), "").unwrap();
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let probe = rustix::fs::lsetxattr(&outside, ATTRIBUTE, b"before", XattrFlags::empty());
        if let Err(why) = probe {
            println!("skipped: labels cannot be written here: {why}");
            return;
        }
        relabel(&inside, "label").unwrap();
        let label = |path: &Path| {
            let mut buffer = [0_u8; 64];
            let length = rustix::fs::lgetxattr(path, ATTRIBUTE, &mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).trim_end_matches('\0').to_owned()
        };
        assert_eq!([label(&inside), label(&inside.join("deep/file"))], ["label", "label"]);
        assert_eq!([label(&inside.join("link")), label(&outside)], ["label", "before"]);
    }

    #[test]
    fn what_is_everybodys_is_refused_by_name() {
        for path in ["/", "/etc", "/usr"] {
            let error = relabel(Path::new(path), "label").unwrap_err().to_string();
            assert!(error.starts_with("selinux_relabel: "), "{error}");
        }
    }
}
