//! Out-of-memory kills: reported when they happen, and kept for how the container ended.

use crate::backends::{OomEvent, OomEvents};
use crate::ready;
use crate::serve::Shim;
use crate::task::Task;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use shim_api::Event;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

/// Watches one container until it is dropped.
pub(crate) struct Watch {
    kills: Arc<Kills>,
    reporter: AbortHandle,
}

struct Kills {
    /// A duplicate, to wait for.
    fd: AsyncFd<OwnedFd>,
    events: Mutex<OomEvents>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reporter.abort();
    }
}

/// Begins; `None` when that cannot be.
pub(crate) fn watch(shim: &Arc<Shim>, id: &str, events: OomEvents) -> Option<Watch> {
    let kills = match begin(events) {
        Ok(kills) => Arc::new(kills),
        Err(error) => {
            log::debug!("watch container {id} for out-of-memory kills: {error}");
            return None;
        }
    };
    let reporter = tokio::spawn(report(shim.clone(), id.to_owned(), kills.clone())).abort_handle();
    Some(Watch { kills, reporter })
}

fn begin(events: OomEvents) -> io::Result<Kills> {
    let interest = if events.interest() == PollFlags::PRI { Interest::PRIORITY } else { Interest::READABLE };
    let fd = ready::watch(events.as_fd().try_clone_to_owned()?, interest)?;
    Ok(Kills { fd, events: Mutex::new(events) })
}

async fn report(shim: Arc<Shim>, id: String, kills: Arc<Kills>) {
    while let Ok(mut ready) = kills.fd.ready(Interest::READABLE | Interest::PRIORITY).await {
        ready.clear_ready();
        let mut tasks = shim.tasks();
        let Ok(task) = tasks.get_mut(&id) else { return };
        settle(&shim, task);
    }
}

/// Takes what has happened up to now.
pub(crate) fn settle(shim: &Arc<Shim>, task: &mut Task) {
    let Some(kills) = task.oom.as_ref().map(|watch| watch.kills.clone()) else { return };
    loop {
        let event = kills.events.lock().unwrap_or_else(PoisonError::into_inner).next_event();
        match event {
            Ok(OomEvent::Killed) => {
                task.oom_killed = true;
                shim.events.send(Event::Oom { id: task.id.to_string() });
            }
            Ok(OomEvent::Nothing) => return,
            Ok(OomEvent::End) => {
                task.oom = None;
                return;
            }
            Err(error) => {
                log::debug!("out-of-memory kills of container {}: {error}", task.id);
                task.oom = None;
                return;
            }
        }
    }
}
