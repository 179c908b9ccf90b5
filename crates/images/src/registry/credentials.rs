//! Who we are to a registry: what the kubelet sends with a pull, or what docker's configuration file holds.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The user name by which a credential helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// What comes with a request to pull, in the words of CRI's `AuthConfig`. Empty is absent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// `base64(user:password)`, instead of both.
    pub auth: String,
    /// The registry that all this is for; empty: whichever is asked.
    pub server_address: String,
    /// A token that is exchanged for a token to pull with.
    pub identity_token: String,
    /// A token to pull with.
    pub registry_token: String,
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

/// What is said to one host.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Password { user: String, password: String },
    Identity(String),
    Bearer(String),
}

/// What can be wrong with credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// `auth` is not what it should be.
    #[error("credentials for {0}: `auth` is no base64 of user:password")]
    Encoding(String),
    /// The file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The file is not what it should be.
    #[error("read {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        cause: serde_json::Error,
    },
    /// A name that would be a path.
    #[error("{0:?} is no name of a credential helper")]
    HelperName(String),
    /// A credential helper cannot be run.
    #[error("ask {program} for credentials")]
    Helper {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A credential helper answered nonsense.
    #[error("ask {program} for credentials")]
    HelperAnswer {
        /// The program.
        program: String,
        /// What is wrong in its answer.
        #[source]
        cause: serde_json::Error,
    },
}

impl Auth {
    /// What it says to `host`; nothing if it is for another.
    pub(crate) fn for_host(&self, host: &str) -> Result<Option<Credentials>, CredentialsError> {
        let address = bare(&self.server_address);
        if !address.is_empty() && !is_same(address, host) {
            return Ok(None);
        }
        if !self.username.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            return Ok(Some(Credentials::Password { user, password }));
        }
        if !self.identity_token.is_empty() {
            return Ok(Some(Credentials::Identity(self.identity_token.clone())));
        }
        if !self.registry_token.is_empty() {
            return Ok(Some(Credentials::Bearer(self.registry_token.clone())));
        }
        if !self.auth.is_empty() {
            let decoded = decode(&self.auth).ok_or_else(|| CredentialsError::Encoding(host.to_owned()))?;
            return Ok(Some(decoded));
        }
        Ok(None)
    }
}

/// `base64(user:password)`; docker's own files may end it with NULs.
fn decode(auth: &str) -> Option<Credentials> {
    let auth = auth.trim();
    let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    let password = password.trim_matches('\0').to_owned();
    Some(Credentials::Password { user: user.to_owned(), password })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    creds_store: String,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// What docker's configuration file says to `host`. A file that is not there says nothing.
pub(crate) async fn from_docker(file: &Path, host: &str) -> Result<Option<Credentials>, CredentialsError> {
    let path = || file.to_owned();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(CredentialsError::Read { path: path(), cause }),
    };
    let config: ConfigFile =
        serde_json::from_str(&text).map_err(|cause| CredentialsError::Malformed { path: path(), cause })?;
    let helper = config.cred_helpers.iter().find(|(name, _)| is_same(bare(name), host));
    if let Some((name, helper)) = helper {
        return ask_helper(helper, name).await;
    }
    let entry = config.auths.into_iter().find(|(name, _)| is_same(bare(name), host));
    let name = entry.as_ref().map_or_else(|| host.to_owned(), |(name, _)| name.clone());
    if let Some((_, entry)) = entry {
        let auth = Auth {
            username: entry.username,
            password: entry.password,
            auth: entry.auth,
            server_address: String::new(),
            identity_token: entry.identitytoken,
            registry_token: entry.registrytoken,
        };
        if let Some(found) = auth.for_host(host)? {
            return Ok(Some(found));
        }
    }
    // An entry without content means that the store has it.
    if config.creds_store.is_empty() { Ok(None) } else { ask_helper(&config.creds_store, &name).await }
}

/// The protocol of docker's credential helpers: the server's name to its input, JSON from its output.
async fn ask_helper(helper: &str, server: &str) -> Result<Option<Credentials>, CredentialsError> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(letter) {
        return Err(CredentialsError::HelperName(helper.to_owned()));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |cause| CredentialsError::Helper { program: program.clone(), cause };
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that needs no input may be gone already; its answer tells.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    // So a helper says that it has nothing.
    if !output.status.success() {
        return Ok(None);
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|cause| CredentialsError::HelperAnswer { program: program.clone(), cause })?;
    Ok(Some(if answer.username == TOKEN_USER {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Password { user: answer.username, password: answer.secret }
    }))
}

/// A server's address without scheme and path.
fn bare(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.split_once('/').map_or(address, |(host, _)| host)
}

/// Docker Hub has several names for one registry.
fn is_same(a: &str, b: &str) -> bool {
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    a.eq_ignore_ascii_case(b) || (hub(a) && hub(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(auth: &Auth, host: &str) -> String {
        match auth.for_host(host).unwrap() {
            None => "nothing".into(),
            Some(Credentials::Password { user, password }) => format!("{user}:{password}"),
            Some(Credentials::Identity(token)) => format!("identity {token}"),
            Some(Credentials::Bearer(token)) => format!("bearer {token}"),
        }
    }

    #[test]
    fn the_words_of_cri_are_read() {
        let auth = Auth { username: "u".into(), password: "p".into(), ..Auth::default() };
        assert_eq!(said(&auth, "quay.io"), "u:p");
        let auth = Auth { auth: STANDARD.encode("u:p:q\0\0"), ..Auth::default() };
        assert_eq!(said(&auth, "quay.io"), "u:p:q");
        let auth = Auth { identity_token: "t".into(), ..Auth::default() };
        assert_eq!(said(&auth, "quay.io"), "identity t");
        let auth = Auth { registry_token: "t".into(), ..Auth::default() };
        assert_eq!(said(&auth, "quay.io"), "bearer t");
        assert_eq!(said(&Auth::default(), "quay.io"), "nothing");
        let auth = Auth { auth: "%".into(), ..Auth::default() };
        assert!(auth.for_host("quay.io").is_err());
    }

    #[test]
    fn credentials_go_to_their_server_alone() {
        let to =
            |server: &str| Auth { username: "u".into(), server_address: server.into(), ..Auth::default() };
        assert_eq!(said(&to("https://quay.io/v1/"), "quay.io"), "u:");
        assert_eq!(said(&to("quay.io"), "evil.example"), "nothing");
        assert_eq!(said(&to("https://index.docker.io/v1/"), "registry-1.docker.io"), "u:");
    }

    #[test]
    fn secrets_are_not_shown() {
        let auth = Auth {
            password: "hidden".into(),
            auth: "hidden".into(),
            identity_token: "hidden".into(),
            registry_token: "hidden".into(),
            ..Auth::default()
        };
        assert!(!format!("{auth:?}").contains("hidden"));
    }

    #[tokio::test]
    async fn dockers_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(from_docker(&file, "quay.io").await.unwrap().is_none());
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{}"}}, "quay.io": {{"identitytoken": "i"}}}},
                "credHelpers": {{"ghcr.io": "surely-not-installed"}}, "HttpHeaders": {{}}}}"#,
            STANDARD.encode("u:p")
        );
        fs::write(&file, text).unwrap();
        let found = |host: &'static str| from_docker(&file, host);
        let hub = found("registry-1.docker.io").await.unwrap();
        assert!(hub == Some(Credentials::Password { user: "u".into(), password: "p".into() }));
        assert!(found("quay.io").await.unwrap() == Some(Credentials::Identity("i".into())));
        assert!(found("other.io").await.unwrap().is_none());
        assert!(matches!(found("ghcr.io").await, Err(CredentialsError::Helper { .. })));
        fs::write(&file, "{").unwrap();
        assert!(matches!(found("quay.io").await, Err(CredentialsError::Malformed { .. })));
    }
}
