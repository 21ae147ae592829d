//! Which servers are trusted: those whose certificate leads to the system's roots or to a
//! certificate in the CA bundle, and those whose certificate is itself in the bundle.
//!
//! The latter is how small servers are run: one self-signed certificate, given to the clients.
//! Those that `openssl req -x509` makes are marked as a CA, and rustls refuses a CA as a
//! server's certificate, although other TLS libraries take it. The name is checked as ever,
//! and the handshake proves that the server has the key; the dates of such a certificate are
//! not checked, because whoever gave it decides how long it is trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// A `--ca-bundle` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    #[error("cannot read the CA bundle {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the CA bundle {} holds no certificate: it must be a PEM file with one or more BEGIN CERTIFICATE blocks",
        path.display()
    )]
    Empty { path: PathBuf },
    #[error("the CA bundle {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// The TLS configuration of a client that trusts the system's roots and `ca_bundle`.
///
/// # Errors
/// When the bundle cannot be read or holds no certificate.
pub(super) fn client_config(
    ca_bundle: Option<&Path>,
) -> Result<rustls::ClientConfig, CaBundleError> {
    let given = match ca_bundle {
        Some(path) => read_bundle(path)?,
        None => Vec::new(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_bundle {
        for certificate in &given {
            roots
                .add(certificate.clone())
                .map_err(|error| CaBundleError::Damaged {
                    path: path.to_owned(),
                    reason: error.to_string(),
                })?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default protocol versions");
    // A verifier cannot be made of no roots at all; without any, every server is untrusted,
    // which is said when one is met.
    if roots.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(roots, given, provider)))
        .with_no_client_auth())
}

fn read_bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaBundleError> {
    let pem = std::fs::read(path).map_err(|source| CaBundleError::Read {
        path: path.to_owned(),
        source,
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| CaBundleError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    if certificates.is_empty() {
        return Err(CaBundleError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}

/// WebPKI's verifier, and the given certificates by themselves.
#[derive(Debug)]
struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// `roots` is not empty.
    fn new(
        roots: RootCertStore,
        given: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            chains: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .expect("there are roots, and no revocation lists that could be wrong"),
            given,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.chains.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // `Other` is how "a CA used as a server's certificate" arrives.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.given.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
