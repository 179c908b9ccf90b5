//! The life of one connection, whatever protocol it speaks: a task that reads, a task that writes, and its end.
//!
//! ```text
//! the client goes away, or nothing happens for too long   → the reading task ends → everybody hears of it
//! the session is over   → what waits is written → the end is written → the client's end is read → closed
//! ```
//! A connection that is closed while something of the client's is unread loses what it has written last; hence the
//! client's end is waited for, for a while.

use super::handler::Hangup;
use super::outbox::Outbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a client that reads nothing holds up the end.
const STALLED: Duration = Duration::from_secs(30);
/// How long the client's end is waited for.
const LINGER: Duration = Duration::from_secs(5);

/// A connection that is being read and written.
pub(super) struct Link {
    pub(super) outbox: Arc<Outbox>,
    activity: Activity,
    gone: watch::Receiver<bool>,
    reading: JoinHandle<()>,
    writing: JoinHandle<()>,
}

/// When something has last been read or written.
#[derive(Clone)]
pub(super) struct Activity {
    begun: Instant,
    /// In milliseconds from the beginning.
    last: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), last: Arc::new(AtomicU64::new(0)) }
    }

    pub(super) fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Waits until nothing has happened for so long.
    async fn idle(&self, time: Duration) {
        loop {
            let until = self.last() + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Link {
    /// Starts both tasks. `read` ends when the client goes away; `write` when the outbox does.
    pub(super) fn start(
        outbox: Arc<Outbox>,
        activity: Activity,
        idle: Duration,
        read: impl Future<Output = ()> + Send + 'static,
        write: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (tell, gone) = watch::channel(false);
        let (watched, broken) = (activity.clone(), Arc::clone(&outbox));
        let reading = tokio::spawn(async move {
            tokio::select! {
                () = read => {}
                () = watched.idle(idle) => {
                    log::info!("a streaming connection was idle for {} s and is closed", idle.as_secs());
                    broken.break_off();
                }
            }
            // Nobody may be left who wants to know.
            let _ = tell.send(true);
        });
        let writing = tokio::spawn(write);
        Self { outbox, activity, gone, reading, writing }
    }

    pub(super) fn hangup(&self) -> Hangup {
        Hangup(self.gone.clone())
    }

    /// Ends the connection, after everything is written.
    pub(super) async fn finish(mut self) {
        self.outbox.close();
        self.activity.note();
        tokio::select! {
            _ = &mut self.writing => {}
            () = self.activity.idle(STALLED) => {
                log::info!("a streaming client reads nothing, and its connection is closed");
                return;
            }
        }
        if !self.outbox.is_broken() {
            // It has not closed its side: then this side does.
            let _ = timeout(LINGER, &mut self.reading).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.outbox.break_off();
        self.reading.abort();
        self.writing.abort();
    }
}
