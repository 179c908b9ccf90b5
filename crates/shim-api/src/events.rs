//! Events on their way: a shim publishes, its daemon listens.

use crate::event::Envelope;
use crate::{Error, Refusal, Result, wire};
use containerd_shim_protos::api::Empty;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Events, EventsClient, create_events};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use ttrpc::r#async::{Client, Server, TtrpcContext, transport};
use ttrpc::context;

/// How long a daemon may take to accept one event.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many events may wait for a daemon that is busy; a shim whose event finds no room waits.
const WAITING: usize = 1024;

/// A connection to the daemon that takes events.
pub struct Publisher {
    address: String,
    client: Client,
}

impl Publisher {
    /// Connects to a unix socket, `unix:///path` or the path alone.
    pub async fn connect(address: &str) -> Result<Self> {
        let url = if address.starts_with('/') { format!("unix://{address}") } else { address.to_owned() };
        match Client::connect(&url).await {
            Ok(client) => Ok(Self { address: url, client }),
            Err(cause) => Err(Error::Connect { address: url, cause: cause.into() }),
        }
    }

    /// Sends one; returns when the daemon has it.
    pub async fn publish(&self, envelope: &Envelope) -> Result<()> {
        let failed = |cause| Error::NoAnswer {
            call: "publish event of",
            id: envelope.event.id().to_owned(),
            address: self.address.clone(),
            cause: Box::new(cause),
        };
        let request = wire::forward_request(envelope).map_err(|why| Error::Malformed {
            call: "publish event of",
            id: envelope.event.id().to_owned(),
            why,
        })?;
        let client = EventsClient::new(self.client.clone());
        client.forward(context::with_duration(PATIENCE), &request).await.map_err(failed)?;
        Ok(())
    }
}

/// The topic and the message of an event, for a program that publishes it: containerd's `publish` command.
pub fn encode(envelope: &Envelope) -> std::result::Result<(&'static str, Vec<u8>), String> {
    wire::published(&envelope.event)
}

/// Takes events at a socket that lasts as long as the listener does.
pub struct Listener {
    server: Server,
    events: mpsc::Receiver<Envelope>,
}

/// Begins to take events at `path`; a socket that a former daemon left there is replaced.
pub async fn listen(path: &Path) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let (sender, events) = mpsc::channel(WAITING);
    let mut server = Server::new()
        .add_listener(transport::Listener::from(listener))
        .register_service(create_events(Arc::new(Taker(sender))));
    server.start().await.map_err(io::Error::other)?;
    Ok(Listener { server, events })
}

impl Listener {
    /// The next event. An event that means nothing to us was answered with a refusal.
    pub async fn next(&mut self) -> Option<Envelope> {
        self.events.recv().await
    }

    /// Takes no more.
    pub async fn close(mut self) {
        self.server.stop_listen().await;
        self.server.disconnect().await;
    }
}

struct Taker(mpsc::Sender<Envelope>);

#[async_trait::async_trait]
impl Events for Taker {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let refused =
            |refusal: Refusal| ttrpc::error::get_rpc_status(wire::code(refusal.kind), refusal.message);
        let envelope = wire::envelope(request)
            .map_err(|why| refused(Refusal::new(crate::Kind::InvalidArgument, why)))?;
        self.0
            .send(envelope)
            .await
            .map_err(|_| refused(Refusal::new(crate::Kind::Unavailable, "nobody takes events any more")))?;
        Ok(Empty::default())
    }
}
