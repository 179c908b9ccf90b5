//! `start`: lets a created container run its program.

use crate::init::{self, Answer, Lost, Report};
use crate::process::hooks::{self, DefaultEnv, Point};
use crate::saved::Saved;
use crate::start_fifo::{self, Pipes};
use crate::{create, hook_state};
use compute::backend::Existing;
use compute::lifecycle::Denied;
use compute::{Error, Kind, Status, Verb};
use oci_spec::runtime::ContainerState;

/// Connects to the init that waits; returns when the program has been executed.
pub(crate) fn start(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let already = || -> Error {
        Denied { id: container.id.to_string(), status: Status::Running, verb: Verb::Start }.into()
    };
    let Some(pipes) = start_fifo::connect(container.state_dir)? else {
        // A starter was cut off between the start and this.
        start_fifo::remove(container.state_dir)?;
        return Err(already());
    };
    let started = until_executed(container, &pipes);
    start_fifo::remove(container.state_dir)?;
    started?;
    poststart(container)
}

/// The stream ends with the execution, or says why there was none.
fn until_executed(container: &Existing<'_, Saved>, pipes: &Pipes) -> Result<(), Error> {
    loop {
        match init::read_plainly::<Report>(&pipes.answer) {
            Ok(Report::SeccompListener(fd)) => {
                let init = container.saved.init;
                let init = init.ok_or_else(|| Error::new(Kind::Internal, "no init is on record"))?;
                let spec = create::kept_spec(container.state_dir)?;
                let (id, bundle) = (container.id.as_str(), container.bundle);
                let state = hook_state::state(id, bundle, &spec, ContainerState::Created, init.pid)?;
                create::pass_listener(&spec, state, init.pid, fd)?;
                init::write_plainly(&pipes.start, &Answer::Continue).map_err(Error::from)?;
            }
            Ok(Report::Failed(error)) => return Err(error),
            Ok(_) => {
                return Err(Error::new(
                    Kind::Internal,
                    "init said something that does not belong to a start",
                ));
            }
            Err(Lost::Closed) => return Ok(()),
            Err(Lost::Broken(error)) => return Err(error),
        }
    }
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
    hooks::run(
        Point::Poststart,
        Point::Poststart.of_spec(&spec),
        &hook_state::json(&state)?,
        DefaultEnv::Empty,
    )
    .map_err(|error| {
        let error = Error::from(error);
        match crate::signal::kill_all(container) {
            Ok(()) => error,
            Err(kill) => {
                Error::new(error.kind(), format!("{error} (and ending the container failed: {kill})"))
            }
        }
    })
}
