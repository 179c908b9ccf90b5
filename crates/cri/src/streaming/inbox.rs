//! What has arrived for one stream and is not yet read.
//!
//! Several streams share a connection. Whoever reads the connection puts what arrives into the inbox of its stream; a
//! reader that is slow holds the others up only when its inbox is full, because no client of these protocols can be
//! told to hold back one stream alone.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};

/// How much waits for a reader before the connection waits.
const ROOM: usize = 1 << 20;

/// The side that is filled.
#[derive(Debug, Clone)]
pub(super) struct Inbox(Arc<Mutex<State>>);

/// The side that is read. When it is dropped, what still arrives is thrown away.
#[derive(Debug)]
pub(super) struct InboxReader(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    size: usize,
    /// How it ends, once all that waits is read.
    end: Option<End>,
    unwanted: bool,
    reader: Option<Waker>,
    filler: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Reset,
}

/// An empty inbox.
pub(super) fn inbox() -> (Inbox, InboxReader) {
    let state = Arc::new(Mutex::new(State::default()));
    (Inbox(Arc::clone(&state)), InboxReader(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Inbox {
    /// Puts bytes in, when there is room.
    pub(super) async fn put(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        poll_fn(|context| {
            let mut state = lock(&self.0);
            if state.size < ROOM || state.unwanted || state.end.is_some() {
                return Poll::Ready(());
            }
            state.filler = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        let mut state = lock(&self.0);
        if !state.unwanted && state.end.is_none() {
            state.size += bytes.len();
            state.waiting.push_back(bytes);
            wake(&mut state.reader);
        }
    }

    /// No more comes; what waits can still be read.
    pub(super) fn finish(&self) {
        self.end(End::Finished);
    }

    /// The other side took it back: what waits is thrown away.
    pub(super) fn reset(&self) {
        self.end(End::Reset);
    }

    fn end(&self, end: End) {
        let mut state = lock(&self.0);
        if end == End::Reset {
            state.waiting.clear();
            state.size = 0;
            state.end = Some(end);
        }
        state.end.get_or_insert(end);
        wake(&mut state.reader);
        wake(&mut state.filler);
    }
}

impl AsyncRead for InboxReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        let Some(first) = state.waiting.front_mut() else {
            return match state.end {
                Some(End::Finished) => Poll::Ready(Ok(())),
                Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let size = first.len().min(into.remaining());
        into.put_slice(first.get(..size).unwrap_or_default());
        first.advance(size);
        if first.is_empty() {
            state.waiting.pop_front();
        }
        state.size -= size;
        if state.size < ROOM {
            wake(&mut state.filler);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for InboxReader {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.unwanted = true;
        state.waiting.clear();
        state.size = 0;
        wake(&mut state.filler);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_is_put_in_is_read_and_then_it_ends() {
        let (inbox, mut reader) = inbox();
        inbox.put(Bytes::from_static(b"ab")).await;
        inbox.put(Bytes::from_static(b"cd")).await;
        inbox.finish();
        inbox.put(Bytes::from_static(b"too late")).await;
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abcd");
    }

    #[tokio::test]
    async fn a_reset_throws_away_what_waits() {
        let (inbox, mut reader) = inbox();
        inbox.put(Bytes::from_static(b"ab")).await;
        inbox.reset();
        inbox.finish();
        let error = reader.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_full_inbox_waits_for_its_reader_or_its_end() {
        let (full, mut reader) = inbox();
        full.put(Bytes::from(vec![0; ROOM])).await;
        let filler = full.clone();
        let filled = tokio::spawn(async move { filler.put(Bytes::from_static(b"x")).await });
        let mut first = vec![0; ROOM];
        reader.read_exact(&mut first).await.unwrap();
        filled.await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'x');

        full.put(Bytes::from(vec![0; ROOM])).await;
        let filled = tokio::spawn(async move { full.put(Bytes::from_static(b"x")).await });
        drop(reader);
        filled.await.unwrap();
    }
}
