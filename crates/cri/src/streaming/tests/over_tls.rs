//! TLS, with certificates that the test makes.

use super::host::{self, Host};
use super::{path, read_head, request};
use crate::streaming::spdy::client::Client;
use crate::streaming::{Config, Server, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An authority, a certificate for 127.0.0.1 and one for a client.
pub(super) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// `None` without openssl.
    pub(super) fn make() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Self { folder };
        let openssl = |words: &str| {
            let words = words.split(' ').map(|word| match word.strip_prefix('@') {
                Some(file) => certificates.file(file).into_os_string(),
                None => word.into(),
            });
            Command::new("openssl").args(words).output().ok().map(|output| output.status.success())
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        std::fs::write(certificates.file("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        std::fs::write(certificates.file("client.ext"), "basicConstraints=CA:FALSE\n").unwrap();
        assert!(openssl(&format!(
            "req -x509 {key} -days 2 -subj /CN=authority -keyout @ca.key -out @ca.crt"
        ))?);
        for name in ["server", "client"] {
            assert!(openssl(&format!("req {key} -subj /CN={name} -keyout @{name}.key -out @{name}.csr"))?);
            let signed = openssl(&format!(
                "x509 -req -in @{name}.csr -CA @ca.crt -CAkey @ca.key -CAcreateserial -days 2 -out @{name}.crt \
                 -extfile @{name}.ext"
            ));
            assert!(signed?);
        }
        Some(certificates)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn tls(&self, clients: bool) -> Tls {
        Tls {
            certificate: self.file("server.crt"),
            key: self.file("server.key"),
            client_ca: clients.then(|| self.file("ca.crt")),
        }
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

/// The status of an exec, by a client with or without a certificate.
async fn exec(server: &Server, made: &Certificates, own: bool) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    certificates(&made.file("ca.crt")).into_iter().for_each(|certificate| roots.add(certificate).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = if own {
        let key = PrivateKeyDer::from_pem_file(made.file("client.key")).unwrap();
        builder.with_client_auth_cert(certificates(&made.file("client.crt")), key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let url = server.exec(host::command(&["exit", "7"])).unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let connection = TcpStream::connect(server.address()).await?;
    let name = server.address().ip().into();
    let mut connection = TlsConnector::from(Arc::new(config)).connect(name, connection).await?;
    let head =
        request("POST", &url, &[("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]);
    assert!(head.contains(path(&url)));
    connection.write_all(head.as_bytes()).await?;
    // The server's refusal is what is read first.
    let mut first = [0];
    tokio::io::AsyncReadExt::read_exact(&mut connection, &mut first).await?;
    let head = read_head(&mut connection).await;
    assert!(head.starts_with("TTP/1.1 101 "), "{head}");
    let mut client = Client::new(connection);
    let error = client.open(&[("streamtype", "error")]).await;
    for kind in ["stdin", "stdout", "stderr"] {
        client.open(&[("streamtype", kind)]).await;
    }
    client.listen_to_the_end().await;
    Ok(String::from_utf8(client.streams[&error].bytes.clone()).unwrap())
}

#[tokio::test]
async fn a_session_over_tls_and_clients_with_certificates() {
    let Some(made) = Certificates::make() else {
        println!("skipped: openssl is not installed");
        return;
    };
    let config = |clients| Config { tls: Some(made.tls(clients)), ..Config::default() };
    let server = Server::bind(config(false), Host::new()).await.unwrap();
    assert!(exec(&server, &made, false).await.unwrap().contains("exit status 7"));
    let server = Server::bind(config(true), Host::new()).await.unwrap();
    assert!(exec(&server, &made, true).await.unwrap().contains("exit status 7"));
    assert!(exec(&server, &made, false).await.is_err(), "a client without certificate is turned away");

    let mut wrong = config(false);
    wrong.tls = Some(Tls { key: made.file("client.key"), ..made.tls(false) });
    let error = Server::bind(wrong.clone(), Host::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("use certificate "), "{error}");
    wrong.tls = Some(Tls { key: made.file("none"), ..made.tls(false) });
    let error = Server::bind(wrong, Host::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("read "), "{error}");
}
