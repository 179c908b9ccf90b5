//! One host of a registry: requests with authorization, redirects, retries.

use super::authorizer::Authorizer;
use super::challenge::Challenge;
use super::credentials::Credentials;
use super::error::RegistryError;
use super::hosts::{Host, Scheme};
use super::tls;
use crate::config::Network;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Registries explain themselves in a few words.
const MAX_EXPLANATION: usize = 16 << 10;
/// A registry that asks for a longer pause is told to the caller instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// New credentials once, and a token that ran out meanwhile.
const AUTHORIZATIONS: u32 = 2;
/// What may be on its way for one stream and for all together: the defaults of HTTP/2 keep a fast link waiting.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const FRAME: u32 = 256 << 10;

pub(super) struct Endpoint {
    client: Client,
    authority: String,
    path: String,
    /// The registry that a mirror is asked for.
    namespace: Option<String>,
    scheme: Scheme,
    /// What answers does not speak TLS.
    fell_back: AtomicBool,
    headers: HeaderMap,
    authorizer: Authorizer,
    attempts: u32,
    first_pause: Duration,
    pub(super) pull: bool,
    pub(super) resolve: bool,
}

impl Endpoint {
    pub(super) fn new(
        host: Host,
        registry: &str,
        repository: &str,
        credentials: Option<Credentials>,
        network: &Network,
    ) -> Result<Self, RegistryError> {
        let named = || host.authority.clone();
        let tls = tls::client_config(&host.tls)
            .map_err(|cause| RegistryError::Tls { host: named(), cause: Box::new(cause) })?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(host.dial_timeout.unwrap_or(network.connect_timeout))
            .read_timeout(network.idle_timeout)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_frame_size(FRAME)
            .build()
            .map_err(|cause| RegistryError::Client { host: named(), cause })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &host.headers {
            let refused = || RegistryError::Header(name.clone());
            let value = HeaderValue::from_str(value).map_err(|_| refused())?;
            headers.append(HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?, value);
        }
        let itself = host.authority == registry
            || (registry == crate::reference::DEFAULT_REGISTRY && host.authority == "registry-1.docker.io");
        Ok(Self {
            client,
            namespace: (!itself).then(|| registry.to_owned()),
            path: format!("{}/{repository}", host.path),
            scheme: host.scheme,
            fell_back: AtomicBool::new(false),
            headers,
            authorizer: Authorizer::new(repository, credentials),
            attempts: network.attempts.max(1),
            first_pause: network.first_pause,
            pull: host.pull,
            resolve: host.resolve,
            authority: host.authority,
        })
    }

    /// Gets `what` (`manifests/latest`); tries again what may be better in a moment.
    pub(super) async fn get(&self, what: &str, headers: &HeaderMap) -> Result<Response, RegistryError> {
        let mut attempt = 1;
        loop {
            let (error, pause) = match self.get_once(what, headers).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            if attempt >= self.attempts || !error.is_passing() {
                return Err(error);
            }
            let pause = match pause {
                Some(wanted) if wanted > LONGEST_PAUSE => return Err(error),
                Some(wanted) => wanted,
                None => self.pause(attempt),
            };
            log::debug!("{error}; attempt {attempt} of {}, next in {pause:?}", self.attempts);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How long to wait after the `attempt`th failure: twice as long each time, and not all at the same moment.
    pub(super) fn pause(&self, attempt: u32) -> Duration {
        let doubled =
            self.first_pause.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        doubled.mul_f64(0.75 + f64::from(now.subsec_nanos() % 1000) / 2000.0)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// One request, with as many more as authorization and the fall back to plain HTTP need. A failure comes with the
    /// pause that the registry asks for.
    async fn get_once(
        &self,
        what: &str,
        headers: &HeaderMap,
    ) -> Result<Response, (RegistryError, Option<Duration>)> {
        let mut authorizations = 0;
        loop {
            let url = self.url(what).map_err(|error| (error, None))?;
            let (authorization, generation) = self.authorizer.header().await;
            let mut request =
                self.client.get(url.clone()).headers(self.headers.clone()).headers(headers.clone());
            if let Some(authorization) = authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = match request.send().await {
                Ok(response) => response,
                Err(cause)
                    if self.scheme == Scheme::HttpsThenHttp
                        && url.scheme() == "https"
                        && speaks_no_tls(&cause) =>
                {
                    self.fell_back.store(true, Ordering::Relaxed);
                    continue;
                }
                Err(cause) => {
                    let cause = cause.without_url();
                    return Err((RegistryError::Transport { url: url.to_string(), cause }, None));
                }
            };
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let challenges = Challenge::all(response.headers());
            if status == StatusCode::UNAUTHORIZED && authorizations < AUTHORIZATIONS {
                authorizations += 1;
                let answered = self.authorizer.answer(&self.client, &url, &challenges, generation).await;
                answered.map_err(|error| (error, None))?;
                continue;
            }
            let pause = retry_after(response.headers());
            let says = what_it_says(response).await;
            return Err((RegistryError::Status { url: url.to_string(), status, says }, pause));
        }
    }

    /// Where `what` is, without authorization.
    pub(super) fn url(&self, what: &str) -> Result<Url, RegistryError> {
        let plain = match self.scheme {
            Scheme::Http => true,
            Scheme::Https => false,
            Scheme::HttpsThenHttp => self.fell_back.load(Ordering::Relaxed),
        };
        let scheme = if plain { "http" } else { "https" };
        let text = format!("{scheme}://{}{}/{what}", self.authority, self.path);
        let mut url = Url::parse(&text).map_err(|_| RegistryError::Header(self.authority.clone()))?;
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }
}

/// Whether TLS failed because the other side answered something else.
fn speaks_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error hands out the source of what it carries as its own: what it carries has to be asked for.
    if let Some(carried) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return speaks_no_tls(carried);
    }
    match error.downcast_ref::<rustls::Error>() {
        Some(tls) => matches!(tls, rustls::Error::InvalidMessage(_)),
        None => error.source().is_some_and(speaks_no_tls),
    }
}

/// Seconds; the other form, a date, is for pauses longer than any that is waited for here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The registry's own words about a failure, as `: CODE: message`; empty if it has none.
pub(super) async fn what_it_says(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Answer {
        errors: Vec<Reason>,
    }
    #[derive(serde::Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Reason {
        code: String,
        message: String,
    }
    let Ok(body) = read_all(response, MAX_EXPLANATION, "").await else { return String::new() };
    let Ok(answer) = serde_json::from_slice::<Answer>(&body) else { return String::new() };
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    let reasons = answer.errors.iter().take(4);
    reasons.map(|reason| format!(": {}: {}", printable(&reason.code), printable(&reason.message))).collect()
}

/// The whole of an answer that is small.
pub(super) async fn read_all(
    mut response: Response,
    limit: usize,
    url: &str,
) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    let broken =
        |cause: reqwest::Error| RegistryError::Transport { url: url.to_owned(), cause: cause.without_url() };
    loop {
        let chunk: Option<Bytes> = response.chunk().await.map_err(broken)?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > limit {
            return Err(RegistryError::TooLarge { url: url.to_owned(), limit: limit as u64 });
        }
        body.extend_from_slice(&chunk);
    }
}
