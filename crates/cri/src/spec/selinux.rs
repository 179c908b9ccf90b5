//! SELinux: the labels of a container, and of the host's files that it is given.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::error::{Attempt as _, Error, Result};
use crate::wire::v1::SeLinuxOption;

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

/// The label of a container's processes.
pub(super) fn of_process(options: &SeLinuxOption) -> String {
    let or = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
    format!(
        "{}:{}:{}:{}",
        or(&options.user, "system_u"),
        or(&options.role, "system_r"),
        or(&options.r#type, "container_t"),
        or(&options.level, "s0")
    )
}

/// The label of its files: of its level, and of the type that policies give to all containers.
pub(super) fn of_files(options: Option<&SeLinuxOption>) -> String {
    let level =
        options.map(|options| options.level.as_str()).filter(|level| !level.is_empty()).unwrap_or("s0");
    format!("system_u:object_r:container_file_t:{level}")
}

/// Gives a path of the host, with all below it, the label of a container's files. A file system without labels stays
/// as it is.
pub(super) fn relabel(path: &Path, label: &str) -> Result<()> {
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
        Err(Errno::NOTSUP) => return Ok(()),
        // Gone while this was on its way to it.
        Err(Errno::NOENT) => return Ok(()),
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
    fn what_is_not_said_is_as_policies_have_it() {
        let options = SeLinuxOption { level: "s0:c1,c2".to_owned(), ..Default::default() };
        assert_eq!(of_process(&options), "system_u:system_r:container_t:s0:c1,c2");
        assert_eq!(of_files(Some(&options)), "system_u:object_r:container_file_t:s0:c1,c2");
        assert_eq!(of_files(None), "system_u:object_r:container_file_t:s0");
    }

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
