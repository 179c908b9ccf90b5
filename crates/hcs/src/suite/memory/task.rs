//! A process of the map: a thread that takes orders.

use super::guest::Guest;
use super::refusal;
use super::work::{deliver, settle};
use crate::documents::{
    ConsoleSize, ModifyOperation, ProcessModifyRequest, ProcessParameters, ProcessStatus,
    SignalProcessOptions, StdHandle,
};
use crate::error::{Error, Result};
use crate::event::{Callbacks, Event};
use crate::hresult::HResult;
use crate::operation::Promise;
use crate::service::{ProcessInformation, Stdio};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// The exit code of a process that a signal ended: STATUS_CONTROL_C_EXIT.
const CONTROL_C_EXIT: u32 = 0xC000_013A;

/// What a process does, by the first word of its command line: `exit 3`, `sleep`, `cat`, `say hello`,
/// `complain hello`. Whatever else is run sleeps, only `missing` is not there.
enum Program {
    Exit(u32),
    Sleep,
    Cat,
    Say(String),
    Complain(String),
}

/// What a running process is told.
enum Order {
    Input(Vec<u8>),
    EndOfInput,
    End(u32),
}

pub(super) struct Task {
    id: u32,
    system: String,
    image: String,
    guest: Weak<Guest>,
    orders: Sender<Order>,
    life: Mutex<Life>,
}

struct Life {
    exit: Option<u32>,
    stdio: Stdio,
    console: ConsoleSize,
    handles: Vec<Arc<Callbacks>>,
    waiting: Vec<Promise<ProcessStatus>>,
    /// What the thread needs, until it runs.
    ready: Option<Ready>,
}

struct Ready {
    program: Program,
    orders: Receiver<Order>,
    output: Option<PipeWriter>,
    error: Option<PipeWriter>,
}

impl Task {
    /// Makes a process that does nothing until [`Task::run`].
    pub(super) fn start(id: u32, guest: &Arc<Guest>, parameters: &ProcessParameters) -> Result<Arc<Self>> {
        let attempted = format!("create a process in compute system {}", guest.id());
        let line = parameters.command_line.as_deref().unwrap_or("sleep");
        let program = parse(line).ok_or_else(|| refusal(&attempted, HResult::ERROR_FILE_NOT_FOUND))?;
        let console = parameters.emulate_console == Some(true);
        let channel_pipe = |wanted: Option<bool>| match wanted {
            Some(true) => pipe().map(Some).map_err(|cause| Error::io(attempted.clone(), cause)),
            Some(false) | None => Ok(None),
        };
        let (orders, received) = channel();
        let mut stdio = Stdio::default();
        if let Some((reader, writer)) = channel_pipe(parameters.create_std_in_pipe)? {
            stdio.input = Some(writer);
            let orders = orders.clone();
            thread::spawn(move || pump(reader, &orders));
        }
        let mut ready = Ready { program, orders: received, output: None, error: None };
        if let Some((reader, writer)) = channel_pipe(parameters.create_std_out_pipe)? {
            (stdio.output, ready.output) = (Some(reader), Some(writer));
        }
        // A console has one output.
        if let Some((reader, writer)) = channel_pipe(parameters.create_std_err_pipe.filter(|_| !console))? {
            (stdio.error, ready.error) = (Some(reader), Some(writer));
        }
        let size = parameters.console_size;
        let size = size.map(|[height, width]| ConsoleSize::new().height(height).width(width));
        let life = Life {
            exit: None,
            stdio,
            console: size.unwrap_or_default(),
            handles: Vec::new(),
            waiting: Vec::new(),
            ready: Some(ready),
        };
        let image = line.split_whitespace().next().unwrap_or_default().to_owned();
        let (system, guest) = (guest.id().to_owned(), Arc::downgrade(guest));
        Ok(Arc::new(Self { id, system, image, guest, orders, life: Mutex::new(life) }))
    }

    /// Lets it run.
    pub(super) fn run(self: &Arc<Self>) {
        if let Some(ready) = self.life().ready.take() {
            // Not the task itself: who forgets a task ends it.
            let task = Arc::downgrade(self);
            thread::spawn(move || {
                let code = ready.run();
                if let Some(task) = task.upgrade() {
                    task.finish(code);
                }
            });
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn image(&self) -> &str {
        &self.image
    }

    pub(super) fn open(&self, callbacks: &Arc<Callbacks>) {
        let mut life = self.life();
        if life.exit.is_some() {
            callbacks.send_and_keep(Event::ProcessExited(self.status_of(life.exit)));
        }
        life.handles.push(Arc::clone(callbacks));
    }

    pub(super) fn close(&self, callbacks: &Arc<Callbacks>) {
        self.life().handles.retain(|known| !Arc::ptr_eq(known, callbacks));
    }

    /// Its id, and what is left of its standard handles.
    pub(super) fn information(&self) -> ProcessInformation {
        ProcessInformation { process_id: self.id, stdio: std::mem::take(&mut self.life().stdio) }
    }

    pub(super) fn status(&self) -> ProcessStatus {
        self.status_of(self.life().exit)
    }

    fn status_of(&self, exit: Option<u32>) -> ProcessStatus {
        let status = ProcessStatus::new().process_id(self.id).exited(exit.is_some());
        status.exit_code(exit.unwrap_or(0)).last_wait_result(0)
    }

    pub(super) fn wait(&self, promise: Promise<ProcessStatus>) {
        let mut life = self.life();
        if life.exit.is_some() {
            drop(life);
            return settle(promise, Ok(self.status()));
        }
        life.waiting.retain(|known| !known.is_abandoned());
        life.waiting.push(promise);
    }

    /// Tells it to end.
    pub(super) fn end(&self, code: u32) {
        // One that has ended takes no orders.
        let _ = self.orders.send(Order::End(code));
    }

    pub(super) fn signal(&self, options: Option<&SignalProcessOptions>) -> Result<()> {
        self.must_run("signal")?;
        let has_signal = options.is_none_or(|options| options.signal.is_some());
        if !has_signal {
            return Err(self.error("signal", HResult::E_INVALIDARG));
        }
        self.end(CONTROL_C_EXIT);
        Ok(())
    }

    pub(super) fn modify(&self, request: &ProcessModifyRequest) -> Result<()> {
        self.must_run("modify")?;
        let invalid = || self.error("modify", HResult::HCS_E_INVALID_JSON);
        match &request.operation {
            Some(ModifyOperation::ConsoleSize) => {
                // Clients resize processes without a console too.
                self.life().console = request.console_size.clone().ok_or_else(invalid)?;
                Ok(())
            }
            Some(ModifyOperation::CloseHandle) => {
                let handle = request.close_handle.as_ref().and_then(|close| close.handle.as_ref());
                match handle.ok_or_else(invalid)? {
                    StdHandle::StdIn | StdHandle::All => {
                        let _ = self.orders.send(Order::EndOfInput);
                        Ok(())
                    }
                    StdHandle::StdOut | StdHandle::StdErr => Ok(()),
                    StdHandle::Other(_) => Err(invalid()),
                }
            }
            Some(ModifyOperation::Other(_)) | None => Err(invalid()),
        }
    }

    fn must_run(&self, what: &str) -> Result<()> {
        match self.life().exit {
            Some(_) => Err(self.error(what, HResult::HCS_E_PROCESS_ALREADY_STOPPED)),
            None => Ok(()),
        }
    }

    fn error(&self, what: &str, code: HResult) -> Error {
        refusal(&format!("{what} process {} of compute system {}", self.id, self.system), code)
    }

    /// It has ended: who waits and who listens learns of it.
    fn finish(&self, code: u32) {
        if let Some(guest) = self.guest.upgrade() {
            guest.forget(self.id);
        }
        let mut life = self.life();
        life.exit = Some(code);
        let (waiting, handles) = (std::mem::take(&mut life.waiting), life.handles.clone());
        drop(life);
        let status = self.status();
        for promise in waiting {
            settle(promise, Ok(status.clone()));
        }
        for callbacks in handles {
            callbacks.send_and_keep(Event::ProcessExited(status.clone()));
            deliver(callbacks);
        }
    }
}

impl Ready {
    /// The exit code. The pipes are closed when this is over, before anybody hears of the exit.
    fn run(mut self) -> u32 {
        let write = |pipe: &mut Option<PipeWriter>, bytes: &[u8]| {
            // A caller who does not read is no trouble of the process.
            pipe.as_mut().is_none_or(|pipe| pipe.write_all(bytes).is_ok())
        };
        match self.program {
            Program::Exit(code) => return code,
            Program::Say(text) => {
                write(&mut self.output, text.as_bytes());
                return 0;
            }
            Program::Complain(text) => {
                write(&mut self.error, text.as_bytes());
                return 0;
            }
            Program::Sleep | Program::Cat => {}
        }
        let cat = matches!(self.program, Program::Cat);
        for order in &self.orders {
            match order {
                Order::End(code) => return code,
                Order::EndOfInput if cat => return 0,
                Order::Input(bytes) if cat => {
                    write(&mut self.output, &bytes);
                }
                Order::EndOfInput | Order::Input(_) => {}
            }
        }
        0
    }
}

fn parse(line: &str) -> Option<Program> {
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match word {
        "exit" => rest.parse().ok().map(Program::Exit),
        "missing" => None,
        "cat" => Some(Program::Cat),
        "say" => Some(Program::Say(rest.to_owned())),
        "complain" => Some(Program::Complain(rest.to_owned())),
        _ => Some(Program::Sleep),
    }
}

/// Carries input to the process, until the caller's end is closed or the process is gone.
fn pump(mut input: PipeReader, orders: &Sender<Order>) {
    let mut buffer = [0; 4096];
    while let Ok(length) = input.read(&mut buffer) {
        let order = match length {
            0 => Order::EndOfInput,
            length => Order::Input(buffer.iter().take(length).copied().collect()),
        };
        if orders.send(order).is_err() || length == 0 {
            return;
        }
    }
}
