//! The AppArmor profile that the process runs under from its execve(2) on.

use super::error::Error;
use super::procfs::Procfs;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs;
use std::path::Path;

/// Whether the host confines by AppArmor.
pub fn enabled() -> bool {
    Path::new("/sys/kernel/security/apparmor").exists()
        && fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// Refuses a profile where nothing would enforce it.
pub(crate) fn plan(profile: Option<&str>, enabled: impl FnOnce() -> bool) -> Result<Option<String>, Error> {
    match profile {
        None | Some("") => Ok(None),
        Some(profile) if profile.contains(['\0', '\n']) => {
            Err(Error::invalid(format!("process.apparmorProfile: {profile:?} is no name")))
        }
        Some(profile) if enabled() => Ok(Some(profile.to_owned())),
        Some(_) => Err(Error::Unsupported("apparmor: config provided but apparmor not supported".to_owned())),
    }
}

/// From the next execve(2) on. The module's own directory exists since Linux 5.1.
pub fn confine_on_exec(proc: &Procfs, profile: &str) -> Result<(), Error> {
    let text = format!("exec {profile}");
    let done = match proc.try_write("thread-self/attr/apparmor/exec", OFlags::WRONLY, text.as_bytes()) {
        Err(Errno::NOENT) => proc.try_write("thread-self/attr/exec", OFlags::WRONLY, text.as_bytes()),
        done => done,
    };
    done.map_err(|errno| {
        let hint = if errno == Errno::NOENT { " (is it loaded?)" } else { "" };
        Error::system(format!(
            "unable to apply apparmor profile: apparmor failed to apply profile {profile:?}{hint}"
        ))(errno)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_nothing_enforces_is_refused() {
        assert_eq!(plan(None, || false).unwrap(), None);
        assert_eq!(plan(Some(""), || false).unwrap(), None);
        assert_eq!(plan(Some("docker-default"), || true).unwrap().unwrap(), "docker-default");
        assert_eq!(
            plan(Some("docker-default"), || false).unwrap_err().to_string(),
            "apparmor: config provided but apparmor not supported"
        );
    }
}
