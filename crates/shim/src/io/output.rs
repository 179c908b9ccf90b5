//! Output: from a pipe or a terminal to where it goes.

use super::BUFFER;
use super::attached::Reader;
use super::cri_log::{CriLog, Which};
use super::open::Sink;
use crate::ready;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One stream.
pub(crate) struct Output {
    from: AsyncFd<OwnedFd>,
    state: Mutex<State>,
}

struct State {
    to: To,
    /// What the fifo did not take.
    pending: Vec<u8>,
    readers: Vec<Arc<Reader>>,
}

enum To {
    Nowhere,
    /// Closed with the stream: its reader waits for that.
    Fifo(Arc<AsyncFd<OwnedFd>>),
    File(File),
    Log(Arc<CriLog>, Which),
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something was moved.
    Moved,
    /// There is nothing now.
    Empty,
    /// The fifo takes no more now.
    Full,
    /// Nothing will come any more, and all is delivered.
    End,
}

impl Output {
    pub(super) fn new(from: OwnedFd, to: Sink) -> io::Result<Self> {
        let to = match to {
            Sink::Null => To::Nowhere,
            Sink::File(file) => To::File(file),
            Sink::Log(log, which) => To::Log(log, which),
            Sink::Fifo(fifo) => To::Fifo(Arc::new(ready::watch(fifo, Interest::WRITABLE)?)),
        };
        let from = ready::watch(from, Interest::READABLE)?;
        let state = State { to, pending: Vec::new(), readers: Vec::new() };
        Ok(Self { from, state: Mutex::new(state) })
    }

    /// One more reader, from now on.
    pub(super) fn attach(&self, reader: Arc<Reader>) {
        self.state().readers.push(reader);
    }

    /// Moves what is there, without waiting for anything.
    pub(super) fn drain(&self) {
        while self.step() == Step::Moved {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> Step {
        let mut state = self.state();
        if !flush(&mut state) {
            return Step::Full;
        }
        let mut buffer = BUFFER.lock().unwrap_or_else(PoisonError::into_inner);
        match rustix::io::read(self.from.get_ref(), &mut *buffer) {
            Ok(0) => Step::End,
            // A terminal whose other side is closed.
            Err(Errno::IO) => Step::End,
            Ok(length) => {
                deliver(&mut state, buffer.get(..length).unwrap_or_default());
                Step::Moved
            }
            Err(Errno::AGAIN) => Step::Empty,
            Err(Errno::INTR) => Step::Moved,
            Err(cause) => {
                log::warn!("read the output of a process: {cause}");
                Step::End
            }
        }
    }

    /// Nothing will come any more: whoever reads learns it.
    fn end(&self) {
        let mut state = self.state();
        if let To::Log(log, which) = &state.to {
            log.finish(*which);
        }
        state.to = To::Nowhere;
        state.readers.drain(..).for_each(|reader| reader.end());
    }
}

fn deliver(state: &mut State, bytes: &[u8]) {
    match &mut state.to {
        To::Nowhere => {}
        To::Fifo(_) => {
            state.pending.extend_from_slice(bytes);
            flush(state);
        }
        To::File(file) => {
            if let Err(error) = file.write_all(bytes) {
                log::warn!("write the output of a process to its file: {error}");
            }
        }
        To::Log(log, which) => log.append(*which, bytes),
    }
    state.readers.retain(|reader| reader.offer(bytes));
}

/// Whether the fifo has taken everything.
fn flush(state: &mut State) -> bool {
    let To::Fifo(fifo) = &state.to else { return true };
    let mut sent = 0;
    while let Some(rest) = state.pending.get(sent..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(fifo.get_ref(), rest) {
            Ok(length) => sent += length,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                state.pending.drain(..sent);
                return false;
            }
            Err(cause) => {
                log::warn!("write the output of a process to its fifo: {cause}");
                break;
            }
        }
    }
    state.pending = Vec::new();
    true
}

/// Moves until the end.
pub(super) async fn pump(output: Arc<Output>) {
    loop {
        let Ok(mut ready) = output.from.readable().await else { break };
        match output.step() {
            Step::Moved => {
                drop(ready);
                tokio::task::yield_now().await;
            }
            Step::Empty => ready.clear_ready(),
            Step::Full => room(&output).await,
            Step::End => break,
        }
    }
    output.end();
}

/// Waits until the fifo has taken what is pending.
async fn room(output: &Output) {
    let fifo = match &output.state().to {
        To::Fifo(fifo) => fifo.clone(),
        To::Nowhere | To::File(_) | To::Log(..) => return,
    };
    while let Ok(mut ready) = fifo.writable().await {
        if flush(&mut output.state()) {
            return;
        }
        ready.clear_ready();
    }
}
