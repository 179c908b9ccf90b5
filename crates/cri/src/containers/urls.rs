//! Exec and Attach: where the client finds its streams.

use super::exec::running;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::streaming;
use crate::wire::v1::{AttachRequest, ExecRequest};

/// Promises a session with a new process.
pub(crate) fn exec_url(daemon: &Daemon, request: ExecRequest) -> Result<String> {
    let container = daemon.registry.container(&request.container_id)?;
    running(&container)?;
    check(request.tty, request.stdin, request.stdout, request.stderr)?;
    let asked = streaming::ExecRequest {
        container: container.id.clone(),
        command: request.cmd,
        tty: request.tty,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
    };
    let promised = daemon.streaming()?.exec(asked);
    promised.attempt_as(Kind::Exhausted, || format!("promise a session in container {}", container.id))
}

/// Promises a session with the container's first process.
pub(crate) fn attach_url(daemon: &Daemon, request: AttachRequest) -> Result<String> {
    let container = daemon.registry.container(&request.container_id)?;
    running(&container)?;
    check(request.tty, request.stdin, request.stdout, request.stderr)?;
    let asked = streaming::AttachRequest {
        container: container.id.clone(),
        tty: container.with(|record| record.config.tty),
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
    };
    let promised = daemon.streaming()?.attach(asked);
    promised.attempt_as(Kind::Exhausted, || format!("promise a session with container {}", container.id))
}

fn check(tty: bool, stdin: bool, stdout: bool, stderr: bool) -> Result<()> {
    if tty && stderr {
        return Err(Error::invalid("tty and stderr exclude each other: a terminal has one output"));
    }
    if !(stdin || stdout || stderr) {
        return Err(Error::invalid("one of stdin, stdout and stderr has to be set"));
    }
    Ok(())
}
