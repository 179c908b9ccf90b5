//! A mount namespace for one piece of work, given up after it: what is mounted there reaches nobody and needs no undoing.

use super::error::{Attempted, Error, Failure};
use crate::sys::mount::unshare_fs;
use crate::sys::unshare::unshare;
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

/// Does `work` in a thread that has a copy of this process's mounts, a working directory and a umask of its own. What it
/// starts stays there.
pub(crate) fn in_scratch_namespace<T: Send, E: Send + From<Error>>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    let worked = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                enter()?;
                work()
            })
            .join()
    });
    let died = || Failure::new("work in a mount namespace of its own", Errno::CANCELED);
    worked.unwrap_or_else(|_| Err(Error::from(died()).into()))
}

fn enter() -> Result<(), Error> {
    let slaves = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    let made =
        unshare(UnshareFlags::NEWNS).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL));
    unshare_fs().and(made).attempted(|| "make a mount namespace")?;
    Ok(rustix::mount::mount_change("/", slaves).attempted(|| "make / a slave")?)
}
