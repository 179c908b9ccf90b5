//! A registry in this process, which does what a test wants it to do wrong, asks for tokens, and remembers what it was
//! asked for.

use crate::content::Content;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use images::Digest;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::Semaphore;

/// What goes wrong with the next answer to a path.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status, and this `Retry-After`.
    Status(u16, Option<u64>),
    /// The connection breaks after so many bytes of the body.
    Break(usize),
    /// It claims to end after so many bytes, and does.
    Short(usize),
    /// Other bytes of the same length.
    Other,
    /// More bytes than there should be, and no length that says so.
    Endless,
    /// The whole where a part was asked for.
    IgnoreRange,
    /// Another part than was asked for.
    WrongRange,
    /// The body waits for a permit before its last byte.
    Hold(Arc<Semaphore>),
    /// Another place.
    Redirect(String),
}

/// Who may pull.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    /// Who gets a token: `Basic` of a user, or an identity token; empty: everybody.
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) identity: String,
    /// How many requests one token is good for.
    pub(crate) good_for: usize,
}

#[derive(Default)]
struct Inner {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    asked: Vec<String>,
    tokens: Option<Tokens>,
    token: usize,
    uses: usize,
}

/// The registry; gone with the runtime it was started in.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), inner: Arc::default() };
        let answering = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = answering.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let server = server.clone();
                        async move { Ok::<_, Infallible>(server.answer(request).await) }
                    });
                    // A connection that a test broke.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        server
    }

    /// What to pull from it: `127.0.0.1:…/<name>`.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    pub(crate) fn has(&self, repository: &str, tag: &str, content: &Content) {
        self.has_document(repository, tag, &content.media_type, &content.manifest);
        let mut inner = self.inner.lock().unwrap();
        for (digest, blob) in &content.blobs {
            inner.blobs.insert(digest.to_string(), blob.clone());
        }
    }

    pub(crate) fn has_document(&self, repository: &str, tag: &str, media_type: &str, document: &[u8]) {
        let mut inner = self.inner.lock().unwrap();
        for selector in [tag, Digest::of(document).as_str()] {
            let path = format!("/v2/{repository}/manifests/{selector}");
            inner.manifests.insert(path, (media_type.to_owned(), document.to_vec()));
        }
    }

    /// The next answers to this path go wrong in this order.
    pub(crate) fn faults(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inner.lock().unwrap().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    pub(crate) fn wants_tokens(&self, tokens: Tokens) {
        self.inner.lock().unwrap().tokens = Some(tokens);
    }

    /// What was asked for so far: path, and a range behind it.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub(crate) fn times_asked(&self, part: &str) -> usize {
        self.asked().iter().filter(|asked| asked.contains(part)).count()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Piece> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let header = |name| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (authorization, range) = (header(AUTHORIZATION), header(RANGE));
        if path == "/token" {
            let body = body_of(request).await;
            return self.token(&authorization, &query, &body);
        }
        let mut inner = self.inner.lock().unwrap();
        inner.asked.push([path.as_str(), &query, &range].join(" ").trim_end().to_owned());
        if let Some(refused) = self.refused(&mut inner, &authorization) {
            return refused;
        }
        let fault = inner.faults.get_mut(&path).and_then(VecDeque::pop_front);
        let (media_type, mut content) = match inner.manifests.get(&path) {
            Some(found) => found.clone(),
            None => {
                let digest = path.rsplit('/').next().unwrap_or_default();
                match inner.blobs.get(digest) {
                    Some(blob) => ("application/octet-stream".to_owned(), blob.clone()),
                    None => {
                        let says = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
                        return reply(404, says.into());
                    }
                }
            }
        };
        drop(inner);
        let mut response = Response::builder().header(CONTENT_TYPE, media_type);
        let from: usize = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split('-').next())
            .and_then(|from| from.parse().ok())
            .unwrap_or_default();
        let whole = matches!(fault, Some(Fault::IgnoreRange));
        if from > 0 && !whole {
            let start = if matches!(fault, Some(Fault::WrongRange)) { from + 1 } else { from };
            let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
            response = response.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
            content.drain(..from);
        }
        let mut body = Piece::whole(content);
        match fault {
            None | Some(Fault::IgnoreRange | Fault::WrongRange) => {}
            Some(Fault::Status(status, pause)) => {
                let mut response = reply(status, "{}".into());
                if let Some(pause) = pause {
                    response.headers_mut().insert("retry-after", pause.into());
                }
                return response;
            }
            Some(Fault::Break(at)) => body.breaks_at = Some(at),
            Some(Fault::Short(at)) => body.content.truncate(at),
            Some(Fault::Other) => body.content.iter_mut().for_each(|byte| *byte ^= 1),
            Some(Fault::Endless) => {
                body.content.extend(vec![0; 1 << 20]);
                body.says_length = false;
            }
            Some(Fault::Hold(permit)) => body.hold = Some(permit),
            Some(Fault::Redirect(to)) => {
                let response = Response::builder().status(307).header(LOCATION, to);
                return response.body(Piece::whole(Vec::new())).unwrap();
            }
        }
        response.body(body).unwrap()
    }

    fn refused(&self, inner: &mut Inner, authorization: &str) -> Option<Response<Piece>> {
        let tokens = inner.tokens.clone()?;
        if authorization == format!("Bearer token-{}", inner.token) && inner.uses < tokens.good_for {
            inner.uses += 1;
            return None;
        }
        let mut response = reply(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#.into());
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"test\",scope=\"repository:x:pull\"",
            self.address
        );
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
        Some(response)
    }

    fn token(&self, authorization: &str, query: &str, body: &str) -> Response<Piece> {
        let mut inner = self.inner.lock().unwrap();
        inner.asked.push(format!("/token {query}{body}"));
        let tokens = inner.tokens.clone().unwrap_or_default();
        let basic = crate::basic(&tokens.user, &tokens.password);
        let by_identity = !tokens.identity.is_empty()
            && body.contains("grant_type=refresh_token")
            && body.contains(&format!("refresh_token={}", tokens.identity));
        let anybody = tokens.user.is_empty() && tokens.identity.is_empty();
        if anybody || by_identity || (!tokens.user.is_empty() && authorization == basic) {
            inner.token += 1;
            inner.uses = 0;
            return reply(200, format!(r#"{{"access_token":"token-{}","expires_in":60}}"#, inner.token));
        }
        reply(401, r#"{"errors":[{"code":"DENIED","message":"who are you?"}]}"#.into())
    }
}

fn reply(status: u16, content: String) -> Response<Piece> {
    Response::builder().status(status).body(Piece::whole(content.into_bytes())).unwrap()
}

async fn body_of(request: Request<Incoming>) -> String {
    let mut body = request.into_body();
    let mut content = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            content.extend_from_slice(&data);
        }
    }
    String::from_utf8(content).unwrap()
}

/// A body that may break, hang or go on.
pub(crate) struct Piece {
    content: Vec<u8>,
    sent: usize,
    breaks_at: Option<usize>,
    flushed: bool,
    says_length: bool,
    hold: Option<Arc<Semaphore>>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Piece {
    fn whole(content: Vec<u8>) -> Self {
        Piece {
            content,
            sent: 0,
            breaks_at: None,
            flushed: false,
            says_length: true,
            hold: None,
            waiting: None,
        }
    }
}

impl Body for Piece {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.breaks_at.is_some_and(|at| self.sent >= at) {
            // What was sent before is on its way when the connection breaks.
            if !std::mem::replace(&mut self.flushed, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
        }
        let last = self.content.len().saturating_sub(1);
        if self.sent == last
            && let Some(permit) = self.hold.take()
        {
            self.waiting = Some(Box::pin(async move {
                permit.acquire().await.unwrap().forget();
            }));
        }
        if let Some(waiting) = &mut self.waiting {
            std::task::ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        if self.sent == self.content.len() {
            return Poll::Ready(None);
        }
        let mut end = (self.sent + (16 << 10)).min(self.content.len());
        if let Some(at) = self.breaks_at {
            end = end.min(at);
        }
        if self.hold.is_some() && self.sent < last {
            end = end.min(last);
        }
        let piece = Bytes::copy_from_slice(&self.content[self.sent..end]);
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        if self.says_length {
            hyper::body::SizeHint::with_exact((self.content.len() - self.sent) as u64)
        } else {
            hyper::body::SizeHint::default()
        }
    }
}
