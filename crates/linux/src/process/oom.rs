//! How ready the kernel is to end the process when memory runs out.
//!
//! Written before a user namespace is entered and while the process is still dumpable: later the file is not ours to
//! write. Children inherit the value.

use super::error::Error;
use super::procfs::Procfs;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The values the kernel takes.
pub(crate) const RANGE: std::ops::RangeInclusive<i32> = -1000..=1000;

/// Sets the score of the calling process. Going below what the process started with needs CAP_SYS_RESOURCE; rootless
/// callers cannot have it and ask for what their defaults say, so for them a refusal is no error.
pub fn set_score(proc: &Procfs, score: i32, rootless: bool) -> Result<(), Error> {
    match proc.try_write("self/oom_score_adj", OFlags::WRONLY, score.to_string().as_bytes()) {
        Ok(()) => Ok(()),
        Err(Errno::ACCESS | Errno::PERM) if rootless => Ok(()),
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => Err(Error::system(format!(
            "set oom_score_adj to {score} (lowering it needs CAP_SYS_RESOURCE)"
        ))(errno)),
        Err(errno) => Err(Error::system(format!("set oom_score_adj to {score}"))(errno)),
    }
}
