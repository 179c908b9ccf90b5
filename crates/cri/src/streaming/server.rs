//! The listener, and what a request asks for.

use super::handler::{AttachRequest, ExecRequest, Handler, PortForwardRequest};
use super::protocol::{
    COMMAND_OVER_SPDY, COMMAND_OVER_WEBSOCKET, FORWARD_OVER_SPDY, FORWARD_OVER_WEBSOCKET, Protocol, Refused,
    Transport, agree,
};
use super::remote_command::{self, Target};
use super::tls::{Tls, TlsError};
use super::tokens::{Promise, RequestError, Tokens};
use super::tunnel::Tunnel;
use super::{port_forward, websocket};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to say what it wants.
const GREETING: Duration = Duration::from_secs(30);
/// After an error of accept(2), such as no descriptors to be had.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on; port 0 for any.
    pub address: SocketAddr,
    /// With it the server speaks TLS alone.
    pub tls: Option<Tls>,
    /// A session without any traffic for so long is closed.
    pub idle_timeout: Duration,
    /// How long a client may take to open its streams.
    pub creation_timeout: Duration,
    /// How long a URL is good.
    pub token_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            idle_timeout: Duration::from_secs(4 * 60 * 60),
            creation_timeout: Duration::from_secs(30),
            token_lifetime: Duration::from_secs(60),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, or is not one of this host's.
    #[error("listen on {address} for streaming")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The certificates are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server that is listening. Dropping it closes the listener; sessions go on to their end.
#[derive(Debug)]
pub struct Server {
    base: String,
    address: SocketAddr,
    tokens: Arc<Tokens>,
    accepting: JoinHandle<()>,
}

struct Shared {
    handler: Arc<dyn Handler>,
    tokens: Arc<Tokens>,
    idle: Duration,
    creation: Duration,
}

impl Server {
    /// Listens. Must be called in a tokio runtime, which the server then runs in.
    pub async fn bind(config: Config, handler: Arc<dyn Handler>) -> Result<Self, BindError> {
        let acceptor = config.tls.as_ref().map(Tls::acceptor).transpose()?;
        let failed = |cause| BindError::Listen { address: config.address, cause };
        let listener = TcpListener::bind(config.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tokens = Arc::new(Tokens::new(config.token_lifetime));
        let shared = Arc::new(Shared {
            handler,
            tokens: Arc::clone(&tokens),
            idle: config.idle_timeout,
            creation: config.creation_timeout,
        });
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let accepting = tokio::spawn(accept(listener, acceptor, shared));
        Ok(Self { base: format!("{scheme}://{}", reachable(address)), address, tokens, accepting })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL under which a client can run this command, once and soon.
    pub fn exec(&self, request: ExecRequest) -> Result<String, RequestError> {
        self.promise(Promise::Exec(request))
    }

    /// A URL under which a client can attach, once and soon.
    pub fn attach(&self, request: AttachRequest) -> Result<String, RequestError> {
        self.promise(Promise::Attach(request))
    }

    /// A URL under which a client can make connections, once and soon.
    pub fn port_forward(&self, request: PortForwardRequest) -> Result<String, RequestError> {
        self.promise(Promise::PortForward(request))
    }

    fn promise(&self, promise: Promise) -> Result<String, RequestError> {
        let verb = promise.verb();
        Ok(format!("{}/{verb}/{}", self.base, self.tokens.promise(promise)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whoever listens on all addresses is reached on this host's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                tokio::spawn(greet(connection, acceptor.clone(), Arc::clone(&shared)));
            }
            Err(cause) => {
                log::warn!("streaming: accept a connection: {cause}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(connection: TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Without it what is typed waits for the answer to what was typed before.
    if let Err(cause) = connection.set_nodelay(true) {
        log::debug!("streaming: set TCP_NODELAY: {cause}");
    }
    match acceptor {
        None => serve(connection, shared).await,
        Some(acceptor) => match timeout(GREETING, acceptor.accept(connection)).await {
            Ok(Ok(connection)) => serve(connection, shared).await,
            Ok(Err(cause)) => log::info!("streaming: TLS with a client: {cause}"),
            Err(_) => log::info!("streaming: a client took too long to speak TLS"),
        },
    }
}

async fn serve(connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(GREETING)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    if let Err(error) = served.await {
        log::debug!("streaming: serve a request: {error}");
    }
}

/// Answers a request; a session is begun on the connection when its answer is out.
fn answer(mut request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    match admit(&request, &shared.tokens) {
        Ok((promise, protocol, headers)) => {
            let (upgraded, shared) = (hyper::upgrade::on(&mut request), Arc::clone(shared));
            tokio::spawn(async move {
                match upgraded.await {
                    Ok(connection) => run(promise, protocol, TokioIo::new(connection), &shared).await,
                    Err(error) => log::debug!("streaming: upgrade a connection: {error}"),
                }
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *response.headers_mut() = headers;
        }
        Err(Refused { code, headers, why }) => {
            *response.status_mut() = code;
            let told = response.headers_mut();
            told.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            for (name, value) in headers {
                told.append(name, HeaderValue::from_static(value));
            }
            *response.body_mut() = Full::from(why + "\n");
        }
    }
    response
}

/// What was promised to whoever comes with this request, and how it is to be spoken.
fn admit<B>(request: &Request<B>, tokens: &Tokens) -> Result<(Promise, Protocol, hyper::HeaderMap), Refused> {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(Refused::method());
    }
    let path = request.uri().path().trim_start_matches('/');
    let promise = path.split_once('/').and_then(|(verb, token)| tokens.redeem(verb, token));
    let promise =
        promise.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "no such session, or no longer"))?;
    let (over_spdy, over_websocket) = match promise {
        Promise::Exec(_) | Promise::Attach(_) => (&COMMAND_OVER_SPDY[..], &COMMAND_OVER_WEBSOCKET[..]),
        Promise::PortForward(_) => (&FORWARD_OVER_SPDY[..], &FORWARD_OVER_WEBSOCKET[..]),
    };
    let (protocol, headers) = agree(request, over_spdy, over_websocket)?;
    if let (Promise::PortForward(request), Transport::Channels { .. }) = (&promise, protocol.transport)
        && !(1..=128).contains(&request.ports.len())
    {
        let why = "this protocol needs the ports to be asked for beforehand, up to 128";
        return Err(Refused::new(StatusCode::BAD_REQUEST, why));
    }
    Ok((promise, protocol, headers))
}

async fn run<T>(promise: Promise, protocol: Protocol, connection: T, shared: &Shared)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Shared { handler, idle, creation, .. } = shared;
    let target = match promise {
        Promise::Exec(request) => Target::Exec(request),
        Promise::Attach(request) => Target::Attach(request),
        Promise::PortForward(request) => {
            let handler = Arc::clone(handler);
            return match protocol.transport {
                Transport::Spdy => {
                    port_forward::over_spdy(handler, request.pod, connection, *idle, *creation).await;
                }
                Transport::SpdyInWebSocket => {
                    let tunnel = Tunnel::new(websocket::accept(connection).await);
                    port_forward::over_spdy(handler, request.pod, tunnel, *idle, *creation).await;
                }
                Transport::Channels { base64, .. } => {
                    let socket = websocket::accept(connection).await;
                    port_forward::over_websocket(handler, request, base64, socket, *idle).await;
                }
            };
        }
    };
    match protocol.transport {
        Transport::Spdy | Transport::SpdyInWebSocket => {
            remote_command::over_spdy(&**handler, target, protocol, connection, *idle, *creation).await;
        }
        Transport::Channels { base64, close } => {
            let socket = websocket::accept(connection).await;
            let form = (base64, close);
            remote_command::over_websocket(&**handler, target, protocol, form, socket, *idle).await;
        }
    }
}
