//! What a container uses, once or over time, and its out-of-memory kills.

use crate::cgroup::OomEvent;
use crate::cgroup::stats::Stats;
use crate::saved::Saved;
use crate::signal;
use compute::Error;
use compute::backend::{Event, Existing};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What the container uses now.
pub(crate) fn stats(container: &Existing<'_, Saved>) -> Result<Stats, Error> {
    let mut stats = container.saved.cgroup().stats()?;
    if let Some(class) = &container.saved.rdt {
        stats.intel_rdt = class.stats();
    }
    Ok(stats)
}

/// Reports until the container's first process ends or the sink breaks.
pub(crate) fn watch(
    container: &Existing<'_, Saved>,
    interval: Duration,
    sink: &mut dyn FnMut(Event<Stats>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let Some(init) = container.saved.init else { return Ok(()) };
    let Some(pidfd) = signal::open(init)? else { return Ok(()) };
    let mut oom = container.saved.cgroup().oom_events()?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds =
            [PollFd::new(&pidfd, PollFlags::IN), PollFd::from_borrowed_fd(oom.as_fd(), oom.interest())];
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(cause) => return Err(Error::io("wait for events of the container", cause)),
            Ok(_) => {}
        }
        let ended = !fds[0].revents().is_empty();
        if !fds[1].revents().is_empty() {
            match oom.next_event()? {
                OomEvent::Nothing => {}
                OomEvent::Killed if sink(Event::Oom).is_break() => return Ok(()),
                OomEvent::Killed => {}
                OomEvent::End => return Ok(()),
            }
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            next += interval;
            if sink(Event::Stats(stats(container)?)).is_break() {
                return Ok(());
            }
        }
    }
}
