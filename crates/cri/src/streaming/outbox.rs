//! What waits to be written to a connection that several streams share, frame by frame.
//!
//! Streams write when there is room; answers that the protocol asks for are always taken. One task writes it all, in
//! order, so that whatever was written last before the end is written before the end.

use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How much waits before streams wait.
const ROOM: usize = 256 << 10;
/// A client that asks for answers and reads none is not served any longer.
const LIMIT: usize = 4 << 20;

/// Frames in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    size: usize,
    closed: bool,
    broken: bool,
    writer: Option<Waker>,
    streams: Vec<Waker>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a stream may put a frame in.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.broken || state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.size < ROOM {
            return Poll::Ready(Ok(()));
        }
        if !state.streams.iter().any(|waker| waker.will_wake(context.waker())) {
            state.streams.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Puts a frame in, whether there is room or not.
    pub(super) fn put(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.closed || state.broken {
            return;
        }
        state.size += frame.len();
        state.frames.push_back(frame);
        if state.size > LIMIT {
            break_off(&mut state);
        }
        wake(&mut state.writer);
    }

    /// No more is taken; what waits is still written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(&mut state.writer);
        state.streams.drain(..).for_each(Waker::wake);
    }

    /// The connection is broken: nothing is written any more.
    pub(super) fn break_off(&self) {
        break_off(&mut self.lock());
    }

    /// The next frame to write; `None` at the end. For the one task that writes.
    pub(super) async fn next(&self) -> Option<Bytes> {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(frame) = state.frames.pop_front() {
                state.size -= frame.len();
                if state.size < ROOM {
                    state.streams.drain(..).for_each(Waker::wake);
                }
                return Poll::Ready(Some(frame));
            }
            if state.closed || state.broken {
                return Poll::Ready(None);
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether the connection is broken.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().broken
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn break_off(state: &mut State) {
    state.broken = true;
    state.frames.clear();
    state.size = 0;
    wake(&mut state.writer);
    state.streams.drain(..).for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_wait_for_room_and_everything_is_written_before_the_end() {
        let outbox = std::sync::Arc::new(Outbox::default());
        outbox.put(Bytes::from(vec![0; ROOM]));
        let waiting = std::sync::Arc::clone(&outbox);
        let waiting = tokio::spawn(async move {
            poll_fn(|context| waiting.poll_room(context)).await.unwrap();
            waiting.put(Bytes::from_static(b"last"));
            waiting.close();
        });
        assert_eq!(outbox.next().await.unwrap().len(), ROOM);
        waiting.await.unwrap();
        outbox.put(Bytes::from_static(b"too late"));
        assert_eq!(outbox.next().await.unwrap(), "last");
        assert_eq!(outbox.next().await, None);
    }

    #[tokio::test]
    async fn who_reads_no_answers_is_not_served() {
        let outbox = Outbox::default();
        for _ in 0..=LIMIT / ROOM {
            outbox.put(Bytes::from(vec![0; ROOM]));
        }
        assert!(outbox.is_broken());
        assert!(poll_fn(|context| outbox.poll_room(context)).await.is_err());
        assert_eq!(outbox.next().await, None);
    }
}
