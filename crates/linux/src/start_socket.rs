//! The socket on which a created container waits for its start.
//!
//! It lies in the container's folder for as long as the container is created. Whoever starts the container connects;
//! init answers `Accepted`, and either an error follows, or the stream ends because the program was executed. Only one
//! of several starters is accepted.

use compute::{Error, Kind};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

const NAME: &str = "start.sock";

/// Makes the socket in a container's folder and listens on it.
pub(crate) fn listen(state_dir: &Path) -> Result<OwnedFd, Error> {
    let failed = |cause| Error::io(format!("make start socket in {}", state_dir.display()), cause);
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    let (address, _dir) = address(state_dir)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, 16).map_err(failed)?;
    Ok(socket)
}

/// Whether the container still waits.
pub(crate) fn exists(state_dir: &Path) -> bool {
    state_dir.join(NAME).symlink_metadata().is_ok()
}

/// Connects to init. `None` when nobody waits there any more.
pub(crate) fn connect(state_dir: &Path) -> Result<Option<UnixStream>, Error> {
    let failed = |cause| Error::io(format!("connect to start socket in {}", state_dir.display()), cause);
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    let (address, _dir) = address(state_dir)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(Some(socket.into())),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
        Err(cause) => Err(failed(cause)),
    }
}

/// Takes the socket away: the container is started.
pub(crate) fn remove(state_dir: &Path) -> Result<(), Error> {
    match fs::remove_file(state_dir.join(NAME)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove start socket in {}", state_dir.display()), error))
        }
        _ => Ok(()),
    }
}

/// A socket's name has 107 bytes at most; an open folder's name in /proc is short however deep the folder lies.
fn address(state_dir: &Path) -> Result<(SocketAddrUnix, OwnedFd), Error> {
    let dir = rustix::fs::open(state_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| Error::io(format!("open {}", state_dir.display()), cause))?;
    let path = format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd());
    let address = SocketAddrUnix::new(&path)
        .map_err(|cause| Error::new(Kind::Internal, format!("{path} is no socket name: {cause}")))?;
    Ok((address, dir))
}
