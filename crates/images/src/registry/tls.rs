//! Whom to trust: the system's authorities (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name), those of
//! `hosts.toml`, and the certificates to show.
//!
//! PEM files are read here and not by a verifier of the platform's, so that a daemon trusts the same on every
//! distribution and says which file it could not read.

use super::hosts::TlsFiles;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where distributions keep the bundle of authorities; the first that is there counts.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What can be wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, or not PEM.
    #[error("read certificates of {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: pem::Error,
    },
    /// A file without a certificate that can be used.
    #[error("{} holds no certificate that can be used", .0.display())]
    Empty(PathBuf),
    /// A key that does not fit, or of an unknown kind.
    #[error("use the certificate {} with the key {}", certificate.display(), key.display())]
    Client {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        #[source]
        cause: Box<rustls::Error>,
    },
    /// The library refuses.
    #[error("set up TLS")]
    Setup(#[source] Box<rustls::Error>),
}

/// What a connection to a host with these files needs.
pub(crate) fn client_config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| TlsError::Setup(Box::new(cause)))?;
    let builder = if files.skip_verify == Some(true) {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        let mut roots = system_authorities();
        for path in &files.authorities {
            add(&mut roots, path)?;
        }
        // Without any authority every certificate is refused, which says more than an error here.
        match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() {
            Ok(verifier) => builder.with_webpki_verifier(verifier),
            Err(_) => builder.with_root_certificates(RootCertStore::empty()),
        }
    };
    let mut config = match files.clients.first() {
        None => builder.with_no_client_auth(),
        // A server asks for one certificate; the first is shown, as TLS libraries do when all would fit.
        Some((certificate, key)) => {
            let client = |cause| TlsError::Client {
                certificate: certificate.clone(),
                key: key.clone(),
                cause: Box::new(cause),
            };
            let read = |cause| TlsError::Read { path: key.clone(), cause };
            let private = PrivateKeyDer::from_pem_file(key).map_err(read)?;
            builder.with_client_auth_cert(read_certificates(certificate)?, private).map_err(client)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The authorities that everything on this machine trusts, as OpenSSL and Go find them.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let named = |name| env::var_os(name).filter(|value| !value.is_empty());
    let bundle = match named("SSL_CERT_FILE") {
        Some(file) => Some(PathBuf::from(file)),
        None => BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()),
    };
    if let Some(bundle) = bundle
        && let Err(error) = add(&mut roots, &bundle)
    {
        log::warn!("system's authorities: {error}");
    }
    if let Some(folders) = named("SSL_CERT_DIR") {
        for folder in env::split_paths(&folders) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                // Links that lead nowhere and files of other kinds lie in these folders too.
                let _ = add(&mut roots, &entry.path());
            }
        }
    }
    roots
}

/// Adds what a file holds. Of a bundle, some certificates may be too old to be read.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let (added, _) = roots.add_parsable_certificates(read_certificates(path)?);
    if added == 0 { Err(TlsError::Empty(path.to_owned())) } else { Ok(()) }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |cause| TlsError::Read { path: path.to_owned(), cause };
    CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)
}

/// Takes any certificate, as `skip_verify` asks for. Whoever shows it has to hold its key all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
