//! The terminal of a container in the foreground: its master arrives over a socket, and what is typed at the host's
//! terminal goes one way while what the container prints goes the other, without a thread of its own.
//!
//! ```text
//!  host's terminal (raw) ── stdin ──▶ input ──▶ pty master ══ pty in the container
//!                        ◀─ stdout ── output ◀─┘
//! ```
//! The host's terminal keeps its output processing and the container's does not add line ends, so that each line end
//! is processed once, as with runc.

use crate::backends::{raw_output, receive_descriptor};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::io::{self};
use std::panic;

/// What can go wrong with a terminal.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}")]
pub(crate) struct TerminalError {
    attempted: &'static str,
    #[source]
    cause: io::Error,
}

fn failed<E: Into<io::Error>>(attempted: &'static str) -> impl FnOnce(E) -> TerminalError {
    move |cause| TerminalError { attempted, cause: cause.into() }
}

/// A terminal that was asked for: its master is yet to come.
pub(crate) struct Awaited {
    host: HostTerminal,
    socket: OwnedFd,
}

/// See the module's text.
pub(crate) struct Terminal {
    host: HostTerminal,
    master: OwnedFd,
    input: Pump,
    output: Pump,
}

/// One of the descriptors that a terminal waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The container's end.
    Master,
    /// What is typed.
    Stdin,
    /// What is shown.
    Stdout,
}

impl Awaited {
    /// Finds the host's terminal, and makes the socket that is to bring the container's.
    pub(crate) fn new() -> Result<(Self, OwnedFd), TerminalError> {
        let host = HostTerminal::find()?;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(failed("make a socket for the terminal"))?;
        Ok((Self { host, socket }, theirs))
    }

    /// The size of the host's terminal.
    pub(crate) fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.host.fd).ok()
    }

    /// Waits for the master, gives it the host's size, and makes the host's terminal raw.
    pub(crate) fn attach(mut self) -> Result<Terminal, TerminalError> {
        let master =
            receive_descriptor(self.socket.as_fd()).map_err(failed("receive the container's terminal"))?;
        rustix::io::ioctl_fionbio(&master, true).map_err(failed("set up the container's terminal"))?;
        // A new one comes like this; a restored one as it was checkpointed.
        raw_output(master.as_fd()).map_err(failed("set the modes of the container's terminal"))?;
        let stdio =
            |fd: BorrowedFd<'_>, flags| private(fd, flags).map_err(failed("open the standard streams"));
        let input = Pump::new(stdio(rustix::stdio::stdin(), OFlags::RDONLY)?);
        let output = Pump::new(stdio(rustix::stdio::stdout(), OFlags::WRONLY)?);
        self.host.make_raw()?;
        let terminal = Terminal { host: self.host, master, input, output };
        terminal.resize();
        Ok(terminal)
    }
}

impl Terminal {
    /// Gives the container's terminal the size of the host's.
    pub(crate) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(&self.host.fd) {
            // The container may be gone, and with it what a size is for.
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// What to wait for now.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (Side, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.output.wants_more());
        wanted.set(PollFlags::OUT, self.input.has_more());
        let master = (!wanted.is_empty()).then(|| (Side::Master, self.master.as_fd(), wanted));
        let stdin = self.input.wants_more().then(|| (Side::Stdin, self.input.end.as_fd(), PollFlags::IN));
        let stdout = self.output.has_more().then(|| (Side::Stdout, self.output.end.as_fd(), PollFlags::OUT));
        [master, stdin, stdout].into_iter().flatten()
    }

    /// Does what can be done without waiting, on a side that is ready.
    pub(crate) fn progress(&mut self, side: Side, ready: PollFlags) {
        match side {
            Side::Master => {
                if self.input.has_more()
                    && !ready.intersection(PollFlags::OUT | PollFlags::ERR | PollFlags::HUP).is_empty()
                {
                    self.input.write_to(self.master.as_fd());
                }
                if self.output.wants_more()
                    && ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
                {
                    self.output.read_from(self.master.as_fd());
                }
            }
            Side::Stdin => self.input.read(),
            Side::Stdout => self.output.write(),
        }
    }

    /// Whether something that the container printed is still to be shown.
    pub(crate) fn has_output(&self) -> bool {
        self.output.has_more()
    }
}

/// The terminal we were started at. Its modes are restored when it is dropped.
struct HostTerminal {
    fd: OwnedFd,
    before: Option<Termios>,
}

impl HostTerminal {
    /// Any of the standard streams may be it, or all may be redirected and `/dev/tty` leads to it.
    fn find() -> Result<Self, TerminalError> {
        let streams = [rustix::stdio::stderr(), rustix::stdio::stdout(), rustix::stdio::stdin()];
        let fd = match streams.into_iter().find(|stream| isatty(stream)) {
            Some(stream) => rustix::io::fcntl_dupfd_cloexec(stream, 3),
            None => {
                rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
            }
        };
        let fd = fd.map_err(failed("find the host's terminal (no standard stream is one; open /dev/tty)"))?;
        Ok(Self { fd, before: None })
    }

    fn make_raw(&mut self) -> Result<(), TerminalError> {
        let before = tcgetattr(&self.fd).map_err(failed("read the modes of the host's terminal"))?;
        let mut raw = before.clone();
        raw.make_raw();
        raw.output_modes.insert(OutputModes::OPOST);
        self.restore_on_panic(&before)?;
        self.before = Some(before);
        tcsetattr(&self.fd, OptionalActions::Now, &raw)
            .map_err(failed("set the modes of the host's terminal"))
    }

    /// A program that aborts drops nothing.
    fn restore_on_panic(&self, before: &Termios) -> Result<(), TerminalError> {
        let (fd, before) = (self.fd.try_clone().map_err(failed("keep the host's terminal"))?, before.clone());
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let _ = tcsetattr(&fd, OptionalActions::Now, &before);
            told(info);
        }));
        Ok(())
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The terminal may have been hung up.
            let _ = tcsetattr(&self.fd, OptionalActions::Now, before);
        }
    }
}

/// One direction: a buffer between the master and the standard stream at its other end.
struct Pump {
    end: OwnedFd,
    open: bool,
    buffer: Vec<u8>,
    start: usize,
}

/// No more than a pipe takes at once when it says that it takes something (`PIPE_BUF`).
const CHUNK: usize = 4096;

impl Pump {
    fn new(end: OwnedFd) -> Self {
        Self { end, open: true, buffer: Vec::new(), start: 0 }
    }

    fn has_more(&self) -> bool {
        self.start < self.buffer.len()
    }

    fn wants_more(&self) -> bool {
        self.open && !self.has_more()
    }

    fn read(&mut self) {
        let read = fill(&mut self.buffer, self.end.as_fd());
        self.filled(read);
    }

    fn read_from(&mut self, source: BorrowedFd<'_>) {
        let read = fill(&mut self.buffer, source);
        self.filled(read);
    }

    fn filled(&mut self, read: rustix::io::Result<usize>) {
        self.start = 0;
        match read {
            Ok(0) => self.open = false,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO is how a pty says that nobody has its other end open.
            Err(_) => self.open = false,
        }
    }

    fn write(&mut self) {
        let written = rustix::io::write(&self.end, self.buffer.get(self.start..).unwrap_or_default());
        self.drained(written);
    }

    fn write_to(&mut self, sink: BorrowedFd<'_>) {
        let written = rustix::io::write(sink, self.buffer.get(self.start..).unwrap_or_default());
        self.drained(written);
    }

    fn drained(&mut self, written: rustix::io::Result<usize>) {
        match written {
            Ok(count) => self.start += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads any more. The container goes on; what it prints is taken and dropped.
            Err(_) => self.start = self.buffer.len(),
        }
    }
}

fn fill(buffer: &mut Vec<u8>, source: BorrowedFd<'_>) -> rustix::io::Result<usize> {
    buffer.resize(CHUNK, 0);
    let read = rustix::io::read(source, &mut buffer[..]);
    buffer.truncate(*read.as_ref().unwrap_or(&0));
    read
}

/// A descriptor that does not block, without making the stream that we share with others non-blocking. Only terminals
/// and pipes can be opened anew without harm: a file would start at its beginning.
fn private(stream: BorrowedFd<'_>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let reopens = isatty(stream)
        || rustix::fs::fstat(stream)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if reopens {
        let path = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&stream));
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) {
            return Ok(fd);
        }
    }
    rustix::io::fcntl_dupfd_cloexec(stream, 3)
}
