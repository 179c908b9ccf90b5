//! The address on which Prometheus finds the figures: `/metrics`, and `/healthz` for whoever asks whether this lives.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::pods;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::metrics;

/// How long a client may take to say what it wants.
const GREETING: Duration = Duration::from_secs(10);
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Serves on the configured address from now on; where that is, for one that took a free port. Nothing without one.
pub(crate) async fn listen(daemon: &Arc<Daemon>) -> Result<Option<String>> {
    let address = daemon.config.metrics.address.clone();
    if address.is_empty() {
        return Ok(None);
    }
    let attempted = || format!("serve figures on {address}");
    let path = PathBuf::from(&address);
    if path.is_absolute() {
        let listener = bind_socket(&path).await?;
        tokio::spawn(accept_local(listener, daemon.clone()));
        return Ok(Some(address));
    }
    let listener = TcpListener::bind(&address).await.attempt(attempted)?;
    let local = listener.local_addr().attempt(attempted)?.to_string();
    tokio::spawn(accept(listener, daemon.clone()));
    Ok(Some(local))
}

/// One that is left of a daemon that died is replaced; one that is served is not.
async fn bind_socket(path: &Path) -> Result<UnixListener> {
    let attempted = || format!("serve figures on {}", path.display());
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        return Err(Error::new(Kind::AlreadyExists, format!("{} is served already", path.display())));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).attempt(attempted)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).attempt(attempted),
        _ => {}
    }
    let listener = UnixListener::bind(path).attempt(attempted)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).attempt(attempted)?;
    Ok(listener)
}

async fn accept(listener: TcpListener, daemon: Arc<Daemon>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, daemon.clone()))),
            Err(error) => out_of_files(&error).await,
        }
    }
}

async fn accept_local(listener: UnixListener, daemon: Arc<Daemon>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, daemon.clone()))),
            Err(error) => out_of_files(&error).await,
        }
    }
}

/// The next attempt would fail at once too.
async fn out_of_files(error: &std::io::Error) {
    tracing::warn!(error = chain(error), "accept somebody who wants figures");
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, daemon: Arc<Daemon>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let daemon = daemon.clone();
        async move { Ok::<_, Infallible>(answer(&daemon, request.method(), request.uri().path()).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(GREETING)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(error = chain(&error), "answer somebody who wants figures");
    }
}

async fn answer(daemon: &Arc<Daemon>, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, says: &str| response(status, PLAIN, says.to_owned());
    match path {
        "/metrics" | "/healthz" if *method != Method::GET => {
            plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n")
        }
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/metrics" => match exposition(daemon).await {
            Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{}\n", chain(&error))),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n"),
    }
}

fn response(status: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn exposition(daemon: &Arc<Daemon>) -> Result<String> {
    let attempted = || "write the figures".to_owned();
    let mut text = String::new();
    daemon.figures.count(&daemon.registry, daemon.images.list().len());
    text::encode_registry(&mut text, &daemon.figures.registry).attempt(attempted)?;
    if daemon.config.metrics.pods {
        pods::write(&mut text, &metrics::descriptors(), &metrics::of_pods(daemon).await?)
            .attempt(attempted)?;
    }
    text::encode_eof(&mut text).attempt(attempted)?;
    Ok(text)
}
