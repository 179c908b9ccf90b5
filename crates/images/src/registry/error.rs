//! What can go wrong between us and a registry.

use super::credentials::CredentialsError;
use super::hosts::HostsError;
use super::tls::TlsError;
use crate::digest::Digest;
use crate::error::Kind;

/// A registry could not be asked, or did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its configuration is wrong.
    #[error("configuration of registry {registry}")]
    Hosts {
        /// The registry.
        registry: String,
        /// What is wrong.
        #[source]
        cause: Box<HostsError>,
    },
    /// Its certificates are wrong.
    #[error("configuration of TLS for {host}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        #[source]
        cause: Box<TlsError>,
    },
    /// The credentials are wrong.
    #[error("credentials for {host}")]
    Credentials {
        /// The host.
        host: String,
        /// What is wrong.
        #[source]
        cause: Box<CredentialsError>,
    },
    /// A header of `hosts.toml` that HTTP does not allow.
    #[error("hosts.toml: {0:?} is no header of HTTP")]
    Header(String),
    /// No client can be made.
    #[error("make an HTTP client for {host}")]
    Client {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        cause: reqwest::Error,
    },
    /// No host may be asked for this.
    #[error("hosts.toml of {registry} allows no host to {capability}")]
    NoHost {
        /// The registry.
        registry: String,
        /// `pull` or `resolve`.
        capability: &'static str,
    },
    /// No connection, or one that broke.
    #[error("GET {url}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What happened.
        #[source]
        cause: reqwest::Error,
    },
    /// An answer that is no success.
    #[error("GET {url}: {status}{says}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status of HTTP.
        status: reqwest::StatusCode,
        /// The registry's own words, with a colon before them; may be empty.
        says: String,
    },
    /// It wants to be asked in a way that we do not know, or that we have nothing for.
    #[error("GET {url}: authorization is needed ({wanted}){says}")]
    Unauthorized {
        /// What was asked for.
        url: String,
        /// What it wants.
        wanted: String,
        /// The registry's own words, with a colon before them; may be empty.
        says: String,
    },
    /// It sends to a token server in plain HTTP, which must not see credentials.
    #[error("the token server {0} is not asked: it would get credentials in plain HTTP")]
    PlainToken(String),
    /// What the token server says is no token.
    #[error("token from {realm}: {says}")]
    Token {
        /// The token server.
        realm: String,
        /// What is wrong.
        says: String,
    },
    /// Content that ends too early, again and again.
    #[error("{digest}: {received} of {expected} bytes came")]
    Truncated {
        /// The blob.
        digest: Digest,
        /// What came.
        received: u64,
        /// What its descriptor says.
        expected: u64,
    },
    /// Content that does not end where it should.
    #[error("{digest}: more than the {expected} bytes of its descriptor")]
    TooLong {
        /// The blob.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
    },
    /// An answer that is larger than anything of its kind may be.
    #[error("GET {url}: more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// Content that is not what its digest says.
    #[error("{expected}: what came is {found}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A part of a blob was asked for and another came.
    #[error("GET {url}: asked for the bytes from {offset} on, got {range:?}")]
    Range {
        /// What was asked for.
        url: String,
        /// From where.
        offset: u64,
        /// `Content-Range` of the answer.
        range: String,
    },
    /// None of several hosts had it.
    #[error("{}", each(.0))]
    Everywhere(Vec<RegistryError>),
}

impl RegistryError {
    /// The class a caller may branch on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hosts { .. }
            | Self::Tls { .. }
            | Self::Credentials { .. }
            | Self::Header(_)
            | Self::Client { .. }
            | Self::NoHost { .. } => Kind::Invalid,
            Self::Status { status, .. } => match status.as_u16() {
                404 => Kind::NotFound,
                401 | 403 => Kind::Denied,
                _ => Kind::Unavailable,
            },
            Self::Unauthorized { .. } | Self::PlainToken(_) => Kind::Denied,
            Self::Transport { .. } | Self::Token { .. } | Self::Truncated { .. } => Kind::Unavailable,
            Self::TooLong { .. } | Self::Mismatch { .. } | Self::Range { .. } => Kind::Corrupt,
            Self::TooLarge { .. } => Kind::Exhausted,
            // The last one is the registry itself.
            Self::Everywhere(errors) => errors.last().map_or(Kind::Unavailable, Self::kind),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Transport { cause, .. } => !cause.is_builder() && !cause.is_redirect(),
            Self::Status { status, .. } => status.is_server_error() || matches!(status.as_u16(), 408 | 429),
            _ => false,
        }
    }
}

/// What each host said, with causes: to one line, as callers print errors.
fn each(errors: &[RegistryError]) -> String {
    let chain = |error: &RegistryError| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    };
    errors.iter().map(chain).collect::<Vec<_>>().join("; then ")
}
