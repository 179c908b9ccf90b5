//! Pulling from the registry that the world runs: TLS, a private authority, HTTP/2, passwords.

use crate::content::{Compression, Content, archive, image, index, noise, small};
use crate::{Host, told};
use images::{Auth, Digest, Image, Kind};
use reqwest::{Client, StatusCode};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `user:pass`, by bcrypt with 2^4 rounds.
const HTPASSWD: &str = "user:$2y$04$/nA3jFjAkpQXEwctzRyUjuhUVgEN8P6B.A5r.fd/eeyZ17XNXmete\n";

/// `docker-registry`, serving TLS on a port that it chose; ended with this.
struct Registry {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
    client: Client,
}

impl Registry {
    /// `None`, with the reason printed, where there is no such program.
    fn start(password: bool) -> Option<Registry> {
        let Some(program) = program() else {
            println!("skipped: no docker-registry on PATH or below COFFERDAM_TREE");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let auth = if password {
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}/htpasswd\n", folder.path().display())
        } else {
            String::new()
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {0}/data\n{auth}\
             http:\n  addr: 127.0.0.1:0\n  secret: test\n  tls:\n    certificate: {0}/cert.pem\n    key: {0}/key.pem\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut child = Command::new(program)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It tells which port it got; then its log goes on, and nobody may let it run full.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ',']).next()?.to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let client =
            Client::builder().tls_backend_preconfigured(trusting(made.cert.der().clone())).build().unwrap();
        Some(Registry { child, address: address.unwrap(), folder, client })
    }

    fn name(&self, name: &str) -> String {
        // Not by its address, which would not be verified.
        format!("localhost.test:{}/{name}", self.port())
    }

    fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }

    /// Tells `host` where the registry is and whom to trust.
    fn configure(&self, host: &Host, ca: bool) {
        let folder = host.folder.path().join(format!("certs.d/localhost.test_{}_", self.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca =
            if ca { format!("ca = \"{}/cert.pem\"", self.folder.path().display()) } else { String::new() };
        let text = format!("server = \"https://{}\"\n{ca}\n", self.address);
        std::fs::write(folder.join("hosts.toml"), text).unwrap();
    }

    async fn push(&self, repository: &str, tag: &str, content: &Content) {
        for (digest, blob) in &content.blobs {
            let begun = self.post(&format!("{repository}/blobs/uploads/")).await;
            let place = begun.headers()["location"].to_str().unwrap();
            let put = format!("{place}&digest={digest}");
            let request = self.client.put(put).header("authorization", crate::basic("user", "pass"));
            let request = request.header("content-type", "application/octet-stream").body(blob.clone());
            assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
        }
        self.push_document(repository, tag, &content.media_type, &content.manifest).await;
    }

    async fn push_document(&self, repository: &str, tag: &str, media_type: &str, document: &[u8]) {
        let url = format!("https://{}/v2/{repository}/manifests/{tag}", self.address);
        let request = self.client.put(url).header("authorization", crate::basic("user", "pass"));
        let request = request.header("content-type", media_type).body(document.to_vec());
        let response = request.send().await.unwrap();
        let status = response.status();
        assert_eq!(status, StatusCode::CREATED, "{}", response.text().await.unwrap());
    }

    async fn post(&self, what: &str) -> reqwest::Response {
        let url = format!("https://{}/v2/{what}", self.address);
        let request = self.client.post(url).header("authorization", crate::basic("user", "pass"));
        request.header("content-length", 0).send().await.unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("docker-registry"));
    let tree =
        std::env::var_os("COFFERDAM_TREE").map(|tree| Path::new(&tree).join("usr/bin/docker-registry"));
    on_path.chain(tree).find(|program| program.is_file())
}

fn trusting(certificate: rustls_pki_types::CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_by_tls_with_a_private_authority() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(host) = Host::new() else { return };
    let content = small("one");
    registry.push("some/image", "1", &content).await;
    // Nobody vouches for it yet.
    registry.configure(&host, false);
    let error = host.pull(&registry.name("some/image:1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(told(&error).contains("certificate"), "{}", told(&error));
    registry.configure(&host, true);
    let image = host.pull(&registry.name("some/image:1")).await.unwrap();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
    assert_eq!(image.tags, [registry.name("some/image:1")]);
    assert_eq!(image.digests, [registry.name(&format!("some/image@{}", content.digest()))]);
    let by_digest: Image = host.pull(&image.digests[0]).await.unwrap();
    assert_eq!(by_digest.id, image.id);
    let error = host.pull(&registry.name("some/image:none")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(told(&error).contains("MANIFEST_UNKNOWN"), "{}", told(&error));
    // By its address, this machine's registry needs no authority, as containerd has it.
    let plain = format!("{}/some/image:1", registry.address);
    assert_eq!(host.pull(&plain).await.unwrap().id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for() {
    let Some(registry) = Registry::start(true) else { return };
    let Some(host) = Host::new() else { return };
    registry.push("a", "1", &small("one")).await;
    registry.configure(&host, true);
    let name = registry.name("a:1");
    let auth =
        |password: &str| Auth { username: "user".into(), password: password.into(), ..Auth::default() };
    for wrong in [None, Some(auth("wrong"))] {
        let error = host.pull_as(&name, wrong).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{}", told(&error));
    }
    host.pull_as(&name, Some(auth("pass"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_image_of_several_layers_by_an_index() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(host) = Host::new() else { return };
    let layers: Vec<_> = (0..5)
        .map(|n| {
            let name = format!("big/{n}");
            let files = [(name.as_str(), noise(6 << 20)), ("hello", format!("{n}").into_bytes())];
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            (archive(&files), if n % 2 == 0 { Compression::Gzip } else { Compression::Zstd })
        })
        .collect();
    let content = image(&layers);
    registry.push("large", "unused", &content).await;
    let mine = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let (document, media_type) = index(&[(&mine, &content)]);
    registry.push_document("large", "1", &media_type, &document).await;
    registry.configure(&host, true);
    let image = host.pull(&registry.name("large:1")).await.unwrap();
    assert_eq!(host.read(&image, "hello").as_deref(), Some("4"));
    assert_eq!(image.digests, [registry.name(&format!("large@{}", Digest::of(&document)))]);
    assert!(host.images.usage().unwrap().bytes >= 30 << 20);
}
