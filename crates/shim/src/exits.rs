//! What happens when a process ends, in this order: its output is delivered, its container's outcome is on disk, whoever
//! waits is told, the daemon is told. So nobody who knows of the end can miss anything of what came before it.

use crate::backends;
use crate::oom;
use crate::process;
use crate::serve::{Shim, Tasks};
use crate::task::Task;
use compute::backend::Exit;
use shim_api::outcome::Outcome;
use shim_api::{Event, Exited};
use std::sync::Arc;

/// A child ended that may be a process of a container.
pub(crate) fn ended(shim: &Arc<Shim>, tasks: &mut Tasks, pid: i32, exit: Exit) {
    let Some((id, exec)) = tasks.forget(pid) else {
        log::debug!("process {pid} was left behind by another, and is gone");
        return;
    };
    let Ok(task) = tasks.get_mut(&id) else { return };
    let exited = process::exited(pid, exit);
    match exec {
        Some(exec) => {
            report(shim, task, Some(&exec), exited);
            if !is_any_running(task)
                && let Some(first) = task.held.take()
            {
                report_first(shim, task, first);
            }
        }
        None => {
            if !task.ends_with_first
                && let Err(error) = backends::kill_leftovers(&task.engine, &task.id)
            {
                log::warn!("end what is left of container {id}: {error}");
            }
            // The kernel reports the first process of a PID namespace after all others; without one we do.
            if is_any_running(task) && !task.ends_with_first {
                task.held = Some(exited);
            } else {
                report_first(shim, task, exited);
            }
        }
    }
}

fn is_any_running(task: &Task) -> bool {
    task.execs.values().any(|process| matches!(process.state, process::State::Running(_)))
}

fn report_first(shim: &Arc<Shim>, task: &mut Task, exited: Exited) {
    oom::settle(shim, task);
    task.oom = None;
    let outcome = Outcome { code: exited.code, at: exited.at, oom_killed: task.oom_killed };
    report_after(shim, task, None, exited, |task| {
        if let Err(error) = outcome.write(&task.bundle) {
            // The daemon learns it from us, as long as we live.
            log::error!("{}", describe(&error));
        }
    });
}

fn report(shim: &Arc<Shim>, task: &mut Task, exec: Option<&str>, exited: Exited) {
    report_after(shim, task, exec, exited, |_| {});
}

fn report_after(
    shim: &Arc<Shim>,
    task: &mut Task,
    exec: Option<&str>,
    exited: Exited,
    before: impl FnOnce(&Task),
) {
    if let Ok(process) = task.process(exec)
        && let Some(io) = &process.io
    {
        io.drain();
    }
    before(task);
    if let Ok(process) = task.process_mut(exec) {
        process.end(exited);
    }
    shim.events.send(Event::Exited {
        id: task.id.to_string(),
        exec: exec.map(ToOwned::to_owned),
        pid: exited.pid,
        code: exited.code,
        at: exited.at,
    });
}

/// An error with its causes, for the log.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
