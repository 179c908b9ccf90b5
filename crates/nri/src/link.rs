//! One plugin's socket: calls to it with their answers, and the calls that come from it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::Failure;
use crate::frame::{self, Assembler, Kind, PLUGIN, RUNTIME};
use crate::wire::ttrpc;

/// The service that plugins have.
const SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
/// Calls from a plugin that may wait at the same time; the interface has two, and one of them once only.
const WAITING: usize = 32;

/// The code of a call that the other side does not know, as gRPC numbers it.
pub(crate) const UNIMPLEMENTED: i32 = 12;
/// The code of an answer that tells of an error and of nothing more.
pub(crate) const UNKNOWN: i32 = 2;

/// Why a call has not succeeded.
pub(crate) enum Unsuccessful {
    /// The plugin's answer is an error.
    Refused(ttrpc::Status),
    /// There is no answer.
    Failed(Failure),
}

/// A call from the plugin.
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) payload: Bytes,
    stream: u32,
}

/// The connection. It ends when it is dropped.
pub(crate) struct Link {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Bytes>,
    next: AtomicU32,
}

struct Shared {
    /// Calls without an answer yet, by their streams; nothing any more when the connection has ended.
    calls: Mutex<Option<HashMap<u32, oneshot::Sender<ttrpc::Response>>>>,
    ended: watch::Sender<bool>,
    why: OnceLock<Failure>,
}

impl Link {
    /// Takes over a socket. The receiver gets what the plugin calls.
    pub(crate) fn open(socket: UnixStream) -> (Self, mpsc::Receiver<Incoming>) {
        let shared = Arc::new(Shared {
            calls: Mutex::new(Some(HashMap::new())),
            ended: watch::Sender::new(false),
            why: OnceLock::new(),
        });
        let (read, write) = socket.into_split();
        let (outgoing, messages) = mpsc::channel(WAITING);
        let (incoming, received) = mpsc::channel(WAITING);
        tokio::spawn(drive(shared.clone(), read, write, messages, incoming));
        (Self { shared, outgoing, next: AtomicU32::new(1) }, received)
    }

    /// Calls the plugin.
    pub(crate) async fn call<Answer: prost::Message + Default>(
        &self,
        method: &str,
        request: &impl prost::Message,
        timeout: Duration,
    ) -> Result<Answer, Unsuccessful> {
        let envelope = ttrpc::Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec(),
            timeout_nano: i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX),
        };
        // Streams of the side that opened the connection are odd, and used once.
        let stream = self.next.fetch_add(2, Ordering::Relaxed);
        let message = frame::encode(PLUGIN, stream, Kind::Request, &envelope)
            .ok_or(Unsuccessful::Failed(Failure::TooLong))?;
        let (sender, answer) = oneshot::channel();
        match self.shared.calls().as_mut() {
            Some(calls) => calls.insert(stream, sender),
            None => return Err(Unsuccessful::Failed(self.shared.why())),
        };
        let exchange = async {
            self.outgoing.send(message).await.ok()?;
            answer.await.ok()
        };
        let Ok(answer) = tokio::time::timeout(timeout, exchange).await else {
            if let Some(calls) = self.shared.calls().as_mut() {
                calls.remove(&stream);
            }
            return Err(Unsuccessful::Failed(Failure::Timeout(timeout)));
        };
        let answer = answer.ok_or_else(|| Unsuccessful::Failed(self.shared.why()))?;
        match answer.status.filter(|status| status.code != 0) {
            Some(status) => Err(Unsuccessful::Refused(status)),
            None => Answer::decode(answer.payload.as_slice())
                .map_err(|error| Unsuccessful::Failed(Failure::Undecodable(error))),
        }
    }

    /// Answers a call of the plugin; with its message, if it has failed.
    pub(crate) async fn answer(&self, call: &Incoming, result: Result<Vec<u8>, ttrpc::Status>) {
        let response = match result {
            Ok(payload) => ttrpc::Response { status: None, payload },
            Err(status) => ttrpc::Response { status: Some(status), payload: Vec::new() },
        };
        if let Some(message) = frame::encode(RUNTIME, call.stream, Kind::Response, &response) {
            // Without a connection nobody waits for it.
            let _ = self.outgoing.send(message).await;
        }
    }

    /// Ends the connection.
    pub(crate) fn close(&self, why: Failure) {
        self.shared.end(why);
    }

    /// Whether it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        *self.shared.ended.borrow()
    }

    /// Returns when it has ended, with the reason.
    pub(crate) async fn closed(&self) -> Failure {
        // The sender lives as long as the connection.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
        self.shared.why()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.end(Failure::Closed);
    }
}

impl Shared {
    /// Each change under the lock is one insertion or removal, so that it is whole even if a thread died with it.
    fn calls(&self) -> MutexGuard<'_, Option<HashMap<u32, oneshot::Sender<ttrpc::Response>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why(&self) -> Failure {
        self.why.get().cloned().unwrap_or(Failure::Closed)
    }

    fn end(&self, why: Failure) {
        self.why.get_or_init(|| why);
        // Whoever waits for an answer learns that there will be none.
        self.calls().take();
        self.ended.send_replace(true);
    }
}

/// Reads and writes until either fails or the connection is ended.
async fn drive(
    shared: Arc<Shared>,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    messages: mpsc::Receiver<Bytes>,
    incoming: mpsc::Sender<Incoming>,
) {
    let mut ended = shared.ended.subscribe();
    let why = tokio::select! {
        why = receive(&shared, read, incoming) => why,
        why = send(write, messages) => why,
        _ = ended.wait_for(|ended| *ended) => return,
    };
    shared.end(why);
}

async fn send(mut write: OwnedWriteHalf, mut messages: mpsc::Receiver<Bytes>) -> Failure {
    while let Some(message) = messages.recv().await {
        if let Err(error) = write.write_all(&message).await {
            return Failure::Broken(error.kind());
        }
    }
    Failure::Closed
}

async fn receive(shared: &Shared, mut read: OwnedReadHalf, incoming: mpsc::Sender<Incoming>) -> Failure {
    let mut assembler = Assembler::default();
    loop {
        match read.read_buf(assembler.buffer()).await {
            Ok(0) => return Failure::Closed,
            Ok(_) => {}
            Err(error) => return Failure::Broken(error.kind()),
        }
        loop {
            let message = match assembler.message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return Failure::Malformed(error),
            };
            if let Err(why) = take(shared, message, &incoming) {
                return why;
            }
        }
    }
}

fn take(shared: &Shared, message: frame::Message, incoming: &mpsc::Sender<Incoming>) -> Result<(), Failure> {
    match (message.connection, message.kind) {
        (PLUGIN, Kind::Response) => {
            let response = ttrpc::Response::decode(message.body)?;
            let call = shared.calls().as_mut().and_then(|calls| calls.remove(&message.stream));
            // One that nobody waits for belongs to a call whose time has passed.
            if let Some(call) = call {
                let _ = call.send(response);
            }
            Ok(())
        }
        (RUNTIME, Kind::Request) => {
            let request = ttrpc::Request::decode(message.body)?;
            let call =
                Incoming { method: request.method, payload: request.payload.into(), stream: message.stream };
            incoming.try_send(call).map_err(|_| Failure::Unexpected("calls more than anybody waits for"))
        }
        (_, Kind::Request) => Err(Failure::Unexpected("calls where it should answer")),
        (_, Kind::Response) => Err(Failure::Unexpected("answers where it should call")),
    }
}
