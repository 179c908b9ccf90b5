//! The terminal: allocated in the container's devpts, its slave for the process, its master for whoever asked.
//!
//! The container's image decides what `/dev/pts` is until it is checked: only a ptmx on a real devpts is opened, and
//! the slave is asked of the master, never opened by name.
//!
//! The settings stay as the kernel makes them, output processing (ONLCR) included: a caller with a console socket gets
//! the master that way from runc and decides itself. Only a runtime in the foreground clears it ([`raw_output`]),
//! because its own terminal adds the carriage returns.

use super::error::Error;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, major, minor, openat, openat2};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The terminal that the process gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Rows and columns, if the caller knows them.
    pub size: Option<(u16, u16)>,
    /// [`raw_output`] from before the program's first word on.
    pub raw_output: bool,
}

/// What a caller receives beside the master; it names the file that was opened, as runc's message does.
pub const NAME: &str = "/dev/pts/ptmx";

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_MAGIC: u32 = 0x1cd1;

/// A pair of ends.
#[derive(Debug)]
pub struct Pty {
    /// For the caller of the runtime.
    pub master: OwnedFd,
    /// For the process.
    pub slave: OwnedFd,
}

pub(crate) fn plan(size: Option<oci_spec::runtime::Box>) -> Terminal {
    let side = |cells: u64| u16::try_from(cells).unwrap_or(u16::MAX);
    let size = size.map(|size| (side(size.height()), side(size.width())));
    Terminal { size: size.filter(|(rows, columns)| *rows != 0 && *columns != 0), raw_output: false }
}

/// Leaves the session of the runtime's caller. Being the leader of one already is as good.
pub fn new_session() -> Result<(), Error> {
    match setsid() {
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(Error::system("setsid")(errno)),
    }
}

/// Allocates a pair in `/dev/pts` of the calling process's root.
pub fn allocate(terminal: &Terminal) -> Result<Pty, Error> {
    let master = open_ptmx()?;
    unlockpt(&master).map_err(Error::system("unlock the pty"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags)
        .map_err(Error::system("failed to get peer end of newly-allocated console"))?;
    if let Some((rows, columns)) = terminal.size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size)
            .map_err(Error::system(format!("set the console to {rows} rows, {columns} columns")))?;
    }
    if terminal.raw_output {
        raw_output(master.as_fd()).map_err(Error::system("clear ONLCR of the console"))?;
    }
    Ok(Pty { master, slave })
}

/// `/dev/pts` may be anything, but what is named `ptmx` in the root of a devpts is what we want.
fn open_ptmx() -> Result<OwnedFd, Error> {
    let directory =
        openat(CWD, "/dev/pts", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::system("open /dev/pts (is a devpts among the mounts?)"))?;
    if fstatfs(&directory).map_err(Error::system("look at /dev/pts"))?.f_type as u32 != DEVPTS_MAGIC {
        return Err(Error::Breakout("/dev/pts is not on a real devpts mount".to_owned()));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let ptmx = match retry_on_intr(|| openat2(&directory, "ptmx", flags, Mode::empty(), resolve)) {
        Err(Errno::NOSYS) => openat(&directory, "ptmx", flags, Mode::empty()),
        done => done,
    }
    .map_err(Error::system("open /dev/pts/ptmx to get new pty pair"))?;
    let stat = fstat(&ptmx).map_err(Error::system("look at /dev/pts/ptmx"))?;
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || device != (5, 2) {
        return Err(Error::Breakout(format!(
            "/dev/pts/ptmx is not a real ptmx device: {}:{}",
            device.0, device.1
        )));
    }
    Ok(ptmx)
}

/// Puts the slave at `/dev/console`, so that programs that write there write to the container's terminal.
pub fn mount_console(slave: BorrowedFd<'_>) -> Result<(), Error> {
    let target = console_target().map_err(Error::system("create /dev/console mount target"))?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = match open_tree(slave, c"", clone) {
        // Before Linux 5.2.
        Err(Errno::NOSYS) => return mount_console_by_path(slave, target.as_fd()),
        done => done.map_err(Error::system("take the terminal to /dev/console"))?,
    };
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount, c"", &target, c"", empty).map_err(Error::system("mount the terminal on /dev/console"))
}

/// What the image has there is not opened, which could have effects, and a link is not a place to mount on.
fn console_target() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = match openat(CWD, "/dev/console", flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return openat(CWD, "/dev/console", flags, Mode::from_raw_mode(0o666));
        }
        done => done?,
    };
    match FileType::from_raw_mode(fstat(&target)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Ok(target),
    }
}

fn mount_console_by_path(slave: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Error> {
    use std::os::fd::AsRawFd;
    let path = |fd: BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::mount::mount_bind(path(slave), path(target))
        .map_err(Error::system("mount the terminal on /dev/console"))
}

/// Hands the master over: exactly one message with one descriptor, and its name as data.
pub fn send_master(socket: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Result<(), Error> {
    send_descriptor(socket, NAME.as_bytes(), master)
        .map_err(Error::system("send the console to the console socket"))
}

/// One message with one descriptor, for anything that callers of a runtime wait for: a console, a pidfd, a seccomp
/// listener.
pub(crate) fn send_descriptor(socket: BorrowedFd<'_>, data: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let sent = retry_on_intr(|| sendmsg(socket, &[IoSlice::new(data)], &mut control, SendFlags::NOSIGNAL))?;
    if sent == data.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

/// Makes the slave the standard streams and the controlling terminal of the calling process, which leads a session.
pub fn attach(slave: &OwnedFd) -> Result<(), Error> {
    ioctl_tiocsctty(slave).map_err(Error::system("ioctl(setctty)"))?;
    rustix::stdio::dup2_stdin(slave)
        .and_then(|()| rustix::stdio::dup2_stdout(slave))
        .and_then(|()| rustix::stdio::dup2_stderr(slave))
        .map_err(Error::system("make the terminal the standard streams"))
}

/// For a runtime in the foreground: no carriage return before each line feed, its own terminal does that.
pub fn raw_output(master: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut settings = tcgetattr(master)?;
    settings.output_modes.remove(OutputModes::ONLCR);
    tcsetattr(master, OptionalActions::Now, &settings)
}

/// Takes the descriptor that a message carries: the master of a terminal that was asked for.
pub fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    if message.bytes == 0 {
        return Err(invalid("the socket was closed before a terminal came"));
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(invalid("the message carries more than one descriptor"));
    }
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .ok_or_else(|| invalid("the message carries no descriptor"))
}
