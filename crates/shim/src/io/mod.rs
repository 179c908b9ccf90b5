//! The standard streams of a process: opened before it is made, moved while it runs, drained when it ends.
//!
//! ```text
//!                    ┌▶ fifo            the pump waits when it is full, and so does the process
//!  stdout, stderr ──▶│  file, log       written at once
//!  (pipe, terminal)  └▶ attached fifos  each with a bounded buffer; who does not keep up is dropped
//!
//!  fifo, attached fifos ──▶ stdin (pipe, terminal)
//! ```
//! Everything runs on one thread, and one buffer serves all pumps: what was read is delivered before anything else
//! happens, and only what a full fifo did not take is kept.

mod attached;
mod cri_log;
mod input;
mod logger;
mod open;
mod output;

pub(crate) use logger::Logger;

use crate::backends::receive_descriptor;
use cri_log::CriLog;
use input::Input;
use open::{Sink, Source};
use output::Output;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::termios::{Winsize, tcsetwinsize};
use shim_api::{Kind, Refusal, Streams};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long output that nobody takes is kept after a process was removed.
const PATIENCE: Duration = Duration::from_secs(10);

/// One for all: see the module's text. Read into only as far as there is something to read.
static BUFFER: Mutex<[u8; 64 << 10]> = Mutex::new([0; 64 << 10]);

/// Whose streams these are.
pub(crate) struct Owner<'a> {
    /// The container.
    pub(crate) id: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// The user and group that own its pipes.
    pub(crate) user: (u32, u32),
}

/// Streams that are ready for a process to be made.
pub(crate) struct Ready {
    ours: Ours,
    theirs: Theirs,
    log: Option<Arc<CriLog>>,
}

/// What stays here.
struct Ours {
    source: Source,
    stdout: Sink,
    stderr: Sink,
}

/// What the process gets, and the ends of it that are ours.
enum Theirs {
    Pipes { given: [OwnedFd; 3], stdin: Option<OwnedFd>, stdout: Option<OwnedFd>, stderr: Option<OwnedFd> },
    Terminal { given: Option<OwnedFd>, socket: OwnedFd, null: OwnedFd },
}

/// The streams of a process that was made.
pub(crate) struct Io {
    outputs: Vec<Arc<Output>>,
    input: Option<Arc<Input>>,
    log: Option<Arc<CriLog>>,
    terminal: Option<OwnedFd>,
    pumps: Vec<AbortHandle>,
}

impl Ready {
    /// Opens everything, without waiting for anybody.
    pub(crate) fn open(streams: &Streams, owner: &Owner<'_>, logger: &mut Logger) -> Result<Self, Refusal> {
        let plan = open::plan(streams)?;
        let log = plan.log().map(|(path, limit)| {
            let opened = CriLog::open(path, limit).map(Arc::new);
            opened.map_err(|cause| failed(&format!("open log {}", path.display()), &cause))
        });
        let log = log.transpose()?;
        let source = plan.source()?;
        if streams.terminal {
            let stdout = plan.sink(&plan.stdout, log.as_ref())?;
            let theirs =
                Theirs::terminal().map_err(|cause| failed("make a socket for the terminal", &cause))?;
            return Ok(Self { ours: Ours { source, stdout, stderr: Sink::Null }, theirs, log });
        }
        // A program that takes output gets the pipes themselves.
        let direct = logger.start(&plan, owner)?;
        let (stdout, stderr) = match &direct {
            Some(_) => (Sink::Null, Sink::Null),
            None => (plan.sink(&plan.stdout, log.as_ref())?, plan.sink(&plan.stderr, log.as_ref())?),
        };
        let theirs = Theirs::pipes(&source, [&stdout, &stderr], direct, owner.user)
            .map_err(|cause| failed("make pipes for the standard streams", &cause))?;
        Ok(Self { ours: Ours { source, stdout, stderr }, theirs, log })
    }

    /// The descriptors that the process inherits while it is made.
    pub(crate) fn standard(&self) -> [BorrowedFd<'_>; 3] {
        match &self.theirs {
            Theirs::Pipes { given, .. } => given.each_ref().map(AsFd::as_fd),
            Theirs::Terminal { null, .. } => [null.as_fd(), null.as_fd(), null.as_fd()],
        }
    }

    /// Where the master of its terminal goes. To be taken once.
    pub(crate) fn console(&mut self) -> Option<OwnedFd> {
        match &mut self.theirs {
            Theirs::Pipes { .. } => None,
            Theirs::Terminal { given, .. } => given.take(),
        }
    }

    /// The process was made: begins to move.
    pub(crate) fn begin(self) -> io::Result<Io> {
        let Ours { source, stdout, stderr } = self.ours;
        let mut io =
            Io { outputs: Vec::new(), input: None, log: self.log, terminal: None, pumps: Vec::new() };
        match self.theirs {
            Theirs::Terminal { socket, .. } => {
                let master = receive_descriptor(socket.as_fd())?;
                rustix::io::ioctl_fionbio(&master, true)?;
                io.add_output(master.try_clone()?, stdout)?;
                io.add_input(master.try_clone()?, source, true)?;
                io.terminal = Some(master);
            }
            Theirs::Pipes { stdin, stdout: out, stderr: err, .. } => {
                if let Some(pipe) = out {
                    io.add_output(pipe, stdout)?;
                }
                if let Some(pipe) = err {
                    io.add_output(pipe, stderr)?;
                }
                if let Some(pipe) = stdin {
                    io.add_input(pipe, source, false)?;
                }
            }
        }
        Ok(io)
    }
}

impl Theirs {
    fn terminal() -> io::Result<Self> {
        let (socket, given) = std::os::unix::net::UnixStream::pair()?;
        Ok(Theirs::Terminal { given: Some(given.into()), socket: socket.into(), null: crate::lend::null()? })
    }

    fn pipes(
        source: &Source,
        sinks: [&Sink; 2],
        direct: Option<[OwnedFd; 2]>,
        user: (u32, u32),
    ) -> io::Result<Self> {
        let (stdin, ours_in) = match source {
            Source::Null => (crate::lend::null()?, None),
            _ => {
                let (read, write) = pipe(user)?;
                rustix::io::ioctl_fionbio(&write, true)?;
                (read, Some(write))
            }
        };
        if let Some([stdout, stderr]) = direct {
            let given = [stdin, stdout, stderr];
            return Ok(Theirs::Pipes { given, stdin: ours_in, stdout: None, stderr: None });
        }
        let output = |sink: &Sink| match sink {
            Sink::Null => Ok((crate::lend::null()?, None)),
            _ => {
                let (read, write) = pipe(user)?;
                rustix::io::ioctl_fionbio(&read, true)?;
                Ok::<_, io::Error>((write, Some(read)))
            }
        };
        let [(stdout, ours_out), (stderr, ours_err)] = [output(sinks[0])?, output(sinks[1])?];
        let given = [stdin, stdout, stderr];
        Ok(Theirs::Pipes { given, stdin: ours_in, stdout: ours_out, stderr: ours_err })
    }
}

/// A pipe of the container's user, who may open it again by `/dev/stdout`.
fn pipe((uid, gid): (u32, u32)) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if (uid, gid) != (0, 0) {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::fchown(&read, Some(uid), Some(gid))?;
    }
    Ok((read, write))
}

impl Io {
    fn add_output(&mut self, from: OwnedFd, to: Sink) -> io::Result<()> {
        let output = Arc::new(Output::new(from, to)?);
        self.outputs.push(output.clone());
        self.pumps.push(tokio::spawn(output::pump(output)).abort_handle());
        Ok(())
    }

    fn add_input(&mut self, to: OwnedFd, from: Source, terminal: bool) -> io::Result<()> {
        let input = Arc::new(Input::new(to, &from, terminal)?);
        self.input = Some(input.clone());
        if let Source::Fifo { read, keeper } = from {
            input.keep(keeper);
            self.pumps.push(tokio::spawn(input::pump(input, read, true)?).abort_handle());
        }
        Ok(())
    }

    /// Delivers what the process has printed up to now, as far as it is taken. To be called when it has ended, before
    /// anybody is told so.
    pub(crate) fn drain(&self) {
        self.outputs.iter().for_each(|output| output.drain());
    }

    /// Ends standard input when everything that was written to it has been read.
    pub(crate) fn close_stdin(&self) {
        if let Some(input) = &self.input {
            input.close();
        }
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, width: u16, height: u16) -> Result<(), Refusal> {
        let Some(terminal) = &self.terminal else {
            return Err(Refusal::new(Kind::FailedPrecondition, "the process has no terminal"));
        };
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        match tcsetwinsize(terminal, size) {
            Ok(()) => Ok(()),
            Err(cause) => Err(failed("resize the terminal", &cause.into())),
        }
    }

    /// Opens the log anew.
    pub(crate) fn reopen_log(&self) -> Result<(), Refusal> {
        let Some(log) = &self.log else {
            return Err(Refusal::new(Kind::FailedPrecondition, "the container has no log here"));
        };
        log.reopen().map_err(|cause| failed("reopen the log", &cause))
    }

    /// Ties more readers and a writer to the streams. What cannot be opened leaves everything as it was.
    pub(crate) fn attach(&mut self, streams: &Streams) -> Result<(), Refusal> {
        let reader = |path: &str| attached::open(path);
        let [stdout, stderr] = [reader(&streams.stdout)?, reader(&streams.stderr)?];
        let stdin = match (&self.input, streams.stdin.as_str()) {
            (_, "") => None,
            (None, _) => {
                return Err(Refusal::new(Kind::FailedPrecondition, "the process has no standard input"));
            }
            (Some(input), path) => Some((input.clone(), input::open_attached(path)?)),
        };
        for (output, reader) in self.outputs.iter().zip([stdout, stderr]) {
            if let Some(reader) = reader {
                output.attach(reader);
            }
        }
        if let Some((input, from)) = stdin {
            let pump = input::pump(input, from, false).map_err(|cause| failed("attach", &cause))?;
            self.pumps.retain(|pump| !pump.is_finished());
            self.pumps.push(tokio::spawn(pump).abort_handle());
        }
        Ok(())
    }
}

impl Drop for Io {
    /// Readers that are slow get the rest; those that never come do not keep it for ever.
    fn drop(&mut self) {
        self.close_stdin();
        let pumps: Vec<AbortHandle> = self.pumps.drain(..).filter(|pump| !pump.is_finished()).collect();
        if !pumps.is_empty() {
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                pumps.iter().for_each(AbortHandle::abort);
            });
        }
    }
}

/// A system call for a stream failed.
fn failed(attempted: &str, cause: &io::Error) -> Refusal {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory => Kind::ResourceExhausted,
        _ => Kind::Internal,
    };
    Refusal::new(kind, format!("{attempted}: {cause}"))
}
