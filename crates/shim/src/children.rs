//! Ends of children: of the containers' processes, of those that these left behind and we adopted, of programs that we
//! started. One place waits for all of them, so that none is waited for twice and none is missed.
//!
//! While the engine works it waits for its own helpers itself; between two steps of this thread none of them is left.

use crate::backends::signals::Signals;
use crate::exits;
use crate::serve::{Shim, Tasks};
use compute::backend::Exit;
use rustix::fd::OwnedFd;
use rustix::process::{Signal, WaitOptions, wait};
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// Waits for children, for ever.
pub(crate) async fn watch(shim: Arc<Shim>, signals: Signals, arrived: AsyncFd<OwnedFd>) {
    while let Ok(mut ready) = arrived.readable().await {
        loop {
            match signals.next() {
                Ok(Some(number)) if Signal::from_named_raw(number) == Some(Signal::CHILD) => {
                    reap(&shim, &mut shim.tasks());
                }
                Ok(Some(number)) => {
                    // The pod outlives whoever wants its shim gone; it ends when it is asked to over the socket.
                    log::info!("signal {number} is ignored");
                }
                Ok(None) => break,
                Err(error) => {
                    log::error!("read signals: {error}");
                    break;
                }
            }
        }
        ready.clear_ready();
    }
}

/// Takes all that have ended.
pub(crate) fn reap(shim: &Arc<Shim>, tasks: &mut Tasks) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let signal = status.terminating_signal().map(Exit::Signal);
        let code = status.exit_status().map(Exit::Code);
        if let Some(exit) = signal.or(code) {
            exits::ended(shim, tasks, pid.as_raw_nonzero().get(), exit);
        }
    }
}
