//! Why a server could not be reached, in words that say what to do.
//!
//! Built where the HTTP client's typed errors are at hand; the reasons are found by walking the
//! chain of sources, because TLS errors arrive inside I/O errors inside connect errors.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;

use super::transport::CONNECT_TIMEOUT;

/// A request that got no HTTP answer. Every message names the host.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error(
        "the TLS certificate of {host} is not trusted ({reason}): give the certificate of its CA with --ca-bundle FILE or AWS_CA_BUNDLE"
    )]
    Untrusted { host: String, reason: String },
    #[error(
        "the TLS certificate of {host} is not valid ({reason}): check the server's certificate and this machine's clock"
    )]
    BadCertificate { host: String, reason: String },
    #[error(
        "TLS with {host} failed ({reason}): check that the server speaks https on this port, else give an http:// endpoint"
    )]
    Tls { host: String, reason: String },
    #[error(
        "{host} refused the connection: check that the server is running and that the endpoint's host and port are right"
    )]
    Refused { host: String },
    #[error("the name of {host} cannot be resolved: check the endpoint and this machine's network")]
    Name { host: String, source: legacy::Error },
    #[error(
        "{host} did not take a connection within {} s: check the endpoint and this machine's network",
        CONNECT_TIMEOUT.as_secs()
    )]
    ConnectTimeout { host: String },
    #[error("{host} cannot be reached ({reason})")]
    Connect {
        host: String,
        reason: String,
        source: legacy::Error,
    },
    #[error("the connection to {host} broke ({reason})")]
    Broken {
        host: String,
        reason: String,
        source: legacy::Error,
    },
}

/// The connection ended before the answer did.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke in the middle of the answer")]
pub struct Interrupted(#[source] pub(super) Box<dyn Error + Send + Sync>);

impl Unreachable {
    /// There is a server, and no trust in it: asking again changes nothing.
    #[must_use]
    pub const fn is_about_tls(&self) -> bool {
        matches!(
            self,
            Self::Untrusted { .. } | Self::BadCertificate { .. } | Self::Tls { .. }
        )
    }

    /// Finds the reason in the HTTP client's error.
    pub(super) fn from_transport(host: &str, error: legacy::Error) -> Self {
        let host = host.to_owned();
        if let Some(tls) = find::<rustls::Error>(&error) {
            return Self::from_tls(host, tls);
        }
        let io_kind = find::<io::Error>(&error).map(io::Error::kind);
        if !error.is_connect() {
            return Self::Broken {
                host,
                reason: innermost(&error),
                source: error,
            };
        }
        match io_kind {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused { host },
            Some(io::ErrorKind::TimedOut) => Self::ConnectTimeout { host },
            // The resolver's error type is private; its words are all there is.
            _ if chain(&error).any(|cause| cause.to_string().starts_with("dns error")) => {
                Self::Name {
                    host,
                    source: error,
                }
            }
            _ => Self::Connect {
                host,
                reason: innermost(&error),
                source: error,
            },
        }
    }

    fn from_tls(host: String, error: &rustls::Error) -> Self {
        let reason = error.to_string();
        match error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Self::Untrusted { host, reason },
            // A self-signed certificate that is no CA comes as `Other(CaUsedAsEndEntity)`.
            rustls::Error::InvalidCertificate(CertificateError::Other(_)) => {
                Self::Untrusted { host, reason }
            }
            rustls::Error::InvalidCertificate(_) => Self::BadCertificate { host, reason },
            _ => Self::Tls { host, reason },
        }
    }
}

/// `error` and everything below it. An `io::Error` hides the error it wraps from `source`,
/// which gives that error's own source.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The first error of type `E` in the chain.
#[must_use]
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|cause| cause.downcast_ref::<E>())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}
