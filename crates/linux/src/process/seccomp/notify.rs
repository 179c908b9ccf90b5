//! Handing the notification descriptor to whoever answers it.

use super::Listener;
use crate::process::error::Error;
use crate::process::terminal::send_descriptor;
use oci_spec::runtime::{ContainerProcessStateBuilder, SECCOMP_FD_NAME, State};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::os::fd::BorrowedFd;

/// Sends the descriptor with the `ContainerProcessState` of the specification, as one message. `pid` is the process
/// that loaded the filter, as the host sees it.
pub fn send(listener: &Listener, notifications: BorrowedFd<'_>, pid: i32, state: State) -> Result<(), Error> {
    let path = listener.path.display();
    let mut message = ContainerProcessStateBuilder::default()
        .version(state.version().clone())
        .fds(vec![SECCOMP_FD_NAME.to_owned()])
        .pid(pid)
        .state(state);
    if let Some(metadata) = &listener.metadata {
        message = message.metadata(metadata.clone());
    }
    let message = message.build().map_err(|error| Error::invalid(format!("seccomp state: {error}")))?;
    let json =
        serde_json::to_vec(&message).map_err(|error| Error::invalid(format!("seccomp state: {error}")))?;

    let attempted = "failed to connect with seccomp agent specified in the seccomp profile";
    let address = SocketAddrUnix::new(&listener.path).map_err(Error::system(attempted))?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(Error::system(attempted))?;
    connect(&socket, &address).map_err(Error::system(format!("{attempted}: connect {path}")))?;
    send_descriptor(std::os::fd::AsFd::as_fd(&socket), &json, notifications)
        .map_err(Error::system(format!("cannot send seccomp fd to {path}")))
}
