//! From the namespaces to the program: what init does once it is where it belongs.

use super::message::Container;
use super::{Fds, Plan, Report, Role, Runtime};
use crate::process;
use crate::process::hooks::{self, DefaultEnv, Point};
use crate::rootfs::Rootfs;
use crate::start_fifo;
use crate::sys::exec::{self, Image};
use compute::Error;
use oci_spec::runtime::{ContainerState, State};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::convert::Infallible;
use std::os::fd::AsRawFd;

/// Makes the container, if it is ours to make, and becomes its program.
pub(super) fn run(
    mut plan: Plan,
    mut fds: Fds,
    sources: Vec<OwnedFd>,
    runtime: &Runtime,
) -> Result<Infallible, Error> {
    if plan.listen_fds > 0 {
        // The protocol of systemd's socket activation; the id is the one that the program itself sees.
        plan.process.env.push(format!("LISTEN_FDS={}", plan.listen_fds));
        plan.process.env.push(format!("LISTEN_PID={}", rustix::process::getpid().as_raw_nonzero()));
    }
    let plan = &plan;
    let console = plan.console.map(|slot| fds.take(slot)).transpose()?;
    match &plan.role {
        Role::Container(container) => {
            let starter =
                Runtime { input: fds.take(container.start)?, output: Some(fds.take(container.answer)?) };
            drop(fds);
            first(plan, container, &starter, console, sources, runtime)
        }
        Role::Exec => {
            drop(fds);
            joining(plan, console, runtime)
        }
    }
}

/// The container's first process.
fn first(
    plan: &Plan,
    container: &Container,
    starter: &Runtime,
    console: Option<OwnedFd>,
    sources: Vec<OwnedFd>,
    runtime: &Runtime,
) -> Result<Infallible, Error> {
    let process = &plan.process;
    process::before_root(process)?;
    let rootfs = Rootfs::prepare(&container.rootfs, sources)?;
    if container.runtime_hooks {
        runtime.ask(&Report::Hooks)?;
    }
    run_hooks(Point::CreateContainer, container, ContainerState::Creating, DefaultEnv::Empty)?;
    rootfs.enter()?;
    process::after_root(process, None, console.as_ref().map(AsFd::as_fd))?;
    rootfs.finish()?;
    drop(console);
    limit(plan, runtime)?;
    let image = settle(plan, runtime, &[runtime.input.as_fd(), starter.input.as_fd(), starter.output()])?;
    if process.rootless {
        // A user may enter the namespaces of a process that is dumpable only, and exec must work from now on. What
        // could be seen here is the container's: descriptors are closed, and the program is a copy.
        // A filter that forbids it forbids that exec too, until the start.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
    }
    runtime.tell(&Report::Ready)?;

    crate::sys::memory::drop_program_pages();
    start_fifo::wait(starter.input.as_fd())?;
    let started = run_hooks(
        Point::StartContainer,
        container,
        ContainerState::Created,
        DefaultEnv::Process(&process.env),
    )
    .map(|()| become_program(plan, &image, starter));
    let error = match started {
        Ok(error) | Err(error) => error,
    };
    starter.failed(error);
    exec::end(1)
}

/// One more process of a container.
fn joining(plan: &Plan, console: Option<OwnedFd>, runtime: &Runtime) -> Result<Infallible, Error> {
    let process = &plan.process;
    process::before_root(process)?;
    process::after_root(process, None, console.as_ref().map(AsFd::as_fd))?;
    drop(console);
    limit(plan, runtime)?;
    let image = settle(plan, runtime, &[runtime.input.as_fd()])?;
    runtime.tell(&Report::Ready)?;
    Err(become_program(plan, &image, runtime))
}

fn limit(plan: &Plan, runtime: &Runtime) -> Result<(), Error> {
    if plan.process.rlimits.is_empty() && plan.process.affinity.last.is_none() {
        return Ok(());
    }
    runtime.ask(&Report::Limits).map(drop)
}

fn settle(plan: &Plan, runtime: &Runtime, keep: &[BorrowedFd<'_>]) -> Result<Image, Error> {
    let passed = i32::try_from(plan.preserve_fds).unwrap_or(i32::MAX).saturating_add(3);
    Ok(process::settle(&plan.process, None, passed, keep, &mut |listener| pass(&listener, runtime))?)
}

/// Returns only to say why it did not.
fn become_program(plan: &Plan, image: &Image, runtime: &Runtime) -> Error {
    process::become_program(&plan.process, image, Vec::new(), &mut |listener| pass(&listener, runtime)).into()
}

/// Gets the listener of the filter that was just loaded to the runtime, which takes it by its number: with a filter in
/// force, writing and reading are all that can be relied on.
fn pass(listener: &OwnedFd, runtime: &Runtime) -> Result<(), process::Error> {
    match runtime.ask_plainly(&Report::SeccompListener(listener.as_raw_fd())) {
        Ok(_) => Ok(()),
        Err(error) => Err(process::Error::Unsupported(format!("hand over the seccomp listener: {error}"))),
    }
}

fn run_hooks(
    point: Point,
    container: &Container,
    status: ContainerState,
    env: DefaultEnv<'_>,
) -> Result<(), Error> {
    let list = match point {
        Point::CreateContainer => &container.create_hooks,
        _ => &container.start_hooks,
    };
    if list.is_empty() {
        return Ok(());
    }
    // As with runc, these hooks are told the id that the process has where they run.
    let mut state: State = container.state.clone();
    state.set_status(status).set_pid(Some(rustix::process::getpid().as_raw_nonzero().get()));
    let state = crate::hook_state::json(&state)?;
    Ok(hooks::run(point, list, &state, env)?)
}
