//! The program criu, as our child: asked once, over a socket.
//!
//! It is started as `criu swrk`, which serves the one request of the process that started it. The command line of
//! `criu dump` and `criu restore` lacks what a runtime needs: it says neither when the namespaces are there for hooks,
//! nor who the restored process is before that runs, and keeps the masters of terminals.
//!
//! | we                                  |           | criu                                                  |
//! |-------------------------------------|-----------|-------------------------------------------------------|
//! | the request                         | →         |                                                       |
//! | hooks, the record, the terminal     | ← notify  | what it is about to do, or has done                   |
//! | go on, or undo                      | →         |                                                       |
//! |                                     | ← answer  | the end, or why not                                   |

use super::error::Error;
use super::logfile::last_errors;
use super::protobuf::Message;
use super::rpc::{self, Features, Response, Verb};
use crate::sys;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown, SocketFlags,
    SocketType, recvmsg, send, shutdown, socketpair,
};
use std::io::{ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What criu tells about itself fits many times.
const MAX_MESSAGE: usize = 64 << 10;

/// Whether it gets our standard streams: only for a process that is to inherit them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    Ours,
    Null,
}

/// A running criu.
pub(super) struct Criu {
    process: Child,
    socket: OwnedFd,
}

/// Something it is about to do, or has done.
pub(super) struct Notice {
    pub(super) script: String,
    pub(super) pid: i32,
    pub(super) descriptor: Option<OwnedFd>,
}

impl Criu {
    /// Starts it, in the namespaces of this thread. It has `descriptors` under the numbers that they have here.
    pub(super) fn start(
        program: &Path,
        streams: Streams,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Self, Error> {
        let failed = |cause: rustix::io::Errno| Error::io("make a socket to criu", cause);
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("swrk").arg(theirs.as_raw_fd().to_string());
        if streams == Streams::Null {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let mut kept = vec![theirs.as_fd()];
        kept.extend_from_slice(descriptors);
        sys::exec::keep(&mut command, &kept);
        let process = command.spawn().map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => Error::NotInstalled(program.to_owned()),
            _ => Error::io("start criu", cause),
        })?;
        Ok(Self { process, socket })
    }

    /// Its process id: it, and all it makes, is to be in the container's control groups.
    pub(super) fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Asks it, answers its notifications, and waits for its end. When `on` fails, CRIU undoes what it did, and that
    /// failure is the result.
    pub(super) fn ask<E: From<Error>>(
        mut self,
        verb: Verb,
        request: &Message,
        log: &Path,
        on: &mut dyn FnMut(Notice) -> Result<(), E>,
    ) -> Result<Features, E> {
        let talked = self.converse(verb, request, log, on);
        // It ends now, if it has not: one request is all there was.
        let _ = shutdown(&self.socket, Shutdown::Both);
        // After a pre-dump it would wait for the dump, and is at a loss when the socket closes.
        let ended = self.process.wait().map_err(|cause| Error::io("wait for criu", cause))?;
        let features = talked?;
        if !ended.success() && verb != Verb::PreDump {
            return Err(Error::Gone { said: last_errors(log), log: log.to_owned() }.into());
        }
        Ok(features)
    }

    fn converse<E: From<Error>>(
        &self,
        verb: Verb,
        request: &Message,
        log: &Path,
        on: &mut dyn FnMut(Notice) -> Result<(), E>,
    ) -> Result<Features, E> {
        self.say(request)?;
        let mut refused = None;
        loop {
            let Some((response, descriptor)) = self.hear()? else {
                let gone = Error::Gone { said: last_errors(log), log: log.to_owned() };
                return Err(refused.unwrap_or_else(|| gone.into()));
            };
            if response.is_notification() && response.success {
                log::debug!("criu: {}", response.script);
                let notice = Notice { script: response.script, pid: response.pid, descriptor };
                if refused.is_none() {
                    refused = on(notice).err();
                }
                self.say(&rpc::notified(refused.is_none()))?;
                continue;
            }
            if let Some(refused) = refused {
                return Err(refused);
            }
            if !response.success {
                return Err(failure(verb, &response, log).into());
            }
            return Ok(response.features);
        }
    }

    fn say(&self, message: &Message) -> Result<(), Error> {
        rustix::io::retry_on_intr(|| send(&self.socket, message.as_bytes(), SendFlags::NOSIGNAL))
            .map(drop)
            .map_err(|cause| Error::io("send a request to criu", cause))
    }

    /// `None` when it is gone.
    fn hear(&self) -> Result<Option<(Response, Option<OwnedFd>)>, Error> {
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&self.socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)
        });
        let length = match received {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(cause) => return Err(Error::io("receive an answer of criu", cause)),
        };
        if length == 0 {
            return Ok(None);
        }
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                descriptor = descriptors.next();
            }
        }
        Ok(Some((Response::parse(buffer.get(..length).unwrap_or_default()), descriptor)))
    }
}

impl Drop for Criu {
    /// It never outlives its request.
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn failure(verb: Verb, response: &Response, log: &Path) -> Error {
    let mut said = last_errors(log);
    if said.is_empty() && !response.message.is_empty() {
        said = format!(": {}", response.message.trim_end());
    }
    Error::Failed { verb: verb.name(), errno: response.errno, said, log: log.to_owned() }
}

/// What this CRIU can do on this kernel.
pub(super) fn features(program: &Path) -> Result<Features, Error> {
    let criu = Criu::start(program, Streams::Null, &[])?;
    let nowhere = Path::new("");
    criu.ask(Verb::FeatureCheck, &rpc::feature_check(), nowhere, &mut |_| Ok::<(), Error>(()))
}
