//! Registries: the distribution protocol (OCI distribution specification 1.1), as far as pulling needs it.
//!
//! ```text
//! hosts.rs        certs.d/…/hosts.toml: which hosts, how, what they may be asked
//! tls.rs          whom to trust
//! credentials.rs  who we are: CRI's AuthConfig, docker's config.json and credential helpers
//! challenge.rs    WWW-Authenticate
//! authorizer.rs   basic authentication and bearer tokens
//! endpoint.rs     one host: requests, redirects, retries
//! blob.rs         a blob as a stream that is resumed where it broke
//! ```

mod authorizer;
mod blob;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod hosts;
mod tls;

pub use credentials::{Auth, CredentialsError};
pub use error::RegistryError;
pub use hosts::HostsError;
pub use tls::TlsError;

use crate::config::Network;
use crate::digest::Digest;
use crate::reference::Reference;
use endpoint::Endpoint;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

/// A document that a tag or a digest stands for.
pub(crate) struct Document {
    pub(crate) digest: Digest,
    /// As the registry says; documents say it themselves too.
    pub(crate) media_type: String,
    pub(crate) content: Vec<u8>,
}

/// A repository of a registry, during one pull.
pub(crate) struct Repository {
    registry: String,
    endpoints: Vec<Endpoint>,
}

impl Repository {
    /// Finds out whom to ask, and as whom. Asks nobody yet.
    pub(crate) async fn open(
        reference: &Reference,
        auth: Option<&Auth>,
        network: &Network,
    ) -> Result<Self, RegistryError> {
        let registry = reference.registry().to_owned();
        let hosts = hosts::hosts(&network.registry_config_dirs, &registry)
            .map_err(|cause| RegistryError::Hosts { registry: registry.clone(), cause: Box::new(cause) })?;
        let mut endpoints = Vec::with_capacity(hosts.len());
        for host in hosts {
            let name = host.authority.clone();
            let wrong = |cause| RegistryError::Credentials { host: name.clone(), cause: Box::new(cause) };
            let mut credentials = match auth {
                Some(auth) => auth.for_host(&name).map_err(wrong)?,
                None => None,
            };
            if let (None, Some(file)) = (&credentials, &network.docker_config) {
                credentials = credentials::from_docker(file, &name).await.map_err(wrong)?;
            }
            endpoints.push(Endpoint::new(host, &registry, reference.repository(), credentials, network)?);
        }
        Ok(Self { registry, endpoints })
    }

    /// Gets a manifest or an index by tag or digest, whole and checked.
    pub(crate) async fn document(
        &self,
        selector: &str,
        accept: &str,
        limit: usize,
    ) -> Result<Document, RegistryError> {
        let digest: Option<Digest> = selector.parse().ok();
        let mut errors = Vec::new();
        let (capability, may): (_, fn(&Endpoint) -> bool) = match digest {
            Some(_) => ("pull", |endpoint| endpoint.pull),
            None => ("resolve", |endpoint| endpoint.resolve),
        };
        for endpoint in self.endpoints.iter().filter(|endpoint| may(endpoint)) {
            match get_document(endpoint, selector, digest.as_ref(), accept, limit).await {
                Ok(document) => return Ok(document),
                Err(error) => errors.push(error),
            }
        }
        Err(self.failed(errors, capability))
    }

    /// Of what each host said, the one error that there is, or all.
    fn failed(&self, mut errors: Vec<RegistryError>, capability: &'static str) -> RegistryError {
        match (errors.pop(), errors.is_empty()) {
            (None, _) => RegistryError::NoHost { registry: self.registry.clone(), capability },
            (Some(only), true) => only,
            (Some(last), false) => {
                errors.push(last);
                RegistryError::Everywhere(errors)
            }
        }
    }
}

async fn get_document(
    endpoint: &Endpoint,
    selector: &str,
    digest: Option<&Digest>,
    accept: &str,
    limit: usize,
) -> Result<Document, RegistryError> {
    let what = format!("manifests/{selector}");
    let mut headers = HeaderMap::new();
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(ACCEPT, accept);
    }
    let url = endpoint.url(&what)?.to_string();
    let mut attempt = 1;
    let (media_type, content, claimed) = loop {
        let response = endpoint.get(&what, &headers).await?;
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let media_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let claimed: Option<Digest> = text("docker-content-digest").and_then(|value| value.parse().ok());
        match endpoint::read_all(response, limit, &url).await {
            Ok(content) => break (media_type, content, claimed),
            // It is small: what broke off is asked for again from its start.
            Err(error) if attempt < endpoint.attempts() && error.is_passing() => {
                tokio::time::sleep(endpoint.pause(attempt)).await;
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    };
    if let Some(expected) = digest.or(claimed.as_ref())
        && !expected.is_of(&content)
    {
        return Err(RegistryError::Mismatch { expected: expected.clone(), found: Digest::of(&content) });
    }
    let digest = digest.cloned().unwrap_or_else(|| Digest::of(&content));
    Ok(Document { digest, media_type, content })
}
