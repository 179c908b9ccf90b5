//! A blob as a stream. A connection that breaks is taken up where it broke; whatever comes is counted against the
//! size in the blob's descriptor. Its digest is the receiver's to check, who sees every byte anyway.

use super::endpoint::{Endpoint, read_all};
use super::{RegistryError, Repository};
use crate::digest::Digest;
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;

/// How many pieces are handed over at once when they come faster than they are used.
const BATCH: usize = 32;

impl Repository {
    /// Gets a small blob whole.
    pub(crate) async fn small_blob(
        &self,
        digest: &Digest,
        size: u64,
        limit: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut errors = Vec::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.pull) {
            match get_small(endpoint, digest, size, limit).await {
                Ok(content) => return Ok(content),
                Err(error) => errors.push(error),
            }
        }
        Err(self.failed(errors, "pull"))
    }

    /// Sends a blob to `sink`, in order and exactly once. Ends early, well, when nobody listens any more.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        sink: mpsc::Sender<Vec<Bytes>>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RegistryError> {
        let mut stream = Stream { digest, size, received: 0, sink, progress };
        let mut errors = Vec::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.pull) {
            // The next host goes on where the last one failed: the content is the same, or its digest tells.
            match stream.get_from(endpoint).await {
                Ok(()) => return Ok(()),
                Err(error) => errors.push(error),
            }
        }
        Err(self.failed(errors, "pull"))
    }
}

struct Stream<'a> {
    digest: &'a Digest,
    size: u64,
    received: u64,
    sink: mpsc::Sender<Vec<Bytes>>,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Stream<'_> {
    async fn get_from(&mut self, endpoint: &Endpoint) -> Result<(), RegistryError> {
        let mut attempt = 1;
        loop {
            let before = self.received;
            // A request that is refused was tried often enough when this says so.
            let response = self.request(endpoint).await?;
            let error = match self.receive(endpoint, response).await {
                Ok(()) if self.received == self.size || self.sink.is_closed() => return Ok(()),
                Ok(()) => RegistryError::Truncated {
                    digest: self.digest.clone(),
                    received: self.received,
                    expected: self.size,
                },
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            if self.received > before {
                attempt = 1;
            }
            if attempt >= endpoint.attempts() {
                return Err(error);
            }
            log::debug!("{error}; goes on at byte {}", self.received);
            tokio::time::sleep(endpoint.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Asks for what has not come yet.
    async fn request(&self, endpoint: &Endpoint) -> Result<Response, RegistryError> {
        let mut headers = identity();
        if self.received > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.received))
        {
            headers.insert(RANGE, range);
        }
        endpoint.get(&self.what(), &headers).await
    }

    fn what(&self) -> String {
        format!("blobs/{}", self.digest)
    }

    /// Takes all that a connection brings.
    async fn receive(&mut self, endpoint: &Endpoint, response: Response) -> Result<(), RegistryError> {
        let url = endpoint.url(&self.what())?.to_string();
        let mut skip = self.check_start(&response, &url)?;
        let mut batches = response.bytes_stream().ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let mut pieces = Vec::with_capacity(batch.len());
            let mut broken = None;
            for piece in batch {
                match piece {
                    Ok(mut piece) => {
                        let skipped = piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
                        skip -= skipped as u64;
                        let _ = piece.split_to(skipped);
                        self.received += piece.len() as u64;
                        pieces.push(piece);
                    }
                    Err(cause) => broken = Some(cause.without_url()),
                }
            }
            if self.received > self.size {
                return Err(RegistryError::TooLong { digest: self.digest.clone(), expected: self.size });
            }
            if self.sink.send(pieces).await.is_err() {
                return Ok(());
            }
            (self.progress)(self.received);
            if let Some(cause) = broken {
                return Err(RegistryError::Transport { url, cause });
            }
        }
        Ok(())
    }

    /// How much of the answer was received before: a server may ignore that only the rest was asked for.
    fn check_start(&self, response: &Response, url: &str) -> Result<u64, RegistryError> {
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let range = range.unwrap_or_default();
            let start = range.strip_prefix("bytes ").and_then(|range| range.split('-').next());
            return if start.and_then(|start| start.parse().ok()) == Some(self.received) {
                Ok(0)
            } else {
                let (url, range) = (url.to_owned(), range.to_owned());
                Err(RegistryError::Range { url, offset: self.received, range })
            };
        }
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > self.size) {
            return Err(RegistryError::TooLong { digest: self.digest.clone(), expected: self.size });
        }
        Ok(self.received)
    }
}

async fn get_small(
    endpoint: &Endpoint,
    digest: &Digest,
    size: u64,
    limit: usize,
) -> Result<Vec<u8>, RegistryError> {
    let what = format!("blobs/{digest}");
    let url = endpoint.url(&what)?.to_string();
    let allowed = usize::try_from(size).unwrap_or(usize::MAX);
    if allowed > limit {
        return Err(RegistryError::TooLarge { url, limit: limit as u64 });
    }
    let mut attempt = 1;
    loop {
        let response = endpoint.get(&what, &identity()).await?;
        // One byte more than expected is enough to know.
        match read_all(response, allowed + 1, &url).await {
            Ok(content) if digest.is_of(&content) && content.len() == allowed => return Ok(content),
            Ok(content) if content.len() < allowed && attempt < endpoint.attempts() => {}
            Ok(content) => {
                return Err(RegistryError::Mismatch {
                    expected: digest.clone(),
                    found: Digest::of(&content),
                });
            }
            Err(error) if attempt < endpoint.attempts() && error.is_passing() => {}
            Err(RegistryError::TooLarge { .. }) => {
                return Err(RegistryError::TooLong { digest: digest.clone(), expected: size });
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(endpoint.pause(attempt)).await;
        attempt += 1;
    }
}

/// Digests are of what is stored, so no proxy may compress it on the way.
fn identity() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}
