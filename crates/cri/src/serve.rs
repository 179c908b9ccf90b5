//! `cofferdam serve`: the daemon's life.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::calls::Calls;
use crate::config::{Config, Streaming};
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::figures;
use crate::image_service::Images;
use crate::plugins;
use crate::recovery;
use crate::runtime_service::Runtime;
use crate::sessions::Sessions;
use crate::streaming;
use crate::wire::v1::image_service_server::ImageServiceServer;
use crate::wire::v1::runtime_service_server::RuntimeServiceServer;

/// Takes up what is there, serves until a signal asks it to end, and leaves every pod running.
pub(crate) async fn serve(config: Config) -> Result<()> {
    let socket = config.grpc.socket.clone();
    let limit = config.grpc.max_message_bytes;
    let listener = listen(&config).await?;
    let (daemon, contents) = Daemon::open(config).await?;
    let events = shim_api::events::listen(&daemon.events_socket())
        .await
        .attempt(|| format!("listen on {}", daemon.events_socket().display()))?;
    tokio::spawn(drain(events));
    recovery::recover(&daemon, contents).await?;
    start_streaming(&daemon).await?;
    plugins::start(&daemon).await;
    if let Some(address) = figures::listen(&daemon).await? {
        tracing::info!(address, "figures for Prometheus");
    }
    tracing::info!(socket = %socket.display(), "serving");
    let runtime = RuntimeServiceServer::new(Runtime(daemon.clone()));
    let watch = Calls(daemon.figures.clone());
    let images = ImageServiceServer::new(Images(daemon.clone()));
    let served = Server::builder()
        .layer(watch)
        .add_service(runtime.max_decoding_message_size(limit).max_encoding_message_size(limit))
        .add_service(images.max_decoding_message_size(limit).max_encoding_message_size(limit))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), asked_to_end())
        .await;
    daemon.plugins.shut_down().await;
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::warn!(socket = %socket.display(), error = chain(&error), "remove the socket");
    }
    served.attempt(|| format!("serve on {}", socket.display()))
}

/// Opens the socket; one that a daemon serves is left alone.
async fn listen(config: &Config) -> Result<UnixListener> {
    let socket = &config.grpc.socket;
    let attempted = || format!("listen on {}", socket.display());
    if tokio::net::UnixStream::connect(socket).await.is_ok() {
        return Err(Error::new(Kind::AlreadyExists, format!("{} is served already", socket.display())));
    }
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder).attempt(attempted)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).attempt(attempted),
        _ => {}
    }
    let listener = UnixListener::bind(socket).attempt(attempted)?;
    restrict(socket, config.grpc.gid).attempt(attempted)?;
    Ok(listener)
}

/// Whoever may write to the socket is root on this host.
fn restrict(socket: &Path, gid: u32) -> std::io::Result<()> {
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    std::os::unix::fs::chown(socket, None, Some(gid))
}

async fn start_streaming(daemon: &Arc<Daemon>) -> Result<()> {
    let Streaming { address, tls_certificate, tls_key, idle_timeout_secs } = daemon.config.streaming.clone();
    let attempted = || format!("start the streaming server on {address}");
    let tls = tls_certificate.zip(tls_key).map(|(certificate, key)| streaming::Tls {
        certificate,
        key,
        client_ca: None,
    });
    let config = streaming::Config {
        address: address.parse().attempt_as(Kind::Invalid, attempted)?,
        tls,
        idle_timeout: Duration::from_secs(idle_timeout_secs),
        ..streaming::Config::default()
    };
    let server =
        streaming::Server::bind(config, Arc::new(Sessions(daemon.clone()))).await.attempt(attempted)?;
    daemon.set_streaming(server);
    Ok(())
}

/// Shims tell what happens; each call's own answer tells the same, so this is for the log alone.
async fn drain(mut events: shim_api::events::Listener) {
    while let Some(envelope) = events.next().await {
        tracing::debug!(event = ?envelope.event, "a shim tells");
    }
}

async fn asked_to_end() {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
        tracing::error!("signals cannot be waited for; only SIGKILL ends this daemon");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending; pods go on");
}
