//! RSA keys in PEM, of objects of the Amazon S3 Encryption Client.

use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, KeyFileError, open, read};
use crate::crypto::s3ec::{RsaPrivateKey, RsaPublicKey};

/// The private key in a file, which nobody else may reach: PKCS#8 in PEM.
///
/// # Errors
/// When the file is not there, not safe, or holds no such key.
pub fn read_rsa_private(path: &Path) -> Result<RsaPrivateKey, KeyFileError> {
    let text = read(open(path)?, path)?;
    let key = pkcs8(&text).and_then(|der| RsaPrivateKey::from_pkcs8(&der).ok());
    key.ok_or_else(|| KeyFileError::NoRsaKey {
        path: path.to_owned(),
        wanted: "PKCS#8 in PEM, without a passphrase",
    })
}

/// The public key in a file, or the public half of the private key in it.
///
/// # Errors
/// When the file is not there or holds no such key.
pub fn read_rsa_public(path: &Path) -> Result<RsaPublicKey, KeyFileError> {
    let text = Zeroizing::new(std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::NotFound {
            path: path.to_owned(),
        },
        _ => KeyFileError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?);
    if text.len() > FILE_BYTES_MAX {
        return Err(KeyFileError::TooLong {
            path: path.to_owned(),
        });
    }
    let key = match SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        Ok(der) => RsaPublicKey::from_der(&der).ok(),
        Err(_) => pkcs8(&text).and_then(|der| RsaPublicKey::from_pkcs8(&der).ok()),
    };
    key.ok_or_else(|| KeyFileError::NoRsaKey {
        path: path.to_owned(),
        wanted: "a public or private key in PEM",
    })
}

fn pkcs8(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(text).ok()?;
    Some(Zeroizing::new(der.secret_pkcs8_der().to_vec()))
}
