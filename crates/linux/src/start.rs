//! `start`: lets a created container run its program.

use crate::init::{self, Answer, Lost, Report};
use crate::process::hooks::{self, DefaultEnv, Point};
use crate::saved::Saved;
use crate::{create, hook_state, start_socket};
use compute::backend::Existing;
use compute::lifecycle::Denied;
use compute::{Error, Kind, Status, Verb};
use oci_spec::runtime::ContainerState;

/// Connects to the init that waits; returns when the program has been executed.
pub(crate) fn start(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let already = || -> Error {
        Denied { id: container.id.to_string(), status: Status::Running, verb: Verb::Start }.into()
    };
    let Some(socket) = start_socket::connect(container.state_dir)? else {
        // A starter was cut off between the start and this.
        start_socket::remove(container.state_dir)?;
        return Err(already());
    };
    let mut accepted = false;
    loop {
        match init::receive::<Report>(&socket) {
            Ok((Report::Accepted, _)) => accepted = true,
            Ok((Report::SeccompListener(fd), _)) => {
                let init =
                    container.saved.init.ok_or_else(|| Error::new(Kind::Internal, "no init is on record"))?;
                let spec = create::kept_spec(container.state_dir)?;
                let state = hook_state::state(
                    container.id.as_str(),
                    container.bundle,
                    &spec,
                    ContainerState::Created,
                    init.pid,
                )?;
                create::pass_listener(&spec, state, init.pid, fd)?;
                init::send(&socket, &Answer::Continue, &[]).map_err(Error::from)?;
            }
            Ok((Report::Failed(error), _)) => {
                start_socket::remove(container.state_dir)?;
                return Err(error);
            }
            Ok(_) => {
                return Err(Error::new(
                    Kind::Internal,
                    "init said something that does not belong to a start",
                ));
            }
            Err(Lost::Closed) if accepted => break,
            // Init took another starter's connection and never saw ours.
            Err(Lost::Closed) => return Err(already()),
            Err(Lost::Broken(error)) => return Err(error),
        }
    }
    start_socket::remove(container.state_dir)?;
    poststart(container)
}

/// The specification has it that the runtime must go on when such a hook fails, runc that it must not: it stops the
/// container and reports the error. Callers know runc.
fn poststart(container: &Existing<'_, Saved>) -> Result<(), Error> {
    if !container.saved.poststart {
        return Ok(());
    }
    let spec = create::kept_spec(container.state_dir)?;
    let pid = container.saved.init.map_or(0, |init| init.pid);
    let state =
        hook_state::state(container.id.as_str(), container.bundle, &spec, ContainerState::Running, pid)?;
    let list = spec.hooks().as_ref().map(|hooks| Point::Poststart.of(hooks)).unwrap_or_default();
    hooks::run(Point::Poststart, list, &hook_state::json(&state)?, DefaultEnv::Empty).map_err(|error| {
        let error = Error::from(error);
        match crate::signal::kill_all(container) {
            Ok(()) => error,
            Err(kill) => {
                Error::new(error.kind(), format!("{error} (and ending the container failed: {kill})"))
            }
        }
    })
}
