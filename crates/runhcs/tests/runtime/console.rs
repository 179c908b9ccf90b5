//! The other end of a runtime's sockets: what a container manager does to be given a terminal or a pidfd.

use crate::lines::{Lines, PATIENCE, readable};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A socket on which one descriptor is expected.
pub(crate) struct FdSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// What came.
pub(crate) struct Received {
    pub(crate) fd: OwnedFd,
    /// The bytes beside it: the name of the terminal.
    pub(crate) payload: Vec<u8>,
    /// Whether the sender closed the connection without saying more.
    pub(crate) closed_after: bool,
}

impl FdSocket {
    /// Listens at this path.
    pub(crate) fn bind(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { listener, path: path.to_owned() }
    }

    /// The path, as an argument.
    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("a path of plain text")
    }

    /// Takes the connection and its one message, which must carry exactly one descriptor.
    pub(crate) fn receive(&self) -> Received {
        assert!(readable(&self.listener, PATIENCE), "nobody connected to {}", self.path());
        let (stream, _) = self.listener.accept().expect("a connection");
        let (payload, mut fds) = receive_message(&stream);
        assert_eq!(fds.len(), 1, "exactly one descriptor in exactly one control message");
        let (rest, more) = receive_message(&stream);
        let closed_after = rest.is_empty() && more.is_empty();
        Received { fd: fds.remove(0), payload, closed_after }
    }
}

/// One message of a datagram socket.
pub(crate) fn receive_datagram(socket: &UnixDatagram) -> (String, Vec<OwnedFd>) {
    let (bytes, fds) = receive_message(socket);
    (String::from_utf8_lossy(&bytes).into_owned(), fds)
}

/// One message: its bytes and its descriptors.
pub(crate) fn receive_message(stream: &impl AsFd) -> (Vec<u8>, Vec<OwnedFd>) {
    assert!(readable(stream, PATIENCE), "no message came");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 65536];
    let message = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .expect("recvmsg");
    let mut controls = 0;
    let mut fds = Vec::new();
    for message in control.drain() {
        controls += 1;
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    assert!(controls <= 1, "{controls} control messages");
    bytes.truncate(message.bytes);
    (bytes, fds)
}

/// A terminal of the suite's own, on whose other side a runtime runs in the foreground.
pub(crate) struct Terminal {
    pub(crate) master: Lines,
    name: PathBuf,
}

impl Terminal {
    /// A new one of this size.
    pub(crate) fn open(columns: u16, rows: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname").into_string().expect("a plain name");
        let terminal = Self { master: Lines::new(master), name: PathBuf::from(name) };
        terminal.resize(columns, rows);
        terminal
    }

    /// Changes its size, which signals the foreground process group.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        set_size(self.master.fd(), columns, rows);
    }

    /// Types.
    pub(crate) fn write(&self, text: &str) {
        write_all(self.master.fd(), text);
    }

    /// The other side, three times.
    pub(crate) fn stdio(&self) -> [Stdio; 3] {
        [(); 3].map(|()| {
            // Not as a controlling terminal of the suite.
            let noctty = OpenptFlags::NOCTTY.bits().cast_signed();
            let mut options = std::fs::File::options();
            let file =
                options.read(true).write(true).custom_flags(noctty).open(&self.name).expect("the other side");
            Stdio::from(file)
        })
    }
}

/// Sets the size of a terminal.
pub(crate) fn set_size(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).expect("a terminal's size");
}

/// Writes all of it.
pub(crate) fn write_all(fd: &OwnedFd, text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        let written = rustix::io::write(fd, bytes).expect("a write");
        bytes = &bytes[written..];
    }
}
