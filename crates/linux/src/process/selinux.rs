//! The SELinux label of the process, from its execve(2) on, and of the keyring made for it.

use super::error::Error;
use super::procfs::Procfs;
use rustix::fs::{OFlags, statfs};

/// `SELINUX_MAGIC`.
const SELINUX_MAGIC: u32 = 0xf97c_ff8c;

/// Whether the host enforces or at least knows SELinux: its file system is mounted.
pub fn enabled() -> bool {
    statfs("/sys/fs/selinux").is_ok_and(|fs| fs.f_type as u32 == SELINUX_MAGIC)
}

/// Refuses a label where nothing would enforce it; the text is runc's.
pub(crate) fn plan(label: Option<&str>, enabled: impl FnOnce() -> bool) -> Result<Option<String>, Error> {
    match label {
        None | Some("") => Ok(None),
        Some(label) if label.contains('\0') => {
            Err(Error::invalid(format!("process.selinuxLabel: {label:?} is no label")))
        }
        Some(label) if enabled() => Ok(Some(label.to_owned())),
        Some(_) => Err(Error::Unsupported(
            "selinux label is specified in config, but selinux is disabled or not supported".to_owned(),
        )),
    }
}

/// Keys made from now on have this label.
pub fn label_keys(proc: &Procfs, label: &str) -> Result<(), Error> {
    proc.try_write("thread-self/attr/keycreate", OFlags::WRONLY, label.as_bytes())
        .map_err(Error::system(format!("set the selinux label {label:?} for keys")))
}

/// The process runs under this label from the next execve(2) on.
pub fn label_on_exec(proc: &Procfs, label: &str) -> Result<(), Error> {
    proc.try_write("thread-self/attr/exec", OFlags::WRONLY, label.as_bytes())
        .map_err(Error::system(format!("can't set process label {label:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_nothing_enforces_is_refused() {
        assert_eq!(plan(Some(""), || false).unwrap(), None);
        assert_eq!(
            plan(Some("system_u:system_r:container_t:s0"), || false).unwrap_err().to_string(),
            "selinux label is specified in config, but selinux is disabled or not supported"
        );
    }
}
