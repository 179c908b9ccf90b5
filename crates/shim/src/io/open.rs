//! From the strings of a request to what is open here.

use super::cri_log::{CriLog, Which};
use super::failed;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use shim_api::{Kind, Refusal, Streams, Target};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// What the strings mean.
pub(super) struct Plan {
    pub(super) stdin: Target,
    pub(super) stdout: Target,
    pub(super) stderr: Target,
}

/// Where input comes from.
pub(super) enum Source {
    /// Nowhere.
    Null,
    /// A fifo, and an end of our own for writing: without it, input would end when the first writer goes.
    Fifo { read: OwnedFd, keeper: OwnedFd },
    /// Those who attach; with `true` until the first of them is done.
    Attached { once: bool },
}

/// Where output goes.
pub(super) enum Sink {
    Null,
    /// Open for both directions: it neither ends nor breaks when a reader goes.
    Fifo(OwnedFd),
    File(File),
    Log(Arc<CriLog>, Which),
}

/// Understands the strings; opens nothing.
pub(super) fn plan(streams: &Streams) -> Result<Plan, Refusal> {
    let invalid = |text: String| Refusal::new(Kind::InvalidArgument, text);
    let parse =
        |name: &str, text: &str| Target::parse(text).map_err(|error| invalid(format!("{name}: {error}")));
    let plan = Plan {
        stdin: parse("stdin", &streams.stdin)?,
        stdout: parse("stdout", &streams.stdout)?,
        // A terminal has one output. containerd names a fifo for errors all the same.
        stderr: if streams.terminal { Target::Null } else { parse("stderr", &streams.stderr)? },
    };
    match &plan.stdin {
        Target::Null | Target::Fifo(_) | Target::CriStdin(_) => {}
        Target::File(_) | Target::Binary(..) | Target::CriLog(..) => {
            return Err(invalid(format!("stdin cannot come from {:?}", streams.stdin)));
        }
    }
    for (name, target) in [("stdout", &plan.stdout), ("stderr", &plan.stderr)] {
        match target {
            Target::CriStdin(_) => return Err(invalid(format!("{name} cannot go to a standard input"))),
            Target::Binary(..) if streams.terminal => {
                return Err(Refusal::new(
                    Kind::Unimplemented,
                    "a program that takes output cannot be had with a terminal",
                ));
            }
            _ => {}
        }
    }
    let logs = (plan.log(), &plan.stderr);
    if let (Some((path, _)), Target::CriLog(other, _)) = logs
        && path != other
    {
        return Err(invalid("both streams of a container have one log".to_owned()));
    }
    Ok(plan)
}

impl Plan {
    /// The log that output goes to.
    pub(super) fn log(&self) -> Option<(&Path, usize)> {
        [&self.stdout, &self.stderr].into_iter().find_map(|target| match target {
            Target::CriLog(path, limit) => Some((path.as_path(), *limit)),
            _ => None,
        })
    }

    pub(super) fn source(&self) -> Result<Source, Refusal> {
        match &self.stdin {
            Target::Fifo(path) => {
                let read = fifo(path, OFlags::RDONLY)?;
                let keeper = fifo(path, OFlags::WRONLY)?;
                Ok(Source::Fifo { read, keeper })
            }
            Target::CriStdin(once) => Ok(Source::Attached { once: *once }),
            Target::Null | Target::File(_) | Target::Binary(..) | Target::CriLog(..) => Ok(Source::Null),
        }
    }

    pub(super) fn sink(&self, target: &Target, log: Option<&Arc<CriLog>>) -> Result<Sink, Refusal> {
        match target {
            Target::Null | Target::Binary(..) | Target::CriStdin(_) => Ok(Sink::Null),
            Target::Fifo(path) => {
                let file = fifo(path, OFlags::RDWR)?;
                let is_fifo =
                    fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
                // What is no fifo takes everything at once.
                Ok(if is_fifo { Sink::Fifo(file) } else { Sink::File(file.into()) })
            }
            Target::File(path) => {
                let file = File::options().create(true).append(true).mode(0o644).open(path);
                file.map(Sink::File).map_err(|cause| failed(&format!("open {}", path.display()), &cause))
            }
            Target::CriLog(..) => {
                let which =
                    if std::ptr::eq(target, &raw const self.stderr) { Which::Stderr } else { Which::Stdout };
                let log = log.ok_or_else(|| Refusal::new(Kind::Internal, "the log is not open"))?;
                Ok(Sink::Log(log.clone(), which))
            }
        }
    }
}

/// Neither opening nor using it waits for the other side.
pub(super) fn fifo(path: &Path, direction: OFlags) -> Result<OwnedFd, Refusal> {
    let flags = direction | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|cause| match cause {
        rustix::io::Errno::NXIO => {
            Refusal::new(Kind::FailedPrecondition, format!("nobody reads from {}", path.display()))
        }
        cause => failed(&format!("open {}", path.display()), &cause.into()),
    })
}
