//! A registry in this process: it can be told to stop in the middle of a blob, which no real one can. Real ones, with
//! TLS and passwords, are what the tests of `images` pull from.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::{meanwhile, wait};
use crate::image::{self, Image, MANIFEST};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Who may pull what is private.
pub(crate) const USER: (&str, &str) = ("user", "pass");

#[derive(Default)]
struct Content {
    blobs: HashMap<String, Bytes>,
    /// Manifests by `name:tag` and `name@digest`.
    manifests: HashMap<String, (String, Bytes)>,
    /// Where a download stops in the middle, by repository.
    halted: HashMap<String, Arc<Halt>>,
}

/// Downloads of a repository's blobs that stop in the middle.
pub(crate) struct Halt {
    reached: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Halt {
    /// Waits until a download has stopped.
    pub(crate) fn reached(&self) {
        wait(async {
            let reached = tokio::time::timeout(
                crate::client::PATIENCE,
                self.reached.subscribe().wait_for(|count| *count > 0),
            )
            .await
            .map(|result| result.is_ok());
            assert_eq!(reached, Ok(true), "nobody pulls");
        });
    }

    /// Lets all downloads go on.
    pub(crate) fn go_on(&self) {
        self.open.send_replace(true);
    }
}

/// The registry.
pub(crate) struct Registry {
    port: u16,
    content: Mutex<Content>,
}

/// The one of this run, started when it is first asked for.
pub(crate) fn registry() -> &'static Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Registry::start)
}

impl Registry {
    fn start() -> Arc<Self> {
        let listener = wait(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let registry = Arc::new(Self { port, content: Mutex::default() });
        for (name, image) in image::all() {
            registry.put(name, &image);
        }
        let served = registry.clone();
        meanwhile(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let registry = served.clone();
                tokio::spawn(async move {
                    let answer = service_fn(move |request| {
                        let registry = registry.clone();
                        async move { Ok::<_, Infallible>(registry.answer(&request)) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that was killed is what some stories are about.
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        registry
    }

    /// How this machine names an image of it.
    pub(crate) fn name(&self, name: &str) -> String {
        match std::env::var("COFFERDAM_CRI_IMAGES") {
            Ok(prefix) => format!("{prefix}{name}"),
            Err(_) => format!("127.0.0.1:{}/{name}", self.port),
        }
    }

    /// Takes in an image as `name:tag`.
    pub(crate) fn put(&self, name: &str, image: &Image) {
        let mut content = self.content.lock().unwrap();
        content.blobs.insert(image.config_digest.clone(), image.config.clone().into());
        for layer in &image.layers {
            content.blobs.insert(layer.digest.clone(), layer.blob.clone().into());
        }
        let manifest: (String, Bytes) = (image.digest.clone(), image.manifest.clone().into());
        let (repository, _) = name.split_once(':').unwrap();
        content.manifests.insert(format!("{repository}@{}", image.digest), manifest.clone());
        content.manifests.insert(name.to_owned(), manifest);
    }

    /// The digest of an image's manifest.
    pub(crate) fn digest(&self, name: &str) -> String {
        self.content.lock().unwrap().manifests[name].0.clone()
    }

    /// Has downloads of a repository stop in the middle of the first blob.
    pub(crate) fn halt(&self, repository: &str) -> Arc<Halt> {
        let halt = Arc::new(Halt { reached: watch::Sender::new(0), open: watch::Sender::new(false) });
        self.content.lock().unwrap().halted.insert(repository.to_owned(), halt.clone());
        halt
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let Some(rest) = path.strip_prefix("/v2/") else { return empty(StatusCode::NOT_FOUND) };
        if rest.starts_with("private/") && !is_user(request) {
            let mut refusal = empty(StatusCode::UNAUTHORIZED);
            let asks = "Basic realm=\"suite\"".parse().unwrap();
            refusal.headers_mut().insert("www-authenticate", asks);
            return refusal;
        }
        if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
            let joint = if reference.starts_with("sha256:") { '@' } else { ':' };
            let name = format!("{repository}{joint}{reference}");
            let found = self.content.lock().unwrap().manifests.get(&name).cloned();
            return match found {
                Some((digest, manifest)) => whole(request, MANIFEST, &digest, manifest),
                None => empty(StatusCode::NOT_FOUND),
            };
        }
        let Some((repository, digest)) = rest.rsplit_once("/blobs/") else { return empty(StatusCode::OK) };
        let content = self.content.lock().unwrap();
        let Some(blob) = content.blobs.get(digest).cloned() else { return empty(StatusCode::NOT_FOUND) };
        match content.halted.get(repository) {
            // The configuration is too small to be stopped in.
            Some(halt) if blob.len() > 64 << 10 && request.method() == Method::GET => {
                halting(digest, &blob, halt.clone())
            }
            _ => whole(request, "application/octet-stream", digest, blob),
        }
    }
}

fn is_user(request: &Request<Incoming>) -> bool {
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    given == Some(&format!("Basic {expected}"))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = status;
    response
}

fn whole(request: &Request<Incoming>, kind: &str, digest: &str, bytes: Bytes) -> Response<Body> {
    let length = bytes.len();
    let body = if request.method() == Method::HEAD { Bytes::new() } else { bytes };
    headed(kind, digest, length, Full::new(body).boxed_unsync())
}

fn headed(kind: &str, digest: &str, length: usize, body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", kind)
        .header("docker-content-digest", digest)
        .header("content-length", length)
        .body(body)
        .unwrap()
}

/// The first half, and the second when it may go on.
fn halting(digest: &str, blob: &Bytes, halt: Arc<Halt>) -> Response<Body> {
    let (first, second) = (blob.slice(..blob.len() / 2), blob.slice(blob.len() / 2..));
    let pieces = stream::unfold(0, move |piece| {
        let (first, second, halt) = (first.clone(), second.clone(), halt.clone());
        async move {
            match piece {
                0 => Some((Ok(Frame::data(first)), 1)),
                1 => {
                    halt.reached.send_modify(|count| *count += 1);
                    halt.open.subscribe().wait_for(|open| *open).await.ok()?;
                    Some((Ok(Frame::data(second)), 2))
                }
                _ => None,
            }
        }
    });
    headed("application/octet-stream", digest, blob.len(), StreamBody::new(pieces).boxed_unsync())
}
