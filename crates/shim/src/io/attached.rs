//! Who is attached to the output of a process, with a buffer between: a reader that does not read must not hold up the
//! process.

use super::open::fifo;
use crate::ready;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use shim_api::{Kind, Refusal, Target};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// How far a reader may fall behind.
const MOST: usize = 256 << 10;

/// One reader.
pub(super) struct Reader {
    to: AsyncFd<OwnedFd>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    ended: bool,
    gone: bool,
}

/// Opens the end of a fifo whose other end somebody holds open; `None` for an empty path.
pub(super) fn open(path: &str) -> Result<Option<Arc<Reader>>, Refusal> {
    let path = match Target::parse(path) {
        Ok(Target::Null) => return Ok(None),
        Ok(Target::Fifo(path)) => path,
        Ok(_) => return Err(Refusal::new(Kind::InvalidArgument, "only fifos can be attached")),
        Err(error) => return Err(Refusal::new(Kind::InvalidArgument, error.to_string())),
    };
    let to = fifo(&path, OFlags::WRONLY)?;
    let to = ready::watch(to, Interest::WRITABLE)
        .map_err(|cause| super::failed(&format!("watch {}", path.display()), &cause))?;
    let reader = Arc::new(Reader { to, state: Mutex::default(), changed: Notify::new() });
    tokio::spawn(serve(reader.clone()));
    Ok(Some(reader))
}

impl Reader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the fifo takes, and keeps the rest. Whether it is still there.
    pub(super) fn offer(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if state.gone {
            return false;
        }
        if state.pending.len().saturating_add(bytes.len()) > MOST.max(bytes.len()) {
            log::warn!("a client that was attached did not keep up, and is dropped");
            state.gone = true;
        } else {
            state.pending.extend_from_slice(bytes);
            self.flush(&mut state);
        }
        self.changed.notify_one();
        !state.gone
    }

    /// Nothing more will come; it gets the rest.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_one();
    }

    fn flush(&self, state: &mut State) {
        let mut sent = 0;
        while let Some(rest) = state.pending.get(sent..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(self.to.get_ref(), rest) {
                Ok(length) => sent += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    state.pending.drain(..sent);
                    return;
                }
                // It went away.
                Err(_) => {
                    state.gone = true;
                    break;
                }
            }
        }
        state.pending = Vec::new();
    }
}

/// Brings the rest to a reader that is slow, until it has all or is gone.
async fn serve(reader: Arc<Reader>) {
    loop {
        let (waits, over) = {
            let state = reader.state();
            (!state.pending.is_empty(), state.gone || (state.ended && state.pending.is_empty()))
        };
        if over {
            return;
        }
        tokio::select! {
            () = reader.changed.notified() => {}
            // Without anything to bring, only that it went away is of interest.
            ready = reader.to.ready(if waits { Interest::WRITABLE } else { Interest::ERROR }) => {
                let Ok(mut ready) = ready else { return };
                if ready.ready().is_error() {
                    reader.state().gone = true;
                    return;
                }
                reader.flush(&mut reader.state());
                if !reader.state().pending.is_empty() {
                    ready.clear_ready();
                }
            }
        }
    }
}
