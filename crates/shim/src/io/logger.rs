//! `binary://`: a program that takes the output of a container.
//!
//! It gets the output as descriptor 3, the errors as 4, and a pipe as 5 that it closes when it is ready; whose they are
//! is in its environment (containerd's logging protocol). These numbers are kept free from the beginning, so that a child
//! can inherit something under them.

use super::open::Plan;
use super::{Owner, failed};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::FdFlags;
use shim_api::{Kind, Refusal, Target};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The numbers that such a program knows.
const NUMBERS: [i32; 3] = [3, 4, 5];

/// Holds the numbers.
pub(crate) struct Logger {
    held: Vec<OwnedFd>,
}

impl Logger {
    /// To be called before anything else is opened.
    pub(crate) fn reserve() -> io::Result<Self> {
        let mut held = Vec::new();
        for _ in NUMBERS {
            held.push(crate::lend::null()?);
        }
        Ok(Self { held })
    }

    /// Starts the program if output goes to one; answers what the process gets for its two outputs.
    pub(super) fn start(&mut self, plan: &Plan, owner: &Owner<'_>) -> Result<Option<[OwnedFd; 2]>, Refusal> {
        let Target::Binary(program, arguments) = &plan.stdout else {
            return match &plan.stderr {
                Target::Binary(..) => Err(Refusal::new(
                    Kind::InvalidArgument,
                    "a program that takes errors takes the output too",
                )),
                _ => Ok(None),
            };
        };
        let mut command = Command::new(program);
        for (name, value) in arguments {
            command.arg(name);
            if !value.is_empty() {
                command.arg(value);
            }
        }
        command.env("CONTAINER_ID", owner.id).env("CONTAINER_NAMESPACE", owner.namespace);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let pipe = || super::pipe(owner.user);
        let attempted = format!("start {}", program.display());
        let started = (|| {
            let (out, out_given) = pipe()?;
            let (err, err_given) = pipe()?;
            let (ready, ready_given) = pipe()?;
            self.inherit(&mut command, [&out, &err, &ready_given])?;
            drop(ready_given);
            // It closes the pipe, or ends.
            rustix::io::read(&ready, &mut [0])?;
            Ok([out_given, err_given])
        })();
        started.map(Some).map_err(|cause| failed(&attempted, &cause))
    }

    /// Starts it with these as 3, 4 and 5. They are ours again, and nothing, right after.
    fn inherit(&mut self, command: &mut Command, given: [&OwnedFd; 3]) -> io::Result<()> {
        let numbers: Vec<i32> = self.held.iter().map(AsRawFd::as_raw_fd).collect();
        if numbers != NUMBERS {
            return Err(io::Error::other("its descriptors were not free when this shim was started"));
        }
        for (number, fd) in self.held.iter_mut().zip(given) {
            rustix::io::dup2(fd, number)?;
            rustix::io::fcntl_setfd(&*number, FdFlags::empty())?;
        }
        let started = command.spawn();
        let null = crate::lend::null()?;
        for number in &mut self.held {
            rustix::io::dup3(&null, number, rustix::io::DupFlags::CLOEXEC)?;
        }
        started.map(drop)
    }
}
