//! The working directory.
//!
//! A descriptor to a directory of the host that leaked into init would make `/proc/self/fd/7` a way out of the
//! container (CVE-2024-21626). So after the change, getcwd(2) has to name a path inside the root: for a directory
//! outside of it the kernel answers `(unreachable)…`.

use super::error::Error;
use rustix::fs::{CWD, Mode, mkdirat};
use rustix::io::Errno;
use rustix::process::{chdir, getcwd};
use std::path::Path;

/// Makes the directory, with its parents, if the image has none. Only called inside the container's root.
pub fn create(cwd: &Path) -> Result<(), Error> {
    if rustix::fs::access(cwd, rustix::fs::Access::EXISTS).is_ok() {
        return Ok(());
    }
    for ancestor in cwd.ancestors().collect::<Vec<_>>().into_iter().rev() {
        match mkdirat(CWD, ancestor, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::system(format!("mkdir cwd {}", cwd.display()))(errno)),
        }
    }
    Ok(())
}

/// Whether the directory was entered.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It was.
    Yes,
    /// Root may not (a root-squashed volume that belongs to the container's user): try again as that user.
    AsUserOnly,
}

/// Enters the directory as whoever init is now.
pub fn enter(cwd: &Path) -> Result<Entered, Error> {
    match chdir(cwd) {
        Ok(()) => Ok(Entered::Yes),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Entered::AsUserOnly),
        Err(errno) => Err(failed(cwd, errno)),
    }
}

/// Enters the directory as the container's user, if init could not before, and makes sure that it is in the root.
pub fn enter_as_user(cwd: &Path, entered: Entered) -> Result<(), Error> {
    if entered == Entered::AsUserOnly {
        chdir(cwd).map_err(|errno| failed(cwd, errno))?;
    }
    verify_inside_root()
}

fn failed(cwd: &Path, errno: Errno) -> Error {
    Error::system(format!("chdir to cwd ({:?}) set in config.json failed", cwd.display().to_string()))(errno)
}

/// The texts are runc's.
pub fn verify_inside_root() -> Result<(), Error> {
    let outside = || {
        Err(Error::Breakout(
            "current working directory is outside of container mount namespace root".to_owned(),
        ))
    };
    match getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
        Ok(_) => outside(),
        Err(Errno::NOENT) => outside(),
        Err(errno) => Err(Error::system("failed to verify if current working directory is safe")(errno)),
    }
}
