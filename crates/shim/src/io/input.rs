//! Input: from a fifo, and from those who attach, to a pipe or a terminal.

use super::BUFFER;
use super::open::{Source, fifo};
use crate::ready;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use shim_api::{Kind, Refusal, Target};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The standard input of a process.
pub(crate) struct Input {
    state: Mutex<State>,
    /// It ends with the first who attaches and is done.
    once: bool,
    terminal: bool,
}

struct State {
    /// Until it is closed.
    to: Option<Arc<AsyncFd<OwnedFd>>>,
    /// What keeps the fifo from ending.
    keeper: Option<OwnedFd>,
}

impl Input {
    pub(super) fn new(to: OwnedFd, from: &Source, terminal: bool) -> io::Result<Self> {
        let to = Arc::new(ready::watch(to, Interest::WRITABLE)?);
        let state = State { to: Some(to), keeper: None };
        let once = matches!(from, Source::Attached { once: true });
        Ok(Self { state: Mutex::new(state), once, terminal })
    }

    pub(super) fn keep(&self, keeper: OwnedFd) {
        self.state().keeper = Some(keeper);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it. With a fifo that happens when all that was written to it is read. A terminal has no end of input: what
    /// is typed may say so.
    pub(super) fn close(&self) {
        let mut state = self.state();
        let was_kept = state.keeper.take().is_some();
        if !was_kept && !self.terminal {
            state.to = None;
        }
    }
}

/// Opens the end of a fifo whose other end somebody holds open.
pub(super) fn open_attached(path: &str) -> Result<OwnedFd, Refusal> {
    match Target::parse(path) {
        Ok(Target::Fifo(path)) => fifo(&path, OFlags::RDONLY),
        Ok(_) => Err(Refusal::new(Kind::InvalidArgument, "only fifos can be attached")),
        Err(error) => Err(Refusal::new(Kind::InvalidArgument, error.to_string())),
    }
}

/// Moves from `from` until it ends. The end of the `main` fifo is the end of the input, that of one who is attached only
/// with `once`.
pub(super) fn pump(
    input: Arc<Input>,
    from: OwnedFd,
    main: bool,
) -> io::Result<impl Future<Output = ()> + Send> {
    let from = ready::watch(from, Interest::READABLE)?;
    Ok(async move {
        let to = input.state().to.clone();
        if let Some(to) = to {
            copy(&from, &to).await;
        }
        let mut state = input.state();
        if (main || input.once) && !input.terminal {
            state.to = None;
        }
    })
}

async fn copy(from: &AsyncFd<OwnedFd>, to: &AsyncFd<OwnedFd>) {
    loop {
        // A fifo that nobody opened for writing yet is not readable, though reading it would say that it has ended.
        let Ok(mut ready) = from.readable().await else { return };
        let read = {
            let mut buffer = BUFFER.lock().unwrap_or_else(PoisonError::into_inner);
            let read = rustix::io::read(from.get_ref(), &mut *buffer);
            read.map(|length| buffer.get(..length).unwrap_or_default().to_vec())
        };
        match read {
            Ok(bytes) if bytes.is_empty() => return,
            Ok(bytes) => {
                drop(ready);
                if !write(to, &bytes).await {
                    return;
                }
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(cause) => {
                log::warn!("read the input of a process: {cause}");
                return;
            }
        }
    }
}

/// Whether the process still takes input.
async fn write(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Ok(mut ready) = to.writable().await else { return false };
        match rustix::io::write(to.get_ref(), bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            // It does not read any more, or its terminal is gone.
            Err(_) => return false,
        }
    }
    true
}
