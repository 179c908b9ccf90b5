//! What stays open: the three standard streams, the descriptors that the caller asked to pass on, nothing else.

use super::error::Error;
use super::procfs::Procfs;
use crate::sys::exec::{Close, close_one, close_range};
use rustix::fs::{Dir, OFlags};
use rustix::io::FdFlags;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Closes every descriptor from `first` on, but for `keep`, which are marked close-on-exec.
///
/// Marking all would not be enough: the program to be executed, or its interpreter, may be named `/proc/self/fd/7`, and
/// is opened before the marked ones are closed (CVE-2024-21626).
pub fn close_from(first: RawFd, keep: &[BorrowedFd<'_>]) -> Result<(), Error> {
    close(first, keep).map_err(Error::system(format!("close descriptors from {first}")))?;
    for fd in keep {
        rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)
            .map_err(Error::system(format!("mark descriptor {} close-on-exec", fd.as_raw_fd())))?;
    }
    Ok(())
}

fn close(first: RawFd, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let first = u32::try_from(first).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    for (start, end) in gaps(first, &keep) {
        match close_range(start, end, Close::Now) {
            Ok(()) => {}
            // Before Linux 5.9, or under a filter of the host's that has not heard of it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                return close_one_by_one(first, &keep);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The ranges from `first` to the end between the numbers to keep, which are in order.
fn gaps(first: u32, keep: &[u32]) -> Vec<(u32, u32)> {
    let mut gaps = Vec::with_capacity(keep.len() + 1);
    let mut start = first;
    for number in keep.iter().copied().filter(|number| *number >= first) {
        if number > start {
            gaps.push((start, number - 1));
        }
        start = number.saturating_add(1);
    }
    gaps.push((start, u32::MAX));
    gaps
}

fn close_one_by_one(first: u32, keep: &[u32]) -> io::Result<()> {
    let proc = Procfs::open().map_err(io::Error::other)?;
    let list = proc.open_file("self/fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let list_number = list.as_raw_fd();
    let numbers: Vec<RawFd> = Dir::new(list)?
        .filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok())
        .filter(|number| *number != list_number)
        .collect();
    for number in numbers {
        let wanted = u32::try_from(number).is_ok_and(|number| number >= first && !keep.contains(&number));
        if wanted {
            close_one(number)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn the_gaps_leave_out_what_is_kept() {
        assert_eq!(gaps(3, &[]), [(3, u32::MAX)]);
        assert_eq!(gaps(3, &[1, 3, 4, 9]), [(5, 8), (10, u32::MAX)]);
    }
}
