//! A container: made, started, joined by more processes, removed. Each verb asks the engine, which asks the lifecycle
//! table; what is kept here is what only a shim knows.

use crate::backends::{self, Engine};
use crate::io::{Io, Owner, Ready};
use crate::oom::Watch;
use crate::process::{self, Process, State};
use crate::serve::{Shim, Tasks};
use crate::{exits, lend, oom};
use compute::backend::{Exit, Scope};
use compute::{ContainerId, bundle};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shim_api::outcome::Outcome;
use shim_api::{Event, Exited, Kind, NewProcess, NewTask, Options, Refusal, Streams};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A container.
pub(crate) struct Task {
    pub(crate) id: ContainerId,
    pub(crate) bundle: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    pub(crate) first: Process,
    pub(crate) execs: BTreeMap<String, Process>,
    pub(crate) paused: bool,
    /// Its processes end with the first: it has a PID namespace of its own.
    pub(crate) ends_with_first: bool,
    pub(crate) oom_killed: bool,
    pub(crate) oom: Option<Watch>,
    /// The first process ended while others did not yet: it is reported last.
    pub(crate) held: Option<Exited>,
    /// What is asked for when it continues from a checkpoint, until it is started.
    restore: Option<Box<NewTask>>,
    has_rootfs: bool,
}

/// What is asked for, and by what id of a process: `None` is the first.
pub(crate) type Exec<'a> = Option<&'a str>;

impl Task {
    /// One of its processes.
    pub(crate) fn process(&self, exec: Exec<'_>) -> Result<&Process, Refusal> {
        match exec {
            None => Ok(&self.first),
            Some(exec) => self.execs.get(exec).ok_or_else(|| no_process(&self.id, exec)),
        }
    }

    /// One of its processes.
    pub(crate) fn process_mut(&mut self, exec: Exec<'_>) -> Result<&mut Process, Refusal> {
        match exec {
            None => Ok(&mut self.first),
            Some(exec) => self.execs.get_mut(exec).ok_or_else(|| no_process(&self.id, exec)),
        }
    }
}

fn no_process(id: &ContainerId, exec: &str) -> Refusal {
    Refusal::new(Kind::NotFound, format!("process {exec} of container {id} does not exist"))
}

/// Makes a container up to *created*. What fails leaves nothing.
pub(crate) fn create(shim: &Arc<Shim>, tasks: &mut Tasks, new: NewTask) -> Result<i32, Refusal> {
    let id = ContainerId::new(new.id.clone()).map_err(compute::Error::from)?;
    if tasks.contains(id.as_str()) {
        return Err(Refusal::new(Kind::AlreadyExists, format!("container {id} exists already")));
    }
    let spec = bundle::load(&new.bundle).map_err(compute::Error::from)?;
    // How another one ended that had this bundle before.
    Outcome::forget(&new.bundle).map_err(|error| Refusal::new(Kind::Internal, exits::describe(&error)))?;
    let rootfs = new.bundle.join("rootfs");
    let has_rootfs = !new.rootfs.is_empty();
    if has_rootfs {
        std::fs::create_dir_all(&rootfs)
            .map_err(|cause| compute::Error::io(format!("make {}", rootfs.display()), cause))?;
        backends::mount_layers(&new.rootfs, &rootfs).map_err(compute::Error::from)?;
    }
    let made = make(shim, &id, &new, &spec, has_rootfs);
    let task = made.inspect_err(|_| {
        if has_rootfs && let Err(error) = backends::unmount_layers(&rootfs) {
            log::warn!("{}", compute::Error::from(error));
        }
    })?;
    let pid = task.first.pid();
    tasks.insert(task);
    shim.events.send(Event::Created {
        id: new.id,
        bundle: new.bundle,
        rootfs: new.rootfs,
        streams: new.streams,
        checkpoint: new.checkpoint.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        pid,
    });
    Ok(pid)
}

fn make(
    shim: &Arc<Shim>,
    id: &ContainerId,
    new: &NewTask,
    spec: &Spec,
    has_rootfs: bool,
) -> Result<Task, Refusal> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let mut task = Task {
        id: id.clone(),
        bundle: new.bundle.clone(),
        engine: backends::engine(&new.bundle, &new.options),
        options: new.options.clone(),
        first: Process::added(new.streams.clone(), None),
        execs: BTreeMap::new(),
        paused: false,
        ends_with_first: namespaces
            .into_iter()
            .flatten()
            .any(|namespace| namespace.typ() == LinuxNamespaceType::Pid && namespace.path().is_none()),
        oom_killed: false,
        oom: None,
        held: None,
        restore: None,
        has_rootfs,
    };
    if new.checkpoint.is_some() {
        // It is brought back when it is started.
        task.restore = Some(Box::new(new.clone()));
        return Ok(task);
    }
    let mut ready = open(shim, &task, &new.streams)?;
    let mut options = backends::process_options(&new.options);
    options.console = ready.console();
    let lent = lend::lend(ready.standard()).map_err(lending)?;
    let made = task.engine.create(id, &new.bundle, spec, "", options);
    drop(lent);
    task.first.state = State::Created(made?);
    finish(shim, &mut task, ready)?;
    Ok(task)
}

/// What follows when the first process is made.
fn finish(shim: &Arc<Shim>, task: &mut Task, ready: Ready) -> Result<(), Refusal> {
    match begin(ready) {
        Ok(io) => task.first.io = Some(io),
        Err(refusal) => {
            if let Err(error) = task.engine.delete(&task.id, true) {
                log::warn!("remove container {} again: {error}", task.id);
            }
            return Err(refusal);
        }
    }
    // A container runs as well without being watched.
    match backends::oom_events(&task.engine, &task.id) {
        Ok(events) => task.oom = oom::watch(shim, task.id.as_str(), events),
        Err(error) => log::debug!("watch container {} for out-of-memory kills: {error}", task.id),
    }
    Ok(())
}

fn open(shim: &Arc<Shim>, task: &Task, streams: &Streams) -> Result<Ready, Refusal> {
    let owner = Owner { id: task.id.as_str(), namespace: &shim.namespace, user: task.options.io_owner };
    let mut logger = shim.logger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ready::open(streams, &owner, &mut logger)
}

fn begin(ready: Ready) -> Result<Io, Refusal> {
    ready.begin().map_err(|cause| compute::Error::io("take over the streams of the process", cause).into())
}

fn lending(cause: std::io::Error) -> Refusal {
    compute::Error::io("lend standard streams to the process", cause).into()
}

/// Lets the program of a process run.
pub(crate) fn start(shim: &Arc<Shim>, tasks: &mut Tasks, id: &str, exec: Exec<'_>) -> Result<i32, Refusal> {
    let task = tasks.get_mut(id)?;
    let pid = match exec {
        None => start_first(shim, task)?,
        Some(exec) => start_exec(shim, task, exec)?,
    };
    tasks.know(pid, id, exec);
    shim.events.send(match exec {
        None => Event::Started { id: id.to_owned(), pid },
        Some(exec) => Event::ExecStarted { id: id.to_owned(), exec: exec.to_owned(), pid },
    });
    Ok(pid)
}

fn start_first(shim: &Arc<Shim>, task: &mut Task) -> Result<i32, Refusal> {
    if let Some(new) = task.restore.take() {
        return restore(shim, task, &new);
    }
    task.engine.start(&task.id)?;
    task.first.run();
    Ok(task.first.pid())
}

fn restore(shim: &Arc<Shim>, task: &mut Task, new: &NewTask) -> Result<i32, Refusal> {
    let spec = bundle::load(&task.bundle).map_err(compute::Error::from)?;
    let path = new.checkpoint.as_deref().unwrap_or(std::path::Path::new(&new.options.criu_image_path));
    let mut ready = open(shim, task, &new.streams)?;
    let mut options = backends::process_options(&new.options);
    options.console = ready.console();
    let request = backends::restore(new, path);
    let lent = lend::lend(ready.standard()).map_err(lending)?;
    let backend = task.engine.backend();
    let made =
        task.engine.create_by(&task.id, &task.bundle, &spec, "", options, |new, options, saved, commit| {
            backend.restore(new, options, &request, saved, commit)
        });
    drop(lent);
    task.first.state = State::Running(made?);
    finish(shim, task, ready)?;
    Ok(task.first.pid())
}

fn start_exec(shim: &Arc<Shim>, task: &mut Task, exec: &str) -> Result<i32, Refusal> {
    let process = task.process(Some(exec))?;
    let State::Added(Some(spec)) = &process.state else {
        return Err(Refusal::new(Kind::FailedPrecondition, format!("process {exec} was started already")));
    };
    let mut ready = open(shim, task, &process.streams)?;
    let mut options = backends::process_options(&task.options);
    options.console = ready.console();
    let lent = lend::lend(ready.standard()).map_err(lending)?;
    let made = task.engine.exec(&task.id, spec, false, options);
    drop(lent);
    let made = match made {
        Ok(child) => child,
        Err(error) => {
            // It will never run: who waits for it learns that.
            let pid = 0;
            task.process_mut(Some(exec))?.end(process::exited(pid, Exit::Code(NOT_STARTED)));
            return Err(error.into());
        }
    };
    let io = begin(ready);
    let process = task.process_mut(Some(exec))?;
    let pid = made.pid();
    process.state = State::Running(made);
    match io {
        Ok(io) => process.io = Some(io),
        Err(refusal) => log::error!("process {exec}: {refusal}"),
    }
    Ok(pid)
}

/// `SIGKILL`
const KILL: i32 = 9;
/// How long what was killed may take to be gone.
const END: Duration = Duration::from_secs(10);
/// How long is waited for the first process before others are looked after.
const SHORT: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// The exit code of a process that could not be started, as containerd's shim has it.
const NOT_STARTED: i32 = 255;

/// Adds a process.
pub(crate) fn exec(shim: &Arc<Shim>, tasks: &mut Tasks, new: NewProcess) -> Result<(), Refusal> {
    let task = tasks.get_mut(&new.id)?;
    if task.execs.contains_key(&new.exec_id) {
        let text = format!("process {} of container {} exists already", new.exec_id, new.id);
        return Err(Refusal::new(Kind::AlreadyExists, text));
    }
    let mut process = new.process;
    process.set_terminal(Some(new.streams.terminal));
    bundle::validate(&process).map_err(compute::Error::from)?;
    let added = Process::added(new.streams, Some(Box::new(process)));
    task.execs.insert(new.exec_id.clone(), added);
    shim.events.send(Event::ExecAdded { id: new.id, exec: new.exec_id });
    Ok(())
}

/// Removes a process that has ended; with the first, the container.
pub(crate) fn delete(
    shim: &Arc<Shim>,
    tasks: &mut Tasks,
    id: &str,
    exec: Exec<'_>,
) -> Result<Exited, Refusal> {
    if let Some(exec) = exec {
        let task = tasks.get_mut(id)?;
        let process = task.process(Some(exec))?;
        let exited = match &process.state {
            State::Added(_) => process::exited(0, Exit::Code(0)),
            State::Stopped(exited) => *exited,
            State::Created(_) | State::Running(_) => {
                let text = format!("cannot delete running process {exec} of container {id}");
                return Err(Refusal::new(Kind::FailedPrecondition, text));
            }
        };
        task.execs.remove(exec);
        return Ok(exited);
    }
    let task = tasks.get_mut(id)?;
    match &task.first.state {
        State::Running(_) => {
            let text = format!("cannot delete running container {id}");
            return Err(Refusal::new(Kind::FailedPrecondition, text));
        }
        State::Added(_) => task.first.end(process::exited(0, Exit::Code(0))),
        State::Created(_) | State::Stopped(_) => {}
    }
    remove(shim, tasks, id)
}

/// Removes a container, whatever its state.
pub(crate) fn remove(shim: &Arc<Shim>, tasks: &mut Tasks, id: &str) -> Result<Exited, Refusal> {
    end(shim, tasks, id)?;
    let task = tasks.get_mut(id)?;
    task.engine.delete(&task.id, true)?;
    if task.has_rootfs {
        backends::unmount_layers(&task.bundle.join("rootfs")).map_err(compute::Error::from)?;
    }
    let exited = task.first.exited().unwrap_or_else(|| process::exited(task.first.pid(), Exit::Signal(9)));
    tasks.remove(id);
    shim.events.send(Event::Deleted { id: id.to_owned(), pid: exited.pid, code: exited.code, at: exited.at });
    Ok(exited)
}

/// Ends a container and waits for that. Its first process is not gone before all others of its PID namespace are waited
/// for, and those that were added are children of ours: nobody else can do it.
fn end(shim: &Arc<Shim>, tasks: &mut Tasks, id: &str) -> Result<(), Refusal> {
    let deadline = Instant::now() + END;
    kill(tasks.get_mut(id)?)?;
    while let Ok(child) = tasks.get_mut(id)?.first.child() {
        if Instant::now() >= deadline {
            let text = format!("container {id} did not end after it was killed");
            return Err(Refusal::new(Kind::DeadlineExceeded, text));
        }
        let end = PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN);
        // Interrupted or not: what counts is who can be waited for.
        let _ = poll(&mut [end], Some(&SHORT));
        crate::children::reap(shim, tasks);
    }
    Ok(())
}

/// Kills everything in a container that is not over.
pub(crate) fn kill(task: &Task) -> Result<(), Refusal> {
    if task.first.child().is_err() {
        return Ok(());
    }
    if task.paused {
        task.engine.resume(&task.id)?;
    }
    match task.engine.kill(&task.id, KILL, Scope::All) {
        // It ended in between.
        Err(error) if error.kind() == compute::Kind::WrongState => Ok(()),
        other => Ok(other?),
    }
}
