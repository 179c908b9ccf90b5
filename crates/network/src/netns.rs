//! Network namespaces that live without a process: each is pinned by a bind mount on a file.
//!
//! A thread of its own makes the namespace and ends with the call, so that no other thread of the caller ever changes
//! its namespace. A pin is told from the empty file it stands on by the file system that it shows, so that the rest of
//! a creation that was cut off is recognised and removed like a whole one.

use crate::{loopback, sys};
use rustix::fs::{Mode, OFlags, fstatfs, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

/// What could not be done with a network namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// There is a file of that name already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file shows no network namespace.
    #[error("{} is no network namespace", .0.display())]
    NotANamespace(PathBuf),
    /// The system refused.
    #[error("{attempted} {}", path.display())]
    System {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

fn system(attempted: &'static str, path: &Path) -> impl FnOnce(Errno) -> NetnsError {
    let io = io_error(attempted, path);
    move |cause| io(cause.into())
}

fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NetnsError {
    let path = path.to_owned();
    move |cause| NetnsError::System { attempted, path, cause }
}

/// Makes a network namespace with its loopback interface up, pinned at `path`. The folder is made if it is missing;
/// the file must not exist. After an error nothing is left.
pub fn create(path: &Path) -> Result<(), NetnsError> {
    pinned(path, || {
        sys::unshare_network().map_err(system("make a network namespace for", path))?;
        loopback::up().map_err(system("set lo up in", path))?;
        mount_bind("/proc/thread-self/ns/net", path).map_err(system("pin the network namespace at", path))
    })
}

/// Pins a namespace that somebody else has made, for example one that belongs to a user namespace, and brings its
/// loopback interface up.
pub fn pin(namespace: BorrowedFd<'_>, path: &Path) -> Result<(), NetnsError> {
    let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
    pinned(path, || {
        enter(namespace).map_err(system("enter the network namespace for", path))?;
        loopback::up().map_err(system("set lo up in", path))?;
        mount_bind(&source, path).map_err(system("pin the network namespace at", path))
    })
}

/// Removes a pin. The namespace goes with its last process and socket. What is not there is removed already, and a
/// file that is no pin is removed as well.
pub fn remove(path: &Path) -> Result<(), NetnsError> {
    loop {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Another may be mounted under it.
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => break,
            Err(cause) => return Err(system("unmount", path)(cause)),
        }
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(cause)),
        _ => Ok(()),
    }
}

/// Whether a network namespace is pinned at `path`. A missing file and one on which nothing is mounted are none.
pub fn is_pinned(path: &Path) -> Result<bool, NetnsError> {
    match open_namespace(path) {
        Ok(_) => Ok(true),
        Err(NetnsError::NotANamespace(_)) => Ok(false),
        Err(NetnsError::System { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens the namespace that is pinned at `path`.
pub fn open_namespace(path: &Path) -> Result<OwnedFd, NetnsError> {
    /// `NSFS_MAGIC`.
    const NSFS: i64 = 0x6e73_6673;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::NXIO) => return Err(NetnsError::NotANamespace(path.to_owned())),
        Err(cause) => return Err(system("open network namespace", path)(cause)),
    };
    let file_system = fstatfs(&file).map_err(system("look at", path))?.f_type;
    // Of what kind a namespace is, the kernel says to whoever enters it.
    if file_system == NSFS && on_own_thread(path, || Ok(enter(file.as_fd())))? != Err(Errno::INVAL) {
        return Ok(file);
    }
    Err(NetnsError::NotANamespace(path.to_owned()))
}

/// Runs `work` on a thread that is in the namespace, and waits for it.
pub fn within<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    let namespace = open_namespace(path)?;
    on_own_thread(path, || {
        enter(namespace.as_fd()).map_err(system("enter network namespace", path))?;
        Ok(work())
    })
}

fn enter(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
}

/// Makes the file that is mounted on, and removes it when `mount` fails.
fn pinned(path: &Path, mount: impl FnOnce() -> Result<(), NetnsError> + Send) -> Result<(), NetnsError> {
    match make_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            return Err(NetnsError::Exists(path.to_owned()));
        }
        made => made.map_err(io_error("make", path))?,
    }
    on_own_thread(path, mount).inspect_err(|_| {
        // What is left of it is found again by `is_pinned` and `remove`; the first error says more.
        let _ = remove(path);
    })
}

fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o444);
    match (options.open(path), path.parent()) {
        (Err(cause), Some(folder)) if cause.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            options.open(path).map(drop)
        }
        (made, _) => made.map(drop),
    }
}

/// The thread ends with the call, and whatever namespace it went to with it.
fn on_own_thread<T: Send>(
    path: &Path,
    work: impl FnOnce() -> Result<T, NetnsError> + Send,
) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work);
        match worker.map_err(io_error("start a thread for", path))?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pin_is_recognised_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netns/pod");
        assert!(!is_pinned(&path).unwrap());
        remove(&path).unwrap();
        make_file(&path).unwrap();
        assert!(!is_pinned(&path).unwrap());
        assert!(matches!(within(&path, || ()), Err(NetnsError::NotANamespace(_))));
        assert!(matches!(create(&path), Err(NetnsError::Exists(_))));
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
        remove(&path.join("below")).unwrap();
    }

    #[test]
    fn a_namespace_of_another_kind_is_no_pin() {
        let namespace = open("/proc/self/ns/uts", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert_eq!(enter(namespace.as_fd()), Err(Errno::INVAL));
    }
}
