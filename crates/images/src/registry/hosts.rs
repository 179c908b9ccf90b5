//! Where a registry's content is asked for: `hosts.toml` below the `certs.d` folders, read as containerd reads it.
//!
//! For `registry:5000` the first of these folders that exists decides: `registry_5000_`, `registry:5000`, `_default`,
//! in each configured folder in turn. In it:
//! - `hosts.toml`: its `[host."…"]` tables in the order of the file are mirrors, `server` comes last;
//! - without that file, docker's way: `*.crt` are authorities, `*.cert` with `*.key` are client certificates.
//!
//! Unlike containerd, which then goes to the default server as if nothing was configured, a file that cannot be read
//! is an error: a mirror is often there because the default must not be used.

use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) scheme: Scheme,
    /// Host, or host and port.
    pub(crate) authority: String,
    /// What comes before `/<repository>/…`: `/v2` unless it is overridden.
    pub(crate) path: String,
    /// It may be asked for content by digest.
    pub(crate) pull: bool,
    /// It may be asked what a tag stands for.
    pub(crate) resolve: bool,
    pub(crate) tls: TlsFiles,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) dial_timeout: Option<Duration>,
}

/// How to talk to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// HTTPS first, and plain HTTP if what answers does not speak TLS.
    HttpsThenHttp,
}

/// What is configured for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Authorities beside the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Certificates with their keys, which may be in the same file.
    pub(crate) clients: Vec<(PathBuf, PathBuf)>,
    pub(crate) skip_verify: Option<bool>,
}

impl TlsFiles {
    fn is_configured(&self) -> bool {
        !self.authorities.is_empty() || !self.clients.is_empty() || self.skip_verify.is_some()
    }
}

/// What can be wrong with the configuration of a registry.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The system refused.
    #[error("read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Not TOML, or a value of the wrong kind.
    #[error("read {}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A value that means nothing.
    #[error("{}: {key} = {value:?} is no {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which value.
        key: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// The places to ask for what `registry` has, in their order.
pub(crate) fn hosts(folders: &[PathBuf], registry: &str) -> Result<Vec<Host>, HostsError> {
    let mut hosts = match folder_of(folders, registry) {
        Some(folder) => read_folder(&folder)?,
        None => vec![Unfinished::default()],
    };
    if let Some(last) = hosts.last_mut().filter(|last| last.server.is_none()) {
        last.server = Some(default_server(registry, &mut last.tls));
        (last.pull, last.resolve) = (true, true);
    }
    Ok(hosts.into_iter().filter_map(Unfinished::finish).collect())
}

/// A host whose `server` may still be the default one.
#[derive(Debug, Default)]
struct Unfinished {
    server: Option<Server>,
    pull: bool,
    resolve: bool,
    tls: TlsFiles,
    headers: Vec<(String, String)>,
    dial_timeout: Option<Duration>,
}

#[derive(Debug)]
struct Server {
    plain: bool,
    authority: String,
    path: String,
}

impl Unfinished {
    fn finish(self) -> Option<Host> {
        let Server { plain, authority, path } = self.server?;
        let scheme = match (plain, self.tls.is_configured() && port(&authority) != Some("80")) {
            (false, _) => Scheme::Https,
            (true, false) => Scheme::Http,
            (true, true) => Scheme::HttpsThenHttp,
        };
        Some(Host {
            scheme,
            authority,
            path,
            pull: self.pull,
            resolve: self.resolve,
            tls: self.tls,
            headers: self.headers,
            dial_timeout: self.dial_timeout,
        })
    }
}

/// The registry itself. On this machine it is trusted without a certificate that others vouch for, and may be plain.
fn default_server(registry: &str, tls: &mut TlsFiles) -> Server {
    let path = "/v2".to_owned();
    if registry == crate::reference::DEFAULT_REGISTRY {
        return Server { plain: false, authority: "registry-1.docker.io".to_owned(), path };
    }
    let mut plain = false;
    if is_this_machine(registry) {
        let port = port(registry);
        plain = !matches!(port, None | Some("443"));
        if port != Some("80") {
            tls.skip_verify = Some(true);
        }
    }
    Server { plain, authority: registry.to_owned(), path }
}

fn port(authority: &str) -> Option<&str> {
    authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'))
}

fn is_this_machine(authority: &str) -> bool {
    let host = port(authority).map_or(authority, |port| &authority[..authority.len() - port.len() - 1]);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn folder_of(folders: &[PathBuf], registry: &str) -> Option<PathBuf> {
    let mut names = Vec::with_capacity(3);
    if let Some((host, port)) = registry.rsplit_once(':') {
        names.push(format!("{host}_{port}_"));
    }
    names.push(registry.to_owned());
    names.push("_default".to_owned());
    let all = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    all.into_iter().find(|path| path.is_dir())
}

#[derive(Debug, Deserialize)]
struct HostsFile {
    server: Option<String>,
    #[serde(default)]
    host: toml::Table,
    #[serde(flatten)]
    root: toml::Table,
}

#[derive(Debug, Default, Deserialize)]
struct HostTable {
    #[serde(default)]
    capabilities: Vec<String>,
    ca: Option<OneOrMany>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    #[serde(default)]
    header: toml::Table,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Clients {
    One(String),
    Many(Vec<OneOrMany>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Unfinished>, HostsError> {
    let path = folder.join("hosts.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(HostsError::Read { path, cause }),
    };
    if text.is_empty() {
        return Ok(vec![certificates(folder)?]);
    }
    let toml = |cause| HostsError::Toml { path: path.clone(), cause: Box::new(cause) };
    let HostsFile { server, host, root } = toml::from_str(&text).map_err(toml)?;
    let mut hosts = Vec::with_capacity(host.len() + 1);
    for (name, table) in host {
        let table = table.try_into().map_err(toml)?;
        hosts.push(read_host(&path, Some(name), table)?);
    }
    let root = toml::Value::Table(root).try_into().map_err(toml)?;
    hosts.push(read_host(&path, server.filter(|server| !server.is_empty()), root)?);
    Ok(hosts)
}

fn read_host(path: &Path, server: Option<String>, table: HostTable) -> Result<Unfinished, HostsError> {
    let value = |key, value: &str, expected| HostsError::Value {
        path: path.to_owned(),
        key,
        value: value.to_owned(),
        expected,
    };
    let folder = path.parent().unwrap_or(path);
    let server = match server {
        Some(text) => {
            let parsed = parse_server(&text, table.override_path);
            Some(parsed.ok_or_else(|| value("server", &text, "URL of a registry"))?)
        }
        None => None,
    };
    let (mut pull, mut resolve) = (table.capabilities.is_empty(), table.capabilities.is_empty());
    for capability in &table.capabilities {
        match capability.to_ascii_lowercase().as_str() {
            "pull" => pull = true,
            "resolve" => resolve = true,
            // Nothing is pushed here.
            "push" => {}
            _ => return Err(value("capabilities", capability, "pull, resolve or push")),
        }
    }
    let mut clients = Vec::new();
    match table.client {
        None => {}
        Some(Clients::One(one)) => clients.push((folder.join(&one), folder.join(one))),
        Some(Clients::Many(many)) => {
            for client in many {
                match client {
                    OneOrMany::One(one) => clients.push((folder.join(&one), folder.join(one))),
                    OneOrMany::Many(pair) => match pair.as_slice() {
                        [certificate, key] => clients.push((folder.join(certificate), folder.join(key))),
                        other => return Err(value("client", &other.join(", "), "certificate and key")),
                    },
                }
            }
        }
    }
    let mut headers = Vec::new();
    for (name, values) in table.header {
        let text = values.to_string();
        let values: OneOrMany =
            values.try_into().map_err(|_| value("header", &text, "string or list of strings"))?;
        headers.extend(values.into_vec().into_iter().map(|value| (name.clone(), value)));
    }
    let dial_timeout = match table.dial_timeout.as_deref() {
        None | Some("") => None,
        Some(text) => {
            Some(duration(text).ok_or_else(|| value("dial_timeout", text, "duration such as 1s or 500ms"))?)
        }
    };
    let authorities = table.ca.map(OneOrMany::into_vec).unwrap_or_default();
    let authorities = authorities.iter().map(|file| folder.join(file)).collect();
    let tls = TlsFiles { authorities, clients, skip_verify: table.skip_verify };
    Ok(Unfinished { server, pull, resolve, tls, headers, dial_timeout })
}

fn parse_server(text: &str, override_path: bool) -> Option<Server> {
    let with_scheme = if text.starts_with("http") { text.to_owned() } else { format!("https://{text}") };
    let (scheme, rest) = with_scheme.split_once("://")?;
    let plain = match scheme {
        "http" => true,
        "https" => false,
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    // The URL is put together again for every request; here it only has to be one.
    reqwest::Url::parse(&with_scheme).ok().filter(|_| !authority.is_empty())?;
    let components: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut path: String = components.iter().map(|part| format!("/{part}")).collect();
    if !override_path && !path.ends_with("/v2") {
        path.push_str("/v2");
    }
    Some(Server { plain, authority: authority.to_owned(), path })
}

/// Go's durations, as far as one waits for a connection: `1.5s`, `500ms`, `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let (scale, length) = match tail {
            _ if tail.starts_with("ms") => (1e-3, 2),
            _ if tail.starts_with("us") => (1e-6, 2),
            _ if tail.starts_with("ns") => (1e-9, 2),
            _ if tail.starts_with('s') => (1.0, 1),
            _ if tail.starts_with('m') => (60.0, 1),
            _ if tail.starts_with('h') => (3600.0, 1),
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail.get(length..)?;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Docker's layout: certificates beside each other, told apart by their endings.
fn certificates(folder: &Path) -> Result<Unfinished, HostsError> {
    let error = |cause| HostsError::Read { path: folder.to_owned(), cause };
    let entries = fs::read_dir(folder).map_err(error)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(error)?;
    paths.sort();
    let mut tls = TlsFiles::default();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                tls.clients.push((path, key));
            }
            _ => {}
        }
    }
    Ok(Unfinished { tls, ..Unfinished::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(registry: &str, folder: &str, text: &str) -> Result<Vec<Host>, HostsError> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(folder)).unwrap();
        fs::write(root.path().join(folder).join("hosts.toml"), text).unwrap();
        hosts(&[root.path().join("absent"), root.path().to_owned()], registry)
    }

    fn urls(hosts: &[Host]) -> Vec<String> {
        let url = |host: &Host| format!("{:?} {}{}", host.scheme, host.authority, host.path);
        hosts.iter().map(url).collect()
    }

    #[test]
    fn without_configuration_the_registry_itself_is_asked() {
        let asked = |registry: &str| urls(&hosts(&[], registry).unwrap()).join(" ");
        assert_eq!(asked("docker.io"), "Https registry-1.docker.io/v2");
        assert_eq!(asked("quay.io"), "Https quay.io/v2");
        assert_eq!(asked("localhost"), "Https localhost/v2");
        assert_eq!(asked("localhost:5000"), "HttpsThenHttp localhost:5000/v2");
        assert_eq!(asked("127.0.0.1:80"), "Http 127.0.0.1:80/v2");
        assert_eq!(asked("[::1]:5000"), "HttpsThenHttp [::1]:5000/v2");
        assert_eq!(asked("10.0.0.1:5000"), "Https 10.0.0.1:5000/v2");
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file_and_the_server_last() {
        let text = r#"
server = "https://quay.io"
[host."http://z.example:5000"]
  capabilities = ["pull", "resolve"]
[host."a.example/prefix/"]
  capabilities = ["pull"]
  skip_verify = true
  ca = ["one.pem", "/two.pem"]
  client = [["c.pem", "k.pem"], "both.pem"]
  dial_timeout = "1m30s"
[host."https://b.example/as/is"]
  override_path = true
  ca = "one.pem"
  [host."https://b.example/as/is".header]
    x-one = "1"
    x-many = ["2", "3"]
"#;
        let hosts = configured("quay.io", "quay.io", text).unwrap();
        assert_eq!(
            urls(&hosts),
            [
                "Http z.example:5000/v2",
                "Https a.example/prefix/v2",
                "Https b.example/as/is",
                "Https quay.io/v2"
            ]
        );
        assert_eq!((hosts[0].pull, hosts[0].resolve), (true, true));
        assert_eq!((hosts[1].pull, hosts[1].resolve), (true, false));
        assert_eq!((hosts[3].pull, hosts[3].resolve), (true, true));
        let tls = &hosts[1].tls;
        assert_eq!(tls.skip_verify, Some(true));
        assert!(
            tls.authorities[0].ends_with("quay.io/one.pem") && tls.authorities[1] == Path::new("/two.pem")
        );
        assert!(tls.clients[0].0.ends_with("c.pem") && tls.clients[0].1.ends_with("k.pem"));
        assert!(tls.clients[1].0.ends_with("both.pem") && tls.clients[1].1.ends_with("both.pem"));
        assert_eq!(hosts[1].dial_timeout, Some(Duration::from_secs(90)));
        let headers: Vec<String> =
            hosts[2].headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(headers, ["x-one=1", "x-many=2", "x-many=3"]);
    }

    #[test]
    fn a_folder_is_found_by_port_by_name_and_by_default() {
        let server = "server = \"http://m:1\"";
        for folder in ["r.example_5000_", "r.example:5000", "_default"] {
            let hosts = configured("r.example:5000", folder, server).unwrap();
            assert_eq!(urls(&hosts), ["Http m:1/v2"], "{folder}");
        }
        // Only mirrors: the registry itself comes last.
        let hosts = configured("quay.io", "_default", "[host.\"http://m:1\"]").unwrap();
        assert_eq!(urls(&hosts), ["Http m:1/v2", "Https quay.io/v2"]);
        // TLS is set up, so it is tried even where plain HTTP is asked for.
        let hosts = configured("quay.io", "_default", "[host.\"http://m:1\"]\nskip_verify = true").unwrap();
        assert_eq!(urls(&hosts)[0], "HttpsThenHttp m:1/v2");
    }

    #[test]
    fn certificates_alone_are_dockers_way() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("r.example:5000");
        fs::create_dir(&folder).unwrap();
        for file in ["ca.crt", "client.cert", "client.key", "README"] {
            fs::write(folder.join(file), "").unwrap();
        }
        let hosts = hosts(&[root.path().to_owned()], "r.example:5000").unwrap();
        assert_eq!(urls(&hosts), ["Https r.example:5000/v2"]);
        assert_eq!(hosts[0].tls.authorities, [folder.join("ca.crt")]);
        assert_eq!(hosts[0].tls.clients, [(folder.join("client.cert"), folder.join("client.key"))]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let wrong = |text: &str| configured("quay.io", "quay.io", text).unwrap_err().to_string();
        assert!(wrong("server = ").starts_with("read "));
        assert!(
            wrong("[host.\"http://m\"]\ncapabilities = [\"fly\"]")
                .ends_with("\"fly\" is no pull, resolve or push")
        );
        assert!(wrong("server = \"https://\"").contains("is no URL of a registry"));
        assert!(wrong("[host.\"http://m\"]\nca = 1").starts_with("read "));
        assert!(wrong("dial_timeout = \"soon\"").contains("is no duration"));
        assert!(wrong("client = [[\"a\"]]").contains("is no certificate and key"));
    }
}
