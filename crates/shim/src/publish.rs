//! Events for the daemon: in order, kept while it is away, and never in the way of the containers.

use rustix::fd::AsFd;
use shim_api::events::{Publisher, encode};
use shim_api::{Envelope, Event};
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How many wait for a daemon that is away; it learns the rest by asking.
const MOST: usize = 2048;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How the daemon takes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// At a socket, over ttrpc.
    Socket(String),
    /// By a program of its own: containerd's `publish`.
    Program { program: PathBuf, address: String },
    /// Not at all.
    Nowhere,
}

/// Those that the daemon does not have yet.
pub(crate) struct Events {
    namespace: String,
    queue: Mutex<VecDeque<Envelope>>,
    changed: Notify,
    emptied: Notify,
}

impl Events {
    /// None yet.
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            queue: Mutex::default(),
            changed: Notify::new(),
            emptied: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Envelope>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one behind the others.
    pub(crate) fn send(&self, event: Event) {
        let mut queue = self.queue();
        if queue.len() == MOST {
            log::warn!("the daemon is away: the oldest of {MOST} events is forgotten");
            queue.pop_front();
        }
        queue.push_back(Envelope { at: SystemTime::now(), namespace: self.namespace.clone(), event });
        self.changed.notify_one();
    }

    /// Waits until the daemon has all, but not for ever.
    pub(crate) async fn settle(&self, patience: Duration) {
        let empty = async {
            while !self.queue().is_empty() {
                self.emptied.notified().await;
            }
        };
        if tokio::time::timeout(patience, empty).await.is_err() {
            log::warn!("the daemon is away: {} events are forgotten", self.queue().len());
        }
    }

    /// Publishes, for ever.
    pub(crate) async fn publish(&self, way: Way) {
        let mut publisher = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(next) = self.queue().front().cloned() else {
                // What a burst needed goes back.
                *self.queue() = VecDeque::new();
                self.emptied.notify_waiters();
                self.changed.notified().await;
                continue;
            };
            match publish(&way, &mut publisher, &next).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    // It may have been forgotten meanwhile.
                    let mut queue = self.queue();
                    if queue.front() == Some(&next) {
                        queue.pop_front();
                    }
                }
                Err(error) => {
                    log::debug!("{error:#}");
                    publisher = None;
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

async fn publish(way: &Way, publisher: &mut Option<Publisher>, envelope: &Envelope) -> anyhow::Result<()> {
    match way {
        Way::Nowhere => Ok(()),
        Way::Program { program, address } => run(program, address, envelope),
        Way::Socket(address) => {
            let publisher = match publisher {
                Some(publisher) => publisher,
                None => publisher.insert(Publisher::connect(address).await?),
            };
            match publisher.publish(envelope).await {
                // It has no use for such an event, and will have none later.
                Err(error) if error.kind() == shim_api::Kind::InvalidArgument => Ok(()),
                other => Ok(other?),
            }
        }
    }
}

/// Whoever waits for children waits for this one too; how it ends changes nothing.
fn run(program: &PathBuf, address: &str, envelope: &Envelope) -> anyhow::Result<()> {
    let (topic, message) = encode(envelope).map_err(anyhow::Error::msg)?;
    let mut command = Command::new(program);
    command.args(["-address", address, "publish", "-topic", topic, "-namespace", &envelope.namespace]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // An event is smaller than a pipe.
        rustix::io::ioctl_fionbio(stdin.as_fd(), true)?;
        stdin.write_all(&message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    fn event(number: usize) -> Event {
        Event::Oom { id: number.to_string() }
    }

    /// The daemon is away at first, and again in between: everything arrives once and in order.
    #[test]
    fn events_wait_for_a_daemon_that_is_away() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events");
            let events = std::sync::Arc::new(Events::new("n"));
            let way = Way::Socket(path.to_string_lossy().into_owned());
            let publishing = tokio::spawn({
                let events = events.clone();
                async move { events.publish(way).await }
            });
            (0..3).for_each(|number| events.send(event(number)));
            tokio::task::yield_now().await;
            let mut seen = Vec::new();
            for numbers in [0..3, 3..6] {
                let mut listener = shim_api::events::listen(&path).await.unwrap();
                for number in numbers {
                    if number >= 3 {
                        events.send(event(number));
                    }
                    seen.push(listener.next().await.unwrap().event);
                }
                listener.close().await;
            }
            assert_eq!(seen, (0..6).map(event).collect::<Vec<_>>());
            publishing.abort();
        });
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let events = Events::new("n");
        (0..=MOST).for_each(|number| events.send(event(number)));
        assert_eq!(events.queue().len(), MOST);
        assert_eq!(events.queue().front().unwrap().event, event(1));
    }
}
