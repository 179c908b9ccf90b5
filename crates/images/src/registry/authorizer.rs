//! Answers a host's challenges: basic authentication, and bearer tokens from a token server.
//!
//! | credentials           | challenge `Basic`  | challenge `Bearer`                                   |
//! |-----------------------|--------------------|------------------------------------------------------|
//! | none                  | refused            | a token for everybody                                |
//! | user and password     | sent to the host   | `GET realm?service&scope` with basic authentication  |
//! | identity token        | refused            | `POST realm` with `grant_type=refresh_token`         |
//! | registry token        | –                  | sent to the host, from the first request on          |

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::error::RegistryError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

const CLIENT_ID: &str = "cofferdam";
const MAX_TOKEN_ANSWER: usize = 1 << 20;

/// One host, during one pull.
pub(super) struct Authorizer {
    credentials: Option<Credentials>,
    scope: String,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    header: Option<HeaderValue>,
    /// Which attempt it is from: of several requests that were refused together, one gets a new token for all.
    generation: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Authorizer {
    /// For pulling from `repository`.
    pub(super) fn new(repository: &str, credentials: Option<Credentials>) -> Self {
        let header = match &credentials {
            Some(Credentials::Bearer(token)) => secret(&format!("Bearer {token}")),
            _ => None,
        };
        let current = Mutex::new(Current { header, generation: 0 });
        Self { credentials, scope: format!("repository:{repository}:pull"), current }
    }

    /// What to send with a request, and its generation.
    pub(super) async fn header(&self) -> (Option<HeaderValue>, u64) {
        let current = self.current.lock().await;
        (current.header.clone(), current.generation)
    }

    /// The host refused a request to `url` that was sent with what was current at `generation`.
    pub(super) async fn answer(
        &self,
        client: &Client,
        url: &Url,
        challenges: &[Challenge],
        generation: u64,
    ) -> Result<(), RegistryError> {
        let mut current = self.current.lock().await;
        if current.generation != generation {
            return Ok(());
        }
        let header = self.respond(client, url, challenges).await?;
        *current = Current { header: Some(header), generation: generation + 1 };
        Ok(())
    }

    async fn respond(
        &self,
        client: &Client,
        url: &Url,
        challenges: &[Challenge],
    ) -> Result<HeaderValue, RegistryError> {
        let bearer = challenges.iter().find(|challenge| challenge.scheme == "bearer");
        let can_refresh = !matches!(self.credentials, Some(Credentials::Bearer(_)));
        if let Some(challenge) = bearer.filter(|_| can_refresh) {
            return self.token(client, url, challenge).await;
        }
        let basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
        if let (true, Some(Credentials::Password { user, password })) = (basic, &self.credentials) {
            return basic_header(user, password).ok_or_else(|| unauthorized(url, challenges));
        }
        Err(unauthorized(url, challenges))
    }

    async fn token(
        &self,
        client: &Client,
        url: &Url,
        challenge: &Challenge,
    ) -> Result<HeaderValue, RegistryError> {
        let realm = challenge.get("realm").unwrap_or_default();
        let says = |says: String| RegistryError::Token { realm: realm.to_owned(), says };
        let server: Url = realm.parse().map_err(|_| says("its address is no URL".to_owned()))?;
        if self.credentials.is_some() && url.scheme() == "https" && server.scheme() != "https" {
            return Err(RegistryError::PlainToken(realm.to_owned()));
        }
        let request = self.token_request(client, server, challenge);
        let transport = |cause: reqwest::Error| RegistryError::Transport {
            url: realm.to_owned(),
            cause: cause.without_url(),
        };
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        if !status.is_success() {
            let says = super::endpoint::what_it_says(response).await;
            return Err(RegistryError::Status { url: realm.to_owned(), status, says });
        }
        let body = super::endpoint::read_all(response, MAX_TOKEN_ANSWER, realm).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|error| says(format!("no JSON in line {} column {}", error.line(), error.column())))?;
        let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if token.is_empty() {
            return Err(says("there is none in its answer".to_owned()));
        }
        secret(&format!("Bearer {token}"))
            .ok_or_else(|| says("it has characters that HTTP forbids".to_owned()))
    }

    fn token_request(
        &self,
        client: &Client,
        mut server: Url,
        challenge: &Challenge,
    ) -> reqwest::RequestBuilder {
        let service = challenge.get("service").filter(|service| !service.is_empty());
        // What the registry names may be more than this pull needs, and less: both are asked for.
        let mut scopes: Vec<&str> = challenge.get("scope").unwrap_or_default().split_whitespace().collect();
        if !scopes.contains(&self.scope.as_str()) {
            scopes.push(&self.scope);
        }
        if let Some(Credentials::Identity(token)) = &self.credentials {
            let mut form = server.clone();
            form.set_query(None);
            form.query_pairs_mut()
                .extend_pairs([("grant_type", "refresh_token"), ("client_id", CLIENT_ID)])
                .append_pair("refresh_token", token)
                .append_pair("scope", &scopes.join(" "))
                .extend_pairs(service.map(|service| ("service", service)));
            let body = form.query().unwrap_or_default().to_owned();
            return client.post(server).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        server
            .query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        let request = client.get(server);
        match &self.credentials {
            Some(Credentials::Password { user, password }) => match basic_header(user, password) {
                Some(header) => request.header(AUTHORIZATION, header),
                None => request,
            },
            _ => request,
        }
    }
}

fn unauthorized(url: &Url, challenges: &[Challenge]) -> RegistryError {
    let schemes: Vec<&str> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
    let wanted = if schemes.is_empty() { "it does not say how".to_owned() } else { schemes.join(", ") };
    RegistryError::Unauthorized { url: url.to_string(), wanted, says: String::new() }
}

fn basic_header(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(&format!("Basic {pair}"))
}

/// A header that is not shown when a request is.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
