//! Connections to the ports of a pod.
//!
//! Over SPDY every connection is two streams of the client's, `data` and `error`, that name the same request. Over the
//! channels of a WebSocket there is one connection for each port that was asked for: channel 2n is its data, 2n+1 its
//! errors, and both begin with the port in two bytes, the lower first.

use super::handler::{Connection, Handler, PortForwardRequest};
use super::spdy::{Incoming, Session, Stream};
use super::websocket::Channels;
use super::writer::StreamWriter;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;

/// Over SPDY, until the client goes away.
pub(super) async fn over_spdy<T>(
    handler: Arc<dyn Handler>,
    pod: String,
    connection: T,
    idle: Duration,
    creation: Duration,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::start(connection, idle);
    let mut waiting: HashMap<String, Half> = HashMap::new();
    // With it end the connections that are left.
    let mut connections = JoinSet::new();
    loop {
        let earliest = waiting.values().map(|half| half.deadline).min();
        tokio::select! {
            incoming = session.incoming.recv() => {
                let Some(incoming) = incoming else { break };
                if let Some((port, data, error)) = join(&mut waiting, incoming, creation) {
                    connections.spawn(forward(Arc::clone(&handler), pod.clone(), port, data, error.writer));
                }
            }
            () = sleep_until(earliest.unwrap_or_else(Instant::now)), if earliest.is_some() => {
                give_up(&mut waiting).await;
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop((waiting, connections));
    session.finish().await;
}

/// One of the two streams of a connection, waiting for the other.
struct Half {
    data: bool,
    stream: Stream,
    deadline: Instant,
}

/// Accepts a stream. When it is the second of a connection, returns its port and its streams.
fn join(
    waiting: &mut HashMap<String, Half>,
    incoming: Incoming,
    creation: Duration,
) -> Option<(u16, Stream, Stream)> {
    let data = match incoming.header("streamtype") {
        Some("data") => true,
        Some("error") => false,
        _ => {
            incoming.refuse();
            return None;
        }
    };
    let port = incoming.header("port").and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0);
    let Some(port) = port else {
        incoming.refuse();
        return None;
    };
    // Clients that do not name requests open the stream of errors and then that of data.
    let id = incoming.id;
    let request = incoming
        .header("requestid")
        .map_or_else(|| if data { id.saturating_sub(2) } else { id }.to_string(), ToOwned::to_owned);
    match waiting.remove(&request) {
        Some(other) if other.data == data => {
            waiting.insert(request, other);
            incoming.refuse();
            None
        }
        Some(other) => {
            let stream = incoming.accept();
            Some(if data { (port, stream, other.stream) } else { (port, other.stream, stream) })
        }
        None => {
            let deadline = Instant::now() + creation;
            waiting.insert(request, Half { data, stream: incoming.accept(), deadline });
            None
        }
    }
}

/// Ends the streams whose other half has not come.
async fn give_up(waiting: &mut HashMap<String, Half>) {
    let now = Instant::now();
    let late: Vec<String> =
        waiting.iter().filter(|(_, half)| half.deadline <= now).map(|(request, _)| request.clone()).collect();
    for request in late {
        let Some(Half { data, mut stream, .. }) = waiting.remove(&request) else { continue };
        log::info!("port forwarding: the second stream of request {request} has not come");
        if !data {
            // Whoever has gone does not hear it.
            let _ = stream.writer.write_all(b"timed out waiting for streams").await;
        }
    }
}

/// Over the channels of a WebSocket, until all connections have ended or the client goes away.
pub(super) async fn over_websocket<T>(
    handler: Arc<dyn Handler>,
    request: PortForwardRequest,
    base64: bool,
    socket: WebSocketStream<T>,
    idle: Duration,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let readable: Vec<bool> = request.ports.iter().flat_map(|_| [true, false]).collect();
    let (channels, readers) = Channels::start(socket, base64, false, &readable, idle);
    let mut connections = JoinSet::new();
    for ((port, reader), channel) in
        request.ports.into_iter().zip(readers.into_iter().flatten()).zip((0_u8..).step_by(2))
    {
        let (mut data, mut error) = (channels.writer(channel), channels.writer(channel + 1));
        let (handler, pod) = (Arc::clone(&handler), request.pod.clone());
        connections.spawn(async move {
            for writer in [&mut data, &mut error] {
                // Whoever has gone does not hear it.
                let _ = writer.write_all(&port.to_le_bytes()).await;
            }
            forward(handler, pod, port, Stream { reader, writer: data }, error).await;
        });
    }
    let mut hangup = channels.link.hangup();
    tokio::select! {
        () = hangup.wait() => connections.abort_all(),
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    channels.link.finish().await;
}

async fn forward(handler: Arc<dyn Handler>, pod: String, port: u16, data: Stream, mut error: StreamWriter) {
    let Stream { reader, writer } = data;
    if let Err(failure) = handler.port_forward(&pod, port, Connection { reader, writer }).await {
        let mut text = format!("error forwarding port {port} to pod {pod}: {failure}");
        let mut cause = failure.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        // Whoever has gone does not hear it.
        let _ = error.write_all(text.as_bytes()).await;
    }
}
